//! Plain data that everything else speaks of.

pub mod bloom;
pub mod caps;
pub mod chance;
pub mod header;
pub mod hex;
pub mod lease;
pub mod log_throttle;
pub mod node;
pub mod rate_limit;
pub mod recent;
pub mod target;

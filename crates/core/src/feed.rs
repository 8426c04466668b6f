//! What subscribers are told: heads, logs, and what one node tells for all.

pub mod head_tracker;
pub mod header_shape;
pub mod log_evidence;
pub mod log_history;
pub mod log_match;
pub mod socket_heads;
pub mod subscription;
pub mod takeover;

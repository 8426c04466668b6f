//! Plain data that everything else speaks of, and small tools that know nothing of calls.
//!
//! In reading order:
//! - the chain: [`chain`], [`known_chains`], [`block_ref`], [`header`], [`bloom`]
//! - nodes: [`node`], [`tier`], [`target`], [`metadata_service`]
//! - clients: [`client`]
//! - how much and how fast: [`caps`], [`rate_limit`], `recent`, [`log_throttle`], [`circuit`]
//! - [`glob`], methods' names by pattern; [`lease`], which process writes for all; [`chance`], dice as an argument;
//!   [`hex`], digits

pub mod block_ref;
pub mod bloom;
pub mod caps;
pub mod chain;
pub mod chance;
pub mod circuit;
pub mod client;
pub mod glob;
pub mod header;
pub mod hex;
pub mod known_chains;
pub mod lease;
pub mod log_throttle;
pub mod metadata_service;
pub mod node;
pub mod rate_limit;
pub(crate) mod recent;
pub mod shares;
pub mod target;
pub mod tier;

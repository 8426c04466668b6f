//! The thinking: pure and synchronous, complete without a network.
//!
//! Nothing in here waits, reads a clock, rolls dice or logs: time and chance are arguments.

pub mod agreed;
pub mod answer;
pub mod block;
pub mod broadcast;
pub mod chain;
pub mod chance;
pub mod convoy;
pub mod depth;
mod entry;
pub mod filter;
pub mod fleet;
pub mod forks;
pub mod forwarded;
pub mod framing;
pub mod health;
mod hex;
pub mod journey;
pub mod json;
pub mod jsonrpc;
pub mod lacks;
pub mod lease;
pub mod load;
pub mod method;
pub mod node;
pub mod nonce;
pub mod odds;
pub mod quota;
pub mod refusal;
pub mod report;
pub mod route;
pub mod seen;
pub mod select;
pub mod sent;
pub mod served;
pub mod sounding;
pub mod trace;
pub mod transaction;
pub mod verdict;
pub mod view;
pub mod whole;

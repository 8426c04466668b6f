//! The thinking: pure and synchronous, complete without a network.
//!
//! Nothing in here waits, reads a clock, rolls dice or logs: time and chance are arguments.

pub mod answer;
pub mod chain;
pub mod chance;
pub mod fleet;
pub mod framing;
pub mod health;
pub mod journey;
pub mod json;
pub mod jsonrpc;
pub mod load;
pub mod method;
pub mod node;
pub mod quota;
pub mod refusal;
pub mod report;
pub mod route;
pub mod seen;
pub mod select;
pub mod served;
pub mod trace;
pub mod transaction;
pub mod verdict;
pub mod view;
pub mod whole;

//! The thinking: pure and synchronous, complete without a network.
//!
//! Nothing in here waits, reads a clock, rolls dice or logs: time and chance are arguments.

pub mod answer;
pub mod chance;
pub mod jsonrpc;
pub mod method;
pub mod node;
pub mod refusal;

//! The thinking: pure and synchronous, complete without a network.
//!
//! Nothing in here waits, reads a clock, rolls dice or logs: time and chance are arguments.

pub mod chance;
pub mod node;

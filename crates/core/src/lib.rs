//! The thinking: pure and synchronous, complete without a network.
//!
//! Nothing in here waits, reads a clock, rolls dice or logs: time and chance are arguments.

pub mod call;
pub mod feed;
pub mod fleet;
pub mod method;
pub mod rpc;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod vocabulary;
pub mod wire;

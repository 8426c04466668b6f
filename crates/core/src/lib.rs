//! The decisions: pure and synchronous, complete without a network.
//!
//! The rooms, in reading order. An arrow points to what a room may import; `tests/it/architecture.rs` of
//! the program keeps it so, and that no files of a room import each other in a circle.
//!
//! - [`json`] — JSON text in place → nothing
//! - [`vocabulary`] — plain data that everything else speaks of → `json`
//! - [`wire`] — what stands around JSON-RPC, as bytes → `vocabulary`
//! - [`method`] — the method table → `json`, `vocabulary`
//! - [`rpc`] — envelopes, batches, answers, and what they mean → `json`, `vocabulary`, `method`
//! - [`fleet`] — all nodes together, and which of them gets a call → `json`, `vocabulary`, `rpc`
//! - [`call`] — one call, from its plan to its end → `json`, `vocabulary`, `method`, `rpc`, `fleet`
//! - [`feed`] — what subscribers are told → `json`, `vocabulary`, `rpc`, `fleet`
//!
//! Deliberately absent: waiting, clocks, dice, sockets, files, threads and logging. Time and chance
//! are arguments; what is to be done is returned.

#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(clippy::too_many_lines, reason = "a story may be a long table")
)]

pub mod call;
pub mod feed;
pub mod fleet;
pub mod json;
pub mod method;
pub mod rpc;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod vocabulary;
pub mod wire;

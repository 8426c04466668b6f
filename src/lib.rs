//! Forebay: a JSON-RPC load balancer for Ethereum nodes.
//!
//! The rooms, in reading order. An arrow points to what a room may import; `tests/architecture.rs`
//! keeps it so.
//!
//! - [`domain`] — the thinking: pure, synchronous, complete without a network → nothing
//! - [`clock`] — the only reader of the time and roller of dice → `domain::chance`
//! - [`config`] — text into meaning → `domain`
//! - [`telemetry`] — what we tell the operator → `domain`, `clock`
//! - [`registry`] — where nodes are written down → `domain`, `clock`
//! - [`upstream`] — hands toward nodes → `domain`, `clock`, `telemetry`
//! - [`state`] — what calls share → `domain`, `clock`, `telemetry`, `upstream`
//! - [`serve`] — hands toward clients → all of the above but `config`
//! - [`tasks`] — what happens unasked → all of the above but `serve`
//! - [`fake`] — a pretend node that lags, lies, stalls and dies on request → anything
//! - [`app`] — the composition root, [`shutdown`] its end; [`cli`] — what the operator tells us → anything
//!
//! Deliberately absent: a decision outside `domain`; a clock call outside `clock`; a lock on a
//! call's path to the fleet; a room that knows both `serve` and `tasks`, but for the root.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod fake;
pub mod registry;
pub mod serve;
pub mod shutdown;
pub mod state;
pub mod tasks;
pub mod telemetry;
pub mod upstream;

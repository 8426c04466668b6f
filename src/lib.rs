//! Forebay: a JSON-RPC load balancer for Ethereum nodes.
//!
//! The rooms, in reading order. An arrow points to what a room may import; `tests/it/architecture.rs`
//! keeps it so.
//!
//! - [`domain`] — the thinking: pure, synchronous, complete without a network → nothing
//! - [`clock`] — the only reader of the time and roller of dice → `forebay_core::vocabulary::chance`
//! - [`config`] — text into meaning → `domain`
//! - [`observe`] — what we tell the operator → `domain`, `clock`
//! - [`registry`] — where nodes are written down → `domain`, `clock`
//! - [`node`] — hands toward nodes → `domain`, `clock`, `observe`
//! - [`shared`] — what calls share → `domain`, `clock`, `observe`, `node`
//! - [`client`] — hands toward clients → all of the above but `config`
//! - [`background`] — what happens unasked → all of the above but `client`
//! - [`fake`] — a pretend node that lags, lies, stalls and dies on request → anything
//! - [`app`] — the composition root, [`shutdown`] its end; [`cli`] — what the operator tells us → anything
//!
//! Deliberately absent: a decision outside `domain`; a clock call outside `clock`; a lock on a
//! call's path to the fleet; a room that knows both `client` and `background`, but for the root.

pub mod admin;
pub mod app;
pub mod background;
pub mod call;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod node;
pub mod observe;
pub mod registry;
pub mod router;
pub mod shared;
pub mod shutdown;

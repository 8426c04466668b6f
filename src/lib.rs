//! Forebay: a JSON-RPC load balancer for Ethereum nodes.
//!
//! What is decided is decided in [`forebay_core`], a crate of its own, which every room may import; here it
//! is carried out. The rooms, in reading order. An arrow points to what a room may import beside the core;
//! `tests/it/architecture.rs` keeps it so, and that no files of a room import each other in a circle.
//!
//! - [`clock`] — the only reader of the time and of randomness → nothing
//! - [`config`] — text into meaning → nothing
//! - [`observe`] — what the operator is told → `clock`, `config`
//! - [`registry`] — where nodes are written down → `clock`
//! - [`node`] — talks to nodes → `clock`, `observe`
//! - [`shared`] — what calls share → `clock`, `config`, `observe`, `node`
//! - [`call`] — a call's plan, and the ways that carry it out → `clock`, `config`, `observe`, `node`,
//!   `shared`
//! - [`client`] — serves clients → those, and `call`
//! - [`admin`] — serves operators, by HTTP → those, `client` and `registry`
//! - [`background`] — background work → `clock`, `config`, `observe`, `registry`, `node`, `shared`
//! - [`shutdown`] — how the process ends → `config`, `observe`, `shared`, `call`
//! - [`app`] — the composition root: settings in, a Pingora server out → anything
//! - [`cli`] — the commands → anything, and `forebay_fake`, the pretend node, for its demo
//!
//! Deliberately absent: a judgement of a node, a reply or an answer outside the core; a clock call outside
//! `clock`; a lock on a call's path to the fleet; a room that knows both `client` and `background`, but for the
//! root.

#![cfg_attr(
    test,
    allow(clippy::too_many_lines, reason = "a story may be a long table")
)]

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
pub mod shared;
pub mod shutdown;

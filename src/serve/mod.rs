//! Hands toward clients.
//!
//! In reading order: [`door`] takes a connection and shows it to [`http1`] or [`http2`], or to
//! [`websocket`]; each brings the [`endpoint`] a [`caller`], who [`asked`] something from some
//! [`origin`], and whose body the [`intake`] reads;
//! [`engine`] answers each call by a plan of `domain`'s, as an [`errand`] from node to node whose
//! every attempt is an [`exchange`] that has its [`patience`]; [`coalesce`] shares identical reads,
//! [`broadcast`] and [`nonces`] ask several nodes at once by a [`fan`], [`waiting`] shows what no node
//! does, [`lookups`] are joined by all who ask a node for the same hash; [`batch`] answers many calls,
//! the reads among
//! them by a [`convoy`] to one node; the [`outlet`] says what goes out,
//! and [`packing`] packs it for who asks for that.
//! Where a caller wants to know, each attempt leaves a footprint in its `trail`.

pub mod admin;
pub mod alarm;
pub mod asked;
pub mod attempt;
pub mod batch;
pub mod broadcast;
pub mod caller;
pub mod coalesce;
pub mod convoy;
pub mod door;
pub mod endpoint;
pub mod engine;
pub mod errand;
pub mod exchange;
pub mod fan;
mod followed;
pub mod health;
pub mod http1;
pub mod http2;
pub mod intake;
pub mod lookups;
pub mod metrics;
pub mod nonces;
pub mod origin;
pub mod outlet;
pub mod packing;
pub mod patience;
pub mod policy;
pub mod replay;
mod soon;
mod trail;
pub mod waiting;
pub mod websocket;

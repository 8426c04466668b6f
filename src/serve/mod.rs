//! Hands toward clients.
//!
//! In reading order: [`door`] takes a connection, [`proxy`] a request off it, [`intake`] its body,
//! [`origin`] where it comes from;
//! [`engine`] answers each call by a plan of `domain`'s, as an [`errand`] from node to node whose
//! every attempt is an [`exchange`]; [`coalesce`] shares identical reads, [`broadcast`] and
//! [`nonces`] ask several nodes at once by a [`fan`]; [`batch`] answers many calls; [`outlet`]
//! writes what comes of it.

pub mod admin;
pub mod attempt;
pub mod batch;
pub mod broadcast;
pub mod coalesce;
pub mod door;
pub mod engine;
pub mod errand;
pub mod exchange;
pub mod fan;
pub mod health;
pub mod intake;
pub mod metrics;
pub mod nonces;
pub mod origin;
pub mod outlet;
pub mod policy;
pub mod proxy;

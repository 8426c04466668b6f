//! Hands toward clients.
//!
//! In reading order: [`door`] takes a connection, [`proxy`] a request off it, [`intake`] its body,
//! [`origin`] where it comes from;
//! [`engine`] answers each call by a plan of `domain`'s, [`exchange`] makes one attempt,
//! [`batch`] answers many calls; [`outlet`] writes what comes of it.

pub mod batch;
pub mod door;
pub mod engine;
pub mod errand;
pub mod exchange;
pub mod health;
pub mod intake;
pub mod metrics;
pub mod origin;
pub mod outlet;
pub mod proxy;

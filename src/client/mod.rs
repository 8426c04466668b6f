//! Hands toward clients.
//!
//! In reading order: [`accept`] takes a connection and shows it to [`http1`] or [`http2`], or to
//! [`websocket`]; each brings the [`endpoint`] a [`downstream`], who [`request_head`] something from some
//! [`request_context`], and whose body the [`request_body`] reads;
//! [`router`] answers each call by a plan of the core's, as an [`forward`] from node to node whose
//! every attempt is an [`exchange`] that has its [`patience`]; [`coalesce`] shares identical reads,
//! [`broadcast`] and [`pending_nonce`] ask several nodes at once by a [`fanout`], [`pending_transaction`] shows what no node
//! does, [`lookups`] are joined by all who ask a node for the same hash; [`batch`] answers many calls,
//! the reads among
//! them by a [`upstream_batch`] to one node; the [`response`] says what goes out,
//! and [`compression`] packs it for who asks for that.
//! Where a caller wants to know, each attempt leaves a footprint in its `trail`.

pub mod accept;
pub mod compression;
pub mod downstream;
pub mod endpoint;
pub mod health;
pub mod http1;
pub mod http2;
pub mod metrics;
pub mod replay;
pub mod request_body;
pub mod request_head;
pub mod response;
pub mod websocket;

//! Serves clients.
//!
//! In reading order:
//! - [`accept`] takes a connection and shows it to [`http1`], [`http2`] (whose frames [`http2_watch`] and
//!   [`http2_backlog`] see pass) or [`websocket`]; [`replay`] puts back what was read to find out
//! - each of them brings the [`endpoint`] a [`downstream`]: its [`request_head`], from which `request_context` is
//!   read, and its body for [`request_body`]; the endpoint answers [`health`], and hands calls to the
//!   [`router`](crate::call::router) or, a batch of them, to [`call::batch`](crate::call::batch)
//! - the [`response`] says what goes out, [`body_stream`] piece by piece, and [`compression`] packs it
//!   for a client that asks for that
//! - [`metrics`] is Prometheus's listener

pub mod accept;
pub mod body_stream;
pub mod compression;
pub mod downstream;
pub mod endpoint;
pub mod health;
pub mod http1;
pub mod http2;
pub mod http2_backlog;
pub mod http2_watch;
pub mod metrics;
pub mod other_responses;
pub mod replay;
pub mod request_body;
mod request_context;
pub mod request_head;
pub mod response;
pub mod response_header;
pub mod websocket;

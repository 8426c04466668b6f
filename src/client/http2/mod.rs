//! HTTP/2 of clients: the frames are the codec's (`h2`), what a request means is the
//! [`Endpoint`](super::endpoint::Endpoint)'s, and what may come in between is held to limits here.
//!
//! In reading order: [`connection`] takes streams and tells its client when to go, [`stream`] is one
//! request and its answer. Beside them [`http2_watch`](super::http2_watch) looks at the frames before the
//! codec does, [`http2_backlog`](super::http2_backlog) at what the codec still has to write.

pub mod connection;
pub mod stream;

pub use self::connection::serve;

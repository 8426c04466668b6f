//! HTTP/2 of clients: the frames are the codec's (`h2`), what a request means is the
//! [`Endpoint`](super::endpoint::Endpoint)'s, and what may come in between is held to limits here.
//!
//! In reading order: [`connection`] takes streams and tells its client when to go, [`stream`] is one
//! request and its answer, [`watch`] looks at the frames before the codec does, [`backlog`] at what the
//! codec still has to write.

pub mod backlog;
pub mod connection;
pub mod stream;
pub mod watch;

pub use self::connection::serve;

//! Clients' sockets: calls as over HTTP, and subscriptions.
//!
//! In reading order: the [`handshake`] is judged at its [`accept`], a [`session`] serves it over its [`connection`], each
//! message a [`message`], what it subscribes to kept by a
//! [`listener`](crate::shared::listener), until its [`close`].

pub mod accept;
pub mod close;
pub mod connection;
pub mod handshake;
pub mod message;
pub mod metered_stream;
pub mod session;

pub use crate::client::websocket::accept::take;

#[cfg(test)]
mod tests;

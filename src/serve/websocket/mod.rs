//! Clients' sockets: calls as over HTTP, and subscriptions.
//!
//! In reading order: the [`handshake`] is judged at its [`opening`], a [`session`] serves it over its [`wire`], each
//! message a [`packet`], what it subscribes to kept by a [`listener`], until its [`ending`].

pub mod ending;
pub mod handshake;
pub mod listener;
pub mod metered;
pub mod opening;
pub mod packet;
pub mod session;
pub mod wire;

pub use self::opening::take;

#[cfg(test)]
mod tests;

//! Hands toward nodes: one lean HTTP/1.1 exchange over streams that Pingora opens.
//!
//! In reading order: [`link`] is the way to one node, [`reply`] what came back over it.
//! [`head`], [`chunked`] and [`body`] read bytes and nothing else: they wait for nobody and no
//! input makes them panic. Only [`connection`] touches a stream, only [`connector`] opens one.
//!
//! Beside the calls, [`probe`] asks nodes for their heads and [`lookup`] for single blocks, each
//! [`question`] over reqwest; a [`socket`] hears what a node tells unasked.
//!
//! A connection carries one exchange at a time and is kept only when the exchange ended exactly
//! where its framing said. Whoever drops a future or a [`reply::Reply`] halfway closes it.

pub mod body;
pub mod chunked;
#[cfg(feature = "otlp")]
pub mod collector;
pub mod connection;
pub mod connector;
pub mod fault;
pub mod head;
pub mod idle;
mod inquiry;
pub mod link;
pub mod lookup;
pub mod probe;
pub mod question;
pub mod reply;
pub mod request;
pub mod resolver;
pub mod socket;

#[cfg(test)]
pub mod actor;
#[cfg(test)]
mod stage;
mod syncing;

use std::sync::Once;

/// Chooses the TLS library for the whole process, once.
pub fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that somebody chose before: good.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

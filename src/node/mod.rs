//! Talks to nodes: one lean HTTP/1.1 exchange over streams that Pingora opens.
//!
//! In reading order: [`client`] is the way to one node, with its [`request_head`] and its [`idle_pool`];
//! [`reply`] what came back over it, [`fault`] why nothing did.
//! [`response_head`], [`chunked`] and [`body`] read bytes and nothing else: they never wait, and no
//! input makes them panic. Only [`connection`] touches a stream, only [`connector`] opens one.
//! [`access`] says how nodes are reached, whatever goes there; [`addresses`] where they are, found by [`resolver`].
//!
//! Beside the calls, [`probe`] asks nodes for their heads (`probe_questions` gives each its slot; `probed_head`,
//! `syncing` and `probe_extras` read what they say) and [`lookup`] for single blocks, each [`rpc`] over reqwest; a
//! [`socket`] hears what a node tells unasked; `collector` takes traces away.
//!
//! A connection carries one exchange at a time and is kept only when the exchange ended exactly
//! where its framing said. Whatever drops a future or a [`reply::NodeResponse`] halfway closes it.

pub mod access;
pub mod addresses;
pub mod body;
pub mod chunked;
pub mod client;
#[cfg(feature = "otlp")]
pub mod collector;
pub mod connection;
pub mod connector;
pub mod fault;
pub mod idle_pool;
pub mod lookup;
pub mod probe;
mod probe_extras;
mod probe_questions;
pub mod probed_head;
pub mod reply;
pub mod request_head;
pub mod resolver;
pub mod response_head;
pub mod rpc;
pub mod socket;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
pub mod mock;
mod syncing;

use std::sync::Once;

/// Chooses the TLS library for the whole process, once.
pub fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that one was chosen before: good.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

//! Forebay: a JSON-RPC load balancer for Ethereum nodes.
pub mod clock;
pub mod config;
pub mod domain;
pub mod fake;
pub mod registry;

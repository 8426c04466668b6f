//! What happens unasked: the list is followed, its nodes are probed and listened to, their names
//! resolved, their health written down, clients are told what they listen to, and the configuration
//! and the certificates are read again when they change.

pub mod certificates;
pub mod cloudwatch_reporter;
pub mod discovery;
pub mod feeds;
pub mod following;
pub mod health_writer;
pub mod intervals;
pub mod probing;
pub mod reload;
mod resolving;
pub mod retained_nodes;
mod scrutiny;
pub mod service;
pub mod shared_leader;
#[cfg(feature = "otlp")]
pub mod span_exporter;
pub mod watched_files;

//! What happens unasked: the list is followed, its nodes are probed and listened to, their names
//! resolved, their health written down, clients are told what they listen to, and the configuration
//! and the certificates are read again when they change.

pub mod certificates;
#[cfg(feature = "otlp")]
pub mod exporter;
pub mod following;
pub mod headlines;
pub mod herald;
pub mod housekeeping;
pub mod leftovers;
pub mod lines;
pub mod logs;
mod names;
pub mod newsroom;
pub mod prober;
pub mod regimen;
pub mod relays;
pub mod reload;
pub mod roster;
pub mod scribe;
mod scrutiny;
pub mod shared;
pub mod watched;

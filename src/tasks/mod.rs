//! What happens unasked: the list is followed, its nodes are probed and listened to, their names
//! resolved, their health written down, clients are told what they listen to, and the configuration
//! is read again when it changes.

#[cfg(feature = "otlp")]
pub mod exporter;
pub mod headlines;
pub mod herald;
pub mod housekeeping;
pub mod lines;
pub mod logs;
pub mod newsroom;
pub mod prober;
pub mod regimen;
pub mod relays;
pub mod reload;
pub mod roster;
pub mod scribe;
pub mod shared;

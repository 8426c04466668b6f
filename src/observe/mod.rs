//! What the operator is told.
//!
//! In reading order:
//! - [`metrics`], in one list; [`cloudwatch`], the same for CloudWatch; [`traffic`], calls between two looks
//! - [`logs`]; [`access_log`], a line a call; [`events`], what changed in the fleet, in sentences;
//!   [`journal`], the last of that for the status page
//! - [`spans`], and `otlp`, their form for a collector
//! - [`systemd`]

pub mod access_log;
pub mod cloudwatch;
pub mod events;
pub mod journal;
pub mod logs;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod spans;
pub mod systemd;
pub mod traffic;

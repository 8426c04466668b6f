//! What we tell the operator: metrics in one list, for CloudWatch too, logs, traces, and sentences
//! about what changed.

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

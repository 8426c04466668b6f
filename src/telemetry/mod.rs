//! What we tell the operator: metrics in one list, logs, and sentences about what changed.

pub mod events;
pub mod journal;
pub mod logs;
pub mod metrics;

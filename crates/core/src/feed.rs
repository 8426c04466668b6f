//! What subscribers are told: heads, logs, and what one node tells for all.
//!
//! In reading order:
//! - [`subscription`], which subscriber listens to what
//! - heads: [`socket_heads`], whether a socket can be taken at its word; [`header_shape`]; and
//!   [`head_tracker`], the one chain that clients are told
//! - logs: [`log_match`], [`log_evidence`], [`log_history`]
//! - [`takeover`], topics that one node tells and we pass on

pub mod head_tracker;
pub mod header_shape;
pub mod log_evidence;
pub mod log_history;
pub mod log_match;
pub mod socket_heads;
pub mod subscription;
pub mod takeover;

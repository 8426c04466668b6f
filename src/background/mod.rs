//! Background work.
//!
//! In reading order:
//! - [`service`], the one background service; [`chain_supervisor`], chains that come and go, and
//!   [`chain_tasks`], what is done for each; [`pacing`], how often and by what settings
//! - the list: [`discovery`] follows the registry, [`following`] compares it with the configuration,
//!   `scrutiny` finds what must not be in it, [`retained_nodes`] keeps what was lost from it, `resolving`
//!   looks its names up
//! - health: [`probing`], round by round, and [`head_looks`] between them; [`head_floor`]
//!   and [`shared_exchange`], what clients were told before and elsewhere; [`answer_exchange`], answers that
//!   others keep; [`health_writer`], into the registry; [`shared_leader`]
//! - [`feeds`], what clients are told that listen: sockets to nodes, heads, logs, topics of single nodes
//! - what is read again: [`reload`] and [`certificates`], by [`watched_files`]
//! - what is told: [`cloudwatch_reporter`], `span_exporter`

pub mod answer_exchange;
pub mod certificates;
pub mod chain_supervisor;
pub mod chain_tasks;
pub mod cloudwatch_reporter;
pub mod discovery;
pub mod feeds;
pub mod following;
pub mod head_floor;
pub mod head_looks;
pub mod health_writer;
pub mod pacing;
pub mod probing;
pub mod reload;
mod resolving;
pub mod retained_nodes;
mod scrutiny;
pub mod service;
pub mod shared_exchange;
pub mod shared_leader;
#[cfg(feature = "otlp")]
pub mod span_exporter;
pub mod watched_files;

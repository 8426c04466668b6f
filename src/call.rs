//! The ways a call is carried out.

pub mod answer;
pub mod attempt;
pub mod awaited_block;
pub mod batch;
pub mod broadcast;
pub mod coalesce;
pub mod context;
pub mod exchange;
pub mod fanout;
pub mod forward;
pub mod lookups;
pub mod patience;
pub mod pending_nonce;
pub mod pending_transaction;
pub mod policy;
pub(crate) mod record;
pub mod request_context;
pub mod sticky;
pub mod subscription;
pub mod timer;
pub mod trail;
pub mod upstream_batch;

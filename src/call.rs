//! The ways in which a call is carried out.
//!
//! In reading order:
//! - [`planning`]: what becomes of a call, as the core decides; [`router`]: the way that carries it out
//! - [`chains`], each with what its calls share ([`context`]), found by a request
//! - what a call is held to and comes with: [`policy`], [`request_context`], [`trail`]
//! - [`forward`], from node to node; each of its attempts is an [`exchange`] that [`attempt`] counts and
//!   that waits as [`patience`] says, by a [`timer`]; what is large is a [`streamed_answer`]
//! - [`coalesce`] shares identical reads; [`lookups`] are joined by all calls that ask a node for one hash;
//!   [`cached`] gives answers that are kept here, [`stored`] those that another balancer keeps;
//!   [`awaited_block`] waits for a block that may be there any moment; [`sticky`] is for filters
//! - several nodes at once: [`broadcast`] and [`pending_nonce`], each by a [`fanout`];
//!   [`pending_transaction`] shows what no node does
//! - [`batch`] answers many calls; the reads among them go in groups, each an [`upstream_batch`] to one node:
//!   one attempt for all of its calls, by the same [`attempt`], [`exchange`] and [`patience`]

pub mod answer;
mod answer_copy;
pub mod attempt;
pub mod awaited_block;
pub mod batch;
pub mod broadcast;
pub mod cached;
pub mod chains;
pub mod coalesce;
pub mod context;
pub mod exchange;
pub mod fanout;
#[cfg(test)]
pub mod fixtures;
pub mod forward;
pub mod lookups;
pub mod patience;
pub mod pending_nonce;
pub mod pending_transaction;
pub mod planning;
pub mod policy;
pub(crate) mod record;
pub mod request_context;
pub mod router;
pub mod sticky;
pub mod stored;
pub mod streamed_answer;
pub mod subscription;
pub mod timer;
pub mod trail;
pub mod upstream_batch;

//! What calls share.
//!
//! In reading order:
//! - [`fleet_state`], the fleet's one writer, and the [`snapshot`] that calls read; [`selection`], what
//!   Pingora is told of it; [`node_clients`], the way to its nodes; [`early_rounds`], rounds before it is
//!   time; [`list_source`], where the list comes from
//! - the [`process_admission`], open or not; what comes in and is held: [`process_limits`], that chains share,
//!   [`chain_connection`], [`admission`], [`callers`], [`answer_budget`], [`sockets`], [`background_sends`]
//! - [`places`] at nodes, and `place_queue`, the line for them
//! - [`singleflight`], identical reads, and [`answer_cache`], answers that are kept
//! - what is remembered: [`client_floors`], [`told_blocks`], [`recent_writes`]
//! - what several balancers share: the [`store`], what is [`handed_on`] to it, clients' hashes there
//!   ([`client_hash`]), and kept answers ([`stored_answers`]); the [`upgrade_heads`] of two processes of which
//!   one takes over from the other
//! - [`hub`], which clients listen to what, and the [`outbox`] of each; [`listener`], the subscriptions of a socket
//! - [`certificates`]

pub mod admission;
pub mod answer_budget;
pub mod answer_cache;
pub mod background_sends;
pub mod callers;
pub mod certificates;
pub mod chain_connection;
pub mod client_floors;
pub mod client_hash;
pub mod early_rounds;
pub mod fleet_state;
pub mod handed_on;
pub mod hub;
pub mod list_source;
pub mod listener;
pub mod node_clients;
pub mod outbox;
mod place_queue;
pub mod places;
pub mod process_admission;
pub mod process_limits;
pub mod recent_writes;
pub mod selection;
pub mod singleflight;
pub mod snapshot;
pub mod sockets;
pub mod store;
pub mod stored_answers;
pub mod told_blocks;
pub mod upgrade_heads;

//! What calls share: the fleet and the way to its nodes, the gate they come in by, identical reads
//! in flight, who has taken which transaction, who listens to what, what goes on after an answer, and the
//! certificates.

pub mod admission;
pub mod answer_budget;
pub mod background_sends;
pub mod callers;
pub mod certificates;
pub mod client_floors;
pub mod early_rounds;
pub mod fleet_state;
pub mod hub;
pub mod list_source;
pub mod node_clients;
pub mod outbox;
pub mod places;
pub mod recent_writes;
pub mod selection;
pub mod singleflight;
pub mod sockets;
pub mod told_blocks;

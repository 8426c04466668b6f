//! What calls share: the fleet and the way to its nodes, the gate they come in by, identical reads
//! in flight, who has taken which transaction, who listens to what, what goes on after an answer, and the
//! certificates.

pub mod afterwork;
pub mod callers;
pub mod certificates;
pub mod early;
pub mod flights;
pub mod floors;
pub mod gate;
pub mod hub;
pub mod outbox;
pub mod places;
pub mod pool;
pub mod provenance;
pub mod room;
pub mod selection;
pub mod sockets;
pub mod taken;
pub mod told;
pub mod upstreams;

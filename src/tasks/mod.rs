//! What happens unasked: the list is followed, its nodes are probed, their names resolved, their
//! health written down.

pub mod herald;
pub mod housekeeping;
pub mod prober;
pub mod roster;
pub mod scribe;
pub mod shared;

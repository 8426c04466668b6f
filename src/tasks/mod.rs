//! What happens unasked: the list is followed, its nodes are probed, their names resolved, their
//! health written down, the configuration read again when it changes.

pub mod herald;
pub mod housekeeping;
pub mod prober;
pub mod regimen;
pub mod reload;
pub mod roster;
pub mod scribe;
pub mod shared;

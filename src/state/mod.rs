//! What calls share: the fleet and the way to its nodes, and the gate they come in by.

pub mod gate;
pub mod pool;
pub mod selection;
pub mod upstreams;

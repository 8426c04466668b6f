//! What the operator tells us.

pub mod backends;
pub mod check;
pub mod probe;
pub mod table;

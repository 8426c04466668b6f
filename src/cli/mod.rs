//! What the operator tells us.

pub mod check;

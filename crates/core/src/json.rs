//! JSON text in place: nothing is decoded, everything is found where it was written.
//!
//! - [`grammar`] checks a whole text, once
//! - [`scanner`] finds its way through one that is known to be good, or through its start

pub mod grammar;
pub mod scanner;

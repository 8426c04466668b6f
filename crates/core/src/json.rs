//! JSON text in place: nothing is decoded, everything is found where it was written.
//!
//! - `grammar` checks a whole text, once
//! - [`scanner`] finds its way through one that is known to be good, or through its start
//! - `element_offsets`: where an array's elements stand, so that they are looked for once

pub(crate) mod element_offsets;
pub(crate) mod grammar;
pub mod scanner;

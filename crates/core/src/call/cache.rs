//! Which answers are kept, under what, and when a kept one may be given.
//!
//! An answer is kept under the block that it is of, by that block's hash: so it is right in every
//! reorganisation. Where anything is in doubt it isn't kept: the call goes to a node as if there were no
//! cache.
//!
//! In reading order: `subject`, what a call asks for, and `kept_block`, of which block; [`recurrence`], whether that
//! is worth being kept; `canonical`, its params as they are meant; `key`, both as one number; [`keeping`], what an
//! answer must be to be kept;
//! [`giving`], and what must hold when it is given. Of answers that balancers share: [`stored_key`], what one
//! is called; [`stored_entry`], how it is written down; [`generations`], which of them were let go;
//! [`adopting`], what must hold for one to be taken over.

pub mod adopting;
mod canonical;
pub mod generations;
pub mod giving;
pub mod keeping;
mod kept_block;
mod key;
mod naming;
pub mod recurrence;
pub mod stored_entry;
pub mod stored_key;
pub(crate) mod subject;

pub use self::giving::{KeptAnswer, KeptTerms};
pub use self::kept_block::KeptBlock;
pub use self::key::{CacheKey, CacheSecret};
pub use self::subject::{AskedCall, CachePlan, CacheRules, KeepDecision};

#[cfg(test)]
mod simulation_tests;

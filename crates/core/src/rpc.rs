//! JSON-RPC: envelopes and their texts, batches, answers, and what an answer means.
//!
//! In reading order:
//! - [`envelope`], what arrived and what a node gets instead; [`batch`], many in one
//! - [`answer`], as it comes, and [`whole_answer`], read once; [`url_mask`], what is blacked out in it
//! - [`classify`], what it means: the table of providers' words is in there
//! - [`refusal`], our own no
//! - [`transaction`], the one kind of params that is understood

pub mod answer;
pub mod batch;
pub mod classify;
pub mod envelope;
pub mod refusal;
pub mod transaction;
pub mod url_mask;
pub mod whole_answer;

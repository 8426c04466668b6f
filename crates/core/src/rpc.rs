//! JSON-RPC: envelopes and their texts, batches, answers, and what an answer means.

pub mod answer;
pub mod batch;
pub mod classify;
pub mod envelope;
pub mod grammar;
pub mod refusal;
pub mod scanner;
pub mod transaction;
pub mod url_mask;
pub mod whole_answer;

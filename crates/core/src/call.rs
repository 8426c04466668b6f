//! One call: its plan, whom it is asked of and how often, and what it may end with.

pub mod broadcast;
pub mod confirmation;
pub mod disputes;
pub mod doubts;
pub mod filter;
pub mod held_lookups;
pub mod last_block;
pub mod leader_share;
pub mod nonce;
pub mod pending_transactions;
pub mod plan;
pub mod recent_writes;
pub mod retry;
pub mod retry_budget;
pub mod tag_fallback;
pub mod told_blocks;
pub mod trail;
pub mod unindexed;

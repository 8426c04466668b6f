//! One call: its plan, which nodes it is asked of and how often, and what it may end with.
//!
//! In reading order:
//! - [`plan`], what becomes of a call; [`tag_pins`], which numbers its tags stand for
//! - [`retry`], its way from node to node, within its [`retry_budget`]; [`tag_fallback`], when a pinned
//!   tag is nothing to a node; [`patience`], how long it waits for one; [`trail`], what is told of the way
//! - [`groups`], which calls of a batch are asked of a node together; [`shared_flight`], when a call asks although
//!   an identical one did
//! - when a node finds nothing: [`confirmation`], [`held_lookups`], [`leader_share`], [`unindexed`]
//! - when it may be the caller's own fault: [`doubts`], [`disputes`]
//! - writes: [`broadcast`], [`recent_writes`], [`pending_transactions`], [`nonce`]
//! - answers that are kept, and given again: [`cache`]
//! - calls that belong to a node: [`filter`]
//! - what clients were told by answers: [`last_block`], [`told_blocks`]; and what of it balancers tell each
//!   other: [`shared_news`]

pub mod broadcast;
pub mod cache;
pub mod confirmation;
pub mod disputes;
pub mod doubts;
pub mod filter;
pub mod groups;
pub mod held_lookups;
pub mod last_block;
pub mod leader_share;
pub mod nonce;
pub mod patience;
pub mod pending_transactions;
pub mod plan;
pub mod recent_writes;
pub mod retry;
pub mod retry_budget;
pub mod shared_flight;
pub mod shared_news;
pub mod tag_fallback;
pub mod tag_pins;
pub mod told_blocks;
pub mod trail;
pub mod unindexed;

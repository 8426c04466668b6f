//! Real nodes of other chains behind a balancer: Avalanche's, an OP sequencer with replicas, BSC's.
//!
//! They are built from their sources, which takes long, so they are no part of the everyday run:
//! `./dev chains`. Each of their stories has one with pretend nodes there, in the nodes' own words.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that can't go on fails the test"
)]

#[path = "chains/avalanche.rs"]
mod avalanche;
#[path = "chains/avalanche_node.rs"]
mod avalanche_node;
#[path = "chains/bsc.rs"]
mod bsc;
#[path = "chains/bsc_node.rs"]
mod bsc_node;
#[path = "chains/names.rs"]
mod names;
#[path = "chains/optimism.rs"]
mod optimism;
#[path = "chains/rollup.rs"]
mod rollup;
#[path = "chains/stage.rs"]
mod stage;
mod support;

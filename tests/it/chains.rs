//! Real nodes of other chains behind a balancer: Avalanche's, an OP sequencer with replicas, BSC's.
//!
//! They are built from their sources, which takes long, so they are no part of the everyday run:
//! `./dev chains`. Each of their stories has one with pretend nodes there, in the nodes' own words.

mod avalanche;
mod avalanche_node;
mod bsc;
mod bsc_node;
mod names;
mod optimism;
mod rollup;
mod stage;

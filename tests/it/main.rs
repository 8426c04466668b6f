//! All that is tried on the running program, and on the code as it stands: one binary, a module for each
//! subject. What a module needs of real nodes, stores and clients is in `support`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what goes wrong here fails the test"
)]
#![allow(clippy::too_many_lines, reason = "a story may be a long table")]
#![allow(unreachable_pub, reason = "nothing is reached from outside")]

mod admin;
mod architecture;
mod autobahn;
mod bad_input;
mod balancers;
mod batches;
mod blocks;
mod cache;
mod call_log;
mod chains;
mod chaos;
mod clients;
mod cloudwatch;
mod commands;
mod compression;
mod connections;
mod demo;
mod documents;
mod dynamo;
mod failover;
mod fuzz;
mod geth;
mod half_alive;
mod health;
mod http2;
mod idle_sockets;
mod in_flight;
mod leader_share;
mod memory;
mod odd_chains;
mod overload;
mod parts;
mod prometheus;
mod purposes;
mod registry;
mod release;
mod reload;
mod rude_lines;
mod rude_nodes;
mod scenarios;
mod several;
mod several_chains;
mod shared_store;
mod shutdown;
mod simulation;
mod sockets;
mod stale;
mod subscriptions;
mod support;
mod traces;
mod trails;
mod writes;

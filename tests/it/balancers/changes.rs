//! Clients while a balancer is started again, or hands over to another process; subscribers at one that ask another;
//! and viem and ethers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::callers::{Tally, call_until, follow_heads};
use super::cell::{Cell, RunningCell, Sharing, line};
use crate::stale::{CLIENTS, Count, measure};
use crate::support::{Balancer, CREDENTIALS, PATIENCE, Twins, read_quantity, soon};

/// Restarts of one cell.
const RESTARTS: u64 = 6;
/// Hand-overs of one cell.
const UPGRADES: u32 = 3;

/// How many of the restarts took the head back.
pub async fn restarts(cell: &Cell) -> (u64, u64) {
    let mut running = cell.start().await;
    let mut back = 0;
    for turn in 0..RESTARTS {
        let balancer = &mut running.balancers[0];
        let before = shown(balancer).await;
        let signal = if turn % 2 == 0 {
            Signal::KILL
        } else {
            Signal::TERM
        };
        balancer.process.signal(signal);
        soon("it has ended", async || !balancer.process.is_running()).await;
        balancer.start_again().await;
        back += u64::from(shown(balancer).await < before);
        tokio::time::sleep(cell.block_time * 2).await;
    }
    println!(
        "{}: {back} of {RESTARTS} restarts took the head back",
        cell.name()
    );
    (back, RESTARTS)
}

async fn shown(balancer: &Balancer) -> u64 {
    let answer = balancer.ask("eth_blockNumber", json!([])).await;
    read_quantity(&answer["result"]).unwrap_or_else(|| panic!("{answer}"))
}

/// Calls to one balancer while it hands over, some times.
pub async fn upgrades(cell: &Cell) -> Tally {
    let mut running = cell.start().await;
    let mut tally = Tally::default();
    for _ in 0..UPGRADES {
        tally.add(upgrade(cell, &mut running).await);
    }
    println!("{}", line(&format!("upgrades of {}", cell.name()), &tally));
    tally
}

async fn upgrade(cell: &Cell, running: &mut RunningCell) -> Tally {
    let calls = running.calls(running.addresses(), cell);
    let is_over = Arc::new(AtomicBool::new(false));
    let calling = tokio::spawn({
        let is_over = is_over.clone();
        async move { call_until(&calls, &is_over).await }
    });
    let mut old = running.balancers[0].upgrade();
    old.ended(2 * PATIENCE).await;
    is_over.store(true, Ordering::Relaxed);
    calling.await.unwrap()
}

/// Subscribers at the first that ask the second.
pub async fn subscribers(cell: &Cell) -> Tally {
    let running = cell.start().await;
    let addresses = running.addresses();
    let calls = running.calls(vec![addresses[1]], cell);
    let tally = follow_heads(&calls, addresses[0]).await;
    println!(
        "{}",
        line(
            &format!("heads at one, calls at the other: {}", cell.name()),
            &tally
        )
    );
    tally
}

/// Calls that a client makes in one of its rounds.
const CALLS_A_ROUND: u32 = 10;

/// viem and ethers over two anvils.
pub async fn libraries(cell: &Cell) -> Count {
    let twins = Twins::start().await;
    let mut running = RunningCell::default();
    let urls: Vec<_> = twins.doors.iter().map(|door| door.url()).collect();
    let yaml = running.yaml(cell, &urls).await;
    for _ in 0..cell.balancers {
        running
            .balancers
            .push(Balancer::start(&yaml, &CREDENTIALS).await);
    }
    let front = cell.front.start(&running.addresses()).await;
    let name = format!("viem and ethers: {}", cell.name());
    let rounds = cell.calls / CALLS_A_ROUND / CLIENTS;
    measure(&name, &front.rpc.url(), &twins, rounds).await
}

/// Of the upgrade and the restarts: on registries of their own.
pub fn alone(cell: Cell, block_time: Duration, sharing: Sharing) -> Cell {
    Cell {
        balancers: 1,
        block_time,
        sharing,
        ..cell
    }
}

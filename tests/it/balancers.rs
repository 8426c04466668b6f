//! Several balancers behind one load balancer: what clients are told that come to all of them in turn, or at
//! random.
//!
//! A small part of it is held in every run; `./dev bench balancers` measures all, or the cells whose names hold a
//! word: per 10,000 calls those that were answered with something older than what their client had been told
//! before, with `null`, or not at all; how old told heads were, and how long calls took.

mod callers;
mod cell;
mod changes;
mod front;
mod late_nodes;

use std::time::Duration;

use self::cell::{Behind, Cell, Sharing};
use self::front::Front;

const SECOND: Duration = Duration::from_secs(1);
const HEADING: &str = "| cell | calls | wrong of 10,000 | stale / null / refused | age, ms: mean / p99 \
    | call, ms: p50 / p99 | the first\n| --- | --- | --- | --- | --- | --- | ---";

/// Two before nodes without sockets, on a chain with a block each second.
fn two() -> Cell {
    Cell {
        balancers: 2,
        sharing: Sharing::Nothing,
        block_time: SECOND,
        behind: Behind::Pretend,
        front: Front::NginxInTurn,
        calls: 10_000,
    }
}

fn cells(calls: u32) -> Vec<Cell> {
    let two = Cell { calls, ..two() };
    let block_times = [SECOND, 2 * SECOND, SECOND / 4, 12 * SECOND];
    let mut cells: Vec<_> = block_times
        .map(|block_time| Cell {
            balancers: 1,
            block_time,
            ..two
        })
        .into();
    for sharing in [Sharing::Nothing, Sharing::Table, Sharing::Engine] {
        cells.extend(block_times.map(|block_time| Cell {
            sharing,
            block_time,
            ..two
        }));
        let three = Cell {
            balancers: 3,
            sharing,
            block_time: 2 * SECOND,
            ..two
        };
        let front = Front::NginxAtRandom;
        cells.extend([three, Cell { front, ..three }]);
        cells.push(Cell {
            behind: Behind::AnvilsWithSockets,
            balancers: 2,
            ..three
        });
    }
    cells.push(Cell {
        front: Front::HaproxyInTurn,
        block_time: 2 * SECOND,
        ..two
    });
    cells
}

/// Of 10,000 answers, on a machine that does much else; alone it is less.
const WRONG_MAX: f64 = 127.0;
/// How old told heads are on average. By rounds of 2 s alone it was over 300 ms.
const AGE_MAX: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_balancers_that_share_nothing_show_a_due_block_soon_and_nearly_at_once() {
    let cell = Cell {
        calls: 2_400,
        ..two()
    };
    let tally = cell.measure().await;
    assert!(tally.wrong_of_10_000() <= WRONG_MAX, "{:?}", tally.first);
    assert!(tally.age().0 <= AGE_MAX, "{:?}", tally.age());
}

fn calls() -> u32 {
    asked("CALLS").map_or(10_000, |calls| calls.parse().unwrap())
}

fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|asked| !asked.is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: ./dev bench balancers"]
async fn what_clients_of_several_are_told() {
    let words = asked("CELLS").unwrap_or_default();
    println!("{HEADING}");
    for cell in cells(calls()) {
        if cell.name().contains(&words) {
            cell.measure().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: ./dev bench balancers"]
async fn what_subscribers_and_libraries_are_told() {
    let words = asked("CELLS").unwrap_or_default();
    println!("{HEADING}");
    for sharing in [Sharing::Nothing, Sharing::Table, Sharing::Engine] {
        let cell = Cell {
            sharing,
            calls: calls(),
            ..two()
        };
        if !cell.name().contains(&words) {
            continue;
        }
        for block_time in [SECOND, SECOND / 4] {
            // Pretend nodes know no block by its hash, which a gap is filled by.
            let behind = Behind::Anvils;
            changes::subscribers(&Cell {
                block_time,
                behind,
                ..cell
            })
            .await;
        }
        let front = Front::NginxAtRandom;
        changes::libraries(&Cell {
            front,
            balancers: 3,
            ..cell
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: ./dev bench balancers"]
async fn what_restarts_and_upgrades_take_back() {
    for block_time in [2 * SECOND, SECOND, SECOND / 4] {
        for sharing in [Sharing::Nothing, Sharing::Table] {
            changes::restarts(&changes::alone(two(), block_time, sharing)).await;
        }
        println!("{HEADING}");
        changes::upgrades(&changes::alone(two(), block_time, Sharing::Nothing)).await;
    }
}

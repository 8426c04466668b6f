//! Nodes that freeze, thaw, die, frozen or not, and come back, each for itself and at random.

use std::time::Duration;

use forebay::clock;
use forebay_core::vocabulary::chance::{Dice, SeededDice};
use futures_util::future::join_all;

use crate::chaos::{PACE, moment, seed};
use crate::support::{Anvil, Load, PATIENCE, Scene, eventually};

const FOR: Duration = Duration::from_secs(30);
/// A state lasts so long at most.
const STATE: Duration = Duration::from_secs(4);
const NAMES: [&str; 3] = ["a", "b", "c"];

/// What happened to one node.
#[derive(Debug, Default)]
struct Fits {
    freezes: u64,
    kills: u64,
}

/// With the settings as they are by default. The leader alone lives all the time, and is asked where no
/// other does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute: ./dev chaos"]
async fn no_call_is_lost_while_nodes_flap_and_one_lives() {
    let mut dice = SeededDice::new(seed());
    let scene = Scene::set(&[1, 1, 1], "").await;
    let Scene {
        leader,
        own,
        balancer,
    } = scene;
    let load = Load::paced(&balancer.url(), PACE);
    load.reaches(200).await;
    let until = clock::now() + FOR;
    let flapping = own
        .into_iter()
        .map(|node| flap(node, SeededDice::new(dice.roll()), until));
    let (mut nodes, mut freezes, mut kills) = (Vec::new(), 0, 0);
    for (node, fits) in join_all(flapping).await {
        assert!(fits.freezes > 0 && fits.kills > 0, "{fits:?}");
        freezes += fits.freezes;
        kills += fits.kills;
        nodes.push(node);
    }
    for name in NAMES {
        // It may have been benched more than once.
        eventually("it is fit again", PATIENCE * 4, async || {
            let labels = [("node", name)];
            balancer.metric("forebay_node_healthy", &labels).await == Some(1.0)
        })
        .await;
    }
    let tally = load.stop().await;
    let attempts = balancer.metric("forebay_attempts_total", &[]).await;
    let attempts = attempts.unwrap() / tally.calls() as f64;
    drop((leader, nodes));
    println!(
        "flapping: {} calls, {} lost, {} asked of a second node, {attempts:.2} attempts a call, the slowest \
         {:.1} s; {freezes} freezes, {kills} kills and restarts; served by {:?}; seed {}",
        tally.calls(),
        tally.failed,
        tally.repeated,
        tally.slowest.as_secs_f64(),
        tally.served_by,
        seed()
    );
    tally.no_call_failed();
    for name in NAMES.into_iter().chain(["leader"]) {
        assert!(tally.of(name) > 0, "{name} served nothing");
    }
}

/// The node lives when this returns.
async fn flap(mut node: Anvil, mut dice: SeededDice, until: std::time::Instant) -> (Anvil, Fits) {
    let mut fits = Fits::default();
    while clock::now() < until {
        tokio::time::sleep(moment(&mut dice, STATE)).await;
        let fate = dice.roll() % 3;
        let (freezes, dies) = (fate != 0, fate != 1);
        if freezes {
            fits.freezes += 1;
            node.process.pause();
            tokio::time::sleep(moment(&mut dice, STATE)).await;
        }
        if dies {
            fits.kills += 1;
            node.process.kill();
            tokio::time::sleep(moment(&mut dice, STATE)).await;
            node.restart().await;
        } else {
            node.process.resume();
        }
    }
    (node, fits)
}

//! The balancer is killed again and again while commands change what it follows.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay_core::vocabulary::chance::{Dice, SeededDice};
use serde_json::json;

use crate::chaos::operator::Operator;
use crate::chaos::{files, listed, moment, seed};
use crate::support::{Balancer, Process, Scene, get, soon};

const KILLS: u64 = 20;
/// It is up within a second or so: kills meet it before, in the midst of starting, and after.
const KILLED_WITHIN: Duration = Duration::from_millis(1500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: ./dev chaos"]
async fn nothing_that_a_command_did_is_lost_to_kills() {
    let mut dice = SeededDice::new(seed());
    let mut scene = Scene::set(&[1], "").await;
    let folder = scene.balancer.folder().to_path_buf();
    let last_list = folder.join("last-list.json");
    let is_over = Arc::new(AtomicBool::new(false));
    let working = {
        let operator = Operator::new(&folder, &scene.own[0].url(), dice.roll());
        let is_over = is_over.clone();
        tokio::task::spawn_blocking(move || operator.work(&is_over))
    };
    let (mut unready, mut drafts) = (0, 0);
    for _ in 0..KILLS {
        tokio::time::sleep(moment(&mut dice, KILLED_WITHIN)).await;
        assert!(scene.balancer.process.is_running(), "it ended by itself");
        unready += u64::from(!scene.balancer.rpc.answers().await);
        scene.balancer.process.kill();
        // Whole, whenever it was.
        assert!(!listed(&last_list).is_empty());
        drafts += files(&folder, ".new").len();
        // A kill in the midst of writing is rare: its draft is put there.
        let draft = format!("last-list.json.{}.new", scene.balancer.process.id());
        fs::write(folder.join(draft), r#"{ "version": 1, "nod"#).unwrap();
        begin(&mut scene.balancer);
        if dice.roll().is_multiple_of(2) {
            serves(&mut scene.balancer, &folder).await;
        }
    }
    serves(&mut scene.balancer, &folder).await;
    is_over.store(true, Ordering::Relaxed);
    let books = working.await.unwrap();
    let wanted = books
        .weights
        .iter()
        .map(|(name, weight)| (name.clone(), *weight));
    let wanted: Vec<_> = wanted.collect();
    soon("the last list is what was done", async || {
        let mut listed = listed(&last_list);
        listed.retain(|(name, _)| name.starts_with("n-"));
        listed.sort();
        listed == wanted
    })
    .await;
    for (name, weight) in wanted {
        let labels = [("node", &*name)];
        let served = scene.balancer.metric("forebay_node_weight", &labels);
        assert_eq!(served.await, Some(weight as f64), "{name}");
    }
    assert!(books.done > KILLS, "{books:?}");
    println!(
        "kills: {KILLS} of the balancer, {unready} of them before it answered; {} commands done, 0 \
         undone, {} killed of which {} had been done; {drafts} drafts left by kills, {KILLS} put \
         there, 0 left; seed {}",
        books.done,
        books.killed,
        books.killed_but_done,
        seed()
    );
}

fn begin(balancer: &mut Balancer) {
    let command = balancer.command(&["serve"]);
    balancer.process = Process::start("forebay", command, balancer.folder());
}

/// It is ready, answers a call, and has taken away what the killed ones left.
async fn serves(balancer: &mut Balancer, folder: &Path) {
    soon("the balancer is ready again", async || {
        assert!(balancer.process.is_running(), "forebay has ended");
        let soon = Duration::from_secs(2);
        let health = get(balancer.rpc.address, "/health", soon).await;
        health.is_ok_and(|health| health.status == 200)
    })
    .await;
    balancer.rpc.call("eth_gasPrice", json!([])).await;
    let own = format!(".{}.new", balancer.process.id());
    let mut left = files(folder, ".new");
    left.retain(|draft| !draft.ends_with(&own));
    assert_eq!(left, [""; 0]);
}

//! Bad days: processes killed while they write, disks that are full, clocks that step, nodes that flap.
//!
//! They take two minutes and want the machine for themselves, so they are no part of the everyday run:
//! `./dev chaos`. Each story is bounded in time and prints one line of what happened; chance comes from
//! a seed, `FOREBAY_SEED=n` is another.

mod clocks;
mod disks;
mod flapping;
mod kills;
mod operator;

use std::path::Path;
use std::time::Duration;

use forebay_core::vocabulary::chance::{Dice, SeededDice};

/// 200 calls a second.
const PACE: Duration = Duration::from_millis(5);

fn seed() -> u64 {
    let told = std::env::var("FOREBAY_SEED").ok();
    told.map_or(1, |seed| seed.parse().unwrap())
}

/// Even over 0..`most`.
fn moment(dice: &mut SeededDice, most: Duration) -> Duration {
    most.mul_f64(dice.fraction())
}

/// The files of `folder` whose names end with `ending`.
fn files(folder: &Path, ending: &str) -> Vec<String> {
    let found = std::fs::read_dir(folder).unwrap();
    let names = found.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(ending)).collect()
}

/// The nodes of a last list as name and weight, in its order.
fn listed(last_list: &Path) -> Vec<(String, u64)> {
    let text = std::fs::read(last_list).unwrap();
    let list: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let nodes = list["nodes"].as_array().unwrap().iter();
    let node = |node: &serde_json::Value| {
        let name = node["name"].as_str().unwrap().to_string();
        (name, node["weight"].as_u64().unwrap())
    };
    nodes.map(node).collect()
}

//! The disks of the registry and of the last list are full, and have room again.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::chaos::{PACE, files, listed};
use crate::support::{Balancer, Load, QUICK, Scene, soon};

/// What a start needs: SQLite's index of its log alone takes 32 KiB.
const DISK: &str = "size=1m,mode=700";

/// Commands that are told that there is no room.
const REFUSED: u64 = 3;

/// A disk of its own; unmounted on drop.
struct Disk(TempDir);

impl Disk {
    fn mount() -> Disk {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", DISK, "forebay-chaos"]);
        let mounted = command.arg(folder.path()).output().unwrap();
        assert!(
            mounted.status.success(),
            "run it by ./dev chaos: {mounted:?}"
        );
        Disk(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn fill(&self) {
        let mut ballast = File::create(self.path("ballast")).unwrap();
        let full = loop {
            if let Err(why) = ballast.write_all(&[0; 1024]) {
                break why;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        fs::remove_file(self.path("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while something is open there.
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts small disks: ./dev chaos"]
async fn a_full_disk_costs_no_call_and_is_made_up_for_when_there_is_room() {
    let (registry, lists) = (Disk::mount(), Disk::mount());
    let last_list = lists.path("last-list.json");
    let beginning = QUICK
        .replace("@FOLDER@/forebay.db", path(&registry.path("forebay.db")))
        .replace("@FOLDER@/last-list.json", path(&last_list));
    let mut scene = Scene::set_with(&[1, 1], &beginning, &[]).await;
    let load = Load::paced(&scene.balancer.url(), PACE);
    load.reaches(100).await;
    registry.fill();
    lists.fill();

    for weight in 2..2 + REFUSED {
        is_refused(&scene.balancer, weight);
    }
    scene.own[1].process.kill();
    scene.becomes("b", 0.0).await;
    scene
        .balancer
        .logs("is full; health is not written back")
        .await;
    let labels = [("operation", "record_health")];
    let failed = scene
        .balancer
        .metric("forebay_registry_errors_total", &labels);
    assert!(failed.await.unwrap() > 0.0);
    load.reaches(load.done() + 200).await;
    let before = load.stop().await;
    before.no_call_failed();

    // A start, too, needs no room.
    scene.balancer.process.kill();
    scene.balancer.start_again().await;
    let load = Load::paced(&scene.balancer.url(), PACE);
    load.reaches(200).await;

    registry.make_room();
    set_weight(&scene.balancer, 7, 0);
    let a = [("node", "a")];
    scene.balancer.becomes("forebay_node_weight", &a, 7.0).await;
    soon("health is written again", async || {
        item(&scene.balancer, "b")["reason"].is_string()
    })
    .await;
    scene
        .balancer
        .logs("the last list is not written, and is tried again")
        .await;
    assert_eq!(listed(&last_list), weights(1), "the one before, and whole");
    load.reaches(load.done() + 200).await;

    lists.make_room();
    soon("the last list is written", async || {
        listed(&last_list) == weights(7)
    })
    .await;
    scene.balancer.logs("the last list is written again").await;
    assert_eq!(files(lists.path(".").as_path(), ".new"), [""; 0]);
    let after = load.stop().await;
    after.no_call_failed();
    println!(
        "disks: {} calls while they were full, 0 lost; {REFUSED} commands refused, 1 restart; health \
         and the last list written once there was room",
        before.calls() + after.calls(),
    );
}

/// A command that can't write says why, and changes nothing.
fn is_refused(balancer: &Balancer, weight: u64) {
    let said = set_weight(balancer, weight, 4);
    assert!(said.contains("full"), "{said}");
    assert_eq!(item(balancer, "a")["weight"], 1);
}

fn set_weight(balancer: &Balancer, weight: u64, code: i32) -> String {
    let weight = weight.to_string();
    balancer.ends(&["backends", "set", "a", "--weight", &weight], code)
}

/// As the registry has it.
fn item(balancer: &Balancer, name: &str) -> Value {
    let output = balancer.command(&["backends", "list", "--json"]).output();
    let items: Vec<Value> = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let mut named = items.into_iter().filter(|item| item["name"] == name);
    named.next().unwrap()
}

fn weights(a: u64) -> Vec<(String, u64)> {
    [("a", a), ("b", 1), ("leader", 1)]
        .map(|(name, weight)| (name.to_string(), weight))
        .to_vec()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

//! An operator who changes the registry by commands, one after the other, and keeps books of what they
//! said was done. Some of the commands are killed: what they were to do is done or isn't.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay_core::vocabulary::chance::{Dice, SeededDice};
use serde_json::Value;

/// Nodes that come and go.
const NODES: u64 = 5;
/// One in so many commands is killed, within this time.
const KILLED_OF: u64 = 4;
const KILLED_WITHIN: Duration = Duration::from_millis(60);

pub struct Operator {
    configuration: PathBuf,
    /// A node that lives; what follows `?` makes others of it.
    url: String,
    dice: SeededDice,
    pub books: Books,
}

#[derive(Debug, Default)]
pub struct Books {
    /// The weight that each node has.
    pub weights: BTreeMap<String, u64>,
    pub done: u64,
    pub killed: u64,
    pub killed_but_done: u64,
}

impl Operator {
    pub fn new(folder: &Path, url: &str, seed: u64) -> Operator {
        Operator {
            configuration: folder.join("pingora.yaml"),
            url: url.to_string(),
            dice: SeededDice::new(seed),
            books: Books::default(),
        }
    }

    /// Works until it is told to stop. Blocks.
    pub fn work(mut self, is_over: &Arc<AtomicBool>) -> Books {
        while !is_over.load(Ordering::Relaxed) {
            self.change();
        }
        self.books
    }

    fn draw(&mut self, most: u64) -> u64 {
        self.dice.roll() % most
    }

    fn change(&mut self) {
        let node = self.draw(NODES);
        let (name, weight) = (format!("n-{node}"), (1 + self.draw(1000)).to_string());
        let (arguments, wanted) = match (self.books.weights.contains_key(&name), self.draw(3)) {
            (false, _) => {
                let url = format!("{}/?{node}", self.url);
                let add = ["add", &url, "--name", &name, "--weight", &weight].map(str::to_string);
                (add.to_vec(), Some(weight.parse().unwrap()))
            }
            (true, 0) => (vec!["remove".to_string(), name.clone()], None),
            (true, _) => {
                let set = ["set", &name, "--weight", &weight].map(str::to_string);
                (set.to_vec(), Some(weight.parse().unwrap()))
            }
        };
        if self.draw(KILLED_OF) == 0 {
            self.killed(&arguments);
            self.books.killed += 1;
            let stands = self.stands().get(&name).copied();
            let stood = self.books.weights.get(&name).copied();
            assert!(
                [wanted, stood].contains(&stands),
                "{arguments:?}: {stands:?}"
            );
            self.books.killed_but_done += u64::from(stands == wanted);
            self.books.note(&name, stands);
        } else {
            let output = self.command(&arguments).output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {output:?}");
            self.books.done += 1;
            self.books.note(&name, wanted);
        }
        assert_eq!(self.stands(), self.books.weights, "after {arguments:?}");
    }

    fn killed(&mut self, arguments: &[String]) {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(super::moment(&mut self.dice, KILLED_WITHIN));
        // An error means that it has ended already.
        let _ = child.kill();
        child.wait().unwrap();
    }

    /// What the registry has of our nodes.
    fn stands(&self) -> BTreeMap<String, u64> {
        let list = ["list", "--json"].map(str::to_string);
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(&list).output().unwrap();
        let said = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{said}");
        let items: Vec<Value> = serde_json::from_slice(&stdout).unwrap();
        let ours = items.iter().filter_map(|item| {
            let name = item["name"].as_str().unwrap();
            let weight = item["weight"].as_u64().unwrap();
            name.starts_with("n-").then(|| (name.to_string(), weight))
        });
        ours.collect()
    }

    fn command(&self, arguments: &[String]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
        command.arg("backends").args(arguments);
        command.arg("-c").arg(&self.configuration);
        command
    }
}

impl Books {
    fn note(&mut self, name: &str, weight: Option<u64>) {
        match weight {
            Some(weight) => self.weights.insert(name.to_string(), weight),
            None => self.weights.remove(name),
        };
    }
}

//! What a subscriber hears of a chain whose nodes are odd: numbers that skip, headers that state
//! another number when they are asked for by hash, blooms that lack logs or promise too many.
//!
//! The real `HeadTracker`, `LogEvidence` and `BloomTrust` decide; this file is their hands, their nodes and the
//! client.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::feed::head_tracker::{HeadStep, HeadTracker, HeaderAnswers, NodeHead};
use forebay_core::feed::log_evidence::{BloomTrust, LogEvidence};
use forebay_core::feed::log_match::BlockLogs;
use forebay_core::testing::hash_of as hash;
use forebay_core::vocabulary::bloom::Bloom;
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber};
use forebay_core::vocabulary::chance::{Dice, SeededDice};
use forebay_core::vocabulary::header::Header;
use forebay_core::vocabulary::node::NodeId;

const SEEDS: u64 = 300;
const BLOCKS: u64 = 60;
const BLOCK_TIME: Duration = Duration::from_secs(2);
/// Of one block's logs before the nodes are given up.
const LOOKS_MAX: usize = 40;

/// How blooms are wrong, if they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blooms {
    Right,
    Lack,
    PromiseMore,
    Missing,
    /// Each block another way.
    Mixed,
}

const BLOOMS: [Blooms; 5] = [
    Blooms::Right,
    Blooms::Lack,
    Blooms::PromiseMore,
    Blooms::Missing,
    Blooms::Mixed,
];

/// One node.
#[derive(Debug, Default)]
struct Odd {
    /// Added to the number of what is asked for by its hash.
    errs_by: u64,
    /// It has a block's logs later than the block: its first answer may be an empty one.
    indexes_late: bool,
    /// It has the blocks up to this place in the chain.
    has: usize,
    asked_for_blocks: u64,
}

struct World {
    seed: u64,
    dice: SeededDice,
    begun: Instant,
    now: Instant,
    chain: Vec<Arc<Header>>,
    logs: HashMap<BlockHash, Vec<u8>>,
    blooms: Blooms,
    skips: bool,
    nodes: Vec<Odd>,
    head_tracker: HeadTracker,
    trust: BloomTrust,
    heard: Vec<Arc<Header>>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = SeededDice::new(seed);
        let mut below = |limit: u64| dice.roll() % limit;
        let count = 1 + below(4);
        // At most one of several errs, and it is never the one whose word is needed for every block.
        let errs = (count > 1 && below(2) == 0).then(|| below(count));
        let blooms = BLOOMS[below(5) as usize];
        // Where blooms are now right, now missing, it could not be noticed.
        let late = (count > 1 && blooms != Blooms::Mixed && below(2) == 0).then(|| below(count));
        let nodes = (0..count).map(|at| Odd {
            errs_by: if errs == Some(at) { 1 + below(9) } else { 0 },
            indexes_late: late == Some(at),
            ..Odd::default()
        });
        let nodes = nodes.collect();
        let skips = below(2) == 0;
        let now = forebay::clock::now();
        let mut world = World {
            seed,
            dice,
            begun: now,
            now,
            chain: Vec::new(),
            logs: HashMap::new(),
            blooms,
            skips,
            nodes,
            head_tracker: HeadTracker::new(BLOCK_TIME),
            trust: BloomTrust::default(),
            heard: Vec::new(),
        };
        (0..3).for_each(|_| world.mine());
        world
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.dice.roll() % limit
    }

    fn must(&self, holds: bool, why: &str) {
        assert!(
            holds,
            "{why}: seed {}, {:?}, skips {}, {:?}",
            self.seed, self.blooms, self.skips, self.nodes
        );
    }

    fn mine(&mut self) {
        let seed = self.chain.len() as u64 + 1;
        let step = if self.skips && self.below(3) == 0 {
            1 + self.below(4)
        } else {
            1
        };
        let topics: Vec<u8> = match self.below(3) {
            0 => Vec::new(),
            count => (0..count).map(|at| (seed * 3 + at) as u8).collect(),
        };
        let hash = hash(seed);
        let true_bloom = Some(logs(hash, &topics).bloom()).filter(|_| !topics.is_empty());
        let blooms = match self.blooms {
            Blooms::Mixed => BLOOMS[self.below(4) as usize],
            same => same,
        };
        let bloom = match blooms {
            Blooms::Right | Blooms::Mixed => true_bloom,
            Blooms::Lack => topics.first().map(|_| logs(hash, &topics[1..]).bloom()),
            Blooms::PromiseMore => {
                let more = [&topics[..], &[250]].concat();
                Some(logs(hash, &more).bloom())
            }
            Blooms::Missing => None,
        };
        let number = self.chain.last().map_or(100, |last| last.number.0) + step;
        self.chain.push(Arc::new(Header {
            hash,
            parent: self
                .chain
                .last()
                .map_or(BlockHash([0; 32]), |last| last.hash),
            number: BlockNumber(number),
            timestamp: None,
            bloom: bloom.filter(|bloom| !is_empty(bloom)).map(Box::new),
            json: bytes::Bytes::new(),
        }));
        self.logs.insert(hash, topics);
    }

    /// A node that is behind catches up with some blocks, and tells the last of them.
    fn spread(&mut self) {
        let ids: Vec<_> = (0..self.nodes.len() as u32).map(NodeId).collect();
        for at in 0..self.nodes.len() {
            let left = self.chain.len() - self.nodes[at].has;
            if left == 0 || self.below(3) == 0 {
                continue;
            }
            self.nodes[at].has += 1 + self.below(left as u64) as usize;
            let head = NodeHead {
                id: ids[at],
                header: self.chain[self.nodes[at].has - 1].clone(),
                as_of: self.now,
            };
            self.head_tracker.hear(head, self.now);
            self.head_tracker
                .heed(&ids, ids.clone(), Some(BlockNumber(u64::MAX)));
            self.obey();
        }
    }

    /// Time passes; what is to be done in it is.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(until) = self.obey().filter(|until| *until < end) {
            self.now = self.now.max(until);
        }
        self.now = end;
        self.obey();
    }

    /// Does all that is to be done now; until when there is nothing more.
    fn obey(&mut self) -> Option<Instant> {
        for _ in 0..1000 {
            match self.head_tracker.next(self.now) {
                HeadStep::Tell(update) => {
                    self.must(!update.is_torn, "the chain was torn");
                    self.must(
                        update.abandoned.is_empty(),
                        "a reorg was told, and there was none",
                    );
                    for header in update.headers {
                        self.hear(header);
                    }
                }
                HeadStep::Fetch { hash, child, from } => {
                    let mut answers = HeaderAnswers::before(child);
                    for id in from {
                        if let Some(header) = self.block_of(id, hash)
                            && answers.hear(header)
                        {
                            break;
                        }
                    }
                    self.head_tracker.bring(hash, answers.best(), self.now);
                }
                HeadStep::Wait(until) => return until,
            }
        }
        self.must(false, "it never waits");
        None
    }

    fn block_of(&mut self, id: NodeId, hash: BlockHash) -> Option<Arc<Header>> {
        let node = &mut self.nodes[id.0 as usize];
        node.asked_for_blocks += 1;
        let place = self.chain.iter().position(|block| block.hash == hash)?;
        let block = (place < node.has).then(|| self.chain[place].clone())?;
        Some(Arc::new(Header {
            number: BlockNumber(block.number.0 + node.errs_by),
            ..(*block).clone()
        }))
    }

    /// The client hears a head, and its logs.
    fn hear(&mut self, header: Arc<Header>) {
        if let Some(last) = self.heard.last() {
            self.must(
                header.parent == last.hash,
                "a head doesn't follow the one before",
            );
        }
        self.must(
            self.heard.iter().all(|before| before.hash != header.hash),
            "a head is told twice",
        );
        let looks = self.bring_logs(&header);
        let all_know = self.nodes.iter().all(|node| !node.indexes_late);
        let is_proven = self.blooms == Blooms::Right && self.heard.len() > 10;
        self.must(
            !is_proven || !all_know || looks == 1,
            "blooms are right, and two are asked",
        );
        self.heard.push(header);
    }

    /// Returns how often nodes were asked.
    fn bring_logs(&mut self, header: &Header) -> usize {
        let (mut testimony, bloom) = (LogEvidence::default(), header.bloom.as_deref());
        let truth = self.logs[&header.hash].clone();
        let (mut looks, mut was_late) = (0, false);
        while looks < LOOKS_MAX {
            let place = self
                .chain
                .iter()
                .position(|block| block.hash == header.hash);
            let holders: Vec<_> = (0..self.nodes.len())
                .filter(|at| Some(self.nodes[*at].has) > place)
                .collect();
            for at in holders {
                looks += 1;
                let is_late = self.nodes[at].indexes_late && looks == 1 && self.below(3) == 0;
                was_late |= is_late;
                let said = logs(header.hash, if is_late { &[] } else { &truth });
                let id = NodeId(at as u32);
                if let Some(believed) = testimony.hear(id, said, bloom, &self.trust) {
                    let wanted = logs(header.hash, &truth);
                    self.must(believed.is_like(&wanted), "other logs than there are");
                    self.trust.learn(bloom, &believed);
                    let most = if was_late { 4 } else { 2 };
                    self.must(looks <= most, "asked more often than there is doubt");
                    return looks;
                }
            }
            testimony.pause(&self.trust);
        }
        self.must(false, "the logs of a block are lost");
        looks
    }

    /// No node is asked more often than twice for each block that is named, and once a second.
    fn is_gentle(&self) {
        let seconds = self.now.duration_since(self.begun).as_secs();
        let named = self.chain.len() as u64 + 1;
        for node in &self.nodes {
            self.must(
                node.asked_for_blocks <= 2 * named + seconds,
                "a node is asked over and over",
            );
        }
    }
}

/// As headers are read: one without a bit says nothing.
fn is_empty(bloom: &Bloom) -> bool {
    *bloom == logs(hash(0), &[]).bloom()
}

/// A log for each of these topics.
fn logs(block: BlockHash, topics: &[u8]) -> BlockLogs {
    let log = |topic: &u8| {
        let (address, topic) = ("01".repeat(20), format!("{topic:02x}").repeat(32));
        format!(
            r#"{{"address":"0x{address}","topics":["0x{topic}"],"blockHash":"{block}","data":"0x"}}"#
        )
    };
    let logs: Vec<_> = topics.iter().map(log).collect();
    let text = format!("[{}]", logs.join(","));
    let Some(logs) = BlockLogs::read(&text, block) else {
        panic!("no logs: {text}");
    };
    logs
}

fn live(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..BLOCKS {
        world.mine();
        world.spread();
        let pause = Duration::from_millis(300 + world.below(3000));
        world.pass(pause);
        world.is_gentle();
    }
    for _ in 0..40 {
        world.spread();
        world.pass(BLOCK_TIME);
    }
    let last = world.chain.last().map(|block| block.hash);
    let told = world.heard.last().map(|block| block.hash);
    world.must(told == last, "the last block isn't told");
    world.is_gentle();
}

#[test]
fn however_odd_a_chains_numbers_and_blooms_each_block_and_log_is_told_once() {
    let one = std::env::var("FOREBAY_SEED").ok();
    match one.and_then(|seed| seed.parse().ok()) {
        Some(seed) => live(seed),
        None => (0..SEEDS).for_each(live),
    }
}

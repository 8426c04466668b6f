//! Nodes that tell anything at all: how often they are asked, and that it always comes to rest.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::vocabulary::chance::{Dice, SeededDice};

const NODES: u32 = 3;

/// Nodes each of which says of a block what it likes, and the count of what they were asked.
struct Crowd {
    head_tracker: HeadTracker,
    dice: SeededDice,
    start: Instant,
    now: Instant,
    /// Hashes that were named: as a head's, as a parent's, in answers.
    named: HashSet<BlockHash>,
    /// When each node was asked.
    asked: HashMap<NodeId, Vec<Instant>>,
}

impl Crowd {
    fn new(seed: u64) -> Crowd {
        let stage = Stage::new(&[]);
        let now = stage.now;
        let mut crowd = Crowd {
            head_tracker: stage.head_tracker,
            dice: SeededDice::new(seed),
            start: now,
            now,
            named: HashSet::new(),
            asked: HashMap::new(),
        };
        crowd.heed((0..NODES).collect());
        crowd
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.dice.roll() % limit
    }

    fn heed(&mut self, nodes: Vec<u32>) {
        let list: Vec<_> = (0..NODES).map(NodeId).collect();
        let witnesses = nodes.into_iter().map(NodeId).collect();
        let served = Some(BlockNumber(u64::MAX));
        self.head_tracker.heed(&list, witnesses, served);
    }

    /// Any number, any parent: of few, so that ways cross and close.
    fn header(&mut self, seed: u64) -> Arc<Header> {
        let (number, parent) = (self.below(40), self.below(60));
        let header = block(number, seed, parent);
        for hash in [header.hash, header.parent] {
            self.named.insert(hash);
        }
        header
    }

    fn step(&mut self) {
        match self.below(8) {
            0..4 => {
                let (id, seed) = (self.below(NODES.into()), self.below(60));
                let header = self.header(seed);
                let asked_at = self.now - Duration::from_secs(self.below(3));
                let said = head(u32::try_from(id).unwrap(), &header, asked_at);
                self.head_tracker.hear(said, self.now);
            }
            4 => {
                let count = self.below(1 + u64::from(NODES));
                self.heed((0..u32::try_from(count).unwrap()).collect());
            }
            5 => {
                let seconds = self.below(40);
                self.now += Duration::from_secs(seconds);
            }
            _ => {
                let millis = self.below(700);
                self.now += Duration::from_millis(millis);
            }
        }
        self.run();
    }

    fn run(&mut self) {
        for _ in 0..2_000 {
            match self.head_tracker.next(self.now) {
                HeadStep::Tell(_) => self.is_one_chain(),
                HeadStep::Fetch { hash, child, from } => self.answer(hash, child, &from),
                HeadStep::Wait(until) => {
                    assert!(until.is_none_or(|until| until > self.now), "busy");
                    return;
                }
            }
        }
        panic!("it never rests");
    }

    fn is_one_chain(&self) {
        let told = &self.head_tracker.told;
        for (before, after) in told.iter().zip(told.iter().skip(1)) {
            assert_eq!(after.parent, before.hash);
            assert!(after.number > before.number);
        }
    }

    fn answer(&mut self, hash: BlockHash, child: BlockNumber, from: &[NodeId]) {
        let mut answers = HeaderAnswers::before(child);
        for id in from {
            self.asked.entry(*id).or_default().push(self.now);
            if self.below(3) > 0 {
                let (number, parent) = (self.below(40), self.below(60));
                let mut header = (*block(number, 0, parent)).clone();
                header.hash = hash;
                self.named.insert(header.parent);
                if answers.hear(Arc::new(header)) {
                    break;
                }
            }
        }
        self.head_tracker.bring(hash, answers.best(), self.now);
    }

    /// Twice for each new hash, and once a second.
    fn is_bearable(&self) {
        let (named, seconds) = (
            self.named.len(),
            self.now.duration_since(self.start).as_secs(),
        );
        let most = 2 * named + usize::try_from(seconds).unwrap();
        for (id, asked) in &self.asked {
            let count = asked.len();
            assert!(
                count <= most,
                "{id:?}: {count} times, {named} blocks, {seconds} s"
            );
        }
    }

    /// While nothing is told, a question a second at the most.
    fn is_quiet(&mut self) {
        let since = self.now;
        let named = self.named.len();
        while self.now < since + Duration::from_secs(300) {
            self.now += Duration::from_millis(500);
            self.run();
        }
        let news = self.named.len() - named;
        for asked in self.asked.values() {
            let count = asked.iter().filter(|at| **at > since).count();
            assert!(count <= 300 + 2 * news, "{count}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn however_odd_nodes_are_each_is_asked_twice_a_new_block_and_once_a_second_at_the_most(seed: u64) {
        let mut crowd = Crowd::new(seed);
        for _ in 0..80 {
            crowd.step();
            crowd.is_bearable();
        }
        crowd.is_quiet();
    }
}

/// A chain of blocks with these numbers, each the parent of the next.
fn skipping(numbers: &[u64]) -> Vec<Arc<Header>> {
    let parents = std::iter::once(0).chain(numbers.iter().map(|number| 1000 + number));
    let blocks = numbers.iter().zip(parents);
    blocks
        .map(|(number, parent)| block(*number, 1000 + number, parent))
        .collect()
}

#[test]
fn numbers_that_skip_are_told_and_filled_as_any_and_so_at_the_start() {
    let main = skipping(&[2, 3, 6, 7, 11, 12, 20]);
    let side = [block(9, 9, 1007), block(13, 13, 9)];
    let mut stage = Stage::new(&[&main, &side]);
    stage.hear(0, &main[2]);
    let roots = stage.fetches;
    assert_eq!(roots, 3, "two before it, and one that there isn't");
    stage.hear(1, &main[5]);
    stage.hear(0, &main[6]);
    assert_eq!((stage.client.as_slice(), stage.tears), (&main[2..], 0));
    stage.hear(1, &side[1]);
    assert_eq!(stage.client, main[2..], "it is shorter");
    stage.pass(BLOCK_TIME * 100);
    assert_eq!((stage.client.as_slice(), stage.tears), (&main[2..], 0));
    assert_eq!(stage.head_tracker.told.len(), main.len(), "with its roots");
}

#[test]
fn a_reorg_between_blocks_whose_numbers_skip_is_told_from_the_fork_on() {
    let main = skipping(&[2, 3, 6, 7]);
    let side = [block(5, 5, 1003), block(9, 9, 5)];
    let mut stage = Stage::new(&[&main, &side]);
    stage.hear(0, &main[3]);
    stage.hear(0, &side[1]);
    assert_eq!(
        (stage.seeds(), stage.tears),
        (vec!["5".into(), "9".into()], 0)
    );
}

#[test]
fn a_wrong_number_ends_no_chain_and_asks_no_node_over_and_over() {
    let main = chain(1, 1, 30, 0);
    let mut stage = Stage::new(&[&main[20..]]);
    // For each of the roots, nodes say an impossible number.
    for header in &main[..20] {
        let mut wrong = (**header).clone();
        wrong.number.0 += 7;
        stage.blocks.insert(header.hash, Arc::new(wrong));
    }
    stage.hear(0, &main[21]);
    stage.hear(0, &main[29]);
    let fetches = stage.fetches;
    stage.pass(Duration::from_millis(900));
    assert_eq!(stage.fetches, fetches, "not at once");
    for _ in 0..10_000 {
        stage.pass(Duration::from_millis(100));
    }
    assert_eq!((stage.client.as_slice(), stage.tears), (&main[21..], 0));
    assert!(stage.fetches - fetches <= ROOTS_MISSED_MAX as usize);
}

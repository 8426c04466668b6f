//! One chain out of what many nodes tell: stories. The model is a file of its own.

mod model;
mod oddities;

use super::missing::ROOTS_MISSED_MAX;
use super::questions::PAUSE_FIRST;
use super::*;
use crate::testing::hash_of as hash;
use std::collections::HashMap;
const BLOCK_TIME: Duration = Duration::from_secs(2);

/// The block `seed` at `number`, on the block `parent`.
fn block(number: u64, seed: u64, parent: u64) -> Arc<Header> {
    Arc::new(Header {
        json: bytes::Bytes::from(seed.to_string()),
        ..crate::testing::header(number, hash(seed), hash(parent))
    })
}

/// A chain of blocks first..=last, of a branch: seeds are branch × 1000 + number.
fn chain(branch: u64, first: u64, last: u64, parent: u64) -> Vec<Arc<Header>> {
    let blocks = (first..=last).map(|number| {
        let before = if number == first {
            parent
        } else {
            branch * 1000 + number - 1
        };
        block(number, branch * 1000 + number, before)
    });
    blocks.collect()
}

/// Node `id` is at `header`, as of this time.
fn head(id: u32, header: &Arc<Header>, as_of: Instant) -> NodeHead {
    NodeHead {
        id: NodeId(id),
        header: header.clone(),
        as_of,
    }
}

/// A client, and all blocks there are.
struct Stage {
    head_tracker: HeadTracker,
    now: Instant,
    blocks: HashMap<BlockHash, Arc<Header>>,
    /// What a client takes for the chain.
    client: Vec<Arc<Header>>,
    heeded: Vec<NodeId>,
    /// What calls are served; as a rule, whatever there is.
    served: Option<BlockNumber>,
    tears: usize,
    fetches: usize,
}

impl Stage {
    fn new(chains: &[&[Arc<Header>]]) -> Stage {
        let blocks = chains.iter().flat_map(|chain| chain.iter());
        Stage {
            head_tracker: HeadTracker::new(BLOCK_TIME),
            now: crate::testing::now(),
            blocks: blocks.map(|block| (block.hash, block.clone())).collect(),
            client: Vec::new(),
            heeded: Vec::new(),
            served: Some(BlockNumber(u64::MAX)),
            tears: 0,
            fetches: 0,
        }
    }

    fn hear(&mut self, id: u32, header: &Arc<Header>) {
        self.blocks.insert(header.hash, header.clone());
        if !self.heeded.contains(&NodeId(id)) {
            self.heeded.push(NodeId(id));
            self.heed(&self.heeded.clone());
        }
        self.hear_as_of(id, header, self.now);
    }

    /// The node said so now, and was asked at this time.
    fn hear_as_of(&mut self, id: u32, header: &Arc<Header>, as_of: Instant) {
        self.head_tracker.hear(head(id, header, as_of), self.now);
        self.run();
    }

    fn heed(&mut self, witnesses: &[NodeId]) {
        let list: Vec<_> = (0..3).map(NodeId).collect();
        self.head_tracker
            .heed(&list, witnesses.to_vec(), self.served);
    }

    /// Obeys until there is nothing to do, and checks each update as a client would.
    fn run(&mut self) {
        for _ in 0..10_000 {
            match self.head_tracker.next(self.now) {
                HeadStep::Tell(update) => self.take(&update),
                HeadStep::Fetch { hash, from, .. } => {
                    assert!(!from.is_empty());
                    self.fetches += 1;
                    let found = self.blocks.get(&hash).cloned();
                    self.head_tracker.bring(hash, found, self.now);
                }
                HeadStep::Wait(until) => {
                    assert!(until.is_none_or(|until| until > self.now), "busy");
                    return;
                }
            }
        }
        panic!("it never rests");
    }

    fn take(&mut self, update: &ChainUpdate) {
        assert!(!update.headers.is_empty());
        if update.is_torn {
            assert!(update.abandoned.is_empty());
            self.client.clear();
            self.tears += 1;
        }
        for abandoned in &update.abandoned {
            // What lies before the first block told isn't the client's.
            if let Some(last) = self.client.pop() {
                assert_eq!(last, *abandoned, "newest first");
            }
        }
        for header in &update.headers {
            if let Some(last) = self.client.last() {
                assert_eq!(header.parent, last.hash, "parents are linked");
                assert!(header.number > last.number);
            }
            self.client.push(header.clone());
        }
        assert_eq!(self.head_tracker.head(), self.client.last());
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.run();
    }

    fn seeds(&self) -> Vec<String> {
        let json = |header: &Arc<Header>| String::from_utf8_lossy(&header.json).into_owned();
        self.client.iter().map(json).collect()
    }
}

#[test]
fn blocks_between_two_heads_are_fetched_and_told_in_order() {
    let main = chain(1, 1, 9, 0);
    let mut stage = Stage::new(&[&main]);
    stage.hear(0, &main[0]);
    stage.hear(0, &main[5]);
    stage.hear(1, &main[6]);
    stage.hear(2, &main[3]);
    assert_eq!(stage.client, main[..7]);
    assert_eq!(
        stage.fetches, 5,
        "each missing block once, and in vain the one before the first"
    );
}

#[test]
fn a_sibling_is_not_taken_on_one_nodes_word_but_a_longer_chain_is() {
    let main = chain(1, 1, 5, 0);
    let side = chain(2, 4, 6, 1003);
    let mut stage = Stage::new(&[&main, &side]);
    for id in [0, 1] {
        stage.hear(id, &main[4]);
    }
    stage.hear(2, &side[1]);
    assert_eq!(stage.client, main[4..], "as high");
    stage.hear(2, &side[2]);
    assert_eq!(stage.seeds(), ["2004", "2005", "2006"]);
    stage.hear(0, &main[4]);
    assert_eq!(
        stage.seeds().last().unwrap(),
        "2006",
        "what is shorter takes nothing back"
    );
}

#[test]
fn a_sibling_that_more_nodes_have_is_taken_and_so_is_one_when_none_has_the_told_one() {
    let main = chain(1, 1, 5, 0);
    let side = chain(2, 5, 5, 1004);
    let mut stage = Stage::new(&[&main]);
    for id in 0..3 {
        stage.hear(id, &main[4]);
    }
    stage.hear(1, &side[0]);
    assert_eq!(stage.seeds().last().unwrap(), "1005");
    stage.hear(2, &side[0]);
    assert_eq!(stage.seeds().last().unwrap(), "2005", "two against one");
    stage.hear(0, &main[4]);
    assert_eq!(stage.seeds().last().unwrap(), "2005");
    let mut alone = Stage::new(&[&main]);
    alone.hear(0, &main[3]);
    alone.hear(0, &main[4]);
    alone.hear(0, &side[0]);
    assert_eq!(
        alone.seeds(),
        ["1004", "2005"],
        "a node that reorganises alone"
    );
}

#[test]
fn an_answer_asked_for_before_a_node_told_of_a_reorganisation_takes_nothing_back() {
    let main = chain(1, 1, 6, 0);
    let side = chain(2, 3, 5, 1002);
    let mut stage = Stage::new(&[&main, &side]);
    stage.hear(0, &main[1]);
    for id in [0, 1] {
        stage.hear(id, &main[4]);
    }
    let asked_at = stage.now;
    stage.pass(Duration::from_millis(1));
    for id in [0, 1] {
        stage.hear(id, &side[2]);
    }
    let reorganised = ["1002", "2003", "2004", "2005"];
    assert_eq!(stage.seeds(), reorganised);
    for id in [0, 1] {
        stage.hear_as_of(id, &main[4], asked_at);
        assert_eq!(stage.seeds(), reorganised);
    }
    // One that goes on from what they told is no older.
    let next = block(6, 2006, 2005);
    for id in [0, 1] {
        stage.hear_as_of(id, &next, asked_at);
    }
    assert_eq!(stage.seeds().last().unwrap(), "2006");
    for id in [0, 1] {
        stage.hear_as_of(id, &main[5], asked_at);
    }
    assert_eq!(
        stage.seeds().last().unwrap(),
        "2006",
        "it is as old as before"
    );
    let reorganised = ["1002", "1003", "1004", "1005", "1006"];
    // What they say when they are asked anew counts.
    stage.pass(Duration::from_millis(1));
    for id in [0, 1] {
        stage.hear_as_of(id, &main[5], stage.now);
    }
    assert_eq!(stage.seeds(), reorganised);
}

#[test]
fn a_node_that_wakes_up_takes_nothing_back_when_the_others_die() {
    let main = chain(1, 1, 9, 0);
    let side = chain(2, 4, 6, 1003);
    let mut stage = Stage::new(&[&main, &side]);
    stage.hear(0, &main[1]);
    stage.hear(1, &main[2]);
    stage.hear(0, &main[8]);
    stage.heed(&[NodeId(1)]);
    stage.pass(BLOCK_TIME * 100);
    assert_eq!(
        stage.client.last(),
        main.last(),
        "it is behind on the told chain"
    );
    stage.hear(1, &side[2]);
    stage.pass(BLOCK_TIME);
    assert_eq!(stage.client.last(), main.last(), "for now");
    stage.pass(BLOCK_TIME * STANDS_BLOCK_TIMES);
    assert_eq!(
        stage.seeds()[1..],
        ["1003", "2004", "2005", "2006"],
        "no other node is there"
    );
    assert_eq!(stage.tears, 0);
}

#[test]
fn a_block_that_no_node_brings_is_asked_for_again_and_nothing_is_told_meanwhile() {
    let main = chain(1, 1, 5, 0);
    let mut stage = Stage::new(&[]);
    stage.hear(0, &main[1]);
    stage.hear(1, &main[1]);
    stage.hear(0, &main[4]);
    assert_eq!(stage.client.len(), 1);
    let fetches = stage.fetches;
    stage.run();
    assert_eq!(stage.fetches, fetches, "not at once");
    stage.blocks = main
        .iter()
        .map(|block| (block.hash, block.clone()))
        .collect();
    stage.pass(PAUSE_FIRST);
    assert_eq!(stage.client, main[1..]);
}

#[test]
fn what_is_linked_is_told_while_a_missing_block_is_asked_for() {
    let chain = chain(1, 1, 4, 0);
    let mut head_tracker = HeadTracker::new(BLOCK_TIME);
    let (one, other) = (NodeId(1), NodeId(2));
    let now = crate::testing::now();
    let served = Some(BlockNumber(u64::MAX));
    head_tracker.heed(&[one, other], vec![one, other], served);
    head_tracker.hear(head(1, &chain[0], now), now);
    assert!(matches!(head_tracker.next(now), HeadStep::Tell(_)));
    // Its parent is unknown, and the node that has it takes its time.
    head_tracker.hear(head(2, &block(9, 9009, 9008), now), now);
    assert!(matches!(head_tracker.next(now), HeadStep::Fetch { .. }));
    for header in &chain[1..] {
        head_tracker.hear(head(1, header, now), now);
        let step = head_tracker.next(now);
        let told = matches!(&step, HeadStep::Tell(update) if update.headers == [header.clone()]);
        assert!(told, "{step:?}");
    }
    assert_eq!(
        head_tracker.next(now),
        HeadStep::Wait(None),
        "it is still asked for"
    );
}

#[test]
fn a_lie_is_neither_begun_with_nor_followed() {
    let main = chain(1, 1, 5, 0);
    let lie = block(1_000_000, 7, 8);
    let mut stage = Stage::new(&[&main]);
    stage.heed(&[NodeId(0), NodeId(1)]);
    stage.heeded = vec![NodeId(0), NodeId(1)];
    for (id, said) in [(0, &lie), (1, &main[0])] {
        stage
            .head_tracker
            .hear(head(id, said, stage.now), stage.now);
    }
    stage.run();
    stage.hear(1, &main[4]);
    stage.pass(BLOCK_TIME * 100);
    assert_eq!(stage.client, main);
    // Had it come first, most nodes would outvote it.
    let mut stage = Stage::new(&[&main]);
    stage.hear(0, &lie);
    stage.hear(1, &main[4]);
    stage.hear(2, &main[4]);
    assert_eq!(stage.client, [lie]);
    stage.pass(BLOCK_TIME * 100);
    assert_eq!((stage.client.as_slice(), stage.tears), (&main[4..], 1));
}

#[test]
fn a_branch_that_no_node_can_bring_tears_nothing_where_most_are_on_the_told_chain() {
    let main = chain(1, 1, 5, 0);
    let astray = block(5, 7, 8);
    let mut stage = Stage::new(&[&main]);
    stage.hear(0, &main[4]);
    stage.hear(1, &main[4]);
    stage.hear(2, &astray);
    stage.pass(BLOCK_TIME * 100);
    assert_eq!((stage.client.as_slice(), stage.tears), (&main[4..], 0));
    stage.hear(1, &block(4, 8, 6));
    stage.pass(BLOCK_TIME * 100);
    assert_eq!(
        stage.tears, 0,
        "and it wouldn't be taken, could it be linked"
    );
    stage.hear(1, &astray);
    stage.pass(BLOCK_TIME * 100);
    let client = stage.client.as_slice();
    assert_eq!((client, stage.tears), (&[astray][..], 1), "two of three");
}

#[test]
fn a_chain_that_began_anew_is_told_with_a_tear() {
    let main = chain(1, 500, 505, 0);
    let anew = chain(2, 1, 3, 0);
    let mut stage = Stage::new(&[&main]);
    stage.hear(0, &main[5]);
    stage.hear(0, &anew[2]);
    assert_eq!(stage.tears, 0);
    stage.pass(BLOCK_TIME * STANDS_BLOCK_TIMES);
    assert_eq!((stage.client.as_slice(), stage.tears), (&anew[2..], 1));
}

#[test]
fn a_gap_is_filled_up_to_its_limit_and_torn_one_past_it() {
    for (more, tears) in [(0, 0), (1, 1)] {
        let main = chain(1, 1, 1 + FILL_MAX + more, 0);
        let mut stage = Stage::new(&[&main]);
        stage.hear(0, &main[0]);
        stage.hear(0, main.last().unwrap());
        stage.pass(BLOCK_TIME * STANDS_BLOCK_TIMES);
        assert_eq!(stage.client.last(), main.last());
        assert_eq!(stage.tears, tears);
    }
}

#[test]
fn a_head_is_told_when_calls_are_served_it_or_two_nodes_have_had_it_for_a_block_time() {
    let main = chain(1, 1, 9, 0);
    let mut stage = Stage::new(&[&main]);
    let is_served = |stage: &mut Stage, number: u64| {
        stage.served = Some(BlockNumber(number));
        stage.heed(&[NodeId(0), NodeId(1), NodeId(2)]);
        stage.run();
    };
    stage.heeded = (0..3).map(NodeId).collect();
    is_served(&mut stage, 1);
    for id in 0..3 {
        stage.hear(id, &main[0]);
    }
    stage.hear(0, &main[2]);
    stage.pass(BLOCK_TIME * 100);
    assert_eq!(stage.client, main[..1], "one node's alone");
    is_served(&mut stage, 3);
    assert_eq!(stage.client, main[..3]);
    stage.hear(0, &main[4]);
    stage.hear(1, &main[4]);
    stage.pass(BLOCK_TIME - Duration::from_millis(1));
    assert_eq!(stage.client, main[..3]);
    stage.pass(Duration::from_millis(1));
    assert_eq!(stage.client, main[..5]);
    // The node that lags has the only word: a block time.
    stage.hear(1, &main[8]);
    stage.heed(&[NodeId(1)]);
    stage.run();
    assert_eq!(stage.client, main[..5]);
    stage.pass(BLOCK_TIME);
    assert_eq!(stage.client, main);
}

#[test]
fn the_first_head_is_one_that_calls_are_served() {
    let main = chain(1, 1, 9, 0);
    let mut stage = Stage::new(&[&main]);
    stage.served = Some(BlockNumber(7));
    stage.heeded = (0..3).map(NodeId).collect();
    stage.heed(&stage.heeded.clone());
    stage.hear(0, &main[8]);
    assert_eq!(stage.client, []);
    stage.hear(1, &main[6]);
    assert_eq!(stage.client, main[6..7]);
}

//! Nodes on another fork: same chain id, same height, other blocks.
//!
//! Every few rounds all nodes are asked for the hash of one block, a few below the lowest of their
//! heads, where a short reorg doesn't reach. A node that differs twice in a row from at least two
//! that agree is on a fork. Where no two agree, or camps are of one size and the leader is in none
//! of them, no node is put out: it isn't known which is right.

use std::collections::{BTreeMap, HashMap};

use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::node::NodeId;

/// Blocks below the lowest head that is compared: a reorg this deep is rare.
pub(super) const BELOW: u64 = 3;
/// Rounds from one comparison to the next, and rounds that late answers are waited for: a leader
/// may be asked less often.
pub(super) const ROUNDS: u32 = 3;
/// Comparisons in a row in which a node differs. One alone may have met a reorg halfway.
const STRIKES: u32 = 2;
/// As many must agree before any node is said to differ.
const CAMP_MIN: usize = 2;

/// What the last comparison came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForkSummary {
    /// Different hashes at the same height. 1: all agree; 0: not compared yet.
    pub count: usize,
    /// They differ, and it isn't known which is right.
    pub undecided: bool,
}

/// Compares nodes, a height at a time.
#[derive(Debug, Default)]
pub(super) struct Forks {
    height: Option<BlockNumber>,
    /// Rounds since the height was set; without a height, since the last comparison.
    rounds: u32,
    answers: BTreeMap<NodeId, BlockHash>,
    strikes: HashMap<NodeId, u32>,
    camps: ForkSummary,
}

impl Forks {
    /// The height that `id` is to be asked for, if it hasn't been.
    pub(super) fn height_for(&self, id: NodeId) -> Option<BlockNumber> {
        self.height.filter(|_| !self.answers.contains_key(&id))
    }

    pub(super) fn is_forked(&self, id: NodeId) -> bool {
        self.strikes
            .get(&id)
            .is_some_and(|strikes| *strikes >= STRIKES)
    }

    pub(super) fn camps(&self) -> ForkSummary {
        self.camps
    }

    /// `id` has `hash` at `height`.
    pub(super) fn hear(&mut self, id: NodeId, height: BlockNumber, hash: BlockHash) {
        if self.height == Some(height) {
            self.answers.insert(id, hash);
        }
    }

    /// A round is over. `heads`: of the nodes that can be compared.
    pub(super) fn end_round(&mut self, heads: &[(NodeId, BlockNumber)], leader: Option<NodeId>) {
        self.rounds = self.rounds.saturating_add(1);
        if let Some(height) = self.height {
            let is_missing = |(id, head): &(NodeId, BlockNumber)| {
                *head >= height && !self.answers.contains_key(id)
            };
            if self.rounds < ROUNDS && heads.iter().any(is_missing) {
                return;
            }
            self.judge(leader);
            self.height = None;
            self.rounds = 0;
        }
        let is_suspicious = self.camps.count > 1;
        if is_suspicious || self.camps.count == 0 || self.rounds >= ROUNDS - 1 {
            self.begin(heads);
        }
    }

    /// Sets the height of the next comparison. Two nodes tell nothing but whether one of them,
    /// which was on a fork, agrees again.
    fn begin(&mut self, heads: &[(NodeId, BlockNumber)]) {
        let least = if self.strikes.is_empty() {
            CAMP_MIN + 1
        } else {
            CAMP_MIN
        };
        let lowest = heads.iter().map(|(_, head)| head.0).min();
        self.height = lowest
            .filter(|_| heads.len() >= least)
            .map(|lowest| BlockNumber(lowest.saturating_sub(BELOW)));
        if self.height.is_none() {
            self.camps = ForkSummary::default();
        }
        self.rounds = 0;
        self.answers.clear();
    }

    /// Forgets nodes that are no more.
    pub(super) fn retain(&mut self, is_there: impl Fn(NodeId) -> bool) {
        self.answers.retain(|id, _| is_there(*id));
        self.strikes.retain(|id, _| is_there(*id));
    }

    fn judge(&mut self, leader: Option<NodeId>) {
        if self.answers.is_empty() {
            return;
        }
        let sizes = self.sizes();
        let largest = sizes.values().copied().max().unwrap_or(0);
        let leaders = leader.and_then(|leader| self.answers.get(&leader));
        let right = right_camp(&sizes, leaders.copied());
        self.camps = ForkSummary {
            count: sizes.len(),
            undecided: sizes.len() > 1 && right.is_none(),
        };
        if largest < CAMP_MIN {
            return;
        }
        for (id, hash) in &self.answers {
            let size = sizes.get(hash).copied().unwrap_or(0);
            if right == Some(*hash) {
                self.strikes.remove(id);
            } else if right.is_some() || size < largest {
                let strikes = self.strikes.entry(*id).or_default();
                *strikes = strikes.saturating_add(1);
            }
        }
    }

    fn sizes(&self) -> BTreeMap<BlockHash, usize> {
        let mut sizes = BTreeMap::new();
        for hash in self.answers.values() {
            *sizes.entry(*hash).or_insert(0) += 1;
        }
        sizes
    }
}

/// The camp that is larger than any other; among several of one size the leader's.
fn right_camp(sizes: &BTreeMap<BlockHash, usize>, leaders: Option<BlockHash>) -> Option<BlockHash> {
    let largest = *sizes.values().max()?;
    let mut camps = sizes.iter().filter(|(_, size)| **size == largest);
    let (first, _) = camps.next()?;
    let is_alone = camps.next().is_none();
    let is_leaders = |hash: &BlockHash| sizes.get(hash) == Some(&largest);
    match leaders {
        _ if largest < CAMP_MIN => (sizes.len() == 1).then_some(*first),
        _ if is_alone => Some(*first),
        leaders => leaders.filter(is_leaders),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: Option<NodeId> = Some(NodeId(0));

    fn hash(letter: u8) -> BlockHash {
        BlockHash([letter; 32])
    }

    fn heads(count: usize, head: u64) -> Vec<(NodeId, BlockNumber)> {
        let heads = (0..).map(NodeId).zip(std::iter::repeat(BlockNumber(head)));
        heads.take(count).collect()
    }

    /// One comparison: what each node has, a letter each; which nodes are forked then.
    fn compare(forks: &mut Forks, letters: &str, leader: Option<NodeId>) -> String {
        let heads = heads(letters.len(), 100);
        for _ in 0..2 * ROUNDS {
            if forks.height.is_some() {
                break;
            }
            forks.end_round(&heads, leader);
        }
        let height = forks.height.unwrap();
        assert_eq!(height, BlockNumber(100 - BELOW));
        for ((id, _), letter) in heads.iter().zip(letters.bytes()) {
            assert_eq!(forks.height_for(*id), Some(height));
            forks.hear(*id, height, hash(letter));
            assert_eq!(forks.height_for(*id), None, "asked once");
        }
        forks.end_round(&heads, leader);
        let forked = heads.iter().map(|(id, _)| forks.is_forked(*id));
        forked.map(|is_it| if is_it { 'x' } else { '.' }).collect()
    }

    #[test]
    fn a_node_that_differs_twice_from_two_that_agree_is_forked_until_it_agrees() {
        let mut forks = Forks::default();
        assert_eq!(compare(&mut forks, "aaab", LEADER), "....");
        assert_eq!(forks.camps().count, 2);
        assert_eq!(compare(&mut forks, "aaab", LEADER), "...x");
        assert_eq!(compare(&mut forks, "aaab", LEADER), "...x");
        assert_eq!(compare(&mut forks, "aaaa", LEADER), "....");
        assert_eq!(
            forks.camps(),
            ForkSummary {
                count: 1,
                undecided: false
            }
        );
    }

    #[test]
    fn a_reorg_met_halfway_puts_no_node_out() {
        let mut forks = Forks::default();
        assert_eq!(compare(&mut forks, "aaab", LEADER), "....");
        assert_eq!(compare(&mut forks, "bbbb", LEADER), "....");
        assert_eq!(
            compare(&mut forks, "bbba", LEADER),
            "....",
            "it begins anew"
        );
    }

    #[test]
    fn the_larger_camp_is_right_even_against_the_leader() {
        for (letters, leader, wanted) in [
            ("baa", LEADER, "x.."),
            ("aab", LEADER, "..x"),
            ("aabb", None, "...."),
            ("aabb", LEADER, "..xx"),
            ("bbaac", LEADER, "..xxx"),
            ("aabbc", None, "....x"),
            ("caabb", LEADER, "x...."),
            ("abc", LEADER, "..."),
            ("abbb", None, "x..."),
        ] {
            let mut forks = Forks::default();
            compare(&mut forks, letters, leader);
            assert_eq!(compare(&mut forks, letters, leader), wanted, "{letters}");
        }
    }

    #[test]
    fn where_no_camp_is_known_to_be_right_that_is_told() {
        for (letters, leader, undecided) in [
            ("abc", LEADER, true),
            ("aabb", None, true),
            ("aabb", LEADER, false),
            ("aab", None, false),
            ("aaa", None, false),
        ] {
            let mut forks = Forks::default();
            compare(&mut forks, letters, leader);
            assert_eq!(forks.camps().undecided, undecided, "{letters}");
        }
    }

    #[test]
    fn an_undecided_comparison_sets_no_node_free() {
        let mut forks = Forks::default();
        compare(&mut forks, "aaab", None);
        assert_eq!(compare(&mut forks, "aaab", None), "...x");
        assert_eq!(compare(&mut forks, "aabb", None), "...x");
    }

    #[test]
    fn two_nodes_are_not_compared() {
        let mut forks = Forks::default();
        for _ in 0..10 {
            forks.end_round(&heads(2, 100), LEADER);
            assert_eq!(forks.height, None);
        }
    }

    #[test]
    fn a_forked_node_may_return_when_one_other_is_left() {
        let mut forks = Forks::default();
        for letters in ["aab", "aab", "axb", "axb"] {
            compare(&mut forks, letters, None);
        }
        let left = [(NodeId(0), BlockNumber(100)), (NodeId(2), BlockNumber(100))];
        let mut answer = |letter| {
            forks.end_round(&left, None);
            for (id, letter) in [(0, b'a'), (2, letter)] {
                forks.hear(NodeId(id), BlockNumber(97), hash(letter));
            }
            forks.end_round(&left, None);
            forks.is_forked(NodeId(2))
        };
        assert!(answer(b'b') && answer(b'b'));
        assert!(!answer(b'a'));
    }

    #[test]
    fn agreement_is_looked_at_every_third_round_and_a_difference_in_the_next() {
        let mut forks = Forks::default();
        let heads = heads(3, 100);
        let mut asked = String::new();
        for round in 0..16 {
            asked.push(if forks.height.is_some() { '?' } else { '.' });
            let odd = if round < 8 { b'a' } else { b'b' };
            for (id, letter) in [(0, b'a'), (1, b'a'), (2, odd)] {
                forks.hear(NodeId(id), BlockNumber(97), hash(letter));
            }
            forks.end_round(&heads, LEADER);
        }
        assert_eq!(asked, ".?..?..?..??????");
    }

    #[test]
    fn a_leader_that_is_asked_less_often_is_waited_for_and_then_left_out() {
        let mut forks = Forks::default();
        let heads = heads(4, 100);
        forks.end_round(&heads, LEADER);
        let answer = |forks: &mut Forks| {
            for id in 1..4 {
                let letter = if id == 3 { b'b' } else { b'a' };
                forks.hear(NodeId(id), BlockNumber(97), hash(letter));
            }
        };
        for round in 1..=ROUNDS {
            answer(&mut forks);
            assert_eq!(forks.camps().count, 0, "{round}");
            forks.end_round(&heads, LEADER);
        }
        assert_eq!(forks.camps().count, 2);
        assert!(!forks.strikes.contains_key(&NodeId(0)));
    }

    #[test]
    fn fast_blocks_are_compared_at_a_height_that_all_have() {
        // Four blocks a second: between two probes of one round a chain moves on.
        let mut forks = Forks::default();
        let heads =
            [(0, 1000), (1, 1004), (2, 990)].map(|(id, head)| (NodeId(id), BlockNumber(head)));
        forks.end_round(&heads, LEADER);
        assert_eq!(forks.height_for(NodeId(1)), Some(BlockNumber(987)));
        forks.hear(NodeId(1), BlockNumber(988), hash(b'z'));
        assert_eq!(
            forks.height_for(NodeId(1)),
            Some(BlockNumber(987)),
            "another height"
        );
    }

    #[test]
    fn a_node_that_is_no_more_is_forgotten() {
        let mut forks = Forks::default();
        compare(&mut forks, "aab", None);
        compare(&mut forks, "aab", None);
        forks.retain(|id| id != NodeId(2));
        assert!(!forks.is_forked(NodeId(2)));
    }
}

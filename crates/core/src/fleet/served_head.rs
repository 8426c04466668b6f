//! The head that clients are shown.
//!
//! It is the highest head that nodes with half of the serving weight have: were it the fastest
//! node's, every client's next call would go there. It never goes back, unless the chain began
//! anew or most nodes agree on a reorg that left it shorter. A head that leaps further than its
//! time allows counts only when another node has it too: one node's lie would otherwise stay shown
//! long after the lie.

use std::time::{Duration, Instant};

use crate::fleet::quorum_head::carried_by_half;
use crate::fleet::reference::reach;
use crate::vocabulary::chain::{BlockNumber, Lag};

/// What one node of our chain tells of its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadReport {
    pub head: BlockNumber,
    /// The last probe brought an answer.
    pub lives: bool,
    /// Its weight among those that serve now; 0: it doesn't serve.
    pub weight: u64,
    /// Its head is lower than it has been.
    pub has_fallen: bool,
    /// And has blocks with other hashes than before.
    pub is_rewritten: bool,
    /// Its head is an ancestor of the one that clients were told.
    pub is_rewound: bool,
}

/// What all of them tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadReports<'a> {
    pub witnesses: &'a [HeadReport],
    /// How many nodes the list has, also those that tell nothing or are on another chain.
    pub nodes: usize,
    pub reference: Option<BlockNumber>,
    /// How far apart two heads agree.
    pub lag_max: Lag,
    pub block_time: Duration,
}

/// Follows the head from round to round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServedHead {
    shown: Option<HeadSighting>,
    /// Since when most nodes have fallen below it.
    fallen_since: Option<Instant>,
}

/// Which way the head went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadMovement {
    Onward,
    /// A reorg left the chain shorter.
    Back,
    /// The chain began anew.
    Anew,
}

/// Where all that serve stand on an ancestor of the told head, two looks this far apart are enough.
const REWIND_STANDS: Duration = Duration::from_secs(1);
/// All nodes' heads must have fallen for so long, or a block time, before that is believed
/// without other hashes to show for it: behind one URL may stand machines that differ by a block.
const FALL_STANDS: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
struct HeadSighting {
    head: BlockNumber,
    /// When a believable head was last heard.
    heard_at: Instant,
}

impl ServedHead {
    pub(super) fn head(&self) -> Option<BlockNumber> {
        self.shown.map(|shown| shown.head)
    }

    /// Whether most nodes have fallen below it, and it stands yet.
    pub(super) fn is_falling(&self) -> bool {
        self.fallen_since.is_some()
    }

    /// A node has block `head`, and clients were told of it elsewhere.
    pub(super) fn lift(&mut self, head: BlockNumber, now: Instant) {
        let is_higher = self.head().is_none_or(|shown| shown < head);
        if is_higher {
            self.shown = Some(HeadSighting {
                head,
                heard_at: now,
            });
        }
    }

    /// Hears what the nodes tell, and says where that takes the head.
    pub(super) fn hear(&mut self, told: &HeadReports<'_>, now: Instant) -> HeadMovement {
        let Some(head) = self.carried(told, now) else {
            return HeadMovement::Onward;
        };
        let course = self.course(told, head, now);
        let head = match (course, self.shown) {
            (HeadMovement::Onward, Some(shown)) => shown.head.max(head),
            (HeadMovement::Onward | HeadMovement::Back | HeadMovement::Anew, _) => head,
        };
        if course != HeadMovement::Onward {
            self.fallen_since = None;
        }
        self.shown = Some(HeadSighting {
            head,
            heard_at: now,
        });
        course
    }

    fn course(&mut self, told: &HeadReports<'_>, head: BlockNumber, now: Instant) -> HeadMovement {
        let Some(shown) = self.shown else {
            return HeadMovement::Onward;
        };
        let is_reorg = self.is_reorg(told, shown.head, now);
        if told.is_new_chain(shown.head, head) {
            HeadMovement::Anew
        } else if is_reorg {
            HeadMovement::Back
        } else {
            HeadMovement::Onward
        }
    }

    /// The highest believable head that enough weight has.
    fn carried(&self, told: &HeadReports<'_>, now: Instant) -> Option<BlockNumber> {
        let serving = || {
            let witnesses = told.witnesses.iter().enumerate();
            witnesses.filter(|(_, witness)| witness.weight > 0)
        };
        let believed = serving()
            .filter(|(at, witness)| self.is_believable(*at, witness.head, told, now))
            .map(|(_, witness)| (witness.head, witness.weight));
        // At the start nothing is shown that could be compared with: the most cautious is taken.
        carried_by_half(believed.collect()).or_else(|| {
            let heads = serving().map(|(_, witness)| witness.head);
            let lowest = heads.chain(told.reference).min();
            lowest.filter(|_| self.shown.is_none())
        })
    }

    /// Whether most nodes have fallen below what was shown and show other hashes, or all have
    /// fallen alike and stay there.
    fn is_reorg(&mut self, told: &HeadReports<'_>, shown: BlockNumber, now: Instant) -> bool {
        if !told.most_have_fallen_below(shown) {
            self.fallen_since = None;
            return false;
        }
        let since = *self.fallen_since.get_or_insert(now);
        let stood = now.saturating_duration_since(since);
        told.most(|witness| witness.is_rewritten)
            || (stood >= REWIND_STANDS && told.all_are_rewound())
            || (stood >= FALL_STANDS.max(told.block_time) && told.all_have_fallen_alike())
    }

    /// Whether witness `at` may have `head`: its time allows it, another has it too, or there is
    /// no other to compare it with.
    fn is_believable(
        &self,
        at: usize,
        head: BlockNumber,
        told: &HeadReports<'_>,
        now: Instant,
    ) -> bool {
        let is_near = self
            .shown
            .is_some_and(|shown| head <= reach(shown.head, shown.heard_at, told.block_time, now));
        let agrees = |(other, witness): (usize, &HeadReport)| {
            other != at && witness.lives && told.agree(witness.head, head)
        };
        is_near || told.nodes == 1 || told.witnesses.iter().enumerate().any(agrees)
    }
}

impl HeadReports<'_> {
    fn agree(&self, one: BlockNumber, other: BlockNumber) -> bool {
        one.0.abs_diff(other.0) <= self.lag_max.0
    }

    /// Whether more than half of all nodes live and are so.
    fn most(&self, is_so: impl Fn(&HeadReport) -> bool) -> bool {
        let witnesses = self.witnesses.iter();
        let count = witnesses.filter(|w| w.lives && is_so(w)).count();
        count * 2 > self.nodes
    }

    /// Whether most nodes' heads fell, and no living node has block `shown`.
    fn most_have_fallen_below(&self, shown: BlockNumber) -> bool {
        let living = self.witnesses.iter().filter(|witness| witness.lives);
        let heads = living.map(|witness| witness.head);
        heads.chain(self.reference).all(|head| head < shown)
            && self.most(|witness| witness.has_fallen && witness.head.0 > 0)
    }

    /// Whether every node that serves stands on an ancestor of what was told.
    fn all_are_rewound(&self) -> bool {
        let mut serving = self.witnesses.iter().filter(|w| w.weight > 0).peekable();
        serving.peek().is_some() && serving.all(|witness| witness.lives && witness.is_rewound)
    }

    /// Whether every node lives and has fallen, to within a block of the others.
    fn all_have_fallen_alike(&self) -> bool {
        let heads = || self.witnesses.iter().map(|witness| witness.head.0);
        let apart = heads().max().unwrap_or(0) - heads().min().unwrap_or(0);
        let has_fallen = |witness: &HeadReport| witness.lives && witness.has_fallen;
        apart <= 1 && self.witnesses.len() == self.nodes && self.witnesses.iter().all(has_fallen)
    }

    /// Whether all that live and the reference are further behind `shown` than any lag allows, and
    /// most of all nodes live and agree on `head`: a few that start from scratch are no new chain.
    /// Nor are several at height 0, which is what nodes say that sync.
    fn is_new_chain(&self, shown: BlockNumber, head: BlockNumber) -> bool {
        let is_far = |head: BlockNumber| head.lag_behind(shown) > self.lag_max;
        let living = || {
            let witnesses = self.witnesses.iter().filter(|witness| witness.lives);
            witnesses.map(|witness| witness.head)
        };
        let has_begun = |head: BlockNumber| head.0 > 0 || self.nodes == 1;
        let agrees = |other: &BlockNumber| has_begun(*other) && self.agree(*other, head);
        let agreeing = living().filter(agrees).count();
        agreeing * 2 > self.nodes && living().chain(self.reference).all(is_far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_TIME: Duration = Duration::from_secs(12);

    /// Hears heads of serving nodes; a negative one is that of a node which died.
    fn hear(served: &mut ServedHead, heads: &[i64], reference: u64, now: Instant) -> u64 {
        let witness = |head: &i64| HeadReport {
            head: BlockNumber(head.unsigned_abs()),
            lives: *head >= 0,
            weight: 1,
            has_fallen: false,
            is_rewritten: false,
            is_rewound: false,
        };
        let witnesses: Vec<_> = heads.iter().map(witness).collect();
        let told = HeadReports {
            witnesses: &witnesses,
            nodes: witnesses.len(),
            reference: Some(BlockNumber(reference)),
            lag_max: Lag(10),
            block_time: BLOCK_TIME,
        };
        served.hear(&told, now);
        served.head().unwrap().0
    }

    #[test]
    fn one_nodes_huge_head_is_not_shown_and_two_nodes_leap_is() {
        let now = crate::testing::now();
        let mut served = ServedHead::default();
        assert_eq!(hear(&mut served, &[100, 100], 100, now), 100);
        assert_eq!(hear(&mut served, &[100, 1_000_000], 100, now), 100);
        assert_eq!(hear(&mut served, &[-100, 1_000_000], 100, now), 100);
        assert_eq!(hear(&mut served, &[101, 101], 101, now), 101);
        assert_eq!(hear(&mut served, &[5000, 5010], 5000, now), 5010);
    }

    #[test]
    fn a_leap_alone_is_taken_up_to_what_its_time_allows() {
        let start = crate::testing::now();
        for (leap, wanted) in [(7, 107), (8, 100)] {
            let mut served = ServedHead::default();
            hear(&mut served, &[100, 100], 100, start);
            let now = start + BLOCK_TIME;
            assert_eq!(hear(&mut served, &[100 + leap, -100], 100, now), wanted);
        }
    }

    #[test]
    fn the_first_head_is_the_most_cautious_unless_two_agree_and_a_lone_node_is_believed() {
        let now = crate::testing::now();
        assert_eq!(hear(&mut ServedHead::default(), &[900, 100], 100, now), 100);
        assert_eq!(hear(&mut ServedHead::default(), &[900, 900], 100, now), 900);
        let mut alone = ServedHead::default();
        assert_eq!(hear(&mut alone, &[100], 100, now), 100);
        assert_eq!(hear(&mut alone, &[900], 900, now), 900);
        assert_eq!(
            hear(&mut alone, &[3], 3, now),
            3,
            "a development chain restarts"
        );
    }

    #[test]
    fn a_chain_begins_anew_when_most_nodes_live_and_all_of_them_are_far_behind() {
        let now = crate::testing::now();
        for (heads, reference, wanted) in [
            (&[3, 3, 3][..], 3, 3),
            (&[3, 3, -5000], 3, 3),
            (&[3, 300, -5000], 3, 5000),
            (&[0, 0, 0], 0, 5000),
            (&[1, 1, 0], 1, 1),
            (&[1, 0, 0], 1, 5000),
            (&[3, -5000, -5000], 3, 5000),
            (&[-5000, -5000, -5000], 3, 5000),
            (&[3, 3, 4990], 3, 5000),
            (&[3, 3, 3], 4990, 5000),
            (&[4989, 4989, 4989], 4989, 4989),
            (&[4990, 4990, 4990], 4990, 5000),
        ] {
            let mut served = ServedHead::default();
            hear(&mut served, &[5000, 5000, 5000], 5000, now);
            let shown = hear(&mut served, heads, reference, now);
            assert_eq!(shown, wanted, "{heads:?} {reference}");
        }
    }

    /// Two nodes of three showed block 100 and fell; the third may have.
    fn fall(served: &mut ServedHead, third: (u64, bool), is_rewritten: bool, now: Instant) -> u64 {
        let witness = |(head, has_fallen): (u64, bool)| HeadReport {
            head: BlockNumber(head),
            lives: true,
            weight: 1,
            has_fallen,
            is_rewritten: is_rewritten && has_fallen,
            is_rewound: false,
        };
        let witnesses = [(97, true), (97, true), third].map(witness);
        let told = HeadReports {
            witnesses: &witnesses,
            nodes: 3,
            reference: Some(BlockNumber(97)),
            lag_max: Lag(10),
            block_time: BLOCK_TIME,
        };
        let course = served.hear(&told, now);
        let shown = served.head().unwrap().0;
        assert_eq!(course == HeadMovement::Back, shown < 100);
        shown
    }

    #[test]
    fn a_reorg_that_most_nodes_tell_takes_the_head_back_at_once() {
        let now = crate::testing::now();
        for (third, wanted) in [((97, true), 97), ((98, false), 97), ((100, false), 100)] {
            let mut served = ServedHead::default();
            hear(&mut served, &[100, 100, 100], 100, now);
            assert_eq!(fall(&mut served, third, true, now), wanted, "{third:?}");
        }
    }

    #[test]
    fn a_fall_of_all_without_other_hashes_is_believed_once_it_has_stood() {
        let start = crate::testing::now();
        let mut served = ServedHead::default();
        hear(&mut served, &[100, 100, 100], 100, start);
        let nearly = BLOCK_TIME - Duration::from_millis(1);
        let both = (97, true);
        assert_eq!(fall(&mut served, both, false, start), 100);
        assert_eq!(fall(&mut served, both, false, start + nearly), 100);
        assert_eq!(fall(&mut served, (100, false), false, start + nearly), 100);
        assert_eq!(
            fall(&mut served, both, false, start + BLOCK_TIME),
            100,
            "anew"
        );
        for third in [(97, false), (95, true)] {
            let now = start + 2 * BLOCK_TIME;
            assert_eq!(fall(&mut served, third, false, now), 100, "{third:?}");
        }
        assert_eq!(fall(&mut served, both, false, start + 2 * BLOCK_TIME), 97);
    }
}

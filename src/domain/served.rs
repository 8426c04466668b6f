//! The head that clients are shown.
//!
//! It is the highest head that nodes with half of the serving weight have, and never goes back,
//! unless the chain began anew. A head that leaps further than its time allows counts only when
//! another node has it too: one node's lie would otherwise stay shown long after the lie.

use std::time::{Duration, Instant};

use super::chain::{BlockNumber, Lag, reach};

/// What one node of our chain tells of its head.
#[derive(Clone, Copy, Debug)]
pub struct Witness {
    pub head: BlockNumber,
    /// The last probe brought an answer.
    pub lives: bool,
    /// Its weight among those that serve now; 0: it doesn't serve.
    pub weight: u64,
}

/// What all of them tell.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    pub witnesses: &'a [Witness],
    /// How many nodes the list has, also those that tell nothing or are on another chain.
    pub nodes: usize,
    pub reference: Option<BlockNumber>,
    /// How far apart two heads agree.
    pub lag_max: Lag,
    pub block_time: Duration,
}

/// Follows the head from round to round.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServedHead {
    shown: Option<Shown>,
    /// A higher one that an answer told since.
    seen: Option<BlockNumber>,
}

#[derive(Clone, Copy, Debug)]
struct Shown {
    head: BlockNumber,
    /// When a believable head was last heard.
    heard_at: Instant,
}

impl ServedHead {
    pub fn head(&self) -> Option<BlockNumber> {
        self.shown.map(|shown| shown.head).max(self.seen)
    }

    /// Hears that a client was told of block `head`, in a receipt, say. One that its time doesn't
    /// allow is passed over, unless the node that told of it is `alone`.
    pub fn see(&mut self, head: BlockNumber, alone: bool, block_time: Duration, now: Instant) {
        let Some(shown) = self.shown else { return };
        if alone || head <= reach(shown.head, shown.heard_at, block_time, now) {
            self.seen = self.seen.max(Some(head));
        }
    }

    /// Hears what the nodes tell.
    pub fn hear(&mut self, told: &Told<'_>, now: Instant) {
        let serving = || {
            let witnesses = told.witnesses.iter().enumerate();
            witnesses.filter(|(_, witness)| witness.weight > 0)
        };
        let believed = serving()
            .filter(|(at, witness)| self.is_believable(*at, witness.head, told, now))
            .map(|(_, witness)| (witness.head, witness.weight));
        // At the start nothing is shown that could be compared with: the most cautious is taken.
        let head = carried_by_half(believed.collect()).or_else(|| {
            let heads = serving().map(|(_, witness)| witness.head);
            let lowest = heads.chain(told.reference).min();
            lowest.filter(|_| self.shown.is_none())
        });
        let Some(head) = head else { return };
        let begins_anew = self
            .shown
            .is_some_and(|shown| told.is_new_chain(shown.head, head));
        let head = match self.shown {
            Some(shown) if !begins_anew => shown.head.max(head),
            Some(_) | None => head,
        };
        if begins_anew {
            self.seen = None;
        }
        self.shown = Some(Shown {
            head,
            heard_at: now,
        });
    }

    /// Whether witness `at` may have `head`: its time allows it, another has it too, or there is
    /// nobody else who could be compared with.
    fn is_believable(&self, at: usize, head: BlockNumber, told: &Told<'_>, now: Instant) -> bool {
        let is_near = self
            .shown
            .is_some_and(|shown| head <= reach(shown.head, shown.heard_at, told.block_time, now));
        let agrees = |(other, witness): (usize, &Witness)| {
            other != at && witness.lives && told.agree(witness.head, head)
        };
        is_near || told.nodes == 1 || told.witnesses.iter().enumerate().any(agrees)
    }
}

impl Told<'_> {
    fn agree(&self, one: BlockNumber, other: BlockNumber) -> bool {
        one.0.abs_diff(other.0) <= self.lag_max.0
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

/// The highest head that nodes with half of the weight have.
fn carried_by_half(mut heads: Vec<(BlockNumber, u64)>) -> Option<BlockNumber> {
    heads.sort_unstable_by(|a, b| b.cmp(a));
    let weight: u64 = heads.iter().map(|(_, weight)| weight).sum();
    let mut carried = 0;
    let found = heads.iter().find(|(_, weight_of_it)| {
        carried += weight_of_it;
        carried * 2 >= weight
    });
    found.map(|(head, _)| *head)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_TIME: Duration = Duration::from_secs(12);

    /// Hears heads of serving nodes; a negative one is that of a node which died.
    fn hear(served: &mut ServedHead, heads: &[i64], reference: u64, now: Instant) -> u64 {
        let witness = |head: &i64| Witness {
            head: BlockNumber(head.unsigned_abs()),
            lives: *head >= 0,
            weight: 1,
        };
        let witnesses: Vec<_> = heads.iter().map(witness).collect();
        let told = Told {
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
        let now = crate::clock::now();
        let mut served = ServedHead::default();
        assert_eq!(hear(&mut served, &[100, 100], 100, now), 100);
        assert_eq!(hear(&mut served, &[100, 1_000_000], 100, now), 100);
        assert_eq!(hear(&mut served, &[-100, 1_000_000], 100, now), 100);
        assert_eq!(hear(&mut served, &[101, 101], 101, now), 101);
        assert_eq!(hear(&mut served, &[5000, 5010], 5000, now), 5010);
    }

    #[test]
    fn a_block_that_a_client_was_told_of_is_shown_if_its_time_allows_it() {
        let now = crate::clock::now();
        let mut served = ServedHead::default();
        hear(&mut served, &[100, 100], 100, now);
        for (told, alone, wanted) in [
            (99, false, 100),
            (105, false, 105),
            (106, false, 105),
            (900, true, 900),
        ] {
            served.see(BlockNumber(told), alone, BLOCK_TIME, now);
            assert_eq!(served.head(), Some(BlockNumber(wanted)));
        }
        assert_eq!(
            hear(&mut served, &[101, 101], 101, now),
            900,
            "it never falls"
        );
        assert_eq!(
            hear(&mut served, &[3, 3], 3, now),
            3,
            "but with a new chain"
        );
    }

    #[test]
    fn a_leap_alone_is_taken_up_to_what_its_time_allows() {
        let start = crate::clock::now();
        for (leap, wanted) in [(7, 107), (8, 100)] {
            let mut served = ServedHead::default();
            hear(&mut served, &[100, 100], 100, start);
            let now = start + BLOCK_TIME;
            assert_eq!(hear(&mut served, &[100 + leap, -100], 100, now), wanted);
        }
    }

    #[test]
    fn the_first_head_is_the_most_cautious_unless_two_agree_and_a_lone_node_is_believed() {
        let now = crate::clock::now();
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
        let now = crate::clock::now();
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
}

//! The chain: the reference that nodes are compared with.
//!
//! The reference is the leader's head as long as the leader can be believed. A leader that is
//! silent, stuck or implausibly far ahead is a witness that we hear no longer: then what the own
//! nodes agree on counts.

use std::time::{Duration, Instant};

use crate::vocabulary::chain::{BlockNumber, Lag};

/// Where the reference comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferenceSource {
    /// The leader's head, as it told it last.
    Leader,
    /// What the own nodes agree on.
    Quorum,
    /// The leader's last believed head.
    Held,
}

impl ReferenceSource {
    /// In the order of their declaration.
    pub const ALL: [ReferenceSource; 3] = [
        ReferenceSource::Leader,
        ReferenceSource::Quorum,
        ReferenceSource::Held,
    ];

    /// The metrics' value.
    pub fn as_str(self) -> &'static str {
        match self {
            ReferenceSource::Leader => "leader",
            ReferenceSource::Quorum => "quorum",
            ReferenceSource::Held => "held",
        }
    }
}

/// Why the leader is not the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderDoubt {
    /// The list has no leader.
    NoLeader,
    /// The leader told no head in its last round.
    Silent,
    /// The leader's head stands still, while others' go on.
    Stuck,
    /// The leader's head is further on than blocks can have come by now, and no own node comes near it.
    Implausible,
    /// Another chain or fork, or still syncing.
    Unfit,
}

impl LeaderDoubt {
    /// As a sentence without its end.
    pub fn as_str(self) -> &'static str {
        match self {
            LeaderDoubt::NoLeader => "no leader is set",
            LeaderDoubt::Silent => "the leader is silent",
            LeaderDoubt::Stuck => "the leader is stuck",
            LeaderDoubt::Implausible => "the leader is implausibly far ahead",
            LeaderDoubt::Unfit => "the leader is syncing or on another chain or fork",
        }
    }
}

/// What nodes are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The number of the block that nodes are compared with.
    pub number: BlockNumber,
    /// Where it comes from.
    pub source: ReferenceSource,
    /// Why it isn't the leader's; `None`: it is.
    pub doubt: Option<LeaderDoubt>,
}

/// A silent leader's last head stands this long.
const HOLD: Duration = Duration::from_secs(30);
/// Blocks that a head may be ahead of what its time allows.
pub(crate) const LEAP_BLOCKS: u64 = 5;
/// Block times without a move after which a leader may be stuck.
const STUCK_BLOCK_TIMES: u32 = 3;
/// Polls without a move after which a leader may be stuck.
const STUCK_POLLS: u32 = 2;

/// What the leader said in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaderReport {
    Head(BlockNumber),
    /// It answered, but can't be a reference.
    Unfit,
    /// It answered, and its head stands still while others go on.
    Stuck,
    Nothing,
    /// It wasn't asked in this round.
    NotAsked,
    /// No node is the leader.
    Absent,
}

/// Follows the leader from round to round.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaderTracker {
    believed: Option<TrustedHead>,
    doubt: Option<LeaderDoubt>,
}

#[derive(Clone, Copy, Debug)]
struct TrustedHead {
    head: BlockNumber,
    heard_at: Instant,
    moved_at: Instant,
    polls_since_move: u32,
    /// The highest head that it was believed, and when: a leader that fell back, by a lie or a
    /// restart, may come back to it.
    peak: (BlockNumber, Instant),
}

impl TrustedHead {
    fn new(head: BlockNumber, now: Instant) -> TrustedHead {
        TrustedHead {
            head,
            heard_at: now,
            moved_at: now,
            polls_since_move: 0,
            peak: (head, now),
        }
    }

    /// The highest head that it can have by now.
    fn reach(&self, block_time: Duration, now: Instant) -> BlockNumber {
        let (peak, peak_at) = self.peak;
        let from_peak = reach(peak, peak_at, block_time, now);
        reach(self.head, self.heard_at, block_time, now).max(from_peak)
    }

    /// It moved to `head`. An own node at the same height says that a fall is real.
    fn moved(self, head: BlockNumber, own_heads: &[BlockNumber], now: Instant) -> TrustedHead {
        let is_real = own_heads
            .iter()
            .any(|own| own.0.abs_diff(head.0) <= LEAP_BLOCKS);
        let moved = TrustedHead::new(head, now);
        if head >= self.peak.0 || is_real {
            moved
        } else {
            TrustedHead {
                peak: self.peak,
                ..moved
            }
        }
    }
}

impl LeaderTracker {
    /// Hears the leader and the own nodes' heads; says what nodes are compared with from now on,
    /// or `None` where nothing is known.
    pub(crate) fn hear(
        &mut self,
        said: LeaderReport,
        own_heads: &[BlockNumber],
        block_time: Duration,
        now: Instant,
    ) -> Option<Reference> {
        match said {
            LeaderReport::Head(head) => self.hear_head(head, own_heads, block_time, now),
            LeaderReport::NotAsked => {}
            LeaderReport::Nothing => self.doubt = Some(LeaderDoubt::Silent),
            LeaderReport::Unfit => self.doubt = Some(LeaderDoubt::Unfit),
            LeaderReport::Stuck => self.doubt = Some(LeaderDoubt::Stuck),
            LeaderReport::Absent => {
                *self = LeaderTracker {
                    believed: None,
                    doubt: Some(LeaderDoubt::NoLeader),
                }
            }
        }
        self.reference(own_heads, now)
    }

    fn hear_head(
        &mut self,
        head: BlockNumber,
        own_heads: &[BlockNumber],
        block_time: Duration,
        now: Instant,
    ) {
        let Some(last) = &mut self.believed else {
            self.believed = Some(TrustedHead::new(head, now));
            self.doubt = None;
            return;
        };
        let confirmed = own_heads
            .iter()
            .any(|own| own.0.saturating_add(LEAP_BLOCKS) >= head.0);
        if head > last.reach(block_time, now) && !confirmed {
            self.doubt = Some(LeaderDoubt::Implausible);
            return;
        }
        if head == last.head {
            last.polls_since_move += 1;
        } else {
            *last = last.moved(head, own_heads, now);
        }
        last.heard_at = now;
        let still = now.saturating_duration_since(last.moved_at);
        let overdue =
            last.polls_since_move >= STUCK_POLLS && still >= block_time * STUCK_BLOCK_TIMES;
        let outrun = own_heads.iter().filter(|own| **own > head).count() >= 2;
        self.doubt = (overdue && outrun).then_some(LeaderDoubt::Stuck);
    }

    fn reference(&self, own_heads: &[BlockNumber], now: Instant) -> Option<Reference> {
        let agreed = agreed_head(own_heads);
        let quorum = agreed.map(|number| (number, ReferenceSource::Quorum));
        let held = self.believed.map(|last| (last.head, ReferenceSource::Held));
        let is_recent = |last: TrustedHead| now.saturating_duration_since(last.heard_at) < HOLD;
        let (number, source) = match self.doubt {
            None => self
                .believed
                .map(|last| (last.head, ReferenceSource::Leader)),
            Some(LeaderDoubt::Silent) if self.believed.is_some_and(is_recent) => held,
            Some(LeaderDoubt::Implausible) => held.max(quorum),
            // Own nodes that have nothing but the first block know less than the leader did.
            Some(
                LeaderDoubt::Silent
                | LeaderDoubt::Stuck
                | LeaderDoubt::Unfit
                | LeaderDoubt::NoLeader,
            ) => quorum.max(held.filter(|_| agreed <= Some(BlockNumber(0)))),
        }?;
        Some(Reference {
            number,
            source,
            doubt: self.doubt,
        })
    }
}

/// The highest head that a chain can have `now` which had `last` at `heard_at`: twice what its
/// time allows, and a little.
pub fn reach(
    last: BlockNumber,
    heard_at: Instant,
    block_time: Duration,
    now: Instant,
) -> BlockNumber {
    let elapsed = now.saturating_duration_since(heard_at).as_secs_f64();
    let blocks = 2.0 * elapsed / block_time.as_secs_f64().max(0.001);
    let blocks = (blocks as u64).saturating_add(LEAP_BLOCKS);
    BlockNumber(last.0.saturating_add(blocks))
}

/// Two heads this far apart don't agree on anything.
const APART_BLOCKS: u64 = 10;

/// The highest head that two nodes have; that of a node which is alone. Of two that are far apart
/// it is the higher one: a node that is stuck is more common than one that lies.
pub fn agreed_head(heads: &[BlockNumber]) -> Option<BlockNumber> {
    let mut sorted = heads.to_vec();
    sorted.sort_unstable();
    match sorted[..] {
        [low, high] if low.lag_behind(high) > Lag(APART_BLOCKS) => Some(high),
        [] => None,
        [one] => Some(one),
        [.., second, _] => Some(second),
    }
}

#[cfg(test)]
mod tests {
    use super::ReferenceSource::{Held, Leader, Quorum};
    use super::*;

    const BLOCK_TIME: Duration = Duration::from_secs(12);

    struct Story {
        track: LeaderTracker,
        start: Instant,
    }

    impl Story {
        fn new() -> Story {
            Story {
                track: LeaderTracker::default(),
                start: crate::testing::now(),
            }
        }

        fn at(
            &mut self,
            second: u64,
            said: LeaderReport,
            own: &[u64],
        ) -> Option<(u64, ReferenceSource)> {
            let own: Vec<_> = own.iter().copied().map(BlockNumber).collect();
            let now = self.start + Duration::from_secs(second);
            let reference = self.track.hear(said, &own, BLOCK_TIME, now)?;
            Some((reference.number.0, reference.source))
        }
    }

    fn head(number: u64) -> LeaderReport {
        LeaderReport::Head(BlockNumber(number))
    }

    #[test]
    fn the_leader_is_the_reference_while_it_moves() {
        let mut story = Story::new();
        assert_eq!(story.at(0, head(100), &[98, 99]), Some((100, Leader)));
        assert_eq!(story.at(12, head(101), &[98, 99]), Some((101, Leader)));
        assert_eq!(
            story.at(17, LeaderReport::NotAsked, &[98]),
            Some((101, Leader))
        );
        assert_eq!(story.at(24, head(99), &[98]), Some((99, Leader)), "a reorg");
    }

    #[test]
    fn a_huge_head_of_one_provider_evicts_no_node() {
        let mut story = Story::new();
        story.at(0, head(100), &[100, 100]);
        assert_eq!(
            story.at(12, head(1_000_000), &[101, 101]),
            Some((101, Quorum))
        );
        assert_eq!(story.at(24, head(102), &[101, 101]), Some((102, Leader)));
    }

    #[test]
    fn a_leap_is_taken_to_its_limit_or_when_a_node_confirms_it() {
        // 12 s at 12 s a block: 2 × 1 + 5 blocks.
        for (leap, own, wanted) in [(7, 100, Leader), (8, 100, Held), (50, 145, Leader)] {
            let mut story = Story::new();
            story.at(0, head(100), &[100]);
            assert_eq!(
                story.at(12, head(100 + leap), &[own]).unwrap().1,
                wanted,
                "{leap}"
            );
        }
    }

    #[test]
    fn a_leader_that_fell_back_alone_may_return_to_where_it_was() {
        for (own, wanted) in [(&[][..], Leader), (&[2], Held)] {
            let mut story = Story::new();
            story.at(0, head(5000), &[]);
            assert_eq!(story.at(12, head(3), own), Some((3, Leader)));
            assert_eq!(story.at(24, head(5002), own).unwrap().1, wanted);
        }
    }

    #[test]
    fn a_stuck_leader_gives_way_to_two_nodes_that_agree() {
        let mut story = Story::new();
        story.at(0, head(100), &[100, 100]);
        assert_eq!(story.at(12, head(100), &[101, 101]).unwrap().1, Leader);
        assert_eq!(
            story.at(35, head(100), &[103, 103]).unwrap().1,
            Leader,
            "not yet"
        );
        assert_eq!(story.at(36, head(100), &[103, 102]), Some((102, Quorum)));
        assert_eq!(
            story.at(37, head(100), &[103, 100]).unwrap().1,
            Leader,
            "one alone"
        );
        assert_eq!(story.at(48, head(104), &[104, 104]), Some((104, Leader)));
    }

    #[test]
    fn nodes_without_a_block_are_no_reference_where_the_leader_had_some() {
        let mut story = Story::new();
        story.at(0, head(100), &[]);
        for own in [&[0][..], &[0, 0], &[]] {
            let later = story.at(60, LeaderReport::Nothing, own);
            assert_eq!(later, Some((100, Held)), "{own:?}");
        }
        let mut new_chain = Story::new();
        assert_eq!(
            new_chain.at(0, LeaderReport::Absent, &[0]),
            Some((0, Quorum))
        );
    }

    #[test]
    fn a_silent_leader_is_held_for_a_while_and_then_the_nodes_agree() {
        let mut story = Story::new();
        story.at(0, head(100), &[100]);
        assert_eq!(
            story.at(29, LeaderReport::Nothing, &[102, 101]),
            Some((100, Held))
        );
        assert_eq!(
            story.at(30, LeaderReport::Nothing, &[102, 101]),
            Some((101, Quorum))
        );
        assert_eq!(story.at(31, LeaderReport::Nothing, &[]), Some((100, Held)));
    }

    #[test]
    fn without_a_leader_the_nodes_agree_and_one_agrees_with_itself() {
        let mut story = Story::new();
        assert_eq!(story.at(0, LeaderReport::Absent, &[]), None);
        assert_eq!(story.at(0, LeaderReport::Absent, &[7]), Some((7, Quorum)));
        for (own, wanted) in [(&[7, 9, 8][..], 8), (&[0, 10], 0), (&[11, 0], 11)] {
            let agreed = story.at(0, LeaderReport::Absent, own);
            assert_eq!(agreed, Some((wanted, Quorum)), "{own:?}");
        }
    }

    #[test]
    fn a_leader_that_is_unfit_is_no_reference() {
        let mut story = Story::new();
        assert_eq!(story.at(0, LeaderReport::Unfit, &[7, 7]), Some((7, Quorum)));
    }
}

//! When the next block is due, by the times that the last ones took, and when nodes are looked at for it.
//!
//! Two balancers that look at the same moment see the same, and show the same head. So looks come at whole
//! multiples of a pause since 1970, and a pause is a power of two in milliseconds: a balancer that takes the
//! chain for a slower one looks at some of the moments of the others. A look costs single small calls: it begins
//! with the time after which blocks have come of late, and is given up after some block times without one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::vocabulary::chain::BlockNumber;

/// The pause between two looks is at most this part of a block time.
const PAUSE_PART: u32 = 16;
const PAUSE_MILLIS_MIN: u64 = 16;
const PAUSE_MILLIS_MAX: u64 = 512;
/// Block times that are remembered.
const TIMES_MAX: usize = 32;
/// Of them this part may be shorter than the time after which the next block is due.
const EARLY_PART: usize = 8;
/// The pause doubles each time that so many block times have gone by without a block; after so many
/// doublings the rounds alone look.
const DOUBLING_BLOCKS: u32 = 2;
const DOUBLINGS_MAX: u32 = 5;

/// What the last blocks say of the next one.
#[derive(Clone, Debug, Default)]
pub(super) struct BlockSchedule {
    last: Option<(BlockNumber, Instant)>,
    /// For one block each.
    times: VecDeque<Duration>,
    /// What most of them aren't shorter than; `None`: none is known.
    early: Option<Duration>,
}

/// The next block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueBlock {
    /// It comes no sooner, as a rule.
    from: Instant,
    block_time: Duration,
}

/// One look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueLook {
    pub after: Duration,
    /// In milliseconds since 1970.
    pub moment: u64,
}

impl BlockSchedule {
    /// Clients are shown `head` from `now` on, or since before.
    pub(super) fn hear(&mut self, head: BlockNumber, now: Instant) {
        let before = self.last;
        if before.is_some_and(|(last, _)| last == head) {
            return;
        }
        self.last = Some((head, now));
        let Some((last, at)) = before else { return };
        // One that was taken back says nothing.
        let Some(blocks) = head.0.checked_sub(last.0) else {
            return;
        };
        if self.times.len() == TIMES_MAX {
            self.times.pop_front();
        }
        let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
        self.times
            .push_back(now.saturating_duration_since(at) / blocks);
        let mut times: Vec<_> = self.times.iter().copied().collect();
        times.sort_unstable();
        self.early = times.get(times.len() / EARLY_PART).copied();
    }

    /// The next block, on a chain that takes `block_time` for one; `None`: nothing is known.
    pub(super) fn due(&self, block_time: Duration) -> Option<DueBlock> {
        let (_, at) = self.last?;
        let early = self.early?.min(block_time);
        let pause = Duration::from_millis(pause_millis(block_time));
        Some(DueBlock {
            from: at + early.saturating_sub(pause),
            block_time,
        })
    }
}

impl DueBlock {
    /// The next look after the one of the moment `last`, at `now`, which is `unix` in milliseconds since 1970.
    /// `None`: it is awaited no longer, but by the rounds.
    pub fn look(&self, last: u64, (now, unix): (Instant, u64)) -> Option<DueLook> {
        let wait = self.from.saturating_duration_since(now);
        let late = now.saturating_duration_since(self.from);
        let times = late.as_secs_f64() / self.block_time.as_secs_f64().max(f64::MIN_POSITIVE);
        let doublings = (times / f64::from(DOUBLING_BLOCKS)) as u32;
        if doublings >= DOUBLINGS_MAX {
            return None;
        }
        let pause = pause_millis(self.block_time) << doublings;
        let begins = unix.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let next = begins.div_ceil(pause).saturating_mul(pause);
        // A clock that was set back must not stop it.
        let is_past = next <= last && last < unix.saturating_add(pause);
        let moment = if is_past {
            next.saturating_add(pause)
        } else {
            next
        };
        Some(DueLook {
            after: Duration::from_millis(moment.saturating_sub(unix)),
            moment,
        })
    }
}

/// Between two looks, on a chain that takes `block_time` for a block.
pub(super) fn pause_millis(block_time: Duration) -> u64 {
    let part = (block_time / PAUSE_PART).as_millis();
    let most = u64::try_from(part).unwrap_or(PAUSE_MILLIS_MAX);
    let most = most.clamp(PAUSE_MILLIS_MIN, PAUSE_MILLIS_MAX);
    1 << most.ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// Blocks that took so many milliseconds each; when the last one came.
    fn after(times: &[u32]) -> (BlockSchedule, Instant) {
        let mut schedule = BlockSchedule::default();
        let mut now = crate::testing::now();
        schedule.hear(BlockNumber(100), now);
        for (number, time) in (101..).zip(times) {
            now += MILLISECOND * *time;
            schedule.hear(BlockNumber(number), now);
            schedule.hear(BlockNumber(number), now + MILLISECOND);
        }
        (schedule, now)
    }

    fn from(schedule: &BlockSchedule, since: Instant, block_time: u32) -> Option<u128> {
        let due = schedule.due(MILLISECOND * block_time)?;
        Some(due.from.duration_since(since).as_millis())
    }

    #[test]
    fn a_block_is_due_a_pause_before_the_time_that_one_takes() {
        let (schedule, last) = after(&[2000; 4]);
        assert_eq!(from(&schedule, last, 2000), Some(2000 - 64));
        let (schedule, last) = after(&[12_000; 32]);
        assert_eq!(from(&schedule, last, 12_000), Some(12_000 - 512));
        let (schedule, last) = after(&[250; 32]);
        assert_eq!(from(&schedule, last, 250), Some(250 - 16));
        let (schedule, last) = after(&[2000]);
        assert_eq!(from(&schedule, last, 2000), Some(2000 - 64));
        let (schedule, _) = after(&[]);
        assert_eq!(schedule.due(MILLISECOND * 2000), None, "nothing is known");
    }

    #[test]
    fn it_is_due_when_an_eighth_of_the_last_ones_came_sooner_and_late_ones_change_nothing() {
        let mut times = [2000; 32];
        times[..4].fill(100);
        times[4..8].fill(1500);
        times[31] = 9000;
        let (schedule, last) = after(&times);
        assert_eq!(from(&schedule, last, 2000), Some(1500 - 64));
        let (schedule, last) = after(&[9000; 32]);
        assert_eq!(from(&schedule, last, 2000), Some(2000 - 64), "not later");
        let (schedule, last) = after(&[10; 32]);
        assert_eq!(from(&schedule, last, 2000), Some(0));
    }

    #[test]
    fn several_blocks_at_once_took_their_part_of_the_time_each_and_fallen_ones_none() {
        let (mut schedule, mut now) = after(&[2000; 32]);
        now += MILLISECOND * 3000;
        schedule.hear(BlockNumber(135), now);
        assert_eq!(schedule.times.back(), Some(&(MILLISECOND * 1000)));
        schedule.hear(BlockNumber(130), now + MILLISECOND);
        assert_eq!(schedule.times.back(), Some(&(MILLISECOND * 1000)));
        assert_eq!(schedule.times.len(), TIMES_MAX);
    }

    #[test]
    fn looks_come_at_moments_that_all_balancers_share() {
        let (schedule, last) = after(&[2000; 8]);
        let due = schedule.due(MILLISECOND * 2000).unwrap();
        let slower = schedule.due(MILLISECOND * 4200).unwrap();
        // 1,936 ms later it is due; the next multiple of 64 since 1970 is taken.
        let begun = 1_000_000_000;
        let look = due.look(0, (last, begun)).unwrap();
        assert_eq!((look.moment % 64, look.moment), (0, 1_000_001_984));
        assert_eq!(look.after, MILLISECOND * 1984);
        let at = |millis: u32| (last + MILLISECOND * millis, begun + u64::from(millis));
        let next = due.look(look.moment, at(1984)).unwrap();
        assert_eq!(
            (next.moment, next.after),
            (look.moment + 64, 64 * MILLISECOND)
        );
        let late = due.look(look.moment, at(2000)).unwrap();
        assert_eq!(late.moment, look.moment + 64);
        let other = slower.look(0, at(1984)).unwrap();
        assert_eq!(other.moment % 128, 0);
        // The clock was set back by an hour.
        let back = due.look(look.moment + 3_600_000, at(2000)).unwrap();
        assert_eq!(back.moment, look.moment + 64);
    }

    #[test]
    fn looks_grow_rare_where_no_block_comes_and_end() {
        let (schedule, last) = after(&[2000; 8]);
        let due = schedule.due(MILLISECOND * 2000).unwrap();
        let mut now = (last, 1_000_000_000);
        let (mut moment, mut looks) = (0, 0);
        while let Some(look) = due.look(moment, now) {
            now.0 += look.after;
            now.1 += u64::try_from(look.after.as_millis()).unwrap();
            moment = look.moment;
            looks += 1;
            assert!(looks < 1000, "they don't end");
        }
        assert!((100..140).contains(&looks), "{looks}");
        let waited = now.0.duration_since(last);
        assert!(waited < MILLISECOND * 2000 * 13, "{waited:?}");
    }

    proptest! {
        #[test]
        fn whatever_was_heard_looks_go_on_in_time_or_end(
            heard in prop::collection::vec((any::<u64>(), 0..100_000u32), 0..50),
            block_time in 0..1_000_000u32,
            (unix, last) in (any::<u64>(), any::<u64>()),
        ) {
            let (mut schedule, mut now) = (BlockSchedule::default(), crate::testing::now());
            for (number, passed) in heard {
                now += MILLISECOND * passed;
                schedule.hear(BlockNumber(number), now);
            }
            prop_assert!(schedule.times.len() <= TIMES_MAX);
            let unix = unix / 2;
            let block_time = MILLISECOND * block_time;
            if let Some(due) = schedule.due(block_time)
                && let Some(look) = due.look(last, (now, unix))
            {
                let longest = PAUSE_MILLIS_MAX << DOUBLINGS_MAX;
                prop_assert!(look.after <= block_time + 2 * MILLISECOND * longest as u32);
                prop_assert!(look.moment >= unix);
            }
        }
    }
}

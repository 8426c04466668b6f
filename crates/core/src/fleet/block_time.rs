//! How fast the chain goes: the time between blocks that own nodes agree on.
//!
//! It begins with what the settings say and follows what is seen, by no more than a factor of two in
//! [`DOUBLING_BLOCKS`]: some odd minutes change little, and a wrong setting is made good in time.

use std::time::{Duration, Instant};

use crate::vocabulary::chain::BlockNumber;

/// It is never said to be faster, or slower, than this.
pub(super) const BLOCK_TIME_MIN: Duration = Duration::from_millis(100);
pub(super) const BLOCK_TIME_MAX: Duration = Duration::from_secs(600);
/// Blocks in which the block time at most doubles or halves.
const DOUBLING_BLOCKS: f64 = 30.0;
/// Blocks over which the mean is taken, roughly.
const MEAN_BLOCKS: f64 = 16.0;
/// Setting and block time differ when one is this many times the other, and until it is fewer again.
const DIFFERS: f64 = 2.0;
const ALIKE: f64 = 1.5;

/// Follows the block time.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockTimeTracker {
    setting: Duration,
    block_time: Duration,
    /// As seen, without a limit to how fast it changes.
    mean: Option<Duration>,
    last: Option<(BlockNumber, Instant)>,
    differs: bool,
}

impl BlockTimeTracker {
    pub(super) fn new(setting: Duration) -> BlockTimeTracker {
        BlockTimeTracker {
            setting,
            block_time: setting.clamp(BLOCK_TIME_MIN, BLOCK_TIME_MAX),
            mean: None,
            last: None,
            differs: false,
        }
    }

    /// The time from one block to the next.
    pub(super) fn current(&self) -> Duration {
        self.block_time
    }

    pub(super) fn setting(&self) -> Duration {
        self.setting
    }

    /// The shortest that it can be, as far as is known: for what must not hang on a wrong setting.
    pub(super) fn quickest(&self) -> Duration {
        self.mean.unwrap_or(BLOCK_TIME_MIN).min(self.block_time)
    }

    /// The same, where the setting is believed until something was seen.
    pub(super) fn likely(&self) -> Duration {
        self.mean.unwrap_or(self.block_time).min(self.block_time)
    }

    /// Whether the setting is far from what is seen.
    pub(super) fn differs(&self) -> bool {
        self.differs
    }

    /// Hears the highest block that own nodes agree on. Where it falls, or is the first, the time
    /// before it says nothing.
    pub(super) fn hear(&mut self, agreed: BlockNumber, now: Instant) {
        let Some((number, at)) = self.last else {
            self.last = Some((agreed, now));
            return;
        };
        if agreed == number {
            return;
        }
        self.last = Some((agreed, now));
        let Some(blocks) = agreed.0.checked_sub(number.0) else {
            return;
        };
        let blocks = blocks as f64;
        let seen = now.saturating_duration_since(at).as_secs_f64() / blocks;
        self.mean = Some(nearer(self.mean.unwrap_or(self.block_time), seen, blocks));
        let most = 2f64.powf(blocks / DOUBLING_BLOCKS);
        let wanted = nearer(self.block_time, seen, blocks).as_secs_f64();
        let was = self.block_time.as_secs_f64();
        let is = wanted.clamp(was / most, was * most);
        self.block_time = bounded(is);
        let limit = if self.differs { ALIKE } else { DIFFERS };
        let ratio =
            self.block_time.as_secs_f64() / self.setting.as_secs_f64().max(f64::MIN_POSITIVE);
        self.differs = !(1.0 / limit..=limit).contains(&ratio);
    }
}

/// The mean, with so many `blocks` more of `seen` seconds each.
fn nearer(mean: Duration, seen: f64, blocks: f64) -> Duration {
    let kept = (1.0 - 1.0 / MEAN_BLOCKS).powf(blocks);
    bounded(mean.as_secs_f64() * kept + seen * (1.0 - kept))
}

fn bounded(seconds: f64) -> Duration {
    Duration::from_secs_f64(
        seconds.clamp(BLOCK_TIME_MIN.as_secs_f64(), BLOCK_TIME_MAX.as_secs_f64()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(count: f64) -> Duration {
        Duration::from_secs_f64(count)
    }

    /// Hears `blocks` more, one every `each`, looked at every `look`.
    fn go_on(
        tracker: &mut BlockTimeTracker,
        from: &mut (u64, Instant),
        blocks: u64,
        each: f64,
        look: f64,
    ) {
        let per_look = ((look / each) as u64).max(1);
        for _ in 0..blocks.div_ceil(per_look) {
            from.0 += per_look;
            from.1 += seconds(each * per_look as f64);
            tracker.hear(BlockNumber(from.0), from.1);
        }
    }

    #[test]
    fn it_follows_what_is_seen_by_no_more_than_a_factor_of_two_in_thirty_blocks() {
        let mut tracker = BlockTimeTracker::new(seconds(12.0));
        let mut at = (100, crate::testing::now());
        tracker.hear(BlockNumber(at.0), at.1);
        assert!(!tracker.differs());
        go_on(&mut tracker, &mut at, 30, 0.25, 0.25);
        let after_thirty = tracker.current().as_secs_f64();
        assert!((5.99..6.01).contains(&after_thirty), "{after_thirty}");
        go_on(&mut tracker, &mut at, 170, 0.25, 5.0);
        assert!(tracker.differs());
        assert!(tracker.current() < seconds(0.3), "{:?}", tracker.current());
        assert!(tracker.quickest() <= tracker.current());
        go_on(&mut tracker, &mut at, 400, 12.0, 5.0);
        assert!(!tracker.differs(), "{:?}", tracker.current());
    }

    #[test]
    fn a_pause_of_the_chain_is_one_block_and_a_fall_none() {
        let mut tracker = BlockTimeTracker::new(seconds(12.0));
        let start = crate::testing::now();
        tracker.hear(BlockNumber(100), start);
        tracker.hear(BlockNumber(101), start + seconds(3600.0));
        assert!(tracker.current() < seconds(12.3), "{:?}", tracker.current());
        let was = tracker.current();
        tracker.hear(BlockNumber(3), start + seconds(3601.0));
        assert_eq!(tracker.current(), was);
    }

    #[test]
    fn a_fast_chain_is_thought_possible_before_anything_is_seen() {
        let tracker = BlockTimeTracker::new(seconds(12.0));
        assert_eq!(tracker.quickest(), BLOCK_TIME_MIN);
    }

    proptest! {
        #[test]
        fn whatever_is_heard_it_stays_within_its_bounds_and_steps(
            setting in 0.001..5000.0f64,
            heard in prop::collection::vec((any::<u32>(), 0.0..10_000.0f64), 1..60),
        ) {
            let mut tracker = BlockTimeTracker::new(seconds(setting));
            let (mut now, mut head) = (crate::testing::now(), 0u64);
            for (number, passed) in heard {
                let before = (head, tracker.current());
                now += seconds(passed);
                head = u64::from(number);
                tracker.hear(BlockNumber(head), now);
                prop_assert!((BLOCK_TIME_MIN..=BLOCK_TIME_MAX).contains(&tracker.current()));
                let blocks = head.saturating_sub(before.0) as f64;
                let most = 2f64.powf(blocks / 30.0) * 1.000_001;
                let ratio = tracker.current().as_secs_f64() / before.1.as_secs_f64();
                prop_assert!(ratio <= most && ratio >= 1.0 / most, "{ratio} {blocks}");
            }
        }
    }
}

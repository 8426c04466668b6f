//! How fast the chain goes: the time between blocks that own nodes agree on.
//!
//! It begins with what the settings say and follows what is seen, by no more than a factor of two in
//! [`DOUBLING_BLOCKS`]: some odd minutes change little, and a wrong setting is made good in time.

use std::time::{Duration, Instant};

use crate::vocabulary::chain::BlockNumber;

/// It is never said to be faster, or slower, than this.
pub(super) const PACE_MIN: Duration = Duration::from_millis(100);
pub(super) const PACE_MAX: Duration = Duration::from_secs(600);
/// Blocks in which the pace at most doubles or halves.
const DOUBLING_BLOCKS: f64 = 30.0;
/// Blocks over which the mean is taken, roughly.
const MEAN_BLOCKS: f64 = 16.0;
/// Setting and pace differ when one is this many times the other, and until it is fewer again.
const DIFFERS: f64 = 2.0;
const ALIKE: f64 = 1.5;

/// Follows the pace.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockTimeTracker {
    setting: Duration,
    pace: Duration,
    /// As seen, without a limit to how fast it changes.
    mean: Option<Duration>,
    last: Option<(BlockNumber, Instant)>,
    differs: bool,
}

impl BlockTimeTracker {
    pub(super) fn new(setting: Duration) -> BlockTimeTracker {
        BlockTimeTracker {
            setting,
            pace: setting.clamp(PACE_MIN, PACE_MAX),
            mean: None,
            last: None,
            differs: false,
        }
    }

    /// The time from one block to the next.
    pub(super) fn pace(&self) -> Duration {
        self.pace
    }

    pub(super) fn setting(&self) -> Duration {
        self.setting
    }

    /// The shortest that it can be, as far as is known: for what must not hang on a wrong setting.
    pub(super) fn quickest(&self) -> Duration {
        self.mean.unwrap_or(PACE_MIN).min(self.pace)
    }

    /// The same, where the setting is believed until something was seen.
    pub(super) fn likely(&self) -> Duration {
        self.mean.unwrap_or(self.pace).min(self.pace)
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
        self.mean = Some(nearer(self.mean.unwrap_or(self.pace), seen, blocks));
        let most = 2f64.powf(blocks / DOUBLING_BLOCKS);
        let wanted = nearer(self.pace, seen, blocks).as_secs_f64();
        let was = self.pace.as_secs_f64();
        let is = wanted.clamp(was / most, was * most);
        self.pace = bounded(is);
        let limit = if self.differs { ALIKE } else { DIFFERS };
        let ratio = self.pace.as_secs_f64() / self.setting.as_secs_f64().max(f64::MIN_POSITIVE);
        self.differs = !(1.0 / limit..=limit).contains(&ratio);
    }
}

/// The mean, with so many `blocks` more of `seen` seconds each.
fn nearer(mean: Duration, seen: f64, blocks: f64) -> Duration {
    let kept = (1.0 - 1.0 / MEAN_BLOCKS).powf(blocks);
    bounded(mean.as_secs_f64() * kept + seen * (1.0 - kept))
}

fn bounded(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(PACE_MIN.as_secs_f64(), PACE_MAX.as_secs_f64()))
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
        pace: &mut BlockTimeTracker,
        from: &mut (u64, Instant),
        blocks: u64,
        each: f64,
        look: f64,
    ) {
        let per_look = ((look / each) as u64).max(1);
        for _ in 0..blocks.div_ceil(per_look) {
            from.0 += per_look;
            from.1 += seconds(each * per_look as f64);
            pace.hear(BlockNumber(from.0), from.1);
        }
    }

    #[test]
    fn it_follows_what_is_seen_by_no_more_than_a_factor_of_two_in_thirty_blocks() {
        let mut pace = BlockTimeTracker::new(seconds(12.0));
        let mut at = (100, crate::testing::now());
        pace.hear(BlockNumber(at.0), at.1);
        assert!(!pace.differs());
        go_on(&mut pace, &mut at, 30, 0.25, 0.25);
        let after_thirty = pace.pace().as_secs_f64();
        assert!((5.99..6.01).contains(&after_thirty), "{after_thirty}");
        go_on(&mut pace, &mut at, 170, 0.25, 5.0);
        assert!(pace.differs());
        assert!(pace.pace() < seconds(0.3), "{:?}", pace.pace());
        assert!(pace.quickest() <= pace.pace());
        go_on(&mut pace, &mut at, 400, 12.0, 5.0);
        assert!(!pace.differs(), "{:?}", pace.pace());
    }

    #[test]
    fn a_pause_of_the_chain_is_one_block_and_a_fall_none() {
        let mut pace = BlockTimeTracker::new(seconds(12.0));
        let start = crate::testing::now();
        pace.hear(BlockNumber(100), start);
        pace.hear(BlockNumber(101), start + seconds(3600.0));
        assert!(pace.pace() < seconds(12.3), "{:?}", pace.pace());
        let was = pace.pace();
        pace.hear(BlockNumber(3), start + seconds(3601.0));
        assert_eq!(pace.pace(), was);
    }

    #[test]
    fn a_fast_chain_is_thought_possible_before_anything_is_seen() {
        let pace = BlockTimeTracker::new(seconds(12.0));
        assert_eq!(pace.quickest(), PACE_MIN);
    }

    proptest! {
        #[test]
        fn whatever_is_heard_it_stays_within_its_bounds_and_steps(
            setting in 0.001..5000.0f64,
            heard in prop::collection::vec((any::<u32>(), 0.0..10_000.0f64), 1..60),
        ) {
            let mut pace = BlockTimeTracker::new(seconds(setting));
            let (mut now, mut head) = (crate::testing::now(), 0u64);
            for (number, passed) in heard {
                let before = (head, pace.pace());
                now += seconds(passed);
                head = u64::from(number);
                pace.hear(BlockNumber(head), now);
                prop_assert!((PACE_MIN..=PACE_MAX).contains(&pace.pace()));
                let blocks = head.saturating_sub(before.0) as f64;
                let most = 2f64.powf(blocks / 30.0) * 1.000_001;
                let ratio = pace.pace().as_secs_f64() / before.1.as_secs_f64();
                prop_assert!(ratio <= most && ratio >= 1.0 / most, "{ratio} {blocks}");
            }
        }
    }
}

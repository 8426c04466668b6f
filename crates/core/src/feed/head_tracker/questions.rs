//! When a missing block may be asked for.
//!
//! One that wasn't asked for before may be at once. One that was, after a pause that doubles each
//! time; and of such no more than one a second, however many are missing. So no node is asked more
//! often than it, or another, names new blocks, and once a second beside.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::vocabulary::chain::BlockHash;

/// Before a block is asked for again: doubling, from the first to the last.
pub(super) const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LAST: Duration = Duration::from_secs(32);
/// From one repeated question to the next, whichever block it is for.
const REPEAT_EVERY: Duration = Duration::from_secs(1);
/// Blocks that are remembered as asked for.
const REMEMBERED_MAX: usize = 1024;

#[derive(Debug)]
struct HeaderQuestion {
    at: Instant,
    pause: Duration,
}

/// The questions asked so far.
#[derive(Debug, Default)]
pub(super) struct HeaderQuestions {
    asked: HashMap<BlockHash, HeaderQuestion>,
    /// Oldest first.
    order: VecDeque<BlockHash>,
    repeat_at: Option<Instant>,
}

impl HeaderQuestions {
    /// Until when the block `hash` may not be asked for; `None`: it may be now.
    pub(super) fn wait(&self, hash: BlockHash, now: Instant) -> Option<Instant> {
        let asked = self.asked.get(&hash)?;
        let again_at = asked.at + asked.pause;
        let until = self.turn(now).map_or(again_at, |turn| turn.max(again_at));
        (until > now).then_some(until)
    }

    /// Until when no block may be asked for again, whichever it is; `None`: one may be now.
    pub(super) fn turn(&self, now: Instant) -> Option<Instant> {
        self.repeat_at.filter(|repeat_at| *repeat_at > now)
    }

    /// Whether it was asked for since then.
    pub(super) fn was_asked(&self, hash: BlockHash, since: Instant) -> bool {
        let asked = self.asked.get(&hash);
        asked.is_some_and(|asked| asked.at >= since)
    }

    /// The block `hash` is asked for.
    pub(super) fn ask(&mut self, hash: BlockHash, now: Instant) {
        if let Some(asked) = self.asked.get_mut(&hash) {
            asked.pause = (asked.pause * 2).min(PAUSE_LAST);
            asked.at = now;
            self.repeat_at = Some(now + REPEAT_EVERY);
            return;
        }
        let (at, pause) = (now, PAUSE_FIRST);
        self.asked.insert(hash, HeaderQuestion { at, pause });
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.asked.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(seed: usize) -> BlockHash {
        crate::testing::hash_of(seed as u64)
    }

    #[test]
    fn a_block_is_asked_for_again_after_pauses_that_grow_up_to_a_limit() {
        let mut now = crate::testing::now();
        let mut questions = HeaderQuestions::default();
        assert_eq!(questions.wait(hash(1), now), None);
        for seconds in [1, 2, 4, 8, 16, 32, 32] {
            questions.ask(hash(1), now);
            assert!(questions.was_asked(hash(1), now));
            let until = now + Duration::from_secs(seconds);
            assert_eq!(questions.wait(hash(1), now), Some(until));
            now = until;
            assert_eq!(questions.wait(hash(1), now), None);
            assert!(!questions.was_asked(hash(1), now));
        }
    }

    #[test]
    fn of_many_missing_blocks_one_a_second_is_asked_for_again() {
        let now = crate::testing::now();
        let mut questions = HeaderQuestions::default();
        for seed in 0..REMEMBERED_MAX {
            assert_eq!(questions.wait(hash(seed), now), None, "each is new");
            questions.ask(hash(seed), now);
        }
        let later = now + PAUSE_LAST;
        assert_eq!(questions.wait(hash(1), later), None);
        questions.ask(hash(1), later);
        let next = later + REPEAT_EVERY;
        assert_eq!(questions.wait(hash(2), later), Some(next));
        assert_eq!(questions.wait(hash(2), next), None);
        questions.ask(hash(REMEMBERED_MAX), later);
        assert_eq!(questions.asked.len(), REMEMBERED_MAX);
        assert_eq!(questions.wait(hash(0), later), None, "forgotten");
    }
}

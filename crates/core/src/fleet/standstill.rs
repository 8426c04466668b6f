//! Whether a node stands still while another goes on.
//!
//! How many stand still doesn't matter: a majority that has stopped is no chain.

use std::time::{Duration, Instant};

/// Block times for which it must have stood still.
const BLOCK_TIMES: u32 = 3;
/// Looks at it, at the least, in which another was ahead.
const LOOKS_MIN: u32 = 2;
/// Where its head comes with the looks alone, so many times the time between two looks.
const LOOK_TIMES: u32 = 2;

/// What is known of one node's moves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StallDetector {
    moved_at: Option<Instant>,
    /// Its last move was told unasked: its silence says something, too.
    tells_unasked: bool,
    /// Since when, and in how many looks, another has been ahead and going on.
    behind: Option<(Instant, u32)>,
}

impl StallDetector {
    /// Its head has risen.
    pub(super) fn moved(&mut self, tells_unasked: bool, now: Instant) {
        *self = StallDetector {
            moved_at: Some(now),
            tells_unasked,
            behind: None,
        };
    }

    pub(super) fn moved_at(&self) -> Option<Instant> {
        self.moved_at
    }

    /// How long it may stand still.
    pub(super) fn patience(&self, block_time: Duration, look: Duration) -> Duration {
        let patience = block_time * BLOCK_TIMES;
        if self.tells_unasked {
            patience
        } else {
            patience.max(look * LOOK_TIMES)
        }
    }

    /// It was looked at; `others_go_on`: whether another node goes on meanwhile.
    pub(super) fn looked_at(&mut self, others_go_on: bool, now: Instant) {
        self.behind = others_go_on.then(|| {
            let (since, looks) = self.behind.unwrap_or((now, 0));
            (since, looks.saturating_add(1))
        });
    }

    pub(super) fn is_stuck(&self, patience: Duration, now: Instant) -> bool {
        let has_lasted = |since| now.saturating_duration_since(since) >= patience;
        self.behind
            .is_some_and(|(since, looks)| looks >= LOOKS_MIN && has_lasted(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_stuck_after_its_patience_and_two_looks_in_which_others_went_on() {
        let start = crate::testing::now();
        let mut node = StallDetector::default();
        node.moved(false, start);
        let patience = node.patience(12 * SECOND, 5 * SECOND);
        assert_eq!(patience, 36 * SECOND);
        node.looked_at(true, start);
        assert!(!node.is_stuck(patience, start + 40 * SECOND), "one look");
        node.looked_at(true, start + 35 * SECOND);
        assert!(!node.is_stuck(patience, start + 35 * SECOND));
        assert!(node.is_stuck(patience, start + 36 * SECOND));
        node.looked_at(false, start + 40 * SECOND);
        assert!(
            !node.is_stuck(patience, start + 90 * SECOND),
            "a pause of all"
        );
    }

    #[test]
    fn a_move_is_a_new_beginning() {
        let start = crate::testing::now();
        let mut node = StallDetector::default();
        for look in 0..10 {
            node.looked_at(true, start + look * 12 * SECOND);
        }
        let end = start + 120 * SECOND;
        assert!(node.is_stuck(36 * SECOND, end));
        node.moved(false, end);
        assert!(!node.is_stuck(36 * SECOND, end + 60 * SECOND));
    }

    #[test]
    fn a_quick_chain_is_looked_at_twice_unless_the_node_tells_by_itself() {
        let now = crate::testing::now();
        let (block_time, look) = (SECOND / 4, 5 * SECOND);
        let mut node = StallDetector::default();
        node.moved(false, now);
        assert_eq!(node.patience(block_time, look), 10 * SECOND);
        node.moved(true, now);
        assert_eq!(node.patience(block_time, look), 3 * SECOND / 4);
    }
}

//! Whether a node's socket has fallen silent: others tell of more than it does, for too long.

use std::time::{Duration, Instant};

/// Block times without a head, while others move, after which a socket is stale.
const BLOCK_TIMES: u32 = 3;
/// And at the least after this long: heads come by a busy machine.
const PATIENCE_MIN: Duration = Duration::from_secs(2);

/// What one socket has told, beside what was told by all.
#[derive(Debug)]
pub struct SocketStaleness {
    head: u64,
    /// Since when others have told more, with no head from this one.
    behind_since: Option<Instant>,
}

impl SocketStaleness {
    /// A fresh socket isn't behind: what is `told` already doesn't come again.
    pub fn new(told: u64) -> SocketStaleness {
        SocketStaleness {
            head: told,
            behind_since: None,
        }
    }

    /// It has told a head.
    pub fn broken(&mut self, head: u64) {
        *self = SocketStaleness::new(head);
    }

    /// Whether it has lasted too long, while block `told` is the last of all. By the clock of the
    /// others: a chain may pause.
    pub fn is_stale(&mut self, told: u64, block_time: Duration, now: Instant) -> bool {
        if self.head == 0 {
            // Nothing was told yet when it began: the first that is told is no move of others.
            self.head = told;
        }
        if told <= self.head {
            self.behind_since = None;
            return false;
        }
        let since = *self.behind_since.get_or_insert(now);
        let patience = (block_time * BLOCK_TIMES).max(PATIENCE_MIN);
        now.saturating_duration_since(since) > patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_TIME: Duration = Duration::from_secs(12);
    const LONG: Duration = Duration::from_secs(37);

    #[test]
    fn it_is_stale_after_three_block_times_in_which_others_were_ahead() {
        let start = crate::testing::now();
        let mut staleness = SocketStaleness::new(7);
        assert!(!staleness.is_stale(7, BLOCK_TIME, start + LONG), "a pause");
        assert!(!staleness.is_stale(8, BLOCK_TIME, start + LONG));
        let limit = start + LONG + BLOCK_TIME * BLOCK_TIMES;
        assert!(!staleness.is_stale(9, BLOCK_TIME, limit));
        assert!(staleness.is_stale(9, BLOCK_TIME, limit + Duration::from_millis(1)));
        staleness.broken(9);
        assert!(!staleness.is_stale(9, BLOCK_TIME, limit + LONG));
    }

    #[test]
    fn a_quick_chain_has_two_seconds() {
        let start = crate::testing::now();
        let mut staleness = SocketStaleness::new(7);
        let quick = Duration::from_millis(100);
        assert!(!staleness.is_stale(8, quick, start));
        assert!(!staleness.is_stale(8, quick, start + PATIENCE_MIN));
        assert!(staleness.is_stale(8, quick, start + PATIENCE_MIN * 2));
    }

    #[test]
    fn what_a_reorg_takes_back_and_what_is_told_first_are_no_moves_of_others() {
        let start = crate::testing::now();
        let mut staleness = SocketStaleness::new(7);
        assert!(!staleness.is_stale(8, BLOCK_TIME, start));
        assert!(!staleness.is_stale(7, BLOCK_TIME, start + LONG));
        assert!(!staleness.is_stale(8, BLOCK_TIME, start + LONG * 2));
        let mut first = SocketStaleness::new(0);
        assert!(!first.is_stale(8, BLOCK_TIME, start));
        assert!(!first.is_stale(8, BLOCK_TIME, start + LONG));
    }
}

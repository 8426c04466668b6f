//! A node that says that it is syncing and is at the head of the chain all the same: because it builds
//! an index there (geth), or because it says so for ever (nodes of fast chains).

use std::time::{Duration, Instant};

use crate::fleet::report::SyncReport;
use crate::vocabulary::chain::BlockNumber;

/// Without others to compare it with, a head of so many block times is no head any more.
const AGE_MAX: u32 = 10;
/// So long, and in so many rounds, a node must keep up until its word is not believed any more.
const ROUNDS_MIN: u32 = 3;
const TIME_MIN: Duration = Duration::from_secs(60);

/// What a node shows while it says that it is syncing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SyncProgress {
    sync: Option<SyncReport>,
    run: Option<SyncedRun>,
}

/// Rounds in a row in which it kept up.
#[derive(Clone, Copy, Debug)]
struct SyncedRun {
    since: Instant,
    head: BlockNumber,
    rounds: u32,
}

impl SyncProgress {
    /// `None`: it doesn't say that it is syncing.
    pub(super) fn hear(&mut self, sync: Option<SyncReport>) {
        self.sync = sync;
        if sync.is_none() {
            self.run = None;
        }
    }

    /// Whether it says that it is syncing: then it is asked for the state at its head.
    pub(super) fn says_syncing(&self) -> bool {
        self.sync.is_some()
    }

    pub(super) fn is_at_head(&self) -> bool {
        self.sync.is_some_and(|sync| sync.is_at_head)
    }

    pub(super) fn indexes(&self) -> bool {
        self.is_at_head() && self.sync.is_some_and(|sync| sync.indexes)
    }

    /// Hears a round in which its head was `head`, and `is_near` the reference. Returns whether its word
    /// is not to be believed. `is_compared`: others tell of the chain, too.
    pub(super) fn is_fit(
        &mut self,
        (head, is_near): (BlockNumber, bool),
        is_compared: bool,
        block_time: Duration,
        now: Instant,
    ) -> bool {
        let Some(sync) = self.sync else { return false };
        let keeps_up = self.count((head, is_near && sync.has_state), now);
        let is_young = sync.head_age.is_some_and(|age| age <= block_time * AGE_MAX);
        keeps_up || sync.is_at_head && head.0 > 0 && (is_compared || is_young)
    }

    fn count(&mut self, (head, is_good): (BlockNumber, bool), now: Instant) -> bool {
        if !is_good {
            self.run = None;
            return false;
        }
        let begins = SyncedRun {
            since: now,
            head,
            rounds: 0,
        };
        let run = self.run.get_or_insert(begins);
        run.rounds = run.rounds.saturating_add(1);
        let time = now.saturating_duration_since(run.since);
        run.rounds >= ROUNDS_MIN && time >= TIME_MIN && head > run.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_TIME: Duration = Duration::from_secs(12);
    const SYNCING: SyncReport = SyncReport {
        is_at_head: false,
        indexes: false,
        head_age: None,
        has_state: true,
    };

    #[test]
    fn an_indexing_node_at_the_head_is_fit_if_others_show_it_or_the_head_is_young() {
        let now = crate::testing::now();
        let head = BlockNumber(7);
        for (is_at_head, is_compared, age, wanted) in [
            (true, true, None, true),
            (true, false, Some(120), true),
            (true, false, Some(121), false),
            (true, false, None, false),
            (false, true, Some(0), false),
        ] {
            let mut node = SyncProgress::default();
            node.hear(Some(SyncReport {
                is_at_head,
                indexes: true,
                head_age: age.map(Duration::from_secs),
                ..SYNCING
            }));
            let is_fit = node.is_fit((head, true), is_compared, BLOCK_TIME, now);
            assert_eq!(is_fit, wanted, "{is_at_head} {is_compared} {age:?}");
            assert_eq!(node.indexes(), is_at_head);
            let zero = (BlockNumber(0), true);
            assert!(!node.is_fit(zero, is_compared, BLOCK_TIME, now));
        }
    }

    /// Whether a node is fit in the last of rounds 20 s apart, by its head and whether it was near.
    fn after(rounds: &[(u64, bool)], has_state: bool) -> bool {
        let mut node = SyncProgress::default();
        let mut now = crate::testing::now();
        let mut is_fit = false;
        for (head, is_near) in rounds {
            node.hear(Some(SyncReport {
                has_state,
                ..SYNCING
            }));
            is_fit = node.is_fit((BlockNumber(*head), *is_near), true, BLOCK_TIME, now);
            now += Duration::from_secs(20);
        }
        is_fit
    }

    #[test]
    fn a_node_that_always_says_it_syncs_and_keeps_up_for_a_minute_is_fit() {
        let good = [(1, true), (2, true), (3, true), (4, true)];
        assert!(after(&good, true));
        assert!(!after(&good[..3], true), "40 s");
        assert!(!after(&good, false), "it has no state there");
        assert!(!after(&[(1, true); 4], true), "it stands still");
        let fell_behind = [(1, true), (2, false), (3, true), (4, true), (5, true)];
        assert!(!after(&fell_behind, true));
    }
}

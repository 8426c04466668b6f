//! Nodes that hold a look-up of a transaction back until they know more (evmd: for seconds): what is
//! asked in polls then goes alone, to be joined by the next call for it.

use std::time::{Duration, Instant};

use crate::fleet::conduct::Conduct;
use crate::vocabulary::chain::BlockNumber;

/// After this time without an answer a look-up is held back.
pub const HELD_AFTER: Duration = Duration::from_secs(2);
/// How long it is remembered that nodes do so.
const MEMORY: Duration = Duration::from_secs(600);

/// One that was begun before there was another head is joined only once it has taken so long: an
/// answer of the moment before won't do.
const JOINED_AFTER: Duration = Duration::from_millis(500);

/// The most look-ups of one batch that are polls for what is to come; a batch that looks up more asks for
/// what is there, and may wait for it.
const POLLS_MAX: usize = 4;

/// Until when so many look-ups that go together wait for their node before they go alone.
pub fn gives_up_at(lookups: usize, now: Instant) -> Option<Instant> {
    are_polls(lookups).then(|| now + HELD_AFTER)
}

/// Whether so many look-ups of one batch are polls.
fn are_polls(lookups: usize) -> bool {
    (1..=POLLS_MAX).contains(&lookups)
}

/// A look-up that is under way.
#[derive(Clone, Copy, Debug)]
pub struct OpenLookup {
    /// When it was begun.
    pub begun_at: Instant,
    /// What clients were shown then.
    pub head: Option<BlockNumber>,
}

impl OpenLookup {
    /// Whether one that is asked for while clients are shown `head` may have its answer.
    pub fn may_be_joined(self, head: Option<BlockNumber>, now: Instant) -> bool {
        self.head == head || now.saturating_duration_since(self.begun_at) >= JOINED_AFTER
    }
}

/// When a node held a look-up back last.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastHoldback(Option<Instant>);

impl LastHoldback {
    /// A look-up that was begun then has come to its end at a node of such `conduct`, or has none yet. Of
    /// a node that answers no call it says nothing.
    pub fn hear_of(&mut self, conduct: &Conduct, begun_at: Instant, now: Instant) {
        let is_late = now.saturating_duration_since(begun_at) >= HELD_AFTER;
        if is_late && conduct.was_heard_since(begun_at) {
            self.0 = Some(now);
        }
    }

    /// Whether so many look-ups of one batch go alone, to be joined: nodes hold them back, as was seen of
    /// late, and they are polls. More of them are one request, not as many.
    pub fn go_alone(self, lookups: usize, now: Instant) -> bool {
        let is_of_late = |at| now.saturating_duration_since(at) < MEMORY;
        are_polls(lookups) && self.0.is_some_and(is_of_late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_of_before_the_head_is_joined_only_once_it_is_held_back() {
        let begun_at = crate::testing::now();
        let [head, next] = [7, 8].map(|number| Some(BlockNumber(number)));
        let open = OpenLookup { begun_at, head };
        let after = |millis| begun_at + Duration::from_millis(millis);
        assert!(open.may_be_joined(head, after(0)));
        assert!(!open.may_be_joined(next, after(499)));
        assert!(open.may_be_joined(next, after(500)));
    }

    #[test]
    fn only_polls_go_alone_and_only_while_nodes_hold_them_back() {
        let start = crate::testing::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let conduct = Conduct::new(start);
        let mut held_back = LastHoldback::default();
        held_back.hear_of(&conduct, later(10), later(12));
        assert!(!held_back.go_alone(1, later(12)), "it answers no call");
        conduct.heard(later(11));
        held_back.hear_of(&conduct, later(10), later(11));
        assert!(!held_back.go_alone(1, later(11)), "it took no time");
        held_back.hear_of(&conduct, later(10), later(12));
        for (count, at, wanted) in [
            (0, 12, false),
            (1, 12, true),
            (POLLS_MAX, 611, true),
            (POLLS_MAX + 1, 12, false),
            (1_000, 12, false),
            (1, 612, false),
        ] {
            assert_eq!(held_back.go_alone(count, later(at)), wanted, "{count}");
        }
        assert_eq!(gives_up_at(POLLS_MAX, start), Some(later(2)));
        assert_eq!(gives_up_at(POLLS_MAX + 1, start), None);
    }
}

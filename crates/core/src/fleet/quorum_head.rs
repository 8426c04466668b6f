//! A head that the fleet agrees on: what enough weight of it has. For the block tags `safe` and
//! `finalized`, which never go back, and are asked for as seldom as they move.

use crate::vocabulary::chain::BlockNumber;

/// Follows one tag from round to round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QuorumHead {
    head: Option<BlockNumber>,
}

impl QuorumHead {
    pub(super) fn head(&self) -> Option<BlockNumber> {
        self.head
    }

    /// Hears what nodes that serve say, each with its weight. It goes back only with a chain that
    /// begins anew.
    pub(super) fn hear(&mut self, told: Vec<(BlockNumber, u64)>, begins_anew: bool) {
        let before = self.head.filter(|_| !begins_anew);
        self.head = before.max(carried_by_half(told));
    }
}

/// The longest pause between two looks at the tags, in rounds.
const PAUSE_MAX: u32 = 16;

/// When the tags are looked at: after a pause that doubles while they stand and halves when they move.
#[derive(Clone, Copy, Debug)]
pub(super) struct TagSchedule {
    pause: u32,
    left: u32,
}

impl Default for TagSchedule {
    fn default() -> TagSchedule {
        TagSchedule { pause: 1, left: 0 }
    }
}

impl TagSchedule {
    pub(super) fn is_due(&self) -> bool {
        self.left == 0
    }

    /// A round is over; `moved`: whether a tag did, where they were looked at.
    pub(super) fn end_round(&mut self, moved: Option<bool>) {
        self.pause = match moved {
            None => return self.left = self.left.saturating_sub(1),
            Some(true) => (self.pause / 2).max(1),
            Some(false) => (self.pause * 2).min(PAUSE_MAX),
        };
        self.left = self.pause - 1;
    }
}

/// The highest head that nodes with half of the weight have.
pub(crate) fn carried_by_half(mut heads: Vec<(BlockNumber, u64)>) -> Option<BlockNumber> {
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

    fn told(heads: &[(u64, u64)]) -> Vec<(BlockNumber, u64)> {
        let told = heads.iter();
        told.map(|(head, weight)| (BlockNumber(*head), *weight))
            .collect()
    }

    #[test]
    fn tags_are_looked_at_as_seldom_as_they_move() {
        let mut looks = TagSchedule::default();
        let mut seen = String::new();
        for round in 0..60 {
            let is_due = looks.is_due();
            seen.push(if is_due { 'x' } else { '.' });
            looks.end_round(is_due.then_some(round > 40));
        }
        assert_eq!(&seen[..32], "x.x...x.......x...............x.");
        assert_eq!(&seen[40..], "......x.......x...x.");
    }

    #[test]
    fn it_is_what_half_of_the_weight_has_and_never_goes_back() {
        let mut agreed = QuorumHead::default();
        for (heads, begins_anew, wanted) in [
            (&[][..], false, None),
            (&[(64, 1), (96, 1), (64, 1)], false, Some(64)),
            (&[(64, 1), (96, 2), (64, 1)], false, Some(96)),
            (&[(64, 1), (64, 2), (64, 1)], false, Some(96)),
            (&[], false, Some(96)),
            (&[(1, 1)], true, Some(1)),
            // On BSC, until validators have voted.
            (&[(0, 1), (0, 1)], true, Some(0)),
        ] {
            agreed.hear(told(heads), begins_anew);
            assert_eq!(agreed.head().map(|head| head.0), wanted, "{heads:?}");
        }
    }
}

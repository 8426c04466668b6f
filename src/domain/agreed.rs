//! A head that the fleet agrees on: what enough weight of it has. For the block tags `safe` and
//! `finalized`, which never go back.

use super::chain::BlockNumber;

/// Follows one tag from round to round.
#[derive(Clone, Copy, Debug, Default)]
pub struct AgreedHead {
    head: Option<BlockNumber>,
}

impl AgreedHead {
    pub fn head(&self) -> Option<BlockNumber> {
        self.head
    }

    /// Hears what nodes that serve say, each with its weight. It goes back only with a chain that
    /// begins anew.
    pub fn hear(&mut self, told: Vec<(BlockNumber, u64)>, begins_anew: bool) {
        let before = self.head.filter(|_| !begins_anew);
        self.head = before.max(carried_by_half(told));
    }
}

/// The highest head that nodes with half of the weight have.
pub(super) fn carried_by_half(mut heads: Vec<(BlockNumber, u64)>) -> Option<BlockNumber> {
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
    fn it_is_what_half_of_the_weight_has_and_never_goes_back() {
        let mut agreed = AgreedHead::default();
        for (heads, begins_anew, wanted) in [
            (&[][..], false, None),
            (&[(64, 1), (96, 1), (64, 1)], false, Some(64)),
            (&[(64, 1), (96, 2), (64, 1)], false, Some(96)),
            (&[(64, 1), (64, 2), (64, 1)], false, Some(96)),
            (&[], false, Some(96)),
            (&[(1, 1)], true, Some(1)),
        ] {
            agreed.hear(told(heads), begins_anew);
            assert_eq!(agreed.head().map(|head| head.0), wanted, "{heads:?}");
        }
    }
}

//! How several chains share what there is only so much of: each has a reserve that no other can take, and
//! the rest is for chains that need more, the less for one the more others need it.

/// A half of all is reserved.
const RESERVED_PART: u64 = 2;
/// One may have so many times of what is left of the rest: alone three quarters of it.
const SHARE: u64 = 3;

/// What there is of one thing, and among how many chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Division {
    /// How much of it there is in all, in whatever it is counted in.
    pub most: u64,
    /// How many chains share it: 1 at the least.
    pub chains: u64,
}

impl Division {
    /// What a chain finds whatever the others have: all, where it is alone.
    pub fn reserve(self) -> u64 {
        match self.chains {
            0 | 1 => self.most,
            chains => self.most / RESERVED_PART / chains,
        }
    }

    /// What one that has `own` has beyond its reserve.
    pub fn beyond(self, own: u64) -> u64 {
        own.saturating_sub(self.reserve())
    }

    /// What one that has `own` may have more, where all of them together have so much beyond their reserves,
    /// itself included.
    pub fn left(self, own: u64, all_beyond: u64) -> u64 {
        let reserve = self.reserve();
        let rest = self
            .most
            .saturating_sub(reserve.saturating_mul(self.chains));
        let free = rest.saturating_sub(all_beyond);
        let fair = free.saturating_mul(SHARE).saturating_sub(self.beyond(own)) / (SHARE + 1);
        reserve.saturating_sub(own) + fair
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_alone_has_all() {
        let alone = Division {
            most: 100,
            chains: 1,
        };
        assert_eq!((alone.reserve(), alone.left(30, 0)), (100, 70));
        assert_eq!(alone.left(100, 0), 0);
    }

    #[test]
    fn one_that_floods_leaves_the_others_their_reserve_and_some_of_the_rest() {
        let of = Division {
            most: 800,
            chains: 4,
        };
        assert_eq!(of.reserve(), 100);
        // Of the 400 that no chain has for itself, three quarters.
        assert_eq!(of.left(0, 0), 400);
        let own = 400;
        let beyond = of.beyond(own);
        assert_eq!((beyond, of.left(own, beyond)), (300, 0));
        // A second one has its reserve, and three quarters of what the first left.
        assert_eq!(of.left(0, beyond), 175);
    }

    proptest! {
        #[test]
        fn all_together_never_have_more_than_there_is(
            most in 1u64..10_000,
            takes in prop::collection::vec((0usize..6, 1u64..50), 0..500),
            chains in 1u64..6,
        ) {
            let of = Division { most, chains };
            let mut own = vec![0u64; usize::try_from(chains).unwrap_or(1)];
            for (at, amount) in takes {
                let at = at % own.len();
                let beyond = own.iter().map(|own| of.beyond(*own)).sum();
                if amount <= of.left(own[at], beyond) {
                    own[at] += amount;
                }
            }
            prop_assert!(own.iter().sum::<u64>() <= most);
            // A chain below its reserve finds the rest of it, whatever the others have.
            let beyond: u64 = own.iter().map(|own| of.beyond(*own)).sum();
            for own in own {
                prop_assert!(of.left(own, beyond) >= of.reserve().saturating_sub(own));
            }
        }
    }
}

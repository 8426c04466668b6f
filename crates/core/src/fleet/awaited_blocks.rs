//! Blocks that calls ask for before anybody has them: once for each a round is hurried, which says
//! whether it has come.
//!
//! What is beyond the highest head is there only if the next block is. So one round looks for all of
//! them, and another only once there is a higher head.

use crate::vocabulary::chain::BlockNumber;

/// What was looked for. Rounds count from 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwaitedBlock {
    begun: u64,
    /// The highest head when a round was hurried last, and which one that is.
    hurried: Option<(Option<BlockNumber>, u64)>,
}

/// The round that says whether the block has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitedRound {
    pub round: u64,
    /// It is to be hurried for this.
    pub hurries: bool,
}

impl AwaitedBlock {
    /// A round begins.
    pub fn begin(&mut self) {
        self.begun += 1;
    }

    /// A call asks for a block beyond `highest`.
    pub fn ask(&mut self, highest: Option<BlockNumber>) -> AwaitedRound {
        match self.hurried {
            Some((head, round)) if head == highest => AwaitedRound {
                round,
                hurries: false,
            },
            Some(_) | None => {
                // One under way may have asked its nodes already.
                let round = self.begun + 1;
                self.hurried = Some((highest, round));
                AwaitedRound {
                    round,
                    hurries: true,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_round_looks_for_all_blocks_beyond_a_head_and_the_next_for_those_beyond_another() {
        let mut awaited = AwaitedBlock::default();
        awaited.begin();
        let ask = |awaited: &mut AwaitedBlock, head| {
            let awaiting = awaited.ask(Some(BlockNumber(head)));
            (awaiting.round, awaiting.hurries)
        };
        assert_eq!(ask(&mut awaited, 100), (2, true), "not the one under way");
        assert_eq!(ask(&mut awaited, 100), (2, false));
        (0..9).for_each(|_| awaited.begin());
        assert_eq!(ask(&mut awaited, 100), (2, false), "it has said so");
        assert_eq!(ask(&mut awaited, 101), (11, true));
        assert_eq!(ask(&mut awaited, 99), (11, true), "after a fall");
    }
}

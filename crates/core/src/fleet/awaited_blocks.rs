//! Blocks that calls ask for before anybody here has them: once for each of them nodes are looked at.
//!
//! A number is what a client was told, maybe by another balancer, or what it counts on. So one look for
//! each block that may be there says whether it is; who polls for the next one costs no more than that.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::fleet::view::FleetView;
use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::node::{NodeId, Role};

/// Blocks that are remembered as looked for. Beyond it none is: what is within reach is fewer.
const BLOCKS_MAX: usize = 1024;

/// What was looked for, and in which look. Looks count from 1.
#[derive(Clone, Debug, Default)]
pub struct AwaitedBlocks {
    begun: u64,
    looks: BTreeMap<BlockNumber, u64>,
}

/// The look that says whether the block has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitedLook {
    pub look: u64,
    /// It is to be begun for this.
    pub begins: bool,
}

impl AwaitedBlocks {
    /// A look begins; which one it is.
    pub fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// A call asks for block `number`, beyond the head `highest`.
    pub fn ask(&mut self, number: BlockNumber, highest: Option<BlockNumber>) -> AwaitedLook {
        if let Some(highest) = highest {
            self.looks = self
                .looks
                .split_off(&BlockNumber(highest.0.saturating_add(1)));
        }
        if let Some(look) = self.looks.get(&number) {
            return AwaitedLook {
                look: *look,
                begins: false,
            };
        }
        // One under way may have asked its nodes already.
        let look = self.begun + 1;
        if self.looks.len() < BLOCKS_MAX {
            self.looks.insert(number, look);
        }
        AwaitedLook { look, begins: true }
    }
}

/// The nodes that a look asks: the own ones that serve; where none does, those that serve in their place.
pub fn looked_at(view: &FleetView, now: Instant) -> Vec<NodeId> {
    let role = [Role::Own, Role::Leader, Role::Fallback]
        .into_iter()
        .find(|role| view.has_fit(*role));
    let nodes = view
        .nodes
        .iter()
        .filter(|node| Some(node.rung) == role && node.serves() && !node.standing.rests(now));
    nodes.map(|node| node.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(awaited: &mut AwaitedBlocks, number: u64, head: u64) -> (u64, bool) {
        let asked = awaited.ask(BlockNumber(number), Some(BlockNumber(head)));
        (asked.look, asked.begins)
    }

    #[test]
    fn each_block_beyond_the_head_is_looked_for_once_however_often_it_is_asked_for() {
        let mut awaited = AwaitedBlocks::default();
        awaited.begin();
        assert_eq!(
            ask(&mut awaited, 101, 100),
            (2, true),
            "not the one under way"
        );
        assert_eq!(ask(&mut awaited, 101, 100), (2, false));
        assert_eq!(ask(&mut awaited, 102, 100), (2, true), "one look for both");
        for _ in 0..9 {
            awaited.begin();
        }
        assert_eq!(ask(&mut awaited, 101, 100), (2, false), "it has said so");
        assert_eq!(ask(&mut awaited, 103, 100), (11, true));
        assert_eq!(
            ask(&mut awaited, 102, 101),
            (2, false),
            "also by another head"
        );
        assert_eq!(ask(&mut awaited, 102, 99), (2, false));
        awaited.ask(BlockNumber(200), Some(BlockNumber(103)));
        assert_eq!(
            ask(&mut awaited, 101, 99),
            (11, true),
            "it came, and was taken back"
        );
    }

    #[test]
    fn what_is_remembered_has_its_bound() {
        let mut awaited = AwaitedBlocks::default();
        for number in 0..2 * BLOCKS_MAX as u64 {
            ask(&mut awaited, 101 + number, 100);
        }
        assert_eq!(awaited.looks.len(), BLOCKS_MAX);
        let last = 100 + 2 * BLOCKS_MAX as u64;
        assert_eq!(ask(&mut awaited, last, 100), (1, true));
    }
}

//! What nodes say when they are asked for one block: which of them is believed.

use std::sync::Arc;

use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::header::Header;

/// Of a block by its hash, which all nodes have right; its number one node may have wrong.
#[derive(Debug)]
pub struct HeaderAnswers {
    child: BlockNumber,
    heard: Vec<Arc<Header>>,
}

impl HeaderAnswers {
    /// To the question for the parent of a block with the number `child`.
    pub fn before(child: BlockNumber) -> HeaderAnswers {
        let heard = Vec::new();
        HeaderAnswers { child, heard }
    }

    /// Hears one node; whether no other node need be asked: it is the block just before, or a second
    /// node says that numbers are skipped, and as many.
    pub fn hear(&mut self, header: Arc<Header>) -> bool {
        if header.number >= self.child {
            return false;
        }
        let is_next = header.number.0 + 1 == self.child.0;
        let mut heard = self.heard.iter();
        let is_sure = is_next || heard.any(|other| other.number == header.number);
        if is_sure {
            self.heard.clear();
        }
        self.heard.push(header);
        is_sure
    }

    /// The answer, if there is one that can be.
    pub fn best(self) -> Option<Arc<Header>> {
        self.heard.into_iter().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use crate::vocabulary::chain::BlockHash;

    /// Which number is believed of nodes that say these, in turn, and how many were asked.
    fn believed(numbers: &[u64]) -> (Option<u64>, usize) {
        let mut answers = HeaderAnswers::before(BlockNumber(10));
        let mut asked = 0;
        for number in numbers {
            asked += 1;
            let header = testing::header(*number, BlockHash([1; 32]), BlockHash([0; 32]));
            if answers.hear(Arc::new(header)) {
                break;
            }
        }
        (answers.best().map(|header| header.number.0), asked)
    }

    #[test]
    fn a_number_that_is_skipped_wants_a_second_witness_where_there_is_one() {
        for (numbers, wanted) in [
            (&[9, 8][..], (Some(9), 1)),
            (&[8, 8, 9], (Some(8), 2)),
            (&[2, 9, 9], (Some(9), 2)),
            (&[2, 8, 8], (Some(8), 3)),
            (&[8], (Some(8), 1)),
            (&[16, 8], (Some(8), 2)),
            (&[10, 11], (None, 2)),
            (&[], (None, 0)),
        ] {
            assert_eq!(believed(numbers), wanted, "{numbers:?}");
        }
    }
}

//! What tests of the thinking begin with.

use std::time::Instant;

use crate::call::plan::{CallMemory, SentTransactions};
use crate::rpc::transaction::TxHash;
use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::node::NodeId;

/// The moment at which a test begins. The thinking itself reads no clock.
#[expect(clippy::disallowed_methods, reason = "a test has to begin somewhere")]
pub fn now() -> Instant {
    Instant::now()
}

/// No earlier calls.
#[derive(Debug)]
pub struct NoMemory;

impl CallMemory for NoMemory {
    fn number_of(&self, _: BlockHash) -> Option<BlockNumber> {
        None
    }

    fn place_of(&self, _: TxHash) -> Option<BlockNumber> {
        None
    }

    fn holders(&self, _: SentTransactions) -> Vec<NodeId> {
        Vec::new()
    }
}

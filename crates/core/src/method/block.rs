//! Which block a call speaks of, what that asks of a node, and which number `latest` stands for.

mod edits;
mod params;

use crate::vocabulary::block_ref::BlockData;
use crate::vocabulary::chain::BlockNumber;

pub(crate) use self::params::read;
pub use crate::method::block::edits::ParamEdits;
pub(crate) use crate::method::block::params::BlockRefs;

/// Which block tags are the same for every node that is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// `latest` is the served head, `safe` and `finalized` what own nodes agree on, so that no client
    /// sees the chain go back.
    #[default]
    Monotonic,
    /// Tags mean what the node that is asked takes them for.
    None,
}

/// Where a method's params name blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockParam {
    /// Nowhere: any node will do.
    Nowhere,
    /// One block, at this index.
    At {
        /// Its place in the params, counted from 0.
        index: usize,
        /// What of the block the method reads.
        reads: BlockData,
        /// How the block may be named, and whether it must be.
        form: BlockParamForm,
    },
    /// One block's hash, at this index.
    Hash {
        /// Its place in the params, counted from 0.
        index: usize,
        /// What of the block the method reads.
        reads: BlockData,
    },
    /// A filter object, at this index, with `fromBlock` and `toBlock` or `blockHash`.
    Range {
        /// Its place in the params, counted from 0.
        index: usize,
        /// Whether a missing end means the latest block; else it is the node's to know.
        missing_is_latest: bool,
        /// Whether `latest` means a block of now. A filter goes on with the chain.
        is_of_now: bool,
    },
}

/// How a parameter names a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockParamForm {
    /// By a number, a tag, a hash or an EIP-1898 object.
    Given,
    /// Likewise; without the parameter it is the latest block.
    OrLatest,
    /// By a plain number, which routes the call; it is never written anew, as nodes don't agree on
    /// how.
    Plain,
}

/// What becomes of a call that speaks of a block beyond the highest head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FutureBlockPolicy {
    /// It waits for a node that has the block, up to one block time.
    Wait,
    /// There is no such block: `null`.
    Null,
    /// The range is refused.
    Refuse,
    /// A node answers as it pleases.
    PassOn,
}

/// The numbers that tags stand for while one request is answered. `None`: the tag travels as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagPins {
    /// The number of the served head.
    pub latest: Option<BlockNumber>,
    /// The highest block that own nodes agree on as `safe`.
    pub safe: Option<BlockNumber>,
    /// The highest block that own nodes agree on as `finalized`.
    pub finalized: Option<BlockNumber>,
    /// How often the served head had gone back by then.
    pub falls: u64,
}

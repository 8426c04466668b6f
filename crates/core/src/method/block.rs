//! Which block a call speaks of, what that asks of a node, and which number `latest` stands for.

mod params;

use crate::call::plan;
use crate::fleet::reference::{BlockHash, BlockNumber};
use crate::fleet::view::{FleetView, NodeView};

pub use self::params::read;
pub use crate::method::block::params::{BlockRefs, ParamEdits};

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
    Nowhere,
    /// One block, at this index.
    At {
        index: usize,
        reads: BlockData,
        form: BlockParamForm,
    },
    /// One block's hash, at this index.
    Hash {
        index: usize,
        reads: BlockData,
    },
    /// A filter object, at this index, with `fromBlock` and `toBlock` or `blockHash`.
    Range {
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

/// What of a block a node must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockData {
    /// That its head is not below the block.
    Head,
    Block,
    State,
    /// A proof of its state: nodes prove that of fewer blocks than they keep it of (reth's proof window,
    /// BSC's, geth's `stateproofs`).
    Proof,
    Receipts,
    Logs,
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

/// A block that a call names by its hash, and what of it a node must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedBlock {
    pub hash: BlockHash,
    pub reads: BlockData,
}

/// The blocks that a node needs to answer a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRange {
    pub from: BlockNumber,
    /// Not below `from`.
    pub to: BlockNumber,
    pub reads: BlockData,
}

impl BlockRange {
    /// Whether `node` has them, as far as is known.
    pub fn is_met_by(&self, node: &NodeView) -> bool {
        let both = |has: &dyn Fn(BlockNumber) -> bool| has(self.from) && has(self.to);
        match self.reads {
            BlockData::Head => node.head.is_none_or(|head| self.to <= head),
            BlockData::Block => both(&|number| node.has_block(number)),
            BlockData::State => both(&|number| node.has_state(number)),
            BlockData::Proof => both(&|number| node.has_proofs(number)),
            BlockData::Receipts => both(&|number| node.has_receipts(number)),
            BlockData::Logs => both(&|number| node.has_logs(number)),
        }
    }

    /// The same blocks, however far back the node goes.
    pub fn of_head(self) -> BlockRange {
        BlockRange {
            reads: BlockData::Head,
            ..self
        }
    }
}

/// What a call needs of the node that is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeRequirements<'a> {
    pub block: Option<BlockRange>,
    /// Nodes that lack it are asked only when no other is left.
    pub method: &'a str,
    pub wish: NodePreference,
    pub caution: TroubleTolerance,
}

/// Whether nodes are drawn that are in trouble. One that wants to be left alone is, at most, now and
/// then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TroubleTolerance {
    /// None is.
    Whole,
    /// A suspect one that is due a trial call is.
    Trial,
    /// Suspect ones are, after all others.
    #[default]
    Whoever,
}

/// Whom to prefer among those that will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodePreference {
    #[default]
    Any,
    /// Those with the highest head.
    Freshest,
    /// Those that go back furthest: of whom no oldest state is known, else the lowest.
    Deepest,
}

/// The numbers that tags stand for while one packet is answered. `None`: the tag travels as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagPins {
    pub latest: Option<BlockNumber>,
    pub safe: Option<BlockNumber>,
    pub finalized: Option<BlockNumber>,
    /// How often the served head had gone back by then.
    pub falls: u64,
}

impl TagPins {
    /// As of `view`, for a client that was told of block `floor`. While no node is fit whoever lives
    /// answers as it can, of an older block rather than not at all.
    pub fn of(view: &FleetView, consistency: Consistency, floor: Option<BlockNumber>) -> TagPins {
        let latest = view.served_head.max(floor);
        match consistency {
            Consistency::None => TagPins::default(),
            Consistency::Monotonic if !plan::has_fit(view) => TagPins::default(),
            Consistency::Monotonic => TagPins {
                latest,
                safe: view.safe_head,
                finalized: view.finalized_head,
                falls: view.falls,
            },
        }
    }
}

//! How nodes are asked for a call, one after another.

use std::time::Duration;

use crate::call::cache::KeepDecision;
use crate::call::last_block::BY_HASH;
use crate::call::tag_fallback;
use crate::call::told_blocks;
use crate::fleet::requirements::Shortlist;
use crate::fleet::view::FleetView;
use crate::method::Treatment;
use crate::method::block::ParamEdits;
use crate::rpc::answer::RpcError;
use crate::rpc::classify::AttemptClass;
use crate::rpc::envelope::Call;
use crate::rpc::refusal::Refusal;
use crate::vocabulary::block_ref::LookupTarget;
use crate::vocabulary::block_ref::{BlockData, BlockRange, HashedBlock};
use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::node::NodeId;

/// Which nodes a call is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Any node that has what the call reads.
    Any,
    /// Any of these rather than others: they have what it asks for.
    Rather(Vec<NodeId>),
    /// This one alone: it has the filter that the call names.
    Only(NodeId),
}

impl Affinity {
    /// The same, as a draw heeds it.
    pub fn shortlist(&self) -> Shortlist<'_> {
        match self {
            Affinity::Any => Shortlist::Empty,
            Affinity::Rather(holders) => Shortlist::Rather(holders),
            Affinity::Only(node) => Shortlist::Only(*node),
        }
    }

    /// What a caller is told that no node has answered, where it would be told `why`. `last`: what the last attempt
    /// came to. A filter is gone with its node, and to be made anew.
    pub fn refusal(&self, last: Option<AttemptClass>, why: Refusal) -> Refusal {
        match (self, last) {
            (Affinity::Only(_), None | Some(AttemptClass::NoConnection)) => Refusal::FilterNotFound,
            (Affinity::Only(_), Some(_)) | (Affinity::Any | Affinity::Rather(_), _) => why,
        }
    }
}

/// How nodes are to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardPlan {
    /// How its method is treated: how long it may take, and whether it may be repeated.
    pub treatment: Treatment,
    /// The blocks that the node must have.
    pub block: Option<BlockRange>,
    /// A block that is named by its hash instead. On the heap: few calls name one so, and plans are moved.
    pub hash: Option<Box<HashedBlock>>,
    /// How long the call waits for a node that has them; `None`: not at all.
    pub wait: Option<Duration>,
    /// What is changed in its params.
    pub edits: ParamEdits,
    /// A `null` is asked about once more.
    pub asks_again_on_null: bool,
    /// And an empty answer, which a node without the block gives, too.
    pub asks_again_on_empty: bool,
    /// And no bytes, which is what it says that lacks a raw block or transaction.
    pub asks_again_on_no_bytes: bool,
    /// Where that is found.
    pub holding: LookupTarget,
    /// Its answer is never `null`.
    pub is_never_null: bool,
    /// It asks for a range, of which nodes may limit the breadth.
    pub is_range: bool,
    /// It reads what is pending: an answer of a moment before won't do.
    pub is_pending: bool,
    /// Which nodes it is for.
    pub affinity: Affinity,
    /// A slow attempt may be joined by one on another node.
    pub may_be_hedged: bool,
    /// A plain read that any node will do for: it may be asked together with others of its batch. What
    /// is light is not held up by what is heavy, and what may run only once is asked where nothing else
    /// can go wrong with it.
    pub may_be_grouped: bool,
    /// Whether its answer is kept.
    pub keep: KeepDecision,
}

impl ForwardPlan {
    /// What is asked for stands in block `number`, as far as that is known: a node that has the block
    /// is asked, and believed when it has nothing there.
    pub(super) fn stands_in(&mut self, number: Option<BlockNumber>, view: &FleetView) {
        let number = number.filter(|number| Some(*number) <= view.highest_head);
        let reads = (self.hash.as_ref()).map_or(BlockData::Head, |hashed| hashed.reads);
        // A node that lacks a block's state says so.
        self.asks_again_on_empty =
            self.hash.is_some() && reads != BlockData::State && number.is_none();
        if let Some(number) = number {
            self.block = Some(BlockRange {
                from: number,
                to: number,
                reads,
            });
        }
    }

    /// The same for the call as its client wrote it, about a block that isn't known.
    #[must_use]
    pub fn as_written(&self) -> ForwardPlan {
        ForwardPlan {
            block: None,
            wait: None,
            edits: ParamEdits::default(),
            ..self.clone()
        }
    }

    /// Whether a node that lacks what is asked for would say `result`, too.
    pub fn is_doubtful(&self, method: &str, result: &[u8]) -> bool {
        match result {
            b"null" => self.asks_again_on_null,
            b"\"0x\"" => self.asks_again_on_empty || self.asks_again_on_no_bytes,
            b"[]" => self.asks_again_on_empty,
            result => method == BY_HASH && told_blocks::is_in_no_block(result),
        }
    }

    /// Whether `error` may be of what is changed in the params: a node that takes fewer of them
    /// refuses what was left out, and that we added.
    pub fn is_to_blame(&self, error: &RpcError<'_>) -> bool {
        if self.edits.is_empty() || tag_fallback::is_no_such_block(error) {
            return false;
        }
        let text = error.message.to_ascii_lowercase();
        let says = |word: &&str| text.contains(*word);
        let is_of_params = matches!(error.code, -32602 | -32600)
            || ["argument", "parameter", "params"].iter().any(says);
        // What geth says of the first is of what the caller wrote.
        is_of_params && !text.starts_with("invalid argument 0")
    }

    /// `call` as a node gets it: our id, an envelope written anew, the params with their changes.
    pub fn body(&self, call: &Call<'_>) -> Vec<u8> {
        let mut body = call.opening();
        self.edits.write(call.params(), &mut body);
        body.push(b'}');
        body
    }
}

impl From<Treatment> for ForwardPlan {
    fn from(treatment: Treatment) -> ForwardPlan {
        ForwardPlan {
            treatment,
            block: None,
            hash: None,
            wait: None,
            edits: ParamEdits::default(),
            asks_again_on_null: false,
            asks_again_on_empty: false,
            holding: LookupTarget::default(),
            asks_again_on_no_bytes: false,
            is_never_null: false,
            is_range: false,
            is_pending: false,
            affinity: Affinity::Any,
            may_be_hedged: false,
            may_be_grouped: false,
            keep: KeepDecision::Never,
        }
    }
}

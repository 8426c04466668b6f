//! What calls are planned by that earlier ones left behind.

use crate::call::cache::{AskedCall, CachePlan, KeptAnswer};
use crate::fleet::view::FleetView;
use crate::rpc::transaction::{Address, TxHash};
use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::client::Client;
use crate::vocabulary::node::NodeId;

/// What earlier calls left behind: answers, and which nodes have what this one asks for.
pub trait CallMemory {
    /// Notes that this is asked; whether it is worth it to look for a kept answer, and to keep the one that comes.
    fn note_asked(&self, call: AskedCall<'_>) -> bool;
    /// Whether balancers share what they keep: what is asked here for the first time, another may have kept.
    fn is_shared(&self) -> bool;
    /// The answer that is kept for a call planned so, if this one may have it as of `view`.
    fn kept(&self, plan: &CachePlan, view: &FleetView) -> Option<KeptAnswer>;
    /// The number of the block with this hash.
    fn number_of(&self, block: BlockHash) -> Option<BlockNumber>;
    /// The block in which the transaction was told to stand.
    fn place_of(&self, transaction: TxHash) -> Option<BlockNumber>;
    /// The nodes that took these.
    fn holders(&self, of: SentTransactions) -> Vec<NodeId>;
}

/// Transactions that were sent through here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentTransactions {
    /// The one with this hash.
    WithHash(TxHash),
    /// Of this sender.
    WithNonce(Address, u64),
    /// All of this client's, of late.
    Of(Client),
}

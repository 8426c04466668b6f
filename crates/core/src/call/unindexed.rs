//! What is told of a transaction of which one node says that its index isn't built so far, and others
//! `null`: a `null` for what was mined long ago makes its sender send again.

use crate::call::told_blocks;
use crate::fleet::node_view::{NodeCaveat, NodeView};
use crate::fleet::view::FleetView;
use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::node::{NodeId, Role};

/// Whether nodes' `null` is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullTrust {
    /// It is told as it is.
    Believed,
    /// If a node shows the transaction as pending: see [`is_pending`].
    OfWhatIsPending,
    /// The node's own words are told.
    Doubted,
}

/// `is_sure`: a node said it that has them all (see [`has_all`]). `was_taken`: nodes took the transaction
/// through us. `is_receipt`: a pending one has none; of the transaction itself they would have shown it.
pub fn null(is_sure: bool, was_taken: bool, is_receipt: bool) -> NullTrust {
    if is_sure || was_taken {
        NullTrust::Believed
    } else if is_receipt {
        NullTrust::OfWhatIsPending
    } else {
        NullTrust::Doubted
    }
}

/// Whether a node has the index of all transactions (`tx` of `eth_capabilities`).
pub fn has_all(node: &NodeView) -> bool {
    node.depth.transactions_from == Some(BlockNumber(0))
}

/// An own node that says that it builds an index, and wasn't `tried`: its word counts beside a `null`.
pub fn builder(view: &FleetView, method: &str, tried: &[NodeId]) -> Option<NodeId> {
    let mut builders = view.nodes.iter().filter(|node| {
        let builds = node.remark == Some(NodeCaveat::Indexing);
        let takes = node.serves() && node.methods.has(method);
        builds && takes && node.role == Role::Own && !tried.contains(&node.id)
    });
    builders.next().map(|node| node.id)
}

/// Whether `result`, of a transaction, shows it as pending.
pub fn is_pending(result: &[u8]) -> bool {
    result != b"null" && told_blocks::is_in_no_block(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_believed_of_a_node_that_has_them_all_and_of_what_cannot_be_mined_yet() {
        for (is_sure, was_taken, is_receipt, wanted) in [
            (true, false, false, NullTrust::Believed),
            (true, false, true, NullTrust::Believed),
            (false, true, false, NullTrust::Believed),
            (false, true, true, NullTrust::Believed),
            (false, false, true, NullTrust::OfWhatIsPending),
            (false, false, false, NullTrust::Doubted),
        ] {
            let told = null(is_sure, was_taken, is_receipt);
            assert_eq!(told, wanted, "{is_sure} {was_taken} {is_receipt}");
        }
        assert!(is_pending(br#"{"blockNumber":null}"#));
        assert!(!is_pending(b"null") && !is_pending(br#"{"blockNumber":"0x1"}"#));
    }
}

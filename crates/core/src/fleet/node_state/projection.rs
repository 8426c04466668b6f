//! A node as calls see it.

use crate::fleet::depth::Depth;
use crate::fleet::node_state::NodeState;
use crate::fleet::node_view::{NodeCaveat, NodeView};
use crate::fleet::report::ProbeExtras;
use crate::vocabulary::chain::BlockNumber;

impl NodeState {
    /// What is known of its depth, and no more than the operator says.
    fn narrowed_depth(&self) -> Depth {
        let narrowed = self.head.zip(self.member.purpose.recent_blocks.number());
        narrowed.map_or(self.depth, |(head, blocks)| self.depth.newest(blocks, head))
    }

    /// What is to be said of it although it is fit.
    fn remark(&self) -> Option<NodeCaveat> {
        if !self.standing.is_healthy() || !self.keeping_up.says_syncing() {
            None
        } else if self.keeping_up.indexes() {
            Some(NodeCaveat::Indexing)
        } else {
            Some(NodeCaveat::Syncing)
        }
    }

    /// As calls see it. `asked`: what the fleet wants to know of it beside its depth.
    pub(crate) fn view(
        &self,
        reference: Option<BlockNumber>,
        is_on_another_chain: bool,
        is_astray: bool,
        asked: ProbeExtras,
    ) -> NodeView {
        NodeView {
            id: self.member.id,
            name: self.member.name.clone(),
            role: self.member.role,
            weight: self.member.weight,
            told_unasked_at: self.told_unasked_at,
            methods: self.member.purpose.serves.clone(),
            head: self.head,
            head_timestamp: self.head_timestamp,
            reference,
            lives: self.lives,
            probe_failure: self.probe_failure.clone(),
            is_on_another_chain,
            was_seen_astray: self.was_seen_astray,
            is_astray,
            evidence: self.evidence(),
            // Worked out once the rest is known.
            known_up_to: None,
            standing: self.standing,
            load: self.load.clone(),
            depth: self.narrowed_depth(),
            is_doubted: self.history.is_doubted(),
            unsupported: self.unsupported.clone(),
            as_written: self.as_written.clone(),
            remark: self.remark(),
            limits: self.limits.clone(),
            extras: ProbeExtras {
                capabilities: self.history.asks_capabilities(),
                // Of a node that syncs, say, nothing would be learnt that lasts.
                depth: self.question.filter(|_| self.standing.is_healthy()),
                state: self.keeping_up.says_syncing(),
                ..asked
            },
        }
    }
}

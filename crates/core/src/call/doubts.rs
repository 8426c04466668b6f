//! The faults that a call met, until its end tells whether the nodes that were asked are at fault, or
//! the call itself, which every node fails at.

use std::sync::Arc;
use std::time::Instant;

use crate::fleet::conduct::Penalty;
use crate::fleet::load::Load;
use crate::fleet::node_view::NodeView;
use crate::fleet::view::FleetView;
use crate::rpc::classify::{AttemptClass, Blame};
use crate::vocabulary::node::NodeId;

/// One call's.
#[derive(Clone, Debug, Default)]
pub struct Doubts {
    met: Vec<SuspectedFault>,
    /// Some node answered, be it with an error.
    is_answered: bool,
}

#[derive(Clone, Debug)]
struct SuspectedFault {
    node: NodeId,
    load: Arc<Load>,
    at: Instant,
}

/// Whether the faults were the nodes' or the call's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultAttribution {
    /// The nodes whose faults they were, where something follows for them.
    pub sentences: Vec<(NodeId, Penalty)>,
    /// The call's own: all nodes that it asked failed at it alike, while they answer others.
    pub is_own: bool,
}

impl Doubts {
    /// Whether the call met no fault that may be the node's or the call's own.
    pub fn is_empty(&self) -> bool {
        self.met.is_empty()
    }

    /// Hears what an attempt at `node` came to, which began at `began`. A node that answers others
    /// while one waits in vain isn't at fault for that.
    pub fn hear(&mut self, node: &NodeView, class: AttemptClass, began: Instant, now: Instant) {
        if class.blame(None) == Blame::None && class != AttemptClass::Cancelled {
            self.is_answered = true;
        }
        let is_slow = class == AttemptClass::Timeout && node.load.conduct.has_answered_since(began);
        if class.may_be_the_calls() && !is_slow {
            self.met.push(SuspectedFault {
                node: node.id,
                load: node.load.clone(),
                at: now,
            });
        }
    }

    /// The call of `method` is over.
    pub fn settle(&mut self, method: &str, view: &FleetView, now: Instant) -> FaultAttribution {
        let is_own = !self.met.is_empty()
            && !self.is_answered
            && self.is_others_answered(method, now)
            && !self.is_believed_no_longer(now);
        let mut settled = FaultAttribution {
            sentences: Vec::new(),
            is_own,
        };
        for doubt in self.met.drain(..) {
            let lives = view.node(doubt.node).is_none_or(|node| node.lives);
            if is_own && lives {
                continue;
            }
            settled.is_own = false;
            let sentence = doubt.load.conduct.faulted(method, doubt.at, now);
            settled
                .sentences
                .extend(sentence.map(|sentence| (doubt.node, sentence)));
        }
        settled
    }

    /// Whether the nodes that failed answer at least half of their calls of other methods of late, taken
    /// together: one that has had none yet is judged by the others.
    fn is_others_answered(&self, method: &str, now: Instant) -> bool {
        let all = self
            .met
            .iter()
            .map(|doubt| doubt.load.conduct.of_late(method, now));
        let (answers, faults) = all.fold((0u64, 0u64), |sum, (answers, faults)| {
            (sum.0 + u64::from(answers), sum.1 + u64::from(faults))
        });
        answers > 0 && answers >= faults
    }

    /// Whether they all have failed for too long to have it laid to their calls.
    fn is_believed_no_longer(&self, now: Instant) -> bool {
        let mut silent = 0;
        for doubt in &self.met {
            silent += usize::from(doubt.load.conduct.spare(doubt.at, now));
        }
        silent == self.met.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing;

    /// Three own nodes, alive; each has answered so many calls.
    fn nodes(answered: u32, now: Instant) -> FleetView {
        let mut fleet = testing::fleet_of((0..3).map(testing::member), now);
        let probe = testing::at(7);
        fleet.hear_round(&[0, 1, 2].map(|id| (NodeId(id), probe)), now);
        let view = fleet.view();
        for node in &view.nodes {
            node.load.conduct.answered(answered, now);
        }
        view
    }

    /// What becomes of so many calls that come to `classes`, one node after another.
    fn settled(
        view: &FleetView,
        classes: &[AttemptClass],
        calls: u32,
        now: Instant,
    ) -> Vec<FaultAttribution> {
        let call = |_| {
            let mut doubts = Doubts::default();
            for (node, class) in view.nodes.iter().zip(classes) {
                doubts.hear(node, *class, now, now);
            }
            doubts.settle("eth_call", view, now)
        };
        (0..calls).map(call).collect()
    }

    #[test]
    fn what_every_node_fails_at_while_it_answers_others_is_the_calls_own() {
        let now = testing::now();
        let view = nodes(1, now);
        let all = [
            AttemptClass::Transport,
            AttemptClass::BadAnswer,
            AttemptClass::Transport,
        ];
        for settled in settled(&view, &all, 100, now) {
            assert!(settled.is_own && settled.sentences.is_empty());
        }
        assert!(!view.nodes[0].load.conduct.is_suspect());
    }

    #[test]
    fn half_of_their_others_must_be_answered_and_one_of_them_will_do_for_all() {
        let now = testing::now();
        for (faults, wanted) in [(5, true), (6, false)] {
            let view = nodes(0, now);
            view.nodes[0].load.conduct.answered(5, now);
            for _ in 0..faults {
                view.nodes[1].load.conduct.faulted("eth_getLogs", now, now);
            }
            let settled = settled(&view, &[AttemptClass::Transport; 3], 1, now);
            assert_eq!(settled[0].is_own, wanted, "{faults}");
        }
    }

    #[test]
    fn a_node_that_answers_no_call_any_more_is_at_fault_within_seconds() {
        let start = testing::now();
        let view = nodes(100, start);
        let mut now = start;
        let took = loop {
            now += Duration::from_millis(100);
            let settled = settled(&view, &[AttemptClass::Transport; 3], 1, now);
            if !settled[0].sentences.is_empty() {
                break now - start;
            }
        };
        assert!(took <= Duration::from_secs(4), "{took:?}");
    }

    #[test]
    fn what_is_laid_to_a_call_at_first_is_not_held_against_the_next() {
        let now = testing::now();
        let view = nodes(0, now);
        for settled in settled(&view, &[AttemptClass::Transport; 3], 4, now) {
            assert!(!settled.is_own, "they have answered no call yet");
        }
        view.nodes[0].load.conduct.answered(1, now);
        let settled = settled(&view, &[AttemptClass::Transport; 3], 9, now);
        assert!(settled.iter().all(|settled| settled.is_own));
    }

    #[test]
    fn where_nodes_answer_no_call_the_fault_is_theirs() {
        let now = testing::now();
        let view = nodes(0, now);
        let settled = settled(&view, &[AttemptClass::Transport; 3], 10, now);
        assert!(settled.iter().all(|settled| !settled.is_own));
        let benched = settled.last().unwrap().sentences.clone();
        assert_eq!(benched, [0, 1, 2].map(|id| (NodeId(id), Penalty::Bench)));
    }

    #[test]
    fn what_another_node_answers_is_the_fault_of_the_node_that_failed() {
        let now = testing::now();
        for word in [AttemptClass::Ok, AttemptClass::RpcError] {
            let view = nodes(9, now);
            let settled = settled(&view, &[AttemptClass::Transport, word], 10, now);
            let benched = settled.last().unwrap();
            assert_eq!(benched.sentences, [(NodeId(0), Penalty::Bench)]);
            assert!(!benched.is_own);
        }
    }

    #[test]
    fn a_fault_beside_a_failed_probe_is_the_nodes() {
        let now = testing::now();
        let mut view = nodes(9, now);
        view.nodes[1].lives = false;
        let settled = settled(&view, &[AttemptClass::Transport; 2], 10, now);
        let benched = settled.last().unwrap();
        assert_eq!(benched.sentences, [(NodeId(1), Penalty::Bench)]);
    }

    #[test]
    fn a_slow_call_is_no_fault_of_a_node_that_answers_others_meanwhile() {
        let began = testing::now();
        let now = began + Duration::from_secs(8);
        for (answers_at, is_doubted) in [(began, false), (began - Duration::from_secs(1), true)] {
            let view = nodes(1, answers_at);
            let mut doubts = Doubts::default();
            doubts.hear(&view.nodes[0], AttemptClass::Timeout, began, now);
            assert_eq!(!doubts.is_empty(), is_doubted);
        }
    }
}

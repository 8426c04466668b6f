//! Which answer holds a block's logs, all of them.
//!
//! The block's bloom says so, while blooms prove themselves on this chain. On some they lack logs
//! (Polygon's state sync, Avalanche, Evmos, HyperEVM), on others they have bits too many (zkSync,
//! Lotus). So a bloom is never a reason not to ask; and it vouches for an answer only where it is just
//! that answer's, and blooms have been so before. Else two nodes must give the same answer, or one
//! must give it twice.

use std::sync::Arc;
use std::time::Duration;

use crate::feed::head_tracker::witnesses;
use crate::feed::log_match::BlockLogs;
use crate::fleet::node_view::NodeView;
use crate::fleet::view::FleetView;
use crate::vocabulary::block_ref::BlockData;
use crate::vocabulary::bloom::Bloom;
use crate::vocabulary::chain::{BlockNumber, ChainId};
use crate::vocabulary::known_chains::leaves_logs_out_of_blooms;
use crate::vocabulary::node::{NodeId, Role};

/// Blocks with logs whose blooms must be right, one after another, before blooms are believed: at
/// the start, and after one that was wrong.
const PROOFS_FIRST: u32 = 1;
const PROOFS_AFTER_LIE: u32 = 256;

/// Different answers to one question that are remembered.
const ANSWERS_MAX: usize = 4;

/// Before all nodes are asked again: in the beginning, and once it has taken longer.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(150),
    Duration::from_millis(200),
    Duration::from_millis(250),
];
const PAUSES_SHORT: usize = 12;
const PAUSE_LONG: Duration = Duration::from_secs(1);
/// Before an answer that a believed bloom denies is asked for a second time.
const PAUSE_DENIED: Duration = Duration::from_millis(500);

/// The nodes that may have the block, the best first: those whose word counts, then those that live. No paid
/// leader while an own node serves.
pub fn holders(view: &FleetView, block: BlockNumber) -> Vec<NodeId> {
    let counted = witnesses(view);
    let is_own = |node: &NodeView| node.role == Role::Own;
    let mut nodes = view.nodes.iter();
    let is_spared = nodes.any(|node| is_own(node) && node.serves() && node.lives);
    let has_it = |node: &&NodeView| {
        let is_asked = is_own(node) || !is_spared;
        is_asked && node.is_last_resort() && node.has(BlockData::Block, block)
    };
    let holders = view.nodes.iter().filter(has_it).map(|node| node.id);
    let (first, then): (Vec<_>, Vec<_>) = holders.partition(|id| counted.contains(id));
    first.into_iter().chain(then).collect()
}

/// Whether blooms are believed on this chain.
#[derive(Debug)]
pub struct BloomTrust {
    /// Proofs that are still missing.
    owed: u32,
}

impl Default for BloomTrust {
    fn default() -> BloomTrust {
        BloomTrust { owed: PROOFS_FIRST }
    }
}

impl BloomTrust {
    /// The next block is of `chain`: where blooms are known to lack logs, none is ever believed, as an empty one
    /// would vouch for an answer that lacks the same.
    pub fn mind(&mut self, chain: Option<ChainId>) {
        if chain.is_some_and(leaves_logs_out_of_blooms) {
            self.owed = PROOFS_AFTER_LIE;
        }
    }

    /// Hears what the logs of a block with this bloom turned out to be.
    pub fn learn(&mut self, bloom: Option<&Bloom>, logs: &BlockLogs) {
        match bloom {
            // Nothing in nothing proves nothing.
            None if logs.logs.is_empty() => {}
            Some(bloom) if *bloom == logs.bloom() => self.owed = self.owed.saturating_sub(1),
            None | Some(_) => self.owed = PROOFS_AFTER_LIE,
        }
    }

    /// Whether one node's answer is enough, by the block's bloom.
    fn suffices(&self, bloom: Option<&Bloom>, logs: &BlockLogs) -> bool {
        match bloom {
            None => self.owed == 0 && logs.logs.is_empty(),
            // It is a proof itself.
            Some(bloom) => self.owed <= 1 && *bloom == logs.bloom(),
        }
    }
}

/// The part of a block time for which the word of nodes is waited for that don't have the block yet, and the most.
const OTHERS_PART: u32 = 2;
const OTHERS_MAX: Duration = Duration::from_secs(1);

/// Whether an own node that lives lacks the block and may have it soon, so long after it was heard of.
pub fn are_others_awaited(view: &FleetView, block: BlockNumber, since: Duration) -> bool {
    let mut nodes = view.nodes.iter();
    let lacks = |node: &NodeView| {
        node.role == Role::Own && node.serves() && node.lives && !node.has(BlockData::Block, block)
    };
    since < OTHERS_MAX.min(view.block_time / OTHERS_PART) && nodes.any(lacks)
}

/// What nodes say of one block's logs.
#[derive(Debug, Default)]
pub struct LogEvidence {
    answers: Vec<(Arc<BlockLogs>, Vec<NodeId>)>,
    rounds: usize,
    /// See [`are_others_awaited`]: until then one node's word that there are none isn't enough, however often it
    /// says so. It may have the block sooner than its logs.
    pub awaits_others: bool,
}

impl LogEvidence {
    /// Node `id` says that these are the logs of the block with this bloom. They are returned if that
    /// is believed.
    pub fn hear(
        &mut self,
        id: NodeId,
        logs: BlockLogs,
        bloom: Option<&Bloom>,
        trust: &BloomTrust,
    ) -> Option<Arc<BlockLogs>> {
        if trust.suffices(bloom, &logs) {
            return Some(Arc::new(logs));
        }
        let mut before = self.answers.iter_mut();
        let Some((like, by)) = before.find(|(other, _)| other.is_like(&logs)) else {
            if self.answers.len() >= ANSWERS_MAX {
                self.answers.remove(0);
            }
            self.answers.push((Arc::new(logs), vec![id]));
            return None;
        };
        let (like, is_agreed) = (like.clone(), by.iter().any(|other| *other != id));
        // A node leaves logs out sooner than it invents some.
        let mut answers = self.answers.iter();
        let is_richest = answers.all(|(other, _)| other.logs.len() <= like.logs.len())
            && !(self.awaits_others && like.logs.is_empty());
        (is_agreed || is_richest).then_some(like)
    }

    /// All nodes were asked, and no answer is believed: the pause before they are asked again.
    pub fn pause(&mut self, trust: &BloomTrust) -> Duration {
        self.rounds += 1;
        if self.rounds == 1 && trust.owed == 0 && !self.answers.is_empty() {
            return PAUSE_DENIED;
        }
        if self.rounds > PAUSES_SHORT {
            return PAUSE_LONG;
        }
        let last = PAUSES.len() - 1;
        PAUSES[(self.rounds - 1).min(last)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tracker::Fleet;
    use crate::fleet::{FleetMember, HealthCriteria, ProbeOutcome};
    use crate::testing::{at, member, quick_criteria};
    use crate::vocabulary::chain::BlockHash;

    const ONE: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);

    /// Logs with these topics.
    fn logs(topics: &[u8]) -> BlockLogs {
        let object = |topic: &u8| {
            let word = |byte: u8| format!("0x{}", format!("{byte:02x}").repeat(32));
            format!(
                r#"{{"address":"0x{}","topics":["{}"],"blockHash":"{}","data":"0x"}}"#,
                "01".repeat(20),
                word(*topic),
                word(9)
            )
        };
        let objects: Vec<_> = topics.iter().map(object).collect();
        BlockLogs::read(&format!("[{}]", objects.join(",")), BlockHash([9; 32])).unwrap()
    }

    fn bloom_of(topics: &[u8]) -> Option<Bloom> {
        Some(logs(topics).bloom()).filter(|_| !topics.is_empty())
    }

    /// How many of these answers are heard until one is believed, and which that is.
    fn believed(
        trust: &BloomTrust,
        bloom: &[u8],
        answers: &[(NodeId, &[u8])],
    ) -> Option<(usize, BlockLogs)> {
        let (mut testimony, bloom) = (LogEvidence::default(), bloom_of(bloom));
        for (at, (id, topics)) in answers.iter().enumerate() {
            if let Some(logs) = testimony.hear(*id, logs(topics), bloom.as_ref(), trust) {
                return Some((at + 1, (*logs).clone()));
            }
        }
        None
    }

    fn proven() -> BloomTrust {
        let mut trust = BloomTrust::default();
        trust.learn(bloom_of(&[1]).as_ref(), &logs(&[1]));
        trust
    }

    fn lied() -> BloomTrust {
        let mut trust = proven();
        trust.learn(bloom_of(&[1, 2]).as_ref(), &logs(&[1]));
        trust
    }

    #[test]
    fn the_leader_is_not_asked_for_logs_while_an_own_node_serves() {
        const LEADER: NodeId = NodeId(0);
        let now = crate::testing::now();
        let member = |(id, role): (NodeId, Role)| FleetMember {
            role,
            ..member(id.0)
        };
        let nodes = [(LEADER, Role::Leader), (ONE, Role::Own), (OTHER, Role::Own)];
        let mut fleet = crate::testing::fleet_by(quick_criteria(), nodes.map(member), now);
        let mut hears = |heads: [Option<u64>; 3]| {
            let probe = |head: Option<u64>| match head {
                Some(head) => at(head),
                None => ProbeOutcome::Failed,
            };
            let probes: Vec<_> = (0..).map(NodeId).zip(heads.map(probe)).collect();
            fleet.hear_round(&probes, now);
            holders(&fleet.view(), BlockNumber(100))
        };
        assert_eq!(hears([Some(100), Some(100), Some(100)]), [ONE, OTHER]);
        assert_eq!(hears([Some(100), Some(100), Some(99)]), [ONE]);
        assert_eq!(
            hears([Some(100), Some(99), Some(99)]),
            [],
            "they will have it"
        );
        assert_eq!(hears([Some(100), None, None]), [LEADER]);
    }

    #[test]
    fn one_answer_is_enough_where_it_is_just_what_a_bloom_that_is_believed_says() {
        let one =
            |trust, bloom, answer| believed(&trust, bloom, &[(ONE, answer)]).map(|(_, logs)| logs);
        assert_eq!(
            one(BloomTrust::default(), &[1, 2], &[1, 2]),
            Some(logs(&[1, 2]))
        );
        assert_eq!(
            one(BloomTrust::default(), &[], &[]),
            None,
            "nothing proves nothing"
        );
        assert_eq!(one(proven(), &[], &[]), Some(logs(&[])));
        assert_eq!(one(proven(), &[1, 2], &[1]), None, "one is missing");
        assert_eq!(one(proven(), &[1], &[1, 2]), None, "one isn't counted");
        assert_eq!(one(lied(), &[1], &[1]), None);
        assert_eq!(one(lied(), &[], &[]), None);
    }

    #[test]
    fn else_it_is_what_two_nodes_say_or_one_says_twice() {
        let (some, none) = (&[1, 2][..], &[][..]);
        for (answers, wanted) in [
            (&[(ONE, none), (OTHER, none)][..], Some((2, none))),
            (&[(ONE, some), (OTHER, some)], Some((2, some))),
            (&[(ONE, none), (ONE, none)], Some((2, none))),
            (&[(ONE, none), (OTHER, some), (ONE, some)], Some((3, some))),
            // One leaves them out for ever.
            (
                &[(ONE, none), (OTHER, some), (ONE, none), (OTHER, some)],
                Some((4, some)),
            ),
            (&[(ONE, none), (OTHER, some)], None),
        ] {
            let wanted = wanted.map(|(count, topics)| (count, logs(topics)));
            assert_eq!(believed(&lied(), &[1], answers), wanted, "{answers:?}");
        }
    }

    #[test]
    fn trust_is_lost_at_the_first_lie_and_won_back_slowly() {
        let right = bloom_of(&[1]);
        for (bloom, is) in [
            (bloom_of(&[1, 2]), logs(&[1])),
            (bloom_of(&[1]), logs(&[1, 2])),
            (None, logs(&[1])),
        ] {
            let mut trust = proven();
            trust.learn(bloom.as_ref(), &is);
            for _ in 1..PROOFS_AFTER_LIE {
                assert!(!trust.suffices(right.as_ref(), &logs(&[1])));
                trust.learn(right.as_ref(), &logs(&[1]));
                trust.learn(None, &logs(&[]));
            }
            assert!(trust.suffices(right.as_ref(), &logs(&[1])));
            assert!(!trust.suffices(None, &logs(&[])));
            trust.learn(right.as_ref(), &logs(&[1]));
            assert!(trust.suffices(None, &logs(&[])));
        }
    }

    #[test]
    fn where_blooms_are_known_to_lack_logs_no_proof_makes_them_believed() {
        let (right, polygon) = (bloom_of(&[1]), Some(ChainId(137)));
        let mut trust = proven();
        for _ in 0..=PROOFS_AFTER_LIE {
            trust.mind(polygon);
            assert!(!trust.suffices(right.as_ref(), &logs(&[1])));
            assert!(!trust.suffices(None, &logs(&[])));
            trust.learn(right.as_ref(), &logs(&[1]));
        }
        for other in [None, Some(ChainId(1))] {
            let mut trust = proven();
            trust.mind(other);
            assert!(trust.suffices(None, &logs(&[])));
        }
    }

    #[test]
    fn one_node_is_not_believed_that_there_are_none_while_another_may_have_the_block_soon() {
        let trust = lied();
        let mut testimony = LogEvidence {
            awaits_others: true,
            ..LogEvidence::default()
        };
        let mut hear = |id, topics: &[u8]| testimony.hear(id, logs(topics), None, &trust);
        for _ in 0..4 {
            assert!(hear(ONE, &[]).is_none());
        }
        assert!(hear(OTHER, &[2]).is_none());
        assert_eq!(hear(OTHER, &[2]).map(|logs| logs.logs.len()), Some(1));
        assert!(
            hear(OTHER, &[]).is_some_and(|logs| logs.logs.is_empty()),
            "two say so"
        );
    }

    #[test]
    fn others_are_awaited_for_half_a_block_time_where_they_live_and_lack_it() {
        let now = crate::testing::now();
        let criteria = HealthCriteria {
            block_time: Duration::from_millis(1000),
            ..quick_criteria()
        };
        let mut fleet = crate::testing::fleet_by(criteria, vec![member(1), member(2)], now);
        fleet.hear_round(&[(ONE, at(100)), (OTHER, at(99))], now);
        let awaited = |fleet: &Fleet, millis| {
            let since = Duration::from_millis(millis);
            are_others_awaited(&fleet.view(), BlockNumber(100), since)
        };
        assert!(awaited(&fleet, 0) && awaited(&fleet, 499));
        assert!(!awaited(&fleet, 500));
        fleet.hear_round(&[(ONE, at(100)), (OTHER, ProbeOutcome::Failed)], now);
        assert!(!awaited(&fleet, 0), "it doesn't live");
        fleet.hear_round(&[(ONE, at(100)), (OTHER, at(100))], now);
        assert!(!awaited(&fleet, 0), "it has it");
    }

    #[test]
    fn the_pauses_grow() {
        let mut testimony = LogEvidence::default();
        let pauses: Vec<_> = (0..14).map(|_| testimony.pause(&proven())).collect();
        assert!(pauses.is_sorted());
        assert_eq!((pauses[0], pauses[13]), (PAUSES[0], PAUSE_LONG));
        let mut denied = LogEvidence::default();
        denied.hear(ONE, logs(&[]), bloom_of(&[1]).as_ref(), &proven());
        assert_eq!(denied.pause(&proven()), PAUSE_DENIED);
        assert_eq!(denied.pause(&proven()), PAUSES[1]);
    }

    #[test]
    fn few_different_answers_are_remembered() {
        let mut testimony = LogEvidence::default();
        for topic in 0..=ANSWERS_MAX {
            let topic = [u8::try_from(topic).unwrap()];
            let heard = testimony.hear(ONE, logs(&topic), None, &lied());
            assert_eq!(heard, None);
        }
        assert_eq!(testimony.answers.len(), ANSWERS_MAX);
        assert_eq!(testimony.hear(ONE, logs(&[0]), None, &lied()), None);
    }
}

//! What nodes tell unasked, between two rounds, and what of their word is believed.

use std::time::Instant;

use super::Fleet;
use crate::fleet::node_state::NodeState;
use crate::fleet::overload;
use crate::fleet::probe_failure::ProbeFailure;
use crate::fleet::report::{FleetChange, ProbeDetails, ProbeOutcome};
use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::node::NodeId;

impl Fleet {
    /// The round begins that is heard next: a node that tells a higher head from now on hasn't fallen back to the
    /// head that it answers to the round.
    pub fn begin_round(&mut self) {
        self.entries.iter_mut().for_each(NodeState::begin_round);
    }

    /// Node `id` told its head between two rounds. A living node's head only rises by that: what
    /// falls, and which nodes are fit, is for the next round to say.
    pub fn hear_head(
        &mut self,
        id: NodeId,
        head: BlockNumber,
        details: &ProbeDetails,
        now: Instant,
    ) -> Vec<FleetChange> {
        self.hear_between((id, true), head, details, now)
    }

    /// The same, where the node was asked for it.
    pub fn hear_look(
        &mut self,
        id: NodeId,
        head: BlockNumber,
        details: &ProbeDetails,
        now: Instant,
    ) -> Vec<FleetChange> {
        self.hear_between((id, false), head, details, now)
    }

    fn hear_between(
        &mut self,
        (id, is_unasked): (NodeId, bool),
        head: BlockNumber,
        details: &ProbeDetails,
        now: Instant,
    ) -> Vec<FleetChange> {
        let told = self.told.clone();
        if let Some(entry) = self.entry_mut(id).filter(|_| is_unasked) {
            entry.told_unasked_at = Some(now);
        }
        let Some(entry) = self
            .entry_mut(id)
            .filter(|entry| entry.lives && entry.head < Some(head))
        else {
            return Vec::new();
        };
        let probe = ProbeOutcome::Answered {
            head,
            chain_id: None,
            syncing: false,
        };
        entry.rise(head, is_unasked, now);
        entry.hear_head(head, details, now);
        entry.compare_branch(&told);
        let changes = self.compare(&[(id, probe)], now).into_iter();
        changes.chain(self.settle(now)).collect()
    }

    /// Of `probes` those that say something of their nodes: one that a node had no time for, while it
    /// answers calls, says nothing of the node.
    pub fn conclusive(
        &self,
        probes: &[(NodeId, ProbeOutcome)],
        details: &[(NodeId, ProbeDetails)],
        now: Instant,
    ) -> Vec<(NodeId, ProbeOutcome)> {
        let is_overload = |(id, probe): &&(NodeId, ProbeOutcome)| {
            let details = details.iter().find(|(of, _)| of == id);
            let probe_failure = details.and_then(|(_, details)| details.probe_failure.as_ref());
            let may_be = match probe {
                ProbeOutcome::Failed => probe_failure.is_some_and(ProbeFailure::may_be_overload),
                ProbeOutcome::Throttled(rest) => rest.is_none(),
                ProbeOutcome::Answered { .. } => false,
            };
            let entry = self.entries.iter().find(|entry| entry.member.id == *id);
            let answers = |entry: &NodeState| overload::answers_calls(&entry.load.conduct, now);
            may_be && entry.is_some_and(answers)
        };
        let conclusive = probes.iter().filter(|probe| !is_overload(probe));
        conclusive.copied().collect()
    }

    /// Whether the word of a node that it is syncing is not to be believed.
    pub(super) fn keeps_up(&mut self, at: usize, head: BlockNumber, now: Instant) -> bool {
        let is_near = self.is_near(head);
        let is_other =
            |other: &NodeState| other.lives && self.is_ours(other) && other.head.is_some();
        let mut others = self.entries.iter().enumerate();
        let is_compared = others.any(|(place, other)| place != at && is_other(other));
        let block_time = self.block_time.current();
        let node = &mut self.entries[at].keeping_up;
        node.is_fit((head, is_near), is_compared, block_time, now)
    }

    /// Whether a node that gets calls is further behind than a fit one may be: a round is due.
    pub fn is_round_due(&self) -> bool {
        self.entries.iter().any(|entry| {
            let is_behind = entry.head.is_some_and(|head| !self.is_near(head));
            is_behind && self.serves(entry, entry.member.role)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fleet::reference::{LeaderDoubt, ReferenceSource};
    use crate::fleet::standing::{Hysteresis, Reason};
    use crate::fleet::view::FleetView;
    use crate::fleet::{FleetMember, HealthCriteria};
    use crate::vocabulary::chain::{BlockHash, Lag};
    use crate::vocabulary::node::{Role, Weight};

    const LEADER: NodeId = NodeId(0);
    const ONE: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);

    struct Scene {
        fleet: Fleet,
        now: Instant,
    }

    impl Scene {
        /// A leader, a node, and another of this weight, all of them fit, at block 100.
        fn set(weight: Weight) -> Scene {
            let now = crate::testing::now();
            let criteria = HealthCriteria {
                hysteresis: Hysteresis { rise: 1, fall: 3 },
                ..crate::testing::criteria()
            };
            let nodes = [
                (LEADER, Role::Leader, Weight::ONE),
                (ONE, Role::Own, Weight::ONE),
                (OTHER, Role::Own, weight),
            ];
            let members = nodes.map(|(id, role, weight)| FleetMember {
                name: "node".into(),
                role,
                weight,
                ..crate::testing::member(id.0)
            });
            let fleet = crate::testing::fleet_by(criteria, members, now);
            let mut scene = Scene { fleet, now };
            scene.round(&[at(100), at(100), at(100)]);
            scene
        }

        fn round(&mut self, probes: &[ProbeOutcome]) {
            self.now += Duration::from_secs(1);
            let probes: Vec<_> = (0..).map(NodeId).zip(probes.iter().copied()).collect();
            self.fleet.hear_round(&probes, self.now);
        }

        fn hear(&mut self, id: NodeId, head: u64) -> Vec<FleetChange> {
            let details = ProbeDetails {
                head_hash: Some(BlockHash([7; 32])),
                head_timestamp: Some(head * 12),
                ..ProbeDetails::default()
            };
            let head = BlockNumber(head);
            self.fleet.hear_head(id, head, &details, self.now)
        }

        fn view(&self) -> FleetView {
            self.fleet.view()
        }

        fn head(&self, id: NodeId) -> u64 {
            self.view().node(id).unwrap().head.unwrap().0
        }
    }

    fn at(head: u64) -> ProbeOutcome {
        ProbeOutcome::Answered {
            head: BlockNumber(head),
            chain_id: Some(crate::vocabulary::chain::ChainId(1)),
            syncing: false,
        }
    }

    #[test]
    fn a_head_told_between_rounds_rises_and_puts_no_node_out() {
        let mut scene = Scene::set(Weight::ONE);
        assert_eq!(scene.hear(ONE, 102), []);
        assert_eq!((scene.head(ONE), scene.head(OTHER)), (102, 100));
        let timestamp = scene.view().node(ONE).unwrap().head_timestamp;
        assert_eq!(timestamp, Some(102 * 12));
        assert_eq!(scene.view().served_head, Some(BlockNumber(102)), "half");
        assert_eq!(scene.hear(ONE, 101), [], "what falls is for a round");
        assert_eq!(scene.head(ONE), 102);
        scene.hear(ONE, 111);
        scene.hear(LEADER, 111);
        let view = scene.view();
        let reference = view.reference.unwrap();
        assert_eq!(
            (reference.number.0, reference.source),
            (111, ReferenceSource::Leader)
        );
        let other = view.node(OTHER).unwrap();
        assert_eq!(other.lag(), Some(Lag(11)));
        assert!(
            other.standing.is_healthy(),
            "a round says which node is fit"
        );
    }

    #[test]
    fn what_a_node_was_at_when_a_round_began_takes_back_no_reorganisation_told_since() {
        let hash = |letter| BlockHash([letter; 32]);
        let details = |letter, parent: Option<u8>| ProbeDetails {
            head_hash: Some(hash(letter)),
            parent_hash: parent.map(hash),
            ..ProbeDetails::default()
        };
        let began_at_it = (100, b'a', None);
        let told_it_since = (99, b'z', Some((100, b'a')));
        for (before, letter, since) in [began_at_it, told_it_since] {
            for (answers, wanted) in [(b'a', 101), (b'c', 100)] {
                let mut scene = Scene::set(Weight::ONE);
                let answer = |scene: &mut Scene, head, letter| {
                    let (now, probes) = (scene.now, [(ONE, at(head))]);
                    let details = [(ONE, details(letter, None))];
                    scene.fleet.hear_details(&probes, &details, now);
                    scene.fleet.hear_round(&probes, now);
                };
                let tell = |scene: &mut Scene, head, details| {
                    let (now, head) = (scene.now, BlockNumber(head));
                    scene.fleet.hear_head(ONE, head, &details, now);
                };
                answer(&mut scene, before, letter);
                scene.fleet.begin_round();
                if let Some((head, letter)) = since {
                    tell(&mut scene, head, details(letter, None));
                }
                tell(&mut scene, 101, details(b'b', Some(b'd')));
                answer(&mut scene, 100, answers);
                assert_eq!(scene.head(ONE), wanted, "it is on a third branch, or was");
            }
        }
    }

    #[test]
    fn a_round_is_due_as_soon_as_a_node_with_calls_is_too_far_behind() {
        let mut scene = Scene::set(Weight::ONE);
        scene.hear(ONE, 110);
        scene.hear(LEADER, 110);
        let reference = scene.view().reference.unwrap();
        assert_eq!(reference.number, BlockNumber(110));
        assert!(!scene.fleet.is_round_due(), "at the limit");
        scene.hear(ONE, 111);
        scene.hear(LEADER, 111);
        assert!(scene.fleet.is_round_due());
        scene.round(&[at(111), at(111), at(100)]);
        assert!(!scene.fleet.is_round_due(), "it gets no calls now");
        let mut scene = Scene::set(Weight::NONE);
        scene.hear(ONE, 111);
        scene.hear(LEADER, 111);
        assert!(!scene.fleet.is_round_due(), "nor does a drained one");
    }

    #[test]
    fn a_probe_that_a_busy_node_has_no_time_for_is_no_fall() {
        let scene = Scene::set(Weight::ONE);
        let (view, then) = (scene.view(), scene.now);
        let met = |reason, words: &str| ProbeDetails {
            probe_failure: Some(ProbeFailure {
                reason,
                words: words.into(),
            }),
            ..ProbeDetails::default()
        };
        let tells = |probe, details: &ProbeDetails, after| {
            let now = then + Duration::from_millis(after);
            let details = [(ONE, details.clone())];
            let conclusive = scene.fleet.conclusive(&[(ONE, probe)], &details, now);
            !conclusive.is_empty()
        };
        let late = met(Reason::Silent, "no answer within 2 s");
        let busy = met(Reason::BadAnswer, "HTTP 503");
        let broken = met(Reason::BadAnswer, "HTTP 502");
        assert!(tells(ProbeOutcome::Failed, &late, 0), "it answers no calls");
        view.node(ONE).unwrap().load.conduct.answered(1, then);
        for (probe, details, wanted) in [
            (ProbeOutcome::Failed, &late, false),
            (ProbeOutcome::Failed, &busy, false),
            (
                ProbeOutcome::Throttled(None),
                &ProbeDetails::default(),
                false,
            ),
            (ProbeOutcome::Failed, &broken, true),
            (at(100), &ProbeDetails::default(), true),
            (
                ProbeOutcome::Throttled(Some(Duration::from_secs(1))),
                &busy,
                true,
            ),
        ] {
            assert_eq!(tells(probe, details, 2000), wanted, "{probe:?} {details:?}");
            assert!(tells(probe, details, 2001), "{probe:?}");
        }
    }

    #[test]
    fn a_node_that_is_dead_or_not_in_the_list_tells_nothing() {
        let mut scene = Scene::set(Weight::ONE);
        scene.round(&[at(100), ProbeOutcome::Failed, at(100)]);
        assert_eq!(scene.hear(ONE, 101), []);
        assert_eq!(scene.head(ONE), 100);
        assert!(!scene.view().node(ONE).unwrap().lives);
        assert_eq!(scene.hear(NodeId(9), 101), []);
        assert_eq!(scene.view().served_head, Some(BlockNumber(100)));
    }

    #[test]
    fn a_leader_that_leaps_is_doubted_at_once() {
        let mut scene = Scene::set(Weight::ONE);
        let changes = scene.hear(LEADER, 1_000_000);
        let doubted = FleetChange::Reference {
            source: ReferenceSource::Held,
            doubt: Some(LeaderDoubt::Implausible),
        };
        assert_eq!(changes, [doubted]);
        let view = scene.view();
        assert_eq!(view.reference.unwrap().number, BlockNumber(100));
        assert_eq!(view.served_head, Some(BlockNumber(100)));
    }
}

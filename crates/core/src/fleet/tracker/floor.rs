//! What other balancers, or this one before it was started again, have told clients of the head.

use std::time::Instant;

use super::Fleet;
use crate::fleet::head_floor::{FloorEvidence, FloorStep, HeadFloor, ShownHead};
use crate::fleet::reference::LEAP_BLOCKS;
use crate::fleet::served_head::{HeadMovement, HeadReport};
use crate::vocabulary::chain::{BlockNumber, ChainId};

/// A floor that no node has stands for this part of the time that a call waits for a block.
const PATIENCE_PART: f64 = 0.9375;

impl Fleet {
    /// Clients were told of `floor` elsewhere.
    pub fn hear_floor(&mut self, floor: HeadFloor, now: Instant) {
        if self.rounds == 0 {
            self.floor.hear_early(floor);
            return;
        }
        if floor.is_of(self.likely_chain_id()) && Some(floor.number) > self.served.head() {
            let nodes = self.evidence(&self.witnesses(now));
            let step = self.floor.hear(floor.number, nodes, now);
            self.take_step(step, now);
        }
    }

    /// The first round is over: what was heard of before it counts from now on.
    pub(super) fn begin_from_floor(&mut self, now: Instant) {
        if let Some(early) = self.floor.take_early() {
            self.hear_floor(early, now);
        }
    }

    /// Looks whether a node has what is shown without one, and drops it once its time is over.
    pub fn settle_floor(&mut self, now: Instant) {
        if self.floor.held().is_some() {
            let had = had(&self.witnesses(now));
            let step = self.floor.settle(had, now);
            self.take_step(step, now);
        }
    }

    /// The same after a movement of the head that nodes carry.
    pub(super) fn settle_floor_after(&mut self, course: HeadMovement, now: Instant) {
        if course != HeadMovement::Onward {
            self.floor.forget();
        }
        self.settle_floor(now);
    }

    fn take_step(&mut self, step: FloorStep, now: Instant) {
        match step {
            FloorStep::Shown(number) => {
                self.served.lift(number, now);
                self.await_next(now);
            }
            FloorStep::Stays => {}
            // Clients that were told of it are told less from now on, as after a reorg.
            FloorStep::Dropped => self.falls += 1,
        }
    }

    /// The highest head that clients are shown.
    pub(super) fn shown_head(&self) -> Option<BlockNumber> {
        let served = self.served.head()?;
        Some(self.floor.held().map_or(served, |held| held.max(served)))
    }

    /// The head as it is handed on: without what no node here has.
    pub(super) fn head_to_hand_on(&self) -> Option<ShownHead> {
        let number = self.served.head()?;
        let tips = self.entries.iter().filter(|entry| self.is_ours(entry));
        let hash = tips.filter_map(|entry| entry.hash_at(number)).next();
        Some(ShownHead {
            number,
            hash: hash.or_else(|| self.told.hash_at(number)),
            chain_id: self.likely_chain_id(),
            reorgs: self.reorgs,
        })
    }

    /// What is known of our chain's id, else what all nodes say that say one.
    fn likely_chain_id(&self) -> Option<ChainId> {
        self.chain_id().or_else(|| self.nodes_chain())
    }

    /// The highest block that there can be by now, where `highest` was the highest at the last look.
    pub(super) fn reach_from(&self, highest: BlockNumber) -> BlockNumber {
        let time = 2.0 * self.criteria.round_interval.as_secs_f64();
        let blocks = (time / self.block_time.likely().as_secs_f64()).ceil() as u64;
        BlockNumber(highest.0.saturating_add(LEAP_BLOCKS + blocks))
    }

    fn evidence(&self, witnesses: &[HeadReport]) -> FloorEvidence {
        let living = witnesses.iter().filter(|witness| witness.lives);
        let heads = living.map(|witness| witness.head);
        let reference = self.reference.map(|reference| reference.number);
        let highest = heads.chain(reference).max().unwrap_or_default();
        FloorEvidence {
            had: had(witnesses),
            reach: self.reach_from(highest),
            // A call that waits for it since then is told less before its own time is over.
            patience: self.block_wait().mul_f64(PATIENCE_PART),
        }
    }
}

/// The highest head of a node that calls are sent to.
fn had(witnesses: &[HeadReport]) -> Option<BlockNumber> {
    let serving = witnesses.iter().filter(|it| it.weight > 0 && it.lives);
    serving.map(|witness| witness.head).max()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fleet::standing::Hysteresis;
    use crate::fleet::{HealthCriteria, ProbeDetails, ProbeOutcome};
    use crate::testing::block_hash as hash;
    use crate::vocabulary::node::NodeId;

    const SECOND: Duration = Duration::from_secs(1);

    struct Scene {
        fleet: Fleet,
        now: Instant,
    }

    impl Scene {
        /// Three own nodes of which nothing is known yet; a block takes 2 s, and so does a round.
        fn set() -> Scene {
            let now = crate::testing::now();
            let criteria = HealthCriteria {
                chain_id: Some(ChainId(1)),
                block_time: 2 * SECOND,
                round_interval: 2 * SECOND,
                hysteresis: Hysteresis { rise: 1, fall: 3 },
                ..crate::testing::criteria()
            };
            let members = [1, 2, 3].map(|id| crate::testing::called(id, "node"));
            let fleet = crate::testing::fleet_by(criteria, members, now);
            Scene { fleet, now }
        }

        /// A round, in which the nodes' blocks have hashes of this letter.
        fn round(&mut self, heads: [u64; 3], letter: u8) {
            let probes = [1, 2, 3].map(NodeId).into_iter().zip(heads);
            let outcome = |head| ProbeOutcome::Answered {
                head: BlockNumber(head),
                chain_id: Some(ChainId(1)),
                syncing: false,
            };
            let probes: Vec<_> = probes.map(|(id, head)| (id, outcome(head))).collect();
            let details = |head: u64| ProbeDetails {
                head_hash: Some(hash(head, letter)),
                parent_hash: Some(hash(head - 1, letter)),
                ..ProbeDetails::default()
            };
            let details: Vec<_> = (probes.iter().zip(heads))
                .map(|((id, _), head)| (*id, details(head)))
                .collect();
            self.fleet.hear_details(&probes, &details, self.now);
            self.fleet.hear_round(&probes, self.now);
        }

        fn told(&mut self, number: u64, chain: u64) {
            let floor = HeadFloor {
                number: BlockNumber(number),
                hash: None,
                chain_id: Some(ChainId(chain)),
                raised_at: 0,
            };
            self.fleet.hear_floor(floor, self.now);
        }

        fn shown(&self) -> u64 {
            self.fleet.view().served_head.unwrap().0
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
            self.fleet.settle_floor(self.now);
        }
    }

    #[test]
    fn a_start_begins_from_the_floor_that_one_node_has() {
        let mut scene = Scene::set();
        scene.told(102, 1);
        scene.round([100, 100, 102], b'a');
        assert_eq!(scene.shown(), 102, "100 by half of the weight");
        scene.round([101, 101, 102], b'a');
        assert_eq!(scene.shown(), 102);
        assert_eq!(scene.fleet.view().falls, 0);
    }

    #[test]
    fn a_floor_that_no_node_has_is_shown_for_a_block_time_and_then_forgotten() {
        let mut scene = Scene::set();
        scene.told(102, 1);
        scene.round([100, 100, 101], b'a');
        assert_eq!(scene.shown(), 102);
        let view = scene.fleet.view();
        assert_eq!(view.highest_head, Some(BlockNumber(101)), "no node has it");
        assert_eq!(
            view.floor_until,
            Some(scene.now + (2 * SECOND).mul_f64(PATIENCE_PART))
        );
        let mut met = Scene::set();
        met.told(102, 1);
        met.round([100, 100, 101], b'a');
        met.round([100, 100, 102], b'a');
        met.pass(2 * SECOND);
        assert_eq!((met.shown(), met.fleet.view().falls), (102, 0));
        scene.pass(2 * SECOND);
        assert_eq!((scene.shown(), scene.fleet.view().falls), (100, 1));
        scene.told(102, 1);
        assert_eq!(scene.shown(), 100, "it is doubted");
    }

    #[test]
    fn another_balancer_lifts_the_head_while_it_runs_within_reach_and_on_our_chain() {
        let mut scene = Scene::set();
        scene.round([100, 100, 101], b'a');
        assert_eq!(scene.shown(), 100);
        // 5 blocks, and twice what comes between two looks, beyond the highest.
        for (number, chain, wanted) in [(110, 1, 100), (101, 2, 100), (101, 1, 101), (108, 1, 108)]
        {
            scene.told(number, chain);
            assert_eq!(scene.shown(), wanted, "{number}");
        }
    }

    #[test]
    fn a_reorg_takes_back_what_no_node_has_and_hands_on_its_hash() {
        let mut scene = Scene::set();
        scene.round([104, 104, 104], b'a');
        let handed = |scene: &Scene| {
            let head = scene.fleet.view().handed_on.unwrap();
            (head.number.0, head.hash, head.reorgs)
        };
        assert_eq!(handed(&scene), (104, Some(hash(104, b'a')), 0));
        scene.told(106, 1);
        assert_eq!(scene.shown(), 106);
        assert_eq!(handed(&scene).0, 104, "without what is held alone");
        scene.now += SECOND;
        scene.round([103, 103, 103], b'b');
        assert_eq!(scene.shown(), 103);
        assert_eq!(handed(&scene), (103, Some(hash(103, b'b')), 1));
    }

    #[test]
    fn a_chain_begun_anew_makes_it_void() {
        let mut scene = Scene::set();
        scene.told(5000, 1);
        scene.round([3, 3, 3], b'a');
        assert_eq!(scene.shown(), 3);
        assert_eq!(scene.fleet.view().floor_until, None);
    }
}

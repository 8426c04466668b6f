//! Each standing in words, as an operator reads it on the status page.

use std::time::Duration;

use super::*;
use crate::clock;
use forebay_core::fleet::tracker::Fleet;
use forebay_core::fleet::{FleetMember, HealthCriteria, ProbeOutcome};
use forebay_core::testing::{self, at};
use forebay_core::vocabulary::node::{NodeId, Weight};

const LAG_BLOCKS_MAX: u64 = 10;
const LEADER: NodeId = NodeId(0);
const OWN: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);

/// A leader and two own nodes, of which `OTHER` is always well.
struct Stage {
    fleet: Fleet,
    now: Instant,
}

impl Stage {
    fn new(weight: u64) -> Stage {
        let now = clock::now();
        let criteria = HealthCriteria {
            lag_blocks_max: LAG_BLOCKS_MAX,
            ..testing::criteria()
        };
        let member = |id: NodeId, name: &str, role, weight| FleetMember {
            name: name.into(),
            role,
            weight: Weight::new(weight).unwrap(),
            ..testing::member(id.0)
        };
        let fleet = testing::fleet_by(
            criteria,
            vec![
                member(LEADER, "leader", Role::Leader, 1),
                member(OWN, "own", Role::Own, weight),
                member(OTHER, "other", Role::Own, 1),
            ],
            now,
        );
        Stage { fleet, now }
    }

    /// A round, in which `OWN` brings `probe`.
    fn round(mut self, probe: ProbeOutcome) -> Stage {
        let well = at(1000);
        let probes = [(LEADER, well), (OWN, probe), (OTHER, well)];
        self.fleet.hear_round(&probes, self.now);
        self
    }

    fn says(&self, id: NodeId) -> String {
        self.says_later(id, 0)
    }

    fn says_later(&self, id: NodeId, seconds: u64) -> String {
        let view = self.fleet.view();
        let now = self.now + Duration::from_secs(seconds);
        why(&view, view.node(id).unwrap(), LAG_BLOCKS_MAX, now)
    }
}

#[test]
fn a_node_that_is_well_says_little() {
    assert_eq!(Stage::new(1).says(OWN), "not probed yet");
    let stage = Stage::new(1).round(at(990));
    assert_eq!(stage.says(OWN), "fit");
    assert_eq!(
        stage.says(LEADER),
        "fit, in reserve: it gets what own nodes can't answer, and all calls when none of them is fit"
    );
}

#[test]
fn a_lagging_node_says_by_how_much_and_that_it_has_caught_up() {
    let stage = Stage::new(1).round(at(987));
    let wanted = "13 blocks behind the reference, 10 is the most";
    assert_eq!(stage.says(OWN), wanted);
    let stage = stage.round(at(1000));
    let wanted = "it has caught up; another good round brings it back";
    assert_eq!(stage.says(OWN), wanted);
    let stage = stage.round(at(1000));
    let wanted = "fit again; it starts slowly, now at 10 % of its weight";
    assert_eq!(stage.says(OWN), wanted);
    assert_eq!(stage.says_later(OWN, 30), "fit");
}

#[test]
fn a_node_whose_head_went_back_says_so() {
    let stage = Stage::new(1).round(at(1000)).round(at(900));
    let wanted = "100 blocks behind the reference, 10 is the most, after its head went back";
    assert_eq!(stage.says(OWN), wanted);
}

#[test]
fn a_silent_a_benched_and_a_resting_node_say_why_and_for_how_long() {
    let stage = Stage::new(1).round(ProbeOutcome::Failed);
    assert_eq!(stage.says(OWN), "it does not answer probes");
    let mut stage = Stage::new(1).round(at(1000));
    stage.fleet.bench(OWN, stage.now);
    let wanted = "its calls failed time after time; benched for 30 s more";
    assert_eq!(stage.says(OWN), wanted);
    let wanted = "its calls failed time after time; then two good rounds bring it back";
    assert_eq!(stage.says_later(OWN, 30), wanted);
    let mut stage = Stage::new(1).round(at(1000));
    stage
        .fleet
        .throttle(OWN, Some(Duration::from_secs(9)), stage.now);
    let wanted = "it asked to be left alone for a while (rate limit or quota); \
                  it rests for 9 s more";
    assert_eq!(stage.says(OWN), wanted);
}

#[test]
fn a_drained_node_says_what_is_still_in_flight() {
    let stage = Stage::new(0).round(at(1000));
    let wanted = "drained: it gets no calls, and none is in flight";
    assert_eq!(stage.says(OWN), wanted);
    stage.fleet.view().node(OWN).unwrap().load.begin();
    let wanted = "draining: it gets no new calls, 1 in flight";
    assert_eq!(stage.says(OWN), wanted);
}

#[test]
fn the_leader_serves_when_no_own_node_does() {
    let mut stage = Stage::new(0);
    let probes = [
        (LEADER, at(1000)),
        (OWN, at(1000)),
        (OTHER, ProbeOutcome::Failed),
    ];
    stage.fleet.hear_round(&probes, stage.now);
    assert_eq!(stage.says(LEADER), "fit, and serves: no own node is fit");
}

#[test]
fn shares_are_of_all_attempts_and_unknown_without_any() {
    let track = |attempts| NodeTrack {
        attempts,
        ..NodeTrack::default()
    };
    assert_eq!(share(&track(1), 3), Some(0.3333));
    assert_eq!(share(&track(0), 3), Some(0.0));
    assert_eq!(share(&track(0), 0), None);
    assert!((millis(Duration::from_micros(1234)) - 1.23).abs() < 1e-9);
}

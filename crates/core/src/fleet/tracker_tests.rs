//! Stories of a fleet, told round by round.

use std::time::Duration;

use super::*;
use crate::fleet::depth::Gap;
use crate::testing::{block_hash, header};
use crate::vocabulary::block_ref::BlockData;
use crate::vocabulary::chain::BlockHash;
use crate::vocabulary::node::Weight;

const SECOND: Duration = Duration::from_secs(1);

struct Story {
    fleet: Fleet,
    now: Instant,
}

fn member(id: u32, role: Role) -> FleetMember {
    FleetMember {
        name: format!("node-{id}").into(),
        role,
        ..crate::testing::member(id)
    }
}

fn answered(number: u64, chain: u64, syncing: bool) -> ProbeOutcome {
    ProbeOutcome::Answered {
        head: BlockNumber(number),
        chain_id: Some(ChainId(chain)),
        syncing,
    }
}

fn at(number: u64) -> ProbeOutcome {
    answered(number, 1, false)
}

impl Story {
    /// Node 0 leads; as many own nodes as wanted follow.
    fn with_own_nodes(count: u32) -> Story {
        let now = crate::testing::now();
        let own = (1..=count).map(|id| member(id, Role::Own));
        let members = [member(0, Role::Leader)].into_iter().chain(own);
        let fleet = crate::testing::fleet_of(members, now);
        Story { fleet, now }
    }

    fn round(&mut self, probes: &[ProbeOutcome]) -> Vec<FleetChange> {
        self.now += 12 * SECOND;
        let probes: Vec<_> = (0..).map(NodeId).zip(probes.iter().copied()).collect();
        self.fleet.hear_round(&probes, self.now)
    }

    fn healthy(&self) -> Vec<bool> {
        self.fleet
            .view()
            .nodes
            .iter()
            .map(|node| node.standing.is_healthy())
            .collect()
    }

    fn reason(&self, id: usize) -> Option<Reason> {
        self.fleet.view().nodes[id].standing.reason(self.now)
    }
}

#[test]
fn exactly_ten_blocks_behind_is_fit_and_eleven_is_not() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(90), at(89)]);
    assert_eq!(story.healthy(), [true, true, false]);
    assert_eq!(story.reason(2), Some(Reason::Lagging));
    assert_eq!(story.fleet.view().nodes[1].lag(), Some(Lag(10)));
}

#[test]
fn a_node_that_catches_up_returns_after_two_rounds() {
    let mut story = Story::with_own_nodes(1);
    story.round(&[at(100), at(100)]);
    story.round(&[at(101), at(90)]);
    assert_eq!(story.healthy(), [true, false]);
    story.round(&[at(102), at(102)]);
    assert_eq!(story.healthy(), [true, false]);
    let changes = story.round(&[at(103), at(103)]);
    assert_eq!(story.healthy(), [true, true]);
    assert!(changes.contains(&FleetChange::Fallback { on: false }));
}

#[test]
fn a_node_ahead_of_the_leader_is_fit_with_no_lag() {
    let mut story = Story::with_own_nodes(1);
    story.round(&[at(100), at(140)]);
    let view = story.fleet.view();
    assert!(view.nodes[1].serves());
    assert_eq!(view.nodes[1].lag(), Some(Lag(0)));
    assert_eq!(view.nodes[1].head_difference(), Some(40));
}

#[test]
fn a_node_at_height_zero_is_not_ready_and_one_on_a_new_chain_is() {
    let mut story = Story::with_own_nodes(1);
    story.round(&[at(5), at(0)]);
    assert_eq!(story.reason(1), Some(Reason::HeightZero));
    let mut story = Story::with_own_nodes(1);
    story.round(&[at(0), at(0)]);
    assert_eq!(story.healthy(), [true, true]);
}

#[test]
fn a_node_of_another_chain_is_out_until_it_answers_the_right_id() {
    let mut story = Story::with_own_nodes(1);
    let stranger = answered(100, 5, false);
    story.round(&[at(100), at(100)]);
    story.round(&[at(100), stranger]);
    assert_eq!(story.reason(1), Some(Reason::WrongChain));
    assert!(!story.fleet.view().nodes[1].is_last_resort());
    let unasked = crate::testing::at(100);
    story.round(&[at(100), unasked]);
    story.round(&[at(100), unasked]);
    assert_eq!(
        story.reason(1),
        Some(Reason::WrongChain),
        "still, until it is asked again"
    );
    story.round(&[at(100), at(100)]);
    story.round(&[at(100), at(100)]);
    assert_eq!(story.healthy(), [true, true]);
}

#[test]
fn a_node_of_another_chain_serves_no_more_as_soon_as_the_chain_is_learnt() {
    let mut story = Story::with_own_nodes(2);
    let stranger = answered(100, 5, false);
    story.round(&[ProbeOutcome::Failed, stranger, at(100)]);
    assert!(
        story.fleet.view().nodes[1].serves(),
        "no node knows the chain"
    );
    story.round(&[at(100), ProbeOutcome::Throttled(None), at(100)]);
    let view = story.fleet.view();
    assert!(!view.nodes[1].serves(), "be its own verdict still to come");
    assert!(view.nodes[2].serves());
}

#[test]
fn a_syncing_node_leaves_after_three_rounds() {
    let mut story = Story::with_own_nodes(1);
    let syncing = answered(100, 1, true);
    story.round(&[at(100), at(100)]);
    story.round(&[at(100), syncing]);
    story.round(&[at(100), syncing]);
    assert_eq!(story.healthy(), [true, true]);
    story.round(&[at(100), syncing]);
    assert_eq!(story.reason(1), Some(Reason::Syncing));
}

#[test]
fn a_short_reorg_is_fit_and_a_long_rollback_is_out() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(100), at(100)]);
    story.round(&[at(100), at(99), at(60)]);
    assert_eq!(story.healthy(), [true, true, false]);
    assert_eq!(story.reason(2), Some(Reason::Rollback));
}

#[test]
fn a_silent_leader_changes_no_verdict_for_a_while() {
    let mut story = Story::with_own_nodes(3);
    story.round(&[at(100), at(100), at(100), at(80)]);
    story.round(&[ProbeOutcome::Failed, at(100), at(101), at(81)]);
    assert_eq!(story.healthy(), [true, true, true, false], "held");
    story.round(&[ProbeOutcome::Failed, at(102), at(102), at(101)]);
    story.round(&[ProbeOutcome::Failed, at(103), at(103), at(103)]);
    story.round(&[ProbeOutcome::Failed, at(104), at(104), at(104)]);
    assert_eq!(
        story.healthy(),
        [false, true, true, true],
        "the nodes agree"
    );
    assert_eq!(
        story.fleet.view().reference.unwrap().source,
        ReferenceSource::Quorum
    );
}

#[test]
fn a_bench_never_takes_the_last_node_that_serves() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(100), at(100)]);
    assert_eq!(story.fleet.bench(NodeId(1), story.now).len(), 1);
    assert_eq!(story.reason(1), Some(Reason::Faults));
    let changes = story.fleet.bench(NodeId(2), story.now);
    assert!(
        changes.contains(&FleetChange::Fallback { on: true }),
        "the leader can serve in its place: {changes:?}"
    );
    assert_eq!(story.fleet.bench(NodeId(0), story.now), []);
    assert_eq!(story.healthy(), [true, false, false]);
}

#[test]
fn a_drained_node_is_none_that_a_bench_could_leave_the_calls_to() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(100), at(100)]);
    let drained = FleetMember {
        weight: Weight::new(0).unwrap(),
        ..member(2, Role::Own)
    };
    let members = vec![member(1, Role::Own), drained];
    story.fleet.replace(members, story.now);
    assert_eq!(story.fleet.bench(NodeId(1), story.now), []);
    assert_eq!(story.healthy(), [true, true]);
}

#[test]
fn a_changed_weight_resets_nothing_and_a_removed_node_is_gone() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(100), at(80)]);
    let heavier = FleetMember {
        weight: Weight::new(7).unwrap(),
        ..member(2, Role::Own)
    };
    story
        .fleet
        .replace(vec![member(0, Role::Leader), heavier], story.now);
    let view = story.fleet.view();
    assert_eq!(view.nodes.len(), 2);
    assert_eq!(
        view.nodes[1].standing.reason(story.now),
        Some(Reason::Lagging)
    );
    assert_eq!(view.nodes[1].weight.get(), 7);
}

#[test]
fn the_fallback_is_told_once_when_it_begins_and_once_when_it_ends() {
    let mut story = Story::with_own_nodes(1);
    for (own, told) in [
        (100, None),
        (50, Some(true)),
        (50, None),
        (100, None),
        (100, Some(false)),
        (100, None),
    ] {
        let changes = story.round(&[at(100), at(own)]);
        let tells = |on| changes.contains(&FleetChange::Fallback { on });
        assert_eq!(tells(true), told == Some(true), "{own}: {changes:?}");
        assert_eq!(tells(false), told == Some(false), "{own}: {changes:?}");
    }
}

#[test]
fn the_served_head_is_what_half_the_weight_has_and_never_falls() {
    let mut story = Story::with_own_nodes(3);
    story.round(&[at(100), at(103), at(101), at(100)]);
    assert_eq!(story.served(), 101);
    story.round(&[at(100), at(103), at(100), at(100)]);
    let older = "a node that lags shows no client an older head";
    assert_eq!(story.served(), 101, "{older}");
    story.round(&[at(103), at(103), at(103), at(100)]);
    assert_eq!(story.served(), 103);
}

#[test]
fn the_served_head_begins_anew_with_a_new_chain() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(5000), at(5000), at(5000)]);
    story.round(&[at(3), at(3), at(3)]);
    assert_eq!(story.fleet.view().served_head, Some(BlockNumber(3)));
}

#[test]
fn the_served_head_stays_when_no_node_answers_any_more() {
    let mut story = Story::with_own_nodes(2);
    let own = |id| member(id, Role::Own);
    story.fleet.replace(vec![own(0), own(1), own(2)], story.now);
    story.round(&[at(100), at(103), at(103)]);
    story.fleet.replace(vec![own(0)], story.now);
    story.round(&[ProbeOutcome::Failed]);
    let view = story.fleet.view();
    assert!(view.nodes[0].serves(), "one bad round is none");
    assert_eq!(view.reference, None);
    assert_eq!(view.served_head, Some(BlockNumber(103)));
}

#[test]
fn a_huge_head_of_one_node_is_shown_to_no_client() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(100), at(100)]);
    story.round(&[at(101), at(101), at(1_000_000)]);
    assert_eq!(story.fleet.view().served_head, Some(BlockNumber(101)));
}

#[test]
fn where_no_node_is_fit_the_served_head_is_that_of_a_node_that_lives() {
    let mut story = Story::with_own_nodes(1);
    story.round(&[ProbeOutcome::Failed, answered(90, 1, true)]);
    assert_eq!(story.fleet.view().served_head, Some(BlockNumber(90)));
}

#[test]
fn a_call_that_met_no_state_tells_how_deep_its_node_goes() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(5000), at(5000), at(5000)]);
    let gap = Gap {
        reads: BlockData::State,
        block: BlockNumber(4000),
        is_lost: true,
    };
    story.fleet.learn_depth(NodeId(1), gap, story.now);
    let has = |story: &Story, id: usize, block: u64| {
        story.fleet.view().nodes[id].has(BlockData::State, BlockNumber(block))
    };
    assert!(!has(&story, 1, 4000) && has(&story, 1, 4001));
    assert!(has(&story, 2, 4000), "the other is not concerned");
    story.round(&[at(5010), at(5010), at(5010)]);
    let (lost, kept) = (has(&story, 1, 4000), has(&story, 1, 4001));
    assert!(!lost && kept, "what comes later it has");
    assert!(has(&story, 1, 5010) && !has(&story, 1, 5011), "its head");
}

#[test]
fn calls_wait_for_a_node_that_falls_out_where_no_other_is_fit() {
    let mut story = Story::with_own_nodes(1);
    let waited_for = |story: &Story, id: u32| story.fleet.view().is_waited_for(NodeId(id));
    let (is_up, falls) = (at(100), ProbeOutcome::Failed);
    for (probes, wanted) in [
        ([is_up, is_up], [true, true]),
        ([is_up, falls], [true, false]),
        ([falls, falls], [true, true]),
        ([falls, is_up], [false, true]),
    ] {
        for _ in 0..5 {
            story.round(&probes);
        }
        let waited_for = [0, 1].map(|id| waited_for(&story, id));
        assert_eq!(waited_for, wanted, "{probes:?}");
    }
    assert!(waited_for(&story, 7), "it was removed");
}

#[test]
fn the_highest_head_is_that_of_a_fit_node_or_of_a_leader_that_is_believed() {
    let highest = |story: &Story| story.fleet.view().highest_head.unwrap().0;
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(101), at(99)]);
    assert_eq!(highest(&story), 101);
    story.round(&[at(105), at(102), at(99)]);
    assert_eq!(highest(&story), 105);
    story.round(&[at(1_000_000), at(106), at(106)]);
    assert_eq!(highest(&story), 106, "one provider's huge head");
}

/// What each node tells beside its head, in a round of probes.
fn round_with(story: &mut Story, probes: &[ProbeOutcome], details: &dyn Fn(usize) -> ProbeDetails) {
    let ids = || (0..).map(NodeId);
    let heard: Vec<_> = ids().zip(probes.iter().copied()).collect();
    let told: Vec<_> = ids().zip((0..probes.len()).map(details)).collect();
    let now = story.now + 12 * SECOND;
    story.fleet.hear_details(&heard, &told, now);
    story.round(probes);
}

/// Rounds in which each node answers what it is asked to compare; `letters` name their forks.
fn forked_rounds(story: &mut Story, letters: &str, rounds: u32) {
    for _ in 0..rounds {
        let view = story.fleet.view();
        let answer = |at: usize| ProbeDetails {
            compared: view.nodes[at]
                .extras
                .compare
                .map(|height| (height, BlockHash([letters.as_bytes()[at]; 32]))),
            ..ProbeDetails::default()
        };
        round_with(story, &vec![at(100); letters.len()], &answer);
    }
}

#[test]
fn a_node_with_other_blocks_than_two_that_agree_is_out_as_forked_and_returns() {
    let mut story = Story::with_own_nodes(3);
    forked_rounds(&mut story, "aaab", 2);
    assert_eq!(
        story.healthy(),
        [true; 4],
        "one comparison may have met a reorg"
    );
    forked_rounds(&mut story, "aaab", 1);
    assert_eq!(story.healthy(), [true, true, true, false]);
    assert_eq!(story.reason(3), Some(Reason::Forked));
    forked_rounds(&mut story, "aaab", 20);
    assert_eq!(story.reason(3), Some(Reason::Forked));
    forked_rounds(&mut story, "aaaa", 2);
    assert_eq!(story.healthy(), [true; 4]);
}

#[test]
fn two_camps_of_one_size_put_no_node_out_unless_the_leader_is_in_one() {
    let mut story = Story::with_own_nodes(3);
    forked_rounds(&mut story, "aabb", 10);
    assert_eq!(story.healthy(), [true, true, false, false]);
    let own = (0..4).map(|id| member(id, Role::Own)).collect();
    let mut story = Story::with_own_nodes(3);
    story.fleet.replace(own, story.now);
    forked_rounds(&mut story, "aabb", 10);
    assert_eq!(story.healthy(), [true; 4]);
    assert!(story.fleet.view().camps.undecided);
}

#[test]
fn a_leader_on_a_fork_is_no_reference() {
    let mut story = Story::with_own_nodes(3);
    forked_rounds(&mut story, "baaa", 4);
    assert_eq!(story.reason(0), Some(Reason::Forked));
    let reference = story.fleet.view().reference.unwrap();
    assert_eq!(reference.doubt, Some(LeaderDoubt::Unfit));
    assert_eq!(reference.source, ReferenceSource::Quorum);
}

#[test]
fn safe_and_finalized_heads_are_what_half_of_the_own_weight_has() {
    let mut story = Story::with_own_nodes(3);
    let tags = |at: usize| {
        let behind = [0, 32, 36, 900][at];
        ProbeDetails {
            safe: Some(BlockNumber(100 - behind.min(99))),
            finalized: Some(BlockNumber(if at == 3 { 101 } else { 36 })),
            ..ProbeDetails::default()
        }
    };
    round_with(&mut story, &[at(100); 4], &tags);
    let view = story.fleet.view();
    assert_eq!(view.safe_head, Some(BlockNumber(64)));
    assert_eq!(
        view.finalized_head,
        Some(BlockNumber(36)),
        "none is beyond its node"
    );
    round_with(&mut story, &[at(100); 4], &|_| ProbeDetails::default());
    assert_eq!(story.fleet.view().safe_head, Some(BlockNumber(64)));
}

#[test]
fn the_networks_name_is_known_where_all_say_the_same() {
    let mut story = Story::with_own_nodes(2);
    let name = |name: &'static str| ProbeDetails {
        net_version: Some(name.into()),
        ..ProbeDetails::default()
    };
    round_with(&mut story, &[at(100); 3], &|_| name("7"));
    assert_eq!(story.fleet.view().net_version.as_deref(), Some("7"));
    round_with(&mut story, &[at(100); 3], &|_| ProbeDetails::default());
    assert_eq!(
        story.fleet.view().net_version.as_deref(),
        Some("7"),
        "it is remembered"
    );
    let odd = |at: usize| name(if at == 2 { "8" } else { "7" });
    round_with(&mut story, &[at(100); 3], &odd);
    assert_eq!(story.fleet.view().net_version, None);
}

#[test]
fn a_reorg_to_a_shorter_chain_takes_the_served_head_back_and_benches_no_node() {
    let mut story = Story::with_own_nodes(3);
    let hash = |letter: u8| {
        move |_: usize| ProbeDetails {
            head_hash: Some(BlockHash([letter; 32])),
            ..ProbeDetails::default()
        }
    };
    round_with(&mut story, &[at(98); 4], &hash(b'a'));
    round_with(&mut story, &[at(100); 4], &hash(b'a'));
    round_with(&mut story, &[at(98); 4], &hash(b'a'));
    assert_eq!(
        story.fleet.view().served_head,
        Some(BlockNumber(100)),
        "the same blocks"
    );
    round_with(&mut story, &[at(98); 4], &hash(b'b'));
    assert_eq!(story.fleet.view().served_head, Some(BlockNumber(98)));
    assert_eq!(story.healthy(), [true; 4]);
}

#[test]
fn a_fit_node_is_asked_how_deep_it_goes_and_one_that_is_out_is_not() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(5000), at(5000), at(50)]);
    let asked: Vec<_> = (story.fleet.view().nodes.iter())
        .map(|node| node.extras.depth.is_some())
        .collect();
    assert_eq!(asked, [true, true, false]);
}

/// Own nodes alone, `count` of them, and no leader.
fn leaderless(count: u32) -> Story {
    let mut story = Story::with_own_nodes(count);
    let members = (1..=count).map(|id| member(id, Role::Own)).collect();
    story.fleet.replace(members, story.now);
    story
}

impl Story {
    /// A round of nodes 1, 2, … after `pause`.
    fn own_round(&mut self, heads: &[u64], pause: Duration) -> Vec<FleetChange> {
        self.now += pause;
        let probes = heads.iter().map(|head| at(*head));
        let probes: Vec<_> = (1..).map(NodeId).zip(probes).collect();
        self.fleet.hear_round(&probes, self.now)
    }

    fn served(&self) -> u64 {
        self.fleet.view().served_head.unwrap().0
    }
}

#[test]
fn one_node_ahead_lifts_its_own_head_and_not_the_served_one() {
    let mut story = leaderless(3);
    story.own_round(&[100, 100, 100], SECOND);
    story.fleet.see(NodeId(1), BlockNumber(101), story.now);
    let view = story.fleet.view();
    assert_eq!(view.served_head, Some(BlockNumber(100)));
    assert_eq!(view.highest_head, Some(BlockNumber(101)));
    assert_eq!(view.node(NodeId(1)).unwrap().head, Some(BlockNumber(101)));
    story.fleet.see(NodeId(2), BlockNumber(101), story.now);
    assert_eq!(story.served(), 101, "half of the weight and more");
}

#[test]
fn a_block_that_the_leader_alone_has_is_not_the_served_head() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(100), at(100)]);
    story.fleet.see(NodeId(0), BlockNumber(101), story.now);
    assert_eq!(story.served(), 100);
    story.fleet.see(NodeId(1), BlockNumber(101), story.now);
    assert_eq!(story.served(), 101, "of two, one is half");
}

#[test]
fn what_an_answer_tells_is_believed_as_far_as_the_time_allows_it() {
    let mut story = leaderless(3);
    story.own_round(&[100, 100, 100], SECOND);
    let believable = |story: &Story| story.fleet.view().believable_head.unwrap().0;
    assert_eq!(believable(&story), 205, "before the block time is known");
    for block in 101..140 {
        story.own_round(&[block; 3], 12 * SECOND);
    }
    assert_eq!(believable(&story), 139 + 6);
    let mut alone = leaderless(1);
    alone.own_round(&[100], SECOND);
    assert_eq!(believable(&alone), u64::MAX);
}

#[test]
fn only_what_may_come_within_a_block_time_is_waited_for_and_eight_seconds_at_most() {
    let mut story = leaderless(2);
    story.own_round(&[100, 100], SECOND);
    let wait = |story: &Story, number| story.fleet.view().wait_for(BlockNumber(number));
    assert_eq!(wait(&story, 103), Some(8 * SECOND));
    assert_eq!(wait(&story, 104), None);
    assert_eq!(wait(&story, u64::MAX), None);
    let quick = HealthCriteria {
        block_time: SECOND / 4,
        ..story.fleet.criteria
    };
    story.fleet.change_criteria(quick);
    assert_eq!(wait(&story, 122), Some(SECOND / 4));
    assert_eq!(wait(&story, 123), None);
}

#[test]
fn the_block_time_is_learnt_from_own_nodes_and_a_wrong_setting_is_told() {
    let mut story = leaderless(2);
    let mut told = Vec::new();
    for look in 0..30 {
        let head = 100 + look * 20;
        told.extend(story.own_round(&[head, head], 5 * SECOND));
    }
    let block_time = story.fleet.view().block_time;
    assert!(block_time < SECOND / 3, "{block_time:?}");
    let paces = told
        .iter()
        .filter(|change| matches!(change, FleetChange::BlockTime { differs: true, .. }));
    assert_eq!(paces.count(), 1, "{told:?}");
}

#[test]
fn the_leader_does_not_teach_the_block_time() {
    let mut story = Story::with_own_nodes(1);
    for _ in 0..3 {
        story.round(&[at(100), ProbeOutcome::Failed]);
    }
    for block in 101..160 {
        story.now += SECOND;
        story.fleet.hear_round(&[(NodeId(0), at(block))], story.now);
    }
    assert_eq!(story.served(), 159);
    assert_eq!(story.fleet.view().block_time, 12 * SECOND);
}

#[test]
fn a_majority_that_stands_still_is_stuck_and_the_one_that_goes_on_serves() {
    let mut story = leaderless(3);
    story.own_round(&[100, 100, 100], 5 * SECOND);
    for look in 1..=30 {
        let head = 100 + look * 5 / 12;
        story.own_round(&[head, 100, 100], 5 * SECOND);
    }
    assert_eq!(story.healthy(), [true, false, false]);
    assert_eq!(story.reason(1), Some(Reason::Stuck));
    assert_eq!(story.reason(2), Some(Reason::Stuck));
    assert_eq!(story.served(), 112);
    for _ in 0..2 {
        story.own_round(&[113, 113, 113], 5 * SECOND);
    }
    assert_eq!(story.healthy(), [true, true, true], "they move again");
}

#[test]
fn a_node_that_stands_still_for_three_block_times_is_stuck_and_not_before() {
    let mut story = leaderless(3);
    story.own_round(&[100, 100, 100], SECOND);
    story.own_round(&[101, 100, 100], 12 * SECOND);
    for head in [102, 103] {
        story.own_round(&[head, 100, 100], 12 * SECOND);
        assert_eq!(story.healthy(), [true, true, true]);
    }
    story.own_round(&[104, 100, 100], 12 * SECOND);
    assert_eq!(story.healthy(), [true, false, false]);
}

#[test]
fn a_pause_of_the_chain_and_a_node_that_leaps_leave_no_node_stuck() {
    let mut story = leaderless(3);
    story.own_round(&[100, 100, 100], SECOND);
    for _ in 0..20 {
        story.own_round(&[101, 100, 100], 5 * SECOND);
    }
    assert_eq!(story.healthy(), [true, true, true], "one block is no chain");
    let mut story = leaderless(3);
    story.own_round(&[100, 100, 100], SECOND);
    for look in 0..20 {
        story.own_round(&[5000 + look, 100, 100], 5 * SECOND);
    }
    let healthy = story.healthy();
    assert_eq!(&healthy[1..], [true, true], "a lie proves nothing");
}

/// Avalanche has no block without a transaction.
#[test]
fn five_minutes_without_a_block_are_health_and_so_is_the_block_after_them() {
    let of_avalanche = HealthCriteria {
        block_time: 2 * SECOND,
        ..Story::with_own_nodes(0).fleet.criteria
    };
    for has_leader in [false, true] {
        let mut story = match has_leader {
            true => Story::with_own_nodes(2),
            false => leaderless(2),
        };
        let all = |heads: [u64; 2]| match has_leader {
            true => vec![at(heads[0]), at(heads[0]), at(heads[1])],
            false => vec![at(heads[0]), at(heads[1])],
        };
        let first = u32::from(!has_leader);
        let round = |story: &mut Story, heads, pause| {
            story.now += pause;
            let probes: Vec<_> = (first..).map(NodeId).zip(all(heads)).collect();
            story.fleet.hear_round(&probes, story.now)
        };
        story.fleet.change_criteria(of_avalanche);
        for block in 90..=100 {
            round(&mut story, [block, block], 5 * SECOND);
        }
        let silence_begins = story.now;
        let is_well = |story: &Story| {
            let reasons = (0..story.healthy().len()).map(|at| story.reason(at));
            let is_healthy = story.healthy().into_iter().all(|healthy| healthy);
            is_healthy && reasons.into_iter().all(|reason| reason.is_none())
        };
        while story.now < silence_begins + 300 * SECOND {
            assert_eq!(round(&mut story, [100, 100], 5 * SECOND), []);
            assert!(is_well(&story));
            assert_eq!(story.served(), 100);
        }
        // One accepts it before the other.
        for (heads, wanted) in [([101, 100], 100), ([101, 101], 101), ([102, 102], 102)] {
            round(&mut story, heads, SECOND);
            assert!(is_well(&story), "{heads:?}");
            assert!(story.served() >= wanted, "{heads:?}: {}", story.served());
        }
        let block_time = story.fleet.view().block_time;
        assert!(block_time <= 4 * SECOND, "{block_time:?}");
    }
}

#[test]
fn the_leader_going_on_alone_shows_that_the_others_are_stuck() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(100), at(100)]);
    for block in 101..=106 {
        story.round(&[at(block), at(100), at(100)]);
    }
    assert_eq!(story.reason(1), Some(Reason::Stuck));
    assert_eq!(story.served(), 106, "the fallback serves");
}

/// A head of `number`, of the branch `letter`, whose parent is of branch `before`.
fn on_branch(id: u32, number: u64, letter: u8, before: u8) -> (NodeId, ProbeDetails) {
    let details = ProbeDetails {
        head_hash: Some(block_hash(number, letter)),
        parent_hash: Some(block_hash(number - 1, before)),
        ..ProbeDetails::default()
    };
    (NodeId(id), details)
}

#[test]
fn a_fall_by_one_block_is_believed_as_soon_as_the_parents_hash_proves_it() {
    let mut story = leaderless(2);
    let round = |story: &mut Story, number: u64, letter: u8, before: u8| {
        story.now += 5 * SECOND;
        let probes = [(NodeId(1), at(number)), (NodeId(2), at(number))];
        let details = [1, 2].map(|id| on_branch(id, number, letter, before));
        story.fleet.hear_details(&probes, &details, story.now);
        story.fleet.hear_round(&probes, story.now);
        story.fleet.view()
    };
    assert_eq!(round(&mut story, 100, b'a', b'a').falls, 0);
    let view = round(&mut story, 99, b'b', b'a');
    assert_eq!((view.served_head, view.falls), (Some(BlockNumber(99)), 1));
}

impl Story {
    /// A round, 5 s later, in which each node tells the head `(number, letter, parent's letter)`.
    fn branches(&mut self, heads: &[(u64, u8, u8)]) {
        self.now += 5 * SECOND;
        let told = (1..).zip(heads);
        let (probes, details): (Vec<_>, Vec<_>) = told
            .map(|(id, (number, letter, before))| {
                let probe = (NodeId(id), at(*number));
                (probe, on_branch(id, *number, *letter, *before))
            })
            .unzip();
        self.fleet.hear_details(&probes, &details, self.now);
        self.fleet.hear_round(&probes, self.now);
    }

    fn told(&mut self, numbers: std::ops::RangeInclusive<u64>, letter: u8) {
        let told = |number| {
            let hash = |number| block_hash(number, letter);
            Arc::new(header(number, hash(number), hash(number - 1)))
        };
        let headers: Vec<_> = numbers.map(told).collect();
        self.fleet.hear_told(PublishedChain::of(headers.iter()));
    }

    fn astray(&self) -> Vec<bool> {
        let view = self.fleet.view();
        view.nodes.iter().map(|node| node.is_astray).collect()
    }
}

/// Two nodes at one block of the told branch.
fn here(number: u64) -> [(u64, u8, u8); 2] {
    [(number, b'a', b'a'); 2]
}

#[test]
fn while_nodes_are_on_two_branches_those_on_the_told_one_are_known() {
    let mut story = leaderless(3);
    story.told(90..=100, b'a');
    story.branches(&[(100, b'a', b'a'), (100, b'a', b'a'), (100, b'b', b'a')]);
    assert_eq!(story.astray(), [false, false, true]);
    story.branches(&[(101, b'a', b'a'), (100, b'a', b'a'), (101, b'b', b'b')]);
    assert_eq!(story.astray(), [false, false, true], "by its parent");
    story.told(100..=101, b'b');
    assert_eq!(story.astray(), [true, true, false], "the other one is told");
    story.branches(&[(102, b'c', b'c'), (102, b'c', b'c'), (102, b'c', b'c')]);
    assert_eq!(story.astray(), [false; 3], "no node is on the told one");
}

#[test]
fn a_node_whose_answer_is_of_another_branch_is_passed_over_until_it_is_probed() {
    let mut story = leaderless(2);
    story.told(90..=100, b'a');
    story.branches(&here(100));
    story.fleet.see_astray(NodeId(2));
    assert_eq!(story.astray(), [false, true]);
    story.branches(&here(100));
    assert_eq!(story.astray(), [false, false]);
}

#[test]
fn a_rewind_of_all_to_an_ancestor_is_believed_in_two_looks() {
    let mut story = leaderless(2);
    story.told(90..=100, b'a');
    (0..14).for_each(|_| story.branches(&here(100)));
    story.branches(&here(98));
    assert_eq!(story.served(), 100, "one look");
    assert!(story.fleet.is_falling());
    story.branches(&here(98));
    assert_eq!(story.served(), 98);
    assert!(!story.fleet.is_falling());
    for (number, why) in [(91, "nine blocks down"), (100, "no node fell")] {
        let mut story = leaderless(2);
        story.told(90..=100, b'a');
        story.branches(&here(100));
        story.branches(&here(number));
        story.branches(&here(number));
        assert_eq!(story.served(), 100, "{why}");
    }
}

#[test]
fn a_head_that_all_fell_from_is_to_be_told_again_when_they_are_back() {
    let head = BlockNumber(100);
    let mut story = leaderless(2);
    story.told(90..=100, b'a');
    (0..14).for_each(|_| story.branches(&here(100)));
    assert!(!story.fleet.view().has_cut(head));
    (0..2).for_each(|_| story.branches(&here(98)));
    let view = story.fleet.view();
    assert_eq!(view.told.last(), Some(BlockNumber(98)));
    assert!(!view.has_cut(head), "it isn't served");
    story.branches(&here(100));
    assert!(story.fleet.view().has_cut(head));
    story.told(90..=100, b'a');
    assert!(!story.fleet.view().has_cut(head));
}

#[test]
fn a_node_that_was_silent_or_goes_up_and_down_is_not_rewound() {
    let mut story = leaderless(2);
    story.told(90..=100, b'a');
    story.branches(&here(100));
    story.now += SECOND;
    let silent = [(NodeId(1), ProbeOutcome::Failed), (NodeId(2), at(100))];
    story.fleet.hear_round(&silent, story.now);
    story.branches(&here(98));
    story.branches(&here(98));
    assert_eq!(story.served(), 100, "it was started again");
    let mut story = leaderless(2);
    story.told(90..=100, b'a');
    for number in [100, 99, 100, 98, 98] {
        story.branches(&here(number));
    }
    assert_eq!(story.served(), 100, "several stand behind one URL");
}

#[test]
fn safe_and_finalized_never_go_back_and_are_asked_of_own_nodes_as_seldom_as_they_move() {
    let mut story = Story::with_own_nodes(2);
    let mut asked = [0; 3];
    let mut shown = Vec::new();
    for round in 0..64u64 {
        let view = story.fleet.view();
        let wanted: Vec<_> = view.nodes.iter().map(|node| node.extras.tags).collect();
        let probes: Vec<_> = (0..3).map(|id| (NodeId(id), at(1000))).collect();
        let details: Vec<_> = (0..3u32)
            .filter(|id| wanted[*id as usize])
            .map(|id| {
                let finalized = BlockNumber(900 + round - u64::from(id) * (round % 3));
                let details = ProbeDetails {
                    safe: Some(finalized),
                    finalized: (round < 20).then_some(finalized),
                    ..ProbeDetails::default()
                };
                (NodeId(id), details)
            })
            .collect();
        for (count, wanted) in asked.iter_mut().zip(wanted) {
            *count += u32::from(wanted);
        }
        story.now += 5 * SECOND;
        story.fleet.hear_details(&probes, &details, story.now);
        story.fleet.hear_round(&probes, story.now);
        shown.push((view.safe_head, view.finalized_head));
    }
    assert_eq!(asked[0], 0, "the leader is paid");
    assert!(asked[1] > 30, "they move with every round");
    assert!(shown.is_sorted(), "{shown:?}");
    let mut still = Story::with_own_nodes(2);
    let looks = (0..64).filter(|_| {
        let is_asked = still.fleet.view().nodes[1].extras.tags;
        still.round(&[at(1000), at(1000), at(1000)]);
        is_asked
    });
    assert!(looks.count() <= 8, "nothing moves");
}

#[test]
fn a_node_that_rose_during_a_round_is_judged_by_what_it_has_and_compared_by_it() {
    let mut story = Story::with_own_nodes(2);
    for _ in 0..2 {
        story.round(&[at(100); 3]);
    }
    for _ in 0..3 {
        story.fleet.begin_round();
        let head = BlockNumber(120);
        for id in [0, 1, 2].map(NodeId) {
            let details = ProbeDetails::default();
            story.fleet.hear_head(id, head, &details, story.now);
        }
        // The last one was asked when the others had risen already.
        story.round(&[at(100), at(100), at(120)]);
    }
    assert_eq!(story.healthy(), [true; 3]);
    let reference = story.fleet.view().reference.map(|it| it.number);
    assert_eq!(reference, Some(BlockNumber(120)), "the leader's, too");
}

#[test]
fn an_answer_below_what_its_node_had_when_the_round_began_is_a_fall_whatever_it_told_since() {
    let mut story = Story::with_own_nodes(1);
    for _ in 0..2 {
        story.round(&[at(100); 2]);
    }
    let head_of = |story: &Story| story.fleet.view().nodes[1].head;
    let details = ProbeDetails::default();
    story.fleet.begin_round();
    let head = BlockNumber(101);
    (story.fleet).hear_head(NodeId(1), head, &details, story.now);
    story.round(&[at(101), at(95)]);
    assert_eq!(head_of(&story), Some(BlockNumber(95)));
    // Of another branch than it has told, it is no older answer.
    for (hash, wanted) in [(0xaa, 103), (0xbb, 102)] {
        let mut story = Story::with_own_nodes(1);
        let told = |byte| ProbeDetails {
            head_hash: Some(BlockHash([byte; 32])),
            ..ProbeDetails::default()
        };
        let at_102 = [(NodeId(1), at(102))];
        for _ in 0..2 {
            let details = [(NodeId(1), told(0xaa))];
            story.fleet.hear_details(&at_102, &details, story.now);
            story.round(&[at(102); 2]);
        }
        story.fleet.begin_round();
        let head = BlockNumber(103);
        (story.fleet).hear_head(NodeId(1), head, &told(0xcc), story.now);
        let details = [(NodeId(1), told(hash))];
        story.fleet.hear_details(&at_102, &details, story.now);
        story.round(&[at(103), at(102)]);
        assert_eq!(head_of(&story), Some(BlockNumber(wanted)), "{hash:x}");
    }
}

#[test]
fn no_head_is_too_high_to_be_heard() {
    for heads in [[100, u64::MAX, u64::MAX], [u64::MAX, 100, u64::MAX - 1]] {
        let mut story = Story::with_own_nodes(2);
        for _ in 0..4 {
            story.round(&heads.map(at));
            story.round(&[at(100); 3]);
        }
        story.healthy();
    }
}

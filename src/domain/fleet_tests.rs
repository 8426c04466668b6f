//! Stories of a fleet, told round by round.

use super::super::chain::BlockHash;
use super::super::health::Hysteresis;
use super::super::node::Weight;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct Story {
    fleet: Fleet,
    now: Instant,
}

fn member(id: u32, rung: Rung) -> Member {
    Member {
        id: NodeId(id),
        name: format!("node-{id}").into(),
        rung,
        weight: Weight::ONE,
    }
}

fn at(number: u64) -> Probe {
    Probe::Answered {
        head: BlockNumber(number),
        chain_id: Some(ChainId(1)),
        syncing: false,
    }
}

impl Story {
    /// Node 0 leads; as many own nodes as wanted follow.
    fn with_own_nodes(count: u32) -> Story {
        let yardstick = Yardstick {
            chain_id: None,
            block_time: 12 * SECOND,
            lag_blocks_max: 10,
            hysteresis: Hysteresis { rise: 2, fall: 3 },
        };
        let mut story = Story {
            fleet: Fleet::new(yardstick),
            now: crate::clock::now(),
        };
        let mut members = vec![member(0, Rung::Leader)];
        members.extend((1..=count).map(|id| member(id, Rung::Own)));
        story.fleet.replace(members, story.now);
        story
    }

    fn round(&mut self, probes: &[Probe]) -> Vec<Change> {
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
    assert!(changes.contains(&Change::Fallback { on: false }));
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
    let stranger = Probe::Answered {
        head: BlockNumber(100),
        chain_id: Some(ChainId(5)),
        syncing: false,
    };
    story.round(&[at(100), at(100)]);
    story.round(&[at(100), stranger]);
    assert_eq!(story.reason(1), Some(Reason::WrongChain));
    assert!(!story.fleet.view().nodes[1].is_last_resort());
    let unasked = Probe::Answered {
        head: BlockNumber(100),
        chain_id: None,
        syncing: false,
    };
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
    let stranger = Probe::Answered {
        head: BlockNumber(100),
        chain_id: Some(ChainId(5)),
        syncing: false,
    };
    story.round(&[Probe::Failed, stranger, at(100)]);
    assert!(
        story.fleet.view().nodes[1].serves(),
        "nobody knows the chain"
    );
    story.round(&[at(100), Probe::Throttled(None), at(100)]);
    let view = story.fleet.view();
    assert!(!view.nodes[1].serves(), "be its own verdict still to come");
    assert!(view.nodes[2].serves());
}

#[test]
fn a_syncing_node_leaves_after_three_rounds() {
    let mut story = Story::with_own_nodes(1);
    let syncing = Probe::Answered {
        head: BlockNumber(100),
        chain_id: Some(ChainId(1)),
        syncing: true,
    };
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
    story.round(&[Probe::Failed, at(100), at(101), at(81)]);
    assert_eq!(story.healthy(), [true, true, true, false], "held");
    story.round(&[Probe::Failed, at(102), at(102), at(101)]);
    story.round(&[Probe::Failed, at(103), at(103), at(103)]);
    story.round(&[Probe::Failed, at(104), at(104), at(104)]);
    assert_eq!(
        story.healthy(),
        [false, true, true, true],
        "the nodes agree"
    );
    assert_eq!(story.fleet.view().reference.unwrap().source, Source::Quorum);
}

#[test]
fn a_bench_never_takes_the_last_fit_own_node() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(100), at(100)]);
    assert_eq!(story.fleet.bench(NodeId(1), story.now).len(), 1);
    assert_eq!(story.fleet.bench(NodeId(2), story.now), []);
    assert_eq!(story.healthy(), [true, false, true]);
    assert_eq!(story.reason(1), Some(Reason::Faults));
    assert_eq!(
        story.fleet.bench(NodeId(0), story.now).len(),
        1,
        "the leader may be benched"
    );
}

#[test]
fn a_drained_node_is_none_that_a_bench_could_leave_the_calls_to() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(100), at(100)]);
    let drained = Member {
        weight: Weight::new(0).unwrap(),
        ..member(2, Rung::Own)
    };
    let members = vec![member(0, Rung::Leader), member(1, Rung::Own), drained];
    story.fleet.replace(members, story.now);
    assert_eq!(story.fleet.bench(NodeId(1), story.now), []);
    assert_eq!(story.healthy(), [true, true, true]);
}

#[test]
fn a_changed_weight_resets_nothing_and_a_removed_node_is_gone() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(100), at(80)]);
    let heavier = Member {
        weight: Weight::new(7).unwrap(),
        ..member(2, Rung::Own)
    };
    story
        .fleet
        .replace(vec![member(0, Rung::Leader), heavier], story.now);
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
    assert!(
        !story
            .round(&[at(100), at(100)])
            .contains(&Change::Fallback { on: true })
    );
    assert!(
        story
            .round(&[at(100), at(50)])
            .contains(&Change::Fallback { on: true })
    );
    assert!(
        !story
            .round(&[at(100), at(50)])
            .contains(&Change::Fallback { on: true })
    );
}

#[test]
fn the_served_head_is_what_half_the_weight_has_and_never_falls() {
    let mut story = Story::with_own_nodes(3);
    let served = |story: &Story| story.fleet.view().served_head.unwrap().0;
    story.round(&[at(100), at(103), at(101), at(100)]);
    assert_eq!(served(&story), 101);
    story.round(&[at(100), at(103), at(100), at(100)]);
    assert_eq!(
        served(&story),
        101,
        "a node that lags shows nobody an older head"
    );
    story.round(&[at(103), at(103), at(103), at(100)]);
    assert_eq!(served(&story), 103);
}

#[test]
fn the_served_head_begins_anew_with_a_new_chain() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(5000), at(5000), at(5000)]);
    story.round(&[at(3), at(3), at(3)]);
    assert_eq!(story.fleet.view().served_head, Some(BlockNumber(3)));
}

#[test]
fn the_served_head_stays_when_nobody_answers_any_more() {
    let mut story = Story::with_own_nodes(2);
    let own = |id| member(id, Rung::Own);
    story.fleet.replace(vec![own(0), own(1), own(2)], story.now);
    story.round(&[at(100), at(103), at(103)]);
    story.fleet.replace(vec![own(0)], story.now);
    story.round(&[Probe::Failed]);
    let view = story.fleet.view();
    assert!(view.nodes[0].serves(), "one bad round is none");
    assert_eq!(view.reference, None);
    assert_eq!(view.served_head, Some(BlockNumber(103)));
}

#[test]
fn a_huge_head_of_one_node_is_shown_to_nobody() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(100), at(100), at(100)]);
    story.round(&[at(101), at(101), at(1_000_000)]);
    assert_eq!(story.fleet.view().served_head, Some(BlockNumber(101)));
}

#[test]
fn where_nobody_is_fit_the_served_head_is_that_of_who_lives() {
    let mut story = Story::with_own_nodes(1);
    let syncing = Probe::Answered {
        head: BlockNumber(90),
        chain_id: Some(ChainId(1)),
        syncing: true,
    };
    story.round(&[Probe::Failed, syncing]);
    assert_eq!(story.fleet.view().served_head, Some(BlockNumber(90)));
}

#[test]
fn a_call_that_met_no_state_tells_how_deep_its_node_goes() {
    let mut story = Story::with_own_nodes(2);
    story.round(&[at(5000), at(5000), at(5000)]);
    story
        .fleet
        .learn_depth(NodeId(1), BlockNumber(4000), story.now);
    let has = |story: &Story, id: usize, block: u64| {
        story.fleet.view().nodes[id].has_state(BlockNumber(block))
    };
    assert!(!has(&story, 1, 4000) && has(&story, 1, 4001));
    assert!(has(&story, 2, 4000), "the other is not concerned");
    story.round(&[at(5010), at(5010), at(5010)]);
    assert!(!has(&story, 1, 4010) && has(&story, 1, 4011), "it moves");
    assert!(has(&story, 1, 5010) && !has(&story, 1, 5011), "its head");
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
fn round_with(story: &mut Story, probes: &[Probe], details: &dyn Fn(usize) -> Details) {
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
        let answer = |at: usize| Details {
            compared: view.nodes[at]
                .inquiry
                .compare
                .map(|height| (height, BlockHash([letters.as_bytes()[at]; 32]))),
            ..Details::default()
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
fn two_camps_of_one_size_put_nobody_out_unless_the_leader_is_in_one() {
    let mut story = Story::with_own_nodes(3);
    forked_rounds(&mut story, "aabb", 10);
    assert_eq!(story.healthy(), [true, true, false, false]);
    let own = (0..4).map(|id| member(id, Rung::Own)).collect();
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
    assert_eq!(reference.doubt, Some(Doubt::Unfit));
    assert_eq!(reference.source, Source::Quorum);
}

#[test]
fn safe_and_finalized_heads_are_what_half_of_the_own_weight_has() {
    let mut story = Story::with_own_nodes(3);
    let tags = |at: usize| {
        let behind = [0, 32, 36, 900][at];
        Details {
            safe: Some(BlockNumber(100 - behind.min(99))),
            finalized: Some(BlockNumber(if at == 3 { 101 } else { 36 })),
            ..Details::default()
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
    round_with(&mut story, &[at(100); 4], &|_| Details::default());
    assert_eq!(story.fleet.view().safe_head, Some(BlockNumber(64)));
}

#[test]
fn the_networks_name_is_known_where_all_say_the_same() {
    let mut story = Story::with_own_nodes(2);
    let name = |name: &'static str| Details {
        net_version: Some(name.into()),
        ..Details::default()
    };
    round_with(&mut story, &[at(100); 3], &|_| name("7"));
    assert_eq!(story.fleet.view().net_version.as_deref(), Some("7"));
    round_with(&mut story, &[at(100); 3], &|_| Details::default());
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
fn a_reorg_to_a_shorter_chain_takes_the_served_head_back_and_benches_nobody() {
    let mut story = Story::with_own_nodes(3);
    let hash = |letter: u8| {
        move |_: usize| Details {
            head_hash: Some(BlockHash([letter; 32])),
            ..Details::default()
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
        .map(|node| node.inquiry.depth.is_some())
        .collect();
    assert_eq!(asked, [true, true, false]);
}

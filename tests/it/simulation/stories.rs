//! Fixed stories: one trouble each, with what must come of it.

use std::time::Duration;

use forebay_core::fleet::reference::ReferenceSource;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::vocabulary::node::Role;

use crate::simulation::oracle::End;
use crate::simulation::pretend::{CHAIN, Mood, POISON, Tale, Work};
use crate::simulation::world::{BLOCK_TIME, LAG_BLOCKS_MAX, ROUND, Setting, World, member};

const READS: &[&str] = &["eth_call"];
const REPEATABLE: &[&str] = &["eth_call", "eth_getBalance", "eth_sendRawTransaction"];
const OWN: [u32; 3] = [1, 2, 3];

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// So many rounds, and the time that a probe takes to fail.
fn rounds(count: u32) -> Duration {
    ROUND.mul_f64(1.1) * count + seconds(2)
}

/// A leader and own nodes of these weights, all well and known to be; calls come.
fn world(weights: &[u64], calls_per_second: f64, methods: &'static [&'static str]) -> World {
    world_with(weights, calls_per_second, methods, 7, 10.0)
}

fn world_with(
    weights: &[u64],
    calls_per_second: f64,
    methods: &'static [&'static str],
    seed: u64,
    budget_per_second: f64,
) -> World {
    let mut members = vec![member(0, Role::Leader, 1)];
    members.extend(
        (1..)
            .zip(weights)
            .map(|(id, weight)| member(id, Role::Own, *weight)),
    );
    let mut world = World::new(Setting {
        seed,
        members,
        chain: Some(CHAIN),
        fails_open: true,
        leader_rounds: 1,
        calls_per_second,
        methods,
        budget_per_second,
    });
    world.run(seconds(1));
    world.count_anew();
    world
}

fn set_all(world: &mut World, ids: &[u32], mood: Mood, tale: Tale) {
    for id in ids {
        world.set(*id, mood, tale);
    }
}

fn healthy(world: &World) -> Vec<u32> {
    let nodes = world.view.nodes.iter();
    nodes
        .filter(|node| node.standing.is_healthy() && node.role == Role::Own)
        .map(|node| node.id.0)
        .collect()
}

/// The nodes that were asked since the count began.
fn asked(world: &World) -> Vec<u32> {
    world.tally.attempts_by_node.keys().copied().collect()
}

fn source(world: &World) -> Option<ReferenceSource> {
    world.view.reference.map(|reference| reference.source)
}

#[test]
fn a_leaders_huge_head_evicts_no_node_and_is_shown_to_no_client() {
    let mut world = world(&[1, 1, 1], 5.0, &["eth_call", "eth_blockNumber"]);
    world.set(0, Mood::Good, Tale::Ahead(1_000_000));
    for _ in 0..60 {
        world.run(ROUND);
        assert_eq!(healthy(&world), OWN);
        assert!(world.view.served_head.unwrap().0 <= world.truth());
    }
    assert_eq!(source(&world), Some(ReferenceSource::Quorum));
    world.set(0, Mood::Good, Tale::Truth);
    world.run(rounds(1));
    assert_eq!(source(&world), Some(ReferenceSource::Leader));
    world.drain();
    assert_eq!(world.tally.failed(), 0);
    assert_eq!(world.tally.attempts_by_node.get(&0), None);
}

#[test]
fn a_leader_stuck_for_five_hours_holds_no_call_up() {
    let mut world = world(&[1, 1, 1], 0.2, &["eth_call", "eth_blockNumber"]);
    let stuck_at = world.truth();
    world.set(0, Mood::Good, Tale::Frozen(stuck_at));
    // One own node falls behind the others, but not behind the leader.
    world.run(seconds(2 * 3600));
    world.set(3, Mood::Good, Tale::Behind(LAG_BLOCKS_MAX + 1));
    world.run(seconds(3 * 3600));
    assert_eq!(healthy(&world), [1, 2], "the own nodes agree on what lags");
    assert_eq!(source(&world), Some(ReferenceSource::Quorum));
    let served = world.view.served_head.unwrap().0;
    assert!(world.truth() - served <= 1, "{served}");
    world.set(0, Mood::Good, Tale::Truth);
    world.set(3, Mood::Good, Tale::Truth);
    world.run(rounds(2));
    assert_eq!(healthy(&world), OWN);
    assert_eq!(source(&world), Some(ReferenceSource::Leader));
    world.drain();
    assert_eq!(world.tally.failed(), 0);
    assert_eq!(world.tally.attempts_by_node.get(&0), None);
}

#[test]
fn the_leader_serves_while_all_own_nodes_lag_and_they_serve_again_two_rounds_after() {
    let mut world = world(&[1, 1, 1], 20.0, READS);
    set_all(
        &mut world,
        &OWN,
        Mood::Good,
        Tale::Behind(LAG_BLOCKS_MAX + 1),
    );
    world.run(rounds(1));
    assert!(healthy(&world).is_empty());
    world.count_for(seconds(60));
    assert_eq!(asked(&world), [0]);
    set_all(&mut world, &OWN, Mood::Good, Tale::Truth);
    world.run(rounds(2));
    assert_eq!(healthy(&world), OWN);
    let outage = world.count_anew();
    world.run(seconds(60));
    world.drain();
    assert_eq!(outage.failed() + world.tally.failed(), 0);
    assert_eq!(world.tally.attempts_by_node.get(&0), None);
    assert_eq!(world.tally.attempts_by_node.len(), 3, "{:?}", world.tally);
}

#[test]
fn when_all_own_nodes_die_the_leader_serves_every_repeatable_call() {
    let mut world = world(&[1, 1], 20.0, REPEATABLE);
    set_all(&mut world, &[1, 2], Mood::Dead, Tale::Truth);
    world.run(seconds(120));
    set_all(&mut world, &[1, 2], Mood::Good, Tale::Truth);
    world.run(seconds(120));
    world.drain();
    assert_eq!(world.tally.failed(), 0);
}

#[test]
fn when_all_are_dead_clients_hear_that_there_is_no_node_until_one_is_back() {
    let mut world = world(&[1, 1, 1], 10.0, READS);
    set_all(&mut world, &[0, 1, 2, 3], Mood::Dead, Tale::Truth);
    world.run(rounds(3));
    world.count_for(seconds(60));
    assert_eq!(world.tally.attempts, 0);
    let refused = world.tally.refused(&Refusal::NoNode);
    assert_eq!(refused, world.tally.ends.len());
    assert!(refused > 0);
    world.set(2, Mood::Good, Tale::Truth);
    // It lives, so that it is the last resort at once and fit two rounds later.
    world.run(rounds(1));
    world.count_anew();
    world.run(rounds(3));
    world.drain();
    assert_eq!(world.tally.failed(), 0);
    assert_eq!(healthy(&world), [2]);
}

#[test]
fn a_flapping_node_costs_no_call_and_comes_back_when_it_has_calmed_down() {
    let mut world = world(&[1, 1, 1], 20.0, REPEATABLE);
    for _ in 0..40 {
        world.set(1, Mood::Dead, Tale::Truth);
        world.run(seconds(7));
        world.set(1, Mood::Good, Tale::Truth);
        world.run(seconds(9));
    }
    let share = world.tally.share(1);
    assert!(share < 0.2, "{share}");
    world.run(seconds(320));
    assert_eq!(healthy(&world), OWN);
    world.count_for(seconds(60));
    world.drain();
    assert_eq!(world.tally.failed(), 0);
    assert!(world.tally.share(1) > 0.25);
}

#[test]
fn killing_one_of_three_under_load_loses_no_repeatable_call() {
    for mood in [
        Mood::Dead,
        Mood::Stalled,
        Mood::Fails,
        Mood::Junk,
        Mood::Throttles(None),
    ] {
        let mut world = world(&[1, 1, 1], 100.0, REPEATABLE);
        world.run(seconds(10));
        world.set(2, mood, Tale::Truth);
        world.run(seconds(60));
        world.drain();
        assert_eq!(world.tally.failed(), 0, "{mood:?}");
        assert!(world.tally.calls > 6000);
    }
}

/// Seconds until these are the healthy nodes.
fn becomes(world: &mut World, wanted: &[u32]) -> Option<u32> {
    (1..60).find(|_| {
        world.run(seconds(1));
        healthy(world) == wanted
    })
}

#[test]
fn a_node_that_fails_calls_is_benched_though_its_probes_are_well() {
    for (calls_per_second, within) in [(3.0, 8), (30.0, 3), (1000.0, 3)] {
        let mut world = world(&[1, 1, 1], calls_per_second, REPEATABLE);
        world.run(seconds(10));
        world.count_anew();
        world.set(1, Mood::FailsCalls, Tale::Truth);
        let took = becomes(&mut world, &[2, 3]);
        assert!(
            took.is_some_and(|took| took <= within),
            "{took:?} at {calls_per_second}"
        );
        let repeated = world.tally.attempts - world.tally.asked_calls;
        assert!(repeated <= 60, "{repeated} at {calls_per_second}");
        assert_eq!(world.tally.failed(), 0);
    }
}

#[test]
fn the_last_own_node_that_fails_leaves_its_calls_to_the_leader_and_the_very_last_stays() {
    let mut world = world(&[1], 5.0, REPEATABLE);
    world.run(seconds(10));
    world.set(1, Mood::FailsCalls, Tale::Truth);
    assert!(becomes(&mut world, &[]).is_some());
    world.run(seconds(5));
    world.count_for(seconds(10));
    assert_eq!(world.tally.failed(), 0);
    assert!(
        (world.tally.share(0) - 1.0).abs() < f64::EPSILON,
        "the leader serves"
    );
    world.set(0, Mood::FailsCalls, Tale::Truth);
    world.run(seconds(8));
    let leader = world.view.nodes[0].standing;
    assert!(leader.is_healthy(), "no node could serve in its place");
    set_all(&mut world, &[0, 1], Mood::Good, Tale::Truth);
    world.run(seconds(120));
    assert_eq!(healthy(&world), [1]);
}

#[test]
fn what_no_node_can_answer_benches_no_node_and_makes_none_suspect() {
    for share in [
        &["eth_getBalance", POISON][..],
        &["eth_getBalance", POISON, POISON, POISON],
    ] {
        let methods: &'static [&'static str] = share.to_vec().leak();
        let mut world = world(&[1, 1, 1], 20.0, methods);
        for _ in 0..60 {
            world.run(seconds(1));
            assert_eq!(healthy(&world), OWN);
        }
        let suspects = world
            .view
            .nodes
            .iter()
            .filter(|node| node.load.conduct.is_suspect());
        assert_eq!(suspects.count(), 0);
        world.drain();
        let lost = world
            .tally
            .ends
            .iter()
            .filter(|(method, end)| *method != POISON && *end != End::Answered);
        assert_eq!(lost.count(), 0);
    }
}

#[test]
fn a_node_that_fails_at_one_method_serves_all_others() {
    let mut world = world(
        &[1, 1, 1],
        60.0,
        &["eth_call", "eth_getBalance", "eth_getLogs"],
    );
    world.set(1, Mood::FailsMethod("eth_getLogs"), Tale::Truth);
    for _ in 0..25 {
        world.run(seconds(1));
        assert_eq!(healthy(&world), OWN);
    }
    let repeated = world.tally.attempts - world.tally.asked_calls;
    assert!(repeated <= 40, "{repeated}");
    world.count_for(seconds(5));
    assert!(
        world.tally.attempts_by_node[&1] > 30,
        "{:?}",
        world.tally.attempts_by_node
    );
    assert_eq!(world.tally.failed(), 0);
}

#[test]
fn a_stranger_serves_no_more_once_the_leader_tells_the_chain() {
    let mut world = World::new(Setting {
        chain: None,
        ..world(&[1, 1], 20.0, READS).setting
    });
    world.set(0, Mood::Dead, Tale::Truth);
    world.set(1, Mood::Good, Tale::OtherChain);
    world.run(seconds(12));
    assert_eq!(healthy(&world), [1, 2], "no node knows the chain");
    // The stranger's own verdict is still to come when the chain is learnt.
    world.set(1, Mood::Throttles(None), Tale::OtherChain);
    world.set(0, Mood::Good, Tale::Truth);
    world.run(rounds(7));
    world.count_for(seconds(20));
    assert_eq!(asked(&world), [2]);
}

#[test]
fn a_drained_node_gets_no_calls_and_none_but_the_leader_is_left_without_it() {
    let mut world = world(&[1, 1], 20.0, READS);
    world.registry[1] = member(1, Role::Own, 0);
    world.run(seconds(6));
    world.count_for(seconds(30));
    assert_eq!(asked(&world), [2]);
    world.registry[2] = member(2, Role::Own, 0);
    world.run(seconds(6));
    world.count_for(seconds(30));
    assert_eq!(asked(&world), [0]);
    world.registry[1] = member(1, Role::Own, 1);
    world.run(seconds(6));
    assert_eq!(healthy(&world), [1, 2], "draining costs no standing");
    world.count_for(seconds(30));
    world.drain();
    assert_eq!(asked(&world), [1]);
    assert_eq!(world.tally.failed(), 0);
}

#[test]
fn a_majority_that_stands_still_is_left_for_the_one_that_goes_on() {
    let mut world = world(&[1, 1, 1], 5.0, &["eth_call", "eth_blockNumber"]);
    world.registry.remove(0);
    world.run(seconds(30));
    let stuck_at = world.truth();
    set_all(&mut world, &[2, 3], Mood::Good, Tale::Frozen(stuck_at));
    // Three block times, and the rounds that see them.
    world.run(3 * BLOCK_TIME + BLOCK_TIME + rounds(1));
    assert_eq!(healthy(&world), [1]);
    world.count_anew();
    for _ in 0..60 {
        world.run(ROUND);
        let served = world.view.served_head.unwrap().0;
        assert!(world.truth() - served <= 1, "{served}");
        assert_eq!(healthy(&world), [1]);
    }
    set_all(&mut world, &[2, 3], Mood::Good, Tale::Truth);
    world.run(rounds(2));
    assert_eq!(healthy(&world), OWN);
    world.drain();
    assert_eq!(world.tally.failed(), 0);
}

#[test]
fn a_new_chain_is_shown_from_its_start_and_the_head_falls_but_once() {
    let mut world = world(&[1, 1, 1], 10.0, &["eth_blockNumber"]);
    world.run(seconds(60));
    world.reset_chain();
    world.run(seconds(300));
    world.drain();
    assert_eq!(world.oracle.falls, 1);
    assert!(world.truth() - world.view.served_head.unwrap().0 <= 1);
}

#[test]
fn shares_follow_weights_at_equal_latency_however_many_calls_are_in_flight() {
    let weights = [1, 2, 7];
    for seed in 0..5 {
        for calls_per_second in [2.0, 100.0, 1000.0, 4000.0] {
            let mut world = world_with(&weights, calls_per_second, READS, seed, 10.0);
            for node in world.nodes.values_mut() {
                node.latency = Duration::from_millis(50);
            }
            world.run(seconds(1));
            world.count_anew();
            world.run(Duration::from_secs_f64(1000.0 / calls_per_second));
            for (id, weight) in (1..).zip(weights) {
                let off = world.tally.share(id) - weight as f64 / 10.0;
                let tally = &world.tally.attempts_by_node;
                assert!(off.abs() <= 0.05, "{calls_per_second} a second: {tally:?}");
            }
        }
    }
}

#[test]
fn a_slow_node_sheds_calls_and_gets_them_back() {
    let mut world = world(&[1, 1, 1], 100.0, READS);
    world.set(1, Mood::Slow(Duration::from_millis(800)), Tale::Truth);
    world.run(seconds(10));
    world.count_for(seconds(30));
    assert!(
        world.tally.share(1) < 0.15,
        "{:?}",
        world.tally.attempts_by_node
    );
    world.set(1, Mood::Good, Tale::Truth);
    world.run(seconds(30));
    world.count_for(seconds(30));
    assert!(
        world.tally.share(1) > 0.28,
        "{:?}",
        world.tally.attempts_by_node
    );
}

/// Attempts a call while every node times out half of its calls, the first burst spent.
fn brown_out(calls_per_second: f64, budget_per_second: f64) -> f64 {
    let mut world = world_with(&[1, 1, 1], calls_per_second, READS, 3, budget_per_second);
    set_all(&mut world, &[0, 1, 2, 3], Mood::HalfStalled, Tale::Truth);
    world.run(seconds(30));
    world.count_for(seconds(60));
    assert!(
        world.tally.attempts > world.tally.asked_calls,
        "none is repeated"
    );
    f64::from(world.tally.attempts) / f64::from(world.tally.asked_calls)
}

#[test]
fn a_brown_out_is_amplified_by_a_fifth_at_most() {
    for (calls_per_second, budget_per_second) in [(200.0, 0.0), (50.0, 10.0), (400.0, 10.0)] {
        let amplification = brown_out(calls_per_second, budget_per_second);
        assert!(
            amplification <= 1.2 + 1e-9,
            "{amplification} at {calls_per_second} calls a second"
        );
    }
}

#[test]
fn own_nodes_that_all_fall_silent_cost_no_call_however_many_there_are() {
    for calls_per_second in [20.0, 200.0] {
        let mut world = world(&[1, 1, 1], calls_per_second, READS);
        set_all(&mut world, &OWN, Mood::Stalled, Tale::Truth);
        world.run(seconds(60));
        world.drain();
        let tally = &world.tally;
        assert_eq!(tally.failed(), 0, "at {calls_per_second} calls a second");
        assert!(
            tally.attempts <= 2 * tally.asked_calls,
            "{}",
            tally.attempts
        );
    }
}

/// Calls a second that one node has the strength for, in the stories of overload.
const STRENGTH: f64 = 50.0;

/// Three nodes and their leader, each with its strength, under `times` what the three have: attempts
/// a call, answered calls as a share of what the three could answer, and how many calls fail once
/// the load has halved their strength for a while.
fn overload(times: f64, seed: u64, waits_max: Duration) -> (f64, f64, usize) {
    let strength = 3.0 * STRENGTH;
    let mut world = world_with(&[1, 1, 1], times * strength, READS, seed, 10.0);
    for node in world.nodes.values_mut() {
        node.work = Some(Work::of(STRENGTH, waits_max));
    }
    world.run(seconds(30));
    world.count_for(seconds(60));
    let tally = &world.tally;
    let answered = tally.ends.iter().filter(|(_, end)| *end == End::Answered);
    let share = answered.count() as f64 / (60.0 * strength);
    let amplification = f64::from(tally.attempts) / f64::from(tally.asked_calls);
    world.setting.calls_per_second = strength / 2.0;
    world.run(seconds(90));
    world.count_for(seconds(30));
    world.drain();
    (amplification, share, world.tally.failed())
}

#[test]
fn at_twice_its_capacity_a_pool_is_asked_little_more_and_does_not_collapse() {
    for seed in 0..2 {
        for waits_max in [Duration::from_millis(200), seconds(2)] {
            let (amplification, answered, failed) = overload(2.0, seed, waits_max);
            println!("seed {seed}, {waits_max:?}: {amplification:.3} {answered:.3} {failed}");
            // Some repeats are of calls before the count.
            assert!(amplification <= 1.201, "{amplification}, seed {seed}");
            assert!(answered >= 0.6, "{answered}, seed {seed}, {waits_max:?}");
            assert_eq!(failed, 0, "afterwards, seed {seed}, {waits_max:?}");
        }
    }
}

#[test]
fn a_subscription_outlives_the_node_that_tells_it() {
    let mut world = world(&[1, 1, 1], 1.0, READS);
    world.run(seconds(30));
    for trouble in [
        (Mood::Dead, Tale::Truth),
        (Mood::Good, Tale::Behind(LAG_BLOCKS_MAX + 1)),
    ] {
        assert!(world.is_told_well());
        let teller = world.listeners.tellers()[0];
        world.set(teller, trouble.0, trouble.1);
        world.run(rounds(4));
        assert!(world.is_told_well(), "{trouble:?}");
        assert_ne!(world.listeners.tellers(), [teller], "{trouble:?}");
        world.set(teller, Mood::Good, Tale::Truth);
        world.run(rounds(4));
    }
    let teller = world.listeners.tellers()[0];
    world.registry[teller as usize] = member(teller, Role::Own, 0);
    world.run(rounds(2));
    assert!(world.is_told_well(), "drained");
    assert_ne!(world.listeners.tellers(), [teller]);
    assert_eq!(world.listeners.ends, 0);
    set_all(&mut world, &[0, 1, 2, 3], Mood::Dead, Tale::Truth);
    world.run(seconds(20));
    assert!(world.listeners.ends > 0, "clients are told");
    set_all(&mut world, &[0, 1, 2, 3], Mood::Good, Tale::Truth);
    world.run(seconds(60));
    assert!(world.is_told_well());
}

#[test]
fn few_calls_are_repeated_as_often_as_the_seconds_earn() {
    let amplification = brown_out(20.0, 10.0);
    // Half a repeat a call; those of the calls before the count come in, too.
    assert!((1.4..=1.55).contains(&amplification), "{amplification}");
}

#[test]
fn a_call_without_an_answer_ends_at_its_deadline_with_a_timeout() {
    let mut world = world(&[1, 1], 2.0, READS);
    set_all(&mut world, &[0, 1, 2], Mood::Stalled, Tale::Truth);
    world.run(seconds(4));
    world.drain();
    let is_timeout = |(_, end): &&(_, End)| *end == End::Refused(Refusal::Timeout);
    assert!(world.tally.ends.iter().filter(is_timeout).count() >= 6);
}

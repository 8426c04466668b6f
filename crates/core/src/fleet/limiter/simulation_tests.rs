//! Nodes of many shapes under load, simulated: what the limiter and the line make of them.

use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use super::Limiter;
use crate::fleet::wait_queue::{QueueTicket, WaitQueue};
use crate::vocabulary::chance::{Dice as _, SeededDice};

const LOUD: u64 = 1;
const QUIET: u64 = 2;

/// How a node behaves.
#[derive(Clone, Default)]
struct Shape {
    /// Calls that it works at together; those beyond wait in it, or are refused.
    servers: usize,
    refuses: bool,
    /// Calls a second that it takes at most, with a burst of as many tenths of it.
    bucket: Option<f64>,
    /// On the way there and back.
    way: f64,
    /// What a call takes, and what one in so many takes.
    light: f64,
    heavy: Option<(u64, f64)>,
    /// Calls take very different times (an exponential distribution), and not much the same.
    varies: bool,
    /// All take the very same time: what began together ends together, and so on for ever.
    in_step: bool,
}

impl Shape {
    fn servers(servers: usize, light: f64) -> Shape {
        Shape {
            servers,
            way: 0.0004,
            light,
            ..Shape::default()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Arrives { caller: u64 },
    Reaches(Visit),
    Done(Visit),
    Back { visit: Visit, is_refused: bool },
    Paced { node: usize },
    Looks { call: usize },
}

/// A call at a node.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Visit {
    call: usize,
    node: usize,
}

#[derive(Debug, PartialEq)]
struct At(f64, u64, Event);

impl Eq for At {}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &At) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for At {
    fn cmp(&self, other: &At) -> std::cmp::Ordering {
        other.0.total_cmp(&self.0).then(other.1.cmp(&self.1))
    }
}

struct Node {
    shape: Shape,
    limiter: Limiter,
    busy: usize,
    waiting: VecDeque<usize>,
    tokens: f64,
    filled_at: f64,
    refusals: usize,
}

struct Call {
    caller: u64,
    came: f64,
    number: u32,
    began: f64,
    ticket: Option<QueueTicket>,
    tries: usize,
    /// Where it isn't as its node's calls are.
    takes: Option<f64>,
}

/// What came of a load.
#[derive(Debug, Default)]
struct Outcome {
    answered: Vec<(f64, f64)>,
    shed: usize,
    refusals: usize,
    /// Of the quiet caller: how long each answer took, and calls that were shed.
    quiet: (Vec<f64>, usize),
}

impl Outcome {
    fn answered_between(&self, from: f64, to: f64) -> usize {
        let is_within = |(at, _): &&(f64, f64)| (from..to).contains(at);
        self.answered.iter().filter(is_within).count()
    }

    fn slow(&self, of: f64) -> f64 {
        let mut took: Vec<f64> = self.answered.iter().map(|(_, took)| *took).collect();
        took.sort_by(f64::total_cmp);
        let at = (took.len() as f64 * of) as usize;
        took.get(at.min(took.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0.0)
    }
}

struct World {
    start: Instant,
    now: f64,
    serial: u64,
    events: BinaryHeap<At>,
    nodes: Vec<Node>,
    calls: Vec<Call>,
    line: WaitQueue<usize>,
    dice: SeededDice,
    outcome: Outcome,
}

impl World {
    fn new(shapes: &[Shape], seed: u64) -> World {
        let start = crate::testing::now();
        let nodes = shapes.iter().map(|shape| Node {
            shape: shape.clone(),
            limiter: Limiter::new(start),
            busy: 0,
            waiting: VecDeque::new(),
            tokens: shape.bucket.unwrap_or(0.0) / 10.0,
            filled_at: 0.0,
            refusals: 0,
        });
        World {
            start,
            now: 0.0,
            serial: 0,
            events: BinaryHeap::new(),
            nodes: nodes.collect(),
            calls: Vec::new(),
            line: WaitQueue::new(Duration::from_millis(100)),
            dice: SeededDice::new(seed),
            outcome: Outcome::default(),
        }
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.now)
    }

    fn after(&mut self, wait: f64, event: Event) {
        self.serial += 1;
        let at = At(self.now + wait, self.serial, event);
        self.events.push(at);
    }

    /// `rate` calls a second for so long, at random times, from now on.
    fn offer(&mut self, rate: f64, seconds: f64) {
        self.offer_of(LOUD, rate, seconds);
    }

    fn offer_of(&mut self, caller: u64, rate: f64, seconds: f64) {
        let mut at = 0.0;
        loop {
            at += -(1.0 - self.dice.fraction()).ln() / rate;
            if at >= seconds {
                break;
            }
            self.after(at, Event::Arrives { caller });
        }
    }

    fn run_until(&mut self, end: f64) {
        while self.events.peek().is_some_and(|at| at.0 <= end) {
            let Some(At(at, _, event)) = self.events.pop() else {
                break;
            };
            self.now = at;
            self.happens(event);
        }
        self.now = end;
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrives { caller } => self.arrives(caller, None),
            Event::Reaches(visit) => self.reaches(visit),
            Event::Done(visit) => {
                self.nodes[visit.node].busy -= 1;
                self.leaves(visit, false);
                self.work(visit.node);
            }
            Event::Back { visit, is_refused } => self.back(visit, is_refused),
            Event::Paced { node } => self.let_in(node),
            Event::Looks { call } => self.look(call),
        }
    }

    fn leaves(&mut self, visit: Visit, is_refused: bool) {
        let way = self.nodes[visit.node].shape.way;
        self.after(way, Event::Back { visit, is_refused });
    }

    fn sheds(&mut self, call: usize) {
        self.outcome.shed += 1;
        self.outcome.quiet.1 += usize::from(self.calls[call].caller == QUIET);
    }

    fn arrives(&mut self, caller: u64, takes: Option<f64>) {
        self.calls.push(Call {
            caller,
            came: self.now,
            number: 0,
            began: 0.0,
            ticket: None,
            tries: 0,
            takes,
        });
        self.begin(self.calls.len() - 1);
    }

    fn begin(&mut self, call: usize) {
        self.calls[call].tries += 1;
        if self.calls[call].tries > 20 {
            return self.sheds(call);
        }
        let now = self.instant();
        if self.line.is_empty() {
            // The less busy of two that have room.
            let count = self.nodes.len() as u64;
            let first = (self.dice.roll() % count) as usize;
            let second = (self.dice.roll() % count) as usize;
            let in_flight = |at: usize| self.nodes[at].limiter.in_flight();
            let (first, second) = if in_flight(second) < in_flight(first) {
                (second, first)
            } else {
                (first, second)
            };
            let all = [first, second].into_iter().chain(0..self.nodes.len());
            for node in all {
                if let Some(number) = self.nodes[node].limiter.try_begin_at(now) {
                    return self.send(call, node, number);
                }
            }
        } else {
            for node in &self.nodes {
                node.limiter
                    .was_full
                    .store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let caller = self.calls[call].caller;
        let (ticket, left) = self.line.join(caller, false, call, now);
        if let Some(left) = left {
            self.sheds(left);
        }
        self.calls[call].ticket = Some(ticket);
        let again = self.line.look_again(ticket, now);
        let wait = again.saturating_duration_since(now).as_secs_f64();
        self.after(wait, Event::Looks { call });
        for node in 0..self.nodes.len() {
            self.let_in(node);
        }
    }

    fn look(&mut self, call: usize) {
        let Some(ticket) = self.calls[call].ticket else {
            return;
        };
        let now = self.instant();
        if now >= self.line.may_wait_until(ticket) {
            if self.line.leave(ticket, now).is_some() {
                self.sheds(call);
            }
            self.calls[call].ticket = None;
            return;
        }
        let again = self.line.look_again(ticket, now);
        let wait = again.saturating_duration_since(now).as_secs_f64();
        self.after(wait, Event::Looks { call });
    }

    fn let_in(&mut self, node: usize) {
        let now = self.instant();
        while let Some(call) = self.line.hopeless(now) {
            self.calls[call].ticket = None;
            self.sheds(call);
        }
        while !self.line.is_empty() {
            let Some(number) = self.nodes[node].limiter.try_begin_at(now) else {
                if let Some(next) = self.nodes[node].limiter.next_place() {
                    let wait = next.saturating_duration_since(now).as_secs_f64();
                    if wait > 0.0 {
                        self.after(wait + 0.0005, Event::Paced { node });
                    }
                }
                return;
            };
            let Some(call) = self.line.next(|_| true, now) else {
                self.nodes[node].limiter.end();
                return;
            };
            self.calls[call].ticket = None;
            self.send(call, node, number);
        }
    }

    fn send(&mut self, call: usize, node: usize, number: u32) {
        self.calls[call].number = number;
        self.calls[call].began = self.now;
        // Of two that are sent at once either may be the first to be there.
        let way = self.nodes[node].shape.way * (0.5 + self.dice.fraction());
        self.after(way, Event::Reaches(Visit { call, node }));
    }

    fn reaches(&mut self, visit: Visit) {
        let now = self.now;
        let at = &mut self.nodes[visit.node];
        let mut is_refused = false;
        if let Some(rate) = at.shape.bucket {
            at.tokens = (at.tokens + (now - at.filled_at) * rate).min(rate / 10.0);
            at.filled_at = now;
            is_refused = at.tokens < 1.0;
            if !is_refused {
                at.tokens -= 1.0;
            }
        }
        is_refused |= at.shape.refuses && at.busy >= at.shape.servers;
        if is_refused {
            at.refusals += 1;
            self.outcome.refusals += 1;
            return self.leaves(visit, true);
        }
        at.waiting.push_back(visit.call);
        self.work(visit.node);
    }

    fn work(&mut self, node: usize) {
        while self.nodes[node].busy < self.nodes[node].shape.servers {
            let Some(call) = self.nodes[node].waiting.pop_front() else {
                return;
            };
            self.nodes[node].busy += 1;
            let heavy = self.nodes[node].shape.heavy;
            let heavy = heavy.filter(|(one_in, _)| self.dice.roll().is_multiple_of(*one_in));
            let takes = heavy.map_or(self.nodes[node].shape.light, |(_, takes)| takes);
            let takes = if self.nodes[node].shape.varies {
                takes * -(1.0 - self.dice.fraction()).ln()
            } else if self.nodes[node].shape.in_step {
                takes
            } else {
                takes * (0.95 + 0.1 * self.dice.fraction())
            };
            let takes = self.calls[call].takes.unwrap_or(takes);
            self.after(takes, Event::Done(Visit { call, node }));
        }
    }

    fn back(&mut self, Visit { call, node }: Visit, is_refused: bool) {
        let now = self.instant();
        let took = Duration::from_secs_f64(self.now - self.calls[call].began);
        let limiter = &self.nodes[node].limiter;
        if is_refused {
            limiter.refused(self.calls[call].number, now);
        } else {
            limiter.answered(self.calls[call].number, took, now);
            let whole = self.now - self.calls[call].came;
            self.outcome.answered.push((self.now, whole));
            if self.calls[call].caller == QUIET {
                self.outcome.quiet.0.push(whole);
            }
        }
        limiter.end();
        self.let_in(node);
        if is_refused {
            self.begin(call);
        }
    }

    fn limits(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.limiter.limit()).collect()
    }
}

/// Offers `rate` a second for `seconds`, after a quiet while.
fn under(shapes: &[Shape], rate: f64, seconds: f64) -> World {
    let mut world = World::new(shapes, 7);
    world.offer(20.0, 2.0);
    world.run_until(3.0);
    world.outcome = Outcome::default();
    world.offer(rate, seconds);
    world.run_until(3.0 + seconds);
    world
}

/// What came of a flood, measured as `benches/overload.py` does.
#[derive(Debug)]
struct Flood {
    /// Of what the nodes can do.
    answered: f64,
    /// The 99th percentile of a call's time by that of the quiet while before.
    slow: f64,
    /// Calls that weren't answered of those offered 2 s after the flood at half of what the nodes can do,
    /// and their 99th percentile, by the same.
    lost_later: usize,
    slow_later: f64,
    limits: Vec<u32>,
}

fn flooded(shape: &Shape, times: f64, seed: u64) -> Flood {
    const SECONDS: f64 = 8.0;
    let mut world = World::new(&[shape.clone(), shape.clone()], seed);
    let capacity = 2.0 * shape.servers as f64 / shape.light;
    let mut run = |rate: f64, seconds: f64| {
        world.outcome = Outcome::default();
        world.offer(rate, seconds);
        world.run_until(world.now + seconds + 3.0);
        let outcome = std::mem::take(&mut world.outcome);
        (
            outcome.answered.len(),
            outcome.slow(0.99),
            outcome.shed,
            world.limits(),
        )
    };
    let (_, unloaded, ..) = run((capacity / 4.0).min(100.0), 4.0);
    let (answered, slow, _, limits) = run(capacity * times, SECONDS);
    let (_, slow_later, lost_later, _) = run(capacity / 2.0, 4.0);
    Flood {
        answered: answered as f64 / SECONDS / capacity,
        slow: slow / unloaded,
        lost_later,
        slow_later: slow_later / unloaded,
        limits,
    }
}

#[test]
fn a_flood_of_two_and_four_times_what_nodes_bear_costs_them_nothing() {
    // A slow node that may turn out to take very many calls is given some twenty before its first answer:
    // if it takes four at a time they wait in it.
    for (servers, light, varies, slow_max) in [
        (20, 0.05, false, 3.0),
        (20, 0.05, true, 1.5),
        (4, 0.01, false, 3.0),
        (4, 0.05, false, 3.0),
        (4, 0.1, false, 3.0),
        (4, 0.1, true, 2.0),
        (4, 0.5, false, 9.0),
        (8, 0.25, false, 3.0),
        (16, 0.004, false, 3.0),
        (20, 0.5, false, 3.0),
        (200, 0.5, false, 3.0),
        (1, 0.0025, false, 3.0),
        (2, 0.02, false, 3.0),
    ] {
        let shape = Shape {
            varies,
            ..Shape::servers(servers, light)
        };
        for times in [2.0, 4.0] {
            let mut floods = [7, 8, 9].map(|seed| flooded(&shape, times, seed));
            floods.sort_by(|one, other| one.slow.total_cmp(&other.slow));
            let told = format!("{servers} for {light} s, {varies}, {times} ×: {floods:?}");
            println!("{told}");
            assert!(floods[1].slow <= slow_max, "{told}");
            for flood in floods {
                // Of calls that vary some hundreds are more or less by chance.
                assert!(flood.answered >= if varies { 0.93 } else { 0.95 }, "{told}");
                // Half a second passes before a slow node's first answers tell anything.
                let by_chance = if light < 0.5 { 1.5 } else { 2.6 };
                assert!(flood.slow <= slow_max * by_chance, "{told}");
                assert_eq!(flood.lost_later, 0, "{told}");
                // Of few at a time calls wait for one another by themselves.
                let later_max = if servers > 4 { 1.5 } else { 1.8 };
                let is_found = light < 0.5 || servers > 4;
                assert!(!is_found || flood.slow_later <= later_max, "{told}");
            }
        }
    }
}

/// Calls that all take the same time end in pulses: of those that are let in at one some are begun at once, so
/// the fastest of a window say nothing of what the others wait.
#[test]
fn a_node_whose_calls_end_in_pulses_is_not_given_more_than_it_bears() {
    for (servers, light) in [(20, 0.05), (8, 0.02), (40, 0.1)] {
        let shape = Shape {
            in_step: true,
            ..Shape::servers(servers, light)
        };
        for times in [2.0, 4.0] {
            for seed in [7, 8, 9] {
                let flood = flooded(&shape, times, seed);
                let told = format!("{servers} for {light} s, {times} ×: {flood:?}");
                println!("{told}");
                assert!(flood.answered >= 0.95 && flood.slow <= 3.0, "{told}");
                let most = flood.limits.iter().max();
                assert!(
                    most.is_some_and(|most| *most as usize <= servers * 2),
                    "{told}"
                );
            }
        }
    }
}

#[test]
fn a_quiet_caller_beside_a_flood_is_answered_in_good_time() {
    for seed in 0..12 {
        let shape = Shape::servers(20, 0.05);
        let mut world = World::new(&[shape.clone(), shape], seed);
        world.offer_of(QUIET, 20.0, 5.0);
        world.run_until(6.0);
        let mut alone = std::mem::take(&mut world.outcome).quiet.0;
        world.offer_of(QUIET, 20.0, 10.0);
        world.offer(1600.0, 10.0);
        world.run_until(19.0);
        let (mut took, shed) = std::mem::take(&mut world.outcome.quiet);
        let slow = |took: &mut Vec<f64>| {
            took.sort_by(f64::total_cmp);
            took[took.len() * 99 / 100]
        };
        let times = slow(&mut took) / slow(&mut alone);
        let told = format!("{seed}: {shed} shed, {times:.2} x, {:?}", world.limits());
        println!("{told}");
        assert_eq!(shed, 0, "{told}");
        assert!(times <= 3.0, "{told}");
    }
}

#[test]
fn nodes_that_refuse_what_is_too_much_are_kept_busy() {
    for in_step in [false, true] {
        let shape = Shape {
            refuses: true,
            in_step,
            ..Shape::servers(4, 0.05)
        };
        let world = under(&[shape.clone(), shape.clone(), shape], 480.0, 10.0);
        let answered = world.outcome.answered_between(3.0, 13.0) as f64 / 10.0;
        let refusals = world.outcome.refusals;
        println!("{in_step}: {answered} {refusals} {:?}", world.limits());
        assert!(answered >= 0.95 * 240.0, "{in_step}: {answered}");
        assert!(refusals < 100, "{in_step}: {refusals}");
    }
}

#[test]
fn nodes_that_limit_a_rate_are_asked_by_the_clock() {
    for light in [0.005, 0.15] {
        let shape = Shape {
            bucket: Some(80.0),
            ..Shape::servers(1000, light)
        };
        let world = under(&[shape.clone(), shape.clone(), shape], 480.0, 12.0);
        let answered = world.outcome.answered_between(5.0, 15.0) as f64 / 10.0;
        println!(
            "{light}: {answered} {} {:?}",
            world.outcome.refusals,
            world.limits()
        );
        assert!(answered >= 0.9 * 240.0, "{light}: {answered}");
    }
}

#[test]
fn a_node_that_refuses_everything_is_tried_once_a_second() {
    let dead = Shape {
        refuses: true,
        ..Shape::servers(0, 0.01)
    };
    let mut world = World::new(&[Shape::servers(50, 0.01), dead], 3);
    world.offer(500.0, 22.0);
    world.run_until(2.0);
    let before = world.nodes[1].refusals;
    world.run_until(22.0);
    let trials = world.nodes[1].refusals - before;
    assert!((1..=21).contains(&trials), "{trials}");
    assert_eq!(world.outcome.shed, 0);
}

#[test]
fn nothing_is_shed_that_there_is_room_for() {
    let mixed = |one_in, takes| Shape {
        heavy: Some((one_in, takes)),
        ..Shape::servers(20, 0.005)
    };
    let far = Shape {
        way: 0.075,
        ..Shape::servers(1000, 0.002)
    };
    let mut shapes = vec![
        ("far", far, 1000.0),
        ("slow in one method", mixed(100, 0.5), 1000.0),
        ("light and heavy", mixed(5, 0.5), 80.0),
    ];
    for servers in [5, 20, 200] {
        for light in [0.005, 0.05, 0.5] {
            let rate = 0.75 * servers as f64 / light;
            shapes.push(("plain", Shape::servers(servers, light), rate.min(3000.0)));
        }
    }
    let varied = |servers, light| Shape {
        varies: true,
        ..Shape::servers(servers, light)
    };
    shapes.push(("varied", varied(200, 0.05), 2800.0));
    shapes.push(("varied", varied(20, 0.02), 700.0));
    for (name, shape, rate) in shapes {
        for seed in 0..8 {
            let mut world = World::new(std::slice::from_ref(&shape), seed);
            world.offer(rate, 10.0);
            world.run_until(14.0);
            let (answered, shed) = (world.outcome.answered.len(), world.outcome.shed);
            let told = format!(
                "{name} {} for {} s, {rate}/s: {answered} answered, {shed} shed, limit {:?}",
                shape.servers,
                shape.light,
                world.limits()
            );
            println!("{told}");
            assert_eq!(shed, 0, "{told}");
        }
    }
}

#[test]
fn a_few_slow_calls_dont_keep_others_waiting() {
    for light in [0.0005, 0.005, 0.05] {
        let shape = Shape::servers(1000, light);
        let mut world = World::new(&[shape.clone(), shape], 3);
        world.offer(20.0, 3.0);
        world.run_until(4.0);
        for _ in 0..40 {
            world.arrives(LOUD, Some(5.0));
        }
        world.outcome = Outcome::default();
        world.offer(50.0, 4.0);
        world.run_until(8.5);
        let outcome = &world.outcome;
        let told = format!(
            "{light}: {} {} {:?}",
            outcome.shed,
            outcome.slow(0.9),
            world.limits()
        );
        println!("{told}");
        assert_eq!(outcome.shed, 0, "{told}");
        assert!(outcome.slow(0.9) < 2.0 * light + 0.5, "{told}");
    }
}

#[test]
fn a_rush_that_there_is_room_for_is_answered() {
    for (servers, light) in [
        (5, 0.5),
        (20, 0.5),
        (200, 0.5),
        (20, 0.05),
        (200, 0.05),
        (200, 0.15),
        (1000, 0.15),
        (20, 0.005),
    ] {
        for seed in 0..4 {
            let shape = Shape::servers(servers, light);
            let mut world = World::new(&[shape], seed);
            world.offer(4.0, 5.0);
            world.run_until(7.0);
            world.offer((0.75 * servers as f64 / light).min(3000.0), 8.0);
            world.run_until(20.0);
            let told = format!(
                "{servers} for {light}: {} shed, p99 {}, {:?}",
                world.outcome.shed,
                world.outcome.slow(0.99),
                world.limits()
            );
            println!("{told}");
            assert_eq!(world.outcome.shed, 0, "{told}");
        }
    }
}

#[test]
fn a_burst_that_comes_now_and_then_is_answered() {
    for refuses in [false, true] {
        let shape = Shape {
            refuses,
            ..Shape::servers(10, 0.05)
        };
        let mut world = World::new(&[shape], 1);
        for burst in 0..4 {
            world.offer(20.0, 2.0);
            for _ in 0..200 {
                let wait = world.dice.fraction() * 0.2;
                world.after(wait, Event::Arrives { caller: LOUD });
            }
            world.run_until(4.0 * f64::from(burst + 1));
        }
        let answered = world.outcome.answered.len();
        assert_eq!(world.outcome.shed, 0, "{refuses}: {answered}");
        assert!(answered >= 800);
    }
}

#[test]
fn a_capacity_that_changes_is_followed() {
    let mut world = World::new(&[Shape::servers(40, 0.02)], 5);
    world.offer(400.0, 40.0);
    world.run_until(10.0);
    world.nodes[0].shape.servers = 10;
    world.run_until(20.0);
    world.nodes[0].shape.light = 0.001;
    world.run_until(30.0);
    world.nodes[0].shape = Shape::servers(40, 0.08);
    world.run_until(44.0);
    assert_eq!(world.outcome.shed, 0, "{:?}", world.limits());
    // A flood, in which it gets slower and faster.
    world.outcome = Outcome::default();
    world.offer(2000.0, 30.0);
    world.run_until(54.0);
    world.nodes[0].shape.servers = 10;
    world.run_until(64.0);
    world.nodes[0].shape.servers = 40;
    world.run_until(74.0);
    let answered = |from: f64| world.outcome.answered_between(from, from + 8.0) as f64 / 8.0;
    println!("{} {} {}", answered(46.0), answered(56.0), answered(66.0));
    assert!(answered(46.0) > 0.95 * 500.0 && answered(56.0) > 0.95 * 125.0);
    assert!(answered(66.0) > 0.95 * 500.0, "{}", answered(66.0));
}

//! The oracle: what must hold at every step, judged by what really happens in the simulated
//! world and not by what the fleet thinks of it.
//!
//! It reads nothing of the fleet but each node's state; chains, weights, executions and heads it
//! keeps on its own.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use forebay_core::call::retry::RetryStep;
use forebay_core::fleet::ProbeOutcome;
use forebay_core::fleet::standing::{HealthState, Reason};
use forebay_core::fleet::view::FleetView;
use forebay_core::rpc::classify::AttemptClass;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::vocabulary::node::{NodeId, Role};
use forebay_core::vocabulary::tier::Tier;

use crate::simulation::clients::Running;
use crate::simulation::pretend::{CHAIN, Mood, Tale};
use crate::simulation::world::{ATTEMPTS_MAX, LAG_BLOCKS_MAX, RISE};

/// As many of the last events are told with a failure.
const TRAIL_LENGTH: usize = 60;

/// What happened, for the story that a failure tells.
#[derive(Clone, Debug)]
#[expect(
    dead_code,
    reason = "what it holds is read by `Debug`, when a story is told"
)]
pub enum Note {
    Began {
        call: u32,
        method: &'static str,
    },
    Asked {
        call: u32,
        node: u32,
        tier: Tier,
    },
    Heard {
        call: u32,
        node: u32,
        class: AttemptClass,
    },
    Ended {
        call: u32,
        end: End,
    },
    Probed {
        node: u32,
        probe: ProbeOutcome,
        state: HealthState,
    },
    Reference {
        number: u64,
        served: Option<u64>,
    },
    Became {
        node: u32,
        mood: Mood,
        tale: Tale,
    },
    Listed {
        nodes: Vec<(u32, Role, u16)>,
    },
    RegistryFails,
    Benched {
        node: u32,
    },
    Reset,
}

/// How a call ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Local,
    Answered,
    /// With an error that a node said.
    Error,
    Refused(Refusal),
}

/// What a node was seen to do.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    chain: Option<u64>,
    /// Rounds in a row in which it was in order.
    sound_rounds: u32,
    was_sound: bool,
    /// Rounds in a row in which it was in order, from the one on in which its head rose.
    risen_rounds: u32,
    head: u64,
}

#[derive(Debug)]
pub struct Oracle {
    seed: u64,
    now: Duration,
    trail: VecDeque<(Duration, Note)>,
    chain: Option<u64>,
    seen: BTreeMap<u32, Seen>,
    /// Rounds in a row in which every node that was asked was in order.
    calm_rounds: u32,
    shown: Option<u64>,
    /// The chain began anew, and clients haven't been shown it yet.
    fall_is_due: bool,
    pub falls: u32,
}

impl Oracle {
    pub fn new(seed: u64, chain: Option<u64>) -> Oracle {
        Oracle {
            seed,
            now: Duration::ZERO,
            trail: VecDeque::new(),
            chain,
            seen: BTreeMap::new(),
            calm_rounds: 0,
            shown: None,
            fall_is_due: false,
            falls: 0,
        }
    }

    pub fn note(&mut self, now: Duration, note: Note) {
        self.now = now;
        if self.trail.len() == TRAIL_LENGTH {
            self.trail.pop_front();
        }
        self.trail.push_back((now, note));
    }

    /// Tells the story and stops.
    pub fn fail(&self, why: &str) -> ! {
        let mut story = String::new();
        for (at, note) in &self.trail {
            story.push_str(&format!("  {:9.3} s  {note:?}\n", at.as_secs_f64()));
        }
        panic!(
            "{why}\nat {:.3} s of seed {seed}; replay with FOREBAY_SEED={seed}; before it:\n{story}",
            self.now.as_secs_f64(),
            seed = self.seed,
        )
    }

    pub fn must(&self, holds: bool, why: &str) {
        if !holds {
            self.fail(why);
        }
    }

    pub fn is_known_stranger(&self, node: NodeId) -> bool {
        let theirs = self.seen.get(&node.0).and_then(|seen| seen.chain);
        matches!((self.chain, theirs), (Some(ours), Some(theirs)) if ours != theirs)
    }

    /// Whether the node was in order in some round.
    pub fn has_seen_sound(&self, node: u32) -> bool {
        self.seen.get(&node).is_some_and(|seen| seen.was_sound)
    }

    /// Nodes that must get calls: healthy, not drained, not known to be on another chain.
    fn fit<'a>(&'a self, view: &'a FleetView) -> impl Iterator<Item = (NodeId, Role)> + 'a {
        view.nodes
            .iter()
            .filter(|node| matches!(node.standing.state, HealthState::Fit { .. }))
            .filter(|node| node.weight.get() > 0 && !self.is_known_stranger(node.id))
            .map(|node| (node.id, node.role))
    }

    /// Of those, which can be asked now: no suspect, and none that wants to be left alone.
    fn ready<'a>(
        &'a self,
        view: &'a FleetView,
        now: Instant,
    ) -> impl Iterator<Item = (NodeId, Role)> + 'a {
        let is_whole = move |id| view.node(id).is_some_and(|node| node.is_whole(now));
        self.fit(view).filter(move |(id, _)| is_whole(*id))
    }

    /// A node may be sent a call: it is in the list, not drained, and not known to be on another chain.
    pub fn may_ask(&self, node: NodeId, view: &FleetView) {
        let Some(asked) = view.node(node) else {
            self.fail("a node is asked that isn't in the list");
        };
        self.must(asked.weight.get() > 0, "a drained node is asked");
        self.must(
            !self.is_known_stranger(node),
            "a node of another chain serves",
        );
    }

    pub fn has_fit(&self, view: &FleetView) -> bool {
        self.fit(view).next().is_some()
    }

    pub fn asks(&self, call: &Running, step: &RetryStep, view: &FleetView, now: Instant) {
        let RetryStep::Ask { node, until, tier } = step else {
            return;
        };
        self.must(
            !call.asked.contains(node),
            "a node is asked twice for one call",
        );
        self.must(
            call.asked.len() - call.refused < ATTEMPTS_MAX as usize || *tier == Tier::Fallback,
            "a call has too many attempts",
        );
        self.must(
            *until > now && *until <= call.deadline,
            "an attempt passes the deadline",
        );
        self.must(*until <= now + call.attempt, "an attempt may take too long");
        self.may_ask(*node, view);
        let Some(asked) = view.node(*node) else {
            return;
        };
        let has_block = |id: NodeId| {
            let node = view.node(id);
            call.block
                .is_none_or(|need| node.is_some_and(|node| node.meets(need)))
        };
        let unasked = || {
            let others = self.ready(view, now);
            others.filter(|(id, _)| id != node && !call.asked.contains(id))
        };
        self.must(
            has_block(*node) || !unasked().any(|(id, _)| has_block(id)),
            "a node is asked for a block that it doesn't have, and another has it",
        );
        let passed_over =
            unasked().any(|(id, role)| role == Role::Own && (has_block(id) || !has_block(*node)));
        let is_fit = self.fit(view).any(|(id, _)| id == *node);
        let is_own = asked.role == Role::Own && is_fit;
        self.must(
            is_own || !passed_over,
            "a call leaves the own nodes while one is fit and unasked",
        );
        self.must(
            is_fit || unasked().next().is_none(),
            "a node that isn't fit is asked while a fit one is left unasked",
        );
        let tier_is_right = match tier {
            Tier::Own => is_own,
            Tier::Fallback => is_fit && asked.role != Role::Own,
            Tier::LastResort => asked.lives,
        };
        self.must(tier_is_right, "a node is asked that isn't of its tier");
    }

    /// A node runs a call, or may run it.
    pub fn executes(&self, call: &Running) {
        self.must(
            call.may_repeat || call.executions <= 1,
            "a call that may not be repeated runs twice",
        );
    }

    pub fn ends(&self, call: &Running, end: &End, view: &FleetView, now: Instant) {
        self.must(now <= call.deadline, "a call ends after its deadline");
        if *end == End::Refused(Refusal::NoNode) {
            self.must(
                self.fit(view).next().is_none(),
                "no node, it says, and there is one",
            );
        }
    }

    pub fn refuses_here(&self, refusal: &Refusal, view: &FleetView) {
        if *refusal == Refusal::NoNode {
            self.must(
                self.fit(view).next().is_none(),
                "no node, it says, and there is one",
            );
        }
    }

    /// A client is shown a block number.
    pub fn shows(&mut self, number: u64) {
        if self.shown.is_some_and(|shown| number < shown) {
            let why = format!(
                "the block number that clients see falls, from {:?} to {number}",
                self.shown
            );
            self.must(self.fall_is_due, &why);
            self.fall_is_due = false;
            self.falls += 1;
        }
        self.shown = Some(number);
    }

    /// The chain begins anew, everywhere.
    pub fn resets(&mut self) {
        self.fall_is_due = true;
        // A leader's fall is believed at once, a node's judged a round later.
        self.calm_rounds = 0;
        for seen in self.seen.values_mut() {
            seen.sound_rounds = 0;
        }
    }

    /// The list was taken: a node that left is forgotten.
    pub fn lists(&mut self, ids: &[u32]) {
        self.seen.retain(|id, _| ids.contains(id));
        self.calm_rounds = 0;
    }

    /// A round comes in; `sound`: which nodes were in order when probed.
    pub fn hears_round(
        &mut self,
        probes: &[(NodeId, ProbeOutcome)],
        sound: &[bool],
        leader: Option<u32>,
    ) {
        for ((id, probe), is_sound) in probes.iter().zip(sound) {
            let seen = self.seen.entry(id.0).or_default();
            let before = seen.head;
            if let ProbeOutcome::Answered { head, chain_id, .. } = probe {
                seen.chain = chain_id.map(|chain| chain.0).or(seen.chain);
                seen.head = head.0;
            }
            seen.was_sound |= *is_sound;
            seen.sound_rounds = if *is_sound { seen.sound_rounds + 1 } else { 0 };
            let has_fallen = seen.head < before;
            let goes_on = seen.head > before || (seen.risen_rounds > 0 && !has_fallen);
            seen.risen_rounds = if *is_sound && goes_on {
                seen.risen_rounds + 1
            } else {
                0
            };
        }
        let is_calm = sound.iter().all(|is_sound| *is_sound);
        self.calm_rounds = if is_calm { self.calm_rounds + 1 } else { 0 };
        let told = leader.and_then(|leader| self.seen.get(&leader)?.chain);
        self.chain = self.chain.or(told);
        // Until it is asked for its chain again, it is a stranger whatever else it says.
        for (id, _) in probes {
            if self.is_known_stranger(*id) {
                self.seen.entry(id.0).or_default().sound_rounds = 0;
            }
        }
    }

    /// What the round must have led to.
    pub fn judges_round(
        &self,
        probes: &[(NodeId, ProbeOutcome)],
        view: &FleetView,
        leader: Option<u32>,
    ) {
        let leader_seen = leader.and_then(|leader| self.seen.get(&leader));
        let sure_rounds = leader_seen.map_or(self.calm_rounds, |seen| seen.sound_rounds);
        for (id, probe) in probes {
            let (Some(node), Some(seen)) = (view.node(*id), self.seen.get(&id.0)) else {
                continue;
            };
            let is_out = matches!(node.standing.state, HealthState::Out(_));
            // A node that stood still is believed to go on when it is seen to.
            let is_stuck = node.standing.state == HealthState::Out(Reason::Stuck);
            let goes_on = !is_stuck || seen.risen_rounds >= RISE;
            let is_proven = goes_on && seen.sound_rounds >= RISE && sure_rounds >= RISE;
            let is_ours =
                self.chain.is_none_or(|chain| chain == CHAIN) && !self.is_known_stranger(*id);
            self.must(
                !(is_proven && is_ours && is_out),
                "a node in order doesn't come back",
            );
            let was_asked = |leader: u32| probes.iter().any(|(id, _)| id.0 == leader);
            let (Some(reference), true) = (leader_seen, leader.is_some_and(was_asked)) else {
                continue;
            };
            let lags = matches!(probe, ProbeOutcome::Answered { .. })
                && seen.head + LAG_BLOCKS_MAX < reference.head;
            let is_fit = matches!(node.standing.state, HealthState::Fit { .. });
            self.must(
                !(lags && sure_rounds > RISE && is_fit),
                "a node that lags is fit",
            );
        }
    }
}

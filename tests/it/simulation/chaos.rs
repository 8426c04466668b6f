//! Chaos: which troubles befall a world, drawn from its seed.

use std::time::Duration;

use forebay_core::vocabulary::node::{NodeId, Role};

use crate::simulation::pretend::{CHAIN, Mood, POISON, Pretend, Tale};
use crate::simulation::world::{Event, LAG_BLOCKS_MAX, Setting, World, member};

/// Calls of every kind; what stands twice comes twice as often.
pub const ALL_METHODS: &[&str] = &[
    "eth_call",
    "eth_getBalance",
    "eth_getCode",
    "eth_getLogs",
    "eth_sendRawTransaction",
    "eth_sendRawTransaction",
    "eth_newFilter",
    "eth_getFilterChanges",
    "bor_getAuthor",
    "eth_blockNumber",
    "eth_blockNumber",
    "net_version",
    "admin_peers",
    POISON,
];

/// At most so many nodes stand in the list.
const NODES_MAX: usize = 8;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A world as the seed wants it, with troubles to come.
pub fn world(seed: u64) -> World {
    let mut dice = forebay_core::vocabulary::chance::SeededDice::new(seed ^ 0xf0e3_ba11);
    let mut below = |bound: u64| forebay_core::vocabulary::chance::Dice::roll(&mut dice) % bound;
    let mut members = Vec::new();
    let has_leader = below(10) < 8;
    if has_leader {
        members.push(member(0, Role::Leader, 1));
    }
    // A node that is alone has no other that could contradict it.
    let own_min = if has_leader { 1 } else { 2 };
    for id in 1..=own_min + below(4) {
        members.push(member(id as u32, Role::Own, 1 + below(4)));
    }
    if below(10) < 2 {
        members.push(member(90, Role::Fallback, 1));
    }
    let mut world = World::new(Setting {
        seed,
        members,
        chain: (below(10) < 6).then_some(CHAIN),
        fails_open: below(4) > 0,
        leader_rounds: 1 + 2 * below(2),
        calls_per_second: 2.0 + below(4) as f64,
        methods: ALL_METHODS,
        budget_per_second: 10.0,
    });
    for id in world.nodes.keys().copied().collect::<Vec<_>>() {
        if world.below(8) == 0 {
            world.befall(id);
        }
    }
    world.after(seconds(1), Event::Trouble);
    world.after(seconds(10), Event::Operator);
    world
}

impl World {
    /// One node, now and then all, get into trouble for a while.
    pub fn make_trouble(&mut self) {
        let wait = Duration::from_millis(500 + self.below(12_000));
        self.after(wait, Event::Trouble);
        let ids: Vec<_> = self.nodes.keys().copied().collect();
        match self.below(40) {
            0 => self.befall_all(&ids),
            1 if self.below(3) == 0 => self.reset_chain(),
            2 => self.freeze_most(&ids),
            _ => {
                let id = ids[self.below(ids.len() as u64) as usize];
                self.befall(id);
            }
        }
    }

    fn befall_all(&mut self, ids: &[u32]) {
        let mood = self.some_mood();
        let lasts = seconds(2 + self.below(40));
        for id in ids {
            self.set(*id, mood, Tale::Truth);
            self.after(lasts, Event::Relief { node: *id });
        }
    }

    /// All but one stand still.
    fn freeze_most(&mut self, ids: &[u32]) {
        let spared = self.below(ids.len() as u64) as usize;
        let at = self.truth();
        let lasts = seconds(20 + self.below(90));
        for (_, id) in ids.iter().enumerate().filter(|(place, _)| *place != spared) {
            self.set(*id, Mood::Good, Tale::Frozen(at));
            self.after(lasts, Event::Relief { node: *id });
        }
    }

    fn befall(&mut self, id: u32) {
        let is_liar = self.below(2) == 0;
        let (mood, tale) = if is_liar {
            (Mood::Good, self.some_tale(id))
        } else {
            (self.some_mood(), Tale::Truth)
        };
        // A first word is believed; only after it can a node be caught lying.
        let is_weighty = id == 0 || matches!(tale, Tale::Ahead(_));
        if tale != Tale::Truth && is_weighty && !self.oracle.has_seen_sound(id) {
            return;
        }
        self.set(id, mood, tale);
        let lasts = seconds(3 + self.below(90));
        self.after(lasts, Event::Relief { node: id });
    }

    fn some_mood(&mut self) -> Mood {
        match self.below(11) {
            10 => Mood::FailsMethod("eth_getBalance"),
            0 => Mood::Slow(Duration::from_millis(200 + self.below(5000))),
            1 => Mood::Stalled,
            2 | 3 => Mood::Dead,
            4 => Mood::Throttles(None),
            5 => Mood::Throttles(Some(seconds(self.below(20)))),
            6 => Mood::Junk,
            7 => [Mood::Fails, Mood::FailsCalls][self.below(2) as usize],
            8 => [Mood::Shut, Mood::HalfStalled][self.below(2) as usize],
            _ => Mood::Strange,
        }
    }

    fn some_tale(&mut self, id: u32) -> Tale {
        // No two nodes tell the same lie, which no balancer could see through.
        let apart = 40 * u64::from(id);
        match self.below(8) {
            0 => Tale::Behind(LAG_BLOCKS_MAX - self.below(5)),
            1 => Tale::Behind(LAG_BLOCKS_MAX + 1 + apart + self.below(10)),
            2 => Tale::Behind(5000 + apart + self.below(10)),
            3 => Tale::Frozen(self.truth()),
            4 => Tale::Ahead(1_000_000 + 1000 * self.below(1_000_000) + apart),
            5 => Tale::OtherChain,
            6 => Tale::Syncing,
            _ => Tale::Zero,
        }
    }

    /// The operator changes the list, or the registry fails for a while.
    pub fn change_list(&mut self) {
        let wait = seconds(5 + self.below(40));
        self.after(wait, Event::Operator);
        let at = self.below(self.registry.len() as u64) as usize;
        match self.below(6) {
            0 if self.registry.len() < NODES_MAX => {
                let id = 10 + self.below(6) as u32;
                if self.registry.iter().all(|member| member.id != NodeId(id)) {
                    let weight = 1 + self.below(4);
                    self.registry.push(member(id, Role::Own, weight));
                    self.nodes.insert(id, Pretend::good());
                }
            }
            1 if self.registry.len() > 2 && self.registry[at].role != Role::Leader => {
                self.registry.remove(at);
            }
            2 => self.reweigh(at, 0),
            3 => {
                let weight = self.below(5);
                self.reweigh(at, weight);
            }
            4 => {
                self.registry_works = false;
                let lasts = seconds(5 + self.below(60));
                self.after(lasts, Event::RegistryReturns);
            }
            _ => {}
        }
    }

    fn reweigh(&mut self, at: usize, weight: u64) {
        let old = &self.registry[at];
        self.registry[at] = member(old.id.0, old.role, weight);
    }

    /// All troubles end: nodes are well, none is drained, the registry answers.
    pub fn make_peace(&mut self) {
        self.cancel_troubles();
        self.registry_works = true;
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.set(id, Mood::Good, Tale::Truth);
        }
        for at in 0..self.registry.len() {
            if self.registry[at].weight.drains() {
                self.reweigh(at, 1);
            }
        }
    }
}

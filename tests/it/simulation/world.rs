//! The simulated world: its time, its nodes, the rounds and the registry.
//!
//! Everything that decides is the real thing from `domain`; the world only carries out, as the
//! prober and the discovery do, and tells the oracle each step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_core::call::retry_budget::{BudgetRates, RetryBudget};
use forebay_core::fleet::standing::Hysteresis;
use forebay_core::fleet::tracker::Fleet;
use forebay_core::fleet::view::FleetView;
use forebay_core::fleet::{FleetMember, HealthCriteria, ProbeOutcome};
use forebay_core::method::MethodRules;
use forebay_core::rpc::batch::BatchSupport;
use forebay_core::vocabulary::chain::ChainId;
use forebay_core::vocabulary::chance::{Dice, SeededDice};
use forebay_core::vocabulary::node::{NodeId, NodePurpose, Role, Weight};

use crate::simulation::clients::{Running, Tally};
use crate::simulation::oracle::{Note, Oracle};
use crate::simulation::pretend::{Mood, PROBE_TIMEOUT, Pretend, Reply, Tale};
use crate::simulation::relays::Listeners;

pub const ATTEMPTS_MAX: u32 = 3;
pub const LAG_BLOCKS_MAX: u64 = 10;
pub const RISE: u32 = 2;
pub const BLOCK_TIME: Duration = Duration::from_secs(12);
pub const ROUND: Duration = Duration::from_secs(5);
const DISCOVERY: Duration = Duration::from_secs(5);
const FIRST_HEAD: u64 = 20_000;
/// Every so many rounds a node is asked for its chain, and at its first probe.
const CHAIN_ROUNDS: u64 = 6;
/// The longest that a call may take.
const CALL_MAX: Duration = Duration::from_secs(60);

/// What differs from world to world.
#[derive(Clone, Debug)]
pub struct Setting {
    pub seed: u64,
    pub members: Vec<FleetMember>,
    pub chain: Option<u64>,
    pub fails_open: bool,
    /// The leader is asked in every so many rounds.
    pub leader_rounds: u64,
    pub calls_per_second: f64,
    /// Drawn evenly.
    pub methods: &'static [&'static str],
    pub budget_per_second: f64,
}

/// What happens at a time.
#[derive(Debug)]
pub enum Event {
    Round,
    RoundIsIn {
        began: Duration,
        probes: Vec<(NodeId, ProbeOutcome)>,
        sound: Vec<bool>,
    },
    Discovery,
    Arrival,
    AttemptIsOver {
        call: u32,
        reply: Reply,
    },
    LookAgain {
        call: u32,
    },
    Look,
    Trouble,
    Relief {
        node: u32,
    },
    Operator,
    RegistryReturns,
}

pub struct World {
    pub setting: Setting,
    base: Instant,
    pub now: Duration,
    pub dice: SeededDice,
    /// For what is played beside the calls: they stay the same.
    pub ways: SeededDice,
    /// Which nodes have refused batches.
    pub batch_supports: BTreeMap<NodeId, BatchSupport>,
    pub listeners: Listeners,
    queue: BTreeMap<(Duration, u64), Event>,
    serial: u64,
    pub fleet: Fleet,
    pub view: Arc<FleetView>,
    pub budget: RetryBudget,
    pub rules: MethodRules,
    pub nodes: BTreeMap<u32, Pretend>,
    /// What the registry holds.
    pub registry: Vec<FleetMember>,
    pub registry_works: bool,
    /// The registry's list as last read.
    list: Vec<FleetMember>,
    chain_began: Duration,
    chain_first: u64,
    rounds: u64,
    asked_for_chain: Vec<u32>,
    pub calls: BTreeMap<u32, Running>,
    pub calls_begun: u32,
    pub takes_calls: bool,
    pub tally: Tally,
    pub oracle: Oracle,
}

pub fn member(id: u32, role: Role, weight: u64) -> FleetMember {
    FleetMember {
        id: NodeId(id),
        name: format!("node-{id}").into(),
        role,
        weight: Weight::new(weight).unwrap_or(Weight::ONE),
        purpose: NodePurpose::default(),
    }
}

impl World {
    pub fn new(setting: Setting) -> World {
        let base = forebay::clock::now();
        let fleet = Fleet::new(HealthCriteria {
            chain_id: setting.chain.map(ChainId),
            block_time: BLOCK_TIME,
            round_interval: ROUND,
            lag_blocks_max: LAG_BLOCKS_MAX,
            hysteresis: Hysteresis {
                rise: RISE,
                fall: 3,
            },
        });
        let mut world = World {
            base,
            now: Duration::ZERO,
            dice: SeededDice::new(setting.seed),
            ways: SeededDice::new(setting.seed ^ 0x0b47_c4e5),
            batch_supports: BTreeMap::new(),
            listeners: Listeners::default(),
            queue: BTreeMap::new(),
            serial: 0,
            view: Arc::new(fleet.view()),
            fleet,
            budget: RetryBudget::new(
                BudgetRates {
                    per_call: 0.2,
                    per_second: setting.budget_per_second,
                    burst: 100.0,
                },
                base,
            ),
            rules: MethodRules::new(vec![], vec![], vec![]),
            nodes: BTreeMap::new(),
            registry: setting.members.clone(),
            registry_works: true,
            list: Vec::new(),
            chain_began: Duration::ZERO,
            chain_first: FIRST_HEAD,
            rounds: 0,
            asked_for_chain: Vec::new(),
            calls: BTreeMap::new(),
            calls_begun: 0,
            takes_calls: true,
            tally: Tally::default(),
            oracle: Oracle::new(setting.seed, setting.chain),
            setting,
        };
        for member in world.registry.clone() {
            world.nodes.insert(member.id.0, Pretend::good());
        }
        world.after(Duration::ZERO, Event::Discovery);
        world.after(Duration::ZERO, Event::Round);
        world.after(Duration::ZERO, Event::Arrival);
        world.after(Duration::ZERO, Event::Look);
        world
    }

    /// Lets `time` pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    /// No more calls come; those under way end.
    pub fn drain(&mut self) {
        self.takes_calls = false;
        self.run(CALL_MAX);
        if !self.calls.is_empty() {
            self.oracle.fail("a call never ends");
        }
        if self.tally.calls != self.tally.ended {
            self.oracle.fail("calls and endings differ in number");
        }
    }

    pub fn count_anew(&mut self) -> Tally {
        let under_way = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        let fresh = Tally {
            calls: under_way,
            ..Tally::default()
        };
        std::mem::replace(&mut self.tally, fresh)
    }

    /// Runs on, and counts that alone.
    pub fn count_for(&mut self, time: Duration) {
        self.count_anew();
        self.run(time);
    }

    pub fn after(&mut self, wait: Duration, event: Event) {
        self.serial += 1;
        self.queue.insert((self.now + wait, self.serial), event);
    }

    /// No trouble that was to come comes.
    pub fn cancel_troubles(&mut self) {
        self.queue.retain(|_, event| match event {
            Event::Trouble | Event::Relief { .. } | Event::Operator | Event::RegistryReturns => {
                false
            }
            Event::Round
            | Event::RoundIsIn { .. }
            | Event::Discovery
            | Event::Arrival
            | Event::Look
            | Event::LookAgain { .. }
            | Event::AttemptIsOver { .. } => true,
        });
    }

    /// A chance in 0..`bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.dice.roll() % bound
    }

    pub fn instant(&self) -> Instant {
        self.base + self.now
    }

    pub fn truth(&self) -> u64 {
        let age = self.now - self.chain_began;
        self.chain_first + age.as_secs() / BLOCK_TIME.as_secs()
    }

    /// The chain begins anew, everywhere.
    pub fn reset_chain(&mut self) {
        self.chain_began = self.now;
        self.chain_first = 1;
        self.oracle.resets();
        self.oracle.note(self.now, Note::Reset);
    }

    pub fn set(&mut self, id: u32, mood: Mood, tale: Tale) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.mood = mood;
            node.tale = tale;
            let note = Note::Became {
                node: id,
                mood,
                tale,
            };
            self.oracle.note(self.now, note);
        }
    }

    pub fn leader(&self) -> Option<u32> {
        let leader = self.list.iter().find(|member| member.role == Role::Leader);
        leader.map(|leader| leader.id.0)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Round => self.begin_round(),
            Event::RoundIsIn {
                began,
                probes,
                mut sound,
            } => {
                if began < self.chain_began {
                    // It tells of the old chain.
                    sound.fill(false);
                }
                self.end_round(&probes, &sound);
            }
            Event::Discovery => self.read_registry(),
            Event::Arrival => self.arrive(),
            Event::AttemptIsOver { call, reply } => self.hear(call, reply),
            Event::LookAgain { call } => self.look_again(call),
            Event::Look => self.look(),
            Event::Trouble => self.make_trouble(),
            Event::Relief { node } => self.set(node, Mood::Good, Tale::Truth),
            Event::Operator => self.change_list(),
            Event::RegistryReturns => self.registry_works = true,
        }
    }

    pub fn publish(&mut self) {
        self.view = Arc::new(self.fleet.view());
        if self.view.nodes.len() != self.list.len() {
            self.oracle.fail("the pool isn't the list");
        }
    }

    fn begin_round(&mut self) {
        let truth = self.truth();
        let asks_all_for_chain = self.rounds.is_multiple_of(CHAIN_ROUNDS);
        let (mut probes, mut sound) = (Vec::new(), Vec::new());
        let mut takes = Duration::from_millis(20);
        for member in &self.list {
            let is_turn = self.rounds.is_multiple_of(self.setting.leader_rounds);
            if member.role == Role::Leader && !is_turn {
                continue;
            }
            let node = self.nodes[&member.id.0];
            let is_new = !self.asked_for_chain.contains(&member.id.0);
            let probe = node.probe(truth, asks_all_for_chain || is_new);
            match probe {
                ProbeOutcome::Answered { .. } if is_new => self.asked_for_chain.push(member.id.0),
                ProbeOutcome::Answered { .. } | ProbeOutcome::Throttled(_) => {}
                ProbeOutcome::Failed => takes = PROBE_TIMEOUT,
            }
            let lag_blocks_max = if member.role == Role::Leader {
                0
            } else {
                LAG_BLOCKS_MAX
            };
            sound.push(node.is_sound(lag_blocks_max) && node.head(truth) > 0);
            probes.push((member.id, probe));
        }
        self.rounds += 1;
        let began = self.now;
        self.after(
            takes,
            Event::RoundIsIn {
                began,
                probes,
                sound,
            },
        );
        let jitter = 0.9 + 0.2 * self.dice.fraction();
        self.after(ROUND.mul_f64(jitter), Event::Round);
    }

    fn end_round(&mut self, probes: &[(NodeId, ProbeOutcome)], sound: &[bool]) {
        let leader = self.leader();
        self.oracle.hears_round(probes, sound, leader);
        let now = self.instant();
        self.fleet.hear_round(probes, now);
        self.publish();
        for (id, probe) in probes {
            let Some(node) = self.view.node(*id) else {
                continue;
            };
            let note = Note::Probed {
                node: id.0,
                probe: *probe,
                state: node.standing.state,
            };
            self.oracle.note(self.now, note);
        }
        if let Some(reference) = self.view.reference {
            let served = self.view.served_head.map(|head| head.0);
            let number = reference.number.0;
            self.oracle
                .note(self.now, Note::Reference { number, served });
        }
        self.oracle.judges_round(probes, &self.view, leader);
        self.play_ways();
    }

    fn read_registry(&mut self) {
        self.after(DISCOVERY, Event::Discovery);
        let before = self.view.clone();
        if !self.registry_works {
            self.oracle.note(self.now, Note::RegistryFails);
            if self.view.nodes.is_empty() != self.list.is_empty() {
                self.oracle.fail("a registry that fails empties the pool");
            }
            return;
        }
        self.list = self.registry.clone();
        let told = |member: &FleetMember| (member.id.0, member.role, member.weight.get());
        let nodes: Vec<_> = self.list.iter().map(told).collect();
        let ids: Vec<_> = nodes.iter().map(|(id, ..)| *id).collect();
        if before
            .nodes
            .iter()
            .map(|node| (node.id.0, node.role, node.weight.get()))
            .ne(nodes.iter().copied())
        {
            self.oracle.note(self.now, Note::Listed { nodes });
            self.oracle.lists(&ids);
        }
        self.asked_for_chain.retain(|id| ids.contains(id));
        let now = self.instant();
        self.fleet.replace(self.list.clone(), now);
        // Here calls wait for no place: what nodes can take at once has a simulation of its own.
        for node in &self.fleet.view().nodes {
            node.load.limiter.fix(Some(u32::MAX), now);
        }
        self.publish();
        for node in &before.nodes {
            let same = self.view.node(node.id);
            if same.is_some_and(|same| same.standing.state != node.standing.state) {
                self.oracle
                    .fail("a new list changes the standing of a node that stays");
            }
        }
    }
}

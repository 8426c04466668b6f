//! Nodes and clients that do whatever the dice want, and a simple account of which node tells what.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::vocabulary::chance::{Dice, SeededDice};

const TOPICS: [RelayedTopic; 2] = [
    RelayedTopic::Syncing,
    RelayedTopic::PendingTransactions { full: false },
];
/// The longest from one look to the next.
const PAUSE_MAX: Duration = Duration::from_secs(6);
/// The longest that all nodes may take to be asked one after the other.
const SEARCH_MAX: Duration = Duration::from_secs(36);

/// A request that was neither given up nor lost, as far as it was heard.
struct Held {
    source: FeedSource,
    topic: RelayedTopic,
    asked_at: Instant,
    is_taken: bool,
    has_spoken: bool,
}

/// A topic that clients want.
struct Wanted {
    has_begun: bool,
    was_refused: bool,
    /// The look found a socket that took no order.
    was_unsent: bool,
    /// Since when no node tells it; before any did, since when none was asked.
    since: Instant,
    /// The last time that no other node was looked for.
    steady_at: Instant,
    asked_at: BTreeMap<NodeId, Instant>,
    told: Vec<Bytes>,
}

struct World {
    seed: u64,
    dice: SeededDice,
    stage: Stage,
    epochs: u64,
    requests: u64,
    /// The sockets that are really open, what they were asked for, and whether they tell it.
    sockets: BTreeMap<FeedSource, BTreeMap<u64, (TopicRequest, bool)>>,
    /// What sockets said, and wasn't heard yet.
    said: VecDeque<(FeedSource, TopicRequest, TopicEvent)>,
    held: BTreeMap<u64, Held>,
    clients: BTreeMap<RelayedTopic, Wanted>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut stage = Stage::new(3);
        stage.open.clear();
        World {
            seed,
            dice: SeededDice::new(seed),
            stage,
            epochs: 0,
            requests: 0,
            sockets: BTreeMap::new(),
            said: VecDeque::new(),
            held: BTreeMap::new(),
            clients: BTreeMap::new(),
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.dice.roll() % limit as u64).unwrap()
    }

    fn must(&self, holds: bool, why: &str) {
        assert!(holds, "{why}: seed {}", self.seed);
    }

    fn step(&mut self) {
        let at = self.below(self.sockets.len().max(1));
        let socket = self.sockets.keys().nth(at).copied();
        match (self.below(20), socket) {
            (0, _) => {
                let node = 1 + self.below(3);
                self.open_socket(u32::try_from(node).unwrap());
            }
            (1, Some(socket)) => self.break_socket(socket),
            (2, _) => self.change_node(),
            (3, _) => self.come_or_go(),
            (4..10, Some(socket)) => self.answer(socket),
            (10..16, _) => self.hear_one(),
            _ => {
                let pause = PAUSE_MAX.mul_f64(self.dice.fraction());
                self.stage.now += pause;
                self.follow();
            }
        }
    }

    fn open_socket(&mut self, node: u32) {
        let node = NodeId(node);
        if self.sockets.keys().all(|socket| socket.node != node) {
            self.epochs += 1;
            let epoch = self.epochs;
            self.sockets
                .insert(FeedSource { node, epoch }, BTreeMap::new());
        }
    }

    /// It says so, unless its node left the list.
    fn break_socket(&mut self, socket: FeedSource) {
        let loss = [TakeoverReason::Lost, TakeoverReason::Stale][self.below(2)];
        let says_so = self.below(3) > 0;
        let asked = self.sockets.remove(&socket).unwrap_or_default();
        for (request, _) in asked.into_values().filter(|_| says_so) {
            self.said
                .push_back((socket, request, TopicEvent::Lost(loss)));
        }
    }

    fn change_node(&mut self) {
        let (at, what, head) = (self.below(3), self.below(4), self.dice.roll() % 9);
        let node = &mut self.stage.view.nodes[at];
        match what {
            0 => node.lives = !node.lives,
            1 => node.weight = Weight::NONE,
            2 => node.weight = Weight::ONE,
            _ => node.head = Some(BlockNumber(head)),
        }
    }

    /// The first client comes, or the last one leaves.
    fn come_or_go(&mut self) {
        let topic = TOPICS[self.below(2)].clone();
        self.follow();
        if self.clients.remove(&topic).is_none() {
            let now = self.stage.now;
            let wanted = Wanted {
                has_begun: false,
                was_refused: false,
                was_unsent: false,
                since: now,
                steady_at: now,
                asked_at: BTreeMap::new(),
                told: Vec::new(),
            };
            self.clients.insert(topic, wanted);
        }
        self.follow();
    }

    /// A node says something of what it was asked for, which is heard at once or later.
    fn answer(&mut self, socket: FeedSource) {
        let (at, choice, item) = (self.below(4), self.below(9), self.below(30));
        let Some(asked) = self.sockets.get_mut(&socket) else {
            return;
        };
        let Some((request, tells)) = asked.values_mut().nth(at) else {
            return;
        };
        let event = match (*tells, choice) {
            (true, _) => TopicEvent::News(Bytes::from(match request.topic {
                RelayedTopic::Syncing => (item % 2).to_string(),
                RelayedTopic::PendingTransactions { .. } | RelayedTopic::Other { .. } => {
                    format!("\"0x{item:064x}\"")
                }
            })),
            (false, 0) => TopicEvent::Refused(Bytes::from_static(b"{}")),
            (false, 1) => TopicEvent::Full,
            (false, 2) => TopicEvent::Useless,
            (false, 3..7) => TopicEvent::Taken,
            (false, _) => return,
        };
        *tells |= matches!(event, TopicEvent::Taken);
        let (request, tells) = (request.clone(), *tells);
        if !tells {
            asked.remove(&request.number);
        }
        self.said.push_back((socket, request, event));
    }

    fn hear_one(&mut self) {
        if let Some((source, request, event)) = self.said.pop_front() {
            let is_news = matches!(event, TopicEvent::News(_));
            self.hear(source, request, event);
            if !is_news {
                self.follow();
            }
        }
    }

    fn hear(&mut self, source: FeedSource, request: TopicRequest, event: TopicEvent) {
        let told = self.note(&request, &event);
        let now = self.stage.now;
        self.stage.relays.hear(source, request, event, now);
        let steps = self.stage.steps();
        let tells = |step: &&RelayStep| matches!(step, RelayStep::Tell(..));
        let is_right = steps.iter().filter(tells).eq(told.iter());
        self.must(
            is_right,
            "news are told once, of the node that tells the topic",
        );
        self.obey(steps);
    }

    /// Takes note of what is heard; what must be told of it.
    fn note(&mut self, request: &TopicRequest, event: &TopicEvent) -> Option<RelayStep> {
        let TopicRequest { number, topic } = request;
        let wanted = self.clients.get_mut(topic)?;
        let held = self.held.get_mut(number)?;
        match event {
            TopicEvent::Taken => {
                held.is_taken = true;
                wanted.has_begun = true;
            }
            TopicEvent::Refused(_) | TopicEvent::Full | TopicEvent::Useless => {
                wanted.was_refused = true;
                self.held.remove(number);
            }
            TopicEvent::Lost(_) => self.lose(*number),
            TopicEvent::News(news) => {
                let is_first = !std::mem::replace(&mut held.has_spoken, true);
                let is_repeat = match topic {
                    RelayedTopic::Syncing => is_first && wanted.told.last() == Some(news),
                    RelayedTopic::PendingTransactions { .. } | RelayedTopic::Other { .. } => {
                        wanted.told.contains(news)
                    }
                };
                if !is_repeat {
                    wanted.told.push(news.clone());
                    return Some(RelayStep::Tell(topic.clone(), news.clone()));
                }
            }
        }
        None
    }

    fn lose(&mut self, number: u64) {
        let Some(lost) = self.held.remove(&number) else {
            return;
        };
        let wanted = self.clients.get_mut(&lost.topic);
        if let Some(wanted) = wanted.filter(|wanted| lost.is_taken || !wanted.has_begun) {
            wanted.since = self.stage.now;
            wanted.was_refused = false;
        }
    }

    /// A look, as it is done: sockets first, then what they said, then what is to be done.
    fn follow(&mut self) {
        let is_ready = |dice: &mut SeededDice| !dice.roll().is_multiple_of(8);
        let dice = &mut self.dice;
        let sockets = self.sockets.keys().map(|source| FeedSocket {
            source: *source,
            takes_commands: is_ready(dice),
        });
        self.stage.open = sockets.collect();
        for (source, request, event) in std::mem::take(&mut self.said) {
            self.hear(source, request, event);
        }
        let open = self.stage.open.clone();
        let is_gone = |held: &Held| open.iter().all(|socket| socket.source != held.source);
        let gone = self.held.iter().filter(|(_, held)| is_gone(held));
        for number in gone.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.lose(number);
        }
        self.stage.wanted = self.clients.keys().cloned().collect();
        for wanted in self.clients.values_mut() {
            wanted.was_unsent = false;
        }
        let steps = self.stage.follow();
        self.obey(steps);
        self.check();
    }

    fn obey(&mut self, steps: Vec<RelayStep>) {
        for step in steps {
            match step {
                RelayStep::Subscribe(source, request) => self.subscribe(source, request),
                RelayStep::Unsubscribe(source, request) => self.unsubscribe(source, &request),
                RelayStep::Begin(topic) => {
                    let is_told = self.of(&topic).any(|held| held.is_taken);
                    self.must(is_told, "clients listen to what no node tells");
                }
                RelayStep::End(topic, _) => self.end(&topic),
                // See `hear`.
                RelayStep::Tell(..) | RelayStep::Count(_) => {}
            }
        }
    }

    fn subscribe(&mut self, source: FeedSource, request: TopicRequest) {
        let tellers = tellers(&self.stage.view, &self.stage.open);
        self.must(tellers.contains(&source), "a node is asked that can't tell");
        self.must(request.number > self.requests, "a number is used again");
        self.requests = request.number;
        let now = self.stage.now;
        let is_asked = self.of(&request.topic).any(|held| !held.is_taken);
        self.must(!is_asked, "two nodes are asked at once");
        let is_cut = self.dice.roll().is_multiple_of(16);
        let wanted = self.clients.get_mut(&request.topic).unwrap();
        wanted.was_unsent = is_cut;
        if is_cut {
            return self.stage.relays.unsent(&request);
        }
        wanted.asked_at.insert(source.node, now);
        let asked = self.sockets.get_mut(&source).unwrap();
        asked.insert(request.number, (request.clone(), false));
        let held = Held {
            source,
            topic: request.topic,
            asked_at: now,
            is_taken: false,
            has_spoken: false,
        };
        self.held.insert(request.number, held);
    }

    fn unsubscribe(&mut self, source: FeedSource, request: &TopicRequest) {
        let held = self.held.get(&request.number);
        let is_held = held.is_some_and(|held| held.source == source);
        self.must(is_held, "what isn't held is given up");
        let late = [TopicEvent::Taken, TopicEvent::Full, news("true")];
        if let Some(asked) = self.sockets.get_mut(&source) {
            asked.remove(&request.number);
            // What it says before it hears that.
            let late = late.into_iter().nth(self.dice.roll() as usize % 4);
            let late = late.map(|late| (source, request.clone(), late));
            self.said.extend(late);
        }
        let is_unfit = may_tell(&self.stage.view, source.node).is_err()
            && !tellers(&self.stage.view, &self.stage.open).is_empty();
        let was_asked = held.is_some_and(|held| !held.is_taken);
        match self.clients.get_mut(&request.topic) {
            Some(_) if was_asked && is_unfit => self.lose(request.number),
            Some(wanted) => wanted.was_refused |= was_asked,
            None => {}
        }
        self.held.remove(&request.number);
    }

    /// Clients are told that no node tells it.
    fn end(&mut self, topic: &RelayedTopic) {
        let is_held = self.of(topic).next().is_some();
        self.must(!is_held, "it ends though a node tells it");
        let wanted = self.clients.remove(topic).unwrap();
        self.must(self.is_overdue(&wanted), "it ends too early");
        let was_asked = |source: &FeedSource| {
            let asked_at = wanted.asked_at.get(&source.node);
            asked_at.is_some_and(|asked_at| *asked_at >= wanted.steady_at)
        };
        let tellers = tellers(&self.stage.view, &self.stage.open);
        self.must(tellers.iter().all(was_asked), "a node wasn't asked");
    }

    fn is_overdue(&self, wanted: &Wanted) -> bool {
        let waited = self.stage.now - wanted.since;
        match (wanted.has_begun, wanted.was_refused) {
            (true, _) => waited >= PATIENCE,
            (false, was_refused) => was_refused || waited >= ANSWER_TIME_MAX,
        }
    }

    fn of(&self, topic: &RelayedTopic) -> impl Iterator<Item = &Held> {
        self.held.values().filter(move |held| held.topic == *topic)
    }

    /// Each topic that is wanted is told, or a node is asked or looked for, and not for long.
    fn check(&mut self) {
        let now = self.stage.now;
        let are_wanted = |held: &Held| self.clients.contains_key(&held.topic);
        self.must(self.held.values().all(are_wanted), "no client wants it");
        let mut steady = Vec::new();
        for (topic, wanted) in &self.clients {
            let (taken, asked): (Vec<_>, Vec<_>) = self.of(topic).partition(|held| held.is_taken);
            self.must(taken.len() <= 1, "two nodes tell it");
            let is_patient = |held: &&Held| now - held.asked_at < ANSWER_TIME_MAX;
            self.must(asked.iter().all(is_patient), "a silent node is waited for");
            let tellers = tellers(&self.stage.view, &self.stage.open);
            let is_silent = wanted.has_begun && taken.is_empty();
            let silent_for = now - wanted.since;
            self.must(
                !is_silent || silent_for < PATIENCE + SEARCH_MAX,
                "clients hear nothing for too long",
            );
            match taken.first() {
                _ if wanted.was_unsent || !asked.is_empty() => {}
                Some(source) => {
                    self.may_stay(source, wanted, &tellers);
                    steady.push(topic.clone());
                }
                None => {
                    let is_late = self.is_overdue(wanted);
                    self.must(!is_late, "clients aren't told that no node tells it");
                }
            }
            let seeks = taken.is_empty() || !asked.is_empty();
            self.must(
                !seeks || self.stage.relays.is_seeking(),
                "it isn't looked for",
            );
        }
        for topic in steady {
            self.clients.get_mut(&topic).unwrap().steady_at = now;
        }
    }

    /// A node that can't tell it well is left for any that can, and those are asked again and again.
    fn may_stay(&self, held: &Held, wanted: &Wanted, others: &[FeedSource]) {
        let is_recent = |other: &FeedSource| {
            let asked_at = wanted.asked_at.get(&other.node);
            asked_at.is_some_and(|at| self.stage.now < *at + STAY + SEARCH_MAX)
        };
        let is_fit = may_tell(&self.stage.view, held.source.node).is_ok();
        self.must(is_fit || others.iter().all(is_recent), "it isn't left");
    }

    /// All nodes are well, and take what they are asked for.
    fn make_peace(&mut self) {
        for node in &mut self.stage.view.nodes {
            (node.lives, node.weight) = (true, Weight::ONE);
        }
        for round in 0..40 {
            self.open_socket(1 + round % 3);
            self.stage.now += Duration::from_secs(2);
            self.follow();
            let mut said = Vec::new();
            for (socket, asked) in &mut self.sockets {
                for (request, tells) in asked.values_mut() {
                    if !std::mem::replace(tells, true) {
                        said.push((*socket, request.clone(), TopicEvent::Taken));
                    }
                }
            }
            self.said.extend(said);
        }
        for topic in self.clients.keys() {
            let held: Vec<_> = self.of(topic).collect();
            let is_told = held.len() == 1 && held.iter().all(|held| held.is_taken);
            self.must(is_told, "it isn't told after a long peace");
        }
        let of_sockets: usize = self.sockets.values().map(BTreeMap::len).sum();
        self.must(of_sockets == self.held.len(), "a node tells for no client");
    }
}

/// Each step is checked as it comes; in the end all nodes are well, and each topic is told.
fn live(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..600 {
        world.step();
    }
    world.make_peace();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn each_topic_is_told_by_one_node_or_its_clients_are_told_that_none_does(seed: u64) {
        live(seed);
    }
}

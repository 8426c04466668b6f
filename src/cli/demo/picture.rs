//! What there is to see at one moment, and what has changed since the moment before.
//!
//! Everything comes from the view that the balancer itself goes by and from the callers' tally.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::story::Chapter;
use super::tally::Figures;
use crate::domain::fleet::{FleetView, NodeView};
use crate::domain::health::{Reason, State, slow_start};
use crate::domain::node::Rung;

/// Events that are kept for the screen.
const EVENTS_MAX: usize = 5;

/// Everything that the screen shows.
pub struct Picture {
    pub elapsed: Duration,
    pub length: Duration,
    /// The chapter, its number and how many there are.
    pub chapter: (usize, usize, &'static Chapter),
    pub rows: Vec<Row>,
    pub serving: Serving,
    pub figures: Figures,
    /// Oldest first.
    pub events: VecDeque<Event>,
    /// Where the endpoint can be called.
    pub address: SocketAddr,
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: String,
    pub weight: u16,
    /// `None`: it doesn't answer now.
    pub head: Option<u64>,
    pub lag: Option<u64>,
    pub verdict: Verdict,
    /// Of the last while's answers, 0.0 to 1.0.
    pub share: f64,
}

/// What the balancer thinks of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Unproven,
    Fit,
    /// Back for a short time: so much of its weight, in percent.
    WarmingUp(u32),
    /// A fit leader while own nodes serve.
    Reserve,
    /// A fit leader while none does.
    Fallback,
    Resting,
    /// Why, as a half sentence.
    Out(String),
}

/// Who serves now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    Own(Vec<String>),
    Leader,
    Nobody,
}

/// Who does something: we, who direct the story, or the balancer, who knows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    Story,
    Balancer,
}

impl Voice {
    pub fn as_str(self) -> &'static str {
        match self {
            Voice::Story => "story",
            Voice::Balancer => "forebay",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: Duration,
    pub voice: Voice,
    pub text: String,
}

/// Keeps the newest events only.
pub fn remember(events: &mut VecDeque<Event>, new: &[Event]) {
    events.extend(new.iter().cloned());
    while events.len() > EVENTS_MAX {
        events.pop_front();
    }
}

/// The nodes as rows, in the order of the list.
pub fn rows(view: &FleetView, shares: &BTreeMap<String, f64>, now: Instant) -> Vec<Row> {
    let row = |node: &NodeView| Row {
        name: node.name.to_string(),
        weight: node.weight.get(),
        head: node.head.filter(|_| node.lives).map(|head| head.0),
        lag: node.lag().filter(|_| node.lives).map(|lag| lag.0),
        verdict: verdict(node, view, now),
        share: shares.get(&*node.name).copied().unwrap_or(0.0),
    };
    view.nodes.iter().map(row).collect()
}

fn verdict(node: &NodeView, view: &FleetView, now: Instant) -> Verdict {
    match node.standing.state {
        State::Unproven => Verdict::Unproven,
        State::Out(reason) => Verdict::Out(why(reason, node)),
        State::Benched { .. } => Verdict::Out(why(Reason::Faults, node)),
        State::Fit { .. } if node.standing.rests(now) => Verdict::Resting,
        State::Fit { .. } if node.rung != Rung::Own => {
            if view.has_fit(Rung::Own) {
                Verdict::Reserve
            } else {
                Verdict::Fallback
            }
        }
        State::Fit { returned_at } => match (slow_start(returned_at, now) * 100.0) as u32 {
            100.. => Verdict::Fit,
            percent => Verdict::WarmingUp(percent),
        },
    }
}

/// Short enough for a column.
fn why(reason: Reason, node: &NodeView) -> String {
    let lag = node.lag().map_or(0, |lag| lag.0);
    match reason {
        Reason::Lagging => format!("{lag} blocks behind"),
        Reason::Rollback => format!("fell {lag} blocks back"),
        reason => reason.in_short().to_string(),
    }
}

pub fn serving(view: &FleetView) -> Serving {
    let own: Vec<_> = view
        .nodes
        .iter()
        .filter(|node| node.rung == Rung::Own && node.serves())
        .map(|node| node.name.to_string())
        .collect();
    if !own.is_empty() {
        Serving::Own(own)
    } else if view.has_fit(Rung::Leader) {
        Serving::Leader
    } else {
        Serving::Nobody
    }
}

/// Compares each moment with the one before.
#[derive(Default)]
pub struct Watch {
    states: BTreeMap<String, State>,
    has_own: Option<bool>,
}

impl Watch {
    /// What changed since the last view, as sentences; the first one changes nothing.
    pub fn notice(&mut self, view: &FleetView) -> Vec<String> {
        let mut said = Vec::new();
        for node in &view.nodes {
            let state = node.standing.state;
            let before = self.states.insert(node.name.to_string(), state);
            said.extend(before.and_then(|before| turn(before, node)));
        }
        let has_own = view.has_fit(Rung::Own);
        let before = self.has_own.replace(has_own);
        if before.is_some_and(|before| before != has_own) {
            let sentence = if has_own {
                "an own node is fit again: the leader is left alone"
            } else {
                "no own node is fit: the leader takes over"
            };
            said.push(sentence.to_string());
        }
        said
    }
}

fn turn(before: State, node: &NodeView) -> Option<String> {
    let name = &node.name;
    match (before, node.standing.state) {
        (State::Out(old), State::Out(new)) if is_one_story(old, new) => None,
        (State::Out(_) | State::Benched { .. }, State::Out(reason)) => {
            Some(format!("{name} is still out: {}", why(reason, node)))
        }
        (State::Benched { .. }, State::Benched { .. }) => None,
        (_, State::Out(reason)) => {
            Some(format!("{name} gets no more calls: {}", why(reason, node)))
        }
        (_, State::Benched { .. }) => {
            let why = why(Reason::Faults, node);
            Some(format!("{name} gets no more calls: {why}"))
        }
        (State::Out(_) | State::Benched { .. }, State::Fit { .. }) => {
            Some(format!("{name} is fit again and gets calls, few at first"))
        }
        (State::Unproven, State::Fit { .. }) => Some(format!("{name} is fit and gets calls")),
        (State::Fit { .. }, State::Fit { .. }) | (_, State::Unproven) => None,
    }
}

/// Who fell back lags from then on: that is no news.
fn is_one_story(old: Reason, new: Reason) -> bool {
    old == new || (old, new) == (Reason::Rollback, Reason::Lagging)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::domain::chain::BlockNumber;
    use crate::domain::fleet::{Fleet, Member, Probe, Yardstick};
    use crate::domain::health::Hysteresis;
    use crate::domain::node::{NodeId, Weight};

    fn fleet() -> Fleet {
        let mut fleet = Fleet::new(Yardstick {
            chain_id: None,
            block_time: Duration::from_secs(1),
            look: Duration::from_secs(5),
            lag_blocks_max: 10,
            hysteresis: Hysteresis { rise: 1, fall: 1 },
        });
        let member = |id, name: &str, rung| Member {
            id: NodeId(id),
            name: name.into(),
            rung,
            weight: Weight::ONE,
        };
        let members = vec![
            member(0, "one", Rung::Own),
            member(1, "two", Rung::Own),
            member(2, "leader", Rung::Leader),
        ];
        fleet.replace(members, clock::now());
        fleet
    }

    fn at(head: u64) -> Probe {
        Probe::Answered {
            head: BlockNumber(head),
            chain_id: None,
            syncing: false,
        }
    }

    fn round(fleet: &mut Fleet, probes: [Probe; 3], now: Instant) -> FleetView {
        let probes: Vec<_> = (0..).map(NodeId).zip(probes).collect();
        fleet.hear_round(&probes, now);
        fleet.view()
    }

    #[test]
    fn rows_tell_heads_lags_shares_and_verdicts_with_their_reasons() {
        let (mut fleet, now) = (fleet(), clock::now());
        let view = round(&mut fleet, [at(100), at(89), at(100)], now);
        let shares = [("one".to_string(), 1.0)].into();
        let rows = rows(&view, &shares, now);
        let verdicts: Vec<_> = rows.iter().map(|row| row.verdict.clone()).collect();
        let behind = Verdict::Out("11 blocks behind".into());
        assert_eq!(verdicts, [Verdict::Fit, behind, Verdict::Reserve]);
        assert_eq!((rows[1].head, rows[1].lag), (Some(89), Some(11)));
        assert_eq!(rows[0].share.to_bits(), 1.0_f64.to_bits());
        assert_eq!(serving(&view), Serving::Own(vec!["one".into()]));
    }

    #[test]
    fn a_silent_node_shows_no_head_and_the_leader_serves_when_none_is_left() {
        let (mut fleet, now) = (fleet(), clock::now());
        round(&mut fleet, [at(100), at(100), at(100)], now);
        let view = round(&mut fleet, [Probe::Failed, Probe::Failed, at(100)], now);
        let rows = rows(&view, &BTreeMap::new(), now);
        assert_eq!((rows[0].head, rows[0].lag), (None, None));
        assert_eq!(rows[0].verdict, Verdict::Out("does not answer".into()));
        assert_eq!(rows[2].verdict, Verdict::Fallback);
        assert_eq!(serving(&view), Serving::Leader);
        assert_eq!(serving(&FleetView::default()), Serving::Nobody);
    }

    #[test]
    fn each_change_is_noticed_once() {
        let (mut fleet, now, mut watch) = (fleet(), clock::now(), Watch::default());
        let fine = [at(100), at(100), at(100)];
        let none = [Probe::Failed, Probe::Failed, at(100)];
        assert!(watch.notice(&round(&mut fleet, fine, now)).is_empty());
        assert!(watch.notice(&round(&mut fleet, fine, now)).is_empty());
        let told = watch.notice(&round(&mut fleet, none, now));
        assert_eq!(
            told,
            [
                "one gets no more calls: does not answer",
                "two gets no more calls: does not answer",
                "no own node is fit: the leader takes over",
            ]
        );
        assert!(watch.notice(&round(&mut fleet, none, now)).is_empty());
        let told = watch.notice(&round(&mut fleet, [at(100), Probe::Failed, at(100)], now));
        assert_eq!(
            told,
            [
                "one is fit again and gets calls, few at first",
                "an own node is fit again: the leader is left alone",
            ]
        );
    }

    #[test]
    fn a_second_reason_is_told_but_not_that_who_fell_back_lags() {
        let (mut fleet, now, mut watch) = (fleet(), clock::now(), Watch::default());
        let mut told = Vec::new();
        for probe in [at(100), at(60), at(60), Probe::Failed] {
            let view = round(&mut fleet, [at(100), probe, at(100)], now);
            told.extend(watch.notice(&view));
        }
        assert_eq!(
            told,
            [
                "two gets no more calls: fell 40 blocks back",
                "two is still out: does not answer",
            ]
        );
    }

    #[test]
    fn a_returned_node_warms_up_for_a_while() {
        let (mut fleet, now) = (fleet(), clock::now());
        for probe in [at(100), Probe::Failed, at(100)] {
            round(&mut fleet, [probe, at(100), at(100)], now);
        }
        let view = fleet.view();
        for (seconds, verdict) in [
            (15, Verdict::WarmingUp(50)),
            (29, Verdict::WarmingUp(96)),
            (30, Verdict::Fit),
        ] {
            let later = now + Duration::from_secs(seconds);
            assert_eq!(rows(&view, &BTreeMap::new(), later)[0].verdict, verdict);
        }
    }

    #[test]
    fn only_the_newest_events_are_kept() {
        let mut events = VecDeque::new();
        let event = |second| Event {
            at: Duration::from_secs(second),
            voice: Voice::Story,
            text: String::new(),
        };
        let new: Vec<_> = (0..EVENTS_MAX as u64 + 1).map(event).collect();
        remember(&mut events, &new);
        assert_eq!(events.len(), EVENTS_MAX);
        assert_eq!(events[0], event(1));
    }
}

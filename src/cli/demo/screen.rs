//! What there is to see at one moment, and what has changed since the moment before.
//!
//! Everything comes from the view that the balancer itself goes by and from the callers' tally.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::cli::demo::scenario::ScenarioPhase;
use crate::cli::demo::statistics::LoadTotals;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::standing::{HealthState, Reason, slow_start};
use forebay_core::fleet::view::FleetView;
use forebay_core::vocabulary::node::Role;

/// Events that are kept for the screen.
const EVENTS_MAX: usize = 5;

/// Everything that the screen shows.
pub(super) struct Screen {
    pub elapsed: Duration,
    pub length: Duration,
    /// The chapter, its number and how many there are.
    pub chapter: (usize, usize, &'static ScenarioPhase),
    pub rows: Vec<NodeRow>,
    pub serving: ServingNodes,
    pub figures: LoadTotals,
    pub second: SecondChain,
    /// Oldest first.
    pub events: VecDeque<ScreenEvent>,
    /// Where the endpoint can be called.
    pub address: SocketAddr,
}

/// The chain beside the one that the story is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SecondChain {
    pub head: Option<u64>,
    /// Of its nodes.
    pub fit: usize,
    pub nodes: usize,
    pub calls: u64,
    pub failed: u64,
}

impl SecondChain {
    pub(super) fn of(view: &FleetView, figures: &LoadTotals) -> SecondChain {
        SecondChain {
            head: view.served_head.map(|head| head.0),
            fit: view.nodes.iter().filter(|node| node.serves()).count(),
            nodes: view.nodes.len(),
            calls: figures.calls,
            failed: figures.failed,
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NodeRow {
    pub name: String,
    pub weight: u16,
    /// `None`: it doesn't answer now.
    pub head: Option<u64>,
    pub lag: Option<u64>,
    pub verdict: NodeVerdict,
    /// Of the last while's answers, 0.0 to 1.0.
    pub share: f64,
}

/// What the balancer thinks of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NodeVerdict {
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

/// Which nodes serve now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServingNodes {
    Own(Vec<String>),
    Leader,
    NoNodes,
}

/// Where an event comes from: the story, which we direct, or the balancer, which knows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventOrigin {
    Story,
    Balancer,
}

impl EventOrigin {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            EventOrigin::Story => "story",
            EventOrigin::Balancer => "forebay",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScreenEvent {
    pub at: Duration,
    pub voice: EventOrigin,
    pub text: String,
}

/// Keeps the newest events only.
pub(super) fn remember(events: &mut VecDeque<ScreenEvent>, new: &[ScreenEvent]) {
    events.extend(new.iter().cloned());
    while events.len() > EVENTS_MAX {
        events.pop_front();
    }
}

/// The nodes as rows, in the order of the list.
pub(super) fn rows(view: &FleetView, shares: &BTreeMap<String, f64>, now: Instant) -> Vec<NodeRow> {
    let row = |node: &NodeView| NodeRow {
        name: node.name.to_string(),
        weight: node.weight.get(),
        head: node.head.filter(|_| node.lives).map(|head| head.0),
        lag: node.lag().filter(|_| node.lives).map(|lag| lag.0),
        verdict: verdict(node, view, now),
        share: shares.get(&*node.name).copied().unwrap_or(0.0),
    };
    view.nodes.iter().map(row).collect()
}

fn verdict(node: &NodeView, view: &FleetView, now: Instant) -> NodeVerdict {
    match node.standing.state {
        HealthState::Unproven => NodeVerdict::Unproven,
        HealthState::Out(reason) => NodeVerdict::Out(why(reason, node)),
        HealthState::Benched { .. } => NodeVerdict::Out(why(Reason::Faults, node)),
        HealthState::Fit { .. } if node.standing.rests(now) => NodeVerdict::Resting,
        HealthState::Fit { .. } if node.role != Role::Own => {
            if view.has_fit(Role::Own) {
                NodeVerdict::Reserve
            } else {
                NodeVerdict::Fallback
            }
        }
        HealthState::Fit { returned_at } => match (slow_start(returned_at, now) * 100.0) as u32 {
            100.. => NodeVerdict::Fit,
            percent => NodeVerdict::WarmingUp(percent),
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

pub(super) fn serving(view: &FleetView) -> ServingNodes {
    let own: Vec<_> = view
        .nodes
        .iter()
        .filter(|node| node.role == Role::Own && node.serves())
        .map(|node| node.name.to_string())
        .collect();
    if !own.is_empty() {
        ServingNodes::Own(own)
    } else if view.has_fit(Role::Leader) {
        ServingNodes::Leader
    } else {
        ServingNodes::NoNodes
    }
}

/// Compares each moment with the one before.
#[derive(Default)]
pub(super) struct ChangeDetector {
    states: BTreeMap<String, HealthState>,
    has_own: Option<bool>,
}

impl ChangeDetector {
    /// What changed since the last view, as sentences; the first one changes nothing.
    pub(super) fn notice(&mut self, view: &FleetView) -> Vec<String> {
        let mut said = Vec::new();
        for node in &view.nodes {
            let state = node.standing.state;
            let before = self.states.insert(node.name.to_string(), state);
            said.extend(before.and_then(|before| turn(before, node)));
        }
        let has_own = view.has_fit(Role::Own);
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

fn turn(before: HealthState, node: &NodeView) -> Option<String> {
    let name = &node.name;
    match (before, node.standing.state) {
        (HealthState::Out(old), HealthState::Out(new)) if is_one_story(old, new) => None,
        (HealthState::Out(_) | HealthState::Benched { .. }, HealthState::Out(reason)) => {
            Some(format!("{name} is still out: {}", why(reason, node)))
        }
        (HealthState::Benched { .. }, HealthState::Benched { .. }) => None,
        (_, HealthState::Out(reason)) => {
            Some(format!("{name} gets no more calls: {}", why(reason, node)))
        }
        (_, HealthState::Benched { .. }) => {
            let why = why(Reason::Faults, node);
            Some(format!("{name} gets no more calls: {why}"))
        }
        (HealthState::Out(_) | HealthState::Benched { .. }, HealthState::Fit { .. }) => {
            Some(format!("{name} is fit again and gets calls, few at first"))
        }
        (HealthState::Unproven, HealthState::Fit { .. }) => {
            Some(format!("{name} is fit and gets calls"))
        }
        (HealthState::Fit { .. }, HealthState::Fit { .. }) | (_, HealthState::Unproven) => None,
    }
}

/// A node that fell back lags from then on: that is no news.
fn is_one_story(old: Reason, new: Reason) -> bool {
    old == new || (old, new) == (Reason::Rollback, Reason::Lagging)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use forebay_core::fleet::tracker::Fleet;
    use forebay_core::fleet::{FleetMember, HealthCriteria, ProbeOutcome};
    use forebay_core::testing::{self, at};
    use forebay_core::vocabulary::node::NodeId;

    fn fleet() -> Fleet {
        let criteria = HealthCriteria {
            block_time: Duration::from_secs(1),
            ..testing::quick_criteria()
        };
        let member = |id, name: &str, role| FleetMember {
            name: name.into(),
            role,
            ..testing::member(id)
        };
        let members = vec![
            member(0, "one", Role::Own),
            member(1, "two", Role::Own),
            member(2, "leader", Role::Leader),
        ];
        testing::fleet_by(criteria, members, clock::now())
    }

    fn round(fleet: &mut Fleet, probes: [ProbeOutcome; 3], now: Instant) -> FleetView {
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
        let behind = NodeVerdict::Out("11 blocks behind".into());
        assert_eq!(verdicts, [NodeVerdict::Fit, behind, NodeVerdict::Reserve]);
        assert_eq!((rows[1].head, rows[1].lag), (Some(89), Some(11)));
        assert_eq!(rows[0].share.to_bits(), 1.0_f64.to_bits());
        assert_eq!(serving(&view), ServingNodes::Own(vec!["one".into()]));
    }

    #[test]
    fn a_silent_node_shows_no_head_and_the_leader_serves_when_none_is_left() {
        let (mut fleet, now) = (fleet(), clock::now());
        round(&mut fleet, [at(100), at(100), at(100)], now);
        let view = round(
            &mut fleet,
            [ProbeOutcome::Failed, ProbeOutcome::Failed, at(100)],
            now,
        );
        let rows = rows(&view, &BTreeMap::new(), now);
        assert_eq!((rows[0].head, rows[0].lag), (None, None));
        assert_eq!(rows[0].verdict, NodeVerdict::Out("does not answer".into()));
        assert_eq!(rows[2].verdict, NodeVerdict::Fallback);
        assert_eq!(serving(&view), ServingNodes::Leader);
        assert_eq!(serving(&FleetView::default()), ServingNodes::NoNodes);
    }

    #[test]
    fn each_change_is_noticed_once() {
        let (mut fleet, now, mut watch) = (fleet(), clock::now(), ChangeDetector::default());
        let fine = [at(100), at(100), at(100)];
        let none = [ProbeOutcome::Failed, ProbeOutcome::Failed, at(100)];
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
        let told = watch.notice(&round(
            &mut fleet,
            [at(100), ProbeOutcome::Failed, at(100)],
            now,
        ));
        assert_eq!(
            told,
            [
                "one is fit again and gets calls, few at first",
                "an own node is fit again: the leader is left alone",
            ]
        );
    }

    #[test]
    fn a_second_reason_is_told_but_not_that_a_node_that_fell_back_lags() {
        let (mut fleet, now, mut watch) = (fleet(), clock::now(), ChangeDetector::default());
        let mut told = Vec::new();
        for probe in [at(100), at(60), at(60), ProbeOutcome::Failed] {
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
        for probe in [at(100), ProbeOutcome::Failed, at(100)] {
            round(&mut fleet, [probe, at(100), at(100)], now);
        }
        let view = fleet.view();
        for (seconds, verdict) in [
            (15, NodeVerdict::WarmingUp(50)),
            (29, NodeVerdict::WarmingUp(96)),
            (30, NodeVerdict::Fit),
        ] {
            let later = now + Duration::from_secs(seconds);
            assert_eq!(rows(&view, &BTreeMap::new(), later)[0].verdict, verdict);
        }
    }

    #[test]
    fn only_the_newest_events_are_kept() {
        let mut events = VecDeque::new();
        let event = |second| ScreenEvent {
            at: Duration::from_secs(second),
            voice: EventOrigin::Story,
            text: String::new(),
        };
        let new: Vec<_> = (0..EVENTS_MAX as u64 + 1).map(event).collect();
        remember(&mut events, &new);
        assert_eq!(events.len(), EVENTS_MAX);
        assert_eq!(events[0], event(1));
    }
}

//! What happened lately, kept in memory for the status page: the last changes, and each node's lag
//! and attempts over the last rounds.
//!
//! Written by the rounds and by changes of standing, never on a call's path. All of it is bounded,
//! and gone with the process: the log is what lasts.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;
use parking_lot::Mutex;
use serde::Serialize;

use super::events;
use super::traffic::Traffic;
use crate::clock;
use forebay_core::fleet::FleetChange;
use forebay_core::fleet::view::FleetView;
use forebay_core::vocabulary::chain::Lag;
use forebay_core::vocabulary::node::NodeId;

/// Events that are remembered.
pub const EVENTS_MAX: usize = 100;
/// Rounds whose samples are remembered of each node.
pub const SAMPLES_MAX: usize = 120;
/// How long calls take is looked at over about this time, and remembered this often.
const TRAFFIC_WINDOW: Duration = Duration::from_secs(30);
const TRAFFIC_EVERY: Duration = Duration::from_secs(5);
/// Shares of attempts are those of this time before the look.
pub const SHARE_WINDOW: Duration = Duration::from_secs(60);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970.
    pub at: u64,
    /// One of [`events::kind`]'s words, [`CHANGED`] or [`CONFIGURATION`].
    pub kind: &'static str,
    pub level: Level,
    pub node: Option<Arc<str>>,
    pub text: String,
}

/// The kind of an event that an operator brought about.
pub const CHANGED: &str = "changed";

/// The kind of an event of the configuration.
pub const CONFIGURATION: &str = "configuration";

/// The memory.
#[derive(Debug, Default)]
pub struct Journal {
    pages: Mutex<JournalState>,
}

#[derive(Debug, Default)]
struct JournalState {
    /// The oldest first.
    events: VecDeque<Event>,
    tracks: HashMap<NodeId, VecDeque<LagSample>>,
    /// What calls had come to at several times, the oldest first.
    traffic: VecDeque<(Instant, Traffic)>,
    /// Milliseconds since 1970.
    last_round_at: Option<u64>,
    configuration: ConfigurationState,
}

/// How the configuration's file stands to what is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConfigurationState {
    /// It has mistakes, so nothing of it holds.
    #[serde(rename = "refused")]
    pub is_refused: bool,
    /// The settings that need a restart to hold.
    pub waiting: Vec<String>,
}

/// One node at the end of one round.
#[derive(Clone, Copy, Debug)]
struct LagSample {
    at: Instant,
    /// `None`: it didn't answer, or there was no reference.
    lag: Option<Lag>,
    attempts: u64,
}

/// What is remembered of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTrack {
    /// The oldest first, one a round.
    pub lags: Vec<Option<Lag>>,
    /// Attempts within [`SHARE_WINDOW`].
    pub attempts: u64,
}

impl Journal {
    /// Notes what changed at `at`, in milliseconds since 1970.
    pub fn hear(&self, change: &FleetChange, at: u64) {
        let (level, text) = events::sentence(change);
        let node = match change {
            FleetChange::Node { name, .. } => Some(name.clone()),
            FleetChange::Reference { .. }
            | FleetChange::Fallback { .. }
            | FleetChange::BlockTime { .. } => None,
        };
        self.note(Event {
            at,
            kind: events::kind(change),
            level,
            node,
            text,
        });
    }

    pub fn note(&self, event: Event) {
        let mut pages = self.pages.lock();
        if pages.events.len() == EVENTS_MAX {
            pages.events.pop_front();
        }
        pages.events.push_back(event);
    }

    /// Notes what an operator has brought about just now, of `node` or of none alone.
    pub fn note_changed(&self, node: Option<Arc<str>>, text: String) {
        self.note(Event {
            at: clock::unix_millis(),
            kind: CHANGED,
            level: Level::Info,
            node,
            text,
        });
    }

    /// The configuration was read again.
    pub fn hear_configuration(&self, change: impl FnOnce(&mut ConfigurationState)) {
        change(&mut self.pages.lock().configuration);
    }

    pub fn configuration(&self) -> ConfigurationState {
        self.pages.lock().configuration.clone()
    }

    /// Notes the end of a round. `attempts`: each node's, so far.
    pub fn hear_round(
        &self,
        view: &FleetView,
        attempts: impl Fn(NodeId) -> u64,
        now: Instant,
        at: u64,
    ) {
        let mut pages = self.pages.lock();
        pages.last_round_at = Some(at);
        pages.tracks.retain(|id, _| view.node(*id).is_some());
        for node in &view.nodes {
            let track = pages.tracks.entry(node.id).or_default();
            if track.len() == SAMPLES_MAX {
                track.pop_front();
            }
            track.push_back(LagSample {
                at: now,
                lag: node.lag().filter(|_| node.lives),
                attempts: attempts(node.id),
            });
        }
    }

    /// Notes what calls have come to so far, if it is time to.
    pub fn hear_traffic(&self, traffic: impl FnOnce() -> Traffic, now: Instant) {
        let age = |at: Instant| now.saturating_duration_since(at);
        let last = self.pages.lock().traffic.back().map(|(at, _)| *at);
        if last.is_some_and(|at| age(at) < TRAFFIC_EVERY) {
            return;
        }
        let traffic = traffic();
        let mut pages = self.pages.lock();
        // One that is older than the window is enough.
        while pages
            .traffic
            .get(1)
            .is_some_and(|(at, _)| age(*at) >= TRAFFIC_WINDOW)
        {
            pages.traffic.pop_front();
        }
        pages.traffic.push_back((now, traffic));
    }

    /// What calls came to of late, where they have come to `so_far` by now.
    pub fn recent_traffic(&self, so_far: &Traffic, now: Instant) -> Traffic {
        let pages = self.pages.lock();
        let is_before = |at: &Instant| now.saturating_duration_since(*at) >= TRAFFIC_WINDOW;
        let before = pages.traffic.iter().rev().find(|(at, _)| is_before(at));
        match before.or(pages.traffic.front()) {
            Some((_, before)) => so_far.since(before),
            None => so_far.clone(),
        }
    }

    /// The newest first.
    pub fn events(&self) -> Vec<Event> {
        self.pages.lock().events.iter().rev().cloned().collect()
    }

    /// Milliseconds since 1970; `None` before the first round.
    pub fn last_round_at(&self) -> Option<u64> {
        self.pages.lock().last_round_at
    }

    /// What is remembered of a node whose attempts are `attempts` by now.
    pub fn track(&self, id: NodeId, attempts: u64, now: Instant) -> NodeTrack {
        let pages = self.pages.lock();
        let Some(samples) = pages.tracks.get(&id) else {
            return NodeTrack::default();
        };
        let is_within =
            |sample: &&LagSample| now.saturating_duration_since(sample.at) < SHARE_WINDOW;
        // The last one before the window, else all that is known.
        let older = samples.iter().rev().find(|sample| !is_within(sample));
        let before = older.or(samples.front());
        NodeTrack {
            lags: samples.iter().map(|sample| sample.lag).collect(),
            attempts: before.map_or(0, |sample| attempts.saturating_sub(sample.attempts)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_core::fleet::ProbeOutcome;
    use forebay_core::testing;

    const NODE: NodeId = NodeId(3);

    /// A fleet of one node, whose probe failed when there is no head.
    fn view(head: Option<u64>) -> FleetView {
        let mut fleet = testing::fleet_of([testing::called(NODE.0, "a")], clock::now());
        let probe = head.map_or(ProbeOutcome::Failed, testing::at);
        fleet.hear_round(&[(NODE, probe)], clock::now());
        fleet.view()
    }

    #[test]
    fn the_last_events_are_kept_the_newest_first() {
        let journal = Journal::default();
        for at in 0..=EVENTS_MAX as u64 {
            journal.hear(&FleetChange::Fallback { on: at % 2 == 0 }, at);
        }
        let events = journal.events();
        assert_eq!(events.len(), EVENTS_MAX, "the first is forgotten");
        assert_eq!((events[0].at, events[0].kind), (100, "fallback_on"));
        assert_eq!(events[EVENTS_MAX - 1].at, 1);
    }

    #[test]
    fn the_lags_of_the_last_rounds_are_kept_and_silence_is_a_gap() {
        let journal = Journal::default();
        let now = clock::now();
        assert_eq!(journal.last_round_at(), None);
        for _ in 0..SAMPLES_MAX {
            journal.hear_round(&view(Some(7)), |_| 0, now, 5);
        }
        journal.hear_round(&view(None), |_| 0, now, 6);
        let lags = journal.track(NODE, 0, now).lags;
        assert_eq!(lags.len(), SAMPLES_MAX);
        assert_eq!(lags[SAMPLES_MAX - 2..], [Some(Lag(0)), None]);
        assert_eq!(journal.last_round_at(), Some(6));
        journal.hear_round(&FleetView::default(), |_| 0, now, 7);
        assert_eq!(journal.track(NODE, 0, now), NodeTrack::default());
    }

    #[test]
    fn what_calls_came_to_is_told_of_the_last_half_minute() {
        let journal = Journal::default();
        let start = clock::now();
        let traffic = |calls| {
            let mut traffic = Traffic::default();
            traffic.calls = calls;
            traffic
        };
        let recent = |seconds, so_far| {
            let now = start + Duration::from_secs(seconds);
            journal.recent_traffic(&traffic(so_far), now).calls
        };
        assert_eq!(recent(0, 7), 7, "since the start");
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            journal.hear_traffic(|| traffic(10 * second), now);
        }
        assert_eq!(recent(99, 990), 340, "since second 65");
        assert!(journal.pages.lock().traffic.len() <= 9);
    }

    #[test]
    fn attempts_are_those_of_the_last_minute() {
        let journal = Journal::default();
        let start = clock::now();
        for (seconds, attempts) in [(0, 100), (5, 130), (10, 180)] {
            let now = start + Duration::from_secs(seconds);
            journal.hear_round(&view(Some(7)), |_| attempts, now, 0);
        }
        let attempts = |seconds, so_far| {
            let now = start + Duration::from_secs(seconds);
            journal.track(NODE, so_far, now).attempts
        };
        assert_eq!(attempts(10, 200), 100, "all that is known");
        assert_eq!(attempts(65, 200), 70, "since the second round");
        assert_eq!(attempts(65, 3), 0, "a counter that began anew");
    }
}

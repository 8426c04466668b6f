//! `GET /status`: the fleet at one moment, with the reasons in words, and what happened lately.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::admin::cache::CacheStatus;
use crate::admin::chains::AdminChain;
use crate::admin::glance::{ChainGlance, ChainVerdict, StatusTime, failed_share, verdict};
use crate::observe::events::{reason_in_words, reference_in_words};
use crate::observe::journal::{ConfigurationState, Event, Journal, NodeTrack};
use crate::observe::metrics::state_of;
use crate::observe::traffic::Traffic;
use crate::shared::snapshot::Snapshot;
use forebay_core::fleet::degradation::{AlertLevel, NodeCondition};
use forebay_core::fleet::failure_rate::FailureShare;
use forebay_core::fleet::node_view::{NodeCaveat, NodeView};
use forebay_core::fleet::reference::Reference;
use forebay_core::fleet::standing::{HealthState, Reason, slow_start};
use forebay_core::fleet::view::FleetView;
use forebay_core::vocabulary::chain::Lag;
use forebay_core::vocabulary::node::Role;

/// The whole. Times are milliseconds since 1970.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    instance: &'static str,
    at: u64,
    /// As `GET /health` says it.
    status: &'static str,
    why: String,
    level: AlertLevel,
    /// What isn't as it should be, each as a sentence without its end.
    troubles: Vec<String>,
    registry: RegistryStatus,
    calls: CallStatus,
    chain: ChainStatus,
    served_head: Option<u64>,
    reference: Option<ReferenceStatus>,
    lag_blocks_max: u64,
    round: RoundStatus,
    requests_in_flight: usize,
    /// Left out where no answers are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheStatus>,
    nodes: Vec<NodeStatus>,
    configuration: ConfigurationState,
    /// The newest first.
    events: Vec<StatusEvent>,
    /// All chains, in the order of the configuration.
    chains: Vec<ChainGlance>,
}

#[derive(Debug, Serialize)]
struct RegistryStatus {
    in_reach: bool,
    why: Option<&'static str>,
}

/// Of about the last 30 s.
#[derive(Debug, Serialize)]
struct CallStatus {
    count: u32,
    failed: u32,
    /// 0 to 1; none without calls.
    failed_share: Option<f64>,
    /// Within which 99 of 100 ended, rounded up.
    p99_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct ChainStatus {
    name: String,
    id: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ReferenceStatus {
    block_number: u64,
    source: &'static str,
    why: String,
}

#[derive(Debug, Serialize)]
struct RoundStatus {
    count: u64,
    last_at: Option<u64>,
    interval_ms: u64,
}

#[derive(Debug, Serialize)]
struct NodeStatus {
    name: String,
    /// As far as its host.
    url: String,
    #[serde(rename = "rung")]
    role: &'static str,
    weight: u16,
    head: Option<u64>,
    lag: Option<u64>,
    /// The `state` of the metrics.
    standing: &'static str,
    reason: Option<&'static str>,
    part: NodeCondition,
    why: String,
    latency_ms: Option<f64>,
    in_flight: u32,
    /// Of all attempts of the last minute, 0 to 1; none when there were none.
    share: Option<f64>,
    /// One a round, the oldest first; none where it did not answer.
    lags: Vec<Option<u64>>,
}

#[derive(Debug, Serialize)]
struct StatusEvent {
    at: u64,
    kind: &'static str,
    level: &'static str,
    node: Option<String>,
    text: String,
}

/// The status of `chain` as of `moment`. `inside`: requests under way, and whether we are closing.
pub(super) fn status(
    chain: &AdminChain,
    chains: Vec<ChainGlance>,
    inside: (usize, bool),
    moment: StatusTime,
) -> Status {
    let fleet = &chain.state.fleet;
    let policy = chain.state.policy.load();
    let health = &policy.settings.health;
    let traffic = &chain.state.metrics.traffic();
    let snapshot = fleet.snapshot();
    let view = &snapshot.view;
    let (requests_in_flight, is_closing) = inside;
    let ChainVerdict {
        said,
        troubles,
        share,
    } = verdict(fleet, view, is_closing, moment.now);
    let registry = fleet.list_from.is().trouble();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        instance: chain.instance,
        at: moment.at,
        status: said.word,
        why: said.why,
        level: AlertLevel::of(said.word, &troubles),
        troubles,
        registry: RegistryStatus {
            in_reach: registry.is_none(),
            why: registry,
        },
        calls: calls(share, &fleet.journal.recent_traffic(traffic, moment.now)),
        chain: ChainStatus {
            name: chain.name().to_string(),
            id: view.chain_id.map(|id| id.0),
        },
        served_head: view.served_head.map(|head| head.0),
        reference: view.reference.map(reference),
        lag_blocks_max: health.lag_blocks_max,
        round: RoundStatus {
            count: view.rounds,
            last_at: fleet.journal.last_round_at(),
            interval_ms: u64::try_from(health.interval.as_millis()).unwrap_or(u64::MAX),
        },
        requests_in_flight,
        cache: CacheStatus::of(&chain.state),
        nodes: nodes(&snapshot, &fleet.journal, health.lag_blocks_max, moment.now),
        configuration: fleet.journal.configuration(),
        events: fleet.journal.events().into_iter().map(event).collect(),
        chains,
    }
}

fn calls(share: Option<FailureShare>, recent: &Traffic) -> CallStatus {
    let (failed, count) = share.map_or((0, 0), |share| (share.failed, share.calls));
    CallStatus {
        count,
        failed,
        failed_share: share.map(failed_share),
        p99_ms: recent.p99().map(millis),
    }
}

fn reference(reference: Reference) -> ReferenceStatus {
    ReferenceStatus {
        block_number: reference.number.0,
        source: reference.source.as_str(),
        why: reference_in_words(reference.source, reference.doubt),
    }
}

fn event(event: Event) -> StatusEvent {
    StatusEvent {
        at: event.at,
        kind: event.kind,
        level: match event.level {
            log::Level::Error => "error",
            log::Level::Warn => "warning",
            log::Level::Info | log::Level::Debug | log::Level::Trace => "info",
        },
        node: event.node.map(|name| name.to_string()),
        text: event.text,
    }
}

fn nodes(
    snapshot: &Snapshot,
    journal: &Journal,
    lag_blocks_max: u64,
    now: Instant,
) -> Vec<NodeStatus> {
    let view = &snapshot.view;
    let upstreams = view.nodes.iter().map(|node| {
        let upstream = snapshot.upstream(node.id);
        let attempts = upstream.map_or(0, |upstream| upstream.metrics.attempts());
        let url = upstream.map_or_else(String::new, |upstream| upstream.spec.url.to_string());
        (node, url, journal.track(node.id, attempts, now))
    });
    let known: Vec<_> = upstreams.collect();
    let total: u64 = known.iter().map(|(_, _, track)| track.attempts).sum();
    let nodes = known.into_iter();
    nodes
        .map(|(node, url, track)| NodeStatus {
            name: node.name.to_string(),
            url,
            role: node.role.as_str(),
            weight: node.weight.get(),
            head: node.head.map(|head| head.0),
            lag: node.lag().map(|lag| lag.0),
            standing: state_of(node),
            reason: node
                .reason(now)
                .map(Reason::as_str)
                .or(node.remark.map(NodeCaveat::as_str)),
            part: NodeCondition::of(node, now),
            why: why(view, node, lag_blocks_max, now),
            latency_ms: node.load.latency().map(millis),
            in_flight: node.load.in_flight(),
            share: share(&track, total),
            lags: track.lags.iter().map(|lag| lag.map(|lag| lag.0)).collect(),
        })
        .collect()
}

/// To a hundredth: more is noise.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

fn share(track: &NodeTrack, total: u64) -> Option<f64> {
    (total > 0).then(|| (track.attempts as f64 / total as f64 * 10_000.0).round() / 10_000.0)
}

/// Why a node gets calls, or none, as a sentence without its end.
fn why(view: &FleetView, node: &NodeView, lag_blocks_max: u64, now: Instant) -> String {
    if node.weight.drains() {
        return match node.load.in_flight() {
            0 => "drained: it gets no calls, and none is in flight".to_string(),
            count => format!("draining: it gets no new calls, {count} in flight"),
        };
    }
    match node.standing.state {
        HealthState::Unproven => node.probe_failure.as_ref().map_or_else(
            || "not probed yet".to_string(),
            |probe_failure| reason_in_words(probe_failure.reason, Some(probe_failure)),
        ),
        HealthState::Out(Reason::Lagging | Reason::Rollback) => lagging(node, lag_blocks_max),
        HealthState::Out(reason) => reason_in_words(reason, node.probe_failure.as_ref()),
        HealthState::Benched { until } => {
            let words = Reason::Faults.in_words();
            format!(
                "{words}; {}",
                left(
                    until,
                    now,
                    "benched for",
                    "then two good rounds bring it back"
                )
            )
        }
        HealthState::Fit { .. } if node.is_on_another_chain => {
            Reason::WrongChain.in_words().to_string()
        }
        HealthState::Fit { returned_at } => fit(view, node, returned_at, now),
    }
}

fn lagging(node: &NodeView, lag_blocks_max: u64) -> String {
    let fell = node.standing.state == HealthState::Out(Reason::Rollback);
    match node.lag() {
        Some(Lag(lag)) if lag > lag_blocks_max => {
            let after = if fell {
                ", after its head went back"
            } else {
                ""
            };
            format!(
                "{lag} blocks behind the reference, {} is the most{after}",
                lag_blocks_max
            )
        }
        Some(_) => "it has caught up; another good round brings it back".to_string(),
        None => Reason::Lagging.in_words().to_string(),
    }
}

fn fit(view: &FleetView, node: &NodeView, returned_at: Option<Instant>, now: Instant) -> String {
    if let Some(until) = node.standing.resting_until().filter(|until| now < *until) {
        let words = Reason::Throttled.in_words();
        return format!("{words}; {}", left(until, now, "it rests for", "it rests"));
    }
    if node.load.conduct.is_suspect() {
        return "suspect: its last calls failed; it gets one at a time to show itself".to_string();
    }
    if let Some(remark) = node.remark {
        return remark.in_words().to_string();
    }
    let share = slow_start(returned_at, now);
    if share < 1.0 {
        let percent = (share * 100.0).round();
        return format!("fit again; it starts slowly, now at {percent} % of its weight");
    }
    match node.role {
        Role::Own => "fit".to_string(),
        Role::Leader | Role::Fallback if view.has_fit(Role::Own) => {
            "fit, in reserve: it gets what own nodes can't answer, and all calls when none of them is fit"
                .to_string()
        }
        Role::Leader | Role::Fallback => "fit, and serves: no own node is fit".to_string(),
    }
}

/// `before 12 s more`, or `after` when the time is over.
fn left(until: Instant, now: Instant, before: &str, after: &str) -> String {
    match until.saturating_duration_since(now).as_secs_f64().ceil() {
        seconds if seconds > 0.0 => format!("{before} {seconds} s more"),
        _ => after.to_string(),
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;

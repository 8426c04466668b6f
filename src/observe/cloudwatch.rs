//! What CloudWatch is told: lines in its Embedded Metric Format, which it makes metrics of where
//! standard output goes to CloudWatch Logs. No agent is needed, and no permission of ours.
//!
//! The format: a JSON object a line, whose member `_aws` names those of the other members that are
//! metrics and dimensions (Embedded Metric Format specification, 2023).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::traffic::Traffic;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::view::FleetView;
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::node::Role;

/// Under which names the metrics appear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudWatchLabels {
    pub namespace: String,
    /// The dimension that all lines have.
    pub service: String,
    /// The dimension that a chain's lines have, too.
    pub chain: ChainName,
}

/// How long the last probe of a node took, by the node's name.
pub type ProbeDurations<'a> = &'a dyn Fn(&Arc<str>) -> Option<Duration>;

/// A metric: its name, its unit as CloudWatch spells it, its value.
type MetricDatum = (&'static str, &'static str, Value);

/// What there is to say of a chain beside its fleet.
#[derive(Clone, Debug, Default)]
pub struct ChainFigures {
    /// Since the lines before.
    pub traffic: Traffic,
    pub registry_age: Option<Duration>,
}

/// The lines for the fleet as of `unix_millis`, each with its end: one for the fleet, one for each
/// node of which anything is known. None before the first round, when nothing is.
pub fn lines(
    view: &FleetView,
    labels: &CloudWatchLabels,
    probe_times: ProbeDurations<'_>,
    figures: &ChainFigures,
    unix_millis: u64,
) -> String {
    if view.rounds == 0 {
        return String::new();
    }
    let mut text = line(labels, About::Chain, of_fleet(view, figures), unix_millis);
    for node in &view.nodes {
        let metrics = of_node(node, probe_times(&node.name));
        if !metrics.is_empty() {
            text += &line(labels, About::Node(&node.name), metrics, unix_millis);
        }
    }
    text
}

/// The line of the process, whose first certificate expires in `days`.
pub fn certificate_line(labels: &CloudWatchLabels, days: i64, unix_millis: u64) -> String {
    let metrics = vec![("CertificateDays", "Count", json!(days))];
    line(labels, About::Process, metrics, unix_millis)
}

/// What a line is about.
#[derive(Clone, Copy)]
enum About<'a> {
    Process,
    Chain,
    Node(&'a str),
}

impl<'a> About<'a> {
    /// The sets of dimensions that its metrics appear under, beside the service. Of all chains together
    /// the sum counts, or the worst, as the alarm's statistic has it. Of nodes nothing can be said so but
    /// where there is one chain: it has no name, as none had before there were several.
    fn dimensions(self, chain: &'a ChainName) -> Vec<Vec<(&'static str, &'a str)>> {
        let chain_of = ("Chain", chain.as_str());
        match self {
            About::Process => vec![Vec::new()],
            About::Chain => vec![Vec::new(), vec![chain_of]],
            About::Node(name) if chain.is_main() => {
                vec![vec![("Node", name)], vec![chain_of, ("Node", name)]]
            }
            About::Node(name) => vec![vec![chain_of, ("Node", name)]],
        }
    }
}

fn of_fleet(view: &FleetView, figures: &ChainFigures) -> Vec<MetricDatum> {
    let traffic = &figures.traffic;
    let nodes = view.nodes.iter().filter(|node| node.role == Role::Own);
    let fit = nodes.filter(|node| node.serves()).count();
    let others = [Role::Leader, Role::Fallback];
    let helps_out = fit == 0 && others.into_iter().any(|role| view.has_fit(role));
    let mut metrics = vec![
        ("HealthyNodes", "Count", json!(fit)),
        ("FallbackInUse", "Count", json!(u8::from(helps_out))),
        ("Calls", "Count", json!(traffic.calls)),
        ("FailedCalls", "Count", json!(traffic.failed)),
        ("UnanswerableCalls", "Count", json!(traffic.unanswerable)),
        (
            "TryAgainResponses",
            "Count",
            json!(traffic.try_again_responses),
        ),
    ];
    let p99 = traffic.p99().map(|time| json!(millis(time)));
    metrics.extend(p99.map(|time| ("CallTimeP99", "Milliseconds", time)));
    let age = figures.registry_age.map(|age| json!(age.as_secs()));
    metrics.extend(age.map(|age| ("RegistryAge", "Seconds", age)));
    metrics
}

fn of_node(node: &NodeView, probe_time: Option<Duration>) -> Vec<MetricDatum> {
    let head = node.head.map(|head| json!(head.0));
    // Blocks behind; below 0 when ahead. A difference that no number can hold is none of a chain.
    let behind = node.head_difference().and_then(|ahead| {
        let behind = i64::try_from(-ahead).ok()?;
        Some(json!(behind))
    });
    let took = probe_time.map(|took| json!(millis(took)));
    let known = [
        ("BlockNumber", "None", head),
        ("DifferenceToLeader", "Count", behind),
        ("ProbeTime", "Milliseconds", took),
    ];
    known
        .into_iter()
        .filter_map(|(name, unit, value)| Some((name, unit, value?)))
        .collect()
}

fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

fn line(
    labels: &CloudWatchLabels,
    about: About<'_>,
    metrics: Vec<MetricDatum>,
    unix_millis: u64,
) -> String {
    let service = [("Service", labels.service.as_str())];
    let sets = about.dimensions(&labels.chain).into_iter();
    let sets: Vec<_> = sets.map(|set| [&service[..], &set].concat()).collect();
    let names = |set: &Vec<(&'static str, &str)>| set.iter().map(|(name, _)| *name).collect();
    let names: Vec<Vec<_>> = sets.iter().map(names).collect();
    let units: Vec<_> = metrics
        .iter()
        .map(|(name, unit, _)| json!({ "Name": name, "Unit": unit }))
        .collect();
    let mut members = Map::new();
    members.insert(
        "_aws".to_string(),
        json!({
            "Timestamp": unix_millis,
            "CloudWatchMetrics": [{
                "Namespace": labels.namespace,
                "Dimensions": names,
                "Metrics": units,
            }],
        }),
    );
    for (name, value) in sets.into_iter().flatten() {
        members.insert(name.to_string(), json!(value));
    }
    for (name, _, value) in metrics {
        members.insert(name.to_string(), value);
    }
    format!("{}\n", Value::Object(members))
}

#[cfg(test)]
#[path = "cloudwatch_tests.rs"]
mod tests;

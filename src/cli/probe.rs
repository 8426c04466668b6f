//! `forebay probe`: one round over all nodes, judged as the balancer would judge its first.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use pingora::server::configuration::ServerConf;
use serde::Serialize;

use super::table::{self, HOW_TO_BEGIN, printable};
use crate::clock;
use crate::config::settings::Settings;
use crate::node::access::NodeAccess;
use crate::node::probe::{ProbeReply, ProbeRequest, Prober};
use forebay_core::fleet::depth::{DepthQuestion, HistoryResource};
use forebay_core::fleet::history::QUESTIONS_MAX;
use forebay_core::fleet::node_view::NodeCaveat;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::reference::{Reference, ReferenceSource};
use forebay_core::fleet::report::ProbeExtras;
use forebay_core::fleet::standing::Reason;
use forebay_core::fleet::tracker::Fleet;
use forebay_core::fleet::view::FleetView;
use forebay_core::fleet::{FleetMember, ProbeOutcome};
use forebay_core::vocabulary::chain::ChainId;
use forebay_core::vocabulary::node::{NodeId, NodeSpec};

/// Asks all of `nodes` at once and prints what came of it: a table, or with `json` an object.
/// `rejected` has a sentence on each node of the registry that can't be asked; they stand last.
///
/// A node that fails is a row of the result, and no error.
///
/// # Errors
/// When `out` can't be written or TLS can't be set up.
pub async fn run(
    (nodes, rejected): (&[NodeSpec], &[String]),
    settings: &Settings,
    conf: &ServerConf,
    json: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let access = NodeAccess::new(conf).map_err(io::Error::other)?;
    let prober = Prober::new(Arc::new(access)).map_err(io::Error::other)?;
    let probed = ask_all(&prober, nodes, settings.health.timeout).await?;
    let mut fleet = judge(nodes, &probed, settings);
    sound(&prober, nodes, &mut fleet, settings.health.timeout).await;
    let findings = ProbeReport::of(nodes, probed, rejected, &fleet.view(), settings);
    let written = if json {
        findings.write_json(out)
    } else {
        findings.write_table(out)
    };
    match written.and_then(|()| out.flush()) {
        // The reader, `head` say, has seen enough.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// What each of `nodes` answered, in their order.
async fn ask_all(
    prober: &Prober,
    nodes: &[NodeSpec],
    timeout: Duration,
) -> io::Result<Vec<ProbeReply>> {
    let asked = ProbeRequest {
        chain_id: true,
        extras: ProbeExtras {
            capabilities: true,
            ..ProbeExtras::default()
        },
        ..ProbeRequest::default()
    };
    let ask_one = |node: &NodeSpec| {
        let (prober, node) = (prober.clone(), node.clone());
        tokio::spawn(async move { prober.probe(&node, asked, timeout).await })
    };
    let under_way: Vec<_> = nodes.iter().map(ask_one).collect();
    let mut probed = Vec::with_capacity(nodes.len());
    for answer in under_way {
        probed.push(answer.await.map_err(io::Error::other)?);
    }
    Ok(probed)
}

/// Asks the fit ones how far back their state goes, all at once, each until it is known. A node
/// that doesn't say is asked no more.
async fn sound(prober: &Prober, nodes: &[NodeSpec], fleet: &mut Fleet, timeout: Duration) {
    let mut silent = Vec::new();
    for _ in 0..QUESTIONS_MAX {
        let view = fleet.view();
        let asking = view.nodes.iter().zip(nodes).filter_map(|(node, spec)| {
            let is_state = |question: &DepthQuestion| question.resource == HistoryResource::State;
            let question = node.extras.depth.filter(is_state)?;
            let head = node.head.filter(|_| !silent.contains(&node.id))?;
            Some(async move {
                let found = prober.found(spec, question, head, timeout).await;
                (node.id, head, found)
            })
        });
        let found = futures_util::future::join_all(asking).await;
        if found.is_empty() {
            return;
        }
        for (id, head, found) in found {
            fleet.hear_found(id, found, head, clock::now());
            silent.extend(found.has.is_none().then_some(id));
        }
    }
}

/// One round, judged by a fleet that has never seen another.
fn judge(nodes: &[NodeSpec], probed: &[ProbeReply], settings: &Settings) -> Fleet {
    let now = clock::now();
    let ids = || (0..).map(NodeId);
    let member = |(id, node): (NodeId, &NodeSpec)| FleetMember {
        id,
        name: Arc::clone(&node.name),
        role: node.role,
        weight: node.weight,
        purpose: node.purpose.clone(),
    };
    let probes: Vec<_> = ids()
        .zip(probed.iter().map(|probed| probed.probe))
        .collect();
    let mut fleet = Fleet::new(settings.criteria());
    fleet.replace(ids().zip(nodes).map(member).collect(), now);
    let details: Vec<_> = ids()
        .zip(probed.iter().map(|probed| probed.details.clone()))
        .collect();
    fleet.hear_details(&probes, &details, now);
    fleet.hear_round(&probes, now);
    fleet
}

/// What is printed. The JSON's shape is the fields' order and names.
#[derive(Serialize)]
struct ProbeReport {
    reference: Option<u64>,
    reference_source: Option<&'static str>,
    chain_id: Option<u64>,
    nodes: Vec<ProbeRow>,
    /// Nodes of the registry that could not be asked.
    rejected: Vec<String>,
    #[serde(skip)]
    headline: String,
}

#[derive(Serialize)]
struct ProbeRow {
    name: String,
    /// Without what follows the host.
    url: String,
    role: &'static str,
    head: Option<u64>,
    lag: Option<u64>,
    /// The oldest block whose state it has, where that is known.
    oldest_state: Option<u64>,
    latency_ms: Option<f64>,
    healthy: bool,
    reason: Option<&'static str>,
    /// Why there is no head, as a word for scripts.
    failure: Option<&'static str>,
    why: Option<String>,
}

impl ProbeReport {
    fn of(
        nodes: &[NodeSpec],
        probed: Vec<ProbeReply>,
        rejected: &[String],
        view: &FleetView,
        settings: &Settings,
    ) -> ProbeReport {
        let judged = view.nodes.iter().zip(nodes).zip(probed);
        ProbeReport {
            reference: view.reference.map(|reference| reference.number.0),
            reference_source: view.reference.map(|reference| reference.source.as_str()),
            chain_id: view.chain_id.map(|id| id.0),
            nodes: judged
                .map(|((node, spec), probed)| row(node, spec, probed, view, settings))
                .collect(),
            rejected: rejected.iter().map(|text| printable(text)).collect(),
            headline: headline(view, settings),
        }
    }

    fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.nodes.is_empty() {
            writeln!(out, "{}", self.headline)?;
            let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_string))
                .chain(self.nodes.iter().map(ProbeRow::cells))
                .collect();
            table::write(out, &rows)?;
        } else if self.rejected.is_empty() {
            writeln!(out, "{HOW_TO_BEGIN}")?;
        }
        for rejected in &self.rejected {
            writeln!(out, "not asked: {rejected}")?;
        }
        Ok(())
    }
}

const HEADINGS: [&str; 8] = [
    "NODE", "ROLE", "HEAD", "LAG", "STATE", "LATENCY", "VERDICT", "WHY",
];

/// The reference and where it comes from, and the chain.
fn headline(view: &FleetView, settings: &Settings) -> String {
    let reference = view.reference.map_or(
        "no reference: no node has told its head".to_string(),
        |reference| format!("reference {} ({})", reference.number, origin(&reference)),
    );
    let chain = match (view.chain_id, settings.chain.id) {
        (Some(id), Some(_)) => format!("chain {id} (configured)"),
        (Some(id), None) => format!("chain {id} (the leader's)"),
        (None, _) => "chain not checked: `chain.id` is not set, nor told by a leader".to_string(),
    };
    format!("{reference}; {chain}")
}

fn origin(reference: &Reference) -> String {
    let from = match reference.source {
        ReferenceSource::Leader => "the leader's head",
        ReferenceSource::Quorum => "what the own nodes agree on",
        ReferenceSource::Held => "the leader's last believed head",
    };
    match reference.doubt {
        Some(doubt) => format!("{from}, as {}", doubt.as_str()),
        None => from.to_string(),
    }
}

fn row(
    node: &NodeView,
    spec: &NodeSpec,
    probed: ProbeReply,
    view: &FleetView,
    settings: &Settings,
) -> ProbeRow {
    let now = clock::now();
    let reason = node.reason(now);
    let has_answered = match probed.probe {
        ProbeOutcome::Answered { .. } => true,
        ProbeOutcome::Failed | ProbeOutcome::Throttled(_) => false,
    };
    ProbeRow {
        name: node.name.to_string(),
        url: spec.url.to_string(),
        role: node.role.as_str(),
        head: node.head.map(|head| head.0),
        lag: node.lag().map(|lag| lag.0),
        oldest_state: node.depth.state_from.map(|oldest| oldest.0),
        latency_ms: has_answered.then(|| tenths_of_millis(probed.took)),
        healthy: node.standing.is_healthy(),
        reason: reason
            .map(Reason::as_str)
            .or(node.remark.map(NodeCaveat::as_str)),
        failure: probed.failure,
        why: why(node, reason, probed, view, settings),
    }
}

fn tenths_of_millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}

/// The reason in words. A fit node has something to tell only when it gets no calls.
fn why(
    node: &NodeView,
    reason: Option<Reason>,
    probed: ProbeReply,
    view: &FleetView,
    settings: &Settings,
) -> Option<String> {
    let Some(reason) = reason else {
        let remark = node.remark.map(|remark| remark.in_words().to_string());
        let drains = node.weight.drains();
        return drains
            .then(|| "weight 0: it gets no calls".to_string())
            .or(remark);
    };
    match reason {
        Reason::Lagging | Reason::Rollback => {
            let (lag, lag_max) = (node.lag()?.0, settings.health.lag_blocks_max);
            Some(format!("{lag} behind, at most {lag_max} allowed"))
        }
        Reason::WrongChain => {
            let (theirs, ours) = (chain_told(&probed.probe)?, view.chain_id?);
            Some(format!("on chain {theirs}, not {ours}"))
        }
        reason if reason.is_met() => probed.why().map(str::to_string),
        reason => Some(reason.in_words().to_string()),
    }
}

fn chain_told(probe: &ProbeOutcome) -> Option<ChainId> {
    match probe {
        ProbeOutcome::Answered { chain_id, .. } => *chain_id,
        ProbeOutcome::Failed | ProbeOutcome::Throttled(_) => None,
    }
}

impl ProbeRow {
    fn cells(&self) -> [String; HEADINGS.len()] {
        let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_string());
        let verdict = self
            .reason
            .unwrap_or(if self.healthy { "fit" } else { "unproven" });
        [
            self.name.clone(),
            self.role.to_string(),
            or_dash(self.head.map(|head| head.to_string())),
            or_dash(self.lag.map(|lag| lag.to_string())),
            match self.oldest_state {
                Some(0) => "all".to_string(),
                Some(oldest) => format!("from {oldest}"),
                None => "-".to_string(),
            },
            or_dash(self.latency_ms.map(|latency| format!("{latency:.1} ms"))),
            verdict.to_string(),
            self.why.clone().unwrap_or_default(),
        ]
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;

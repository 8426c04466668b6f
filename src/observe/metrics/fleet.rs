//! The fleet's gauges: set from a view, removed with their node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use prometheus::{IntGauge, IntGaugeVec};

use super::{ChainMetrics, NO_LABELS, saturated, set};
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::reference::{LeaderDoubt, ReferenceSource};
use forebay_core::fleet::standing::HealthState;
use forebay_core::fleet::view::FleetView;
use forebay_core::vocabulary::chain::BlockNumber;
use forebay_core::vocabulary::node::Role;

pub(super) const STATES: [&str; 4] = ["unproven", "fit", "benched", "draining"];
/// What may be wrong with a leader, and its label. To have none is nothing wrong.
pub(super) const DOUBTS: [(LeaderDoubt, &str); 4] = [
    (LeaderDoubt::Silent, "silent"),
    (LeaderDoubt::Stuck, "stuck"),
    (LeaderDoubt::Implausible, "implausible"),
    (LeaderDoubt::Unfit, "unfit"),
];
/// The reason of a node that nothing speaks against.
pub(super) const NO_REASON: &str = "none";

/// What stands on the gauges, so that what no longer holds can be taken away.
#[derive(Default)]
pub(super) struct FleetGauges {
    rounds: u64,
    /// The reference, for the time when it last changed.
    reference: Option<BlockNumber>,
    nodes: BTreeMap<Arc<str>, NodeGauges>,
}

struct NodeGauges {
    reason: &'static str,
    in_flight: IntGauge,
}

impl ChainMetrics {
    /// Sets the fleet's gauges from `view`, and takes away those of nodes that it has no more.
    /// `unix_seconds` becomes the time of the last round when there has been one since.
    pub fn show_fleet(&self, view: &FleetView, now: Instant, unix_seconds: u64) {
        let mut shown = self.shown.lock();
        for node in &view.nodes {
            self.show_node(&mut shown, node, now);
            self.show_chain_of(node, unix_seconds);
        }
        let is_there = |name: &Arc<str>| view.nodes.iter().any(|node| node.name == *name);
        shown.nodes.retain(|name, old| {
            let stays = is_there(name);
            if !stays {
                self.hide_node(name, old.reason);
            }
            stays
        });
        if view.rounds > shown.rounds {
            shown.rounds = view.rounds;
            set(&self.families.last_round, unix_seconds);
        }
        let reference = view.reference.map(|reference| reference.number);
        if reference.is_some() && reference != shown.reference {
            shown.reference = reference;
            set(&self.families.reference_moved, unix_seconds);
        }
        drop(shown);
        self.show_totals(view);
        self.show_heads(view);
    }

    fn show_node(&self, shown: &mut FleetGauges, node: &NodeView, now: Instant) {
        let families = &self.families;
        let name: &str = &node.name;
        let label = [name];
        let head = node.head.map(|head| saturated(head.0));
        let lag = node.lag().map(|lag| saturated(lag.0));
        let difference = node.head_difference().map(saturated);
        show(&families.node_block_number, &label, head);
        show(&families.node_lag_blocks, &label, lag);
        show(&families.node_head_difference_blocks, &label, difference);
        let is_healthy = i64::from(node.standing.is_healthy());
        show(&families.node_healthy, &label, Some(is_healthy));
        let is_suspect = i64::from(node.load.conduct.is_suspect());
        show(&families.node_suspect, &label, Some(is_suspect));
        let weight = i64::from(node.weight.get());
        show(&families.node_weight, &label, Some(weight));

        let reason = node.reason(now).map_or(NO_REASON, |reason| reason.as_str());
        let in_flight = families.node_in_flight.with_label_values(&label);
        in_flight.set(i64::from(node.load.in_flight()));
        let limit = i64::from(node.load.limiter.limit());
        show(&families.node_in_flight_limit, &label, Some(limit));
        let new = NodeGauges { reason, in_flight };
        let old = shown.nodes.insert(node.name.clone(), new);
        if let Some(old) = old.filter(|old| old.reason != reason) {
            self.hide_states(name, old.reason);
        }
        for state in STATES {
            let is_it = i64::from(state == state_of(node));
            show(&families.node_state, &[name, state, reason], Some(is_it));
        }
    }

    /// How old the node's head is, and how far back it goes.
    fn show_chain_of(&self, node: &NodeView, unix_seconds: u64) {
        let families = &self.families;
        let label: [&str; 1] = [&node.name];
        let age = |made: u64| saturated(unix_seconds.saturating_sub(made));
        let number = |block: BlockNumber| saturated(block.0);
        let age = node.head_timestamp.map(age);
        show(&families.node_head_age_seconds, &label, age);
        let oldest = node.depth.blocks_from.map(number);
        show(&families.node_oldest_block, &label, oldest);
        let oldest = node.depth.state_from.map(number);
        show(&families.node_oldest_state, &label, oldest);
    }

    fn show_totals(&self, view: &FleetView) {
        for role in Role::ALL {
            let of_role = || view.nodes.iter().filter(|node| node.role == role);
            let healthy = of_role().filter(|node| node.standing.is_healthy()).count();
            let serving = of_role().filter(|node| node.serves()).count();
            for (gauges, count) in [
                (&self.families.nodes, of_role().count()),
                (&self.families.nodes_healthy, healthy),
                (&self.families.nodes_serving, serving),
            ] {
                show(gauges, &[role.as_str()], Some(saturated(count)));
            }
        }
    }

    fn show_heads(&self, view: &FleetView) {
        let families = &self.families;
        let reference = view
            .reference
            .map(|reference| saturated(reference.number.0));
        show(&families.reference_block_number, &NO_LABELS, reference);
        let served = view.served_head.map(|head| saturated(head.0));
        show(&families.served_block_number, &NO_LABELS, served);
        let number = |head: Option<BlockNumber>| head.map(|head| saturated(head.0));
        let (safe, finalized) = (number(view.safe_head), number(view.finalized_head));
        show(&families.safe_block_number, &NO_LABELS, safe);
        show(&families.finalized_block_number, &NO_LABELS, finalized);
        let block_time = families.block_time.with_label_values(&NO_LABELS);
        block_time.set(view.block_time.as_secs_f64());
        let camps = view.camps;
        let count = Some(camps.count).filter(|count| *count > 0);
        show(&families.forks, &NO_LABELS, count.map(saturated));
        let undecided = count.map(|_| i64::from(camps.undecided));
        show(&families.forks_undecided, &NO_LABELS, undecided);
        for source in ReferenceSource::ALL {
            let is_it = view.reference.is_some_and(|r| r.source == source);
            let label = [source.as_str()];
            show(&families.reference_source, &label, Some(i64::from(is_it)));
        }
        for (doubt, label) in DOUBTS {
            let is_it = view.reference.is_some_and(|r| r.doubt == Some(doubt));
            show(&families.leader_doubt, &[label], Some(i64::from(is_it)));
        }
    }

    /// Sets the calls in flight of the nodes that are shown.
    pub(super) fn show_in_flight(&self, view: &FleetView) {
        let shown = self.shown.lock();
        for node in &view.nodes {
            if let Some(old) = shown.nodes.get(&node.name) {
                old.in_flight.set(i64::from(node.load.in_flight()));
            }
        }
    }

    pub(super) fn hide_from_fleet(&self, name: &str) {
        if let Some(old) = self.shown.lock().nodes.remove(name) {
            self.hide_node(name, old.reason);
        }
    }

    fn hide_node(&self, name: &str, reason: &str) {
        let families = &self.families;
        for gauges in [
            &families.node_block_number,
            &families.node_lag_blocks,
            &families.node_head_difference_blocks,
            &families.node_head_age_seconds,
            &families.node_oldest_block,
            &families.node_oldest_state,
            &families.node_healthy,
            &families.node_weight,
            &families.node_in_flight,
            &families.node_in_flight_limit,
            &families.node_suspect,
        ] {
            show(gauges, &[name], None);
        }
        self.hide_states(name, reason);
    }

    fn hide_states(&self, name: &str, reason: &str) {
        for state in STATES {
            show(&self.families.node_state, &[name, state, reason], None);
        }
    }
}

/// Sets one series; what is not known has none, rather than a 0 that looks like a fact.
fn show(gauges: &IntGaugeVec, labels: &[&str], value: Option<i64>) {
    match value {
        Some(value) => gauges.with_label_values(labels).set(value),
        // An error says that there was no such series: good.
        None => drop(gauges.remove_label_values(labels)),
    }
}

/// The `state` label of a node. Weight 0 outranks what the probes say: the operator took the node out.
pub fn state_of(node: &NodeView) -> &'static str {
    if node.weight.drains() {
        return "draining";
    }
    match node.standing.state {
        HealthState::Unproven => "unproven",
        HealthState::Fit { .. } => "fit",
        HealthState::Out(_) | HealthState::Benched { .. } => "benched",
    }
}

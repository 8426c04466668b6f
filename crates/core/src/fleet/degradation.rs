//! What isn't as it should be, though calls may be answered all the same: why the status page is amber.

use std::time::Instant;

use serde::Serialize;

use super::view::FleetView;
use crate::fleet::failure_rate::FailureShare;
use crate::fleet::node_view::NodeView;
use crate::fleet::standing::HealthState;
use crate::vocabulary::node::Role;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertLevel {
    /// Green: `/health` says `ok` or `starting`, and no trouble is known.
    Good,
    /// Amber: there are troubles, or `/health` says `fallback` or `closing`.
    Warning,
    /// Red: `/health` says `degraded`, as no node is fit, say, or too many calls fail.
    Bad,
}

impl AlertLevel {
    /// By the word of `/health`.
    pub fn of(word: &str, troubles: &[String]) -> AlertLevel {
        match word {
            "degraded" => AlertLevel::Bad,
            "ok" | "starting" if troubles.is_empty() => AlertLevel::Good,
            _ => AlertLevel::Warning,
        }
    }
}

/// What a node's part in it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeCondition {
    /// It gets no calls, though it should.
    Missing,
    /// It gets fewer.
    Troubled,
    /// It gets its share of calls, or an operator drains it.
    Fine,
}

impl NodeCondition {
    /// The part of `node` as it is at `now`.
    pub fn of(node: &NodeView, now: Instant) -> NodeCondition {
        let drains = node.weight.drains();
        match node.standing.state {
            // An operator's wish.
            _ if drains => NodeCondition::Fine,
            HealthState::Unproven | HealthState::Out(_) | HealthState::Benched { .. } => {
                NodeCondition::Missing
            }
            HealthState::Fit { .. } if node.is_on_another_chain => NodeCondition::Missing,
            HealthState::Fit { .. } if node.standing.rests(now) => NodeCondition::Troubled,
            HealthState::Fit { .. } if node.load.conduct.is_suspect() => NodeCondition::Troubled,
            HealthState::Fit { .. } => NodeCondition::Fine,
        }
    }
}

/// Each as a sentence without its end. `registry`: what is wrong with it, if something is.
pub fn troubles(
    view: &FleetView,
    failed: Option<FailureShare>,
    registry: Option<&str>,
    now: Instant,
) -> Vec<String> {
    let of = |role: Role| {
        let nodes = view.nodes.iter().filter(|node| node.role == role);
        let nodes: Vec<_> = nodes.filter(|node| !node.weight.drains()).collect();
        let missing = nodes
            .iter()
            .filter(|node| NodeCondition::of(node, now) == NodeCondition::Missing);
        let names: Vec<_> = missing.map(|node| &*node.name).collect();
        missing_in_words(role, nodes.len(), &names)
    };
    let missing = Role::ALL.into_iter().filter_map(of);
    let troubled = view
        .nodes
        .iter()
        .filter(|node| NodeCondition::of(node, now) == NodeCondition::Troubled);
    let troubled = troubled.map(|node| format!("{} gets fewer calls for a while", node.name));
    let failed = failed.filter(|share| share.failed > 0);
    let failed = failed.map(FailureShare::sentence);
    missing
        .chain(troubled)
        .chain(failed)
        .chain(registry.map(str::to_string))
        .collect()
}

fn missing_in_words(role: Role, count: usize, names: &[&str]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let listed = names.join(", ");
    let verb = if names.len() == 1 { "is" } else { "are" };
    let number = names.len();
    Some(match (role, count) {
        (Role::Leader, _) => format!("the leader is not fit: {listed}"),
        (Role::Own, 1) => format!("the only own node is not fit: {listed}"),
        (Role::Fallback, 1) => format!("the only fallback node is not fit: {listed}"),
        (Role::Own | Role::Fallback, _) => {
            let role = role.as_str();
            format!("{number} of {count} {role} nodes {verb} not fit: {listed}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_are_missing_are_counted_and_named() {
        let said = |role, count, names: &[&str]| missing_in_words(role, count, names);
        assert_eq!(said(Role::Own, 3, &[]), None);
        assert_eq!(
            said(Role::Own, 3, &["a"]).as_deref(),
            Some("1 of 3 own nodes is not fit: a")
        );
        assert_eq!(
            said(Role::Fallback, 2, &["a", "b"]).as_deref(),
            Some("2 of 2 fallback nodes are not fit: a, b")
        );
        assert_eq!(
            said(Role::Own, 1, &["a"]).as_deref(),
            Some("the only own node is not fit: a")
        );
        assert_eq!(
            said(Role::Leader, 1, &["l"]).as_deref(),
            Some("the leader is not fit: l")
        );
    }

    #[test]
    fn amber_is_for_what_is_amiss_while_calls_are_answered() {
        let trouble = ["x".to_string()];
        assert_eq!(AlertLevel::of("ok", &[]), AlertLevel::Good);
        assert_eq!(AlertLevel::of("ok", &trouble), AlertLevel::Warning);
        assert_eq!(AlertLevel::of("fallback", &[]), AlertLevel::Warning);
        assert_eq!(AlertLevel::of("degraded", &[]), AlertLevel::Bad);
        assert_eq!(AlertLevel::of("closing", &[]), AlertLevel::Warning);
    }

    #[test]
    fn calls_that_fail_and_a_registry_out_of_reach_are_troubles() {
        let (view, now) = (FleetView::default(), crate::testing::now());
        let share = |failed| Some(FailureShare { failed, calls: 40 });
        assert_eq!(troubles(&view, share(0), None, now), Vec::<String>::new());
        assert_eq!(
            troubles(&view, share(1), Some("the registry is out of reach"), now),
            [
                "1 of 40 calls of the last 30 s failed",
                "the registry is out of reach"
            ]
        );
    }
}

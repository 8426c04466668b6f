//! What isn't as it should be, though calls may be answered all the same: why the status page is amber.

use std::time::Instant;

use serde::Serialize;

use super::failing::Share;
use super::health::State;
use super::node::Rung;
use super::view::{FleetView, NodeView};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Good,
    Warning,
    Bad,
}

impl Level {
    /// By the word of `/health`.
    pub fn of(word: &str, troubles: &[String]) -> Level {
        match word {
            "degraded" => Level::Bad,
            "ok" | "starting" if troubles.is_empty() => Level::Good,
            _ => Level::Warning,
        }
    }
}

/// What a node's part in it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// It gets no calls, though it should.
    Missing,
    /// It gets fewer.
    Troubled,
    Fine,
}

impl Part {
    pub fn of(node: &NodeView, now: Instant) -> Part {
        let drains = node.weight.drains();
        match node.standing.state {
            // An operator's wish.
            _ if drains => Part::Fine,
            State::Unproven | State::Out(_) | State::Benched { .. } => Part::Missing,
            State::Fit { .. } if node.is_on_another_chain => Part::Missing,
            State::Fit { .. } if node.standing.rests(now) => Part::Troubled,
            State::Fit { .. } if node.load.conduct.is_suspect() => Part::Troubled,
            State::Fit { .. } => Part::Fine,
        }
    }
}

/// Each as a sentence without its end. `registry`: what is wrong with it, if something is.
pub fn troubles(
    view: &FleetView,
    failed: Option<Share>,
    registry: Option<&str>,
    now: Instant,
) -> Vec<String> {
    let of = |rung: Rung| {
        let nodes = view.nodes.iter().filter(|node| node.rung == rung);
        let nodes: Vec<_> = nodes.filter(|node| !node.weight.drains()).collect();
        let missing = nodes
            .iter()
            .filter(|node| Part::of(node, now) == Part::Missing);
        let names: Vec<_> = missing.map(|node| &*node.name).collect();
        missing_in_words(rung, nodes.len(), &names)
    };
    let missing = Rung::ALL.into_iter().filter_map(of);
    let troubled = view
        .nodes
        .iter()
        .filter(|node| Part::of(node, now) == Part::Troubled);
    let troubled = troubled.map(|node| format!("{} gets fewer calls for a while", node.name));
    let failed = failed.filter(|share| share.failed > 0);
    let failed = failed.map(Share::sentence);
    missing
        .chain(troubled)
        .chain(failed)
        .chain(registry.map(str::to_string))
        .collect()
}

fn missing_in_words(rung: Rung, count: usize, names: &[&str]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let listed = names.join(", ");
    let verb = if names.len() == 1 { "is" } else { "are" };
    let number = names.len();
    Some(match (rung, count) {
        (Rung::Leader, _) => format!("the leader is not fit: {listed}"),
        (Rung::Own, 1) => format!("the only own node is not fit: {listed}"),
        (Rung::Fallback, 1) => format!("the only fallback node is not fit: {listed}"),
        (Rung::Own | Rung::Fallback, _) => {
            let rung = rung.as_str();
            format!("{number} of {count} {rung} nodes {verb} not fit: {listed}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_is_counted_and_named() {
        let said = |rung, count, names: &[&str]| missing_in_words(rung, count, names);
        assert_eq!(said(Rung::Own, 3, &[]), None);
        assert_eq!(
            said(Rung::Own, 3, &["a"]).as_deref(),
            Some("1 of 3 own nodes is not fit: a")
        );
        assert_eq!(
            said(Rung::Fallback, 2, &["a", "b"]).as_deref(),
            Some("2 of 2 fallback nodes are not fit: a, b")
        );
        assert_eq!(
            said(Rung::Own, 1, &["a"]).as_deref(),
            Some("the only own node is not fit: a")
        );
        assert_eq!(
            said(Rung::Leader, 1, &["l"]).as_deref(),
            Some("the leader is not fit: l")
        );
    }

    #[test]
    fn amber_is_for_what_is_amiss_while_calls_are_answered() {
        let trouble = ["x".to_string()];
        assert_eq!(Level::of("ok", &[]), Level::Good);
        assert_eq!(Level::of("ok", &trouble), Level::Warning);
        assert_eq!(Level::of("fallback", &[]), Level::Warning);
        assert_eq!(Level::of("degraded", &[]), Level::Bad);
        assert_eq!(Level::of("closing", &[]), Level::Warning);
    }

    #[test]
    fn calls_that_fail_and_a_registry_out_of_reach_are_troubles() {
        let (view, now) = (FleetView::default(), crate::clock::now());
        let share = |failed| Some(Share { failed, calls: 40 });
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

//! What came of the demo's own calls: counted for the screen and for the summary.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Shares on the screen are those of this last while.
pub(super) const RECENT: Duration = Duration::from_secs(3);
/// Names remembered for [`RECENT`]; at some 40 calls a second it is never reached.
const RECENT_MAX: usize = 10_000;
/// The name under which the balancer answers without asking a node.
pub(super) const LOCAL: &str = "local";

/// What was heard of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LoadOutcome {
    /// JSON-RPC calls in it.
    pub calls: u64,
    /// Of them, those that got a result.
    pub answered: u64,
    /// Which nodes served, by the answer's header.
    pub nodes: Vec<String>,
    /// More than one node was asked.
    pub is_repeated: bool,
    /// What went wrong, for people.
    pub trouble: Option<String>,
}

/// All requests together.
#[derive(Clone, Debug, Default)]
pub(super) struct LoadTotals {
    pub calls: u64,
    pub failed: u64,
    pub batches: u64,
    pub repeated: u64,
    pub longest_pause: Duration,
    pub first_trouble: Option<String>,
    /// Answers by the name that served them; a batch counts once for each node that had a part in it.
    pub served: BTreeMap<String, u64>,
}

/// The figures as they grow.
#[derive(Debug, Default)]
pub(super) struct LoadStatistics {
    pub figures: LoadTotals,
    recent: VecDeque<(Instant, String)>,
    last_answer: Option<Instant>,
}

impl LoadStatistics {
    pub(super) fn hear(&mut self, heard: LoadOutcome, now: Instant) {
        if heard.answered > 0 {
            let before = self.last_answer.replace(now).unwrap_or(now);
            let pause = now.saturating_duration_since(before);
            self.figures.longest_pause = self.figures.longest_pause.max(pause);
        }
        for node in &heard.nodes {
            if self.recent.len() == RECENT_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back((now, node.clone()));
        }
        self.figures.count(heard);
    }

    /// Each node's part of the last while's answers, 0.0 to 1.0; none for a node that gave none.
    pub(super) fn recent_shares(&self, now: Instant) -> BTreeMap<String, f64> {
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) <= RECENT;
        let mut counts = BTreeMap::new();
        for (_, node) in self.recent.iter().rev().take_while(|(at, _)| is_recent(at)) {
            *counts.entry(node.clone()).or_default() += 1;
        }
        shares(&counts)
    }
}

impl LoadTotals {
    fn count(&mut self, heard: LoadOutcome) {
        self.calls += heard.calls;
        self.batches += u64::from(heard.calls > 1);
        self.repeated += u64::from(heard.is_repeated);
        let failed = heard.calls.saturating_sub(heard.answered);
        self.failed += failed;
        if failed > 0 && self.first_trouble.is_none() {
            self.first_trouble = heard.trouble;
        }
        for node in heard.nodes {
            *self.served.entry(node).or_default() += 1;
        }
    }

    /// Each node's part of all answers, 0.0 to 1.0; none for a node that gave none.
    pub(super) fn shares(&self) -> BTreeMap<String, f64> {
        shares(&self.served)
    }

    pub(super) fn served_by(&self, node: &str) -> u64 {
        self.served.get(node).copied().unwrap_or(0)
    }
}

/// What the balancer answers itself is no node's share.
fn shares(counts: &BTreeMap<String, u64>) -> BTreeMap<String, f64> {
    let by_nodes = counts.iter().filter(|(node, _)| *node != LOCAL);
    let sum: u64 = by_nodes.clone().map(|(_, count)| count).sum();
    by_nodes
        .map(|(node, count)| (node.clone(), *count as f64 / sum as f64))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn by(node: &str) -> LoadOutcome {
        LoadOutcome {
            calls: 1,
            answered: 1,
            nodes: vec![node.to_string()],
            ..LoadOutcome::default()
        }
    }

    #[test]
    fn shares_are_the_nodes_alone_and_of_the_last_while() {
        let start = clock::now();
        let mut tally = LoadStatistics::default();
        tally.hear(by("old"), start);
        let now = start + RECENT + Duration::from_millis(1);
        for node in ["one", "one", "one", "two", LOCAL] {
            tally.hear(by(node), now);
        }
        let shares = tally.recent_shares(now);
        assert_eq!(
            shares,
            [("one".to_string(), 0.75), ("two".to_string(), 0.25)].into()
        );
        assert_eq!(tally.figures.shares()["old"].to_bits(), 0.2_f64.to_bits());
        assert!(LoadStatistics::default().recent_shares(now).is_empty());
    }

    #[test]
    fn the_longest_pause_is_between_two_answers_and_failures_do_not_end_it() {
        let start = clock::now();
        let mut tally = LoadStatistics::default();
        tally.hear(by("one"), start);
        let failed = LoadOutcome {
            calls: 4,
            answered: 0,
            trouble: Some("HTTP 503".into()),
            ..LoadOutcome::default()
        };
        tally.hear(failed, start + Duration::from_millis(50));
        tally.hear(by("one"), start + Duration::from_millis(80));
        tally.hear(by("one"), start + Duration::from_millis(90));
        assert_eq!(tally.figures.longest_pause, Duration::from_millis(80));
        let figures = &tally.figures;
        assert_eq!((figures.calls, figures.failed, figures.batches), (7, 4, 1));
        assert_eq!(figures.first_trouble.as_deref(), Some("HTTP 503"));
    }

    #[test]
    fn a_batch_counts_for_each_node_that_had_a_part_in_it() {
        let mut tally = LoadStatistics::default();
        let batch = LoadOutcome {
            calls: 4,
            answered: 4,
            nodes: vec!["one".into(), "two".into()],
            is_repeated: true,
            trouble: None,
        };
        tally.hear(batch, clock::now());
        let figures = &tally.figures;
        assert_eq!((figures.served_by("one"), figures.served_by("two")), (1, 1));
        assert_eq!((figures.served_by("three"), figures.repeated), (0, 1));
    }
}

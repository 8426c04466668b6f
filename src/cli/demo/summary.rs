//! What the demo says at its end.

use std::time::Duration;

use crate::cli::demo::fleet::LEADER;
use crate::cli::demo::painter::{Painter, grouped, pause, percent};
use crate::cli::demo::scenario::DemoNode;
use crate::cli::demo::statistics::{LOCAL, LoadTotals};

/// Wide enough for the longest name of a figure.
const NAME_COLUMNS: usize = 34;

/// The summary, several lines with their ends; of the chain that the story is of, and the second.
pub(super) fn summary(
    [figures, second]: &[LoadTotals; 2],
    elapsed: Duration,
    ink: Painter,
) -> String {
    let mut lines = vec![ink.bold(&format!("Summary of {} seconds", elapsed.as_secs()))];
    let failed = figure("failed", &grouped(figures.failed));
    let counts = [
        figure("calls made", &grouped(figures.calls)),
        if figures.failed > 0 {
            ink.red(&failed)
        } else {
            ink.green(&failed)
        },
        figure("repeated on another node", &grouped(figures.repeated)),
        figure(
            "longest pause between two answers",
            &pause(figures.longest_pause),
        ),
    ];
    lines.extend(counts);
    lines.push(String::new());
    lines.push(ink.bold(&format!("{:<NAME_COLUMNS$}  answers   share", "Served by")));
    let shares = figures.shares();
    for name in DemoNode::ALL
        .map(DemoNode::name)
        .into_iter()
        .chain([LEADER])
    {
        let share = shares.get(name).copied().unwrap_or(0.0);
        let count = grouped(figures.served_by(name));
        lines.push(format!("{}{:>8}", figure(name, &count), percent(share)));
    }
    lines.push(figure(
        "the balancer itself (eth_chainId)",
        &grouped(figures.served_by(LOCAL)),
    ));
    let beside = format!(
        "{}, {} failed",
        grouped(second.calls),
        grouped(second.failed)
    );
    lines.push(figure("calls of the second chain", &beside));
    if figures.batches > 0 {
        lines.push(ink.dim(&format!(
            "  {} batches among them: one answer each for every node that had a part in it",
            figures.batches
        )));
    }
    lines.push(String::new());
    lines.extend(NEXT.map(String::from));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

const NEXT: [&str; 4] = [
    "Next: look through conf/pingora.yaml, write your nodes down, and start:",
    "  forebay backends add https://mainnet.infura.io/v3/YOUR-KEY --leader",
    "  forebay backends add http://10.0.0.11:8545 --weight 2",
    "  forebay serve",
];

fn figure(name: &str, value: &str) -> String {
    format!("  {name:<NAME_COLUMNS$}{value:>7}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::painter::COLUMNS;

    const PLAIN: Painter = Painter { has_colours: false };

    fn figures() -> LoadTotals {
        let served = [
            ("node-1", 600),
            ("node-2", 200),
            ("leader", 200),
            (LOCAL, 40),
        ];
        LoadTotals {
            calls: 2_481,
            batches: 12,
            repeated: 9,
            longest_pause: Duration::from_millis(61),
            served: served.map(|(name, count)| (name.to_string(), count)).into(),
            ..LoadTotals::default()
        }
    }

    #[test]
    fn it_tells_calls_failures_repeats_the_longest_pause_and_which_nodes_served() {
        let second = LoadTotals {
            calls: 2_390,
            ..LoadTotals::default()
        };
        let text = summary(&[figures(), second], Duration::from_secs(60), PLAIN);
        let words: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        for wanted in [
            "Summary of 60 seconds",
            "calls made 2,481",
            "failed 0",
            "repeated on another node 9",
            "longest pause between two answers 61 ms",
            "node-1 600 60 %",
            "node-2 200 20 %",
            "node-3 0 0 %",
            "leader 200 20 %",
            "the balancer itself (eth_chainId) 40",
            "calls of the second chain 2,390, 0 failed",
            "forebay serve",
        ] {
            assert!(words.iter().any(|line| line == wanted), "{wanted}\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS));
    }

    #[test]
    fn an_early_end_has_a_summary_as_well() {
        let none = [LoadTotals::default(), LoadTotals::default()];
        let text = summary(&none, Duration::ZERO, PLAIN);
        assert!(text.contains("Summary of 0 seconds"));
        assert!(!text.contains("NaN"), "{text}");
    }
}

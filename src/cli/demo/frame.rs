//! One frame of the terminal view: a picture as lines of text, 24 at most.

use crate::cli::demo::painter::{
    COLUMNS, Painter, grouped, minutes, pause, percent, try_it, wrapped,
};
use crate::cli::demo::screen::{
    EventOrigin, NodeRow, NodeVerdict, Screen, ScreenEvent, SecondChain, ServingNodes,
};

const BAR_COLUMNS: usize = 14;
/// Lines kept for what a chapter says, so that nothing below moves.
const CHAPTER_LINES: usize = 2;
const INDENT: &str = "      ";

/// The frame's lines, each at most [`COLUMNS`] characters wide.
pub(super) fn frame(picture: &Screen, ink: Painter) -> Vec<String> {
    let mut lines = vec![title(picture, ink), String::new()];
    lines.extend(chapter(picture, ink));
    lines.push(String::new());
    lines.push(ink.dim(&format!(
        " {:<7}{:>7}{:>12}{:>5}  {:<22}{}",
        "node", "weight", "head", "lag", "calls, last 3 s", "verdict"
    )));
    lines.extend(picture.rows.iter().map(|row| of_row(row, ink)));
    lines.push(String::new());
    lines.push(of_serving(&picture.serving, ink));
    lines.push(figures(picture, ink));
    lines.push(of_second(&picture.second, ink));
    lines.push(" Try it yourself in another terminal (Ctrl-C here ends the demo):".to_string());
    let curl = try_it(picture.address);
    lines.extend(curl.iter().map(|line| ink.cyan(&format!("   {line}"))));
    lines.push(String::new());
    lines.extend(picture.events.iter().map(|event| of_event(event, ink)));
    lines
}

fn title(picture: &Screen, ink: Painter) -> String {
    let name = " Forebay demo";
    let about = ": a balancer, three pretend nodes and a leader";
    let time = format!(
        "{} of {}",
        minutes(picture.elapsed.min(picture.length)),
        minutes(picture.length)
    );
    let used = name.len() + about.len();
    let width = COLUMNS.saturating_sub(used + 1);
    format!("{}{about}{time:>width$}", ink.bold(name))
}

fn chapter(picture: &Screen, ink: Painter) -> Vec<String> {
    let (number, count, chapter) = picture.chapter;
    let mut lines = vec![format!(
        " {number}/{count}  {}",
        ink.bold(&ink.yellow(chapter.title))
    )];
    let mut says = wrapped(chapter.says, COLUMNS - INDENT.len() - 1);
    says.resize(CHAPTER_LINES, String::new());
    lines.extend(says.iter().map(|line| format!("{INDENT}{line}")));
    lines
}

fn of_row(row: &NodeRow, ink: Painter) -> String {
    let number = |number: Option<u64>| number.map_or("-".to_string(), grouped);
    let filled = ((row.share * BAR_COLUMNS as f64).round() as usize).min(BAR_COLUMNS);
    let bar = "█".repeat(filled);
    let rest = "░".repeat(BAR_COLUMNS - filled);
    let (bar, verdict) = match &row.verdict {
        NodeVerdict::Fit => (ink.green(&bar), ink.green("fit")),
        NodeVerdict::WarmingUp(percent) => (
            ink.yellow(&bar),
            ink.yellow(&format!("fit, warming up: {percent} %")),
        ),
        NodeVerdict::Resting => (ink.yellow(&bar), ink.yellow("fit, but rests")),
        NodeVerdict::Reserve => (ink.cyan(&bar), ink.dim("fit, in reserve")),
        NodeVerdict::Fallback => (ink.cyan(&bar), ink.cyan("fit, takes the calls")),
        NodeVerdict::Unproven => (ink.dim(&bar), ink.dim("not yet asked")),
        NodeVerdict::Out(why) => (ink.red(&bar), ink.red(&format!("out: {why}"))),
    };
    format!(
        " {:<7}{:>7}{:>12}{:>5}  {bar}{}{:>6}  {verdict}",
        row.name,
        row.weight,
        number(row.head),
        number(row.lag),
        ink.dim(&rest),
        percent(row.share),
    )
}

fn of_serving(serving: &ServingNodes, ink: Painter) -> String {
    let nodes = match serving {
        ServingNodes::Own(names) => ink.green(&format!("own nodes: {}", names.join(", "))),
        ServingNodes::Leader => ink.cyan("the leader, because no own node is fit"),
        ServingNodes::NoNodes => ink.red("any node that still answers: none is fit"),
    };
    format!(" Serving now: {nodes}")
}

fn figures(picture: &Screen, ink: Painter) -> String {
    let figures = &picture.figures;
    format!(
        " {} calls, {}, {} repeated on another node; longest pause {}",
        grouped(figures.calls),
        failed(figures.failed, ink),
        grouped(figures.repeated),
        pause(figures.longest_pause)
    )
}

fn failed(calls: u64, ink: Painter) -> String {
    let failed = format!("{} failed", grouped(calls));
    match calls {
        0 => failed,
        _ => ink.red(&failed),
    }
}

fn of_second(second: &SecondChain, ink: Painter) -> String {
    let head = second.head.map_or("-".to_string(), grouped);
    format!(
        " At /second: block {head}, {} of {} nodes fit; {} calls, {}",
        second.fit,
        second.nodes,
        grouped(second.calls),
        failed(second.failed, ink)
    )
}

fn of_event(event: &ScreenEvent, ink: Painter) -> String {
    let voice = format!("{:<8}", event.voice.as_str());
    let voice = match event.voice {
        EventOrigin::Story => ink.yellow(&voice),
        EventOrigin::Balancer => ink.cyan(&voice),
    };
    format!("{:>6}  {voice} {}", minutes(event.at), event.text)
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::demo::scenario::{LENGTH_MAX, Scenario};
    use crate::cli::demo::statistics::LoadTotals;

    const PLAIN: Painter = Painter { has_colours: false };

    fn row(name: &str, head: Option<u64>, verdict: NodeVerdict, share: f64) -> NodeRow {
        NodeRow {
            name: name.to_string(),
            weight: 1,
            head,
            lag: head.map(|_| 14),
            verdict,
            share,
        }
    }

    /// A full picture `seconds` into a story of a minute.
    pub(crate) fn picture(seconds: u64) -> Screen {
        let length = Duration::from_secs(60);
        let elapsed = Duration::from_secs(seconds);
        let event = |text: &str| ScreenEvent {
            at: elapsed,
            voice: EventOrigin::Balancer,
            text: text.to_string(),
        };
        Screen {
            elapsed,
            length,
            chapter: Scenario::of(length).chapter(elapsed),
            rows: vec![
                row("node-1", Some(21_000_042), NodeVerdict::Fit, 0.5),
                row(
                    "node-2",
                    Some(21_000_028),
                    NodeVerdict::Out("14 blocks behind".into()),
                    0.0,
                ),
                row("node-3", None, NodeVerdict::WarmingUp(96), 0.5),
                row("leader", Some(21_000_042), NodeVerdict::Fallback, 0.0),
            ],
            serving: ServingNodes::Own(vec!["node-1".into(), "node-2".into(), "node-3".into()]),
            second: SecondChain {
                head: Some(30_000_000),
                fit: 2,
                nodes: 2,
                calls: 1_234_567,
                failed: 0,
            },
            figures: LoadTotals {
                calls: 123_456,
                repeated: 1_234,
                longest_pause: Duration::from_millis(999),
                ..LoadTotals::default()
            },
            events: vec![event("node-2 gets no more calls: is on another chain"); 5].into(),
            address: ([127, 0, 0, 1], 58_545).into(),
        }
    }

    #[test]
    fn every_frame_fits_a_terminal_of_80_columns_and_24_lines() {
        for second in [0, 10, 30, 45, 59] {
            let lines = frame(&picture(second), PLAIN);
            assert!(lines.len() <= 24, "{}", lines.len());
            for line in &lines {
                assert!(line.chars().count() <= COLUMNS, "{line}");
            }
        }
        let mut long = picture(59);
        (long.elapsed, long.length) = (LENGTH_MAX, LENGTH_MAX);
        assert!(frame(&long, PLAIN)[0].chars().count() <= COLUMNS);
    }

    #[test]
    fn a_row_says_head_lag_share_and_verdict() {
        let lines = frame(&picture(20), PLAIN);
        assert_eq!(
            lines[7],
            " node-1       1  21,000,042   14  ███████░░░░░░░  50 %  fit"
        );
        assert_eq!(
            lines[8],
            " node-2       1  21,000,028   14  ░░░░░░░░░░░░░░   0 %  out: 14 blocks behind"
        );
        assert_eq!(
            lines[9],
            " node-3       1           -    -  ███████░░░░░░░  50 %  fit, warming up: 96 %"
        );
    }

    #[test]
    fn the_chapter_and_the_nodes_that_serve_are_said_in_words() {
        let text = frame(&picture(20), PLAIN).join("\n");
        assert!(text.contains("2/5  A node falls behind"), "{text}");
        assert!(text.contains("Serving now: own nodes: node-1"), "{text}");
        let mut fallen = picture(45);
        fallen.serving = ServingNodes::Leader;
        let text = frame(&fallen, PLAIN).join("\n");
        assert!(text.contains("Serving now: the leader"), "{text}");
    }

    #[test]
    fn what_stands_below_a_chapter_never_moves() {
        let rows = |second| frame(&picture(second), PLAIN).len();
        assert!(
            [0, 10, 30, 45, 59]
                .map(rows)
                .iter()
                .all(|count| *count == rows(0))
        );
    }
}

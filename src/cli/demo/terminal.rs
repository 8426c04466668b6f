//! Where the demo is shown: a terminal, repainted in place, or plain lines for a pipe.

use std::io::{self, IsTerminal as _, Stdout, Write};
use std::time::Duration;

use super::frame::frame;
use crate::cli::demo::painter::{COLUMNS, Painter, grouped, minutes, percent, try_it, wrapped};
use crate::cli::demo::screen::{Screen, ScreenEvent};

/// A pipe gets a status line this often.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// A chapter's text stands below its title.
const INDENT: &str = "     ";

/// The other screen, without cursor and without breaking lines that are too long.
const OPEN: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const CLOSE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// What stdout can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputKind {
    Terminal { has_colours: bool },
    Lines,
}

impl OutputKind {
    pub(super) fn of_stdout() -> OutputKind {
        let value = |name| std::env::var(name).unwrap_or_default();
        OutputKind::of(
            io::stdout().is_terminal(),
            &value("TERM"),
            &value("NO_COLOR"),
        )
    }

    /// <https://no-color.org>: any text in NO_COLOR means no colours.
    fn of(is_terminal: bool, term: &str, no_color: &str) -> OutputKind {
        if is_terminal && term != "dumb" {
            OutputKind::Terminal {
                has_colours: no_color.is_empty(),
            }
        } else {
            OutputKind::Lines
        }
    }

    pub(super) fn ink(self) -> Painter {
        Painter {
            has_colours: self == OutputKind::Terminal { has_colours: true },
        }
    }
}

/// The place, while the demo runs. Dropping it gives the terminal back as it was.
pub(super) struct DemoTerminal {
    kind: OutputKind,
    out: Stdout,
    chapter_told: usize,
    status_told: Duration,
}

impl DemoTerminal {
    /// # Errors
    /// When stdout is closed.
    pub(super) fn open(kind: OutputKind) -> io::Result<DemoTerminal> {
        let mut out = io::stdout();
        match kind {
            OutputKind::Terminal { .. } => out.write_all(OPEN.as_bytes())?,
            OutputKind::Lines => {}
        }
        Ok(DemoTerminal {
            kind,
            out,
            chapter_told: 0,
            status_told: Duration::ZERO,
        })
    }

    /// Shows `picture`; `new` are the events since the last one.
    ///
    /// # Errors
    /// When stdout is closed.
    pub(super) fn show(&mut self, picture: &Screen, new: &[ScreenEvent]) -> io::Result<()> {
        let text = match self.kind {
            OutputKind::Terminal { .. } => painted(&frame(picture, self.kind.ink())),
            OutputKind::Lines => self.lines(picture, new),
        };
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn lines(&mut self, picture: &Screen, new: &[ScreenEvent]) -> String {
        let mut lines = Vec::new();
        let (number, count, chapter) = picture.chapter;
        if self.chapter_told == 0 {
            lines.push("The endpoint is open; try it yourself meanwhile:".to_string());
            lines.extend(try_it(picture.address).map(|line| format!("  {line}")));
        }
        if self.chapter_told != number {
            self.chapter_told = number;
            lines.push(format!("{number}/{count}  {}", chapter.title));
            let says = wrapped(chapter.says, COLUMNS - INDENT.len());
            lines.extend(says.iter().map(|line| format!("{INDENT}{line}")));
        }
        lines.extend(new.iter().map(|event| {
            let voice = event.voice.as_str();
            format!("{:>5}  {voice:<8} {}", minutes(event.at), event.text)
        }));
        if picture.elapsed >= self.status_told + STATUS_EVERY {
            self.status_told = picture.elapsed;
            lines.push(status(picture));
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for DemoTerminal {
    fn drop(&mut self) {
        match self.kind {
            // Where stdout is gone there is no terminal to give back.
            OutputKind::Terminal { .. } => {
                drop(self.out.write_all(CLOSE.as_bytes()));
                drop(self.out.flush());
            }
            OutputKind::Lines => {}
        }
    }
}

/// Each line at its own row: in a terminal with fewer rows the last ones share the lowest, and
/// nothing scrolls.
fn painted(lines: &[String]) -> String {
    let mut text: String = (1..)
        .zip(lines)
        .map(|(row, line)| format!("\x1b[{row};1H{line}\x1b[K"))
        .collect();
    text.push_str("\x1b[J");
    text
}

fn status(picture: &Screen) -> String {
    let busy = picture.rows.iter().filter(|row| row.share > 0.0);
    let shares: Vec<_> = busy
        .map(|row| format!("{} {}", row.name, percent(row.share)))
        .collect();
    format!(
        "{:>5}  {:<8} {} calls, {} failed; now served by {}",
        minutes(picture.elapsed),
        "status",
        grouped(picture.figures.calls),
        grouped(picture.figures.failed),
        shares.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::picture;
    use super::*;

    #[test]
    fn colours_need_a_terminal_and_no_objection() {
        let (plain, coloured) = (
            OutputKind::Terminal { has_colours: false },
            OutputKind::Terminal { has_colours: true },
        );
        for (is_terminal, term, no_color, kind) in [
            (true, "xterm", "", coloured),
            (true, "xterm", "1", plain),
            (true, "dumb", "", OutputKind::Lines),
            (false, "xterm", "", OutputKind::Lines),
        ] {
            assert_eq!(OutputKind::of(is_terminal, term, no_color), kind);
        }
        assert!(!OutputKind::Lines.ink().has_colours);
    }

    #[test]
    fn a_pipe_gets_chapters_and_events_once_and_a_status_line_now_and_then() {
        let mut stand = DemoTerminal::open(OutputKind::Lines).unwrap();
        let mut texts = Vec::new();
        for second in [4, 4, 5, 9] {
            let picture = picture(second);
            let new: Vec<_> = picture.events.iter().take(1).cloned().collect();
            texts.push(stand.lines(&picture, &new));
        }
        assert!(texts[0].contains("1/5  Calm"), "{}", texts[0]);
        assert!(texts[0].contains("curl -i 127.0.0.1:58545"), "{}", texts[0]);
        assert_eq!(
            texts[1],
            " 0:04  forebay  node-2 gets no more calls: is on another chain\n"
        );
        assert!(
            texts[2].ends_with(
                " 0:05  status   123,456 calls, 0 failed; now served by node-1 50 %, node-3 50 %\n"
            ),
            "{}",
            texts[2]
        );
        assert!(texts[3].contains("2/5"), "{}", texts[3]);
        assert!(!texts[3].contains("status"), "{}", texts[3]);
    }

    #[test]
    fn a_painted_frame_puts_each_line_at_its_row_and_never_scrolls() {
        let text = painted(&["a".to_string(), "b".to_string()]);
        assert_eq!(text, "\x1b[1;1Ha\x1b[K\x1b[2;1Hb\x1b[K\x1b[J");
        assert!(!text.contains('\n'));
    }
}

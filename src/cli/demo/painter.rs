//! Colours by ANSI codes, or none, and the few shapes of text that several pages share.

use std::time::Duration;

/// Every line of the demo fits into this many columns.
pub(super) const COLUMNS: usize = 80;

/// Paints, or leaves text as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Painter {
    pub has_colours: bool,
}

impl Painter {
    fn paint(self, code: &str, text: &str) -> String {
        if self.has_colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(super) fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }
}

/// `1:05`
pub(super) fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// `21,000,042`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `38 ms`, from a second on `1.2 s`.
pub(super) fn pause(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// `38 %`, of a share from 0.0 to 1.0.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Lines of at most `columns` characters, broken at spaces.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_string()),
        }
    }
    lines
}

/// A call to try by hand, on two lines. It answers a number and names the node that served.
pub(super) fn try_it(address: std::net::SocketAddr) -> [String; 2] {
    [
        format!(r"curl -i {address} -H 'content-type: application/json' \"),
        r#"  -d '{"jsonrpc":"2.0","id":1,"method":"eth_gasPrice"}'"#.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let numbers = [0, 999, 1_000, 21_000_042];
        assert_eq!(
            numbers.map(grouped),
            ["0", "999", "1,000", "21,000,042"].map(String::from)
        );
        assert_eq!(minutes(Duration::from_millis(65_900)), "1:05");
        assert_eq!(pause(Duration::from_millis(999)), "999 ms");
        assert_eq!(pause(Duration::from_secs(1)), "1.0 s");
        assert_eq!(percent(0.376), "38 %");
    }

    #[test]
    fn text_is_broken_at_its_limit_and_not_before() {
        assert_eq!(wrapped("ab cd ef", 5), ["ab cd", "ef"]);
        assert_eq!(wrapped("ab cd ef", 4), ["ab", "cd", "ef"]);
        assert!(wrapped("", 5).is_empty());
    }

    #[test]
    fn without_colours_nothing_is_added() {
        let (plain, coloured) = (
            Painter { has_colours: false },
            Painter { has_colours: true },
        );
        assert_eq!(plain.red("x"), "x");
        assert_eq!(coloured.red("x"), "\x1b[31mx\x1b[0m");
    }
}

//! What is wrong with a node that can't be probed: the reason, and words for the operator.
//!
//! The words may quote the node, and a node may repeat what it was sent: a quotation never holds
//! what stands in the node's URL after its host, nor a header's value.

use std::sync::Arc;

use crate::fleet::standing::Reason;
use crate::vocabulary::node::NodeSpec;

/// So much of an answer is quoted, in characters.
pub const QUOTED_CHARS_MAX: usize = 80;
/// Of an answer no more is looked at, in bytes.
const LOOKED_AT_BYTES_MAX: usize = 4096;
/// A shorter part of a URL or header is no secret, in bytes.
const SECRET_BYTES_MIN: usize = 6;

/// Why a probe brought no head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeFailure {
    /// Which of the reasons it is: what the metrics count it under.
    pub reason: Reason,
    /// As the node or the system said it: "HTTP 401, \"no such key\"". One line, without secrets.
    pub words: Arc<str>,
}

impl ProbeFailure {
    /// Whether a node that answers others may have met it because it has too much to do.
    pub fn may_be_overload(&self) -> bool {
        self.reason == Reason::Silent || self.words.starts_with("HTTP 503")
    }
}

/// Words of a node's whose cause is known, what it is, and where they stem from.
const HINTS: &[(&str, &str)] = &[
    // go-ethereum 1.17.10, node/rpcstack.go
    (
        "invalid host specified",
        "geth answers only to the names that its --http.vhosts lists",
    ),
    // AvalancheGo 1.14.2, api/server
    (
        "chain is not done bootstrapping",
        "the chain is still bootstrapping",
    ),
    // Go, net/http; nginx 1.22
    (
        "sent an http request to an https server",
        "its URL should begin with https",
    ),
    (
        "plain http request was sent to https port",
        "its URL should begin with https",
    ),
    // rustls 0.23
    (
        "invalidcontenttype",
        "it may speak plain HTTP: its URL should then begin with http",
    ),
];

/// What an operator may do about a node that says `words`, or answers with `status`.
pub fn hint(status: Option<u16>, words: &str) -> Option<&'static str> {
    let words = words.to_ascii_lowercase();
    let known = HINTS.iter().find(|(sign, _)| words.contains(sign));
    let by_status =
        || (status == Some(404)).then_some("the path may be wrong, or the chain isn't there yet");
    known.map(|(_, hint)| *hint).or_else(by_status)
}

/// The first words of `answer` in quotation marks, on one line, with what isn't plain escaped;
/// `None` where there are none.
pub fn quoted(answer: &[u8], node: &NodeSpec) -> Option<String> {
    let begun = &answer[..answer.len().min(LOOKED_AT_BYTES_MAX)];
    let text = without_secrets(&String::from_utf8_lossy(begun), &secrets(node));
    let mut quoted = String::new();
    let mut left = QUOTED_CHARS_MAX;
    for word in text.split_whitespace() {
        let space = if quoted.is_empty() { "" } else { " " };
        for char in space.chars().chain(word.chars()) {
            let escaped = escaped(char);
            let length = escaped.chars().count();
            if length > left {
                return Some(format!("\"{quoted}…\""));
            }
            left -= length;
            quoted.push_str(&escaped);
        }
    }
    (!quoted.is_empty()).then(|| format!("\"{quoted}\""))
}

fn escaped(char: char) -> String {
    match char {
        '"' | '\\' => format!("\\{char}"),
        ' '..='~' | '…' => char.to_string(),
        _ if char.is_alphanumeric() => char.to_string(),
        _ => char.escape_unicode().to_string(),
    }
}

/// Whatever of a node's URL after its host, and of its headers, must not be repeated: the longest
/// first.
fn secrets(node: &NodeSpec) -> Vec<String> {
    let urls = [Some(&node.url), node.ws_url.as_ref()]
        .into_iter()
        .flatten();
    let of_urls = urls.flat_map(|url| {
        let url = url.reveal();
        let query = url.query_pairs();
        let decoded = query.flat_map(|(key, value)| [key.into_owned(), value.into_owned()]);
        let whole = [url.path(), url.query().unwrap_or_default()].map(str::to_string);
        decoded.chain(whole).collect::<Vec<_>>()
    });
    let of_headers = node
        .headers
        .iter()
        .map(|(_, value)| value.reveal().to_string());
    let mut secrets: Vec<_> = of_urls
        .chain(of_headers)
        .flat_map(|text| parts(&text))
        .filter(|part| part.len() >= SECRET_BYTES_MIN)
        .collect();
    secrets.sort_unstable_by(|one, other| (other.len(), one).cmp(&(one.len(), other)));
    secrets.dedup();
    secrets
}

/// `text` itself, what stands between its slashes and the like, and its runs of plain characters:
/// however a node writes it again, escaped or encoded, the runs stay as they are.
fn parts(text: &str) -> Vec<String> {
    let between = text.split(|char: char| "/?&=;,: \t".contains(char));
    let runs = text.split(|char: char| !char.is_ascii_alphanumeric());
    let whole = std::iter::once(text.trim_matches('/'));
    let parts = whole.chain(between).chain(runs);
    parts.map(str::to_ascii_lowercase).collect()
}

fn without_secrets(text: &str, secrets: &[String]) -> String {
    let mut kept = text.to_string();
    for secret in secrets {
        // Of the same length as `kept`: only ASCII changes its case.
        let mut lower = kept.to_ascii_lowercase();
        while let Some(at) = lower.find(secret.as_str()) {
            for text in [&mut kept, &mut lower] {
                text.replace_range(at..at + secret.len(), "…");
            }
        }
        if let Some(at) = cut_off(&lower, secret) {
            kept.replace_range(at.., "…");
        }
    }
    kept
}

/// Where `text` ends within `secret`.
fn cut_off(text: &str, secret: &str) -> Option<usize> {
    let lengths = (SECRET_BYTES_MIN..secret.len()).rev();
    let mut beginnings = lengths.filter_map(|length| secret.get(..length));
    let beginning = beginnings.find(|beginning| text.ends_with(beginning))?;
    Some(text.len() - beginning.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::node::NodeRecord;

    fn node() -> NodeSpec {
        let mut record =
            NodeRecord::at("https://rpc.example/v3/0123456789abcdef/eth-main?key=Zz-Yy-Xx-99&n=5");
        let bearer = (
            "authorization".to_string(),
            "Bearer t0k3n.t0k3n".to_string(),
        );
        record.headers = [bearer].into();
        record.resolve(&|_| None).unwrap()
    }

    fn quote(answer: &str) -> Option<String> {
        quoted(answer.as_bytes(), &node())
    }

    #[test]
    fn the_first_words_are_quoted_on_one_line() {
        for (answer, wanted) in [
            ("", None),
            (" \r\n ", None),
            ("no such\r\n\tkey ", Some("\"no such key\"")),
            ("a \"b\" \\", Some(r#""a \"b\" \\""#)),
            ("\u{1b}[31mred", Some(r#""\u{1b}[31mred""#)),
            ("größe", Some("\"größe\"")),
            ("a\u{202e}b", Some(r#""a\u{202e}b""#)),
        ] {
            assert_eq!(quote(answer).as_deref(), wanted, "{answer:?}");
        }
        assert_eq!(quoted(b"\xff<", &node()).unwrap(), "\"\\u{fffd}<\"");
    }

    #[test]
    fn a_quotation_ends_at_its_limit() {
        let whole = "x".repeat(QUOTED_CHARS_MAX);
        assert_eq!(quote(&whole), Some(format!("\"{whole}\"")));
        assert_eq!(quote(&format!("{whole}y")), Some(format!("\"{whole}…\"")));
    }

    #[test]
    fn what_a_node_repeats_of_our_url_and_headers_is_taken_out() {
        for answer in [
            "no route /v3/0123456789abcdef/eth-main?key=Zz-Yy-Xx-99&n=5",
            r"no route \/v3\/0123456789abcdef\/eth-main",
            "no route %2Fv3%2F0123456789ABCDEF%2Feth-main%3Fkey%3Dzz-yy-xx-99",
            "authorization: Bearer t0k3n.t0k3n",
            "authorization: bearer T0K3N.T0K3N",
            "t0k3n.t0k",
            "0123456789abcd",
            "key Zz-Yy-X",
        ] {
            let said = quote(answer).unwrap().to_ascii_lowercase();
            for secret in ["0123456", "eth-main", "zz-yy", "t0k3n.", "bearer"] {
                assert!(!said.contains(secret), "{answer}: {said}");
            }
        }
        assert_eq!(quote("n=5 /v3 is short").unwrap(), "\"n=5 /v3 is short\"");
    }

    #[test]
    fn taking_out_ends() {
        let record = NodeRecord::at("http://node.example/aaaaaaaa");
        let node = record.resolve(&|_| None).unwrap();
        let said = quoted("a".repeat(LOOKED_AT_BYTES_MAX + 3).as_bytes(), &node).unwrap();
        assert!(said.chars().all(|char| "\"…a".contains(char)), "{said}");
    }

    #[test]
    fn a_known_cause_has_a_hint() {
        let vhosts = hint(Some(403), "Invalid host specified\n").unwrap();
        assert!(vhosts.contains("--http.vhosts"), "{vhosts}");
        let starting = "API call rejected because chain is not done bootstrapping";
        assert!(hint(Some(503), starting).unwrap().contains("bootstrapping"));
        assert!(
            hint(Some(404), "404 page not found")
                .unwrap()
                .contains("path")
        );
        assert_eq!(hint(Some(500), "oops"), None);
        assert_eq!(hint(None, "connection refused"), None);
    }
}

//! URLs in a node's own words: it may name the nodes behind it, which are no client's business.

use std::ops::Range;

use bytes::Bytes;

use crate::vocabulary::hex;

const SCHEMES: [&[u8]; 4] = [b"https", b"http", b"wss", b"ws"];
/// What follows a scheme, as JSON may write it.
const SLASHES: [&[u8]; 4] = [b"//", br"\/\/", br"\//", br"/\/"];
/// What stands for the rest of a URL.
const CUT: &str = "…";
/// So many URLs of one text are compared with the caller's own; what is beyond is cut.
const COMPARED_MAX: usize = 16;

/// A node's error with its URLs cut, where no caller is known to have written any of them.
pub fn without_urls(error: Bytes) -> Bytes {
    let text = std::str::from_utf8(&error).ok();
    let cut = text.and_then(|text| cut(text, ""));
    cut.map_or(error, Bytes::from)
}

/// `text`, JSON as written, with each URL cut to its scheme, but for those that stand in `own`, the
/// caller's params. `None`: nothing is cut.
pub fn cut(text: &str, own: &str) -> Option<String> {
    let mut out = String::new();
    let (mut from, mut at, mut compared) = (0, 0, 0);
    while let Some(url) = next(text, at) {
        at = url.end;
        compared += 1;
        if compared <= COMPARED_MAX && is_own(&text[url.clone()], own) {
            continue;
        }
        let rest = after_scheme(text, &url);
        out.push_str(&text[from..rest]);
        out.push_str(CUT);
        from = url.end;
    }
    if from == 0 {
        return None;
    }
    out.push_str(&text[from..]);
    Some(out)
}

/// The next URL from `at` on.
fn next(text: &str, mut at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    loop {
        let colon = at + memchr::memchr(b':', bytes.get(at..)?)?;
        let scheme = SCHEMES.iter().find(|scheme| {
            let start = colon.checked_sub(scheme.len());
            start.is_some_and(|start| bytes[start..colon].eq_ignore_ascii_case(scheme))
        });
        let slashes = slashes_at(bytes, colon + 1);
        if let (Some(scheme), Some(slashes)) = (scheme, slashes) {
            let start = colon - scheme.len();
            return Some(start..end(text, colon + 1 + slashes));
        }
        at = colon + 1;
    }
}

/// How long the two slashes are that stand at `at`.
fn slashes_at(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let found = SLASHES.iter().find(|slashes| rest.starts_with(slashes));
    found.map(|slashes| slashes.len())
}

/// Where what follows the slashes begins.
fn after_scheme(text: &str, url: &Range<usize>) -> usize {
    let bytes = text.as_bytes();
    let colon = memchr::memchr(b':', &bytes[url.clone()]).map_or(url.end, |at| url.start + at);
    colon + 1 + slashes_at(bytes, colon + 1).unwrap_or(0)
}

/// Where a URL ends: at white space, a quote, `<` or `>`, also where JSON writes them as escapes.
fn end(text: &str, mut at: usize) -> usize {
    while let Some(char) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let (meant, length) = match char {
            '\\' => escaped(text, at),
            char => (char, char.len_utf8()),
        };
        if meant.is_whitespace() || meant.is_control() || matches!(meant, '"' | '<' | '>') {
            return at;
        }
        at += length;
    }
    text.len()
}

/// What the escape at `at` means, and how long it is.
fn escaped(text: &str, at: usize) -> (char, usize) {
    match text.as_bytes().get(at + 1) {
        Some(b'n' | b't' | b'r' | b'f') => (' ', 2),
        Some(b'u') => {
            let digits = text.get(at + 2..at + 6);
            let code = digits.and_then(hex::digits);
            // Half of a pair is no white space.
            let code = code.and_then(|code| u32::try_from(code).ok());
            let meant = code.and_then(char::from_u32).unwrap_or('x');
            (meant, digits.map_or(2, |_| 6))
        }
        Some(byte) if byte.is_ascii() => (char::from(*byte), 2),
        Some(_) | None => ('x', 1),
    }
}

/// Whether the caller wrote `url` itself.
fn is_own(url: &str, own: &str) -> bool {
    let url = url.trim_end_matches([':', ',', '.', ';', ')']);
    own.contains(url) || (url.contains(r"\/") && own.contains(&url.replace(r"\/", "/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_ends_with_its_scheme() {
        for (text, wanted) in [
            (
                r#"{"message":"Post \"http://10.0.0.7:8551/key\": dial tcp"}"#,
                r#"{"message":"Post \"http://…\": dial tcp"}"#,
            ),
            (
                r#"see https:\/\/a.example\/b?c=d now"#,
                r#"see https:\/\/… now"#,
            ),
            ("a WSS://h/x\\nb ws://i\\tc", "a WSS://…\\nb ws://…\\tc"),
            ("cut off http://seq", "cut off http://…"),
            ("\"http://seq\"", "\"http://…\""),
            (
                r"<http://a>, \u003chttps://b/c\u0026d=e\u003e.",
                r"<http://…>, \u003chttps://…\u003e.",
            ),
            ("http://é.example/\u{3000}x", "http://…\u{3000}x"),
            ("http://", "http://…"),
            ("http://http://http://", "http://…"),
        ] {
            assert_eq!(cut(text, "").as_deref(), Some(wanted), "{text}");
        }
        for text in [
            "",
            "http:/x",
            "ftp://x",
            "a:b",
            "://",
            "https",
            "http:\\/x",
            "price: 7",
        ] {
            assert_eq!(cut(text, ""), None, "{text}");
        }
    }

    #[test]
    fn what_the_caller_wrote_itself_stays() {
        let own = r#"[{"url":"http://mine.example/a"}]"#;
        let said = r"can't load http:\/\/mine.example\/a: by http://theirs.example/b";
        let wanted = r"can't load http:\/\/mine.example\/a: by http://…";
        assert_eq!(cut(said, own).as_deref(), Some(wanted));
        assert_eq!(cut("bad URL http://mine.example/a.", own), None);
    }

    #[test]
    fn much_text_is_read_once() {
        let text = "http://a ".repeat(1 << 17);
        let own = "x".repeat(1 << 20);
        let began = crate::testing::now();
        let cut = cut(&text, &own).unwrap();
        let took = crate::testing::now().saturating_duration_since(began);
        assert_eq!(cut, "http://… ".repeat(1 << 17));
        assert!(took.as_secs() < 5, "{took:?}");
        let long = "http://".repeat(1 << 17);
        assert_eq!(super::cut(&long, &own).as_deref(), Some("http://…"));
    }

    proptest::proptest! {
        #[test]
        fn no_host_after_a_scheme_is_ever_left_and_json_stays_json(
            before in "[a-z :/\"\\\\<>é]{0,12}",
            scheme in proptest::sample::select(vec!["http", "HTTPS", "ws", "wSs"]),
            after in "[ \"<>é:/\\\\\n]{0,12}",
        ) {
            let said = format!("{before}{scheme}://secret.example/key{after}");
            let plain = serde_json::to_string(&said).unwrap();
            for json in [plain.clone(), plain.replace('/', "\\/")] {
                let cut = cut(&json, "").unwrap();
                proptest::prop_assert!(!cut.contains("secret") && !cut.contains("key"), "{cut}");
                proptest::prop_assert!(serde_json::from_str::<String>(&cut).is_ok(), "{cut}");
            }
        }
    }
}

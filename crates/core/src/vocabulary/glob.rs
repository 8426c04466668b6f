//! Globs of methods' names: `*` stands for any run of bytes.

/// The longest name or glob of a method that an operator may write, in bytes.
const METHOD_GLOB_BYTES_MAX: usize = 128;

/// Whether `text` may be a method's name or a glob.
pub fn may_be_method(text: &str) -> bool {
    let fits = !text.is_empty() && text.len() <= METHOD_GLOB_BYTES_MAX;
    fits && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether `text` is what `glob` describes; `*` stands for any run of bytes, also an empty one. Of two globs:
/// whether the first describes whatever the second does.
pub fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_written() {
        for (glob, text, wanted) in [
            ("eth_call", "eth_call", true),
            ("eth_call", "eth_callMany", false),
            ("*", "", true),
            ("eth_*", "eth_", true),
            ("*_call", "eth_call", true),
            ("e*_*l", "eth_call", true),
            ("e*z*l", "eth_call", false),
            ("a*a", "a", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(glob, text), wanted, "{glob} {text}");
        }
    }

    #[test]
    fn a_glob_covers_another_that_describes_no_more() {
        for (wide, narrow, wanted) in [
            ("*", "eth_*", true),
            ("eth_*", "eth_get*", true),
            ("eth_*", "*", false),
            ("eth_get*", "eth_*", false),
            ("*_call", "eth_*", false),
        ] {
            assert_eq!(matches(wide, narrow), wanted, "{wide} {narrow}");
        }
    }
}

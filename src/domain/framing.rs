//! Whether a request's head can be read in one way only.
//!
//! What HTTP/1.1 readers disagree on is refused (RFC 9112 §2.2, §5.2, §6.1, §6.3): a reader
//! before us that sees another message there would let a request through under our feet. Some of
//! it Pingora would mend silently, so this looks at the head as it came.

/// Judges the raw head of an HTTP/1 request, its last empty line included.
///
/// # Errors
/// What is ambiguous, in words.
pub fn check(head: &[u8]) -> Result<(), &'static str> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let request_line = carriage_return(lines.next().unwrap_or_default())?;
    let mut lengths = 0;
    let mut is_chunked = false;
    // After the last line feed there is nothing.
    for line in lines.take_while(|line| !line.is_empty()) {
        let line = carriage_return(line)?;
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err("a folded header line");
        }
        if is_named(line, b"content-length") {
            lengths += 1;
        } else if is_named(line, b"transfer-encoding") {
            is_chunked = true;
        }
    }
    match (lengths, is_chunked) {
        (1.., true) => Err("both Content-Length and Transfer-Encoding"),
        (2.., false) => Err("more than one Content-Length"),
        (_, true) if request_line.ends_with(b"HTTP/1.0") => Err("HTTP/1.0 with Transfer-Encoding"),
        _ => Ok(()),
    }
}

fn carriage_return(line: &[u8]) -> Result<&[u8], &'static str> {
    match line.strip_suffix(b"\r") {
        Some(line) if !line.contains(&b'\r') => Ok(line),
        Some(_) => Err("a carriage return inside a line"),
        None => Err("a line feed without a carriage return"),
    }
}

fn is_named(line: &[u8], name: &[u8]) -> bool {
    let rest = line.get(name.len()..).unwrap_or_default();
    let named = line
        .get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name));
    named && matches!(rest.first(), Some(b':' | b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judged(lines: &str) -> Result<(), &'static str> {
        check(format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes())
    }

    #[test]
    fn a_head_with_one_meaning_passes() {
        for lines in [
            "",
            "Content-Length: 1\r\n",
            "Transfer-Encoding: chunked\r\n",
            "content-lengths: 1\r\ncontent-length:2\r\n",
        ] {
            assert_eq!(judged(lines), Ok(()), "{lines}");
        }
    }

    #[test]
    fn a_head_with_two_meanings_does_not() {
        for lines in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "content-length: 1\r\nCONTENT-LENGTH: 1\r\n",
            "Content-Length: 1\r\ncontent-length: 2\r\n",
            "A: b\n",
            "A: b\r\n c\r\n",
            "A: b\r\n\tc\r\n",
            "A: b\rc: d\r\n",
        ] {
            assert!(judged(lines).is_err(), "{lines:?}");
        }
        assert!(check(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(check(b"POST / HTTP/1.1\nHost: a\r\n\r\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(head in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&head);
        }
    }
}

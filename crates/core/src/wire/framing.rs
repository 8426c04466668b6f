//! Whether a request's head can be read in one way only.
//!
//! What HTTP/1.1 readers disagree on is refused (RFC 9112 §2.2, §5.2, §6.1, §6.3): a reader
//! before us that sees another message there would let a request through under our feet.

/// What the headers of a request say of where its body ends, before it is weighed.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestFields {
    lengths: u32,
    length: u64,
    codings: u32,
}

/// Where a request's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyExtent {
    /// There is no body.
    Nothing,
    /// After this many bytes.
    Length(u64),
    /// With the last chunk (RFC 9112, §7.1).
    Chunked,
}

impl RequestFields {
    /// Takes note of a `Content-Length`.
    ///
    /// # Errors
    /// One that is no number, or more than can be counted.
    pub fn length(&mut self, value: &[u8]) -> Result<(), &'static str> {
        self.lengths += 1;
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err("a Content-Length that is no number");
        }
        let digits = std::str::from_utf8(value).unwrap_or_default();
        self.length = (digits.parse()).map_err(|_| "a Content-Length beyond counting")?;
        Ok(())
    }

    /// Takes note of a `Transfer-Encoding`.
    ///
    /// # Errors
    /// Any but `chunked` alone.
    pub fn coding(&mut self, value: &[u8]) -> Result<(), &'static str> {
        self.codings += 1;
        if value.eq_ignore_ascii_case(b"chunked") {
            Ok(())
        } else {
            Err("a Transfer-Encoding that is not chunked alone")
        }
    }

    /// Weighs them all.
    ///
    /// # Errors
    /// What is ambiguous, in words.
    pub fn judge(self, is_http_1_0: bool) -> Result<BodyExtent, &'static str> {
        match (self.lengths, self.codings) {
            (1.., 1..) => Err("both Content-Length and Transfer-Encoding"),
            (2.., 0) => Err("more than one Content-Length"),
            (0, 2..) => Err("more than one Transfer-Encoding"),
            (0, 1) if is_http_1_0 => Err("HTTP/1.0 with Transfer-Encoding"),
            (0, 1) => Ok(BodyExtent::Chunked),
            (1, 0) if self.length > 0 => Ok(BodyExtent::Length(self.length)),
            (0 | 1, 0) => Ok(BodyExtent::Nothing),
        }
    }
}

/// Judges the raw head of an HTTP/1 request, its last empty line included.
///
/// # Errors
/// What is ambiguous, in words.
pub fn check(head: &[u8]) -> Result<(), &'static str> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let request_line = carriage_return(lines.next().unwrap_or_default())?;
    let mut fields = RequestFields::default();
    // After the last line feed there is nothing.
    for line in lines.take_while(|line| !line.is_empty()) {
        let line = carriage_return(line)?;
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err("a folded header line");
        }
        if let Some(value) = value_of(line, b"content-length") {
            fields.length(value)?;
        } else if let Some(value) = value_of(line, b"transfer-encoding") {
            fields.coding(value)?;
        }
    }
    fields.judge(request_line.ends_with(b"HTTP/1.0")).map(drop)
}

fn carriage_return(line: &[u8]) -> Result<&[u8], &'static str> {
    match line.strip_suffix(b"\r") {
        Some(line) if !line.contains(&b'\r') => Ok(line),
        Some(_) => Err("a carriage return inside a line"),
        None => Err("a line feed without a carriage return"),
    }
}

/// The value of a header line of this name (in lower case), without the blanks around it. A blank
/// before the colon makes it no less ours to judge.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    if !start.eq_ignore_ascii_case(name) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    rest.strip_prefix(b":").map(<[u8]>::trim_ascii)
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
            "Content-Length: 18446744073709551615\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding:\tChunked \r\n",
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
            "Content-Length : 1\r\ncontent-length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
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

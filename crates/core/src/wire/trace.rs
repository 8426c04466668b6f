//! What follows a call from one program to the next: the client's request id, and the trace that
//! the call is a part of.

/// The longest request id, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// A client's request id, if it may stand in a line of the log and in a header: letters, digits and
/// the marks that ids are made of.
pub fn request_id(value: &[u8]) -> Option<&str> {
    let is_clean = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(byte);
    let fits = (1..=REQUEST_ID_BYTES_MAX).contains(&value.len()) && value.iter().all(is_clean);
    std::str::from_utf8(value).ok().filter(|_| fits)
}

/// A request id of our own, of 128 bits of chance.
pub fn new_request_id(chance: [u64; 2]) -> String {
    format!("{:016x}{:016x}", chance[0], chance[1])
}

/// `traceparent` of W3C's Trace Context (§3.2), valid and as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent([u8; TRACE_PARENT_BYTES]);

/// Version 00 has this length; what a later one appends is not passed on.
const TRACE_PARENT_BYTES: usize = 55;

impl TraceParent {
    /// `None` for anything but `VERSION-TRACE-PARENT-FLAGS` in lower-case hexadecimal, for version
    /// ff, and for a trace or parent of zeros alone.
    pub fn read(value: &[u8]) -> Option<TraceParent> {
        let (bytes, rest) = value.split_first_chunk::<TRACE_PARENT_BYTES>()?;
        let bytes = *bytes;
        let may_have_more = !bytes.starts_with(b"00") && rest.starts_with(b"-");
        if !rest.is_empty() && !may_have_more {
            return None;
        }
        let is_dash = |at: usize| bytes[at] == b'-';
        let is_hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
        let (version, trace) = (&bytes[0..2], &bytes[3..35]);
        let (parent, flags) = (&bytes[36..52], &bytes[53..55]);
        let is_whole = [2, 35, 52].into_iter().all(is_dash)
            && [version, trace, parent, flags].into_iter().all(is_hex);
        let is_valid = is_whole && version != b"ff" && !is_zero(trace) && !is_zero(parent);
        is_valid.then_some(TraceParent(bytes))
    }

    /// The beginning of a trace of our own, that is recorded.
    pub fn new(trace: [u64; 2], span: u64) -> TraceParent {
        let mut parent = TraceParent([b'0'; TRACE_PARENT_BYTES]);
        for dash in [2, 35, 52] {
            parent.0[dash] = b'-';
        }
        write_hex(&mut parent.0[3..19], trace[0]);
        // An id of zeros alone would be none.
        write_hex(&mut parent.0[19..35], trace[1].max(1));
        parent.0[54] = b'1';
        parent.with_span(span)
    }

    /// The same trace with another span as the parent of what follows, in the version that we
    /// write (§3.2.2.1: 00).
    pub fn with_span(&self, span: u64) -> TraceParent {
        let mut parent = *self;
        parent.0[..2].copy_from_slice(b"00");
        write_hex(&mut parent.0[36..52], span.max(1));
        parent
    }

    /// The header's value: version, trace, span and flags with dashes between them, in lower case.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// 32 digits.
    pub fn trace_id(&self) -> &str {
        self.part(3..35)
    }

    /// 16 digits.
    pub fn span_id(&self) -> &str {
        self.part(36..52)
    }

    /// Whether the caller records the trace (§3.2.2.3.1).
    pub fn is_sampled(&self) -> bool {
        matches!(
            self.0[54],
            b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f'
        )
    }

    /// All of it is ASCII.
    fn part(&self, range: std::ops::Range<usize>) -> &str {
        let digits = self.0.get(range).unwrap_or_default();
        std::str::from_utf8(digits).unwrap_or_default()
    }
}

fn write_hex(digits: &mut [u8], number: u64) {
    for (at, digit) in digits.iter_mut().rev().enumerate() {
        let nibble = (number >> (4 * at)) & 0xf;
        *digit = b"0123456789abcdef"[nibble as usize];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_request_id_is_bounded_and_harmless() {
        let longest = "x".repeat(REQUEST_ID_BYTES_MAX);
        for good in [
            "a",
            "550e8400-e29b-41d4-a716",
            "Root=1-67:a/b+c=@d~",
            &longest,
        ] {
            assert_eq!(request_id(good.as_bytes()), Some(good));
        }
        let longer = format!("{longest}x");
        for bad in ["", "a b", "a\"b", "a\\b", "a\nb", "é", "{}", "a,b", &longer] {
            assert_eq!(request_id(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(request_id(&[0xff]), None);
    }

    #[test]
    fn an_id_of_ours_is_one_that_we_would_take() {
        let id = new_request_id([1, u64::MAX]);
        assert_eq!(id, "0000000000000001ffffffffffffffff");
        assert_eq!(request_id(id.as_bytes()), Some(&*id));
    }

    #[test]
    fn a_valid_trace_is_kept_byte_for_byte() {
        let trace = TraceParent::read(VALID.as_bytes()).unwrap();
        assert_eq!(trace.as_bytes(), VALID.as_bytes());
        let later = VALID.replacen("00", "cc", 1);
        assert!(TraceParent::read(later.as_bytes()).is_some());
    }

    #[test]
    fn a_trace_goes_on_under_another_span() {
        let trace = TraceParent::read(VALID.as_bytes()).unwrap();
        assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.span_id(), "00f067aa0ba902b7");
        let text = |parent: TraceParent| String::from_utf8(parent.as_bytes().to_vec()).unwrap();
        assert_eq!(
            text(trace.with_span(0x1234)),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000001234-01"
        );
        let later = TraceParent::read(VALID.replacen("00", "cc", 1).as_bytes()).unwrap();
        assert!(text(later.with_span(1)).starts_with("00-"));
        for (flags, is_sampled) in [("00", false), ("01", true), ("02", false), ("ff", true)] {
            let value = VALID.replace("-01", &format!("-{flags}"));
            let trace = TraceParent::read(value.as_bytes()).unwrap();
            assert_eq!(trace.is_sampled(), is_sampled, "{flags}");
            assert!(text(trace.with_span(1)).ends_with(flags));
        }
    }

    #[test]
    fn a_trace_of_ours_is_one_that_we_would_take() {
        for (trace, span) in [([1, u64::MAX], 7), ([0, 0], 0)] {
            let ours = TraceParent::new(trace, span);
            assert_eq!(TraceParent::read(ours.as_bytes()), Some(ours));
            assert!(ours.is_sampled());
        }
        let ours = TraceParent::new([1, u64::MAX], 7);
        assert_eq!(ours.trace_id(), "0000000000000001ffffffffffffffff");
    }

    #[test]
    fn of_a_later_version_what_is_known_is_read() {
        let later = VALID.replacen("00", "01", 1);
        let read = TraceParent::read(format!("{later}-more").as_bytes());
        assert_eq!(read, TraceParent::read(later.as_bytes()));
        assert!(read.is_some());
    }

    #[test]
    fn a_trace_that_breaks_the_standard_is_none() {
        for bad in [
            String::new(),
            format!("{VALID}-"),
            format!("{VALID}-more"),
            format!("{VALID}more").replacen("00", "01", 1),
            format!("{VALID} "),
            VALID[..54].to_string(),
            VALID.to_uppercase(),
            VALID.replacen("00", "ff", 1),
            VALID.replace('-', "_"),
            VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
            VALID.replace("-01", "-0g"),
            VALID.replace("-01", "\r\n1"),
        ] {
            assert_eq!(TraceParent::read(bad.as_bytes()), None, "{bad:?}");
        }
    }
}

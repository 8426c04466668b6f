//! The frames of a client's HTTP/2 connection, seen as they pass: how long a head takes with all its
//! CONTINUATIONs, and how many frames do nothing (RFC 9113 §4.1, §10.5).
//!
//! Only the heads of frames are read; what they carry is the codec's.

use std::time::{Duration, Instant};

use crate::vocabulary::rate_limit::TokenBucket;

/// A head must be there this long after it began, as over HTTP/1.1.
pub const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// Frames that do nothing, in a second, beyond those that work has earned.
pub const IDLE_FRAMES_MAX: u32 = 1000;
/// So many of them go with each request: windows opened, a priority, a reset, a ping.
const EARNED_BY_REQUEST: u32 = 8;
/// One goes with so many bytes that a client is sent: it opens two windows for them.
const BYTES_THAT_EARN: usize = 2 << 10;
/// What can be earned and not yet used.
const EARNED_MAX: u32 = 100_000;

/// What every connection begins with (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
/// The head of a frame, and how much of it is padding.
const NOTED_BYTES: usize = HEAD_BYTES + 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// More CONTINUATIONs than the codec takes of a head of 64 KiB: it then ends the connection.
const TOO_MANY: usize = 6;

/// Where in its frames a connection is.
#[derive(Debug)]
pub struct Http2Frames {
    preface_left: usize,
    noted: [u8; NOTED_BYTES],
    known: usize,
    /// Of the frame at hand, in bytes.
    left: usize,
    /// The stream whose head is not whole yet, and since when.
    open: Option<[u8; 4]>,
    began_at: Option<Instant>,
    budget: FrameBudget,
    is_over: bool,
}

/// Frames that do nothing are paid for by time, and by those that do something.
#[derive(Debug)]
struct FrameBudget {
    bucket: TokenBucket,
    earned: u32,
    /// Bytes written that have earned nothing yet.
    written: usize,
}

impl Http2Frames {
    /// Of a connection made at `now`, of which no byte was read: the preface comes first (RFC 9113, §3.4).
    pub fn new(now: Instant) -> Http2Frames {
        Http2Frames {
            preface_left: PREFACE_BYTES,
            noted: [0; NOTED_BYTES],
            known: 0,
            left: 0,
            open: None,
            began_at: None,
            budget: FrameBudget {
                bucket: TokenBucket::new(IDLE_FRAMES_MAX, now),
                earned: 0,
                written: 0,
            },
            is_over: false,
        }
    }

    /// Looks at the next bytes that came. `Some`: the connection is to end after so many of them,
    /// where a frame ends, with [`Http2Frames::last_words`]. `now` is asked for only where it matters.
    pub fn read(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> Option<usize> {
        let whole = bytes.len();
        loop {
            if self.is_over && self.is_between() {
                return Some(whole - bytes.len());
            }
            if bytes.is_empty() {
                break;
            }
            bytes = self.take(bytes, &now);
        }
        if self.open.is_some() && self.began_at.is_none() {
            self.began_at = Some(now());
        }
        None
    }

    /// Takes some bytes off the front: of the preface, of a frame's head, or what it carries.
    fn take<'b>(&mut self, bytes: &'b [u8], now: &impl Fn() -> Instant) -> &'b [u8] {
        if self.preface_left > 0 {
            let taken = self.preface_left.min(bytes.len());
            self.preface_left -= taken;
            return &bytes[taken..];
        }
        if self.left > 0 {
            let taken = self.left.min(bytes.len());
            self.left -= taken;
            self.end_head();
            return &bytes[taken..];
        }
        self.noted[self.known] = bytes[0];
        self.known += 1;
        if self.known == self.noted_bytes() {
            let now_known = self.known - HEAD_BYTES;
            self.left = self.carries().saturating_sub(now_known);
            self.begin(now);
            self.known = 0;
            self.end_head();
        }
        &bytes[1..]
    }

    /// How much of the frame is noted: of DATA that is padded, how much of it is padding, too.
    fn noted_bytes(&self) -> usize {
        let is_padded = self.known >= HEAD_BYTES
            && self.kind() == DATA
            && self.flags() & PADDED != 0
            && self.carries() > 0;
        if is_padded { NOTED_BYTES } else { HEAD_BYTES }
    }

    fn kind(&self) -> u8 {
        self.noted[3]
    }

    fn flags(&self) -> u8 {
        self.noted[4]
    }

    fn carries(&self) -> usize {
        let [high, middle, low, ..] = self.noted;
        usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)
    }

    /// A frame begins, whose head is known.
    fn begin(&mut self, now: &impl Fn() -> Instant) {
        let (kind, flags) = (self.kind(), self.flags());
        let works = match kind {
            HEADERS => true,
            CONTINUATION => self.carries() > 0,
            DATA => self.data_bytes() > 0 || flags & END_STREAM != 0,
            _ => false,
        };
        if kind == HEADERS {
            self.budget.earn(EARNED_BY_REQUEST);
            let [.., a, b, c, d, _] = self.noted;
            self.open = Some([a, b, c, d]);
        }
        self.is_over |= !works && !self.budget.spend(now);
    }

    fn data_bytes(&self) -> usize {
        let carries = self.carries();
        if self.known <= HEAD_BYTES {
            return carries;
        }
        let padding = usize::from(self.noted[HEAD_BYTES]);
        carries.saturating_sub(1 + padding)
    }

    /// Notes that the frame at hand is all there, if it is.
    fn end_head(&mut self) {
        let ends = matches!(self.kind(), HEADERS | CONTINUATION) && self.flags() & END_HEADERS != 0;
        if self.left == 0 && ends {
            (self.open, self.began_at) = (None, None);
        }
    }

    /// So many bytes were sent to the client.
    pub fn wrote(&mut self, bytes: usize) {
        let written = self.budget.written + bytes;
        self.budget.written = written % BYTES_THAT_EARN;
        let earned = u32::try_from(written / BYTES_THAT_EARN).unwrap_or(EARNED_MAX);
        self.budget.earn(earned);
    }

    /// When the head at hand must be there.
    pub fn deadline(&self) -> Option<Instant> {
        self.began_at.map(|began_at| began_at + HEAD_TIME_MAX)
    }

    /// Whether no frame is at hand.
    pub fn is_between(&self) -> bool {
        self.known == 0 && self.left == 0 && self.preface_left == 0
    }

    /// Frames over which a codec ends a connection in order, as one that does more than it should
    /// (ENHANCE_YOUR_CALM): a head that goes on with nothing. To be read between two frames.
    pub fn last_words(&self) -> Vec<u8> {
        let frame = |kind: u8, stream: [u8; 4]| {
            let [a, b, c, d] = stream;
            [0, 0, 0, kind, 0, a, b, c, d]
        };
        let first = [0, 0, 0, 1];
        let opening = self.open.is_none().then(|| frame(HEADERS, first));
        let rest = frame(CONTINUATION, self.open.unwrap_or(first));
        let frames = opening.into_iter().chain([rest; TOO_MANY]);
        frames.flatten().collect()
    }
}

impl FrameBudget {
    fn earn(&mut self, frames: u32) {
        self.earned = (self.earned + frames).min(EARNED_MAX);
    }

    fn spend(&mut self, now: &impl Fn() -> Instant) -> bool {
        if self.earned > 0 {
            self.earned -= 1;
            return true;
        }
        self.bucket.take(now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PRIORITY: u8 = 2;
    const WINDOW_UPDATE: u8 = 8;
    const UNKNOWN: u8 = 0xee;

    fn frame(kind: u8, flags: u8, carried: &[u8]) -> Vec<u8> {
        let bytes = u32::try_from(carried.len()).unwrap().to_be_bytes();
        let head = [bytes[1], bytes[2], bytes[3], kind, flags, 0, 0, 0, 5];
        [&head, carried].concat()
    }

    fn begun(now: Instant) -> Http2Frames {
        let mut frames = Http2Frames::new(now);
        assert_eq!(frames.read(&[b'x'; PREFACE_BYTES], || now), None);
        frames
    }

    fn ends(frames: &mut Http2Frames, bytes: &[u8], now: Instant) -> bool {
        frames.read(bytes, || now).is_some()
    }

    #[test]
    fn so_many_frames_that_do_nothing_pass_in_a_second_and_not_one_more() {
        let now = crate::testing::now();
        for idle in [
            frame(DATA, 0, b""),
            frame(DATA, PADDED, &[3, 0, 0, 0]),
            frame(CONTINUATION, 0, b""),
            frame(PRIORITY, 0, &[0; 5]),
            frame(WINDOW_UPDATE, 0, &[0; 4]),
            frame(UNKNOWN, 0xff, b"anything"),
        ] {
            let mut frames = begun(now);
            let mut passed = 0;
            while !ends(&mut frames, &idle, now) {
                passed += 1;
            }
            assert_eq!(passed, IDLE_FRAMES_MAX, "{idle:?}");
            let mut frames = begun(now);
            let many = idle.repeat(2000);
            let end = frames.read(&many, || now).unwrap();
            assert_eq!(end, idle.len() * (IDLE_FRAMES_MAX as usize + 1));
            assert_eq!(end % idle.len(), 0, "where a frame ends");
        }
    }

    #[test]
    fn an_honest_client_of_ten_thousand_calls_a_second_never_meets_it() {
        let now = crate::testing::now();
        let mut frames = begun(now);
        for _ in 0..100_000 {
            let bytes = [
                frame(HEADERS, END_HEADERS, b"head"),
                frame(DATA, 0, b"body"),
                frame(DATA, END_STREAM, b""),
                frame(WINDOW_UPDATE, 0, &[0; 4]).repeat(4),
                frame(3, 0, &[0; 4]),
            ];
            assert!(!ends(&mut frames, &bytes.concat(), now));
        }
    }

    #[test]
    fn a_client_that_takes_a_long_answer_may_open_its_windows_for_every_piece() {
        let now = crate::testing::now();
        let mut frames = begun(now);
        let windows = frame(WINDOW_UPDATE, 0, &[0; 4]).repeat(2);
        for _ in 0..100_000 {
            frames.wrote(4 << 10);
            assert!(!ends(&mut frames, &windows, now));
        }
    }

    #[test]
    fn a_head_has_its_time_from_its_first_frame_to_the_end_of_its_last() {
        let now = crate::testing::now();
        let later = now + Duration::from_secs(3);
        let mut frames = begun(now);
        ends(&mut frames, &frame(HEADERS, END_HEADERS, b"abc"), now);
        assert_eq!(frames.deadline(), None, "it is whole");
        ends(&mut frames, &frame(HEADERS, 0, b"abc"), now);
        assert_eq!(frames.deadline(), Some(now + HEAD_TIME_MAX));
        ends(&mut frames, &frame(CONTINUATION, 0, b"abc"), later);
        let last = frame(CONTINUATION, END_HEADERS, b"abc");
        ends(&mut frames, &last[..last.len() - 1], later);
        assert_eq!(frames.deadline(), Some(now + HEAD_TIME_MAX));
        ends(&mut frames, &last[last.len() - 1..], later);
        assert_eq!(frames.deadline(), None);
        let dribbled = frame(HEADERS, END_HEADERS, b"abc");
        ends(&mut frames, &dribbled[..10], later);
        assert_eq!(frames.deadline(), Some(later + HEAD_TIME_MAX));
        assert!(!frames.is_between());
    }

    #[test]
    fn the_last_words_go_on_with_the_head_at_hand() {
        let now = crate::testing::now();
        let mut frames = begun(now);
        assert_eq!(frames.last_words()[3], HEADERS);
        ends(&mut frames, &frame(HEADERS, 0, b"abc"), now);
        let words = frames.last_words();
        assert_eq!((words[3], words[8]), (CONTINUATION, 5));
        assert_eq!(words.len(), TOO_MANY * HEAD_BYTES);
    }

    proptest! {
        #[test]
        fn however_frames_are_cut_they_tell_the_same(
            kinds in proptest::collection::vec((0..12u8, any::<u8>(), 0..40usize), 1..60),
            cut in 1..50usize,
        ) {
            let now = crate::testing::now();
            let bytes: Vec<u8> = kinds
                .iter()
                .flat_map(|(kind, flags, carried)| frame(*kind, *flags, &vec![0; *carried]))
                .collect();
            let mut whole = begun(now);
            let end = whole.read(&bytes, || now);
            let mut pieces = begun(now);
            prop_assert_eq!(end, None);
            for piece in bytes.chunks(cut) {
                prop_assert_eq!(pieces.read(piece, || now), None);
            }
            prop_assert_eq!(whole.deadline(), pieces.deadline());
            prop_assert!(whole.is_between() && pieces.is_between());
            prop_assert_eq!(whole.budget.earned, pieces.budget.earned);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let now = crate::testing::now();
            begun(now).read(&bytes, || now);
        }
    }
}

//! Calls that go to a node together, in a batch of our own: how many, how they are written,
//! and what the node's answer says to each of them.
//!
//! A node owes each call one answer, with the call's id, in any order. What is missing or stands
//! twice is a fault of the node's; what speaks against the batch as such, and not against its
//! calls, is none: they are asked again one by one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::answer::{Answer, MARK, Outcome, RpcError};
use crate::json::grammar::Scanner;
use crate::rpc::answer::AnswerFault;
use crate::rpc::classify::{self, AttemptClass, Blame, Meaning, Overload, Verdict};
use crate::rpc::envelope::{UpstreamCallId, numbered};

/// Calls in one batch for a node: as many as Erigon takes.
pub const CALLS_MAX: usize = 100;
/// Bytes of one: nginx before a node takes 1 MiB.
pub const BODY_BYTES_MAX: usize = 512 << 10;
/// Bytes of the answer to one; where it would be longer, the calls go one by one.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// geth answers the calls of a batch one after the other: all of them are to take no more than this
/// part of the time that an attempt has.
const TIME_PART: u32 = 2;
/// A node that refused a batch is sent none for this long.
pub const REFUSAL_LASTS: Duration = Duration::from_secs(600);
/// One that failed over a batch, perhaps because of a single call in it, for this long.
pub const TROUBLE_LASTS: Duration = Duration::from_secs(60);

/// How many calls go together to a node whose answers take `latency`, of `attempt` that they have.
pub fn calls_max(latency: Option<Duration>, attempt: Duration) -> usize {
    let micros = latency.map_or(0, |latency| latency.as_micros());
    let fits = (attempt / TIME_PART).as_micros().checked_div(micros);
    let fits = fits.and_then(|fits| usize::try_from(fits).ok());
    fits.unwrap_or(CALLS_MAX).clamp(1, CALLS_MAX)
}

/// The batch as a node gets it, from calls as they would go alone: they have ids one after the
/// other, from `first` on.
pub fn written<'a>(
    calls: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    first: UpstreamCallId,
) -> Vec<u8> {
    let bytes: usize = calls.clone().map(<[u8]>::len).sum();
    let mut out = Vec::with_capacity(bytes + (UpstreamCallId::DIGITS_MAX + 1) * calls.len() + 2);
    let mut number = itoa::Buffer::new();
    for (at, call) in (0u64..).zip(calls) {
        out.push(if at == 0 { b'[' } else { b',' });
        for part in numbered(call, first.after(at).write(&mut number)) {
            out.extend_from_slice(part);
        }
    }
    out.push(b']');
    out
}

/// What becomes of one call.
#[derive(Clone, Debug)]
pub enum MemberOutcome<'a> {
    /// As if it had come alone.
    Answered(Verdict, Answer<'a>),
    /// It got no answer of its own.
    Unanswered(Verdict),
    /// The answer to all of them together was too long; that to each of them may not be. It is asked again, alone.
    TooLarge(Verdict),
    /// It is asked again, alone, as if it hadn't been asked.
    Alone,
}

impl MemberOutcome<'_> {
    /// What the attempt came to for the call; `None`: it made none.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            MemberOutcome::Answered(verdict, _)
            | MemberOutcome::Unanswered(verdict)
            | MemberOutcome::TooLarge(verdict) => Some(*verdict),
            MemberOutcome::Alone => None,
        }
    }

    /// The same, to be told whether the node had too much to do.
    pub fn verdict_mut(&mut self) -> Option<&mut Verdict> {
        match self {
            MemberOutcome::Answered(verdict, _)
            | MemberOutcome::Unanswered(verdict)
            | MemberOutcome::TooLarge(verdict) => Some(verdict),
            MemberOutcome::Alone => None,
        }
    }

    /// Whether a single call may have spoilt it for all of them.
    pub fn is_spoilt(&self) -> bool {
        let MemberOutcome::Unanswered(verdict) = self else {
            return false;
        };
        let spoils = matches!(
            verdict.class,
            AttemptClass::Timeout | AttemptClass::Transport | AttemptClass::BadAnswer
        );
        spoils && verdict.overload != Some(Overload::Refused)
    }
}

/// What a node's answer to a batch comes to.
#[derive(Clone, Debug)]
pub struct BatchVerdict<'a> {
    /// One for each call, in their order.
    pub outcomes: Vec<MemberOutcome<'a>>,
    /// The node wants no such batches.
    pub refuses: bool,
    /// Some of it answers none of the calls, or one of them twice.
    pub is_mixed_up: bool,
}

impl<'a> BatchVerdict<'a> {
    /// The same for each of so many calls.
    pub fn of_all(outcome: MemberOutcome<'a>, calls: usize) -> BatchVerdict<'a> {
        BatchVerdict {
            outcomes: vec![outcome; calls],
            refuses: false,
            is_mixed_up: false,
        }
    }

    /// How long the node is sent no batches from now on.
    pub fn refused_for(&self) -> Option<Duration> {
        if self.refuses {
            return Some(REFUSAL_LASTS);
        }
        let is_trouble = self.outcomes.iter().all(MemberOutcome::is_spoilt);
        is_trouble.then_some(TROUBLE_LASTS)
    }

    /// Which call answers for the node's fault: one fault is not as many as there were calls.
    pub fn charged(&self) -> Option<usize> {
        let is_fault = |verdict: Verdict| verdict.blame() == Blame::Fault;
        let mut outcomes = self.outcomes.iter();
        outcomes.position(|outcome| outcome.verdict().is_some_and(is_fault))
    }
}

/// Judges what came with `status`, to a batch of so many calls whose ids begin with `first`.
pub fn judge(
    body: &[u8],
    status: u16,
    rest: Option<Duration>,
    (first, calls): (UpstreamCallId, usize),
) -> BatchVerdict<'_> {
    match read(body, first, calls) {
        Ok(said) => said.judge(status, rest),
        Err(_) if is_about_batch(status) => BatchVerdict {
            refuses: true,
            ..BatchVerdict::of_all(MemberOutcome::Alone, calls)
        },
        Err(bad) => {
            let verdict = classify::of_body(status, rest, body).unwrap_or(bad.into());
            BatchVerdict {
                is_mixed_up: bad == AnswerFault::WrongId,
                ..BatchVerdict::of_all(MemberOutcome::Unanswered(verdict), calls)
            }
        }
    }
}

/// Whether a status finds fault with what was sent, rather than with the sender or with the node.
fn is_about_batch(status: u16) -> bool {
    matches!(status, 400..=499 | 501) && !matches!(status, 401..=403 | 408 | 429)
}

/// What a node said, as it stands.
#[derive(Debug)]
struct BatchAnswer<'a> {
    first: UpstreamCallId,
    slots: Vec<AnswerSlot<'a>>,
    is_mixed_up: bool,
    /// An error that names no call.
    stray: Option<RpcError<'a>>,
}

#[derive(Clone, Debug)]
enum AnswerSlot<'a> {
    Empty,
    Once(Answer<'a>),
    Twice,
}

/// Takes the answer to a batch of `calls` apart: an array, or an error in place of one.
fn read(body: &[u8], first: UpstreamCallId, calls: usize) -> Result<BatchAnswer<'_>, AnswerFault> {
    let mut said = BatchAnswer {
        first,
        slots: vec![AnswerSlot::Empty; calls],
        is_mixed_up: false,
        stray: None,
    };
    let mut scanner = Scanner::after(MARK, std::str::from_utf8(body)?);
    if scanner.peek() == Some(b'[') {
        scanner.array(|scanner| said.hear(scanner))?;
        scanner.end()?;
        return Ok(said);
    }
    let (answer, _) = Answer::take(&mut scanner)?;
    scanner.end()?;
    match answer.outcome {
        Outcome::Error(error) => {
            said.stray = Some(error);
            Ok(said)
        }
        Outcome::Result(_) => Err(AnswerFault::WrongId),
    }
}

impl<'a> BatchAnswer<'a> {
    /// Hears one element. What is no answer to any call says nothing of those that are.
    fn hear(&mut self, scanner: &mut Scanner<'a>) -> Result<(), AnswerFault> {
        let (answer, id) = match Answer::take(scanner) {
            Ok(read) => read,
            Err(AnswerFault::NotJson) => return Err(AnswerFault::NotJson),
            Err(AnswerFault::WrongId | AnswerFault::NoOutcome) => return Ok(()),
        };
        let Some(id) = id else {
            if let Outcome::Error(error) = answer.outcome {
                self.stray.get_or_insert(error);
            }
            return Ok(());
        };
        let number = self.first.calls_to(id);
        match number.and_then(|number| self.slots.get_mut(number)) {
            Some(slot @ AnswerSlot::Empty) => *slot = AnswerSlot::Once(answer),
            Some(slot) => {
                *slot = AnswerSlot::Twice;
                self.is_mixed_up = true;
            }
            None => self.is_mixed_up = true,
        }
        Ok(())
    }

    fn judge(self, status: u16, rest: Option<Duration>) -> BatchVerdict<'a> {
        let stray = self.stray.map(|error| of_batch(&error, status, rest));
        let says_so = |slot: &AnswerSlot<'_>| match slot {
            AnswerSlot::Once(answer) => is_refusal(answer, status),
            AnswerSlot::Empty | AnswerSlot::Twice => false,
        };
        let refuses = matches!(stray, Some(MemberOutcome::Alone)) || self.slots.iter().any(says_so);
        let outcomes = self.slots.into_iter().map(|slot| match slot {
            AnswerSlot::Once(answer) => of_one(answer, status, rest),
            // geth says it of the first call alone.
            AnswerSlot::Empty if refuses => MemberOutcome::Alone,
            AnswerSlot::Empty => stray.clone().unwrap_or_else(unanswered),
            AnswerSlot::Twice => unanswered(),
        });
        BatchVerdict {
            outcomes: outcomes.collect(),
            refuses,
            is_mixed_up: self.is_mixed_up,
        }
    }
}

/// Whether the node refused the batch in the answer to one of its calls.
fn is_refusal(answer: &Answer<'_>, status: u16) -> bool {
    let Outcome::Error(error) = &answer.outcome else {
        return false;
    };
    let is_own = || classify::of_error(error, status, None).meaning == Some(Meaning::Execution);
    speaks_of_batch(error) && !is_own()
}

fn unanswered<'a>() -> MemberOutcome<'a> {
    MemberOutcome::Unanswered(AttemptClass::BadAnswer.into())
}

/// What an error means that stands for the answers to all.
fn of_batch<'a>(error: &RpcError<'_>, status: u16, rest: Option<Duration>) -> MemberOutcome<'a> {
    let verdict = classify::of_error(error, status, rest);
    // No call was looked at; were one of them wrong, only it would be told.
    let is_of_batch = matches!(
        verdict.class,
        AttemptClass::RpcError
            | AttemptClass::Limit
            | AttemptClass::RequestSize
            | AttemptClass::Unsupported
    ) || verdict.meaning == Some(Meaning::Doubtful);
    let is_busy = status == 429;
    if is_of_batch || (speaks_of_batch(error) && !is_busy) {
        MemberOutcome::Alone
    } else {
        MemberOutcome::Unanswered(verdict)
    }
}

fn of_one(answer: Answer<'_>, status: u16, rest: Option<Duration>) -> MemberOutcome<'_> {
    if is_refusal(&answer, status) {
        return MemberOutcome::Alone;
    }
    let verdict = classify::of_outcome(&answer.outcome, status, rest);
    // geth says of what has no room any more that the response is too large.
    if matches!(
        verdict.meaning,
        Some(Meaning::Range | Meaning::RequestSize | Meaning::ResponseSize)
    ) {
        return MemberOutcome::Alone;
    }
    MemberOutcome::Answered(verdict, answer)
}

/// So much of a message is looked at.
const TEXT_BYTES_MAX: usize = 256;

/// "batch too large" (geth), "batch limit 100 exceeded" (Erigon), "Batch size limit exceeded"
/// (Nethermind), "Batched requests are not supported" (jsonrpsee), "max batch size" (Besu),
/// "Batch of more than 3 requests are not allowed" (dRPC).
fn speaks_of_batch(error: &RpcError<'_>) -> bool {
    let text = error.message.as_bytes();
    let text = &text[..text.len().min(TEXT_BYTES_MAX)];
    text.windows(5)
        .any(|word| word.eq_ignore_ascii_case(b"batch"))
}

/// Whether a node is sent batches, as it took the last ones. Read and written without a lock.
#[derive(Debug)]
pub struct BatchSupport {
    born: Instant,
    /// In milliseconds since `born`.
    refused_until: AtomicU64,
}

impl BatchSupport {
    /// Of a node that has refused none: it is sent batches.
    pub fn new(now: Instant) -> BatchSupport {
        BatchSupport {
            born: now,
            refused_until: AtomicU64::new(0),
        }
    }

    /// Whether the node is sent batches at `now`.
    pub fn takes(&self, now: Instant) -> bool {
        self.millis(now) >= self.refused_until.load(Ordering::Relaxed)
    }

    /// No batches for so long; says whether that is news.
    pub fn refuse(&self, lasts: Duration, now: Instant) -> bool {
        let until = self.millis(now + lasts);
        let before = self.refused_until.fetch_max(until, Ordering::Relaxed);
        before <= self.millis(now)
    }

    fn millis(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.born).as_millis();
        u64::try_from(age).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What becomes of two calls, in short.
    fn outcomes(body: &str, status: u16) -> (Vec<String>, bool) {
        let judged = judge(body.as_bytes(), status, None, (UpstreamCallId::FIRST, 2));
        let shown = judged.outcomes.iter().map(|outcome| match outcome {
            MemberOutcome::Answered(verdict, answer) => {
                let text = &body[answer.at.clone()];
                assert!(text.starts_with('{') && text.ends_with('}'), "{text}");
                match &answer.outcome {
                    Outcome::Result(result) => (*result).to_string(),
                    Outcome::Error(_) => verdict.class.outcome().to_string(),
                }
            }
            MemberOutcome::Unanswered(verdict) => format!("no {}", verdict.class.outcome()),
            MemberOutcome::TooLarge(_) | MemberOutcome::Alone => "alone".to_string(),
        });
        (shown.collect(), judged.refuses)
    }

    fn holds(body: &str, status: u16, wanted: [&str; 2], refuses: bool) {
        let (shown, refused) = outcomes(body, status);
        assert_eq!(
            (shown, refused),
            (wanted.map(str::to_string).to_vec(), refuses),
            "{body}"
        );
    }

    #[test]
    fn answers_find_their_calls_by_their_ids() {
        for (body, wanted) in [
            (r#"[{"id":1,"result":7},{"id":2,"result":8}]"#, ["7", "8"]),
            (
                r#" [ {"result":8,"id":2} , {"id":1,"result":null} ] "#,
                ["null", "8"],
            ),
            (r#"[{"id":1,"result":7}]"#, ["7", "no bad_answer"]),
            (
                r#"[{"id":1,"result":7},{"id":1,"result":7},{"id":2,"result":8}]"#,
                ["no bad_answer", "8"],
            ),
            (
                r#"[{"id":1,"result":7},{"id":3,"result":8}]"#,
                ["7", "no bad_answer"],
            ),
            (
                r#"[{"id":"1","result":7},{"id":2.0,"result":8}]"#,
                ["7", "8"],
            ),
            (
                r#"[{"id":0,"result":7},{"id":2,"result":8},{"id":1.5,"result":9}]"#,
                ["no bad_answer", "8"],
            ),
            (
                r#"[{"result":7},{"id":2,"result":8}]"#,
                ["no bad_answer", "8"],
            ),
            (
                r#"[{"id":1,"result":7,"error":{"code":1,"message":"x"}},{"id":2,"result":8}]"#,
                ["rpc_error", "8"],
            ),
            ("[]", ["no bad_answer", "no bad_answer"]),
            (
                r#"[{"id":1,"error":{"code":3,"message":"execution reverted: batch"}},{"id":2,"error":{"code":429,"message":"slow down"}}]"#,
                ["rpc_error", "throttled"],
            ),
        ] {
            holds(body, 200, wanted, false);
        }
    }

    #[test]
    fn what_is_no_batch_of_answers_is_none_for_any_call() {
        for body in [
            "",
            "[",
            "<html>",
            "7",
            r#"{"id":1,"result":7}"#,
            r#"[{"id":1,"result":7}"#,
            r#"[{"id":1,"result":7},]"#,
            r#"[{"id":1,"result":7}]x"#,
            r#"[{"id":1,"result":7}{"id":2,"result":8}]"#,
            r#"[{"id":1,"result":7},{"id":2,"resu]"#,
            r#"[{"id":1,"result":7},8]"#,
        ] {
            holds(body, 200, ["no bad_answer"; 2], false);
        }
        holds("busy", 429, ["no throttled"; 2], false);
        holds("bad gateway", 502, ["no transport"; 2], false);
        holds("", 401, ["no throttled"; 2], false);
        // What it says comes before the status that it says it with.
        let results = r#"[{"id":1,"result":7},{"id":2,"result":8}]"#;
        for status in [400, 404, 429, 500, 503] {
            holds(results, status, ["7", "8"], false);
        }
    }

    #[test]
    fn an_error_in_place_of_all_answers_is_each_ones_unless_it_is_about_the_batch() {
        for (code, message, wanted, refuses) in [
            (
                -32005,
                "project ID request rate exceeded",
                "no throttled",
                false,
            ),
            (-32000, "header not found", "no missing_data", false),
            (-32000, "something odd", "no rpc_error", false),
            (-32005, "Batch size limit exceeded", "alone", true),
            (-32600, "batch too large", "alone", true),
            (-32600, "invalid request", "alone", true),
            (-32601, "the method does not exist", "alone", true),
            (
                31,
                "Batch of more than 3 requests are not allowed on free tier",
                "alone",
                true,
            ),
        ] {
            let error = format!(
                r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{code},"message":"{message}"}}}}"#
            );
            holds(&error, 200, [wanted; 2], refuses);
            holds(&format!("[{error}]"), 200, [wanted; 2], refuses);
        }
        let busy = r#"{"error":{"code":-32000,"message":"too many batch requests"}}"#;
        holds(busy, 429, ["no throttled"; 2], false);
    }

    #[test]
    fn a_status_about_the_batch_refuses_it() {
        for status in [400, 404, 413, 415, 501] {
            holds("no", status, ["alone"; 2], true);
        }
    }

    #[test]
    fn what_found_no_room_in_the_answer_is_asked_again_alone() {
        let full = r#"[{"id":1,"result":7},{"id":2,"error":{"code":-32003,"message":"response too large"}}]"#;
        holds(full, 200, ["7", "alone"], false);
        let geth = r#"[{"id":1,"error":{"code":-32600,"message":"batch too large"}}]"#;
        holds(geth, 200, ["alone"; 2], true);
    }

    #[test]
    fn a_node_that_refused_is_left_alone_with_batches_for_a_while() {
        let start = crate::testing::now();
        let support = BatchSupport::new(start);
        assert!(support.takes(start));
        let later = start + Duration::from_secs(5);
        assert!(support.refuse(REFUSAL_LASTS, later));
        assert!(
            !support.refuse(TROUBLE_LASTS, later),
            "no news, and no earlier end"
        );
        let end = later + REFUSAL_LASTS;
        assert!(!support.takes(end - Duration::from_millis(1)));
        assert!(support.takes(end));
        assert!(support.refuse(TROUBLE_LASTS, end), "news again");
    }

    #[test]
    fn slow_answers_make_small_batches() {
        let attempt = Duration::from_secs(5);
        for (latency, wanted) in [
            (None, CALLS_MAX),
            (Some(0), CALLS_MAX),
            (Some(25), CALLS_MAX),
            (Some(26), 96),
            (Some(250), 10),
            (Some(60_000), 1),
        ] {
            let latency = latency.map(Duration::from_millis);
            assert_eq!(calls_max(latency, attempt), wanted, "{latency:?}");
        }
    }

    #[test]
    fn calls_get_ids_of_ours_in_their_order() {
        let calls: [&[u8]; 2] = [
            br#"{"jsonrpc":"2.0","id":1,"method":"a","params":[]}"#,
            br#"{"jsonrpc":"2.0","id":1,"method":"b","params":[{"id":1}]}"#,
        ];
        let batch = String::from_utf8(written(calls.into_iter(), UpstreamCallId::FIRST)).unwrap();
        assert_eq!(
            batch,
            r#"[{"jsonrpc":"2.0","id":1,"method":"a","params":[]},{"jsonrpc":"2.0","id":2,"method":"b","params":[{"id":1}]}]"#
        );
    }

    #[test]
    fn a_node_that_refuses_or_fails_all_calls_is_sent_no_batches_for_a_while() {
        let failed = |class: AttemptClass| MemberOutcome::Unanswered(class.into());
        let busy = Verdict {
            overload: Some(Overload::Refused),
            ..AttemptClass::Transport.into()
        };
        for (outcome, wanted) in [
            (failed(AttemptClass::Timeout), Some(TROUBLE_LASTS)),
            (failed(AttemptClass::Transport), Some(TROUBLE_LASTS)),
            (failed(AttemptClass::BadAnswer), Some(TROUBLE_LASTS)),
            (failed(AttemptClass::NoConnection), None),
            (failed(AttemptClass::Throttled), None),
            (MemberOutcome::Unanswered(busy), None),
            (
                MemberOutcome::TooLarge(AttemptClass::TOO_LARGE.into()),
                None,
            ),
            (MemberOutcome::Alone, None),
        ] {
            let mut judged = BatchVerdict::of_all(outcome.clone(), 2);
            assert_eq!(judged.refused_for(), wanted, "{outcome:?}");
            judged.outcomes.push(MemberOutcome::Alone);
            assert_eq!(judged.refused_for(), None, "one of them fared better");
            judged.refuses = true;
            assert_eq!(judged.refused_for(), Some(REFUSAL_LASTS));
        }
    }

    #[test]
    fn one_call_answers_for_a_fault() {
        let body = r#"[{"id":1,"result":7},{"id":3,"error":{"code":429,"message":"slow down"}}]"#;
        let judged = judge(body.as_bytes(), 200, None, (UpstreamCallId::FIRST, 4));
        assert_eq!(judged.charged(), Some(1));
        let well = r#"[{"id":1,"result":7}]"#;
        let judged = judge(well.as_bytes(), 200, None, (UpstreamCallId::FIRST, 1));
        assert_eq!(judged.charged(), None);
        assert_eq!(
            BatchVerdict::of_all(MemberOutcome::Alone, 2).charged(),
            None
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            judge(&body, 200, None, (UpstreamCallId::FIRST, 3));
        }

        #[test]
        fn json_like_text_never_panics(body in r#"\[[\[\]{}",:a-z0-9\\]{0,80}\]"#) {
            judge(body.as_bytes(), 200, None, (UpstreamCallId::FIRST, 3));
        }

        #[test]
        fn in_any_order_each_gets_its_own(order in Just((1..=20usize).collect::<Vec<_>>()).prop_shuffle()) {
            let items: Vec<_> = order.iter().map(|id| format!(r#"{{"id":{id},"result":{}}}"#, id * 3)).collect();
            let body = format!("[{}]", items.join(","));
            let judged = judge(body.as_bytes(), 200, None, (UpstreamCallId::FIRST, 20));
            for (at, outcome) in judged.outcomes.iter().enumerate() {
                let MemberOutcome::Answered(verdict, answer) = outcome else { panic!("{outcome:?}") };
                prop_assert_eq!(verdict.class, AttemptClass::Ok);
                let wanted = ((at + 1) * 3).to_string();
                prop_assert_eq!(&answer.outcome, &Outcome::Result(&wanted));
            }
        }
    }
}

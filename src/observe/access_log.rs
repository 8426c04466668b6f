//! One line a call in the log, where the operator wants them: failed calls, and a share of the others.
//! Of calls that fail too fast for a line each, it is said how many they were.
//!
//! A line shows nothing of a call but its method: no params, no headers, no path.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use log::Level;
use parking_lot::Mutex;
use serde::{Serialize, Serializer};

use super::logs;
use super::metrics::CallOutcome;
use crate::clock;
use forebay_core::call::trail::FailedAttempts;
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::chance::Dice;
use forebay_core::vocabulary::log_throttle::{LogThrottle, OmittedLines, SPAN};

/// What the lines are filtered by: `FOREBAY_LOG=info,forebay::calls=off`.
pub const TARGET: &str = "forebay::calls";
/// The longest method that is shown as it came, in bytes.
const METHOD_BYTES_MAX: usize = 64;

/// The request that a call came in.
#[derive(Clone, Debug)]
pub struct CallOrigin {
    pub chain: ChainName,
    /// The share of calls that get a line, 0 to 1.
    pub share: f64,
    pub request_id: String,
    pub address: Option<IpAddr>,
    pub arrived_at: Instant,
}

/// What came of a call; written when it is dropped.
#[derive(Debug)]
pub struct AccessLogEntry {
    client: Arc<CallOrigin>,
    method: String,
    node: Option<Arc<str>>,
    attempts: usize,
    /// Where no node served.
    pub failed: FailedAttempts,
    outcome: CallOutcome,
    code: Option<i64>,
    bytes: u64,
}

/// Failed calls of this process. Only they take the lock.
static FAILED: Mutex<Option<LogThrottle>> = Mutex::new(None);

/// Asks `ask` about the lines of failed calls.
fn of_failed<T>(ask: impl FnOnce(&mut LogThrottle) -> T) -> T {
    let mut excess = FAILED.lock();
    ask(excess.get_or_insert_default())
}

/// Says how many calls failed without a line, once their time is over.
pub fn tell_left_out(now: Instant) {
    if let Some(left) = of_failed(|excess| excess.over(now)) {
        logs::tell(Level::Warn, TARGET, &OmittedCalls::of(&left));
    }
}

impl AccessLogEntry {
    /// A call of `method`, that has no answer yet: dropped so, its client has left.
    pub fn begin(client: &Arc<CallOrigin>, method: &str) -> AccessLogEntry {
        AccessLogEntry {
            client: client.clone(),
            method: shown_method(method).to_string(),
            node: None,
            attempts: 0,
            failed: None,
            outcome: CallOutcome::Cancelled,
            code: None,
            bytes: 0,
        }
    }

    /// `None`: the answer was given here.
    pub fn served_by(&mut self, node: Option<Arc<str>>, attempts: usize) {
        (self.node, self.attempts) = (node, attempts);
    }

    /// What it came to. `code` is that of the JSON-RPC error, where there is one.
    pub fn ended(&mut self, outcome: CallOutcome, code: Option<i64>) {
        (self.outcome, self.code) = (outcome, code);
    }

    /// An answer that was passed on as it came has come to its end, or broke off.
    pub fn streamed(&mut self, is_whole: bool) {
        self.outcome = if is_whole {
            CallOutcome::Ok
        } else {
            CallOutcome::Failed
        };
    }

    /// So much of the answer goes to the client.
    pub fn sent(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    fn is_wanted(&self, dice: &mut impl Dice) -> bool {
        let share = self.client.share;
        let is_failure = self.outcome.is_failure();
        is_failure || share >= 1.0 || (share > 0.0 && dice.fraction() < share)
    }

    /// The node that a failed call is counted for when it gets no line: the one that failed last.
    fn blamed(&self) -> Arc<str> {
        let failed = self.failed.as_deref().unwrap_or_default();
        let last = failed.last().map(|(name, _)| name.clone());
        let blamed = last.or_else(|| self.node.clone());
        blamed.unwrap_or_else(|| "local".into())
    }

    fn line(&self, now: Instant) -> AccessLogLine<'_> {
        let failed = self.failed.as_deref().unwrap_or_default().iter();
        let failed = failed.map(|(name, class)| format!("{name}/{}", class.outcome()));
        let took = now.saturating_duration_since(self.client.arrived_at);
        AccessLogLine {
            message: "call",
            chain: &self.client.chain,
            request_id: &self.client.request_id,
            client: self.client.address,
            method: &self.method,
            outcome: self.outcome.as_str(),
            code: self.code,
            node: self.node.as_deref().unwrap_or("local"),
            failed: failed.collect(),
            attempts: self.attempts,
            duration_ms: took.as_micros() as f64 / 1000.0,
            bytes: self.bytes,
        }
    }
}

impl Drop for AccessLogEntry {
    fn drop(&mut self) {
        if !self.is_wanted(&mut clock::roll) {
            return;
        }
        let now = clock::now();
        if !self.outcome.is_failure() {
            return logs::tell(Level::Info, TARGET, &self.line(now));
        }
        tell_left_out(now);
        if of_failed(|excess| excess.admits(&self.blamed(), now)) {
            logs::tell(Level::Warn, TARGET, &self.line(now));
        }
    }
}

/// The method for a line of the log: as the client wrote it, if it looks like one. What it writes
/// may be anything.
pub fn shown_method(method: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = (1..=METHOD_BYTES_MAX).contains(&method.len());
    if fits && method.bytes().all(is_plain) {
        method
    } else {
        "other"
    }
}

/// The line; in JSON its members stand beside time, level and target.
#[derive(Serialize)]
struct AccessLogLine<'a> {
    message: &'static str,
    #[serde(serialize_with = "as_text")]
    chain: &'a ChainName,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    method: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    node: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<String>,
    attempts: usize,
    duration_ms: f64,
    bytes: u64,
}

impl fmt::Display for AccessLogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {} {}", self.method, self.outcome)?;
        if let Some(code) = self.code {
            write!(f, " code={code}")?;
        }
        if !self.chain.is_main() {
            write!(f, " chain={}", self.chain)?;
        }
        write!(f, " node={}", self.node)?;
        if !self.failed.is_empty() {
            write!(f, " failed={}", self.failed.join(","))?;
        }
        write!(f, " attempts={}", self.attempts)?;
        write!(f, " ms={:.3} bytes={}", self.duration_ms, self.bytes)?;
        if let Some(client) = self.client {
            write!(f, " client={client}")?;
        }
        write!(f, " request={}", self.request_id)
    }
}

fn as_text<S: Serializer>(chain: &ChainName, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(chain.as_str())
}

/// How many calls failed without a line.
#[derive(Serialize)]
struct OmittedCalls {
    message: &'static str,
    left_out: u64,
    seconds: u64,
    /// `geth-1=120`: by the node that failed.
    failed: Vec<String>,
}

impl OmittedCalls {
    fn of(left: &OmittedLines) -> OmittedCalls {
        let failed = left.about.iter();
        OmittedCalls {
            message: "more calls failed",
            left_out: left.lines,
            seconds: SPAN.as_secs(),
            failed: failed
                .map(|(name, calls)| format!("{name}={calls}"))
                .collect(),
        }
    }
}

impl fmt::Display for OmittedCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (calls, seconds) = (self.left_out, self.seconds);
        let failed = self.failed.join(" ");
        write!(f, "{calls} more calls failed within {seconds} s: {failed}")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use forebay_core::vocabulary::chance::SeededDice;

    fn entry(share: f64) -> AccessLogEntry {
        entry_of("main", share)
    }

    fn entry_of(chain: &str, share: f64) -> AccessLogEntry {
        let client = CallOrigin {
            chain: chain.parse().unwrap(),
            share,
            request_id: "id-1".to_string(),
            address: Some(IpAddr::from([10, 0, 0, 7])),
            arrived_at: clock::now(),
        };
        AccessLogEntry::begin(&Arc::new(client), "eth_call")
    }

    fn after(entry: &AccessLogEntry, millis: u64) -> Instant {
        entry.client.arrived_at + Duration::from_millis(millis)
    }

    #[test]
    fn a_line_says_which_client_asked_what_and_what_came_of_it() {
        let mut entry = entry(1.0);
        entry.served_by(Some("geth-1".into()), 2);
        entry.ended(CallOutcome::RpcError, Some(3));
        entry.sent(40);
        entry.sent(7);
        let line = entry.line(after(&entry, 12));
        assert_eq!(
            line.to_string(),
            "call eth_call rpc_error code=3 node=geth-1 attempts=2 ms=12.000 bytes=47 \
             client=10.0.0.7 request=id-1"
        );
        assert_eq!(
            serde_json::to_value(&line).unwrap(),
            serde_json::json!({
                "message": "call", "chain": "main", "request_id": "id-1", "client": "10.0.0.7",
                "method": "eth_call", "outcome": "rpc_error", "code": 3, "node": "geth-1",
                "attempts": 2, "duration_ms": 12.0, "bytes": 47,
            })
        );
    }

    #[test]
    fn a_line_of_a_chain_with_a_name_says_it() {
        let entry = entry_of("base", 1.0);
        let line = entry.line(after(&entry, 1));
        let text = line.to_string();
        assert!(text.contains(" cancelled chain=base node=local "), "{text}");
        assert_eq!(serde_json::to_value(&line).unwrap()["chain"], "base");
    }

    #[test]
    fn a_failed_call_names_the_nodes_that_failed_at_it() {
        use forebay_core::rpc::classify::AttemptClass;
        let mut entry = entry(1.0);
        entry.ended(CallOutcome::Failed, Some(-32011));
        assert_eq!(&*entry.blamed(), "local");
        let failed = [
            ("geth-1".into(), AttemptClass::NoConnection),
            ("10.0.0.2:8545".into(), AttemptClass::Timeout),
        ];
        entry.failed = Some(failed.into());
        entry.served_by(None, 2);
        let line = entry.line(after(&entry, 1));
        let text = line.to_string();
        let wanted = " node=local failed=geth-1/transport,10.0.0.2:8545/timeout attempts=2 ";
        assert!(text.contains(wanted), "{text}");
        let json = serde_json::to_value(&line).unwrap();
        assert_eq!(json["failed"][1], "10.0.0.2:8545/timeout");
        assert_eq!(&*entry.blamed(), "10.0.0.2:8545");
    }

    #[test]
    fn calls_that_get_no_line_are_counted_by_node() {
        let left = OmittedLines {
            lines: 130,
            about: vec![("geth-1".into(), 120), ("local".into(), 10)],
        };
        assert_eq!(
            OmittedCalls::of(&left).to_string(),
            "130 more calls failed within 5 s: geth-1=120 local=10"
        );
    }

    #[test]
    fn a_call_that_came_to_nothing_was_cancelled() {
        let entry = entry(1.0);
        let line = entry.line(after(&entry, 1)).to_string();
        assert!(
            line.starts_with("call eth_call cancelled node=local attempts=0"),
            "{line}"
        );
    }

    #[test]
    fn failed_calls_always_get_a_line_and_others_their_share() {
        let lines = |share, outcome| {
            let mut entry = entry(share);
            entry.ended(outcome, None);
            let mut dice = SeededDice::new(7);
            (0..10_000).filter(|_| entry.is_wanted(&mut dice)).count()
        };
        for share in [0.0, 0.01, 1.0] {
            assert_eq!(lines(share, CallOutcome::Failed), 10_000);
        }
        for outcome in [CallOutcome::Ok, CallOutcome::RpcError, CallOutcome::Refused] {
            assert_eq!(lines(0.0, outcome), 0);
            assert!((60..140).contains(&lines(0.01, outcome)));
            assert_eq!(lines(1.0, outcome), 10_000);
        }
    }

    #[test]
    fn what_does_not_look_like_a_method_is_not_shown() {
        let longest = "x".repeat(METHOD_BYTES_MAX);
        for plain in ["eth_call", "zks_L1BatchNumber", &longest] {
            assert_eq!(shown_method(plain), plain);
        }
        let longer = format!("{longest}x");
        for odd in [
            "",
            "eth call",
            "a\nERROR forged",
            "é",
            "http://a/s3cret",
            &longer,
        ] {
            assert_eq!(shown_method(odd), "other");
        }
    }
}

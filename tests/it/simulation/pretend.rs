//! A pretend node: what it does with a call, and what it says of the chain.

use std::time::Duration;

use forebay_core::fleet::ProbeOutcome;
use forebay_core::vocabulary::chain::{BlockNumber, ChainId};
use forebay_core::vocabulary::chance::{Dice, SeededDice};

/// What no node can answer: 5xx, everywhere.
pub const POISON: &str = "eth_createAccessList";
/// The chain that all nodes should be on.
pub const CHAIN: u64 = 1;
const OTHER_CHAIN: u64 = 5;
/// A probe that takes longer has failed.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a node does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Good,
    Slow(Duration),
    /// Takes calls and never answers.
    Stalled,
    /// Refuses connections.
    Dead,
    /// Answers 429, perhaps with a time.
    Throttles(Option<Duration>),
    /// Answers what isn't an answer.
    Junk,
    /// Answers 5xx.
    Fails,
    /// Answers calls with 5xx; probes are well.
    FailsCalls,
    /// Answers calls of this method with 5xx; all else is well.
    FailsMethod(&'static str),
    /// Answers 403.
    Shut,
    /// Answers every second call, by chance; probes are well.
    HalfStalled,
    /// Answers JSON-RPC errors of many kinds; probes are well.
    Strange,
}

/// What a node says of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tale {
    Truth,
    Behind(u64),
    /// Its head stays where it is.
    Frozen(u64),
    /// So many blocks ahead of the truth.
    Ahead(u64),
    OtherChain,
    Syncing,
    Zero,
}

#[derive(Clone, Copy, Debug)]
pub struct Pretend {
    pub mood: Mood,
    pub tale: Tale,
    pub latency: Duration,
    /// What it has the strength for; `None`: everything.
    pub work: Option<Work>,
}

/// A node that answers one call after another. What would wait too long it turns away; what its
/// caller has given up meanwhile it does all the same.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Of one call.
    pub takes: Duration,
    /// The longest that a call waits for its turn.
    pub waits_max: Duration,
    /// When it is done with what it has, on the world's clock.
    pub until: Duration,
}

impl Work {
    /// So many calls a second.
    pub fn of(calls_per_second: f64, waits_max: Duration) -> Work {
        Work {
            takes: Duration::from_secs_f64(1.0 / calls_per_second),
            waits_max,
            until: Duration::ZERO,
        }
    }

    /// Takes one more; how long it waits and is worked on, `None` if it is turned away.
    pub fn take(&mut self, now: Duration) -> Option<Duration> {
        let begins = self.until.max(now);
        if begins - now > self.waits_max {
            return None;
        }
        self.until = begins + self.takes;
        Some(self.until - now)
    }
}

/// What came back on the wire.
#[derive(Clone, Debug)]
pub enum Reply {
    NoConnection,
    Silence,
    /// The connection broke before the answer was whole.
    Cut,
    Http {
        status: u16,
        retry_after: Option<Duration>,
        body: String,
    },
}

/// A node's part in one attempt.
#[derive(Clone, Debug)]
pub struct Deed {
    pub after: Duration,
    pub reply: Reply,
    /// It ran the call, or may have.
    pub executes: bool,
}

impl Deed {
    /// As a gateway does whose queue is full.
    pub fn overloaded() -> Deed {
        Deed {
            after: Duration::from_millis(1),
            reply: http(503, None, "<html>overloaded</html>"),
            executes: false,
        }
    }
}

impl Pretend {
    pub fn good() -> Pretend {
        Pretend {
            mood: Mood::Good,
            tale: Tale::Truth,
            latency: Duration::from_millis(10),
            work: None,
        }
    }

    pub fn head(&self, truth: u64) -> u64 {
        match self.tale {
            Tale::Truth | Tale::OtherChain | Tale::Syncing => truth,
            Tale::Behind(blocks) => truth.saturating_sub(blocks),
            Tale::Frozen(at) => at,
            Tale::Ahead(blocks) => truth + blocks,
            Tale::Zero => 0,
        }
    }

    /// What a probe brings; `asks_chain`: with the chain id.
    pub fn probe(&self, truth: u64, asks_chain: bool) -> ProbeOutcome {
        let chain = match self.tale {
            Tale::OtherChain => OTHER_CHAIN,
            Tale::Truth
            | Tale::Behind(_)
            | Tale::Frozen(_)
            | Tale::Ahead(_)
            | Tale::Syncing
            | Tale::Zero => CHAIN,
        };
        let answered = ProbeOutcome::Answered {
            head: BlockNumber(self.head(truth)),
            chain_id: asks_chain.then_some(ChainId(chain)),
            syncing: self.tale == Tale::Syncing,
        };
        match self.mood {
            Mood::Good
            | Mood::HalfStalled
            | Mood::Strange
            | Mood::FailsCalls
            | Mood::FailsMethod(_) => answered,
            Mood::Slow(by) if by < PROBE_TIMEOUT => answered,
            Mood::Throttles(rest) => ProbeOutcome::Throttled(rest),
            Mood::Slow(_) | Mood::Stalled | Mood::Dead | Mood::Junk | Mood::Fails | Mood::Shut => {
                ProbeOutcome::Failed
            }
        }
    }

    /// Whether its probes are those of a node in order; a few blocks behind is in order.
    pub fn is_sound(&self, lag_blocks_max: u64) -> bool {
        let answers = matches!(
            self.mood,
            Mood::Good
                | Mood::HalfStalled
                | Mood::Strange
                | Mood::FailsCalls
                | Mood::FailsMethod(_)
        ) || matches!(self.mood, Mood::Slow(by) if by < PROBE_TIMEOUT);
        let tells = match self.tale {
            Tale::Truth => true,
            Tale::Behind(blocks) => blocks <= lag_blocks_max,
            Tale::Frozen(_) | Tale::Ahead(_) | Tale::OtherChain | Tale::Syncing | Tale::Zero => {
                false
            }
        };
        answers && tells
    }

    /// What it does with a call of `method`.
    pub fn call(&self, method: &str, truth: u64, dice: &mut SeededDice) -> Deed {
        let jitter = self.latency.mul_f64(0.2 * dice.fraction());
        let mut after = self.latency + jitter;
        let mut executes = true;
        let reply = match self.mood {
            _ if method == POISON => bad_gateway(),
            Mood::FailsMethod(failed) if method == failed => bad_gateway(),
            Mood::FailsMethod(_) | Mood::Good => self.result(method, truth),
            Mood::Slow(by) => {
                after += by;
                self.result(method, truth)
            }
            Mood::Stalled => Reply::Silence,
            Mood::HalfStalled if dice.roll().is_multiple_of(2) => Reply::Silence,
            Mood::HalfStalled => self.result(method, truth),
            Mood::Dead => {
                executes = false;
                Reply::NoConnection
            }
            Mood::Throttles(retry_after) => {
                executes = false;
                http(429, retry_after, "slow down")
            }
            Mood::Shut => {
                executes = false;
                http(403, None, "no")
            }
            Mood::Fails | Mood::FailsCalls => bad_gateway(),
            Mood::Junk => http(200, None, JUNK[(dice.roll() % 5) as usize]),
            Mood::Strange => {
                let (is_run, body) = STRANGE[(dice.roll() % 6) as usize];
                executes = is_run;
                http(200, None, body)
            }
        };
        Deed {
            after,
            reply,
            executes,
        }
    }

    fn result(&self, method: &str, truth: u64) -> Reply {
        let number = match method {
            "eth_blockNumber" => self.head(truth),
            _ => 1,
        };
        http(
            200,
            None,
            &format!(r#"{{"jsonrpc":"2.0","id":1,"result":"0x{number:x}"}}"#),
        )
    }
}

fn bad_gateway() -> Reply {
    http(502, None, "<html>bad gateway</html>")
}

pub fn http(status: u16, retry_after: Option<Duration>, body: &str) -> Reply {
    Reply::Http {
        status,
        retry_after,
        body: body.to_string(),
    }
}

const JUNK: [&str; 5] = [
    "<html>welcome</html>",
    "",
    r#"{"jsonrpc":"2.0","id":2,"result":"0x1"}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":"0x"#,
    "{}",
];

/// Whether the node may have run the call, and what it says.
const STRANGE: [(bool, &str); 6] = [
    (
        true,
        r#"{"id":1,"error":{"code":3,"message":"execution reverted: rate limit"}}"#,
    ),
    (
        true,
        r#"{"id":1,"error":{"code":-32000,"message":"header not found"}}"#,
    ),
    (
        false,
        r#"{"id":1,"error":{"code":-32601,"message":"the method does not exist"}}"#,
    ),
    (
        true,
        r#"{"id":1,"error":{"code":-32603,"message":"internal error"}}"#,
    ),
    (
        true,
        r#"{"id":1,"error":{"code":-32002,"message":"request timed out"}}"#,
    ),
    (
        false,
        r#"{"id":1,"error":{"code":-32005,"message":"too many requests","data":{"rate":{"backoff_seconds":3}}}}"#,
    ),
];

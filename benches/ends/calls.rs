//! Small calls, each different from all others, each answer compared with what it must be.
//!
//! Without a rate every connection asks again as soon as it is answered. With a rate calls are due
//! at even times, whether or not answers come: a call that finds no free connection waits for one,
//! and its time counts from when it was due (no coordinated omission).

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::arguments::Arguments;
use super::http::{Came, Inbox};
use super::poll::{Poll, connect, now};
use super::samples::Samples;

/// However long it was told to go on.
const TIME_MAX: Duration = Duration::from_secs(600);
/// What is still missing then is missing.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let to: String = arguments.need("to")?;
    let calls: Option<u64> = arguments.get("calls")?;
    let seconds: Option<f64> = arguments.get("for")?;
    if calls.is_none() && seconds.is_none() {
        bail!("--for or --calls must say when it ends");
    }
    let kind = Kind::read(arguments)?;
    let poll = Poll::new()?;
    let mut lines = Vec::new();
    for key in 0..arguments.get("connections")?.unwrap_or(64) {
        let stream = connect(&to).with_context(|| format!("connecting to {to}"))?;
        poll.add(&stream, key)?;
        lines.push(Line {
            stream,
            inbox: Inbox::default(),
            asked: None,
        });
    }
    let began_at = now();
    let for_ = seconds
        .map_or(TIME_MAX, Duration::from_secs_f64)
        .min(TIME_MAX);
    let rate: Option<f64> = arguments.get("rate")?;
    let mut run = Run {
        free: (0..lines.len()).collect(),
        lines,
        poll,
        kind,
        request_head: head(&to, arguments.text("path").unwrap_or("/")),
        began_at,
        ends_at: began_at + for_,
        spacing: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
        calls_max: calls.unwrap_or(u64::MAX),
        first: FIRST + arguments.get("after")?.unwrap_or(0),
        begun: 0,
        answered: 0,
        wrong: 0,
        example: None,
        samples: Samples::default(),
    };
    run.go()?;
    println!("{}", run.report());
    Ok(())
}

fn head(to: &str, path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: ends\r\nAccept: */*\r\n\
         Content-Type: application/json\r\nContent-Length: "
    )
}

/// What is asked.
enum Kind {
    /// About 240 bytes each.
    Call,
    /// Always the same of them, but for its id.
    Same,
    ChainId,
    /// With the params of an `eth_call`, which nobody reads.
    PaddedChainId,
    /// So many of `Call` in one.
    Batch(u64),
    /// A single one that is as long as so many of `Call`.
    Long(u64),
    /// As `ChainId`, of who says the same to everything.
    Fixed(String),
}

impl Kind {
    fn read(arguments: &Arguments) -> anyhow::Result<Kind> {
        if let Some(text) = arguments.text("fixed") {
            return Ok(Kind::Fixed(text.to_owned()));
        }
        if let Some(calls) = arguments.get("batch")? {
            return Ok(Kind::Batch(calls));
        }
        if let Some(calls) = arguments.get("as-long-as")? {
            return Ok(Kind::Long(calls));
        }
        match arguments.text("method").unwrap_or("eth_call") {
            "eth_call" if arguments.text("same").is_some() => Ok(Kind::Same),
            "eth_call" => Ok(Kind::Call),
            "eth_chainId" if arguments.text("padded").is_some() => Ok(Kind::PaddedChainId),
            "eth_chainId" => Ok(Kind::ChainId),
            other => bail!("no answer to {other} is known"),
        }
    }

    fn body(&self, number: u64) -> String {
        match self {
            Kind::Call => call(number),
            Kind::Same => with_id(call(FIRST), number),
            Kind::ChainId | Kind::Fixed(_) => {
                format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"eth_chainId","params":[]}}"#)
            }
            Kind::PaddedChainId => call(number).replacen("eth_call", "eth_chainId", 1),
            Kind::Long(calls) => {
                call(number).replacen(r#""},"#, &format!(r#"{}"}},"#, noughts(*calls)), 1)
            }
            Kind::Batch(calls) => {
                let one = |at| call(number * calls + at);
                format!("[{}]", (0..*calls).map(one).collect::<Vec<_>>().join(","))
            }
        }
    }

    fn is_answer(&self, number: u64, body: &[u8]) -> bool {
        match self {
            Kind::Call => body == answer(number).as_bytes(),
            Kind::Same => body == with_id(answer(FIRST), number).as_bytes(),
            Kind::Long(calls) => {
                let noughts = noughts(*calls);
                let more = &noughts[..noughts.len() / 2];
                body == answer(number)
                    .replacen(r#""}"#, &format!(r#"{more}"}}"#), 1)
                    .as_bytes()
            }
            Kind::ChainId | Kind::PaddedChainId => {
                body == format!(r#"{{"jsonrpc":"2.0","id":{number},"result":"0x1"}}"#).as_bytes()
            }
            Kind::Batch(calls) => {
                let one = |at| answer(number * calls + at);
                body == format!("[{}]", (0..*calls).map(one).collect::<Vec<_>>().join(","))
                    .as_bytes()
            }
            Kind::Fixed(text) => body == text.as_bytes(),
        }
    }
}

/// The number of the first call, unless others came before: `--after` so many.
const FIRST: u64 = 1_700_000_000_000;

/// A call or an answer of the first number, with the id of another.
fn with_id(text: String, number: u64) -> String {
    text.replacen(&format!("\"id\":{FIRST}"), &format!("\"id\":{number}"), 1)
}

/// What makes a call as long as so many.
fn noughts(calls: u64) -> String {
    "0".repeat(call(1).len() * usize::try_from(calls).unwrap_or(1).saturating_sub(1))
}

/// The balance of somebody else each time.
fn call(number: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{number},"method":"eth_call","params":[{{"to":"0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48","data":"0x70a08231{number:064x}"}},"latest"]}}"#
    )
}

/// A node of ours gives back the word it was asked about.
fn answer(number: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{number},"result":"0x{number:064x}"}}"#)
}

struct Line {
    stream: TcpStream,
    inbox: Inbox,
    /// The call that it waits for, and since when.
    asked: Option<(u64, Instant)>,
}

struct Run {
    poll: Poll,
    lines: Vec<Line>,
    free: Vec<usize>,
    kind: Kind,
    request_head: String,
    began_at: Instant,
    ends_at: Instant,
    /// Between two calls; `None`: as fast as answers come.
    spacing: Option<Duration>,
    calls_max: u64,
    /// The number of the first call.
    first: u64,
    begun: u64,
    answered: u64,
    wrong: u64,
    /// A wrong answer.
    example: Option<String>,
    samples: Samples,
}

impl Run {
    fn go(&mut self) -> anyhow::Result<()> {
        loop {
            let wait = self.ask()?;
            let is_over = wait.is_none();
            if is_over && self.free.len() == self.lines.len() {
                return Ok(());
            }
            let wait = wait.unwrap_or(Duration::from_millis(100));
            for key in self.poll.wait(Some(wait))? {
                self.hear(key)?;
            }
            if now() > self.ends_at + PATIENCE {
                return Ok(());
            }
        }
    }

    /// Asks whatever is due; says how long nothing will be, `None` if nothing ever will.
    fn ask(&mut self) -> io::Result<Option<Duration>> {
        loop {
            let at = now();
            if at >= self.ends_at || self.begun >= self.calls_max {
                return Ok(None);
            }
            let until_due = match self.spacing {
                None => Duration::ZERO,
                Some(spacing) => self.due(spacing).saturating_duration_since(at),
            };
            if !until_due.is_zero() {
                return Ok(Some(until_due));
            }
            let Some(key) = self.free.pop() else {
                return Ok(Some(self.ends_at - at));
            };
            let since = self.spacing.map_or(at, |spacing| self.due(spacing));
            self.send(key, since)?;
        }
    }

    fn due(&self, spacing: Duration) -> Instant {
        self.began_at + spacing.mul_f64(self.begun as f64)
    }

    fn send(&mut self, key: usize, since: Instant) -> io::Result<()> {
        // Ids as long as those of real clients that count in milliseconds.
        let number = self.first + self.begun;
        self.begun += 1;
        let body = self.kind.body(number);
        let request = format!("{}{}\r\n\r\n{body}", self.request_head, body.len());
        if let Some(line) = self.lines.get_mut(key) {
            line.asked = Some((number, since));
            // A request fits the socket's buffer, as the last one was answered.
            line.stream.write_all(request.as_bytes())?;
        }
        Ok(())
    }

    fn hear(&mut self, key: usize) -> anyhow::Result<()> {
        let Some(line) = self.lines.get_mut(key) else {
            return Ok(());
        };
        match line
            .inbox
            .read(&mut line.stream)
            .context("reading an answer")?
        {
            Came::Nothing => return Ok(()),
            Came::Closed => bail!("a connection was closed after {} answers", self.answered),
            Came::Message => {}
        }
        let Some(message) = line.inbox.answer()? else {
            return Ok(());
        };
        let Some((number, since)) = line.asked.take() else {
            bail!("an answer to nothing");
        };
        self.answered += 1;
        if message.status == 200 && self.kind.is_answer(number, message.body) {
            self.samples.add(now() - since);
        } else {
            self.wrong += 1;
            let body = String::from_utf8_lossy(message.body);
            self.example
                .get_or_insert_with(|| format!("{} {body}", message.status));
        }
        let length = message.length();
        line.inbox.drop_first(length);
        self.free.push(key);
        Ok(())
    }

    fn report(&mut self) -> serde_json::Value {
        let seconds = (now() - self.began_at).as_secs_f64();
        serde_json::json!({
            "calls": self.answered,
            "wrong": self.wrong,
            "missing": self.begun - self.answered,
            "example": self.example,
            "seconds": seconds,
            "rate": self.answered as f64 / seconds,
            "p50": self.samples.micros(500),
            "p99": self.samples.micros(990),
            "p99.9": self.samples.micros(999),
        })
    }
}

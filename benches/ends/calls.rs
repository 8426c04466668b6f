//! Small calls, each different from all others, each answer compared with what it must be.
//!
//! Without a rate every connection asks again as soon as it is answered. With a rate calls are due
//! at even times, whether or not answers come: a call that finds no free connection waits for one,
//! and its time counts from when it was due (no coordinated omission).

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::arguments::Arguments;
use super::kind::{FIRST, Kind};
use super::line::{Heard, Line, Manner};
use super::poll::{Poll, now};
use super::samples::Samples;

/// However long it was told to go on.
const TIME_MAX: Duration = Duration::from_secs(600);
/// What is still missing then is missing.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let calls: Option<u64> = arguments.get("calls")?;
    let seconds: Option<f64> = arguments.get("for")?;
    if calls.is_none() && seconds.is_none() {
        bail!("--for or --calls must say when it ends");
    }
    let connections: usize = arguments.get("connections")?.unwrap_or(64);
    let streams = arguments.get("streams")?.unwrap_or(1);
    let mut run = Run {
        // Each connection once for each call that it can have.
        free: (0..connections * streams)
            .map(|at| at % connections)
            .collect(),
        lines: (0..connections).map(|_| None).collect(),
        poll: Poll::new()?,
        kind: Kind::read(arguments)?,
        manner: Manner::read(arguments)?,
        is_new: arguments.text("new").is_some(),
        began_at: now(),
        ends_at: now(),
        spacing: None,
        calls_max: calls.unwrap_or(u64::MAX),
        first: FIRST + arguments.get("after")?.unwrap_or(0),
        begun: 0,
        answered: 0,
        wrong: 0,
        example: None,
        handshakes: Handshakes::default(),
        samples: Samples::default(),
    };
    if !run.is_new {
        (0..connections).try_for_each(|key| run.open(key))?;
    }
    let rate: Option<f64> = arguments.get("rate")?;
    run.spacing = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
    run.began_at = now();
    let for_ = seconds.map_or(TIME_MAX, Duration::from_secs_f64);
    run.ends_at = run.began_at + for_.min(TIME_MAX);
    run.go()?;
    println!("{}", run.report());
    Ok(())
}

/// A connection and the calls that it waits for.
struct Busy {
    line: Line,
    asked: Vec<Asked>,
}

struct Asked {
    id: u32,
    number: u64,
    since: Instant,
}

#[derive(Default)]
struct Handshakes {
    full: u64,
    tickets: u64,
}

struct Run {
    poll: Poll,
    lines: Vec<Option<Busy>>,
    free: Vec<usize>,
    kind: Kind,
    manner: Manner,
    /// Each call has a connection of its own.
    is_new: bool,
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
    handshakes: Handshakes,
    samples: Samples,
}

impl Run {
    fn go(&mut self) -> anyhow::Result<()> {
        let all = self.free.len();
        loop {
            let wait = self.ask()?;
            let is_over = wait.is_none();
            if is_over && self.free.len() == all {
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
    fn ask(&mut self) -> anyhow::Result<Option<Duration>> {
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

    fn open(&mut self, key: usize) -> anyhow::Result<()> {
        let line = Line::open(&self.manner)?;
        self.poll.add(&line.stream, key)?;
        if let Some(place) = self.lines.get_mut(key) {
            let asked = Vec::new();
            *place = Some(Busy { line, asked });
        }
        Ok(())
    }

    /// Lets go of a connection, and notes how it began.
    fn close(&mut self, key: usize) {
        if let Some(busy) = self.lines.get_mut(key).and_then(Option::take) {
            let (is_full, tickets) = busy.line.stream.handshake();
            self.handshakes.full += u64::from(is_full);
            self.handshakes.tickets += u64::from(tickets);
        }
    }

    fn send(&mut self, key: usize, since: Instant) -> anyhow::Result<()> {
        if self.is_new {
            self.open(key)?;
        }
        // Ids as long as those of real clients that count in milliseconds.
        let number = self.first + self.begun;
        self.begun += 1;
        if let Some(Some(busy)) = self.lines.get_mut(key) {
            let id = busy.line.send(&self.kind.body(number))?;
            busy.asked.push(Asked { id, number, since });
        }
        Ok(())
    }

    fn hear(&mut self, key: usize) -> anyhow::Result<()> {
        let Some(Some(busy)) = self.lines.get_mut(key) else {
            return Ok(());
        };
        let heard = busy.line.hear();
        for heard in heard.with_context(|| format!("after {} answers", self.answered))? {
            self.judge(key, &heard)?;
            self.free.push(key);
            if self.is_new {
                self.close(key);
            }
        }
        Ok(())
    }

    fn judge(&mut self, key: usize, heard: &Heard) -> anyhow::Result<()> {
        let busy = self.lines.get_mut(key).and_then(Option::as_mut);
        let asked = busy.and_then(|busy| {
            let at = busy.asked.iter().position(|asked| asked.id == heard.id)?;
            Some(busy.asked.swap_remove(at))
        });
        let Some(Asked { number, since, .. }) = asked else {
            bail!("an answer to nothing");
        };
        self.answered += 1;
        if heard.status == 200 && self.kind.is_answer(number, &heard.body) {
            self.samples.add(now() - since);
        } else {
            self.wrong += 1;
            let body = String::from_utf8_lossy(&heard.body);
            self.example
                .get_or_insert_with(|| format!("{} {body}", heard.status));
        }
        Ok(())
    }

    fn report(&mut self) -> serde_json::Value {
        let seconds = (now() - self.began_at).as_secs_f64();
        (0..self.lines.len()).for_each(|key| self.close(key));
        serde_json::json!({
            "calls": self.answered,
            "wrong": self.wrong,
            "missing": self.begun - self.answered,
            "example": self.example,
            "full_handshakes": self.handshakes.full,
            "tickets": self.handshakes.tickets,
            "seconds": seconds,
            "rate": self.answered as f64 / seconds,
            "p50": self.samples.micros(500),
            "p99": self.samples.micros(990),
            "p99.9": self.samples.micros(999),
        })
    }
}

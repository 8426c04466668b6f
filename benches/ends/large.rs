//! Long answers, read as fast as they come, or slowly.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::arguments::Arguments;
use super::http::{Counter, framing};
use super::poll::{Poll, connect, now};

const TIME_MAX: Duration = Duration::from_secs(300);
const READ_BYTES: usize = 256 << 10;
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How often slow readers read.
const TICK: Duration = Duration::from_millis(50);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let to: String = arguments.need("to")?;
    let bytes: u64 = arguments.need("bytes")?;
    let count: u64 = arguments.get("count")?.unwrap_or(1);
    let slow: Option<u64> = arguments.get("slow")?;
    let slow_for = Duration::from_secs(arguments.get("for")?.unwrap_or(0));
    let mut poll = Poll::new()?;
    let mut readers = Vec::new();
    for key in 0..arguments.get("connections")?.unwrap_or(1) {
        let stream = connect(&to).with_context(|| format!("connecting to {to}"))?;
        poll.add(&stream, key)?;
        readers.push(Reader::new(stream));
    }
    let began_at = now();
    let mut left = count.max(readers.len() as u64);
    for reader in &mut readers {
        reader.ask(&to, bytes)?;
        left -= 1;
    }
    if let Some(bytes_a_second) = slow {
        read_slowly(&mut readers, bytes_a_second, began_at + slow_for)?;
    }
    let mut buffer = vec![0; READ_BYTES];
    while readers.iter().any(|reader| reader.is_busy) {
        for key in poll.wait(Some(Duration::from_secs(1)))? {
            let Some(reader) = readers.get_mut(key).filter(|reader| reader.is_busy) else {
                continue;
            };
            reader.read(&mut buffer)?;
            if !reader.is_busy && left > 0 {
                left -= 1;
                reader.ask(&to, bytes)?;
            }
        }
        if now() > began_at + TIME_MAX {
            bail!("it takes too long");
        }
    }
    let short = readers.iter().map(|reader| reader.wrong).sum::<u64>();
    let seconds = (now() - began_at).as_secs_f64();
    let all: u64 = readers.iter().map(|reader| reader.bytes).sum();
    println!(
        "{}",
        serde_json::json!({ "wrong": short, "bytes": all, "seconds": seconds })
    );
    Ok(())
}

/// Each reader takes its share every [`TICK`], and no more.
fn read_slowly(readers: &mut [Reader], bytes_a_second: u64, until: Instant) -> anyhow::Result<()> {
    let share = bytes_a_second * TICK.as_millis() as u64 / 1000;
    let mut buffer = vec![0; usize::try_from(share)?.max(1)];
    while now() < until {
        for reader in readers.iter_mut().filter(|reader| reader.is_busy) {
            reader.read(&mut buffer)?;
        }
        std::thread::sleep(TICK);
    }
    Ok(())
}

struct Reader {
    stream: TcpStream,
    head: Vec<u8>,
    counter: Option<Counter>,
    wanted: u64,
    is_busy: bool,
    wrong: u64,
    bytes: u64,
}

impl Reader {
    fn new(stream: TcpStream) -> Reader {
        Reader {
            stream,
            head: Vec::new(),
            counter: None,
            wanted: 0,
            is_busy: false,
            wrong: 0,
            bytes: 0,
        }
    }

    fn ask(&mut self, to: &str, bytes: u64) -> io::Result<()> {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{{"fromBlock":"0x1","toBlock":"0x2","address":"0x{bytes:040x}"}}]}}"#
        );
        let length = body.len();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let around = r#"{"jsonrpc":"2.0","id":1,"result":""}"#.len() as u64;
        self.wanted = bytes + around;
        self.head.clear();
        self.counter = None;
        self.is_busy = true;
        self.stream.write_all(request.as_bytes())
    }

    /// Reads once.
    fn read(&mut self, buffer: &mut [u8]) -> anyhow::Result<()> {
        let got = match self.stream.read(buffer) {
            Ok(0) => bail!("a connection was closed after {} bytes", self.bytes),
            Ok(got) => buffer.get(..got).unwrap_or_default(),
            Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(why) => return Err(why.into()),
        };
        match &mut self.counter {
            Some(counter) => counter.take(got)?,
            None => self.read_head(got)?,
        }
        if let Some(counter) = self.counter.take_if(|counter| counter.is_whole) {
            self.bytes += counter.bytes;
            self.wrong += u64::from(counter.bytes != self.wanted);
            self.is_busy = false;
        }
        Ok(())
    }

    fn read_head(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.head.extend_from_slice(piece);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        match answer.parse(&self.head)? {
            httparse::Status::Partial if self.head.len() > HEAD_BYTES_MAX => bail!("no head"),
            httparse::Status::Partial => {}
            httparse::Status::Complete(end) => {
                self.wrong += u64::from(answer.code != Some(200));
                let mut counter = Counter::new(framing(answer.headers)?);
                counter.take(self.head.get(end..).unwrap_or_default())?;
                self.counter = Some(counter);
            }
        }
        Ok(())
    }
}

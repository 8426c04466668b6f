//! A node whose answer can be known beforehand: to `eth_call` the first word of its data
//! with half of what follows, to `eth_getLogs` one log of a block, or as many bytes as the address says. Its head
//! grows as a chain's does.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::arguments::Arguments;
use super::http::{Came, Inbox};
use super::poll::{Interest, Poll, now};

/// Unless told otherwise, in seconds.
const BLOCK_TIME: f64 = 12.0;
const FIRST_BLOCK: u64 = 21_000_000;
/// The filling of a long answer, written from here.
static FILLING: [u8; 256 << 10] = [b'0'; 256 << 10];
/// The longest answer that can be asked for.
const FILLING_BYTES_MAX: u64 = 1 << 30;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let nodes = arguments.get("nodes")?.unwrap_or(1);
    let mut house = House {
        poll: Poll::new()?,
        listeners: Vec::new(),
        guests: Vec::new(),
        free: Vec::new(),
        late: VecDeque::new(),
        delay: Duration::from_millis(arguments.get("delay")?.unwrap_or(0)),
        block_time: Duration::from_secs_f64(arguments.get("block-time")?.unwrap_or(BLOCK_TIME)),
        began_at: now(),
    };
    let mut ports = Vec::new();
    for _ in 0..nodes {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        ports.push(listener.local_addr()?.port());
        house.poll.add(&listener, house.listeners.len())?;
        house.listeners.push(listener);
    }
    // Ends when whoever started it does.
    let input = io::stdin();
    house.poll.add(&input, usize::MAX)?;
    println!("{}", serde_json::json!({ "ports": ports }));
    house.run()
}

struct House {
    poll: Poll,
    listeners: Vec<TcpListener>,
    guests: Vec<Option<Guest>>,
    free: Vec<usize>,
    /// Guests who are answered later, and when.
    late: VecDeque<(Instant, usize)>,
    delay: Duration,
    block_time: Duration,
    began_at: Instant,
}

struct Guest {
    stream: TcpStream,
    inbox: Inbox,
    outbox: Outbox,
    interest: Interest,
}

/// What is still to be written: `start`, then so much filling, then `end`.
#[derive(Default)]
struct Outbox {
    start: Vec<u8>,
    written: usize,
    filling: u64,
    end: &'static [u8],
}

impl House {
    fn run(&mut self) -> anyhow::Result<()> {
        loop {
            let next = self.late.front().map(|(due, _)| *due);
            let wait = next.map(|due| due.saturating_duration_since(now()));
            let ready = self.poll.wait(wait)?;
            while self.late.front().is_some_and(|(due, _)| *due <= now()) {
                if let Some((_, guest)) = self.late.pop_front() {
                    self.attend(guest)?;
                }
            }
            for key in ready {
                if key == usize::MAX {
                    // Its input ended, or said something: either is the end.
                    let _ = io::stdin().read(&mut [0; 16]);
                    return Ok(());
                }
                match key.checked_sub(self.listeners.len()) {
                    None => self.welcome(key)?,
                    Some(guest) => self.hear(guest)?,
                }
            }
        }
    }

    fn welcome(&mut self, listener: usize) -> io::Result<()> {
        let Some(listener) = self.listeners.get(listener) else {
            return Ok(());
        };
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(why) => return Err(why),
            };
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let at = self.free.pop().unwrap_or(self.guests.len());
            self.poll.add(&stream, self.listeners.len() + at)?;
            if at == self.guests.len() {
                self.guests.push(None);
            }
            if let Some(place) = self.guests.get_mut(at) {
                *place = Some(Guest {
                    stream,
                    inbox: Inbox::default(),
                    outbox: Outbox::default(),
                    interest: Interest::Read,
                });
            }
        }
    }

    /// Something came from a guest, or can be written.
    fn hear(&mut self, at: usize) -> io::Result<()> {
        let Some(Some(guest)) = self.guests.get_mut(at) else {
            return Ok(());
        };
        let came = match guest.interest {
            Interest::Write => Ok(Came::Message),
            Interest::Read => guest.inbox.read(&mut guest.stream),
        };
        if matches!(came, Err(_) | Ok(Came::Closed)) {
            self.part_with(at);
            Ok(())
        } else if self.delay.is_zero() {
            self.attend(at)
        } else {
            self.late.push_back((now() + self.delay, at));
            Ok(())
        }
    }

    /// Answers what it can.
    fn attend(&mut self, at: usize) -> io::Result<()> {
        let since = self.began_at.elapsed().div_duration_f64(self.block_time);
        let head = FIRST_BLOCK + since as u64;
        let Some(Some(guest)) = self.guests.get_mut(at) else {
            return Ok(());
        };
        if guest.attend(head).is_err() {
            self.part_with(at);
            return Ok(());
        }
        let wanted = if guest.outbox.is_empty() {
            Interest::Read
        } else {
            Interest::Write
        };
        if wanted != guest.interest {
            guest.interest = wanted;
            let key = self.listeners.len() + at;
            self.poll.change(&guest.stream, key, wanted)?;
        }
        Ok(())
    }

    /// A guest that breaks off is gone, and that's all. Closing takes it out of the epoll.
    fn part_with(&mut self, at: usize) {
        if let Some(place) = self.guests.get_mut(at) {
            *place = None;
            self.free.push(at);
        }
    }
}

impl Guest {
    fn attend(&mut self, head: u64) -> io::Result<()> {
        self.outbox.write(&mut self.stream)?;
        while self.outbox.is_empty() {
            let Some(request) = self.inbox.request()? else {
                break;
            };
            self.outbox = answer(request.body, head);
            let length = request.length();
            self.inbox.drop_first(length);
            self.outbox.write(&mut self.stream)?;
        }
        Ok(())
    }
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.written == self.start.len() && self.filling == 0 && self.end.is_empty()
    }

    /// Writes as much as is taken.
    fn write(&mut self, to: &mut TcpStream) -> io::Result<()> {
        while !self.is_empty() {
            let start = self.start.get(self.written..).unwrap_or_default();
            let filling = usize::try_from(self.filling).unwrap_or(usize::MAX);
            let piece = match (start, filling) {
                ([], 0) => self.end,
                ([], filling) => &FILLING[..filling.min(FILLING.len())],
                (start, _) => start,
            };
            let took = match to.write(piece) {
                Ok(took) => took,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(why) => return Err(why),
            };
            match (start, filling) {
                ([], 0) => self.end = self.end.get(took..).unwrap_or_default(),
                ([], _) => self.filling -= took as u64,
                (_, _) => self.written += took,
            }
        }
        Ok(())
    }
}

fn answer(body: &[u8], head: u64) -> Outbox {
    if body.first() == Some(&b'[') {
        return whole(&batch(body, head));
    }
    let id = id_in(body).unwrap_or_default();
    if after(body, br#""method":"eth_getLogs","#).is_some() && after(body, BLOCK_HASH).is_none() {
        return long((body, &id), word_in(body, br#""address":"0x"#, 40));
    }
    let mut out = Vec::with_capacity(128);
    one(body, &id, head, &mut out);
    whole(&out)
}

/// The answers to a batch. Shapes: no call in it has an `"id":` in its params.
fn batch(body: &[u8], head: u64) -> Vec<u8> {
    let mut out = vec![b'['];
    let starts: Vec<_> = memchr::memmem::find_iter(body, br#"{"jsonrpc""#).collect();
    let ends = starts.iter().skip(1).copied().chain([body.len()]);
    for (start, end) in starts.iter().zip(ends) {
        if out.len() > 1 {
            out.push(b',');
        }
        let call = &body[*start..end];
        one(call, &id_in(call).unwrap_or_default(), head, &mut out);
    }
    out.push(b']');
    out
}

const EPOCH_BLOCKS: u64 = 32;
/// Before the hash of the block whose logs are asked for.
const BLOCK_HASH: &[u8] = br#""blockHash":"0x"#;

fn one(call: &[u8], id: &Range<usize>, head: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(&call[id.clone()]);
    let method = after(call, br#""method":""#).map_or(&call[..0], |at| &call[at..]);
    let length = memchr::memchr(b'"', method).unwrap_or(0);
    let result = match &method[..length] {
        b"eth_call" => {
            out.extend_from_slice(br#","result":"0x"#);
            let word = word_place(call, br#""data":"0x70a08231"#, 64);
            let more = memchr::memchr(b'"', &call[word.end..]).unwrap_or(0);
            out.extend_from_slice(&call[word.start..word.end + more / 2]);
            out.extend_from_slice(br#""}"#);
            return;
        }
        b"eth_chainId" => r#""0x1""#.to_owned(),
        b"net_version" => r#""1""#.to_owned(),
        b"eth_syncing" => "false".to_owned(),
        b"eth_blockNumber" => format!("\"0x{head:x}\""),
        b"eth_getBlockByNumber" => block(named_in(call, head)),
        b"eth_getBlockByHash" => block(word_in(call, br#""params":["0x"#, 64)),
        b"eth_getLogs" => log(word_in(call, BLOCK_HASH, 64)),
        b"eth_getBalance" | b"eth_getBlockTransactionCountByNumber" => r#""0x0""#.to_owned(),
        _ => {
            let error = r#","error":{"code":-32601,"message":"the method does not exist"}}"#;
            return out.extend_from_slice(error.as_bytes());
        }
    };
    out.extend_from_slice(format!(r#","result":{result}}}"#).as_bytes());
}

/// The block that is asked for by number or tag: as on Ethereum, what is safe or final moves by epochs.
fn named_in(call: &[u8], head: u64) -> u64 {
    let epochs = |back: u64| (head / EPOCH_BLOCKS).saturating_sub(back) * EPOCH_BLOCKS;
    let is = |tag: &[u8]| memchr::memmem::find(call, tag).is_some();
    match number_in(call, br#""params":["0x"#) {
        Some(number) => number,
        None if is(br#"["safe""#) => epochs(1),
        None if is(br#"["finalized""#) => epochs(2),
        None => head,
    }
}

/// Its hash is its number.
fn block(number: u64) -> String {
    format!(
        r#"{{"number":"0x{number:x}","hash":"0x{number:064x}","parentHash":"0x{:064x}","timestamp":"0x{:x}","logsBloom":"0x{}"}}"#,
        number.saturating_sub(1),
        number * 12,
        "0".repeat(512),
    )
}

/// The one of block `number`.
fn log(number: u64) -> String {
    format!(
        r#"[{{"address":"0x{:040x}","topics":["0x{number:064x}"],"data":"0x","blockHash":"0x{number:064x}","blockNumber":"0x{number:x}","logIndex":"0x0","transactionHash":"0x{number:064x}","transactionIndex":"0x0","removed":false}}]"#,
        1
    )
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";

fn whole(body: &[u8]) -> Outbox {
    let mut start = Vec::with_capacity(HEAD.len() + 16 + body.len());
    start.extend_from_slice(HEAD.as_bytes());
    start.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
    start.extend_from_slice(b"\r\n\r\n");
    start.extend_from_slice(body);
    Outbox {
        start,
        ..Outbox::default()
    }
}

/// `bytes` of result, a string of noughts.
fn long((call, id): (&[u8], &Range<usize>), bytes: u64) -> Outbox {
    let end: &[u8] = br#""}"#;
    let opening = format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":""#,
        String::from_utf8_lossy(&call[id.clone()])
    );
    let filling = bytes.min(FILLING_BYTES_MAX);
    let length = opening.len() as u64 + filling + end.len() as u64;
    Outbox {
        start: format!("{HEAD}{length}\r\n\r\n{opening}").into_bytes(),
        written: 0,
        filling,
        end,
    }
}

fn after(body: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(body, what).map(|at| at + what.len())
}

/// Where the id of the first call stands; it is a number.
fn id_in(body: &[u8]) -> Option<Range<usize>> {
    let start = after(body, br#""id":"#)?;
    let length = body[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    Some(start..start + length)
}

/// The place of so many digits after `what`; nowhere if there are fewer.
fn word_place(body: &[u8], what: &[u8], digits: usize) -> Range<usize> {
    let start = after(body, what).unwrap_or(0);
    let is_there = start > 0 && start + digits <= body.len();
    start..if is_there { start + digits } else { start }
}

fn word_in(body: &[u8], what: &[u8], digits: usize) -> u64 {
    let word = String::from_utf8_lossy(&body[word_place(body, what, digits)]).into_owned();
    u64::from_str_radix(word.get(digits.saturating_sub(16)..).unwrap_or("0"), 16).unwrap_or(0)
}

/// The hex digits after `what`; `None` where there are none.
fn number_in(body: &[u8], what: &[u8]) -> Option<u64> {
    let digits = body.get(after(body, what)?..)?;
    let length = memchr::memchr(b'"', digits)?;
    let text = std::str::from_utf8(&digits[..length]).ok()?;
    u64::from_str_radix(text, 16).ok()
}

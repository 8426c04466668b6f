//! What a node says: to `eth_call` the first word of its data with half of what follows, to `eth_getLogs` one
//! log of a block, or as many bytes as the address says.

use std::io::{self, ErrorKind, Write};
use std::ops::Range;

use forebay_core::vocabulary::hex;

/// The filling of a long answer, written from here.
static FILLING: [u8; 256 << 10] = [b'0'; 256 << 10];
/// The longest answer that can be asked for.
const FILLING_BYTES_MAX: u64 = 1 << 30;

/// What is still to be written: `start`, then so much filling, then `end`.
#[derive(Default)]
pub(crate) struct Outbox {
    start: Vec<u8>,
    written: usize,
    filling: u64,
    end: &'static [u8],
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.start.len() && self.filling == 0 && self.end.is_empty()
    }

    /// Writes as much as is taken.
    pub(crate) fn write(&mut self, to: &mut impl Write) -> io::Result<()> {
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

    /// What is there already, as it is.
    pub(crate) fn of(start: Vec<u8>) -> Outbox {
        Outbox {
            start,
            ..Outbox::default()
        }
    }
}

/// How many calls of `eth_call` are in `body`.
pub(crate) fn calls_in(body: &[u8]) -> usize {
    memchr::memmem::find_iter(body, br#""method":"eth_call""#).count()
}

/// The answer by HTTP/1.1, at the block `head`.
pub(crate) fn answer(body: &[u8], head: u64) -> Outbox {
    let id = id_in(body).unwrap_or_default();
    let is_single = body.first() != Some(&b'[');
    let is_logs = after(body, br#""method":"eth_getLogs","#).is_some();
    if is_single && is_logs && after(body, BLOCK_HASH).is_none() {
        return long((body, &id), word_in(body, br#""address":"0x"#, 40));
    }
    whole(&small(body, head))
}

/// The answer itself, of a call or a batch that isn't answered at length.
pub(crate) fn small(body: &[u8], head: u64) -> Vec<u8> {
    if body.first() == Some(&b'[') {
        return batch(body, head);
    }
    let mut out = Vec::with_capacity(128);
    one(body, &id_in(body).unwrap_or_default(), head, &mut out);
    out
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
    Outbox::of(start)
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
    let last = word.get(digits.saturating_sub(16)..);
    last.and_then(hex::digits).unwrap_or(0)
}

/// The hex digits after `what`; `None` where there are none.
fn number_in(body: &[u8], what: &[u8]) -> Option<u64> {
    let digits = body.get(after(body, what)?..)?;
    let length = memchr::memchr(b'"', digits)?;
    let text = std::str::from_utf8(&digits[..length]).ok()?;
    hex::digits(text)
}

//! Filters of logs, and the logs of a block as a node wrote them.
//!
//! A log's object stays byte for byte; only for the log of a block that is on the chain no longer
//! is `removed` set.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::bloom::{Bloom, Mark};
use super::chain::BlockHash;
use super::refusal::Refusal;
use super::{hex, json};

/// Topics of a log; the EVM has no more (LOG0 to LOG4).
pub const TOPICS_MAX: usize = 4;
/// Addresses of a filter, and alternatives for one topic: geth's limits.
pub const ALTERNATIVES_MAX: usize = 1000;

pub type Address = [u8; 20];
pub type Word = [u8; 32];

/// One value that is looked for, and where it would stand in a bloom: hashed once, not with each
/// block. Sorted by the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Sought<const N: usize> {
    value: [u8; N],
    mark: Mark,
}

impl<const N: usize> Sought<N> {
    fn of(text: &str) -> Option<Sought<N>> {
        let value = bytes(text)?;
        let mark = Mark::of(&value);
        Some(Sought { value, mark })
    }
}

/// Which logs are wanted. Shapes: sorted, without repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogFilter {
    /// Empty: any.
    addresses: Vec<Sought<20>>,
    /// By position; empty at a position: any. A log with fewer topics doesn't pass.
    topics: Vec<Vec<Sought<32>>>,
}

#[derive(Deserialize)]
struct RawFilter<'a> {
    #[serde(borrow, default)]
    address: Option<&'a RawValue>,
    #[serde(borrow, default)]
    topics: Option<Vec<Option<&'a RawValue>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<Option<String>>),
}

impl LogFilter {
    /// From the filter object as written. A range of blocks in it is passed over: a subscription
    /// begins at the block told last.
    ///
    /// # Errors
    /// What is no filter, with −32602.
    pub fn read(filter: Option<&str>) -> Result<LogFilter, Refusal> {
        let raw: Option<RawFilter<'_>> = serde_json::from_str(filter.unwrap_or("null"))
            .map_err(|_| Refusal::InvalidParams("the filter of logs can't be read"))?;
        let Some(raw) = raw else {
            return Ok(LogFilter::default());
        };
        let bad = Refusal::InvalidParams("an address must be 20 bytes in hex");
        let addresses = alternatives(raw.address, &bad)?;
        let topics = raw.topics.unwrap_or_default();
        if topics.len() > TOPICS_MAX {
            return Err(Refusal::InvalidParams("a log has at most 4 topics"));
        }
        let bad = Refusal::InvalidParams("a topic must be 32 bytes in hex");
        let topics = topics.into_iter().map(|topic| alternatives(topic, &bad));
        Ok(LogFilter {
            addresses,
            topics: topics.collect::<Result<_, _>>()?,
        })
    }

    /// Whether a log passes.
    pub fn passes(&self, log: &Log) -> bool {
        let has_topic = |(wanted, topic): (&Vec<_>, &Word)| admits(wanted, topic);
        admits(&self.addresses, &log.address)
            && self.topics.len() <= log.topics.len()
            && self.topics.iter().zip(&log.topics).all(has_topic)
    }

    /// Whether a block with this bloom may have a log that passes.
    pub fn may_find(&self, bloom: &Bloom) -> bool {
        may_admit(&self.addresses, bloom)
            && self.topics.iter().all(|wanted| may_admit(wanted, bloom))
    }

    /// What it takes to remember it.
    pub fn bytes(&self) -> usize {
        let words: usize = self.topics.iter().map(Vec::len).sum();
        self.addresses.len() * size_of::<Sought<20>>() + words * size_of::<Sought<32>>()
    }
}

fn admits<const N: usize>(wanted: &[Sought<N>], value: &[u8; N]) -> bool {
    let found = || wanted.binary_search_by(|sought| sought.value.cmp(value));
    wanted.is_empty() || found().is_ok()
}

fn may_admit<const N: usize>(wanted: &[Sought<N>], bloom: &Bloom) -> bool {
    wanted.is_empty() || wanted.iter().any(|sought| bloom.may_hold(sought.mark))
}

/// A `null` among alternatives admits anything, as in geth.
fn alternatives<const N: usize>(
    raw: Option<&RawValue>,
    bad: &Refusal,
) -> Result<Vec<Sought<N>>, Refusal> {
    let raw = raw.map_or("null", RawValue::get);
    let read: Option<OneOrMany> = serde_json::from_str(raw).map_err(|_| bad.clone())?;
    let texts = match read {
        None => return Ok(Vec::new()),
        Some(OneOrMany::One(text)) => vec![Some(text)],
        Some(OneOrMany::Many(texts)) => texts,
    };
    if texts.len() > ALTERNATIVES_MAX {
        return Err(Refusal::InvalidParams(
            "a filter has at most 1000 alternatives",
        ));
    }
    let Some(texts) = texts.into_iter().collect::<Option<Vec<_>>>() else {
        return Ok(Vec::new());
    };
    let read = texts
        .iter()
        .map(|text| Sought::of(text).ok_or_else(|| bad.clone()));
    let mut read: Vec<_> = read.collect::<Result<_, _>>()?;
    read.sort_unstable();
    read.dedup();
    Ok(read)
}

/// `0x` and two digits for each byte, of any case.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))?;
    hex::decode(digits)?.try_into().ok()
}

/// One log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    address: Address,
    topics: Vec<Word>,
    json: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLog {
    address: String,
    topics: Vec<String>,
    block_hash: String,
}

impl Log {
    /// The object as the node wrote it.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The object with `"removed":true`.
    pub fn removed(&self) -> Bytes {
        let member =
            json::members(&self.json, 0).find(|(key, _)| &self.json[key.clone()] == b"\"removed\"");
        let mut removed = Vec::with_capacity(self.json.len() + 16);
        match member {
            Some((_, value)) => {
                removed.extend_from_slice(&self.json[..value.start]);
                removed.extend_from_slice(b"true");
                removed.extend_from_slice(&self.json[value.end..]);
            }
            None => {
                let end = self.json.len().saturating_sub(1);
                removed.extend_from_slice(&self.json[..end]);
                removed.extend_from_slice(b",\"removed\":true}");
            }
        }
        Bytes::from(removed)
    }
}

/// All logs of a block, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockLogs {
    pub logs: Vec<Log>,
    /// The answer that they stand in.
    pub bytes: usize,
}

impl BlockLogs {
    /// From the result of `eth_getLogs` by block hash. `None`: it isn't that, or has logs of another
    /// block.
    pub fn read(result: &str, block: BlockHash) -> Option<BlockLogs> {
        let raw: Vec<&RawValue> = serde_json::from_str(result).ok()?;
        let whole = Bytes::copy_from_slice(result.as_bytes());
        let base = result.as_ptr().addr();
        let logs = raw.into_iter().map(|raw| {
            let text = raw.get();
            let read: RawLog = serde_json::from_str(text).ok()?;
            let start = text.as_ptr().addr().checked_sub(base)?;
            (BlockHash::read(&read.block_hash)? == block).then_some(())?;
            Some(Log {
                address: bytes(&read.address)?,
                topics: read
                    .topics
                    .iter()
                    .map(|topic| bytes(topic))
                    .collect::<Option<_>>()?,
                json: whole.slice(start..start + text.len()),
            })
        });
        Some(BlockLogs {
            logs: logs.collect::<Option<_>>()?,
            bytes: result.len(),
        })
    }

    /// Whether nothing is missing that a header with this bloom promises. There may be more: some
    /// chains have logs that no header counts.
    pub fn is_whole(&self, bloom: Option<&Bloom>) -> bool {
        bloom.is_none_or(|bloom| bloom.is_within(&self.bloom()))
    }

    /// Whether a header with this bloom promises all of them.
    pub fn is_promised(&self, bloom: &Bloom) -> bool {
        self.bloom().is_within(bloom)
    }

    fn bloom(&self) -> Bloom {
        let values = self.logs.iter().flat_map(|log| {
            let topics = log.topics.iter().map(|topic| Mark::of(topic));
            std::iter::once(Mark::of(&log.address)).chain(topics)
        });
        Bloom::of(values)
    }
}

/// Blocks after one whose logs its header doesn't count in which no header is trusted to exclude any:
/// where a chain has such logs at all, they come more often.
pub const UNCOUNTED_BLOCKS: u64 = 1024;

/// Whether a header that promises no log is believed.
#[derive(Debug, Default)]
pub struct Trust {
    /// Up to this block's turn it isn't.
    doubted_until: Option<u64>,
}

impl Trust {
    /// The block of this turn had these logs, by a header with this bloom.
    pub fn compare(&mut self, turn: u64, logs: &BlockLogs, bloom: Option<&Bloom>) {
        if bloom.is_some_and(|bloom| !logs.is_promised(bloom)) {
            self.doubted_until = Some(turn.saturating_add(UNCOUNTED_BLOCKS));
        }
    }

    /// Whether the header of the block of this turn may exclude logs.
    pub fn holds(&self, turn: u64) -> bool {
        self.doubted_until < Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(byte: u8) -> String {
        format!("0x{}", hex::encode(&[byte; 32]))
    }

    fn address(byte: u8) -> String {
        format!("0x{}", hex::encode(&[byte; 20]))
    }

    fn logs(objects: &[String]) -> BlockLogs {
        let result = format!("[{}]", objects.join(" , "));
        BlockLogs::read(&result, BlockHash([9; 32])).unwrap()
    }

    fn object(from: u8, topics: &[u8]) -> String {
        let topics: Vec<_> = topics
            .iter()
            .map(|topic| format!("\"{}\"", word(*topic)))
            .collect();
        let (address, block) = (address(from), word(9));
        let topics = topics.join(",");
        format!(
            r#"{{"address":"{address}", "topics":[{topics}],"blockHash":"{block}","data":"0x","removed": false,"x":1}}"#
        )
    }

    fn filter(text: &str) -> LogFilter {
        LogFilter::read(Some(text)).unwrap()
    }

    #[test]
    fn a_log_that_no_header_counts_casts_doubt_on_the_blocks_that_follow_and_not_for_ever() {
        let mut trust = Trust::default();
        assert!(trust.holds(0));
        let logs = logs(&[object(1, &[2])]);
        let counted = logs.bloom();
        trust.compare(5, &logs, Some(&counted));
        trust.compare(6, &logs, None);
        assert!(trust.holds(7));
        trust.compare(7, &logs, Some(&Bloom::of(std::iter::empty())));
        assert!(!trust.holds(8) && !trust.holds(7 + UNCOUNTED_BLOCKS));
        assert!(trust.holds(8 + UNCOUNTED_BLOCKS));
        trust.compare(8, &logs, Some(&counted));
        assert!(
            !trust.holds(9),
            "one block that keeps its word is not enough"
        );
    }

    #[test]
    fn logs_pass_as_geth_lets_them() {
        let one = &logs(&[object(1, &[2, 3])]).logs[0];
        let (first, second, other) = (word(2), word(3), word(4));
        for (text, passes) in [
            ("{}".to_string(), true),
            (format!(r#"{{"address":"{}"}}"#, address(1)), true),
            (
                format!(r#"{{"address":["{}","{}"]}}"#, address(5), address(1)),
                true,
            ),
            (format!(r#"{{"address":"{}"}}"#, address(2)), false),
            (format!(r#"{{"topics":["{first}"]}}"#), true),
            (format!(r#"{{"topics":["{second}"]}}"#), false),
            (format!(r#"{{"topics":[null,"{second}"]}}"#), true),
            (format!(r#"{{"topics":[["{other}","{first}"],[]]}}"#), true),
            (
                format!(r#"{{"topics":[["{other}","{first}"],["{other}"]]}}"#),
                false,
            ),
            (r#"{"topics":[null,null]}"#.to_string(), true),
            (r#"{"topics":[null,null,null]}"#.to_string(), false),
        ] {
            assert_eq!(filter(&text).passes(one), passes, "{text}");
            let bloom = logs(&[object(1, &[2, 3])]).bloom();
            assert!(!passes || filter(&text).may_find(&bloom), "{text}");
        }
        let bloom = logs(&[object(1, &[2, 3])]).bloom();
        assert!(!filter(&format!(r#"{{"address":"{}"}}"#, address(2))).may_find(&bloom));
        assert!(!filter(&format!(r#"{{"topics":["{other}"]}}"#)).may_find(&bloom));
    }

    #[test]
    fn a_log_stays_as_written_but_for_removed() {
        let written = object(1, &[2]);
        let logs = logs(&[written.clone(), object(3, &[])]);
        assert_eq!(*logs.logs[0].json(), written);
        let removed = written.replace("\"removed\": false", "\"removed\": true");
        assert_eq!(logs.logs[0].removed(), removed);
        let without = Log {
            json: Bytes::from_static(b"{\"a\":1}"),
            ..logs.logs[0].clone()
        };
        assert_eq!(without.removed(), "{\"a\":1,\"removed\":true}");
    }

    #[test]
    fn an_answer_that_lacks_a_log_or_has_another_blocks_is_told() {
        let (one, two) = (object(1, &[2]), object(1, &[3]));
        let both = logs(&[one.clone(), two]);
        let bloom = both.bloom();
        assert!(both.is_whole(Some(&bloom)) && both.is_whole(None) && both.is_promised(&bloom));
        let half = logs(std::slice::from_ref(&one));
        assert!(!half.is_whole(Some(&bloom)) && half.is_promised(&bloom));
        assert!(!BlockLogs::default().is_whole(Some(&bloom)));
        assert!(!logs(&[one.clone(), object(7, &[])]).is_promised(&half.bloom()));
        assert_eq!(
            BlockLogs::read(&format!("[{one}]"), BlockHash([8; 32])),
            None
        );
        for bad in ["null", "{}", "[1]", "[{}]", ""] {
            assert_eq!(BlockLogs::read(bad, BlockHash([9; 32])), None, "{bad}");
        }
    }
}

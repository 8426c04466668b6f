//! Filters of logs, and the logs of a block as a node wrote them.
//!
//! A log's object stays byte for byte; only for the log of a block that is on the chain no longer
//! is `removed` set.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::scanner;
use crate::rpc::refusal::Refusal;
use crate::vocabulary::bloom::Bloom;
use crate::vocabulary::chain::BlockHash;
use crate::vocabulary::hex;

/// Topics of a log; the EVM has no more (LOG0 to LOG4).
pub const TOPICS_MAX: usize = 4;
/// Addresses of a filter, and alternatives for one topic: geth's limits.
pub const ALTERNATIVES_MAX: usize = 1000;

type LogAddress = [u8; 20];
type LogTopic = [u8; 32];

/// Which logs are wanted. Shapes: sorted, without repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogFilter {
    /// Empty: any.
    addresses: Vec<LogAddress>,
    /// By position; empty at a position: any. A log with fewer topics doesn't pass.
    topics: Vec<Vec<LogTopic>>,
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
        let has_topic = |(wanted, topic): (&Vec<_>, &LogTopic)| admits(wanted, topic);
        admits(&self.addresses, &log.address)
            && self.topics.len() <= log.topics.len()
            && self.topics.iter().zip(&log.topics).all(has_topic)
    }

    /// What it takes to remember it.
    pub fn bytes(&self) -> usize {
        let words: usize = self.topics.iter().map(Vec::len).sum();
        self.addresses.len() * size_of::<LogAddress>() + words * size_of::<LogTopic>()
    }
}

fn admits<const N: usize>(wanted: &[[u8; N]], value: &[u8; N]) -> bool {
    wanted.is_empty() || wanted.binary_search(value).is_ok()
}

/// A `null` among alternatives admits anything, as in geth.
fn alternatives<const N: usize>(
    raw: Option<&RawValue>,
    bad: &Refusal,
) -> Result<Vec<[u8; N]>, Refusal> {
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
        .map(|text| hex::data_of_either_prefix(text).ok_or_else(|| bad.clone()));
    let mut read: Vec<_> = read.collect::<Result<_, _>>()?;
    read.sort_unstable();
    read.dedup();
    Ok(read)
}

/// One log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    address: LogAddress,
    topics: Vec<LogTopic>,
    /// Of what makes it this log, whichever node writes it.
    essence: u64,
    json: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLog<'a> {
    address: String,
    topics: Vec<String>,
    block_hash: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    transaction_hash: Option<&'a RawValue>,
    #[serde(borrow, default)]
    log_index: Option<&'a RawValue>,
}

impl Log {
    fn of(read: &RawLog<'_>, json: Bytes) -> Option<Log> {
        let address = hex::data_of_either_prefix(&read.address)?;
        let topics = read
            .topics
            .iter()
            .map(|topic| hex::data_of_either_prefix(topic));
        let topics = topics.collect::<Option<Vec<LogTopic>>>()?;
        let texts = [read.data, read.transaction_hash, read.log_index];
        let mut hasher = DefaultHasher::new();
        (address, &topics, texts.map(|text| text.map(RawValue::get))).hash(&mut hasher);
        Some(Log {
            address,
            topics,
            essence: hasher.finish(),
            json,
        })
    }

    /// The object as the node wrote it.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The object with `"removed":true`.
    pub fn removed(&self) -> Bytes {
        let member = scanner::members(&self.json, 0)
            .find(|(key, _)| &self.json[key.clone()] == b"\"removed\"");
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
    /// In the order of the block.
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
            let read: RawLog<'_> = serde_json::from_str(text).ok()?;
            let start = text.as_ptr().addr().checked_sub(base)?;
            (BlockHash::read(&read.block_hash)? == block).then_some(())?;
            Log::of(&read, whole.slice(start..start + text.len()))
        });
        Some(BlockLogs {
            logs: logs.collect::<Option<_>>()?,
            bytes: result.len(),
        })
    }

    /// Whether these are the same logs, though another node may have written them otherwise.
    pub fn is_like(&self, other: &BlockLogs) -> bool {
        let essences =
            |logs: &BlockLogs| logs.logs.iter().map(|log| log.essence).collect::<Vec<_>>();
        essences(self) == essences(other)
    }

    /// What a header that counts them all has as its bloom.
    pub fn bloom(&self) -> Bloom {
        let values = self.logs.iter().flat_map(|log| {
            let topics = log.topics.iter().map(|topic| &topic[..]);
            std::iter::once(&log.address[..]).chain(topics)
        });
        Bloom::of(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(byte: u8) -> String {
        format!("0x{}", ::hex::encode([byte; 32]))
    }

    fn address(byte: u8) -> String {
        format!("0x{}", ::hex::encode([byte; 20]))
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
        }
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
    fn two_nodes_logs_are_alike_however_they_write_them() {
        let (one, two) = (object(1, &[2]), object(1, &[3]));
        let both = logs(&[one.clone(), two.clone()]);
        let otherwise = one.replace("\"x\":1", "\"blockTimestamp\":\"0x1\"");
        assert!(both.is_like(&logs(&[otherwise, two.clone()])));
        let moved = one.replace("\"data\":\"0x\"", "\"data\":\"0x01\"");
        for others in [
            &[][..],
            std::slice::from_ref(&one),
            &[two, one.clone()],
            &[one.clone(), moved],
        ] {
            assert!(!both.is_like(&logs(others)), "{others:?}");
        }
    }

    #[test]
    fn what_is_no_blocks_logs_is_not_read() {
        let one = object(1, &[2]);
        let others = BlockLogs::read(&format!("[{one}]"), BlockHash([8; 32]));
        assert_eq!(others, None, "another block's");
        for bad in ["null", "{}", "[1]", "[{}]", ""] {
            assert_eq!(BlockLogs::read(bad, BlockHash([9; 32])), None, "{bad}");
        }
    }
}

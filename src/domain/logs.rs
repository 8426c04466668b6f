//! A filter of logs, and whether a log passes it.
//!
//! The log objects themselves stay as the node wrote them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::hex;
use super::refusal::Refusal;

/// Topics of a log; the EVM has no more (LOG0 to LOG4).
pub const TOPICS_MAX: usize = 4;
/// Addresses of a filter, and alternatives for one topic: geth's limits.
pub const ALTERNATIVES_MAX: usize = 1000;

pub type Address = [u8; 20];
pub type Word = [u8; 32];

/// Which logs are wanted. Shapes: sorted, without repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogFilter {
    /// Empty: any.
    addresses: Vec<Address>,
    /// By position; empty at a position: any. A log with fewer topics doesn't pass.
    topics: Vec<Vec<Word>>,
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

    /// What it takes to remember it.
    pub fn bytes(&self) -> usize {
        let words: usize = self.topics.iter().map(Vec::len).sum();
        self.addresses.len() * size_of::<Address>() + words * size_of::<Word>()
    }
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
        .map(|text| bytes(text).ok_or_else(|| bad.clone()));
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

//! A block's header, as `newHeads` tells it.
//!
//! Its members stay byte for byte as the node wrote them. What `eth_getBlockBy…` says beyond the
//! header is left out: clients get the same whichever way we heard of the block.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::bloom::Bloom;
use crate::json::scanner;
use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::hex;

/// Members of a block that are no part of its header (geth's `RPCMarshalBlock`).
const BEYOND_THE_HEADER: [&[u8]; 5] = [
    b"\"transactions\"",
    b"\"uncles\"",
    b"\"size\"",
    b"\"totalDifficulty\"",
    b"\"withdrawals\"",
];

/// The longest header that is told, in bytes: a bloom is most of one, at about 1 KiB.
pub const HEADER_BYTES_MAX: usize = 64 << 10;

/// What we know of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// As the node told it: it isn't computed.
    pub hash: BlockHash,
    /// The hash of the block before.
    pub parent: BlockHash,
    /// Above the parent's, not always by 1 (see Filecoin's null rounds).
    pub number: BlockNumber,
    /// Seconds since 1970, where it says so.
    pub timestamp: Option<u64>,
    /// Of its logs; `None` where it has none, or an empty one, which proves nothing.
    pub bloom: Option<Box<Bloom>>,
    /// What clients are told.
    pub json: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHeader {
    hash: String,
    parent_hash: String,
    number: String,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    logs_bloom: Option<String>,
}

impl Header {
    /// From what a node told by `newHeads` or `eth_getBlockBy…`; `None` for what is no header, such
    /// as `null` or a block that is still pending, or for one over [`HEADER_BYTES_MAX`].
    pub fn read(text: &str) -> Option<Arc<Header>> {
        let raw: RawHeader = serde_json::from_str(text).ok()?;
        let json = header_alone(text.as_bytes());
        if json.len() > HEADER_BYTES_MAX {
            return None;
        }
        Some(Arc::new(Header {
            hash: BlockHash::read(&raw.hash)?,
            parent: BlockHash::read(&raw.parent_hash)?,
            number: BlockNumber(hex::quantity_in(&raw.number)?),
            timestamp: raw.timestamp.as_deref().and_then(hex::quantity_in),
            bloom: raw
                .logs_bloom
                .as_deref()
                .and_then(Bloom::read)
                .map(Box::new),
            json,
        }))
    }
}

fn header_alone(block: &[u8]) -> Bytes {
    let start = scanner::skip_space(block, 0);
    let block = block.get(start..).unwrap_or_default();
    scanner::without(block, |key| BEYOND_THE_HEADER.contains(&key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_told_as_its_header_byte_for_byte() {
        let (hash, parent) = (format!("0x{:064x}", 2), format!("0x{:064X}", 1));
        let block = format!(
            r#" {{"number": "0x10","hash":"{hash}", "parentHash":"{parent}","transactions":["0x1",{{"size":1}}],
            "extra" : {{"size":"0x1"}},"timestamp":"0x5","uncles":[],"size":"0x2","totalDifficulty":"0x3","withdrawals":[],"baseFeePerGas":"0x07"}}"#
        );
        let header = Header::read(&block).unwrap();
        assert_eq!(
            (header.number, header.timestamp),
            (BlockNumber(16), Some(5))
        );
        assert_eq!(header.parent, BlockHash::read(&parent).unwrap());
        assert_eq!(
            header.json,
            format!(
                r#"{{"number":"0x10","hash":"{hash}","parentHash":"{parent}","extra":{{"size":"0x1"}},"timestamp":"0x5","baseFeePerGas":"0x07"}}"#
            )
        );
        let again = Header::read(std::str::from_utf8(&header.json).unwrap());
        assert_eq!(again.unwrap(), header, "a header is told as it is");
    }

    #[test]
    fn a_header_that_is_far_too_long_is_not_read() {
        let long = |member: &str| {
            let (hash, filler) = (format!("0x{:064x}", 2), "1".repeat(HEADER_BYTES_MAX));
            let head = format!(r#""number":"0x1","hash":"{hash}","parentHash":"{hash}""#);
            format!(r#"{{{head},"{member}":"{filler}"}}"#)
        };
        assert_eq!(Header::read(&long("extraData")), None);
        assert!(Header::read(&long("transactions")).is_some());
    }

    #[test]
    fn what_is_no_header_is_not_read() {
        let pending = r#"{"number":null,"hash":null,"parentHash":"0x0"}"#;
        for text in ["null", "", "{}", "[]", "\"0x1\"", pending] {
            assert_eq!(Header::read(text), None, "{text}");
        }
    }
}

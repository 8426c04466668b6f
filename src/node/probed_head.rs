//! Where a node is, as it says: a block or a bare quantity, read with what we need of it.

use std::sync::Arc;

use serde::Deserialize;

use crate::node::rpc::RpcFailure;
use forebay_core::fleet::ProbeDetails;
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber};
use forebay_core::vocabulary::header::Header;
use forebay_core::vocabulary::hex;

/// The longest answer that is read, in bytes, but for a block.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest block that is read, in bytes. It lists its transactions' hashes, 69 bytes each: a
/// full block of Ethereum (60 M gas) has 2,857 and needs 200 KB, those of other chains have more.
pub const BLOCK_BYTES_MAX: usize = 1024 * 1024;

/// A node's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbedHead {
    pub number: BlockNumber,
    pub hash: Option<BlockHash>,
    pub timestamp: Option<u64>,
    pub header: Option<Arc<Header>>,
}

impl ProbedHead {
    /// What it says of its node beside the number.
    pub fn details(&self) -> ProbeDetails {
        ProbeDetails {
            head_hash: self.hash,
            parent_hash: self.header.as_ref().map(|header| header.parent),
            head_timestamp: self.timestamp,
            ..ProbeDetails::default()
        }
    }
}

/// The parts of a block that say where its node is.
#[derive(Deserialize)]
struct RawBlock {
    number: String,
    #[serde(default)]
    hash: Option<String>,
    #[serde(default)]
    timestamp: Option<String>,
}

pub(super) fn read_block(result: &str) -> Result<Option<ProbedHead>, RpcFailure> {
    let not_a_block = |_| RpcFailure::BadAnswer("answered something other than a block");
    let raw: Option<RawBlock> = serde_json::from_str(result).map_err(not_a_block)?;
    let Some(raw) = raw else { return Ok(None) };
    let number = hex::quantity_in(&raw.number).ok_or(NOT_A_NUMBER)?;
    Ok(Some(ProbedHead {
        number: BlockNumber(number),
        hash: raw.hash.as_deref().and_then(BlockHash::read),
        timestamp: raw.timestamp.as_deref().and_then(hex::quantity_in),
        header: Header::read(result),
    }))
}

const NOT_A_NUMBER: RpcFailure =
    RpcFailure::BadAnswer("answered something other than a hex quantity");

pub(super) fn read_quantity(result: &str) -> Result<u64, RpcFailure> {
    let text: String = serde_json::from_str(result).map_err(|_| NOT_A_NUMBER)?;
    hex::quantity_in(&text).ok_or(NOT_A_NUMBER)
}

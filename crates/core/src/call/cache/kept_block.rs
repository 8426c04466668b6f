//! The block that an answer is of.

use std::hash::{Hash, Hasher};

use crate::vocabulary::chain::{BlockHash, BlockNumber};

/// The block that fixes an answer, as it is known when the call is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptBlock {
    /// It is on the told chain.
    Told(BlockNumber, BlockHash),
    /// Asked for by a hash that isn't among the told ones.
    Hashed(BlockHash),
    /// Final, and older than what is remembered by hash.
    Final(BlockNumber),
    /// The answer has to say: it is asked by a transaction's hash.
    Named,
}

/// As [`write`] tells them apart: a hash is the same block whether that is told or no more.
impl Hash for KeptBlock {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            KeptBlock::Told(_, hash) | KeptBlock::Hashed(hash) => (b'h', hash).hash(state),
            KeptBlock::Final(number) => (b'n', number).hash(state),
            KeptBlock::Named => b't'.hash(state),
        }
    }
}

/// A mark; a hash, or a number; a mark; a number.
pub(super) const WRITTEN_BYTES: usize = 1 + 32 + 1 + 8;

/// Writes a block, and where its range begins, in bytes that no other has. `out`: zeros.
#[inline]
pub(super) fn write(block: &KeptBlock, from: Option<BlockNumber>, out: &mut [u8; WRITTEN_BYTES]) {
    match block {
        KeptBlock::Told(_, hash) | KeptBlock::Hashed(hash) => {
            out[0] = b'h';
            out[1..33].copy_from_slice(&hash.0);
        }
        KeptBlock::Final(number) => {
            out[0] = b'n';
            out[1..9].copy_from_slice(&number.0.to_le_bytes());
        }
        KeptBlock::Named => out[0] = b't',
    }
    if let Some(from) = from {
        out[33] = b'-';
        out[34..].copy_from_slice(&from.0.to_le_bytes());
    }
}

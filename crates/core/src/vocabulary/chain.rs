//! A chain and its blocks, by number and by hash.

use std::fmt;

use crate::vocabulary::hex;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockNumber(pub u64);

/// Blocks behind the reference; 0 also for a node ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lag(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainId(pub u64);

/// A block's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHash(pub [u8; 32]);

impl BlockHash {
    /// From `0x` and 64 hex digits of either case.
    pub fn read(text: &str) -> Option<BlockHash> {
        let digits = text.strip_prefix("0x")?.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
        Some(BlockHash(bytes))
    }
}

/// As JSON-RPC writes it.
impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(&self.0))
    }
}

impl fmt::Display for BlockNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl BlockNumber {
    pub fn lag_behind(self, reference: BlockNumber) -> Lag {
        Lag(reference.0.saturating_sub(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_32_bytes_in_hexadecimal() {
        let digits = "0aF9".repeat(16);
        let hash = BlockHash::read(&format!("0x{digits}")).unwrap();
        assert_eq!(hash.0[..2], [0x0a, 0xf9]);
        for bad in [
            digits.clone(),
            format!("0x{}g", &digits[1..]),
            format!("0x{digits}0"),
        ] {
            assert_eq!(BlockHash::read(&bad), None, "{bad}");
        }
    }
}

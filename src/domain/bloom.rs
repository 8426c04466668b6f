//! The filter of a block's logs that its header carries (Yellow Paper, 4.4.1): which addresses and
//! topics can't be in it.

use sha3::{Digest, Keccak256};

use super::hex;

const BYTES: usize = 256;
/// Bits that a value sets.
const BITS: usize = 3;

/// 2048 bits, some set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bloom([u8; BYTES]);

/// Where the bits of one value stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark([u16; BITS]);

impl Mark {
    pub fn of(value: &[u8]) -> Mark {
        let digest = Keccak256::digest(value);
        Mark([0, 2, 4].map(|at| u16::from_be_bytes([digest[at], digest[at + 1]]) % 2048))
    }

    /// The byte and the bit in it.
    fn places(self) -> [(usize, u8); BITS] {
        self.0
            .map(|bit| (BYTES - 1 - usize::from(bit / 8), 1 << (bit % 8)))
    }
}

impl Bloom {
    /// From `0x` and 512 hex digits; `None` where no bit is set: some chains never set any, so that
    /// proves nothing.
    pub fn read(text: &str) -> Option<Bloom> {
        let bytes = hex::decode(text.strip_prefix("0x")?)?;
        let bytes: [u8; BYTES] = bytes.try_into().ok()?;
        bytes.iter().any(|byte| *byte != 0).then_some(Bloom(bytes))
    }

    /// Of the values with these marks.
    pub fn of(marks: impl IntoIterator<Item = Mark>) -> Bloom {
        let mut bytes = [0; BYTES];
        for (byte, bit) in marks.into_iter().flat_map(Mark::places) {
            bytes[byte] |= bit;
        }
        Bloom(bytes)
    }

    /// Whether the value may be among those that were put in.
    pub fn may_hold(&self, mark: Mark) -> bool {
        mark.places()
            .iter()
            .all(|(byte, bit)| self.0[*byte] & bit != 0)
    }

    /// Whether all that is set here is set in `other`.
    pub fn is_within(&self, other: &Bloom) -> bool {
        let mut bytes = self.0.iter().zip(&other.0);
        bytes.all(|(ours, theirs)| ours & !theirs == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_stand_where_geth_sets_them() {
        // go-ethereum, core/types/bloom9_test.go: "testtest" and its kind are in, others aren't.
        let inside = ["testtest", "test", "hallo", "other"];
        let bloom = Bloom::of(inside.iter().map(|text| Mark::of(text.as_bytes())));
        assert!(
            inside
                .iter()
                .all(|text| bloom.may_hold(Mark::of(text.as_bytes())))
        );
        assert!(!bloom.may_hold(Mark::of(b"tes")) && !bloom.may_hold(Mark::of(b"lo")));
        let fewer = Bloom::of([Mark::of(b"test")]);
        assert!(fewer.is_within(&bloom) && !bloom.is_within(&fewer));
    }

    #[test]
    fn an_empty_one_proves_nothing() {
        let digits = |byte: &str| format!("0x{}", byte.repeat(BYTES));
        assert!(Bloom::read(&digits("00")).is_none());
        assert!(Bloom::read(&digits("01")).is_some());
        for bad in ["", "0x", "0x01", &digits("0g"), &digits("011")] {
            assert!(Bloom::read(bad).is_none());
        }
    }
}

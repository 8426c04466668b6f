//! The filter of a block's logs that its header carries (Yellow Paper, 4.4.1): it shows whether an
//! answer has them all.

use sha3::{Digest, Keccak256};

use super::hex;

const BYTES: usize = 256;

/// 2048 bits, some set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bloom([u8; BYTES]);

impl Bloom {
    /// From `0x` and 512 hex digits; `None` where no bit is set: some chains never set any, so that
    /// proves nothing.
    pub fn read(text: &str) -> Option<Bloom> {
        let bytes: [u8; BYTES] = hex::data(text)?;
        bytes.iter().any(|byte| *byte != 0).then_some(Bloom(bytes))
    }

    /// Of these values: each sets three bits.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Bloom {
        let mut bytes = [0; BYTES];
        for value in values {
            let digest = Keccak256::digest(value);
            for at in [0, 2, 4] {
                let bit = u16::from_be_bytes([digest[at], digest[at + 1]]) % 2048;
                bytes[BYTES - 1 - usize::from(bit / 8)] |= 1 << (bit % 8);
            }
        }
        Bloom(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_stand_where_geth_sets_them() {
        // go-ethereum, core/types/bloom9_test.go, TestBloomExtensively.
        let values: Vec<_> = (0..100)
            .map(|at| format!("xxxxxxxxxx data {at} yyyyyyyyyyyyyy"))
            .collect();
        let bloom = Bloom::of(values.iter().map(String::as_bytes));
        let wanted = "c8d3ca65cdb4874300a9e39475508f23ed6da09fdbc487f89a2dcf50b09eb263";
        assert_eq!(::hex::encode(Keccak256::digest(bloom.0)), wanted);
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

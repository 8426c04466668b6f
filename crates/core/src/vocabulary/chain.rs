//! A chain, by name and by id, and its blocks, by number and by hash.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::vocabulary::hex;

/// A block's number on its chain, counted from 0, the genesis block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockNumber(pub u64);

/// Blocks behind the reference; 0 also for a node ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lag(pub u64);

/// A chain's id as `eth_chainId` tells it (EIP-155).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainId(pub u64);

/// What a chain is called in the configuration, in paths, in labels and in names of tables:
/// `[a-z][a-z0-9-]{0,31}`, and none of [`RESERVED_CHAIN_NAMES`]. Cloned without copying.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainName(Arc<str>);

/// Bytes in a [`ChainName`] at most.
pub const CHAIN_NAME_BYTES_MAX: usize = 32;
/// What stands in paths and labels already; sorted.
pub const RESERVED_CHAIN_NAMES: [&str; 6] =
    ["backends", "health", "local", "metrics", "rpc", "status"];
/// The name of a chain that has been given none.
const MAIN: &str = "main";

/// Why a text is no [`ChainName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChainNameError {
    /// It is empty, or doesn't begin with a letter from a to z.
    #[error("a chain's name has to begin with a letter from a to z")]
    Beginning,
    /// A character that no name may have.
    #[error("{found:?} can't stand in a chain's name, only a to z, 0 to 9 and - can")]
    Character {
        /// The first such one.
        found: char,
    },
    /// It is longer than [`CHAIN_NAME_BYTES_MAX`].
    #[error("a chain's name has {CHAIN_NAME_BYTES_MAX} characters at most")]
    TooLong,
    /// It is one of [`RESERVED_CHAIN_NAMES`].
    #[error("{word} is the name of something else, and can't be a chain's")]
    Reserved {
        /// Which one.
        word: &'static str,
    },
}

impl ChainName {
    /// The name of a chain that has been given none: `main`.
    pub fn main() -> ChainName {
        ChainName(MAIN.into())
    }

    /// Whether it is called as a chain without a name is.
    pub fn is_main(&self) -> bool {
        &*self.0 == MAIN
    }

    /// The name as it was written: all in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChainName {
    type Err = ChainNameError;

    /// # Errors
    /// The first thing that is wrong with `text`.
    fn from_str(text: &str) -> Result<ChainName, ChainNameError> {
        if !text.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Err(ChainNameError::Beginning);
        }
        let is_allowed = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '-');
        if let Some(found) = text.chars().find(|c| !is_allowed(c)) {
            return Err(ChainNameError::Character { found });
        }
        if text.len() > CHAIN_NAME_BYTES_MAX {
            return Err(ChainNameError::TooLong);
        }
        let reserved = RESERVED_CHAIN_NAMES.into_iter().find(|word| *word == text);
        reserved.map_or_else(
            || Ok(ChainName(text.into())),
            |word| Err(ChainNameError::Reserved { word }),
        )
    }
}

impl Default for ChainName {
    fn default() -> ChainName {
        ChainName::main()
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where the default one of several chains stands, of which each says whether it is: the only one is so without.
pub fn default_place(mut say_so: impl ExactSizeIterator<Item = bool>) -> Option<usize> {
    match say_so.len() {
        1 => Some(0),
        _ => say_so.position(|says_so| says_so),
    }
}

/// A block's hash. Aligned, so that it is copied in whole words: enums have it at another place in each variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(align(8))]
pub struct BlockHash(pub [u8; 32]);

impl BlockHash {
    /// From `0x` and 64 hex digits of either case.
    pub fn read(text: &str) -> Option<BlockHash> {
        hex::data(text).map(BlockHash)
    }

    /// The same, as a JSON string without an escape.
    pub fn read_json(written: &[u8]) -> Option<BlockHash> {
        let text = written.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        BlockHash::read(std::str::from_utf8(text).ok()?)
    }
}

/// As JSON-RPC writes it.
impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write_data(&self.0, f)
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
    pub(crate) fn lag_behind(self, reference: BlockNumber) -> Lag {
        Lag(reference.0.saturating_sub(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chains_name_is_short_and_fits_into_a_path_a_label_and_a_tables_name() {
        for good in ["a", "base", "op-sepolia", "l2-", "x0", &"n".repeat(32)] {
            assert_eq!(good.parse::<ChainName>().unwrap().as_str(), good);
        }
        for begins_otherwise in ["", "1", "8453", "-base", "Base", "/base", "\u{e9}tat"] {
            let read = begins_otherwise.parse::<ChainName>();
            assert_eq!(read, Err(ChainNameError::Beginning), "{begins_otherwise}");
        }
        for (bad, found) in [
            ("bAse", 'A'),
            ("base_2", '_'),
            ("base/x", '/'),
            ("base ", ' '),
            ("bas\u{e9}", '\u{e9}'),
        ] {
            let read = bad.parse::<ChainName>();
            assert_eq!(read, Err(ChainNameError::Character { found }), "{bad}");
        }
        let long = "n".repeat(33).parse::<ChainName>();
        assert_eq!(long, Err(ChainNameError::TooLong));
    }

    #[test]
    fn what_stands_in_paths_already_is_no_chains_name() {
        assert!(RESERVED_CHAIN_NAMES.is_sorted());
        for word in RESERVED_CHAIN_NAMES {
            let read = word.parse::<ChainName>();
            assert_eq!(read, Err(ChainNameError::Reserved { word }));
            assert!(format!("{word}-2").parse::<ChainName>().is_ok());
        }
    }

    #[test]
    fn a_chain_without_a_name_is_called_main() {
        assert_eq!(ChainName::default(), ChainName::main());
        assert_eq!(ChainName::main().to_string(), "main");
        assert_eq!(
            "main".parse(),
            Ok(ChainName::main()),
            "and may be called so"
        );
    }

    #[test]
    fn the_only_chain_is_the_default_or_the_one_that_says_so() {
        for (say_so, wanted) in [
            (&[][..], None),
            (&[false], Some(0)),
            (&[false, false], None),
            (&[false, true, false], Some(1)),
        ] {
            assert_eq!(default_place(say_so.iter().copied()), wanted, "{say_so:?}");
        }
    }

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

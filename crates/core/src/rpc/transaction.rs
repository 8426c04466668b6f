//! A raw transaction's hash, computed from its own bytes: what a pool that has it already doesn't
//! say, and what a node that said nothing is asked by.

mod rlp;
mod signed;
#[cfg(test)]
mod signed_tests;

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;
use sha3::{Digest, Keccak256};

use crate::rpc::transaction::rlp::RlpItem;
use crate::vocabulary::hex;

pub use self::signed::{read, shown};
pub use crate::rpc::transaction::signed::SignedTransaction;

/// The type of a transaction with blobs (EIP-4844).
const BLOB_TRANSACTION: u8 = 3;

/// A transaction's hash. Shown as clients write it: `0x` and 64 digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxHash([u8; 32]);

impl TxHash {
    /// The 32 bytes of the hash.
    pub fn bytes(self) -> [u8; 32] {
        self.0
    }

    pub(crate) fn of_bytes(bytes: [u8; 32]) -> TxHash {
        TxHash(bytes)
    }

    /// None is below it.
    pub const LEAST: TxHash = TxHash([0; 32]);
}

impl fmt::Display for TxHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write_data(&self.0, f)
    }
}

impl fmt::Debug for TxHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An account's address, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 20]);

impl Address {
    /// Reads it as it stands in params, in any case.
    pub fn read(text: &str) -> Option<Address> {
        hex::data(text).map(Address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write_data(&self.0, f)
    }
}

/// The bytes of the raw transaction that stands first in `params`, without blobs; `None` where there
/// is none that could be one.
pub fn bytes(params: &str) -> Option<Vec<u8>> {
    let bytes = hex::data_of_any(&first_text(params)?)?;
    if bytes.first() == Some(&BLOB_TRANSACTION) {
        return without_blobs(&bytes).map(Cow::into_owned);
    }
    Some(bytes)
}

/// The hash of what [`bytes`] gives.
pub fn hash_of(bytes: &[u8]) -> TxHash {
    TxHash(Keccak256::digest(bytes).into())
}

/// The address that stands first in `params`, as in `eth_getTransactionCount`.
pub fn address_asked(params: &str) -> Option<Address> {
    Address::read(&first_text(params)?)
}

/// The hash that stands first in `params`, as in `eth_getTransactionByHash`.
pub fn hash_asked(params: &str) -> Option<TxHash> {
    hex::data(&first_text(params)?).map(TxHash)
}

/// The sender and the nonce that `params` begin with, as in `eth_getTransactionBySenderAndNonce`.
pub fn nonce_asked(params: &str) -> Option<(Address, u64)> {
    let asked: Vec<&RawValue> = serde_json::from_str(params).ok()?;
    let nonce = hex::read_quantity(asked.get(1)?.get().as_bytes())?;
    Some((address_asked(params)?, nonce))
}

fn first_text(params: &str) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct TextParam<'a>(#[serde(borrow)] Cow<'a, str>);
    let params: Vec<&RawValue> = serde_json::from_str(params).ok()?;
    let text: TextParam = serde_json::from_str(params.first()?.get()).ok()?;
    Some(text.0)
}

/// What a blob transaction's hash is of. It is sent as `3 ‖ rlp([transaction, blobs, …])` and
/// hashed as `3 ‖ rlp(transaction)` (EIP-4844, "Networking"; EIP-7594 only adds to what follows
/// the transaction). One that comes without its blobs begins with a number instead of a list.
fn without_blobs(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let list = RlpItem::read(&bytes[1..]).filter(|item| item.is_list)?;
    let first = RlpItem::read(list.payload)?;
    if first.is_list {
        Some(Cow::Owned([&[BLOB_TRANSACTION], first.whole].concat()))
    } else {
        Some(Cow::Borrowed(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::rlp::list;
    use super::*;
    use proptest::prelude::*;

    fn hash(params: &str) -> Option<TxHash> {
        bytes(params).map(|bytes| hash_of(&bytes))
    }

    fn known(params: &str) -> String {
        hash(params).unwrap().to_string()
    }

    #[test]
    fn a_transactions_hash_is_the_keccak_of_its_bytes() {
        // keccak-256 of nothing and of "abc" (the Keccak team's test vectors).
        assert!(known(r#"["0x"]"#).starts_with("0xc5d2460186f7233c927e7db2dcc703c0"));
        assert!(
            known(r#"["0x616263", {"a":1}]"#).starts_with("0x4e03657aea45a94fc7d47ba826c8d667")
        );
        for bad in [
            "[]",
            "{}",
            r#"["61"]"#,
            r#"["0x6"]"#,
            r#"["0xzz"]"#,
            "[1]",
            "x",
        ] {
            assert_eq!(hash(bad), None, "{bad}");
        }
    }

    fn params(bytes: &[u8]) -> String {
        format!(r#"["{}"]"#, hex::data_text(bytes))
    }

    #[test]
    fn a_blob_transactions_hash_leaves_its_blobs_out() {
        for fields in [&[0x01, 0x80, 0x84, 1, 2, 3, 4][..], &[0x05; 300]] {
            let transaction = list(fields);
            let alone = [&[BLOB_TRANSACTION], &transaction[..]].concat();
            let wanted = TxHash(Keccak256::digest(&alone).into());
            // EIP-4844's wrapping, and EIP-7594's with a version in it.
            for rest in [&[0xc1, 0x80, 0xc0, 0xc0][..], &[0x01, 0xc0, 0xc0, 0xc0]] {
                let wrapped = list(&[&transaction, rest].concat());
                let sent = [&[BLOB_TRANSACTION], &wrapped[..]].concat();
                assert_eq!(hash(&params(&sent)), Some(wanted));
            }
            assert_eq!(hash(&params(&alone)), Some(wanted));
        }
    }

    #[test]
    fn a_blob_transaction_that_is_cut_off_has_no_hash() {
        for bad in [
            "03",
            "0300",
            "03c8",
            "03f9",
            "03f901",
            "03ffffffffffffffffffff",
            "03c1f8",
        ] {
            assert_eq!(hash(&format!(r#"["0x{bad}"]"#)), None, "{bad}");
        }
    }

    #[test]
    fn a_hash_that_is_asked_for_has_64_digits() {
        let digits = "0aB1".repeat(16);
        let asked = hash_asked(&format!(r#"["0x{digits}"]"#)).unwrap();
        assert_eq!(asked.to_string(), format!("0x{}", digits.to_lowercase()));
        assert_eq!(hash_asked(&format!(r#"["0x{digits}00"]"#)), None);
        assert_eq!(hash_asked(r#"["latest"]"#), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = hash(&params(&[&[BLOB_TRANSACTION], &bytes[..]].concat()));
            for kind in 0..=5 {
                let typed = [&[kind], &list(&bytes)[..]].concat();
                prop_assert_eq!(read(&typed), None, "nobody signed it");
                let _ = shown(&typed, hash_of(&typed), Address([0; 20]));
            }
            let _ = read(&bytes);
        }
    }
}

//! A raw transaction's hash, for when a pool has it already and doesn't say which it is.

use sha3::{Digest, Keccak256};

/// The type of a transaction with blobs (EIP-4844).
const BLOB_TRANSACTION: u8 = 3;

/// The hash of the raw transaction that stands first in `params`: keccak-256 of its bytes.
pub fn hash(params: &str) -> Option<String> {
    let params: Vec<serde_json::Value> = serde_json::from_str(params).ok()?;
    let digits = params.first()?.as_str()?.strip_prefix("0x")?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes: Option<Vec<u8>> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect();
    let bytes = bytes?;
    if bytes.first() == Some(&BLOB_TRANSACTION) {
        // It comes with its blobs, which its hash leaves out (EIP-4844): the node's word stands.
        return None;
    }
    let hash = Keccak256::digest(bytes);
    Some(
        hash.iter()
            .fold("0x".to_string(), |text, byte| text + &format!("{byte:02x}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transactions_hash_is_the_keccak_of_its_bytes() {
        // keccak-256 of nothing and of "abc" (the Keccak team's test vectors).
        let known = |params| hash(params).unwrap();
        assert!(known(r#"["0x"]"#).starts_with("0xc5d2460186f7233c927e7db2dcc703c0"));
        assert!(known(r#"["0x616263"]"#).starts_with("0x4e03657aea45a94fc7d47ba826c8d667"));
        for bad in [
            "[]",
            "{}",
            r#"["61"]"#,
            r#"["0x6"]"#,
            r#"["0x0300"]"#,
            r#"["0xzz"]"#,
            "[1]",
            "x",
        ] {
            assert_eq!(hash(bad), None, "{bad}");
        }
    }
}

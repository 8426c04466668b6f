//! An account in a test's own hand: it signs transactions of any type for any chain, also such as no
//! node would.

use std::fmt::Write as _;

use k256::ecdsa::SigningKey;
use serde_json::Value;
use sha3::{Digest as _, Keccak256};

/// The key of [`super::RICH`], which is publicly known.
const RICH_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// How a transaction is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Before EIP-155: for any chain.
    Unbound,
    /// EIP-1559
    Dynamic,
    /// EIP-4844, with one blob's hash, and without the blob.
    Blob,
}

/// What is signed, beside the nonce.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    pub kind: Kind,
    pub chain_id: u64,
    /// In hexadecimal, with `0x`.
    pub to: &'a str,
    pub data: &'a str,
    pub value: u64,
    /// In wei: the whole price, or the tip and the most that is paid.
    pub price: u64,
    pub gas: u64,
}

impl Draft<'static> {
    /// 1 wei to a made-up address.
    pub fn on(chain_id: u64) -> Draft<'static> {
        Draft {
            kind: Kind::Dynamic,
            chain_id,
            to: "0x00000000000000000000000000000000000000bb",
            data: "0x",
            value: 1,
            price: 50_000_000_000,
            gas: 100_000,
        }
    }
}

/// A transaction as it is sent, and its hash, both in hexadecimal with `0x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub raw: String,
    pub hash: String,
}

#[derive(Debug)]
pub struct Wallet {
    key: SigningKey,
    /// In small letters.
    pub address: String,
}

impl Wallet {
    /// Of [`super::RICH`].
    pub fn rich() -> Wallet {
        Wallet::new(RICH_KEY)
    }

    /// By its key in hexadecimal.
    pub fn new(key: &str) -> Wallet {
        let key = SigningKey::from_slice(&bytes(key)).unwrap();
        let point = key.verifying_key().to_encoded_point(false);
        let address = &Keccak256::digest(&point.as_bytes()[1..])[12..];
        Wallet {
            key,
            address: hex(address),
        }
    }

    pub fn sign(&self, nonce: u64, draft: Draft<'_>) -> Written {
        let price = number(draft.price);
        let common = [
            number(draft.gas),
            string(&bytes(draft.to)),
            number(draft.value),
            string(&bytes(draft.data)),
        ];
        let chain = [number(draft.chain_id), number(nonce)];
        let none = list(&[]);
        let (kind, fields) = match draft.kind {
            Kind::Unbound => {
                let first = [number(nonce), price];
                (None, [&first[..], &common].concat())
            }
            Kind::Dynamic => {
                let prices = [price.clone(), price];
                (Some(2), [&chain[..], &prices, &common, &[none]].concat())
            }
            Kind::Blob => {
                let prices = [price.clone(), price.clone()];
                let hash = [&[1][..], &[0x33; 31]].concat();
                let blobs = [none, price, list(&[string(&hash)])];
                (Some(3), [&chain[..], &prices, &common, &blobs].concat())
            }
        };
        let of_kind = |fields: &[Vec<u8>]| {
            let kind: Vec<u8> = kind.into_iter().collect();
            [kind, list(fields)].concat()
        };
        let digest = Keccak256::digest(of_kind(&fields));
        let (signature, parity) = self.key.sign_prehash_recoverable(&digest).unwrap();
        let parity = u64::from(parity.to_byte());
        let parity = if kind.is_none() { 27 + parity } else { parity };
        let (r, s) = signature.split_bytes();
        let signed = [number(parity), scalar(&r), scalar(&s)];
        let raw = of_kind(&[&fields[..], &signed].concat());
        Written {
            hash: hex(&Keccak256::digest(&raw)),
            raw: hex(&raw),
        }
    }
}

/// What the hash of a header of Avalanche's is of, and which of it are quantities (coreth `plugin/evm/customtypes`).
pub const AVALANCHE_HEADER: [(&str, bool); 24] = [
    ("parentHash", false),
    ("sha3Uncles", false),
    ("miner", false),
    ("stateRoot", false),
    ("transactionsRoot", false),
    ("receiptsRoot", false),
    ("logsBloom", false),
    ("difficulty", true),
    ("number", true),
    ("gasLimit", true),
    ("gasUsed", true),
    ("timestamp", true),
    ("extraData", false),
    ("mixHash", false),
    ("nonce", false),
    ("extDataHash", false),
    ("baseFeePerGas", true),
    ("extDataGasUsed", true),
    ("blockGasCost", true),
    ("blobGasUsed", true),
    ("excessBlobGas", true),
    ("parentBeaconBlockRoot", false),
    ("timestampMilliseconds", true),
    ("minDelayExcess", true),
];

/// The keccak-256 of a header, field by field as a chain orders them: each a name of the block as JSON,
/// and whether it is a quantity.
pub fn header_hash(block: &Value, fields: &[(&str, bool)]) -> String {
    let items = fields.iter().map(|(name, is_quantity)| {
        let digits = block[*name].as_str().unwrap_or_else(|| panic!("{name}"));
        let bytes = bytes(digits);
        if *is_quantity {
            scalar(&bytes)
        } else {
            string(&bytes)
        }
    });
    hex(&Keccak256::digest(list(&items.collect::<Vec<_>>())))
}

/// A deposit of OP's own (`specs/protocol/deposits.md`), which is the first transaction of each block: the
/// L1's attributes, as of the upgrade Ecotone. It has no signature.
pub fn deposit(number_of_block: u64) -> String {
    let source = Keccak256::digest(number_of_block.to_be_bytes());
    // The selector, two scalars, sequence, time, number, two fees, the L1's hash and the batcher.
    let data = [&bytes("440a5e20")[..], &[0; 160]].concat();
    let from = bytes("deaddeaddeaddeaddeaddeaddeaddeaddead0001");
    let to = bytes("4200000000000000000000000000000000000015");
    let (nothing, gas) = (number(0), number(1_000_000));
    let fields = [
        string(&source),
        string(&from),
        string(&to),
        nothing.clone(),
        nothing.clone(),
        gas,
        nothing,
        string(&data),
    ];
    hex(&[&[0x7e][..], &list(&fields)].concat())
}

fn bytes(digits: &str) -> Vec<u8> {
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let padding = "0".repeat(digits.len() % 2);
    forebay_core::vocabulary::hex::data_of_any(&format!("0x{padding}{digits}")).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        // Writing into a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

// RLP (Ethereum's Yellow Paper, appendix B)

fn number(number: u64) -> Vec<u8> {
    scalar(&number.to_be_bytes())
}

/// Without zeros in front.
fn scalar(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    string(&bytes[zeros..])
}

fn string(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [small @ 0..=0x7f] => vec![*small],
        bytes => [head(0x80, bytes.len()), bytes.to_vec()].concat(),
    }
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let payload = items.concat();
    [head(0xc0, payload.len()), payload].concat()
}

fn head(base: u8, length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short @ 0..=55) => vec![base + short],
        _ => {
            let digits = length.to_be_bytes();
            let zeros = digits.iter().take_while(|digit| **digit == 0).count();
            let digits = &digits[zeros..];
            let of_digits = u8::try_from(digits.len()).unwrap();
            [&[base + 55 + of_digits], digits].concat()
        }
    }
}

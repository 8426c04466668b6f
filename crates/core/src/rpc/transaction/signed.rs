//! A raw transaction, read: its sender, its nonce and its chain; and how a node shows it
//! while it is in no block.

use std::fmt::Write as _;

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

use super::{Address, TxHash, rlp};
use crate::rpc::transaction::rlp::RlpItem;
use crate::vocabulary::chain::ChainId;

/// What a field is, and how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FieldKind {
    Quantity,
    /// An address, or nothing: a contract is made.
    Receiver,
    Data,
    /// Pairs of an address and storage keys (EIP-2930).
    Access,
    Hashes,
    /// EIP-7702
    Authorizations,
}

use FieldKind::{Access, Authorizations, Data, Hashes, Quantity, Receiver};

type FieldSchema = (&'static str, FieldKind);

/// A signature's three, which stand last.
const SIGNATURE: usize = 3;

/// The fields of each type that is known, but for the signature's, as the nodes name them.
#[rustfmt::skip]
const SHAPES: &[(u8, &[FieldSchema])] = &[
    // Ethereum's Yellow Paper, §4.2
    (0, &[("nonce", Quantity), ("gasPrice", Quantity), ("gas", Quantity), ("to", Receiver), ("value", Quantity), ("input", Data)]),
    // EIP-2930
    (1, &[("chainId", Quantity), ("nonce", Quantity), ("gasPrice", Quantity), ("gas", Quantity), ("to", Receiver), ("value", Quantity), ("input", Data), ("accessList", Access)]),
    // EIP-1559
    (2, &[("chainId", Quantity), ("nonce", Quantity), ("maxPriorityFeePerGas", Quantity), ("maxFeePerGas", Quantity), ("gas", Quantity), ("to", Receiver), ("value", Quantity), ("input", Data), ("accessList", Access)]),
    // EIP-4844
    (3, &[("chainId", Quantity), ("nonce", Quantity), ("maxPriorityFeePerGas", Quantity), ("maxFeePerGas", Quantity), ("gas", Quantity), ("to", Receiver), ("value", Quantity), ("input", Data), ("accessList", Access), ("maxFeePerBlobGas", Quantity), ("blobVersionedHashes", Hashes)]),
    // EIP-7702
    (4, &[("chainId", Quantity), ("nonce", Quantity), ("maxPriorityFeePerGas", Quantity), ("maxFeePerGas", Quantity), ("gas", Quantity), ("to", Receiver), ("value", Quantity), ("input", Data), ("accessList", Access), ("authorizationList", Authorizations)]),
];

/// What is known of a signed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    /// The account whose key signed it, recovered from the signature.
    pub sender: Address,
    /// How many transactions of the sender come before it: the first has 0.
    pub nonce: u64,
    /// `None`: it may stand on any chain (before EIP-155).
    pub chain_id: Option<ChainId>,
}

/// A transaction's fields, as they stand in its bytes.
struct TransactionFields<'a> {
    kind: u8,
    shape: &'static [FieldSchema],
    items: Vec<RlpItem<'a>>,
}

/// A transaction of a type that is known, without blobs beside it; `None` where it is none.
pub fn read(bytes: &[u8]) -> Option<SignedTransaction> {
    let fields = TransactionFields::of(bytes)?;
    Some(SignedTransaction {
        sender: fields.sender()?,
        nonce: fields.get("nonce")?.number()?,
        chain_id: fields.chain_id()?,
    })
}

impl<'a> TransactionFields<'a> {
    fn of(bytes: &'a [u8]) -> Option<TransactionFields<'a>> {
        let (kind, list) = match *bytes.first()? {
            0xc0..=0xff => (0, bytes),
            kind @ 1..=0x7f => (kind, bytes.get(1..)?),
            _ => return None,
        };
        let (_, shape) = SHAPES.iter().find(|(known, _)| *known == kind)?;
        let whole = RlpItem::read(list).filter(|item| item.whole.len() == list.len())?;
        let items = whole.items()?;
        let is_whole = items.len() == shape.len() + SIGNATURE;
        is_whole.then_some(TransactionFields { kind, shape, items })
    }

    fn get(&self, name: &str) -> Option<RlpItem<'a>> {
        let at = self.shape.iter().position(|field| field.0 == name)?;
        self.items.get(at).copied()
    }

    /// `v` or the parity, `r` and `s`.
    fn signature(&self) -> Option<[RlpItem<'a>; SIGNATURE]> {
        self.items.get(self.shape.len()..)?.try_into().ok()
    }

    /// Of what has one. The outer `None`: a `v` that is none.
    fn chain_id(&self) -> Option<Option<ChainId>> {
        if self.kind != 0 {
            return Some(Some(ChainId(self.get("chainId")?.number()?)));
        }
        let [v, ..] = self.signature()?;
        match v.number()? {
            27 | 28 => Some(None),
            // EIP-155
            v @ 35.. => Some(Some(ChainId((v - 35) / 2))),
            _ => None,
        }
    }

    fn parity(&self) -> Option<u8> {
        let [v, ..] = self.signature()?;
        let parity = match (self.kind, v.number()?) {
            (0, v @ (27 | 28)) => v - 27,
            (0, v) => v.checked_sub(35)? % 2,
            (_, parity) => parity,
        };
        u8::try_from(parity).ok().filter(|parity| *parity < 2)
    }

    /// The hash that was signed.
    fn signed_hash(&self) -> Option<[u8; 32]> {
        let fields = self.items.get(..self.shape.len())?;
        let mut payload: Vec<u8> = fields.iter().flat_map(|item| item.whole).copied().collect();
        let mut hash = Keccak256::new();
        match (self.kind, self.chain_id()?) {
            (0, Some(ChainId(id))) => payload.extend([rlp::number(id), vec![0x80, 0x80]].concat()),
            (0, None) => {}
            (kind, _) => hash.update([kind]),
        }
        hash.update(rlp::list(&payload));
        Some(hash.finalize().into())
    }

    fn sender(&self) -> Option<Address> {
        let [_, r, s] = self.signature()?;
        let signature = Signature::from_scalars(r.padded::<32>()?, s.padded::<32>()?).ok()?;
        let parity = RecoveryId::from_byte(self.parity()?)?;
        let key =
            VerifyingKey::recover_from_prehash(&self.signed_hash()?, &signature, parity).ok()?;
        let point = key.to_encoded_point(false);
        let hash = Keccak256::digest(point.as_bytes().get(1..)?);
        hash.get(12..)?.try_into().ok().map(Address)
    }

    fn show(&self, kind: FieldKind, item: RlpItem<'_>) -> Option<String> {
        Some(match kind {
            Quantity => quantity(item),
            Data => bytes(item),
            Receiver if item.payload.is_empty() => "null".into(),
            Receiver => bytes(item),
            Hashes => list_of(item, |hash| Some(bytes(hash)))?,
            Access => list_of(item, |pair| {
                let [address, keys] = pair.items()?.try_into().ok()?;
                let keys = list_of(keys, |key| Some(bytes(key)))?;
                let address = bytes(address);
                Some(format!(r#"{{"address":{address},"storageKeys":{keys}}}"#))
            })?,
            Authorizations => list_of(item, |authorization| {
                let fields: [RlpItem<'_>; 6] = authorization.items()?.try_into().ok()?;
                let [chain, address, nonce, parity, r, s] = fields;
                let [chain, nonce, parity] = [chain, nonce, parity].map(quantity);
                let [r, s] = [r, s].map(quantity);
                let address = bytes(address);
                Some(format!(
                    r#"{{"chainId":{chain},"address":{address},"nonce":{nonce},"yParity":{parity},"r":{r},"s":{s}}}"#
                ))
            })?,
        })
    }
}

/// The transaction as JSON, as a node shows one that waits for a block (geth
/// `internal/ethapi/api.go`: `RPCTransaction`).
pub fn shown(raw: &[u8], hash: TxHash, sender: Address) -> Option<String> {
    let fields = TransactionFields::of(raw)?;
    let mut json = format!(
        r#"{{"blockHash":null,"blockNumber":null,"blockTimestamp":null,"transactionIndex":null,"from":"{sender}","hash":"{hash}","type":"{:#x}""#,
        fields.kind
    );
    for ((name, kind), item) in fields.shape.iter().zip(&fields.items) {
        // Writing into a String can't fail.
        let _ = write!(json, r#","{name}":{}"#, fields.show(*kind, *item)?);
    }
    let [v, r, s] = fields.signature()?.map(quantity);
    let _ = write!(json, r#","v":{v},"r":{r},"s":{s}"#);
    if fields.kind == 0 {
        if let Some(ChainId(id)) = fields.chain_id()? {
            let _ = write!(json, r#","chainId":"{id:#x}""#);
        }
    } else {
        let _ = write!(json, r#","yParity":{v}"#);
    }
    if let Some(price) = fields.get("maxFeePerGas") {
        let _ = write!(json, r#","gasPrice":{}"#, quantity(price));
    }
    json.push('}');
    Some(json)
}

fn bytes(item: RlpItem<'_>) -> String {
    format!("\"0x{}\"", hex::encode(item.payload))
}

/// Without zeros in front.
fn quantity(item: RlpItem<'_>) -> String {
    let digits = hex::encode(item.payload);
    match digits.trim_start_matches('0') {
        "" => "\"0x0\"".into(),
        digits => format!("\"0x{digits}\""),
    }
}

fn list_of(list: RlpItem<'_>, show: impl Fn(RlpItem<'_>) -> Option<String>) -> Option<String> {
    let shown: Option<Vec<String>> = list.items()?.into_iter().map(show).collect();
    Some(format!("[{}]", shown?.join(",")))
}

//! What an answer is called in the store that balancers share: a keyed hash of 256 bits, over everything
//! that the call means, so that no two meanings share a name and the store learns none.

use sha3::{Digest as _, Keccak256};

use crate::call::cache::canonical;
use crate::call::cache::kept_block::{self, KeptBlock, WRITTEN_BYTES};
use crate::call::cache::subject::{self, CachePlan};
use crate::method;
use crate::vocabulary::chain::ChainId;
use crate::vocabulary::hex;

/// What all balancers that share a store have alike, and the store hasn't.
#[derive(Clone)]
pub struct StoredSecret {
    /// Of the names.
    pub(super) name: [u8; 32],
    /// Of the marks by which entries are known to be ours.
    pub(super) mark: [u64; 4],
}

impl StoredSecret {
    /// Of the store's password; one that is empty makes names and marks that an attacker can make, too.
    pub fn of(password: &str) -> StoredSecret {
        let derived = |use_: &str| -> [u8; 32] {
            let hash = Keccak256::new_with_prefix(use_).chain_update(password);
            hash.finalize().into()
        };
        let mark = derived("forebay answers: marks ");
        let (parts, _) = mark.as_chunks();
        StoredSecret {
            name: derived("forebay answers: names "),
            mark: std::array::from_fn(|part| u64::from_le_bytes(parts[part])),
        }
    }
}

impl std::fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredSecret(…)")
    }
}

/// The name of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoredKey(pub [u8; 32]);

impl std::fmt::Display for StoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        hex::write_digits(&self.0, f)
    }
}

/// The name of the answer to a call on `chain` that is planned so. `None`: it isn't shared. What is known by
/// its block's number alone isn't: whether it is of the same chain, a balancer that begins can't tell.
pub fn of(
    secret: &StoredSecret,
    chain: ChainId,
    plan: &CachePlan,
    params: &str,
) -> Option<StoredKey> {
    if matches!(plan.block, KeptBlock::Final(_)) {
        return None;
    }
    let method = method::listed(Some(plan.row))?;
    let mut block = [0; WRITTEN_BYTES];
    kept_block::write(&plan.block, plan.from, &mut block);
    let mut hash = Keccak256::new_with_prefix(secret.name);
    hash.update(chain.0.to_le_bytes());
    for part in [method.name.as_bytes(), &block] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    canonical::write(Some(params), subject::place(method), &mut |piece| {
        hash.update(piece);
    })?;
    Some(StoredKey(hash.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::cache::CacheKey;
    use crate::vocabulary::chain::{BlockHash, BlockNumber};

    /// Balancers of other versions share the store: where this changes, so must the version of what stands there.
    #[test]
    fn a_name_is_made_of_the_same_bytes_for_ever() {
        let secret = StoredSecret::of("secret");
        let row = (method::TABLE.iter()).position(|row| row.name == "eth_call");
        let row = u16::try_from(row.unwrap()).unwrap();
        let hash = BlockHash(std::array::from_fn(|at| at as u8 + 1));
        for (from, range, digits) in [
            (None, [0; 9], "fc67671d1f8770a0"),
            (
                Some(BlockNumber(5)),
                [b'-', 5, 0, 0, 0, 0, 0, 0, 0],
                "029358882a08405d",
            ),
        ] {
            let plan = CachePlan {
                key: CacheKey([0; 2]),
                row,
                retention: method::TABLE[usize::from(row)].retention,
                block: KeptBlock::Told(BlockNumber(7), hash),
                from,
                is_by_hash: false,
            };
            let params = r#"[{"to":"0xAB"},"latest"]"#;
            let block = [&b"h"[..], &hash.0, &range].concat();
            let parts: [&[u8]; 7] = [
                &[2, 1, 0, 0, 0, 0, 0, 0],
                &[8, 0, 0, 0, 0, 0, 0, 0],
                b"eth_call",
                &[42, 0, 0, 0, 0, 0, 0, 0],
                &block,
                br#"[{"to":"0xab"},"#,
                b"B]",
            ];
            let mut wanted = Keccak256::new_with_prefix(secret.name);
            wanted.update(parts.concat());
            let name = of(&secret, ChainId(0x102), &plan, params);
            assert_eq!(name, Some(StoredKey(wanted.finalize().into())));
            assert_eq!(hex::digits_text(&name.unwrap().0[..8]), digits);
        }
    }
}

//! What an answer is called in the store that balancers share: a keyed hash of 256 bits, over everything
//! that the call means, so that no two meanings share a name and the store learns none.

use sha3::{Digest as _, Keccak256};

use crate::call::cache::canonical;
use crate::call::cache::kept_block::{KeptBlock, WrittenBlock};
use crate::call::cache::subject::{self, CachePlan};
use crate::method;
use crate::vocabulary::chain::ChainId;

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
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
    let block = WrittenBlock::of(plan.block, plan.from);
    let mut hash = Keccak256::new_with_prefix(secret.name);
    hash.update(chain.0.to_le_bytes());
    for part in [method.name.as_bytes(), &block.0] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    canonical::write(Some(params), subject::place(method), &mut |piece| {
        hash.update(piece);
    })?;
    Some(StoredKey(hash.finalize().into()))
}

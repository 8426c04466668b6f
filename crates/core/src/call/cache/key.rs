//! What an answer is kept under, as one number: a keyed hash, so that nobody outside can make two calls
//! that share one.

use highway::{HighwayHash as _, HighwayHasher, Key};

use crate::call::cache::canonical::{self, BlockPlace};
use crate::json::element_places::ElementPlaces;

/// A hash of 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey(pub [u64; 2]);

/// What this process's keys are hashed with. Of no use outside of it.
#[derive(Clone, Copy)]
pub struct CacheSecret([u64; 4]);

impl CacheSecret {
    /// Made of 128 bits or more that nobody outside of the process knows.
    pub fn new(secret: [u64; 4]) -> CacheSecret {
        CacheSecret(secret)
    }
}

impl std::fmt::Debug for CacheSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheSecret(…)")
    }
}

/// What of a call beside its params makes the key.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyHead<'a> {
    pub chain: u64,
    /// See [`PublishedChain::era`](crate::fleet::branch::PublishedChain::era).
    pub era: u64,
    /// The row of the method.
    pub row: u16,
    /// The block that it speaks of, in a form that no other block has.
    pub block: &'a [u8],
}

/// Pieces are gathered up to so many bytes before they are hashed.
const GATHERED_BYTES: usize = 256;

/// The key of a call with these params, whose first elements stand there. `None`: its params can be read in two ways.
pub(super) fn of(
    secret: CacheSecret,
    head: KeyHead<'_>,
    (params, elements): (Option<&str>, &ElementPlaces),
    place: BlockPlace,
) -> Option<CacheKey> {
    let mut hasher = HighwayHasher::new(Key(secret.0));
    let mut gathered = [0; GATHERED_BYTES];
    let mut filled = 0;
    let mut take = |piece: &[u8]| {
        let Some(room) = gathered.get_mut(filled..filled + piece.len()) else {
            hasher.append(&gathered[..filled]);
            hasher.append(piece);
            filled = 0;
            return;
        };
        room.copy_from_slice(piece);
        filled += piece.len();
    };
    let mut numbers = [0; 19];
    numbers[..8].copy_from_slice(&head.chain.to_le_bytes());
    numbers[8..16].copy_from_slice(&head.era.to_le_bytes());
    numbers[16..18].copy_from_slice(&head.row.to_le_bytes());
    numbers[18] = u8::try_from(head.block.len()).ok()?;
    take(&numbers);
    take(head.block);
    canonical::write(params, elements, place, &mut take)?;
    hasher.append(&gathered[..filled]);
    Some(CacheKey(hasher.finalize128()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: u64, chain: u64, block: &[u8], params: &str) -> CacheKey {
        let head = KeyHead {
            chain,
            era: 0,
            row: 3,
            block,
        };
        let secret = CacheSecret::new([secret, 7, 8, 9]);
        of(
            secret,
            head,
            (Some(params), &ElementPlaces::of(params)),
            BlockPlace::Nowhere,
        )
        .unwrap()
    }

    #[test]
    fn another_chain_block_params_or_secret_make_another_key() {
        let long = format!(r#"["0x{}"]"#, "ab".repeat(1000));
        let first = key(1, 1, b"a", &long);
        assert_eq!(first, key(1, 1, b"a", &long.replace("ab", "AB")));
        let others = [
            key(2, 1, b"a", &long),
            key(1, 2, b"a", &long),
            key(1, 1, b"b", &long),
            key(1, 1, b"a", "[]"),
            key(1, 1, b"a", &long.replacen("ab", "ac", 1)),
        ];
        for other in others {
            assert_ne!(first, other);
        }
    }
}

//! What an answer is kept under, as one number: a keyed hash, so that no attacker can make two calls
//! that share one.

use highway::{HighwayHash as _, HighwayHasher, Key};

use crate::call::cache::canonical::{self, BlockPlace, ParamsAsWritten};
use crate::call::cache::kept_block::{self, KeptBlock, WRITTEN_BYTES};
use crate::vocabulary::chain::BlockNumber;

/// A hash of 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey(pub [u64; 2]);

/// What this process's keys are hashed with. Of no use outside of it.
#[derive(Clone, Copy)]
pub struct CacheSecret([u64; 4]);

impl CacheSecret {
    /// Made of 128 bits or more that are known only within the process.
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
    /// The method's.
    pub row: u16,
    /// The block that it speaks of, and where its range begins.
    pub block: &'a KeptBlock,
    pub from: Option<BlockNumber>,
}

/// All that a head says, filled up with zeros to whole packets, so that the params begin one.
const HEAD_BYTES: usize = 64;
/// Where its block begins.
const BLOCK: usize = 18;

impl KeyHead<'_> {
    /// In a form that no other has.
    #[inline]
    fn written(&self) -> [u8; HEAD_BYTES] {
        let mut out = [0; HEAD_BYTES];
        out[..8].copy_from_slice(&self.chain.to_le_bytes());
        out[8..16].copy_from_slice(&self.era.to_le_bytes());
        out[16..BLOCK].copy_from_slice(&self.row.to_le_bytes());
        if let Some(block) = out[BLOCK..].first_chunk_mut() {
            kept_block::write(self.block, self.from, block);
        }
        out
    }
}

/// Pieces are gathered up to so many bytes before they are hashed.
const GATHERED_BYTES: usize = HEAD_BYTES + 256;
/// So many bytes are hashed together.
const PACKET_BYTES: usize = 32;
const _: () = assert!(
    BLOCK + WRITTEN_BYTES <= HEAD_BYTES
        && HEAD_BYTES.is_multiple_of(PACKET_BYTES)
        && GATHERED_BYTES.is_multiple_of(PACKET_BYTES)
);

/// What of a key was gathered, and what was hashed of it already.
struct KeyWriter<'a> {
    // Both are lent, as moving them is a copy.
    hasher: &'a mut HighwayHasher,
    gathered: &'a mut [u8; GATHERED_BYTES],
    filled: usize,
    /// All of it is gathered.
    is_whole: bool,
}

impl KeyWriter<'_> {
    #[inline]
    fn add(&mut self, piece: &[u8]) {
        let end = self.filled + piece.len();
        let Some(room) = self.gathered.get_mut(self.filled..end) else {
            self.hasher.append(&self.gathered[..self.filled]);
            self.hasher.append(piece);
            (self.filled, self.is_whole) = (0, false);
            return;
        };
        match (room, piece) {
            // A comma or a bracket, say: less than the call of a copy.
            ([room], [byte]) => *room = *byte,
            (room, piece) => room.copy_from_slice(piece),
        }
        self.filled = end;
    }

    #[inline]
    fn finish(self) {
        // No params have zeros: those behind them say nothing, and whole packets are hashed faster. Behind the rest of
        // longer ones stands what was hashed before.
        let end = match self.is_whole {
            true => self.filled.next_multiple_of(PACKET_BYTES),
            false => self.filled,
        };
        self.hasher.append(&self.gathered[..end]);
    }
}

/// The key of a call with these params. `None`: they can be read in two ways.
pub(super) fn of(
    secret: &CacheSecret,
    head: &KeyHead<'_>,
    params: Option<&str>,
    place: BlockPlace,
) -> Option<CacheKey> {
    let (written, key) = hashed(secret, head, |writer| {
        canonical::write(params, place, &mut |piece| writer.add(piece))
    });
    written.map(|()| key)
}

/// The same for params in their canonical form; where they aren't, no other call's.
pub(super) fn of_written(
    secret: &CacheSecret,
    head: &KeyHead<'_>,
    params: &ParamsAsWritten<'_>,
) -> CacheKey {
    let write = |writer: &mut KeyWriter<'_>| {
        let [before, block, behind] = params.pieces();
        writer.add(before);
        writer.add(block);
        writer.add(behind);
    };
    hashed(secret, head, write).1
}

/// What `write` returns, and the hash of what it has written behind `head`.
#[inline]
fn hashed<T>(
    secret: &CacheSecret,
    head: &KeyHead<'_>,
    write: impl FnOnce(&mut KeyWriter<'_>) -> T,
) -> (T, CacheKey) {
    let mut hasher = HighwayHasher::new(Key(secret.0));
    let mut gathered = [0; GATHERED_BYTES];
    gathered[..HEAD_BYTES].copy_from_slice(&head.written());
    let mut writer = KeyWriter {
        hasher: &mut hasher,
        gathered: &mut gathered,
        filled: HEAD_BYTES,
        is_whole: true,
    };
    let written = write(&mut writer);
    writer.finish();
    (written, CacheKey(hasher.finalize128()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::element_offsets::ElementOffsets;
    use crate::vocabulary::chain::BlockHash;

    fn key(secret: u64, chain: u64, block: u64, params: &str) -> CacheKey {
        let secret = CacheSecret::new([secret, 7, 8, 9]);
        let block = final_block(block);
        of(
            &secret,
            &head(chain, &block),
            Some(params),
            BlockPlace::Nowhere,
        )
        .unwrap()
    }

    fn final_block(number: u64) -> KeptBlock {
        KeptBlock::Final(BlockNumber(number))
    }

    fn head(chain: u64, block: &KeptBlock) -> KeyHead<'_> {
        KeyHead {
            chain,
            era: 0,
            row: 3,
            block,
            from: None,
        }
    }

    #[test]
    fn no_two_heads_are_written_alike() {
        let hash = |byte| BlockHash([byte; 32]);
        let numbers = [0, 1, 1 << 8, 1 << 56].map(BlockNumber);
        let mut blocks: Vec<_> = numbers.map(KeptBlock::Final).to_vec();
        blocks.extend([0, 1, b'h', b'-'].map(hash).map(KeptBlock::Hashed));
        blocks.push(KeptBlock::Named);
        let froms = std::iter::once(None).chain(numbers.map(Some));
        let mut seen = std::collections::BTreeSet::new();
        let mut count = 0;
        for from in froms {
            for block in &blocks {
                for chain in [0, 1, 1 << 56] {
                    for (era, row) in [(0, 0), (1, 0), (0, 1), (0, 1 << 8)] {
                        let head = KeyHead {
                            chain,
                            era,
                            row,
                            block,
                            from,
                        };
                        seen.insert(head.written());
                        count += 1;
                    }
                }
            }
        }
        assert_eq!(seen.len(), count);
        // A hash is the same block whether it is told or not.
        let [told, hashed] = [
            KeptBlock::Told(BlockNumber(7), hash(1)),
            KeptBlock::Hashed(hash(1)),
        ];
        assert_eq!(head(1, &told).written(), head(1, &hashed).written());
    }

    #[test]
    fn another_chain_block_params_or_secret_make_another_key() {
        let long = format!(r#"["0x{}"]"#, "ab".repeat(1000));
        let first = key(1, 1, 0, &long);
        assert_eq!(first, key(1, 1, 0, &long.replace("ab", "AB")));
        let others = [
            key(2, 1, 0, &long),
            key(1, 2, 0, &long),
            key(1, 1, 1, &long),
            key(1, 1, 0, "[]"),
            key(1, 1, 0, &long.replacen("ab", "ac", 1)),
        ];
        for other in others {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn params_in_their_form_have_the_same_key_as_they_are_written() {
        let (secret, block) = (CacheSecret::new([1, 7, 8, 9]), final_block(7));
        let head = head(1, &block);
        let place = BlockPlace::Element {
            index: 1,
            may_lack: false,
        };
        for length in (0..600).chain(980..1030) {
            let params = format!(r#"["0x{}","0x7","0x8"]"#, "a".repeat(length));
            let elements = ElementOffsets::of(&params);
            let written = ParamsAsWritten::of(Some(&params), &elements, place).unwrap();
            let key = of(&secret, &head, Some(&params), place);
            assert_eq!(Some(of_written(&secret, &head, &written)), key, "{length}");
        }
    }

    #[test]
    fn params_of_each_length_have_a_key_of_their_own() {
        let keys: std::collections::BTreeSet<_> = (0..600)
            .map(|length| key(1, 1, 0, &format!("[{}]", "1".repeat(length))))
            .collect();
        assert_eq!(keys.len(), 600);
    }
}

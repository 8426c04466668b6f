//! An answer as it stands in the store that balancers share.
//!
//! An entry begins with its form's version and a mark: a keyed hash over everything else of it and over its
//! name, so that what is damaged, foreign or of another call is no entry. Numbers are little-endian.

use highway::{HighwayHash as _, HighwayHasher, Key};

use crate::call::cache::generations::GenerationStamp;
use crate::call::cache::stored_key::{StoredKey, StoredSecret};

/// Of this form, and of what answers are kept under: entries of another one aren't read.
const VERSION: u8 = 4;
const IS_PACKED: u8 = 1;
const IS_STEADY: u8 = 2;
const MARK_BYTES: usize = 16;

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredEntry<'a> {
    /// The node that gave the answer.
    pub node: &'a str,
    /// As of when it was kept.
    pub stamp: GenerationStamp,
    /// The answer doesn't say of which block it is, and that isn't final: it is given only while its node
    /// hasn't been found elsewhere since.
    pub is_steady: bool,
    /// By zstd.
    pub is_packed: bool,
    /// Of the answer, unpacked.
    pub bytes: usize,
    /// As it came, with an id of ours.
    pub answer: &'a [u8],
}

impl StoredEntry<'_> {
    /// As bytes, to stand under `key`. `None`: its node's name or the answer is too long.
    pub fn write(&self, secret: &StoredSecret, key: StoredKey) -> Option<Vec<u8>> {
        let flag = |is_so: bool, flag: u8| if is_so { flag } else { 0 };
        let mut entry = Vec::with_capacity(128 + self.answer.len());
        entry.push(VERSION);
        entry.extend([0; MARK_BYTES]);
        entry.push(flag(self.is_packed, IS_PACKED) | flag(self.is_steady, IS_STEADY));
        for generation in self.stamp.0 {
            entry.extend(generation.to_le_bytes());
        }
        entry.extend(u32::try_from(self.bytes).ok()?.to_le_bytes());
        entry.push(u8::try_from(self.node.len()).ok()?);
        entry.extend(self.node.as_bytes());
        entry.extend(self.answer);
        let mark = mark(secret, key, &entry[1 + MARK_BYTES..]);
        entry[1..=MARK_BYTES].copy_from_slice(&mark);
        Some(entry)
    }
}

impl<'a> StoredEntry<'a> {
    /// Reads what stands under `key`. `None`: it is no entry of ours.
    pub fn read(entry: &'a [u8], secret: &StoredSecret, key: StoredKey) -> Option<StoredEntry<'a>> {
        let rest = entry.strip_prefix(&[VERSION])?;
        let (told, rest) = rest.split_first_chunk::<MARK_BYTES>()?;
        if *told != mark(secret, key, rest) {
            return None;
        }
        let ([flags], mut rest) = rest.split_first_chunk::<1>()?;
        let mut stamp = GenerationStamp::default();
        for generation in &mut stamp.0 {
            let (number, after) = rest.split_first_chunk()?;
            *generation = u64::from_le_bytes(*number);
            rest = after;
        }
        let (bytes, rest) = rest.split_first_chunk()?;
        let ([name], rest) = rest.split_first_chunk::<1>()?;
        let (node, answer) = rest.split_at_checked(usize::from(*name))?;
        Some(StoredEntry {
            node: std::str::from_utf8(node).ok()?,
            stamp,
            is_steady: flags & IS_STEADY != 0,
            is_packed: flags & IS_PACKED != 0,
            bytes: u32::from_le_bytes(*bytes) as usize,
            answer,
        })
    }
}

fn mark(secret: &StoredSecret, key: StoredKey, entry: &[u8]) -> [u8; MARK_BYTES] {
    let mut hasher = HighwayHasher::new(Key(secret.mark));
    hasher.append(&key.0);
    hasher.append(entry);
    let [one, other] = hasher.finalize128();
    (u128::from(one) | u128::from(other) << 64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: StoredKey = StoredKey([7; 32]);

    fn entry() -> StoredEntry<'static> {
        StoredEntry {
            node: "geth-1",
            stamp: GenerationStamp([1, u64::MAX, 3, 4]),
            is_steady: true,
            is_packed: false,
            bytes: 2,
            answer: b"{}",
        }
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_and_under_its_own_key_alone() {
        let secret = StoredSecret::of("s3cret");
        let packed = StoredEntry {
            is_steady: false,
            is_packed: true,
            ..entry()
        };
        for entry in [entry(), packed] {
            let written = entry.write(&secret, KEY).unwrap();
            assert_eq!(StoredEntry::read(&written, &secret, KEY), Some(entry));
            assert_eq!(
                StoredEntry::read(&written, &secret, StoredKey([8; 32])),
                None
            );
            for other in ["", "s3creT"] {
                assert_eq!(
                    StoredEntry::read(&written, &StoredSecret::of(other), KEY),
                    None
                );
            }
        }
        let long = "n".repeat(256);
        assert_eq!(
            StoredEntry {
                node: &long,
                ..entry()
            }
            .write(&secret, KEY),
            None
        );
    }

    #[test]
    fn no_damaged_shortened_or_lengthened_entry_is_read() {
        let secret = StoredSecret::of("");
        let written = entry().write(&secret, KEY).unwrap();
        for at in 0..written.len() {
            assert_eq!(
                StoredEntry::read(&written[..at], &secret, KEY),
                None,
                "{at}"
            );
            for bit in 0..8 {
                let mut damaged = written.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(
                    StoredEntry::read(&damaged, &secret, KEY),
                    None,
                    "{at} {bit}"
                );
            }
        }
        let longer = [&written[..], b" "].concat();
        assert_eq!(StoredEntry::read(&longer, &secret, KEY), None);
    }
}

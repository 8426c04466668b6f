//! Answers as they are stored: the longer ones by zstd (RFC 8878).

use bytes::Bytes;

use super::ANSWER_BYTES_MAX;
use forebay_core::call::cache::stored_entry::StoredEntry;

/// What is shorter isn't worth it.
const PACKED_BYTES_MIN: usize = 1 << 10;
/// The quickest that zstd has.
const LEVEL: i32 = 1;

/// `None`: it is shorter as it is.
pub(super) fn packed(answer: &[u8]) -> Option<Vec<u8>> {
    if answer.len() < PACKED_BYTES_MIN {
        return None;
    }
    let packed = zstd::bulk::compress(answer, LEVEL).ok()?;
    (packed.len() < answer.len()).then_some(packed)
}

/// The answer of an entry. `None`: it is longer than one may be, or than it is said to be.
pub(super) fn unpacked(entry: &StoredEntry<'_>) -> Option<Bytes> {
    if entry.bytes > ANSWER_BYTES_MAX {
        return None;
    }
    let answer = match entry.is_packed {
        true => zstd::bulk::decompress(entry.answer, entry.bytes).ok()?,
        false => entry.answer.to_vec(),
    };
    (answer.len() == entry.bytes).then(|| answer.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_core::call::cache::generations::GenerationStamp;

    fn entry(answer: &[u8], is_packed: bool, bytes: usize) -> StoredEntry<'_> {
        StoredEntry {
            node: "a",
            stamp: GenerationStamp::default(),
            is_steady: false,
            is_packed,
            bytes,
            answer,
        }
    }

    #[test]
    fn what_is_long_is_packed_and_comes_out_as_it_was() {
        assert_eq!(packed(&[b' '; PACKED_BYTES_MIN - 1]), None);
        let long = b"{\"blockHash\":\"0xab\"}".repeat(1000);
        let short = packed(&long).unwrap();
        assert!(short.len() * 20 < long.len());
        let found = unpacked(&entry(&short, true, long.len()));
        assert_eq!(found.as_deref(), Some(&*long));
        let plain = unpacked(&entry(&long, false, long.len()));
        assert_eq!(plain.as_deref(), Some(&*long));
    }

    #[test]
    fn what_unpacks_to_more_than_it_says_or_than_may_be_is_nothing() {
        let bomb = zstd::bulk::compress(&vec![b' '; 64 << 20], 3).unwrap();
        let short = packed(&[b' '; 2000]).unwrap();
        for (answer, is_packed, bytes) in [
            (&bomb[..], true, 64 << 20),
            (&bomb, true, ANSWER_BYTES_MAX + 1),
            (&bomb, true, ANSWER_BYTES_MAX),
            (&short, true, 1999),
            (&short, true, 2001),
            (b"{}", true, 2),
            (b"{}", false, 3),
            (b"{}", false, ANSWER_BYTES_MAX + 1),
        ] {
            assert_eq!(unpacked(&entry(answer, is_packed, bytes)), None, "{bytes}");
        }
        let most = vec![b' '; ANSWER_BYTES_MAX];
        let packed = packed(&most).unwrap();
        assert!(unpacked(&entry(&packed, true, most.len())).is_some());
    }
}

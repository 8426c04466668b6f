//! Whether an answer is worth being kept the first time that its call is asked.
//!
//! To keep one costs a tenth of what its call does, and pays only once it is asked for again. While hardly any
//! call of a method is asked again (an indexer reads a chain's history, say), its answers are looked for and kept only
//! from the second time on that a call is asked: the first time costs next to nothing, and displaces nothing.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use foldhash::quality::FixedState;

use crate::call::cache::subject::{AskedCall, CachePlan};
use crate::method;

/// Of so many calls of a method it is looked how many were asked again. A power of two.
const WINDOW: u32 = 1 << 10;
/// With fewer of those it takes two times.
const AGAIN_MIN: u32 = WINDOW / 32;
/// Places for calls that were asked, two in each.
const PLACES: usize = 1 << 16;

/// Marks of calls that were asked, of all chains: 512 KiB, once it takes two times anywhere.
///
/// Each place has room for one that was asked again and one that wasn't yet: what is asked only once never takes the
/// place of what is asked again and again.
#[derive(Debug, Default)]
pub struct AskedCalls(OnceLock<Box<[AskedPlace]>>);

#[derive(Debug, Default)]
struct AskedPlace {
    again: AtomicU32,
    once: AtomicU32,
}

impl AskedCalls {
    /// Notes that the call of this hash is asked; whether it is known to have been before.
    fn note(&self, hash: u64) -> bool {
        let places = (self.0).get_or_init(|| (0..PLACES).map(|_| AskedPlace::default()).collect());
        let AskedPlace { again, once } = &places[hash as usize % PLACES];
        // Another part of the hash than its place; never that of an empty one.
        let mark = (hash >> 32) as u32 | 1;
        if again.load(Ordering::Relaxed) == mark {
            return true;
        }
        let is_again = once.load(Ordering::Relaxed) == mark;
        let left = if is_again {
            again.swap(mark, Ordering::Relaxed)
        } else {
            mark
        };
        once.store(left, Ordering::Relaxed);
        is_again
    }
}

/// How often a chain's calls are asked again, by method.
#[derive(Debug)]
pub struct Recurrence {
    methods: Box<[MethodRecurrence]>,
    asked: Arc<AskedCalls>,
    hashes: FixedState,
}

#[derive(Debug, Default)]
struct MethodRecurrence {
    /// All; it wraps around.
    calls: AtomicU32,
    /// Those of this window whose answer was given again, or would have been, had it been kept the first time.
    again: AtomicU32,
    takes_two: AtomicBool,
}

impl Recurrence {
    /// Of another chain. `seed`: a number that is known only within the process.
    pub fn new(asked: Arc<AskedCalls>, seed: u64) -> Recurrence {
        Recurrence {
            methods: (method::TABLE.iter().map(|_| MethodRecurrence::default())).collect(),
            asked,
            hashes: FixedState::with_seed(seed),
        }
    }

    /// Notes that `call` is asked; whether its answer is to be looked for, and kept.
    #[inline]
    pub fn note_asked(&self, call: AskedCall<'_>) -> bool {
        let takes_two = (self.of(call.row)).is_some_and(MethodRecurrence::count);
        !takes_two || self.asked.note(self.hashes.hash_one(call))
    }

    /// Notes that a kept answer was given.
    pub fn note_given(&self, row: u16) {
        if let Some(method) = self.of(row) {
            method.again.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that an answer was kept.
    pub fn note_kept(&self, plan: &CachePlan) {
        if let Some(method) = self.of(plan.row)
            // Those are kept the first time always.
            && !plan.is_by_hash
            && method.takes_two.load(Ordering::Relaxed)
        {
            method.again.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn of(&self, row: u16) -> Option<&MethodRecurrence> {
        self.methods.get(usize::from(row))
    }
}

impl MethodRecurrence {
    /// Counts a call; whether it takes two times.
    #[inline]
    fn count(&self) -> bool {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if !calls.is_multiple_of(WINDOW) {
            return self.takes_two.load(Ordering::Relaxed);
        }
        let takes_two = self.again.swap(0, Ordering::Relaxed) < AGAIN_MIN;
        self.takes_two.store(takes_two, Ordering::Relaxed);
        takes_two
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::cache::{CacheKey, KeptBlock};
    use crate::method::retention::Retention;
    use crate::vocabulary::chain::{BlockHash, BlockNumber};

    /// The method that is asked, and another.
    const ROW: u16 = 3;
    const OTHER: u16 = 4;

    fn recurrence() -> Recurrence {
        Recurrence::new(Arc::default(), 7)
    }

    fn ask(recurrence: &Recurrence, row: u16, params: &str) -> bool {
        ask_of(recurrence, row, (final_block(7), None), params)
    }

    fn ask_of(
        recurrence: &Recurrence,
        row: u16,
        (block, from): (KeptBlock, Option<BlockNumber>),
        params: &str,
    ) -> bool {
        recurrence.note_asked(AskedCall {
            row,
            block: &block,
            from,
            params,
        })
    }

    fn final_block(number: u64) -> KeptBlock {
        KeptBlock::Final(BlockNumber(number))
    }

    /// Asks so many calls, none of which is like another; how many of them are to be kept.
    fn asked(recurrence: &Recurrence, row: u16, calls: std::ops::Range<u32>) -> usize {
        calls
            .filter(|call| ask(recurrence, row, &call.to_string()))
            .count()
    }

    fn keep(recurrence: &Recurrence, is_by_hash: bool) {
        recurrence.note_kept(&CachePlan {
            key: CacheKey([0; 2]),
            row: ROW,
            retention: Retention::State,
            block: KeptBlock::Named,
            from: None,
            is_by_hash,
        });
    }

    #[test]
    fn an_answer_is_kept_at_once_until_hardly_any_is_asked_again() {
        let recurrence = recurrence();
        let first = asked(&recurrence, ROW, 0..WINDOW);
        assert_eq!(first, WINDOW as usize - 1, "but for the one that ends it");
        let calls = WINDOW..WINDOW + 100;
        assert_eq!(asked(&recurrence, ROW, calls.clone()), 0);
        assert_eq!(asked(&recurrence, ROW, calls), 100, "the second time");
        assert_eq!(asked(&recurrence, OTHER, 0..100), 100, "another method's");
    }

    #[test]
    fn calls_of_another_block_are_others() {
        let recurrence = recurrence();
        asked(&recurrence, ROW, 0..WINDOW);
        let hash = |byte| BlockHash([byte; 32]);
        let number = Some(BlockNumber(5));
        for block in [
            (final_block(7), None),
            (final_block(8), None),
            (final_block(8), number),
            (KeptBlock::Named, None),
            (KeptBlock::Hashed(hash(1)), None),
            (KeptBlock::Hashed(hash(2)), None),
        ] {
            assert!(!ask_of(&recurrence, ROW, block, "[]"), "{block:?}");
            assert!(ask_of(&recurrence, ROW, block, "[]"), "{block:?}");
        }
        // The same once it is told.
        let told = KeptBlock::Told(BlockNumber(9), hash(2));
        assert!(ask_of(&recurrence, ROW, (told, None), "[]"));
    }

    #[test]
    fn as_many_as_are_wanted_are_kept_at_once_and_one_fewer_not() {
        for (given, is_kept) in [(AGAIN_MIN, true), (AGAIN_MIN - 1, false)] {
            let recurrence = recurrence();
            asked(&recurrence, ROW, 0..WINDOW - 1);
            (0..given).for_each(|_| recurrence.note_given(ROW));
            assert_eq!(asked(&recurrence, ROW, WINDOW..WINDOW + 2) == 2, is_kept);
        }
    }

    #[test]
    fn what_is_kept_the_second_time_would_have_been_given() {
        for (again, is_by_hash, is_kept) in [
            (AGAIN_MIN, false, true),
            (AGAIN_MIN - 1, false, false),
            (AGAIN_MIN, true, false),
        ] {
            let recurrence = recurrence();
            asked(&recurrence, ROW, 0..2 * WINDOW - 1);
            (0..again).for_each(|_| keep(&recurrence, is_by_hash));
            ask(&recurrence, ROW, "the last of the window");
            assert_eq!(ask(&recurrence, ROW, "new"), is_kept);
        }
    }

    #[test]
    fn what_is_kept_the_first_time_says_nothing() {
        let recurrence = recurrence();
        (0..AGAIN_MIN).for_each(|_| keep(&recurrence, false));
        asked(&recurrence, ROW, 0..WINDOW);
        assert!(!ask(&recurrence, ROW, "new"));
    }

    #[test]
    fn what_is_asked_once_never_takes_the_place_of_what_is_asked_again() {
        let asked = AskedCalls::default();
        let hash = |call: u64| FixedState::with_seed(7).hash_one(call);
        let again = 0..1000;
        let scan = 1000..1000 + 8 * PLACES as u64;
        for _ in 0..2 {
            again.clone().for_each(|call| {
                asked.note(hash(call));
            });
        }
        let known = scan.clone().filter(|call| asked.note(hash(*call))).count();
        assert!(known < 100, "{known} of them are taken for others");
        let known = again.filter(|call| asked.note(hash(*call))).count();
        assert!(known > 980, "two of them may have one place: {known}");
        let last = scan.end - 1000..scan.end;
        let known = last.filter(|call| asked.note(hash(*call))).count();
        assert!(known > 980, "those of late are remembered: {known}");
    }
}

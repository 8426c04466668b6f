//! Which answers are worth their place among the kept ones.
//!
//! To keep an answer costs a tenth of what its call does, and pays only once it is asked for again. While hardly any
//! call of a method is asked again (an indexer reads a chain's history, say), its answers are looked for and kept only
//! from the second time on that a call is asked: the first time costs next to nothing, and displaces nothing.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use foldhash::quality::RandomState;

use crate::method;

/// Of so many calls of a method it is looked how many were asked again. A power of two.
const WINDOW: u32 = 1 << 10;
/// With fewer of those it takes two times.
const AGAIN_MIN: u32 = WINDOW / 32;
/// Calls that are remembered as asked, of all methods and chains; a later one may take an earlier one's place.
const REMEMBERED: usize = 1 << 17;

/// Marks of calls that were asked of late, of all chains: 512 KiB, once it takes two times anywhere.
#[derive(Debug, Default)]
pub struct AskedCalls(OnceLock<Box<[AtomicU32]>>);

impl AskedCalls {
    /// Notes that the call of this hash is asked; whether it was before.
    fn note(&self, hash: u64) -> bool {
        let marks = (self.0).get_or_init(|| (0..REMEMBERED).map(|_| AtomicU32::new(0)).collect());
        // Another part of the hash than its place; never that of an empty place.
        let (place, mark) = (hash as usize % REMEMBERED, (hash >> 32) as u32 | 1);
        marks[place].swap(mark, Ordering::Relaxed) == mark
    }
}

/// A call as it is written, and what it speaks of.
#[derive(Clone, Copy, Debug, Hash)]
pub struct AskedCall<'a> {
    /// The row of its method in [`method::TABLE`].
    pub row: u16,
    /// Its block, in a form that no other has.
    pub block: &'a [u8],
    /// Its params, JSON.
    pub params: &'a str,
}

/// What is known of a chain's calls, by method.
#[derive(Debug)]
pub struct Admission {
    methods: Box<[MethodAdmission]>,
    asked: Arc<AskedCalls>,
    hashes: RandomState,
}

/// How calls of a method were asked of late.
#[derive(Debug, Default)]
struct MethodAdmission {
    /// Calls; it wraps around.
    calls: AtomicU32,
    /// Those of this window that were asked before.
    again: AtomicU32,
    takes_two: AtomicBool,
}

impl Admission {
    /// Of another chain.
    pub fn new(asked: Arc<AskedCalls>) -> Admission {
        Admission {
            methods: (method::TABLE.iter().map(|_| MethodAdmission::default())).collect(),
            asked,
            hashes: RandomState::default(),
        }
    }

    /// Whether the answer to `call` is looked for, and kept. It counts as asked.
    pub fn admits(&self, call: AskedCall<'_>) -> bool {
        let Some(method) = self.methods.get(usize::from(call.row)) else {
            return true;
        };
        if !method.takes_two() {
            return true;
        }
        let was_asked = self.asked.note(self.hashes.hash_one(call));
        if was_asked {
            method.again.fetch_add(1, Ordering::Relaxed);
        }
        was_asked
    }

    /// Notes that a kept answer was given.
    pub fn hear_given(&self, row: u16) {
        if let Some(method) = self.methods.get(usize::from(row))
            // Else it was counted when it was looked for.
            && !method.takes_two.load(Ordering::Relaxed)
        {
            method.again.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl MethodAdmission {
    /// Counts a call; whether it must have been asked before.
    fn takes_two(&self) -> bool {
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

    /// The method that is asked, and another.
    const ROW: u16 = 3;
    const OTHER: u16 = 4;

    fn admission() -> Admission {
        Admission::new(Arc::default())
    }

    fn ask(admission: &Admission, row: u16, block: &[u8], params: &str) -> bool {
        admission.admits(AskedCall { row, block, params })
    }

    /// Asks so many calls, none of which is like another, from that on; how many were admitted.
    fn asked(admission: &Admission, row: u16, calls: std::ops::Range<u32>) -> usize {
        calls
            .filter(|call| ask(admission, row, b"h", &call.to_string()))
            .count()
    }

    #[test]
    fn an_answer_is_kept_at_once_until_hardly_any_is_asked_again() {
        let admission = admission();
        let first = asked(&admission, ROW, 0..WINDOW);
        assert_eq!(first, WINDOW as usize - 1, "but for the one that ends it");
        assert_eq!(asked(&admission, ROW, WINDOW..WINDOW + 100), 0);
        assert_eq!(
            asked(&admission, ROW, WINDOW..WINDOW + 100),
            100,
            "the second time"
        );
        assert_eq!(asked(&admission, OTHER, 0..100), 100, "another method's");
    }

    #[test]
    fn calls_of_another_block_are_others() {
        let admission = admission();
        asked(&admission, ROW, 0..WINDOW);
        for block in [b"a", b"b"] {
            assert!(!ask(&admission, ROW, block, "[]"));
            assert!(ask(&admission, ROW, block, "[]"));
        }
    }

    #[test]
    fn as_many_as_are_wanted_are_kept_at_once_and_one_fewer_not() {
        for (given, is_kept) in [(AGAIN_MIN, true), (AGAIN_MIN - 1, false)] {
            let admission = admission();
            asked(&admission, ROW, 0..WINDOW - 1);
            (0..given).for_each(|_| admission.hear_given(ROW));
            assert_eq!(asked(&admission, ROW, WINDOW..WINDOW + 2) == 2, is_kept);
        }
    }

    #[test]
    fn once_calls_are_asked_again_answers_are_kept_at_once_again() {
        let admission = admission();
        asked(&admission, ROW, 0..WINDOW);
        let half = WINDOW / 2;
        asked(&admission, ROW, WINDOW..WINDOW + half);
        asked(&admission, ROW, WINDOW..WINDOW + half);
        assert!(ask(&admission, ROW, b"h", "new"));
    }

    #[test]
    fn what_is_given_of_what_was_asked_twice_is_counted_once() {
        let admission = admission();
        asked(&admission, ROW, 0..WINDOW);
        // Of each window half of what would be enough is asked again, and given.
        let again = AGAIN_MIN / 2;
        for window in 1..4 {
            let start = window * WINDOW;
            asked(&admission, ROW, start..start + again);
            assert_eq!(asked(&admission, ROW, start..start + again), again as usize);
            (0..again).for_each(|_| admission.hear_given(ROW));
            asked(&admission, ROW, start + again..start + WINDOW - again);
        }
        assert!(!ask(&admission, ROW, b"h", "new"));
    }

    #[test]
    fn however_many_calls_are_asked_most_of_the_last_ones_are_remembered() {
        let admission = admission();
        let calls = 4 * REMEMBERED as u32;
        asked(&admission, ROW, 0..calls);
        let last = calls - REMEMBERED as u32 / 8..calls;
        let count = last.len();
        assert!(asked(&admission, ROW, last) * 10 > count * 8);
    }
}

//! Room for nodes' answers that are held whole: each request's, and that of all together.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::shared::process_limits::{ChainShare, Resource};

/// One request's room for answers that are held whole; given back when dropped.
#[derive(Debug)]
pub struct AnswerBudget<'a> {
    /// What all requests of the chain hold, and may.
    all: &'a ChainShare,
    bytes_max: u64,
    /// Shared by the calls of a batch.
    bytes: AtomicU64,
}

/// What one attempt holds of a [`AnswerBudget`]; given back when dropped, unless it is kept.
#[derive(Debug)]
pub struct AnswerReservation<'a> {
    budget: &'a AnswerBudget<'a>,
    bytes: u64,
}

/// What is read of an answer before it is judged, of the whole process's room alone; given back when
/// dropped.
#[derive(Debug)]
pub struct ReadReservation<'a> {
    all: &'a ChainShare,
    bytes: u64,
}

impl<'a> AnswerBudget<'a> {
    /// Within what all may hold.
    pub fn new(all: &'a ChainShare, bytes_max: u64) -> AnswerBudget<'a> {
        AnswerBudget {
            all,
            bytes_max,
            bytes: AtomicU64::new(0),
        }
    }

    /// For an attempt that may come to nothing; it holds nothing yet.
    pub fn attempt(&'a self) -> AnswerReservation<'a> {
        AnswerReservation {
            budget: self,
            bytes: 0,
        }
    }

    /// Room to read `bytes` of an answer in; `None` when the process has none. It is no part of what the
    /// request's answers may come to.
    pub fn reading(&self, bytes: usize) -> Option<ReadReservation<'a>> {
        let bytes = bytes as u64;
        let has_room = self.all.take(Resource::Answers, bytes);
        // Not made where there is none: it gives back what it is made with.
        has_room.then(|| ReadReservation {
            all: self.all,
            bytes,
        })
    }

    /// Takes room for `bytes` more; `false` when there is none, here or in the whole process.
    pub fn hold(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        if !add_within(&self.bytes, bytes, self.bytes_max) {
            return false;
        }
        if !self.all.take(Resource::Answers, bytes) {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }
}

impl AnswerReservation<'_> {
    /// Takes room for `bytes` more; `false` when there is none.
    pub fn hold(&mut self, bytes: usize) -> bool {
        let has_room = self.budget.hold(bytes);
        if has_room {
            self.bytes += bytes as u64;
        }
        has_room
    }

    /// The answer is handed over: its room stays held as long as the request's.
    pub fn keep(mut self) {
        self.bytes = 0;
    }
}

/// Adds `bytes` to `count` unless that is then over `max`.
fn add_within(count: &AtomicU64, bytes: u64, max: u64) -> bool {
    let before = count.fetch_add(bytes, Ordering::Relaxed);
    let fits = before.saturating_add(bytes) <= max;
    if !fits {
        count.fetch_sub(bytes, Ordering::Relaxed);
    }
    fits
}

impl Drop for ReadReservation<'_> {
    fn drop(&mut self) {
        self.all.give(Resource::Answers, self.bytes);
    }
}

impl Drop for AnswerReservation<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let budget = self.budget;
            budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
            budget.all.give(Resource::Answers, self.bytes);
        }
    }
}

impl Drop for AnswerBudget<'_> {
    fn drop(&mut self) {
        let held = *self.bytes.get_mut();
        // Most requests hold nothing: they write to nothing that all share.
        if held > 0 {
            self.all.give(Resource::Answers, held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_core::vocabulary::caps::Caps;

    fn share() -> ChainShare {
        ChainShare::alone(&Caps {
            answers: 100,
            ..Caps::ROOMY
        })
    }

    #[test]
    fn answers_are_held_to_a_requests_limit_and_not_one_byte_past_it() {
        let all = share();
        let budget = AnswerBudget::new(&all, 10);
        assert!(budget.hold(7) && !budget.hold(4) && budget.hold(3) && !budget.hold(1));
        assert!(
            AnswerBudget::new(&all, 10).hold(10),
            "each request has its own room"
        );
    }

    #[test]
    fn what_an_attempt_held_is_given_back_unless_its_answer_is_kept() {
        let all = share();
        let budget = AnswerBudget::new(&all, 10);
        let mut failed = budget.attempt();
        assert!(failed.hold(6) && !failed.hold(5));
        drop(failed);
        assert_eq!(all.own(Resource::Answers), 0);
        let mut kept = budget.attempt();
        assert!(kept.hold(4) && kept.hold(6));
        kept.keep();
        assert!(!budget.hold(1));
        drop(budget);
        assert_eq!(all.own(Resource::Answers), 0);
    }

    #[test]
    fn what_is_read_counts_in_the_process_and_not_for_the_request() {
        let all = share();
        let budget = AnswerBudget::new(&all, 10);
        let reading = budget.reading(91).unwrap();
        assert!(budget.reading(10).is_none() && !budget.hold(10) && budget.hold(9));
        drop(reading);
        assert!(budget.hold(1) && budget.reading(90).is_some());
        drop(budget);
        assert_eq!(all.own(Resource::Answers), 0);
    }

    #[test]
    fn answers_of_all_requests_are_held_to_the_limit_of_the_process_and_given_back() {
        let all = share();
        let budget = || AnswerBudget::new(&all, u64::MAX);
        let (half, one, other) = (50, budget(), budget());
        assert!(one.hold(half) && other.hold(half));
        assert!(!other.hold(1), "one past it");
        drop(one);
        assert!(other.hold(half) && !other.hold(1));
    }
}

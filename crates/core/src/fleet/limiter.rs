//! How many calls one node may have in flight: found by what its answers tell, or fixed.
//!
//! Taking a place and giving it back is one atomic step each; what is learnt waits until a window of
//! answers is full. The thinking is [`LimitController`]'s.

mod ceiling;
mod control;
mod cut;
mod guess;
mod latency;
mod pace;
#[cfg(test)]
mod simulation_tests;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::fleet::limiter::control::LimitController;
use crate::fleet::limiter::latency::LatencyWindow;

pub(super) use self::control::LIMIT_FIRST;

/// A window of answers lasts at least so long.
const WINDOW: Duration = Duration::from_millis(100);
/// One with fewer answers goes on, up to so long.
const ANSWERS_MIN: u64 = 16;
const WINDOW_MAX: Duration = Duration::from_secs(1);
/// How soon it is looked again whether there are enough.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Latencies of a window that are kept apart.
const KEPT: usize = 32;
/// Of those the faster ones, so many of so many, make up the window's low latency: a few that are a hundred
/// times slower have no part in it.
const FASTER: [usize; 2] = [5, 8];
/// A node that is stuck (see [`LimitController::stuck_after`]) is given some more calls, at most so many times,
/// each after double the time.
const OPENS_MAX: u32 = 4;
/// From this latency on, in microseconds, a limit that doubles with each has no time to lose.
const SLOW: u32 = 100_000;
/// In place of a limit: places are given by the clock.
const PACED: u32 = 0;
/// How the number of answers and the sum of their latencies, in microseconds, share 64 bits.
const COUNT_SHIFT: u32 = 44;
const SUM_MASK: u64 = (1 << COUNT_SHIFT) - 1;

/// One node's.
#[derive(Debug)]
pub struct Limiter {
    /// Calls under way.
    in_flight: AtomicU32,
    /// Those of them that go in one request with another: a batch takes one place, as nodes carry
    /// its calls out one after another (geth: `rpc/handler.go`, `handleBatch`).
    with_another: AtomicU32,
    limit: AtomicU32,
    /// A call found no place since the present window began.
    was_full: AtomicBool,
    /// A lower latency than most of what was seen, in microseconds: how long a call takes that waits
    /// for nothing.
    floor: AtomicU32,
    /// Up to where the limit follows answers at once.
    cap: AtomicU32,
    /// Up to where it may be opened.
    most: AtomicU32,
    /// For how long a node that is stuck has answered nothing, in microseconds.
    stuck_after: AtomicU64,
    /// What was answered when a call found no place (`sum` and `began`), since when it is the same, and
    /// how often some were opened since.
    answers_seen: AtomicU64,
    stuck_since: AtomicU64,
    opened: AtomicU32,
    /// Answers of this window: their number and the sum of their latencies.
    sum: AtomicU64,
    kept: [AtomicU32; KEPT],
    /// When this window began and when it may end, in microseconds since `born`.
    began: AtomicU64,
    until: AtomicU64,
    /// A task gives its places by the clock.
    is_watched: AtomicBool,
    control: Mutex<LimitController>,
    born: Instant,
}

impl Limiter {
    pub fn new(now: Instant) -> Limiter {
        let limiter = Limiter {
            in_flight: AtomicU32::new(0),
            with_another: AtomicU32::new(0),
            limit: AtomicU32::new(LIMIT_FIRST),
            was_full: AtomicBool::new(false),
            floor: AtomicU32::new(u32::MAX),
            cap: AtomicU32::new(0),
            most: AtomicU32::new(0),
            stuck_after: AtomicU64::new(0),
            answers_seen: AtomicU64::new(0),
            stuck_since: AtomicU64::new(0),
            opened: AtomicU32::new(0),
            sum: AtomicU64::new(0),
            kept: std::array::from_fn(|_| AtomicU32::new(0)),
            began: AtomicU64::new(0),
            until: AtomicU64::new(WINDOW.as_micros() as u64),
            is_watched: AtomicBool::new(false),
            control: Mutex::new(LimitController::new(now)),
            born: now,
        };
        limiter.fix(None, now);
        limiter
    }

    /// Holds to `most` calls from now on; `None`: to as many as the node turns out to take.
    pub fn fix(&self, most: Option<u32>, now: Instant) {
        let mut control = self.control.lock();
        if let Some(limit) = control.fix(most, now) {
            self.show(&control, limit);
        }
    }

    /// Takes a place, whatever the limit. Returns how many are taken then.
    pub fn begin(&self) -> u32 {
        self.in_flight.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Takes a place if there is one, and says how many are taken then. Not of a node whose places are
    /// given by the clock: see [`Limiter::try_begin_at`].
    pub fn try_begin(&self) -> Option<u32> {
        let before = self.in_flight.fetch_add(1, Ordering::SeqCst);
        let taken = before.saturating_sub(self.with_another.load(Ordering::Relaxed));
        if taken < self.limit.load(Ordering::Relaxed) {
            return Some(taken + 1);
        }
        self.end();
        None
    }

    /// The same of any node. That there was none is remembered.
    pub fn try_begin_at(&self, now: Instant) -> Option<u32> {
        let taken = if self.limit.load(Ordering::Relaxed) == PACED {
            let mut control = self.control.lock();
            let taken = self.taken();
            control.pace(taken, now).then(|| {
                self.begin();
                taken + 1
            })
        } else {
            self.try_begin()
                .or_else(|| self.is_stuck(now).then(|| self.try_begin())?)
        };
        if taken.is_none() && !self.was_full.load(Ordering::Relaxed) {
            self.was_full.store(true, Ordering::Relaxed);
        }
        taken
    }

    /// A call waits, and the node has answered nothing for so long that its calls must be slow ones,
    /// which says nothing of others: there is room for some more.
    #[cold]
    fn is_stuck(&self, now: Instant) -> bool {
        let age = self.age(now);
        let answers = self.sum.load(Ordering::Relaxed) ^ self.began.load(Ordering::Relaxed);
        if self.answers_seen.swap(answers, Ordering::Relaxed) != answers {
            self.stuck_since.store(age, Ordering::Relaxed);
            self.opened.store(0, Ordering::Relaxed);
            return false;
        }
        let opened = self.opened.load(Ordering::Relaxed);
        let wait = self.stuck_after.load(Ordering::Relaxed) << opened;
        let since = self.stuck_since.load(Ordering::Relaxed);
        if opened >= OPENS_MAX || age.saturating_sub(since) < wait {
            return false;
        }
        self.opened.store(opened + 1, Ordering::Relaxed);
        self.stuck_since.store(age, Ordering::Relaxed);
        let limit = self.limit.load(Ordering::Relaxed);
        let wider = (limit + 1 + limit / 2).min(self.most.load(Ordering::Relaxed));
        let _ = self.limit.compare_exchange(
            limit,
            wider.max(limit),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        true
    }

    /// Gives a place back.
    pub fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// So many more calls begin, in one request with one that has a place.
    pub fn begin_with(&self, calls: u32) {
        self.with_another.fetch_add(calls, Ordering::Relaxed);
        self.in_flight.fetch_add(calls, Ordering::SeqCst);
    }

    /// They are over.
    pub fn end_with(&self, calls: u32) {
        self.in_flight.fetch_sub(calls, Ordering::SeqCst);
        self.with_another.fetch_sub(calls, Ordering::Relaxed);
    }

    /// Calls under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether a call would find a place at once, as far as can be told without the clock.
    pub fn has_room(&self) -> bool {
        self.taken() < self.limit.load(Ordering::Relaxed)
    }

    /// The same of a node that a call is drawn for: that there was none is remembered.
    pub fn has_room_for_draw(&self) -> bool {
        let has_room = self.has_room();
        if !has_room && !self.was_full.load(Ordering::Relaxed) {
            self.was_full.store(true, Ordering::Relaxed);
        }
        has_room
    }

    /// When the next place is given, where that goes by the clock.
    pub fn next_place(&self) -> Option<Instant> {
        let is_paced = self.limit.load(Ordering::Relaxed) == PACED;
        is_paced.then(|| self.control.lock().next_place())?
    }

    /// Whether the caller is to give its places by the clock; `false`: another task does.
    pub fn watch(&self) -> bool {
        !self.is_watched.swap(true, Ordering::SeqCst)
    }

    /// No task gives them any more.
    pub fn unwatch(&self) {
        self.is_watched.store(false, Ordering::SeqCst);
    }

    /// For show: 1 where places are given by the clock.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed).max(1)
    }

    fn taken(&self) -> u32 {
        let with_another = self.with_another.load(Ordering::Relaxed);
        self.in_flight
            .load(Ordering::SeqCst)
            .saturating_sub(with_another)
    }

    /// The single call that took the place `number` was answered after `took`.
    #[cfg(test)]
    fn answered(&self, number: u32, took: Duration, now: Instant) {
        self.answered_at(number, took, (self.age(now), now));
    }

    /// The same; `age`: of the limiter by then, in microseconds.
    pub fn answered_at(&self, number: u32, took: Duration, (age, now): (u64, Instant)) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let before = self
            .sum
            .fetch_add(1 << COUNT_SHIFT | u64::from(micros), Ordering::Relaxed);
        let place = (before >> COUNT_SHIFT) as usize;
        self.kept[place % KEPT].store(micros, Ordering::Relaxed);
        if self.was_full.load(Ordering::Relaxed) {
            self.widen(number, micros);
        }
        if age >= self.until.load(Ordering::Relaxed) {
            self.turn(age, now);
        }
    }

    /// A place more for an answer that had to wait for nothing, as in TCP's slow start; none in this window any
    /// more once one had to: where calls end in pulses some begin at once however many wait.
    fn widen(&self, number: u32, micros: u32) {
        let floor = self.floor.fetch_min(micros, Ordering::Relaxed).min(micros);
        let is_prompt = u64::from(micros) <= u64::from(floor) * 11 / 10 + 500;
        let limit = self.limit.load(Ordering::Relaxed);
        if u64::from(micros) > u64::from(floor) * 3 / 2 + 500 {
            return self.cap.store(0, Ordering::Relaxed);
        }
        let is_proof = u64::from(limit) <= u64::from(number) * 2;
        if is_prompt && is_proof && limit != PACED && limit < self.cap.load(Ordering::Relaxed) {
            let wider = limit + if floor < SLOW { 1 } else { 2 };
            // An answer that comes second widens it the next time.
            let _ = self
                .limit
                .compare_exchange(limit, wider, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The node refused the call that took the place `number`: it said that it has too much to do.
    pub fn refused(&self, number: u32, now: Instant) {
        let mut control = self.control.lock();
        let count = self.sum.load(Ordering::Relaxed) >> COUNT_SHIFT;
        let began = self.born + Duration::from_micros(self.began.load(Ordering::Relaxed));
        let limit = self.limit.load(Ordering::Relaxed);
        let limit = control.refused(limit, number, (count, began), now);
        self.show(&control, limit);
    }

    /// A call waited in vain.
    pub fn timed_out(&self, now: Instant) {
        let mut control = self.control.lock();
        let limit = self.limit.load(Ordering::Relaxed);
        let limit = control.timed_out(limit, now);
        self.show(&control, limit);
    }

    /// The window is over, if it has enough answers, and is learnt from.
    #[cold]
    fn turn(&self, age: u64, now: Instant) {
        let Some(mut control) = self.control.try_lock() else {
            return;
        };
        if age < self.until.load(Ordering::Relaxed) {
            return;
        }
        let began = self.began.load(Ordering::Relaxed);
        let length = Duration::from_micros(age.saturating_sub(began));
        let count = self.sum.load(Ordering::Relaxed) >> COUNT_SHIFT;
        if count <= 1 && length > WINDOW {
            // The first one after a while.
            self.began.store(age, Ordering::Relaxed);
            let end = age + WINDOW.as_micros() as u64;
            return self.until.store(end, Ordering::Relaxed);
        }
        if count < ANSWERS_MIN && length < WINDOW_MAX {
            let later = age + LOOK_AGAIN.as_micros() as u64;
            return self.until.store(later, Ordering::Relaxed);
        }
        let sum = self.sum.swap(0, Ordering::Relaxed);
        self.began.store(age, Ordering::Relaxed);
        let length_next = WINDOW
            .max(control.floor().unwrap_or(WINDOW))
            .min(WINDOW_MAX);
        let window = LatencyWindow {
            began: self.born + Duration::from_micros(began),
            length,
            answers: sum >> COUNT_SHIFT,
            sum: Duration::from_micros(sum & SUM_MASK),
            low: self.low(sum >> COUNT_SHIFT),
            was_full: self.was_full.swap(false, Ordering::Relaxed),
        };
        let limit = self.limit.load(Ordering::Relaxed);
        let limit = control.hear_window(limit, &window, now);
        self.show(&control, limit);
        let settles = control.settles().saturating_duration_since(now);
        let length = if settles.is_zero() {
            length_next
        } else {
            settles
        };
        self.until
            .store(age + length.as_micros() as u64, Ordering::Relaxed);
    }

    /// The mean of the lower ones that were kept.
    fn low(&self, answers: u64) -> Duration {
        let count = usize::try_from(answers).unwrap_or(KEPT).min(KEPT);
        let mut kept: [u32; KEPT] = std::array::from_fn(|at| {
            if at < count {
                self.kept[at].load(Ordering::Relaxed)
            } else {
                u32::MAX
            }
        });
        kept.sort_unstable();
        let faster = &kept[..(count * FASTER[0] / FASTER[1]).max(1)];
        let sum: u64 = faster.iter().map(|micros| u64::from(*micros)).sum();
        Duration::from_micros(sum / faster.len() as u64)
    }

    fn show(&self, control: &LimitController, limit: u32) {
        let limit = if control.is_paced() { PACED } else { limit };
        self.limit.store(limit, Ordering::SeqCst);
        self.cap.store(control.widens_to(), Ordering::Relaxed);
        self.most.store(control.opens_to(), Ordering::Relaxed);
        let micros = |time: Option<Duration>| {
            time.and_then(|time| u32::try_from(time.as_micros()).ok())
                .unwrap_or(u32::MAX)
        };
        let stuck_after = micros(control.stuck_after());
        self.stuck_after
            .store(stuck_after.into(), Ordering::Relaxed);
        self.floor.store(micros(control.floor()), Ordering::Relaxed);
    }

    fn age(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.born).as_micros();
        u64::try_from(age).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_limit_is_held_and_a_batch_takes_one_place() {
        let now = crate::testing::now();
        let limiter = Limiter::new(now);
        limiter.fix(Some(2), now);
        limiter.begin();
        limiter.begin_with(99);
        assert_eq!(limiter.in_flight(), 100);
        assert!(limiter.has_room());
        assert_eq!(limiter.try_begin(), Some(2));
        assert!(!limiter.has_room() && limiter.try_begin().is_none());
        assert_eq!(
            limiter.in_flight(),
            101,
            "a caller that found no place takes none"
        );
        limiter.end_with(99);
        limiter.end();
        assert_eq!(limiter.try_begin_at(now), Some(2));
        limiter.end();
        limiter.fix(Some(1), now);
        assert_eq!(limiter.try_begin_at(now), None, "fewer from now on");
    }
}

//! How a node does with its calls: what it answered and what it failed at, and what follows.
//!
//! Answers are counted without a lock, on every call's path; faults, which are rare, under one.
//! What is a fault is for the call to say that met it: see [`crate::call::doubts`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::vocabulary::recent::SlidingCounter;

/// So far is looked back.
const SECONDS: usize = 10;
/// Fewer attempts within that time say nothing by their share of faults.
const ENDED_MIN: u32 = 10;
/// As many faults in a row make a node suspect; and bench it where they are spread and it has
/// answered nothing for a while.
const FAULTS_IN_ROW: u32 = 5;
const SPREAD_MIN: Duration = Duration::from_secs(1);
const SILENCE_MIN: Duration = Duration::from_secs(2);
/// A node that failed at its last calls isn't given up for slow: after a pause it gets the next call
/// that is drawn for it.
const PAUSE: Duration = Duration::from_millis(200);
/// A suspect node gets one call at a time, after a pause that doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// A trial call that has not been heard of for so long doesn't hold up the next one.
const TRIAL_MAX: Duration = Duration::from_secs(10);
/// Methods whose faults are told apart.
const METHODS_MAX: usize = 16;

/// What follows from a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Penalty {
    /// It is to be benched.
    Bench,
    /// It fails at this one method alone: that rests.
    RestMethod,
}

/// How one node does.
#[derive(Debug)]
pub struct Conduct {
    answers: SlidingCounter<SECONDS>,
    /// When it last answered a call, and when it last answered anything, a probe included; in
    /// microseconds since `born`, and 0 for never.
    answered: AtomicU64,
    heard: AtomicU64,
    in_row: AtomicU32,
    /// Trial calls since it became suspect, and when the next one is due.
    trials: AtomicU32,
    trial_at: AtomicU64,
    /// Whether some method's faults are being counted.
    tells_methods: AtomicBool,
    faults: Mutex<FaultRecords>,
    born: Instant,
}

#[derive(Debug)]
struct FaultRecords {
    of_all: FaultRecord,
    of_methods: Vec<MethodFaultRecord>,
    /// Those that were laid to their calls.
    spared: FaultRecord,
}

/// Faults of late.
#[derive(Debug)]
struct FaultRecord {
    count: SlidingCounter<SECONDS>,
    /// Those since the last answer: how many, and the first of them.
    in_row: u32,
    first_in_row: Option<Instant>,
}

/// One method's, since its first fault.
#[derive(Debug)]
struct MethodFaultRecord {
    method: Arc<str>,
    faults: FaultRecord,
    answers: SlidingCounter<SECONDS>,
    last_answer: Option<Instant>,
    since: Instant,
    /// What the node had answered by then, of all methods.
    answers_before: u32,
}

impl Conduct {
    pub(crate) fn new(now: Instant) -> Conduct {
        Conduct {
            answers: SlidingCounter::new(now),
            answered: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            in_row: AtomicU32::new(0),
            trials: AtomicU32::new(0),
            trial_at: AtomicU64::new(0),
            tells_methods: AtomicBool::new(false),
            faults: Mutex::new(FaultRecords {
                of_all: FaultRecord::new(now),
                of_methods: Vec::new(),
                spared: FaultRecord::new(now),
            }),
            born: now,
        }
    }

    /// It answered as many calls, be it with errors of their own.
    pub fn answered(&self, calls: u32, now: Instant) {
        self.answered_at(calls, now.saturating_duration_since(self.born));
    }

    /// The same, `age` after it was made.
    pub fn answered_at(&self, calls: u32, age: Duration) {
        self.answers.add_at(calls, age);
        self.answered.store(micros(age), Ordering::Relaxed);
        if self.in_row.load(Ordering::Relaxed) != 0 {
            self.in_row.store(0, Ordering::Relaxed);
        }
    }

    /// Whether [`Conduct::answered_method`] is to be told.
    pub fn tells_methods(&self) -> bool {
        self.tells_methods.load(Ordering::Relaxed)
    }

    /// Of those it answered, one was of `method`.
    pub fn answered_method(&self, method: &str, now: Instant) {
        let mut faults = self.faults.lock();
        if let Some(record) = faults.record_of(method) {
            record.hear_answer(now);
        }
    }

    /// It answered a probe.
    pub fn heard(&self, now: Instant) {
        self.heard.store(self.age(now), Ordering::Relaxed);
    }

    /// Whether it has answered a call since.
    pub fn has_answered_since(&self, then: Instant) -> bool {
        self.answered.load(Ordering::Relaxed) >= self.age(then)
    }

    /// Whether it has answered anything since, be it a probe.
    pub fn was_heard_since(&self, then: Instant) -> bool {
        self.has_answered_since(then) || self.heard.load(Ordering::Relaxed) >= self.age(then)
    }

    /// The calls of late that it answered, and its faults at others than `method`.
    pub fn of_late(&self, method: &str, now: Instant) -> (u32, u32) {
        let mut faults = self.faults.lock();
        let own = faults
            .record_of(method)
            .map_or(0, |record| record.faults.count.sum(now));
        let others = faults.of_all.count.sum(now).saturating_sub(own);
        (self.answers.sum(now), others)
    }

    /// A fault at `at` was laid to its call. Whether there have been so many since the last answer, and
    /// for so long, that this may be believed no longer.
    pub fn spare(&self, at: Instant, now: Instant) -> bool {
        let last_answer = self.last_answer();
        let began = last_answer.unwrap_or(self.born);
        let mut faults = self.faults.lock();
        faults.spared.add(at, last_answer, now);
        faults.spared.is_silent(began, at, now)
    }

    /// Hears of a fault, at `at`, with a call of `method` (empty: with calls of several). `now`: by
    /// when it is known to be the node's.
    pub fn faulted(&self, method: &str, at: Instant, now: Instant) -> Option<Penalty> {
        self.suspect(at, now);
        let last_answer = self.last_answer();
        let mut faults = self.faults.lock();
        faults.of_all.add(at, last_answer, now);
        let began = last_answer.unwrap_or(self.born);
        let answers = self.answers.sum(now);
        let is_broken = faults.of_all.is_broken(answers, began, at, now);
        let sentence = if faults.add_to_method((method, is_broken), at, &self.answers, now) {
            Some(Penalty::RestMethod)
        } else {
            is_broken.then_some(Penalty::Bench)
        };
        let tells_methods = !faults.of_methods.is_empty();
        self.tells_methods.store(tells_methods, Ordering::Relaxed);
        sentence
    }

    /// Whether it failed so often in a row that calls are better sent elsewhere, until one of the few
    /// that it gets is answered.
    pub fn is_suspect(&self) -> bool {
        self.in_row.load(Ordering::Relaxed) >= FAULTS_IN_ROW
    }

    /// Whether its last calls were faults.
    pub fn is_doubted(&self) -> bool {
        self.in_row.load(Ordering::Relaxed) > 0
    }

    /// No trials for a while: the node wants to be left alone.
    pub fn hold_trials(&self, now: Instant) {
        let until = self.age(now + TRIAL_MAX);
        self.trial_at.store(until, Ordering::Relaxed);
    }

    /// Whether the node, if doubted or at rest, may have a call to show itself.
    pub fn is_trial_due(&self, now: Instant) -> bool {
        self.age(now) >= self.trial_at.load(Ordering::Relaxed)
    }

    /// Takes the trial that is due; `false`: another call has it.
    pub fn take_trial(&self, now: Instant) -> bool {
        let due = self.trial_at.load(Ordering::Relaxed);
        let lost = self.age(now + TRIAL_MAX);
        let is_taken = self.age(now) >= due
            && self
                .trial_at
                .compare_exchange(due, lost, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_taken {
            self.trials.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    fn suspect(&self, at: Instant, now: Instant) {
        if self.has_answered_since(at) {
            return;
        }
        let in_row = self.in_row.fetch_add(1, Ordering::Relaxed) + 1;
        if in_row == FAULTS_IN_ROW {
            self.trials.store(0, Ordering::Relaxed);
        }
        let doublings = self.trials.load(Ordering::Relaxed).min(16);
        let pause = if in_row >= FAULTS_IN_ROW {
            (PAUSE_FIRST * 2u32.pow(doublings)).min(PAUSE_MAX)
        } else {
            PAUSE
        };
        self.trial_at
            .store(self.age(now + pause), Ordering::Relaxed);
    }

    fn last_answer(&self) -> Option<Instant> {
        let micros = self.answered.load(Ordering::Relaxed);
        (micros > 0).then(|| self.born + Duration::from_micros(micros))
    }

    /// In microseconds; never 0.
    fn age(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(self.born))
    }
}

/// Never 0.
fn micros(age: Duration) -> u64 {
    u64::try_from(age.as_micros()).unwrap_or(u64::MAX).max(1)
}

impl FaultRecords {
    fn record_of(&mut self, method: &str) -> Option<&mut MethodFaultRecord> {
        self.of_methods
            .iter_mut()
            .find(|record| &*record.method == method)
    }

    /// Whether the method's faults, and they alone, are too many, be it for the node as a whole. All are
    /// then forgotten: it rests.
    fn add_to_method(
        &mut self,
        (method, is_node_broken): (&str, bool),
        at: Instant,
        answers: &SlidingCounter<SECONDS>,
        now: Instant,
    ) -> bool {
        self.of_methods
            .retain(|record| record.faults.count.sum(now) > 0);
        let known = self
            .of_methods
            .iter()
            .position(|record| &*record.method == method);
        let place = match known {
            Some(place) => place,
            None if method.is_empty() || self.of_methods.len() == METHODS_MAX => return false,
            None => {
                let before = answers.total();
                self.of_methods
                    .push(MethodFaultRecord::new(method, at, before));
                self.of_methods.len() - 1
            }
        };
        let record = &mut self.of_methods[place];
        record.faults.add(at, record.last_answer, now);
        let of_all = self.of_all.count.sum(now);
        let is_broken = is_node_broken || record.is_broken(at, now);
        let rests = is_broken && record.others_fare_well(of_all, answers, now);
        if rests {
            self.of_methods.swap_remove(place);
            self.of_all = FaultRecord::new(now);
        }
        rests
    }
}

impl FaultRecord {
    fn new(now: Instant) -> FaultRecord {
        FaultRecord {
            count: SlidingCounter::new(now),
            in_row: 0,
            first_in_row: None,
        }
    }

    fn add(&mut self, at: Instant, last_answer: Option<Instant>, now: Instant) {
        self.count.add(1, now);
        if last_answer > Some(at) {
            self.in_row = 0;
            self.first_in_row = None;
        } else if self
            .first_in_row
            .is_none_or(|first| last_answer > Some(first))
        {
            self.in_row = 1;
            self.first_in_row = Some(at);
        } else {
            self.in_row = self.in_row.saturating_add(1);
        }
    }

    /// By their share of what ended, or by their row. `answers`: beside them; `began`: the last of
    /// those, or since when it is looked; `at`: the last fault.
    fn is_broken(&self, answers: u32, began: Instant, at: Instant, now: Instant) -> bool {
        let faults = self.count.sum(now);
        let is_most = faults + answers >= ENDED_MIN && faults > answers;
        is_most || self.is_silent(began, at, now)
    }

    fn is_silent(&self, began: Instant, at: Instant, now: Instant) -> bool {
        let spread = self
            .first_in_row
            .map_or(Duration::ZERO, |first| at.saturating_duration_since(first));
        let silence = now.saturating_duration_since(began);
        silence >= SILENCE_MIN && self.in_row >= FAULTS_IN_ROW && spread >= SPREAD_MIN
    }
}

impl MethodFaultRecord {
    fn new(method: &str, since: Instant, answers_before: u32) -> MethodFaultRecord {
        MethodFaultRecord {
            method: method.into(),
            faults: FaultRecord::new(since),
            answers: SlidingCounter::new(since),
            last_answer: None,
            since,
            answers_before,
        }
    }

    fn hear_answer(&mut self, now: Instant) {
        self.answers.add(1, now);
        self.last_answer = Some(now);
    }

    fn is_broken(&self, at: Instant, now: Instant) -> bool {
        let began = self.last_answer.unwrap_or(self.since);
        self.faults.is_broken(self.answers.sum(now), began, at, now)
    }

    /// Whether at least half of the attempts at other methods were answered since this one's first
    /// fault. `of_all`: the node's faults.
    fn others_fare_well(
        &self,
        of_all: u32,
        answers: &SlidingCounter<SECONDS>,
        now: Instant,
    ) -> bool {
        let since = answers.total().wrapping_sub(self.answers_before);
        let own = self.answers.sum(now);
        let others = since.min(answers.sum(now)).saturating_sub(own);
        others > 0 && others >= of_all.saturating_sub(self.faults.count.sum(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::millis;

    /// A node that fails at every call, so many a second; how long until it is benched, and how many
    /// calls it got. `answered`: whether it answered before.
    fn broken(per_second: u64, answered: bool) -> (Duration, u32) {
        let start = crate::testing::now();
        let conduct = Conduct::new(start);
        let pause = Duration::from_secs(1) / u32::try_from(per_second).unwrap();
        let mut now = start;
        while answered && now < start + Duration::from_secs(20) {
            conduct.answered(1, now);
            now += pause;
        }
        let began = now;
        let mut calls = 0;
        loop {
            if !conduct.is_suspect() || conduct.take_trial(now) {
                calls += 1;
                if conduct.faulted("eth_call", now, now).is_some() {
                    return (now - began, calls);
                }
            }
            now += pause;
            assert!(now < began + Duration::from_secs(60), "never benched");
        }
    }

    #[test]
    fn a_node_that_fails_at_every_call_is_out_within_seconds_at_any_rate_and_costs_few_calls() {
        for answered in [true, false] {
            for (per_second, seconds, calls_max) in [(1, 6, 6), (10, 3, 20), (1000, 3, 20)] {
                let (took, calls) = broken(per_second, answered);
                assert!(
                    took <= Duration::from_secs(seconds),
                    "{per_second}: {took:?}"
                );
                assert!(calls <= calls_max, "{per_second}: {calls} calls");
            }
        }
    }

    #[test]
    fn faults_in_a_row_between_answers_bench_no_node() {
        let start = crate::testing::now();
        let conduct = Conduct::new(start);
        for burst in 0..100 {
            let now = start + millis(200) * burst;
            conduct.answered(20, now);
            for fault in 0..15 {
                let at = now + Duration::from_micros(fault);
                assert_eq!(conduct.faulted("", at, at), None);
            }
        }
    }

    #[test]
    fn over_half_of_ten_is_enough_and_half_is_not() {
        let start = crate::testing::now();
        for (answers, wanted) in [(4, Some(Penalty::Bench)), (5, None)] {
            let conduct = Conduct::new(start);
            conduct.answered(answers, start);
            let at = start + millis(1);
            for _ in answers..9 {
                assert_eq!(conduct.faulted("", at, at), None, "too few ended");
            }
            assert_eq!(conduct.faulted("", at, at), wanted);
        }
    }

    #[test]
    fn a_suspect_gets_one_call_at_a_time_after_pauses_that_double_and_is_whole_with_an_answer() {
        let start = crate::testing::now();
        let conduct = Conduct::new(start);
        conduct.answered(1000, start);
        let mut now = start + millis(1);
        for fault in 0..5 {
            assert!(!conduct.is_suspect(), "after {fault}");
            conduct.faulted("", now, now);
        }
        for pause in [10, 20, 40, 80, 160, 320, 500, 500] {
            assert!(conduct.is_suspect());
            assert!(!conduct.is_trial_due(now + millis(pause - 1)), "{pause}");
            now += millis(pause);
            assert!(conduct.is_trial_due(now) && conduct.take_trial(now));
            assert!(!conduct.is_trial_due(now + millis(600)), "it is out");
            conduct.faulted("", now, now);
        }
        conduct.answered(1, now);
        assert!(!conduct.is_suspect());
        let at = now - millis(1);
        for _ in 0..9 {
            conduct.faulted("", at, now);
        }
        assert!(!conduct.is_suspect(), "it has answered since");
    }

    #[test]
    fn a_trial_that_is_never_heard_of_makes_room_for_another() {
        let start = crate::testing::now();
        let conduct = Conduct::new(start);
        let now = start + millis(1);
        for _ in 0..5 {
            conduct.faulted("", now, now);
        }
        let now = now + PAUSE_FIRST;
        assert!(conduct.take_trial(now) && !conduct.take_trial(now));
        assert!(!conduct.take_trial(now + TRIAL_MAX - millis(1)));
        assert!(conduct.take_trial(now + TRIAL_MAX));
    }

    #[test]
    fn a_method_that_alone_fails_rests_and_the_node_stays() {
        for share in [1, 2, 4] {
            let start = crate::testing::now();
            let conduct = Conduct::new(start);
            let mut now = start;
            let sentence = loop {
                now += millis(50);
                conduct.answered(1, now);
                conduct.answered_method("eth_call", now);
                let told = (0..share).find_map(|_| conduct.faulted("eth_getLogs", now, now));
                if told.is_some() {
                    break told;
                }
            };
            assert_eq!(sentence, Some(Penalty::RestMethod), "{share}");
            assert!(now - start < Duration::from_secs(4));
            assert_eq!(conduct.of_late("", now).1, 0, "they are forgiven");
        }
    }

    #[test]
    fn a_method_that_now_and_then_fails_goes_on() {
        let start = crate::testing::now();
        let conduct = Conduct::new(start);
        for call in 0..500 {
            let now = start + millis(20) * call;
            conduct.answered(2, now);
            conduct.answered_method("eth_getLogs", now);
            conduct.answered_method("eth_getLogs", now);
            assert_eq!(conduct.faulted("eth_getLogs", now, now), None);
        }
    }

    #[test]
    fn a_node_whose_only_method_begins_to_fail_is_benched_and_not_the_method() {
        let start = crate::testing::now();
        let conduct = Conduct::new(start);
        conduct.answered(1000, start);
        let mut now = start;
        let sentence = loop {
            now += millis(100);
            if let Some(sentence) = conduct.faulted("eth_call", now, now) {
                break sentence;
            }
        };
        assert_eq!(sentence, Penalty::Bench);
    }

    #[test]
    fn a_probe_is_heard_and_answers_no_call() {
        let start = crate::testing::now();
        let conduct = Conduct::new(start);
        let then = start + millis(5);
        conduct.heard(then);
        assert!(conduct.was_heard_since(then) && !conduct.has_answered_since(then));
        conduct.answered(1, then + millis(1));
        assert!(conduct.has_answered_since(then));
        assert!(!conduct.was_heard_since(then + millis(2)));
    }
}

//! How busy and how fast a node is, as its calls tell: written on every call, without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::conduct::Conduct;
use super::limiter::Limiter;

/// Below this all nodes count as equally fast: what is noise must not move traffic.
const EQUAL_MICROS: f64 = 5_000.0;
/// After this time without calls a past slowness counts by 1/e.
const DECAY_SECONDS: f64 = 2.0;
/// An error counts as an answer that took at least this long, so that failing fast attracts
/// nothing.
const ERROR_LATENCY: Duration = Duration::from_secs(1);

/// Answers after which it is known what a slow one is.
const SLOW_SAMPLES_MIN: u32 = 50;
/// How far one answer moves that, at most: a twentieth of the answers are to be slower.
const SLOW_UP: f64 = 1.095;
const SLOW_DOWN: f64 = 0.995;

/// A repeat that a node gets because it goes back furthest.
#[derive(Debug)]
pub struct DeepRepeat(Arc<Load>);

impl Drop for DeepRepeat {
    fn drop(&mut self) {
        self.0.digging.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One node's load.
#[derive(Debug)]
pub struct Load {
    /// Of those in flight, repeats that it gets because it goes back furthest.
    digging: AtomicU32,
    /// How many of them it may have in flight.
    pub limiter: Limiter,
    /// What its calls came to.
    pub conduct: Conduct,
    /// Peak-sensitive moving average of the latency, in microseconds.
    average_micros: AtomicU64,
    /// When it was measured, in microseconds since `born`.
    measured_micros: AtomicU64,
    /// About what 95 of 100 reads don't take, in nanoseconds; and how many were measured.
    slow_nanos: AtomicU64,
    slow_samples: AtomicU32,
    born: Instant,
}

impl Load {
    pub(crate) fn new(now: Instant) -> Load {
        Load {
            digging: AtomicU32::new(0),
            limiter: Limiter::new(now),
            conduct: Conduct::new(now),
            average_micros: AtomicU64::new(0),
            measured_micros: AtomicU64::new(0),
            slow_nanos: AtomicU64::new(0),
            slow_samples: AtomicU32::new(0),
            born: now,
        }
    }

    /// An attempt begins, whether there is room for it or not.
    pub fn begin(&self) {
        self.limiter.begin();
    }

    /// The attempt is over, whatever came of it.
    pub fn end(&self) {
        self.limiter.end();
    }

    /// It is asked because it goes back furthest, for as long as what is returned lives.
    pub fn dig(self: &Arc<Load>) -> DeepRepeat {
        self.digging.fetch_add(1, Ordering::Relaxed);
        DeepRepeat(self.clone())
    }

    pub(crate) fn digging(&self) -> u32 {
        self.digging.load(Ordering::Relaxed)
    }

    /// Calls that it was sent and has not answered yet.
    pub fn in_flight(&self) -> u32 {
        self.limiter.in_flight()
    }

    /// The call that took the place `number` was answered, be it with an error of its own.
    pub fn answered(&self, number: u32, took: Duration, now: Instant) {
        // All three were made at one moment: how long ago that was is reckoned once.
        let age = now.saturating_duration_since(self.born);
        let age_micros = micros(age);
        self.conduct.answered_at(1, age);
        self.limiter.answered_at(number, took, (age_micros, now));
        self.measure_at(took, age_micros);
    }

    /// So many calls were answered together. What they took beyond the latency that is known says
    /// no more of the node than a call's part of it: they may have been carried out one by one.
    pub fn answered_many(&self, took: Duration, calls: u32, now: Instant) {
        let known = Duration::from_micros(self.average_micros.load(Ordering::Relaxed));
        let part = took / calls.max(1);
        self.conduct.answered(calls, now);
        self.measure(took.min(known).max(part), now);
    }

    /// It said no, for reasons of its own.
    pub fn waited(&self, took: Duration, now: Instant) {
        self.measure(took, now);
    }

    /// A call failed. Whether that is the node's fault, [`Conduct`] hears on its own.
    pub fn failed(&self, took: Duration, now: Instant) {
        self.measure(took.max(ERROR_LATENCY), now);
    }

    /// A caller has waited this long and then gone elsewhere: the answer would have taken longer.
    pub fn left_waiting(&self, took: Duration, now: Instant) {
        if took.as_micros() as f64 > self.average(now).0 {
            self.measure(took, now);
        }
    }

    fn measure(&self, took: Duration, now: Instant) {
        self.measure_at(took, self.age_micros(now));
    }

    /// Two writers may overwrite each other's sample: an average bears it.
    fn measure_at(&self, took: Duration, age: u64) {
        let sample = took.as_micros() as f64;
        let (average, idle) = self.average_at(age);
        let next = if sample > average {
            // Half the way up at once: two slow answers in a row show, a single one is noise.
            average + (sample - average) / 2.0
        } else {
            let kept = (-idle / DECAY_SECONDS).exp().min(0.9);
            average * kept + sample * (1.0 - kept)
        };
        self.average_micros.store(next as u64, Ordering::Relaxed);
        self.measured_micros.store(age, Ordering::Relaxed);
    }

    /// The latency of late, a peak-sensitive average; `None` before the first answer.
    pub fn latency(&self) -> Option<Duration> {
        let micros = self.average_micros.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    fn average(&self, now: Instant) -> (f64, f64) {
        self.average_at(self.age_micros(now))
    }

    fn average_at(&self, age_micros: u64) -> (f64, f64) {
        let measured = self.measured_micros.load(Ordering::Relaxed);
        let idle = age_micros.saturating_sub(measured) as f64 / 1e6;
        (self.average_micros.load(Ordering::Relaxed) as f64, idle)
    }

    fn age_micros(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(self.born))
    }

    /// A read was answered. Its time moves the estimate of [`Load::slow`] up by a tenth or down by
    /// a two-hundredth, so it settles where one answer in twenty is slower.
    pub fn read(&self, took: Duration) {
        let sample = took.as_nanos() as f64;
        let slow = self.slow_nanos.load(Ordering::Relaxed) as f64;
        let samples = self.slow_samples.load(Ordering::Relaxed);
        let next = if samples < SLOW_SAMPLES_MIN {
            self.slow_samples.store(samples + 1, Ordering::Relaxed);
            // The slowest of the first is near enough to begin with.
            slow.max(sample)
        } else if sample > slow {
            slow * SLOW_UP
        } else {
            slow * SLOW_DOWN
        };
        self.slow_nanos.store(next as u64, Ordering::Relaxed);
    }

    /// The time within which about 95 of 100 reads were answered; `None` before enough were.
    pub fn slow(&self) -> Option<Duration> {
        let is_known = self.slow_samples.load(Ordering::Relaxed) >= SLOW_SAMPLES_MIN;
        is_known.then(|| Duration::from_nanos(self.slow_nanos.load(Ordering::Relaxed)))
    }

    /// Latency × (in flight ÷ `share` + 1); a slowness fades while no call comes. `share`: how many
    /// calls the node should have in flight where its peer and it have one each on average.
    pub fn cost(&self, share: f64, now: Instant) -> f64 {
        let (average, idle) = self.average(now);
        let faded = average * (-idle / DECAY_SECONDS).exp();
        let (least, _) = self.calls_a_share(share);
        faded.max(EQUAL_MICROS) * least
    }

    /// The same for the peer that it is compared with, in the peer's disfavour: its latency counts
    /// as it was measured, because a node that is merely asked less often isn't faster.
    pub fn cost_as_peer(&self, share: f64, now: Instant) -> f64 {
        let (_, most) = self.calls_a_share(share);
        self.average(now).0.max(EQUAL_MICROS) * most
    }

    /// Calls in flight with the one to come. A light node has one or none where a heavy one has
    /// several: the call to come counts whole or by the share, whichever says less, or more.
    fn calls_a_share(&self, share: f64) -> (f64, f64) {
        let in_flight = f64::from(self.in_flight());
        let (whole, by_share) = (in_flight / share + 1.0, (in_flight + 1.0) / share);
        (whole.min(by_share), whole.max(by_share))
    }
}

fn micros(age: Duration) -> u64 {
    u64::try_from(age.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::millis;
    use crate::vocabulary::chance::{Dice as _, SeededDice};

    #[test]
    fn many_answers_at_once_make_a_node_neither_slow_nor_fast() {
        let now = crate::testing::now();
        let load = Load::new(now);
        let latency = || load.latency().unwrap_or_default().as_millis();
        load.answered_many(Duration::from_millis(800), 100, now);
        assert_eq!(latency(), 4, "half the way up to a call's part");
        for _ in 0..20 {
            load.answered(1, Duration::from_millis(100), now);
        }
        let alone = latency();
        for took in [110, 800] {
            load.answered_many(Duration::from_millis(took), 100, now);
            assert_eq!(latency(), alone, "after {took} ms");
        }
        load.answered_many(Duration::from_secs(30), 100, now);
        assert!(latency() > 150, "each took longer than any before");
        let after = now + Duration::from_secs(60);
        load.answered_many(Duration::from_millis(20), 100, after);
        assert_eq!(latency(), 20, "all of them took less");
    }

    #[test]
    fn calls_in_flight_and_slow_answers_cost() {
        let now = crate::testing::now();
        let load = Load::new(now);
        let idle = load.cost(1.0, now);
        load.begin();
        assert!((load.cost(1.0, now) - 2.0 * idle).abs() < 1e-6);
        for (share, least, most) in [(0.5, 3.0, 4.0), (2.0, 1.0, 1.5)] {
            assert!((load.cost(share, now) - least * idle).abs() < 1e-6);
            assert!((load.cost_as_peer(share, now) - most * idle).abs() < 1e-6);
        }
        load.end();
        load.answered(1, millis(200), now);
        load.answered(1, millis(200), now);
        assert!(load.cost(1.0, now) > 20.0 * idle);
        assert!(
            (load.cost(1.0, now + millis(60_000)) - idle).abs() < 1e-6,
            "it fades"
        );
        let later = load.cost_as_peer(1.0, now + millis(60_000));
        assert!(later > 20.0 * idle, "but not for its peer");
    }

    #[test]
    fn a_latency_is_told_from_the_first_answer_on() {
        let now = crate::testing::now();
        let load = Load::new(now);
        assert_eq!(load.latency(), None);
        load.answered(1, millis(8), now);
        assert_eq!(load.latency(), Some(millis(4)), "half the way up");
    }

    #[test]
    fn a_single_slow_answer_is_noise() {
        let now = crate::testing::now();
        let load = Load::new(now);
        let before = load.cost(1.0, now);
        load.answered(1, millis(35), now);
        assert!(load.cost(1.0, now) < 4.0 * before);
    }

    #[test]
    fn failing_fast_is_not_attractive() {
        let now = crate::testing::now();
        let load = Load::new(now);
        let before = load.cost(1.0, now);
        load.failed(millis(0), now);
        assert!(load.cost(1.0, now) > 10.0 * before);
    }

    #[test]
    fn a_caller_that_leaves_early_may_say_the_node_is_slow_and_never_that_it_is_fast() {
        let now = crate::testing::now();
        let load = Load::new(now);
        load.answered(1, millis(100), now);
        let before = load.cost(1.0, now);
        load.left_waiting(millis(5), now);
        assert!((load.cost(1.0, now) - before).abs() < 1e-6);
        load.left_waiting(millis(900), now);
        assert!(load.cost(1.0, now) > 4.0 * before);
    }

    #[test]
    fn about_one_read_in_twenty_is_slower_than_what_is_called_slow() {
        let load = Load::new(crate::testing::now());
        let mut dice = SeededDice::new(5);
        let mut took = || Duration::from_nanos((1e6 + dice.fraction() * 1e8) as u64);
        (1..SLOW_SAMPLES_MIN).for_each(|_| load.read(took()));
        assert_eq!(load.slow(), None, "too few to say");
        (0..2000).for_each(|_| load.read(took()));
        let slower = (0..4000)
            .filter(|_| {
                let took = took();
                let is_slower = took > load.slow().unwrap();
                load.read(took);
                is_slower
            })
            .count();
        assert!((120..=280).contains(&slower), "{slower} of 4000");
    }
}

//! Places by the clock: for a node that limits a rate, whatever is in flight.
//!
//! The rate goes down to what was answered at each refusal and up again while there is none: additive
//! increase and multiplicative decrease (Chiu and Jain, 1989), of a rate.

use std::time::{Duration, Instant};

/// The lowest rate: a node that refuses everything is tried once a second.
const PER_SECOND_MIN: f64 = 1.0;
/// What a refusal leaves of the rate, and of the rate of answers, at least and at most.
const KEEPS: f64 = 0.93;
const BELOW_ANSWERS: f64 = 0.97;
/// Refusals so soon after one that was heeded are of the same excess.
const SAME: Duration = Duration::from_millis(250);
/// After so long without one the rate goes up, by this part of it, and the next time by double.
const CALM: Duration = Duration::from_secs(1);
const RISE: f64 = 0.02;
/// After so many times it is sought anew, in larger steps, as at the beginning.
const RISES_MAX: u32 = 4;
const SEEKING: Duration = Duration::from_millis(250);
const SOUGHT: f64 = 2.0;
/// After so long without one the node limits its rate no more.
const OVER: Duration = Duration::from_secs(30);
/// Turns that no call took are made up for so far: timers ring late.
const LATE: Duration = Duration::from_millis(5);

/// One node's pace.
#[derive(Debug)]
pub(super) struct CallPace {
    per_second: f64,
    next: Instant,
    refused_at: Instant,
    changed_at: Instant,
    rises: u32,
    seeks: bool,
}

impl CallPace {
    /// Begins with the rate of `answers` a second, after a refusal.
    pub(super) fn new(answers: f64, now: Instant) -> CallPace {
        let per_second = (answers * BELOW_ANSWERS).max(PER_SECOND_MIN);
        CallPace {
            per_second,
            next: now + Duration::from_secs_f64(1.0 / per_second),
            refused_at: now,
            changed_at: now,
            rises: 0,
            seeks: true,
        }
    }

    pub(super) fn per_second(&self) -> f64 {
        self.per_second
    }

    /// When the next place is given.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second)
    }

    /// Takes the place that is due; `false`: none is.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        if self.seeks && now.saturating_duration_since(self.changed_at) >= SEEKING {
            self.per_second *= SOUGHT;
            self.changed_at = now;
        }
        let interval = self.interval();
        let made_up = now.checked_sub(interval.max(LATE)).unwrap_or(now);
        self.next = self.next.max(made_up) + interval;
        true
    }

    /// The node refused, while it gave `answers` a second.
    pub(super) fn refused(&mut self, answers: f64, now: Instant) {
        self.refused_at = now;
        self.rises = 0;
        let was_sought = std::mem::take(&mut self.seeks);
        if was_sought || now.saturating_duration_since(self.changed_at) >= SAME {
            let kept = (self.per_second * KEEPS).min((answers * BELOW_ANSWERS).max(1.0));
            self.per_second = kept.max(self.per_second / 2.0).max(PER_SECOND_MIN);
            self.changed_at = now;
        }
        self.next = self.next.max(now + self.interval());
    }

    /// All that was asked for was taken; `false`: the node limits its rate no more.
    pub(super) fn calm(&mut self, was_full: bool, now: Instant) -> bool {
        if now.saturating_duration_since(self.refused_at) >= OVER {
            return false;
        }
        let calm = now.saturating_duration_since(self.changed_at);
        if !was_full || self.seeks || calm < CALM {
            return true;
        }
        self.changed_at = now;
        let doubled = f64::from(1u32 << self.rises);
        self.per_second += (self.per_second * RISE * doubled).max(doubled / 2.0);
        self.rises += 1;
        self.seeks = self.rises > RISES_MAX;
        true
    }
}

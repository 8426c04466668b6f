//! How many calls a node takes at once, as its answers tell.
//!
//! Two signs, as in TCP Vegas (Brakmo and Peterson, 1995) and Netflix's concurrency-limits
//! (`VegasLimit`, `Gradient2Limit`), which count what waits in the other's queue:
//!
//! - By Little's law the latencies of a window add up to the calls that were in flight, and what each
//!   waited beyond the latency of an idle node to those that waited. What is left was being worked at:
//!   a little more is the limit. [`LatencyEstimate`] tells what was waited, [`LimitEstimate`] the first limit.
//! - A refusal (503, a rate limit) says that one call less would have been taken: additive increase,
//!   and a decrease to just that. The limit then stands for a while before one more is tried.
//!
//! Nothing is learnt while there was room for all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::latency;
use crate::fleet::limiter::ceiling::{LIMIT_MAX, RefusalCeiling};
use crate::fleet::limiter::cut::LimitCut;
use crate::fleet::limiter::guess::LimitEstimate;
use crate::fleet::limiter::latency::{LatencyEstimate, LatencyWindow};
use crate::fleet::limiter::pace::CallPace;

/// Before anything is known.
pub(crate) const LIMIT_FIRST: u32 = 32;
/// What waiting alone never takes it below.
const LIMIT_BY_WAITING_MIN: f64 = 2.0;
/// The limit is so much above what is being worked at: calls that wait there keep a node busy.
const HEADROOM: f64 = 1.1;
const HEADROOM_CALLS: f64 = 1.0;
/// Where nothing waits it rises by this, and by less from where waiting has set it, up to so many times.
const RISES: f64 = 1.5;
const RISES_BEYOND: f64 = 1.1;
const RISES_SLOWLY: u32 = 3;
/// Waiting has set it where a cut left less than this part.
const FOUND: f64 = 0.8;
/// A cut leaves at least this part.
const CUT_MIN: f64 = 0.5;
/// After a change of the limit the latency goes by before it shows what the change does; this long at most, in
/// seconds.
const SETTLES_MAX: f64 = 2.0;
/// A window that was full had at least this part of the limit in flight.
const FULL: f64 = 0.5;
/// One with this part under a limit that stood was full all the time.
const STEADY: f64 = 0.75;
/// A fuller look at how long calls take that wait for nothing, with this part of the limit.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const LOOK: f64 = 0.75;
/// So long calls of a node may be under way that never answered one.
const WITHOUT_ANSWERS: Duration = Duration::from_millis(500);
/// What a call that waited in vain leaves of the limit, once in a second.
const TIMEOUT_KEEPS: f64 = 0.75;
const TIMEOUT_EVERY: Duration = Duration::from_secs(1);
/// So far back answers are counted for a rate.
const RATE_OVER: Duration = Duration::from_secs(1);
/// And to begin with, of a node that has just been asked.
const RATE_SHORT: Duration = Duration::from_millis(100);

/// What is known of one node.
#[derive(Debug)]
pub(super) struct LimitController {
    /// What the operator has fixed.
    most: Option<u32>,
    latency: LatencyEstimate,
    ceiling: Option<RefusalCeiling>,
    /// The limit has never been reached.
    is_new: bool,
    guess: LimitEstimate,
    /// Where waiting has set it last, and how often it rose since.
    found: Option<u32>,
    rises: u32,
    cut: Option<LimitCut>,
    /// The limit to go back to after a look.
    looks: Option<u32>,
    looked_at: Instant,
    pace: Option<CallPace>,
    /// The calls of the last window had waited.
    is_late: bool,
    /// Windows that began before that say nothing of the present limit.
    since: Instant,
    timed_out_at: Option<Instant>,
    /// When windows ended, and what they brought.
    ended: VecDeque<(Instant, u64)>,
}

impl LimitController {
    pub(super) fn new(now: Instant) -> LimitController {
        LimitController {
            most: None,
            latency: LatencyEstimate::default(),
            ceiling: None,
            is_new: true,
            guess: LimitEstimate::default(),
            found: None,
            rises: 0,
            cut: None,
            looks: None,
            looked_at: now,
            pace: None,
            is_late: false,
            since: now,
            timed_out_at: None,
            ended: VecDeque::new(),
        }
    }

    /// The limit that follows, if it was fixed otherwise before.
    pub(super) fn fix(&mut self, most: Option<u32>, now: Instant) -> Option<u32> {
        if self.most == most && most.is_some() {
            return None;
        }
        let was_fixed = std::mem::replace(&mut self.most, most).is_some();
        if most.is_none() && !was_fixed && self.latency.known().is_some() {
            return None;
        }
        *self = LimitController {
            most,
            ..LimitController::new(now)
        };
        Some(most.unwrap_or(LIMIT_FIRST).max(1))
    }

    /// Up to where the limit may rise with single answers.
    pub(super) fn cap(&self) -> u32 {
        if self.looks.is_some() {
            return 0;
        }
        let most = self.most.unwrap_or(LIMIT_MAX).max(1);
        self.ceiling.map_or(most, |ceiling| most.min(ceiling.at()))
    }

    /// Up to where it may rise where nothing is answered: not if what was answered before had waited in
    /// the node.
    pub(super) fn opens_to(&self) -> u32 {
        if self.is_late { 0 } else { self.cap() }
    }

    /// For how long a node that is stuck has answered nothing; `None`: it never answered anything.
    pub(super) fn stuck_after(&self) -> Option<Duration> {
        self.latency.stuck_after()
    }

    /// Up to where the limit follows answers at once.
    pub(super) fn widens_to(&self) -> u32 {
        self.cap().min(self.found.unwrap_or(LIMIT_MAX))
    }

    /// Until when windows say nothing of the present limit.
    pub(super) fn settles(&self) -> Instant {
        self.since
    }

    /// How long fast calls take that wait for nothing.
    pub(super) fn floor(&self) -> Option<Duration> {
        self.latency.known().map(Duration::from_secs_f64)
    }

    pub(super) fn is_paced(&self) -> bool {
        self.pace.is_some()
    }

    /// Takes the place that is due by the clock, if there is one, beside `taken` calls.
    pub(super) fn pace(&mut self, taken: u32, now: Instant) -> bool {
        let base = self.latency.known().unwrap_or(1.0);
        let Some(pace) = &mut self.pace else {
            return false;
        };
        let most = (2.0 * pace.per_second() * base + HEADROOM_CALLS).min(LIMIT_MAX.into());
        let most = self.most.map_or(most, |fixed| most.min(fixed.into()));
        f64::from(taken) < most && pace.take(now)
    }

    /// When the next place is given by the clock.
    pub(super) fn next_place(&self) -> Option<Instant> {
        self.pace.as_ref().map(CallPace::next)
    }

    /// The limit after `window`.
    pub(super) fn hear_window(&mut self, limit: u32, window: &LatencyWindow, now: Instant) -> u32 {
        self.ended.push_back((now, window.answers));
        let is_old = |(at, _): &(Instant, u64)| now.saturating_duration_since(*at) > RATE_OVER;
        while self.ended.front().is_some_and(is_old) {
            self.ended.pop_front();
        }
        let is_usual = self.guess.is_usual(window.in_flight());
        let known = self.latency.learn(window, is_usual);
        self.is_late = LatencyEstimate::is_late(window.low(), known);
        if let Some(pace) = &mut self.pace {
            if pace.calm(window.was_full, now) {
                return limit;
            }
            self.pace = None;
            self.ceiling = None;
            return self.cap().clamp(1, LIMIT_FIRST);
        }
        if window.began < self.since {
            return limit;
        }
        let low = window.low();
        let in_flight = window.in_flight().min(limit.into());
        let is_full = window.was_full && in_flight >= FULL * f64::from(limit);
        if let Some(before) = self.looks.take() {
            self.settle(now, low);
            return before;
        }
        let limit = if self.is_new && self.most.is_none() {
            let guess = self.guess.limit(limit, window, in_flight, known);
            guess.min(self.cap())
        } else {
            limit
        };
        if !is_full {
            self.cut = None;
            return limit;
        }
        self.is_new = false;
        self.rise_beyond(limit, now);
        if self.most.is_some() {
            return (limit + 1).min(self.cap()).max(1);
        }
        let shown = self.cut.take_if(|cut| cut.shows(in_flight));
        if let Some(cut) = shown.filter(|cut| cut.was_in_vain(window)) {
            self.latency.is(low);
            self.settle(now, low);
            return cut.from.min(self.cap().max(limit));
        }
        let next = self.judge(limit, window, in_flight);
        if next == limit && now.saturating_duration_since(self.looked_at) >= LOOK_EVERY {
            self.looked_at = now;
            self.looks = Some(limit);
            self.settle(now, low);
            return part(limit, LOOK);
        }
        if next < limit {
            self.settle(now, low);
        } else if next > limit {
            // Half of a window is enough to see it in.
            let half = window.length / 2;
            self.since = (now + window.low).checked_sub(half).unwrap_or(now);
        }
        next
    }

    /// By what waited.
    fn judge(&mut self, limit: u32, window: &LatencyWindow, in_flight: f64) -> u32 {
        let now = f64::from(limit);
        let is_steady = self.found.is_some() && in_flight >= STEADY * now;
        let in_flight = if is_steady { now } else { in_flight };
        let waited = self.latency.waited(window);
        let worked_at = in_flight - window.per_second() * waited.seconds;
        let headroom = HEADROOM_CALLS + window.per_second() * latency::SAME;
        let wanted = (worked_at * HEADROOM + headroom).max(LIMIT_BY_WAITING_MIN);
        let wanted = if waited.seconds > 0.0 {
            wanted
        } else {
            wanted.max(self.rise(in_flight)).max(now)
        };
        if wanted >= now {
            self.cut = None;
            let next = if waited.is_long { now } else { wanted };
            return (next as u32).min(self.cap()).max(limit.min(self.cap()));
        }
        // What may be chance is followed half the way.
        let wanted = if waited.is_clear {
            wanted
        } else {
            f64::midpoint(wanted, now)
        };
        let next = wanted.max(now * CUT_MIN);
        let is_found = self.found.is_some() || next < FOUND * now;
        let next = (next.ceil() as u32).max(1);
        if is_found {
            self.found = Some(next);
        }
        self.rises = 0;
        if next >= limit {
            return limit;
        }
        self.latency.changes();
        // The first of several: together they are tried once they come to enough.
        self.cut
            .get_or_insert_with(|| LimitCut::new(limit, window, in_flight));
        next
    }

    /// Up to where it rises from `in_flight`.
    fn rise(&mut self, in_flight: f64) -> f64 {
        self.rises = self.rises.saturating_add(1);
        if self.rises > RISES_SLOWLY {
            self.found = None;
        }
        let by = self.found.map_or(RISES, |_| RISES_BEYOND);
        in_flight * by
    }

    /// Where refusals have set the limit, and nothing was refused for a while: a little more.
    fn rise_beyond(&mut self, limit: u32, now: Instant) {
        let ceiling = self.ceiling.as_mut();
        if ceiling.is_some_and(|ceiling| ceiling.rise(limit, now)) {
            self.since = now;
        }
    }

    /// The limit after the node refused the call that was number `number` in flight. `present`: the
    /// answers of the present window, and when it began.
    pub(super) fn refused(
        &mut self,
        limit: u32,
        number: u32,
        present: (u64, Instant),
        now: Instant,
    ) -> u32 {
        self.is_new = false;
        let answers = self.answers_a_second(present, now);
        if let Some(pace) = &mut self.pace {
            pace.refused(answers, now);
            return limit;
        }
        let below = number.saturating_sub(1).min(limit);
        if below == 0 {
            let (count, began) = present;
            let over = now.saturating_duration_since(began).max(RATE_SHORT);
            let of_late = count as f64 / over.as_secs_f64();
            self.pace = Some(CallPace::new(answers.max(of_late), now));
            self.cut = None;
            self.looks = None;
            return 1;
        }
        let under_way = self.latency.stuck_after().unwrap_or(WITHOUT_ANSWERS);
        let ceiling = RefusalCeiling::after(self.ceiling, below, under_way, now);
        self.ceiling = Some(ceiling);
        self.cut = None;
        self.looks = None;
        ceiling.at().min(limit)
    }

    /// The limit after a call waited in vain.
    pub(super) fn timed_out(&mut self, limit: u32, now: Instant) -> u32 {
        let is_same = self
            .timed_out_at
            .is_some_and(|at| now.saturating_duration_since(at) < TIMEOUT_EVERY);
        if is_same || self.most.is_some() {
            return limit;
        }
        self.timed_out_at = Some(now);
        self.is_new = false;
        part(limit, TIMEOUT_KEEPS).max(limit.min(LIMIT_BY_WAITING_MIN as u32))
    }

    /// What follows says something of the present limit only after what is under way has ended, and
    /// what came after it.
    fn settle(&mut self, now: Instant, low: f64) {
        self.since = now + Duration::from_secs_f64(low.min(SETTLES_MAX));
    }

    fn answers_a_second(&self, (count, began): (u64, Instant), now: Instant) -> f64 {
        let oldest = now.checked_sub(RATE_OVER).unwrap_or(now);
        let recent = self.ended.iter().filter(|(at, _)| *at > oldest);
        let answers: u64 = recent.map(|(_, answers)| answers).sum();
        let over = now.saturating_duration_since(began).max(RATE_OVER);
        (answers + count) as f64 / over.as_secs_f64()
    }
}

fn part(limit: u32, of: f64) -> u32 {
    ((f64::from(limit) * of) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_paced_no_more_takes_calls_again_also_after_a_look() {
        let now = crate::testing::now();
        let mut control = LimitController {
            looks: Some(8),
            ..LimitController::new(now)
        };
        assert_eq!(control.refused(4, 1, (0, now), now), 1);
        assert!(control.is_paced());
        let later = now + Duration::from_secs(3_600);
        let window = LatencyWindow {
            began: later,
            length: Duration::from_secs(1),
            answers: 1,
            sum: Duration::from_millis(5),
            low: Duration::from_millis(5),
            was_full: false,
        };
        let limit = control.hear_window(1, &window, later);
        assert!(!control.is_paced() && limit >= 1, "{limit}");
    }
}

//! One node's standing: what the rounds and the calls say of it.
//!
//! Rise and fall are counted here and nowhere else. A node leaves after `fall` bad rounds, at
//! once when it lags, and comes back after `rise` good ones. The very first round decides alone.

use std::time::{Duration, Instant};

use crate::rpc::classify::Rejection;

pub use super::reason::Reason;

/// How many rounds it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hysteresis {
    /// Good rounds in a row after which a node is fit again.
    pub rise: u32,
    /// Bad rounds in a row after which it is fit no longer, where one isn't enough.
    pub fall: u32,
}

/// Whether a node gets calls, as far as rounds and benches decide it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthState {
    /// No round yet.
    #[default]
    Unproven,
    /// `returned_at`: since it came back, for the slow start.
    Fit {
        /// When it came back; `None`: it has been fit from the beginning.
        returned_at: Option<Instant>,
    },
    /// Out by probing, for this reason.
    Out(Reason),
    /// Out by the evidence of calls until `until`, and for `rise` good rounds after.
    Benched {
        /// When the bench ends.
        until: Instant,
    },
}

/// What changed in a node's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthTransition {
    /// It was found fit for the first time.
    Admitted,
    /// It is out, or out for another reason than before.
    Left(Reason),
    /// It is fit again.
    Returned,
    /// Its calls failed time after time.
    Benched {
        /// How long the bench lasts: 30 s for the first, 30 s more for each after it, up to 300 s.
        rest: Duration,
    },
}

const BENCH: Duration = Duration::from_secs(30);
const BENCH_MAX: Duration = Duration::from_secs(300);
const REST_FIRST: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(30);
/// Throttled again this long after a rest, it rests twice as long.
const REST_MEMORY: Duration = Duration::from_secs(60);
const SLOW_START: Duration = Duration::from_secs(30);
const SLOW_START_SHARE: f64 = 0.1;

/// One node's standing, from its first round on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// Whether it gets calls; whether it rests is another thing.
    pub state: HealthState,
    good_rounds: u32,
    bad_rounds: u32,
    /// Benches so far; forgotten after a long good time.
    bench_turns: u32,
    /// Of the bench that it hasn't come back from, whatever else put it out since.
    benched_until: Option<Instant>,
    bench_ended: Option<Instant>,
    rest: Option<RestPeriod>,
}

#[derive(Clone, Copy, Debug)]
struct RestPeriod {
    until: Instant,
    length: Duration,
    /// It rests because it refuses our credentials.
    shut: Option<Rejection>,
}

impl Standing {
    /// Fit by probing, and not benched.
    pub fn is_healthy(&self) -> bool {
        matches!(self.state, HealthState::Fit { .. })
    }

    /// Why it isn't healthy, or rests.
    pub fn reason(&self, now: Instant) -> Option<Reason> {
        match self.state {
            HealthState::Out(reason) => Some(reason),
            HealthState::Benched { .. } => Some(Reason::Faults),
            HealthState::Fit { .. } if self.rests(now) => Some(Reason::Throttled),
            HealthState::Unproven | HealthState::Fit { .. } => None,
        }
    }

    /// Whether it wants to be left alone at `now`, by a rate limit or a quota.
    pub fn rests(&self, now: Instant) -> bool {
        self.rest.is_some_and(|rest| now < rest.until)
    }

    /// When its last rest ends, or ended; `None`: it had none.
    pub fn resting_until(&self) -> Option<Instant> {
        self.rest.map(|rest| rest.until)
    }

    /// Hears one round's verdict.
    pub fn hear_round(
        &mut self,
        verdict: Result<(), Reason>,
        hysteresis: Hysteresis,
        now: Instant,
    ) -> Option<HealthTransition> {
        match verdict {
            Ok(()) => self.hear_good(hysteresis, now),
            Err(reason) => self.hear_bad(reason, hysteresis),
        }
    }

    fn hear_good(&mut self, hysteresis: Hysteresis, now: Instant) -> Option<HealthTransition> {
        self.bad_rounds = 0;
        self.good_rounds = self.good_rounds.saturating_add(1);
        let has_risen = self.good_rounds >= hysteresis.rise;
        match self.state {
            HealthState::Unproven => {
                self.state = HealthState::Fit { returned_at: None };
                Some(HealthTransition::Admitted)
            }
            HealthState::Fit { .. } => None,
            HealthState::Out(_) | HealthState::Benched { .. } if !has_risen => None,
            HealthState::Out(_) | HealthState::Benched { .. } => {
                if let Some(until) = self.benched_until.filter(|until| now < *until) {
                    // What put it out in the meantime is over, its bench isn't.
                    self.state = HealthState::Benched { until };
                    return None;
                }
                if self.benched_until.take().is_some() {
                    self.bench_ended = Some(now);
                }
                self.state = HealthState::Fit {
                    returned_at: Some(now),
                };
                Some(HealthTransition::Returned)
            }
        }
    }

    fn hear_bad(&mut self, reason: Reason, hysteresis: Hysteresis) -> Option<HealthTransition> {
        self.good_rounds = 0;
        self.bad_rounds = self.bad_rounds.saturating_add(1);
        let has_fallen = reason.is_certain() || self.bad_rounds >= hysteresis.fall;
        match self.state {
            HealthState::Fit { .. } if !has_fallen => None,
            HealthState::Benched { .. } if !has_fallen => None,
            HealthState::Out(old) if old == reason => None,
            HealthState::Out(_) if !has_fallen => None,
            HealthState::Unproven
            | HealthState::Fit { .. }
            | HealthState::Benched { .. }
            | HealthState::Out(_) => {
                self.state = HealthState::Out(reason);
                Some(HealthTransition::Left(reason))
            }
        }
    }

    /// Calls have failed on the node, time after time: it is benched, longer each time.
    pub fn bench(&mut self, now: Instant) -> Option<HealthTransition> {
        if !self.is_healthy() {
            return None;
        }
        let is_forgotten = self
            .bench_ended
            .is_some_and(|ended| now.saturating_duration_since(ended) > BENCH_MAX);
        self.bench_turns = if is_forgotten {
            1
        } else {
            self.bench_turns.saturating_add(1)
        };
        let rest = (BENCH * self.bench_turns.min(100)).min(BENCH_MAX);
        self.good_rounds = 0;
        self.state = HealthState::Benched { until: now + rest };
        self.benched_until = Some(now + rest);
        Some(HealthTransition::Benched { rest })
    }

    /// The node asked to be left alone; it stays healthy. Without a time of its own it rests 1 s,
    /// and twice as long each time that it says so again soon.
    pub fn throttle(&mut self, length: Option<Duration>, now: Instant) {
        if self.rests(now) {
            return;
        }
        let again = |rest: RestPeriod| {
            let is_soon = now.saturating_duration_since(rest.until) < REST_MEMORY;
            is_soon.then(|| (rest.length * 2).clamp(REST_FIRST, REST_MAX))
        };
        let doubled = self.rest.and_then(again).unwrap_or(REST_FIRST);
        let length = length.unwrap_or(doubled);
        self.rest = Some(RestPeriod {
            until: now + length,
            length,
            shut: None,
        });
    }

    /// It rests because it refuses our credentials.
    pub fn shut(&mut self, why: Rejection) {
        if let Some(rest) = &mut self.rest {
            rest.shut = Some(why);
        }
    }

    /// Why it refuses our credentials, where it rests for that.
    pub fn is_shut(&self, now: Instant) -> Option<Rejection> {
        self.rest.filter(|rest| now < rest.until)?.shut
    }
}

/// The share of its weight that a node gets `since` its return.
pub fn slow_start(returned_at: Option<Instant>, now: Instant) -> f64 {
    returned_at.map_or(1.0, |at| {
        let share = now.saturating_duration_since(at).as_secs_f64() / SLOW_START.as_secs_f64();
        share.clamp(SLOW_START_SHARE, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::HealthTransition::{Admitted, Benched, Left, Returned};
    use super::*;

    const HYSTERESIS: Hysteresis = Hysteresis { rise: 2, fall: 3 };

    fn hear(standing: &mut Standing, verdict: Result<(), Reason>) -> Option<HealthTransition> {
        standing.hear_round(verdict, HYSTERESIS, crate::testing::now())
    }

    fn fit() -> Standing {
        let mut standing = Standing::default();
        assert_eq!(hear(&mut standing, Ok(())), Some(Admitted));
        standing
    }

    #[test]
    fn the_very_first_round_decides_alone() {
        assert!(fit().is_healthy());
        let mut standing = Standing::default();
        assert_eq!(
            hear(&mut standing, Err(Reason::Silent)),
            Some(Left(Reason::Silent))
        );
    }

    #[test]
    fn a_silent_node_leaves_after_three_rounds_and_a_lagging_one_at_once() {
        let mut standing = fit();
        assert_eq!(hear(&mut standing, Err(Reason::Silent)), None);
        assert_eq!(hear(&mut standing, Err(Reason::Silent)), None);
        assert_eq!(
            hear(&mut standing, Err(Reason::Silent)),
            Some(Left(Reason::Silent))
        );
        assert_eq!(
            hear(&mut fit(), Err(Reason::Lagging)),
            Some(Left(Reason::Lagging))
        );
    }

    #[test]
    fn a_good_round_in_between_starts_the_count_anew() {
        let mut standing = fit();
        for verdict in [
            Err(Reason::Silent),
            Err(Reason::Silent),
            Ok(()),
            Err(Reason::Silent),
        ] {
            assert_eq!(hear(&mut standing, verdict), None);
        }
        assert!(standing.is_healthy());
    }

    #[test]
    fn a_node_returns_after_two_good_rounds_and_starts_slowly() {
        let mut standing = fit();
        hear(&mut standing, Err(Reason::Lagging));
        assert_eq!(hear(&mut standing, Ok(())), None);
        assert_eq!(hear(&mut standing, Ok(())), Some(Returned));
        let HealthState::Fit {
            returned_at: Some(at),
        } = standing.state
        else {
            panic!("no slow start");
        };
        for (seconds, share) in [(0, 0.1), (3, 0.1), (15, 0.5), (30, 1.0), (99, 1.0)] {
            let now = at + Duration::from_secs(seconds);
            assert!(
                (slow_start(Some(at), now) - share).abs() < 1e-9,
                "{seconds}"
            );
        }
        assert!(
            (slow_start(None, at) - 1.0).abs() < f64::EPSILON,
            "never at process start"
        );
    }

    #[test]
    fn a_bench_ends_with_its_time_and_two_good_rounds_and_grows() {
        let mut standing = fit();
        let start = crate::testing::now();
        let second = Duration::from_secs;
        assert_eq!(standing.bench(start), Some(Benched { rest: second(30) }));
        assert_eq!(standing.bench(start), None, "it is benched already");
        let good = |standing: &mut Standing, now| standing.hear_round(Ok(()), HYSTERESIS, now);
        assert_eq!(good(&mut standing, start + second(10)), None);
        assert_eq!(good(&mut standing, start + second(29)), None);
        assert_eq!(good(&mut standing, start + second(30)), Some(Returned));
        let mut now = start + second(31);
        for rest in [60, 90, 120, 150, 180, 210, 240, 270, 300, 300] {
            assert_eq!(standing.bench(now), Some(Benched { rest: second(rest) }));
            now += second(rest);
            good(&mut standing, now);
            assert_eq!(good(&mut standing, now), Some(Returned));
        }
        assert_eq!(
            standing.bench(now + second(301)),
            Some(Benched { rest: second(30) })
        );
    }

    #[test]
    fn a_benched_node_that_lags_is_out_for_lagging_and_its_bench_goes_on() {
        let mut standing = fit();
        let (start, second) = (crate::testing::now(), Duration::from_secs);
        standing.bench(start);
        assert_eq!(
            hear(&mut standing, Err(Reason::Lagging)),
            Some(Left(Reason::Lagging))
        );
        for _ in 0..4 {
            let heard = standing.hear_round(Ok(()), HYSTERESIS, start + second(29));
            assert_eq!(heard, None);
        }
        assert_eq!(standing.reason(start + second(29)), Some(Reason::Faults));
        let heard = standing.hear_round(Ok(()), HYSTERESIS, start + second(30));
        assert_eq!(heard, Some(Returned));
        let again = standing.bench(start + second(331));
        assert_eq!(
            again,
            Some(Benched { rest: second(30) }),
            "it was forgotten, 300 s after it had ended"
        );
    }

    #[test]
    fn a_throttled_node_rests_and_stays_healthy() {
        let mut standing = fit();
        let mut now = crate::testing::now();
        for rest in [1, 2, 4, 8, 16, 30, 30] {
            standing.throttle(None, now);
            assert!(standing.is_healthy());
            assert_eq!(standing.reason(now), Some(Reason::Throttled));
            now += Duration::from_secs(rest);
            assert_eq!(
                standing.reason(now - Duration::from_millis(1)),
                Some(Reason::Throttled)
            );
            assert_eq!(standing.reason(now), None);
        }
        now += Duration::from_secs(61);
        standing.throttle(Some(Duration::from_secs(7)), now);
        assert_eq!(standing.resting_until(), Some(now + Duration::from_secs(7)));
    }
}

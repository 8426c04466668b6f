//! What the operator sets for methods by their names: the exact name wins, then the longest glob.

use std::collections::HashMap;
use std::time::Duration;

use crate::method::treatment::CallTimeouts;
use crate::vocabulary::glob::matches;

/// What holds for a method rather than what holds for all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MethodLimits {
    /// Of one attempt.
    pub attempt: Option<Duration>,
    /// Of the call in all; a longer `attempt` raises it.
    pub deadline: Option<Duration>,
    /// After how many times its node's slow time another is asked; `Some(None)`: never.
    pub hedge: Option<Option<f64>>,
}

impl MethodLimits {
    /// The times of a call of this method, where those of all are `times`.
    pub fn times(&self, times: CallTimeouts) -> CallTimeouts {
        let deadline = self.deadline.unwrap_or(times.deadline);
        let heavy = self
            .deadline
            .map_or(times.heavy, |most| times.heavy.min(most));
        CallTimeouts {
            deadline: deadline.max(self.attempt.unwrap_or_default()),
            attempt: self.attempt.unwrap_or(times.attempt),
            heavy: self.attempt.unwrap_or(heavy),
        }
    }
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitsByMethod {
    exact: HashMap<String, MethodLimits>,
    /// The longest first.
    globs: Vec<(String, MethodLimits)>,
}

impl LimitsByMethod {
    /// By names and globs (`*`).
    pub fn new(all: impl IntoIterator<Item = (String, MethodLimits)>) -> LimitsByMethod {
        let (mut globs, exact): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(name, _)| name.contains('*'));
        globs.sort_by_key(|(glob, _)| std::cmp::Reverse(glob.len()));
        LimitsByMethod {
            exact: exact.into_iter().collect(),
            globs,
        }
    }

    /// What holds for `method`; as a rule nothing does.
    pub fn of(&self, method: &str) -> Option<&MethodLimits> {
        if self.exact.is_empty() && self.globs.is_empty() {
            return None;
        }
        let longest = || {
            let mut fitting = self.globs.iter().filter(|(glob, _)| matches(glob, method));
            fitting.next().map(|(_, limits)| limits)
        };
        self.exact.get(method).or_else(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::treatment::Treatment;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn attempt(secs: u64) -> MethodLimits {
        MethodLimits {
            attempt: Some(Duration::from_secs(secs)),
            ..MethodLimits::default()
        }
    }

    #[test]
    fn the_exact_name_wins_and_then_the_longest_glob() {
        let all = [
            ("*", 1),
            ("debug_*", 2),
            ("debug_trace*", 3),
            ("debug_traceCall", 4),
        ];
        let all = all.map(|(name, secs)| (name.to_string(), attempt(secs)));
        let limits = LimitsByMethod::new(all);
        for (method, secs) in [
            ("eth_call", 1),
            ("debug_getBadBlocks", 2),
            ("debug_traceBlockByHash", 3),
            ("debug_traceCall", 4),
        ] {
            assert_eq!(limits.of(method), Some(&attempt(secs)), "{method}");
        }
        assert_eq!(LimitsByMethod::default().of("eth_call"), None);
    }

    #[test]
    fn an_attempt_above_the_deadline_raises_it_and_a_shorter_deadline_binds_heavy_calls_too() {
        let times = CallTimeouts {
            deadline: secs(30),
            attempt: secs(8),
            heavy: secs(60),
        };
        let long = attempt(90).times(times);
        assert_eq!(
            (long.attempt, long.deadline, long.heavy),
            (secs(90), secs(90), secs(90))
        );
        let short = attempt(5).times(times);
        assert_eq!((short.attempt, short.deadline), (secs(5), secs(30)));
        assert_eq!(short.attempt_of(Treatment::Heavy), secs(5));
        let bound = MethodLimits {
            deadline: Some(secs(10)),
            ..MethodLimits::default()
        };
        assert_eq!(bound.times(times).deadline_of(Treatment::Heavy), secs(10));
        assert_eq!(bound.times(times).attempt, secs(8));
    }
}

//! How long an attempt waits for its node.

use std::time::{Duration, Instant};

/// How often a waiting attempt looks whether its node is still fit.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A node from which nothing was heard since an attempt began, be it a probe's answer, is asked for a
/// sign of life after the first time, and left after the second.
const DOUBTED_AFTER: Duration = Duration::from_millis(2500);
const LEFT_AFTER: Duration = Duration::from_secs(5);

/// A node is given at least this time before another is asked beside it: whatever is faster is fast enough.
const HEDGE_MIN: Duration = Duration::from_millis(5);

/// How long a node is waited for before another is asked beside it: `factor` times what is `slow` for it; for ever where
/// that isn't known yet, or none is asked.
pub fn before_hedge(slow: Option<Duration>, factor: Option<f64>) -> Duration {
    let wait = slow
        .zip(factor)
        .map_or(Duration::MAX, |(slow, factor)| slow.mul_f64(factor));
    wait.max(HEDGE_MIN)
}

/// One attempt's wait.
#[derive(Debug)]
pub struct Patience {
    began_at: Instant,
    deadline: Instant,
    /// When its node is looked at next; `None`: never.
    look_at: Option<Instant>,
    is_doubted: bool,
}

/// What is done when nothing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatienceStep {
    /// Wait on.
    Wait,
    /// Wait on, and ask the node for a sign of life.
    Probe,
    /// Wait no more.
    Leave,
}

impl Patience {
    /// For an attempt that began at `began_at` and may last until `deadline`. `looks`: it is left before where its
    /// node has fallen out while another is fit, or gives no sign of life.
    #[inline]
    pub fn new(began_at: Instant, deadline: Instant, looks: bool) -> Patience {
        Patience {
            began_at,
            deadline,
            look_at: looks.then_some(began_at + LOOK_EVERY),
            is_doubted: false,
        }
    }

    /// Until when it waits without a look.
    #[inline]
    pub fn until(&self) -> Instant {
        self.look_at
            .map_or(self.deadline, |look_at| look_at.min(self.deadline))
    }

    /// That time is over. `is_waited_for`: the node may still answer; `was_heard`: it has said anything since
    /// the attempt began.
    pub fn look(
        &mut self,
        is_waited_for: impl FnOnce() -> bool,
        was_heard: impl FnOnce() -> bool,
        now: Instant,
    ) -> PatienceStep {
        if self.until() == self.deadline || !is_waited_for() {
            return PatienceStep::Leave;
        }
        self.look_at = Some(now + LOOK_EVERY);
        let waited = now.saturating_duration_since(self.began_at);
        if waited < DOUBTED_AFTER || was_heard() {
            PatienceStep::Wait
        } else if waited >= LEFT_AFTER {
            PatienceStep::Leave
        } else if std::mem::replace(&mut self.is_doubted, true) {
            PatienceStep::Wait
        } else {
            PatienceStep::Probe
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done at each look, by the clock that tells when it is due.
    fn steps(
        patience: &mut Patience,
        was_heard: bool,
        fallen_after: Duration,
    ) -> Vec<PatienceStep> {
        let mut steps = Vec::new();
        while steps.last() != Some(&PatienceStep::Leave) {
            let now = patience.until();
            let is_fit = now < patience.began_at + fallen_after;
            steps.push(patience.look(|| is_fit, || was_heard, now));
        }
        steps
    }

    #[test]
    fn a_node_that_says_nothing_is_asked_once_for_a_sign_of_life_and_left() {
        let now = crate::testing::now();
        let mut patience = Patience::new(now, now + Duration::from_secs(3600), true);
        let done = steps(&mut patience, false, Duration::from_secs(60));
        let probes = done.iter().filter(|step| **step == PatienceStep::Probe);
        assert_eq!((done.len(), probes.count()), (20, 1));
        assert_eq!(done[9], PatienceStep::Probe, "after 2.5 s");
    }

    #[test]
    fn a_node_that_is_heard_of_is_waited_for_until_it_falls_out_or_the_time_is_over() {
        let now = crate::testing::now();
        for (lasts, fallen_after, looks) in [
            (10_000, 1_000, 4),
            (1_000, 60_000, 4),
            (100, 60_000, 1),
            (10_000, 60_000, 40),
        ] {
            let mut patience = Patience::new(now, now + Duration::from_millis(lasts), true);
            let steps = steps(&mut patience, true, Duration::from_millis(fallen_after));
            assert_eq!(steps.len(), looks, "{lasts} {fallen_after}");
            assert!(!steps.contains(&PatienceStep::Probe));
        }
        let deadline = now + Duration::from_secs(10);
        assert_eq!(
            Patience::new(now, deadline, false).until(),
            deadline,
            "no looks"
        );
    }

    #[test]
    fn a_second_node_is_asked_once_the_first_is_slow_for_itself() {
        let millis = Duration::from_millis;
        for (slow, factor, wanted) in [
            (Some(millis(40)), Some(1.5), millis(60)),
            (Some(millis(2)), Some(1.5), HEDGE_MIN),
            (None, Some(1.5), Duration::MAX),
            (Some(millis(40)), None, Duration::MAX),
        ] {
            assert_eq!(before_hedge(slow, factor), wanted, "{slow:?} × {factor:?}");
        }
    }
}

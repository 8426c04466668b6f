//! A limit that refusals have set: it stands for a while before a little more is tried.

use std::time::{Duration, Instant};

/// No node is given more.
pub(super) const LIMIT_MAX: u32 = 8192;
/// How long it stands, at first and at most.
const STANDS: Duration = Duration::from_millis(500);
const STANDS_MAX: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug)]
pub(super) struct RefusalCeiling {
    at: u32,
    /// When more is tried, and by how much.
    until: Instant,
    step: u32,
    /// How often that was refused in a row.
    refusals: u32,
    /// The most that stood for its time, and until when a refusal is of the last trial of more: it says
    /// nothing of what stood, whichever of the calls the node refused.
    stood: u32,
    tried_until: Option<Instant>,
}

impl RefusalCeiling {
    /// The ceiling after a refusal that says that `below` would have been taken. `before`: the one that there
    /// was; `under_way`: how long calls of its trial may be under way yet.
    pub(super) fn after(
        before: Option<RefusalCeiling>,
        below: u32,
        under_way: Duration,
        now: Instant,
    ) -> RefusalCeiling {
        let is_tried = |known: &RefusalCeiling| known.tried_until.is_some_and(|until| now < until);
        let trial = before.filter(is_tried);
        let stood = trial.map_or(0, |known| known.stood);
        let refusals = match before {
            // The others of those that were one too many.
            Some(known) if known.step == 1 && now < known.until => known.refusals,
            Some(known) => known.refusals + 1,
            None => 0,
        };
        let stands = STANDS * 2u32.pow(refusals.min(8));
        RefusalCeiling {
            at: below.max(stood),
            until: now + stands.min(STANDS_MAX),
            step: 1,
            refusals,
            stood,
            tried_until: trial.map(|_| now + under_way.min(STANDS)),
        }
    }

    pub(super) fn at(&self) -> u32 {
        self.at
    }

    /// Where `limit` has reached it, and nothing was refused for a while: a little more. Returns whether it is.
    pub(super) fn rise(&mut self, limit: u32, now: Instant) -> bool {
        if limit < self.at || now < self.until {
            return false;
        }
        if self.step > 1 {
            // The last step was none too many.
            self.refusals = 0;
        }
        self.stood = self.at;
        self.tried_until = Some(now + STANDS_MAX);
        self.at = self.at.saturating_add(self.step).min(LIMIT_MAX);
        self.step = (self.step * 2).min(LIMIT_MAX);
        // Until this shows.
        self.until = now + STANDS / 2;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_that_is_refused_takes_nothing_of_what_stood() {
        let now = crate::testing::now();
        let at = |millis| now + Duration::from_millis(millis);
        let latency = Duration::from_millis(200);
        let mut ceiling = RefusalCeiling::after(None, 4, latency, now);
        assert!(!ceiling.rise(4, at(499)) && !ceiling.rise(3, at(500)));
        assert!(ceiling.rise(4, at(500)));
        assert_eq!(ceiling.at(), 5);
        // The node had two at once and refused the one that was sent first.
        let ceiling = RefusalCeiling::after(Some(ceiling), 3, latency, at(550));
        assert_eq!(ceiling.at(), 4);
        let ceiling = RefusalCeiling::after(Some(ceiling), 2, latency, at(700));
        assert_eq!(ceiling.at(), 4, "another of them");
        let ceiling = RefusalCeiling::after(Some(ceiling), 3, latency, at(950));
        assert_eq!(ceiling.at(), 3, "it takes fewer than it did");
    }
}

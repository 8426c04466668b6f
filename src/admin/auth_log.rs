//! Wrong tokens: said in the log with where they come from, and not oftener than one can read.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Between two lines.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What was said, and what wasn't.
#[derive(Debug, Default)]
pub(super) struct AuthLog(Mutex<AuthLogState>);

#[derive(Debug, Default)]
struct AuthLogState {
    at: Option<Instant>,
    unsaid: u64,
}

impl AuthLog {
    /// A caller at `address` showed a wrong token; the sentence, where one is due.
    pub(super) fn hear(&self, address: Option<IpAddr>, now: Instant) -> Option<String> {
        let mut said = self.0.lock();
        let is_early = |at: Instant| now.saturating_duration_since(at) < SAY_EVERY;
        if said.at.is_some_and(is_early) {
            said.unsaid += 1;
            return None;
        }
        said.at = Some(now);
        let before = match std::mem::take(&mut said.unsaid) {
            0 => String::new(),
            unsaid => format!(", after {unsaid} more"),
        };
        let address = address.map_or("an unknown address".to_string(), |ip| ip.to_string());
        Some(format!(
            "a wrong token was shown to the admin listener from {address}{before}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_guesser_gets_a_line_now_and_then_that_counts_the_rest() {
        let auth_log = AuthLog::default();
        let address = Some(IpAddr::from([203, 0, 113, 9]));
        let start = clock::now();
        let hear = |millis| auth_log.hear(address, start + Duration::from_millis(millis));
        let first = "a wrong token was shown to the admin listener from 203.0.113.9";
        assert_eq!(hear(0).as_deref(), Some(first));
        assert_eq!(hear(1), None);
        assert_eq!(hear(9_999), None);
        assert_eq!(hear(10_000), Some(format!("{first}, after 2 more")));
        assert_eq!(hear(10_001), None);
    }
}

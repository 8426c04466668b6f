//! Lines of the log that come too fast: some are written, and of the others it is said how many they
//! were.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Lines are counted for so long.
pub const SPAN: Duration = Duration::from_secs(5);
/// Within it so many are written.
pub const LINES_MAX: u32 = 50;
/// Of so many the number of lines is known for each.
const NAMES_MAX: usize = 64;

/// Lines that were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OmittedLines {
    /// How many they were.
    pub lines: u64,
    /// By what they were about, the most first.
    pub about: Vec<(Arc<str>, u64)>,
}

/// Counts lines.
#[derive(Debug, Default)]
pub struct LogThrottle {
    began_at: Option<Instant>,
    written: u32,
    left_out: u64,
    about: BTreeMap<Arc<str>, u64>,
}

impl LogThrottle {
    /// Whether a line about `name` is to be written. Ask [`LogThrottle::over`] before.
    pub fn admits(&mut self, name: &Arc<str>, now: Instant) -> bool {
        self.began_at.get_or_insert(now);
        if self.written < LINES_MAX {
            self.written += 1;
            return true;
        }
        self.left_out += 1;
        if self.about.contains_key(name) || self.about.len() < NAMES_MAX {
            *self.about.entry(name.clone()).or_default() += 1;
        }
        false
    }

    /// What was left out of a time that is over.
    pub fn over(&mut self, now: Instant) -> Option<OmittedLines> {
        let began_at = self.began_at?;
        if now.saturating_duration_since(began_at) < SPAN {
            return None;
        }
        let LogThrottle {
            left_out, about, ..
        } = std::mem::take(self);
        let mut about: Vec<_> = about.into_iter().collect();
        about.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
        (left_out > 0).then_some(OmittedLines {
            lines: left_out,
            about,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_written_and_the_rest_is_counted() {
        let (mut excess, start) = (LogThrottle::default(), crate::testing::now());
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let mut written = 0;
        for turn in 0..LINES_MAX + 7 {
            let name = if turn % 3 == 0 { &b } else { &a };
            assert_eq!(excess.over(start), None);
            written += u32::from(excess.admits(name, start));
        }
        assert_eq!(written, LINES_MAX);
        let before = SPAN - Duration::from_nanos(1);
        assert_eq!(excess.over(start + before), None);
        let left = excess.over(start + SPAN).unwrap();
        assert_eq!(left.lines, 7);
        assert_eq!(left.about.iter().map(|(_, lines)| lines).sum::<u64>(), 7);
        assert_eq!(&*left.about[0].0, "a", "the most first");
        assert!(excess.admits(&a, start + SPAN), "it begins anew");
        assert_eq!(excess.over(start + 2 * SPAN), None, "nothing was left out");
    }

    #[test]
    fn no_more_names_are_kept_than_have_room() {
        let (mut excess, start) = (LogThrottle::default(), crate::testing::now());
        for turn in 0..LINES_MAX + 1_000 {
            excess.admits(&turn.to_string().into(), start);
        }
        let left = excess.over(start + SPAN).unwrap();
        assert_eq!((left.lines, left.about.len()), (1_000, NAMES_MAX));
    }
}

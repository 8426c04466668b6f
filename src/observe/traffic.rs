//! What calls came to between two looks: how many, how many failed, and how long they took.

use std::time::Duration;

use prometheus::Histogram;
use prometheus::core::Metric;

/// What calls came to, since the start or between two looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    /// But for those whose client left.
    pub calls: u64,
    /// No node had an answer, whatever the HTTP status said.
    pub failed: u64,
    /// Of the others, those that every node failed at while they answered others: a caller's own fault.
    pub unanswerable: u64,
    /// 503s that say that nodes failed a call which may be tried again.
    pub try_again_responses: u64,
    /// How many calls took at most so many seconds, the shortest time first, each with those before
    /// it. The last is infinite, and counts all.
    durations: Vec<(f64, u64)>,
}

impl Traffic {
    /// Adds the calls of one method, which took as `histogram` says.
    pub fn add_durations(&mut self, histogram: &Histogram) {
        let metric = histogram.metric();
        let told = metric.get_histogram();
        let buckets = told.get_bucket().iter();
        let all = (f64::INFINITY, told.get_sample_count());
        let counts = buckets.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
        let counts = counts.filter(|(bound, _)| bound.is_finite()).chain([all]);
        if self.durations.is_empty() {
            self.durations = counts.collect();
            return;
        }
        for ((_, sum), (_, count)) in self.durations.iter_mut().zip(counts) {
            *sum += count;
        }
    }

    /// What came since `before`; nothing where that was read later.
    pub fn since(&self, before: &Traffic) -> Traffic {
        let earlier = before.durations.iter().map(|(_, count)| *count);
        let durations = self
            .durations
            .iter()
            .zip(earlier.chain(std::iter::repeat(0)));
        Traffic {
            calls: self.calls.saturating_sub(before.calls),
            failed: self.failed.saturating_sub(before.failed),
            unanswerable: self.unanswerable.saturating_sub(before.unanswerable),
            try_again_responses: self
                .try_again_responses
                .saturating_sub(before.try_again_responses),
            durations: durations
                .map(|((bound, count), earlier)| (*bound, count.saturating_sub(earlier)))
                .collect(),
        }
    }

    /// The time within which 99 of 100 calls ended, rounded up to the bound of its bucket; of what
    /// lies beyond the last bound, that bound. `None` without calls.
    pub fn p99(&self) -> Option<Duration> {
        let (_, all) = self.durations.last().filter(|(_, all)| *all > 0)?;
        let wanted = (all * 99).div_ceil(100);
        let mut finite = self.durations.iter().filter(|(bound, _)| bound.is_finite());
        let within = finite.clone().find(|(_, count)| *count >= wanted);
        let (bound, _) = within.or(finite.next_back())?;
        Some(Duration::from_secs_f64(*bound))
    }
}

#[cfg(test)]
mod tests {
    use prometheus::HistogramOpts;

    use super::*;

    fn histogram(times: &[(f64, u32)]) -> Histogram {
        let options = HistogramOpts::new("x", "x").buckets(vec![0.1, 1.0, 10.0]);
        let histogram = Histogram::with_opts(options).unwrap();
        for (seconds, count) in times {
            (0..*count).for_each(|_| histogram.observe(*seconds));
        }
        histogram
    }

    fn traffic(methods: &[&[(f64, u32)]]) -> Traffic {
        let mut traffic = Traffic::default();
        for method in methods {
            traffic.add_durations(&histogram(method));
        }
        traffic
    }

    fn millis(traffic: &Traffic) -> Option<u128> {
        traffic.p99().map(|time| time.as_millis())
    }

    #[test]
    fn the_99th_call_of_100_counts_whatever_its_method() {
        assert_eq!(millis(&Traffic::default()), None);
        assert_eq!(millis(&traffic(&[&[]])), None);
        assert_eq!(millis(&traffic(&[&[(0.05, 99)], &[(5.0, 1)]])), Some(100));
        assert_eq!(
            millis(&traffic(&[&[(0.05, 98)], &[(5.0, 2)]])),
            Some(10_000)
        );
        assert_eq!(millis(&traffic(&[&[(0.5, 1)]])), Some(1000));
        assert_eq!(millis(&traffic(&[&[(60.0, 1)]])), Some(10_000));
    }

    #[test]
    fn what_came_before_does_not_count() {
        let before = traffic(&[&[(5.0, 100)]]);
        let mut now = traffic(&[&[(5.0, 100), (0.05, 7)]]);
        now.calls = 7;
        assert_eq!(millis(&now.since(&before)), Some(100));
        assert_eq!(now.since(&now).p99(), None);
        assert_eq!(now.since(&Traffic::default()), now);
    }
}

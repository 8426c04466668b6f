//! Which process writes for all: a lease that one of several processes holds.
//!
//! No two clocks are compared. A holder counts its beats in a shared place; a process that sees the
//! count stand still for the lease's time, by its own clock, may take over. A holder counts its time
//! from before a beat was sent, so it lets go before any other may take over.

use std::time::{Duration, Instant};

/// The holder beats, and the others look, so many times within a lease.
const BEATS_A_LEASE: u32 = 3;
/// A beat may come so much of its time early: calls of `due` come with jitter.
const EARLY: f64 = 0.15;

/// How long a count that another process raises has stood still.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeartbeatMonitor {
    seen: Option<(u64, Instant)>,
    has_moved: bool,
}

impl HeartbeatMonitor {
    /// Hears that the count is `count`; says how long it has been that, as far as was seen.
    pub fn still_for(&mut self, count: u64, now: Instant) -> Duration {
        match self.seen {
            Some((seen, since)) if seen == count => now.saturating_duration_since(since),
            seen => {
                self.has_moved = seen.is_some();
                self.seen = Some((count, now));
                Duration::ZERO
            }
        }
    }

    /// Whether it was ever seen to move: before that, its age is unknown.
    pub fn has_moved(&self) -> bool {
        self.has_moved
    }
}

/// The lease as it stands in the shared place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The name of the process that has it, which no other process has.
    pub holder: String,
    /// How often the holder has raised it. It stands still once the holder is gone.
    pub beat: u64,
}

/// What to do in the shared place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseAction {
    /// Nothing is due.
    Rest,
    /// Look which process holds it, and tell [`LeaseParticipant::find`].
    Look,
    /// Raise the beat from this one, if it is still ours and that.
    Beat(u64),
}

/// One process's part in the lease.
#[derive(Debug)]
pub struct LeaseParticipant {
    me: String,
    time: Duration,
    asked_at: Option<Instant>,
    /// The last beat of ours that stands, and when it was sent.
    held: Option<(u64, Instant)>,
    other: String,
    pulse: HeartbeatMonitor,
}

impl LeaseParticipant {
    /// `me`: a name that no other process has. `time`: of the lease.
    pub fn new(me: String, time: Duration) -> LeaseParticipant {
        LeaseParticipant {
            me,
            time,
            asked_at: None,
            held: None,
            other: String::new(),
            pulse: HeartbeatMonitor::default(),
        }
    }

    /// Whether this process has the lease: its last beat that stands was sent less than the lease's time
    /// ago.
    pub fn holds(&self, now: Instant) -> bool {
        let is_young = |at| now.saturating_duration_since(at) < self.time;
        self.held.is_some_and(|(_, at)| is_young(at))
    }

    /// What is due at `now`; it counts as begun.
    pub fn due(&mut self, now: Instant) -> LeaseAction {
        let pause = (self.time / BEATS_A_LEASE).mul_f64(1.0 - EARLY);
        let is_early = |at: Instant| now.saturating_duration_since(at) < pause;
        if self.asked_at.is_some_and(is_early) {
            return LeaseAction::Rest;
        }
        self.asked_at = Some(now);
        match self.held {
            Some((beat, _)) => LeaseAction::Beat(beat),
            None => LeaseAction::Look,
        }
    }

    /// What was due failed: it is due again.
    pub fn retry(&mut self) {
        self.asked_at = None;
    }

    /// Whether to take the lease, from the one `found` there if there is one.
    pub fn find(&mut self, found: Option<&Lease>, now: Instant) -> bool {
        let Some(lease) = found else { return true };
        // A beat of ours whose answer was lost.
        if lease.holder == self.me {
            return true;
        }
        if lease.holder != self.other {
            self.other.clone_from(&lease.holder);
            self.pulse = HeartbeatMonitor::default();
        }
        self.pulse.still_for(lease.beat, now) >= self.time
    }

    /// The beat, sent at `sent_at`, stands.
    pub fn take(&mut self, beat: u64, sent_at: Instant) {
        self.held = Some((beat, sent_at));
    }

    /// Another process has it.
    pub fn lose(&mut self) {
        self.held = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const TIME: Duration = Duration::from_secs(30);

    fn lease(holder: &str, beat: u64) -> Lease {
        Lease {
            holder: holder.to_string(),
            beat,
        }
    }

    fn tenancy() -> (LeaseParticipant, impl Fn(u64) -> Instant) {
        let start = testing::now();
        let after = move |seconds| start + Duration::from_secs(seconds);
        (LeaseParticipant::new("me".to_string(), TIME), after)
    }

    #[test]
    fn a_free_lease_is_taken_and_held_for_its_time() {
        let (mut tenancy, after) = tenancy();
        assert_eq!(tenancy.due(after(0)), LeaseAction::Look);
        assert!(!tenancy.holds(after(0)));
        assert!(tenancy.find(None, after(0)));
        tenancy.take(1, after(0));
        assert!(tenancy.holds(after(29)));
        assert!(!tenancy.holds(after(30)), "others may take it from here on");
    }

    #[test]
    fn the_holder_beats_three_times_within_a_lease_and_no_more() {
        let (mut tenancy, after) = tenancy();
        tenancy.due(after(0));
        tenancy.take(7, after(0));
        assert_eq!(tenancy.due(after(8)), LeaseAction::Rest);
        assert_eq!(tenancy.due(after(9)), LeaseAction::Beat(7));
        tenancy.take(8, after(9));
        assert_eq!(tenancy.due(after(10)), LeaseAction::Rest);
        tenancy.retry();
        assert_eq!(tenancy.due(after(10)), LeaseAction::Beat(8));
        assert_eq!(tenancy.due(after(19)), LeaseAction::Beat(8));
    }

    #[test]
    fn a_lease_whose_beat_stands_still_for_its_time_is_taken_over() {
        let (mut tenancy, after) = tenancy();
        assert!(!tenancy.find(Some(&lease("other", 5)), after(0)));
        assert!(!tenancy.find(Some(&lease("other", 6)), after(20)));
        assert!(!tenancy.find(Some(&lease("other", 6)), after(49)));
        assert!(tenancy.find(Some(&lease("other", 6)), after(50)));
    }

    #[test]
    fn a_new_holder_with_the_same_beat_begins_a_new_time() {
        let (mut tenancy, after) = tenancy();
        assert!(!tenancy.find(Some(&lease("other", 5)), after(0)));
        assert!(!tenancy.find(Some(&lease("third", 5)), after(30)));
        assert!(!tenancy.find(Some(&lease("third", 5)), after(59)));
        assert!(tenancy.find(Some(&lease("third", 5)), after(60)));
    }

    #[test]
    fn a_beat_whose_answer_was_lost_is_taken_up_again() {
        let (mut tenancy, after) = tenancy();
        tenancy.take(1, after(0));
        tenancy.lose();
        assert_eq!(tenancy.due(after(10)), LeaseAction::Look);
        assert!(tenancy.find(Some(&lease("me", 2)), after(10)));
    }

    #[test]
    fn a_pulse_has_no_age_before_it_was_seen_to_move() {
        let (_, after) = tenancy();
        let mut pulse = HeartbeatMonitor::default();
        assert_eq!(pulse.still_for(3, after(0)), Duration::ZERO);
        assert_eq!(pulse.still_for(3, after(5)), Duration::from_secs(5));
        assert!(!pulse.has_moved());
        assert_eq!(pulse.still_for(4, after(6)), Duration::ZERO);
        assert!(pulse.has_moved());
        assert_eq!(pulse.still_for(4, after(9)), Duration::from_secs(3));
    }
}

//! Which calls wait for a place at a node, and which gets the next one: callers in turn.
//!
//! Of one caller's calls the first that came is the next, unless they have waited for long: then the
//! last one is, which can still be answered in good time, while the first run out of it (adaptive LIFO
//! and controlled delay: Maurer, "Fail at Scale", ACM Queue 2015). A burst that drains may take its
//! time; where more keep coming than are let in the line stands: calls of those with most of them leave
//! after their patience, and of a caller's all but the last before, which would be let in late once fewer
//! come.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Calls that wait at most; beyond it the oldest of the caller with most of them leaves.
pub const WAITING_MAX: usize = 4096;
/// A call may wait for so many times its patience while the line doesn't stand.
const BURST: u32 = 25;
/// A line stands when it wasn't empty for so long, of late more came than were let in, and calls that wait
/// would do so for more than their patience.
const STANDS_AFTER: Duration = Duration::from_secs(2);
/// And no longer once no call has waited for so long: in a flood it may be empty for a moment.
const ENDS_AFTER: Duration = Duration::from_millis(500);
/// What is called of late: this half of a window, and the one before.
const LATE: Duration = Duration::from_millis(250);
/// The last come are first once the first has waited for this part of the patience.
const LAST_FIRST: u32 = 20;

/// In a line that stands all but a caller's last call leave after this part of the patience.
const HOPELESS: u32 = 5;

/// All calls that wait. `T`: whatever stands for one of them.
#[derive(Debug)]
pub struct WaitQueue<T> {
    /// The front one has the next turn.
    lanes: VecDeque<CallerQueue<T>>,
    waiting: usize,
    next: u64,
    patience: Duration,
    /// Since when calls have been waiting.
    since: Option<Instant>,
    /// It stands, until no call has waited for a while.
    stands: bool,
    emptied: Option<Instant>,
    /// When the present half began; how many calls came and were let in, in it and in the one before.
    half: Option<Instant>,
    flow: [QueueFlow; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct QueueFlow {
    came: u32,
    let_in: u32,
}

/// One caller's.
#[derive(Debug)]
struct CallerQueue<T> {
    caller: u64,
    calls: VecDeque<QueuedCall<T>>,
}

#[derive(Debug)]
struct QueuedCall<T> {
    ticket: QueueTicket,
    what: T,
}

/// A call that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueTicket {
    number: u64,
    caller: u64,
    came: Instant,
    is_strict: bool,
}

impl<T> WaitQueue<T> {
    /// `patience`: how long one waits.
    pub fn new(patience: Duration) -> WaitQueue<T> {
        WaitQueue {
            lanes: VecDeque::new(),
            waiting: 0,
            next: 0,
            patience,
            since: None,
            stands: false,
            emptied: None,
            half: None,
            flow: [QueueFlow::default(); 2],
        }
    }

    /// From now on one waits so long.
    pub fn change(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether no call waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Joins the line of `caller`. `is_strict`: its patience is never more than was said. Also returns
    /// the call that has to leave for it.
    pub fn join(
        &mut self,
        caller: u64,
        is_strict: bool,
        what: T,
        now: Instant,
    ) -> (QueueTicket, Option<T>) {
        let left = (self.waiting >= WAITING_MAX).then(|| self.push_out());
        self.flow_at(now).came += 1;
        let is_long = |emptied: Instant| now.saturating_duration_since(emptied) >= ENDS_AFTER;
        if self.emptied.take().is_some_and(is_long) {
            self.stands = false;
        }
        self.since.get_or_insert(now);
        let ticket = QueueTicket {
            number: self.next,
            caller,
            came: now,
            is_strict,
        };
        self.next += 1;
        self.waiting += 1;
        let waiting = QueuedCall { ticket, what };
        match self.lanes.iter_mut().find(|lane| lane.caller == caller) {
            Some(lane) => lane.calls.push_back(waiting),
            None => self.lanes.push_back(CallerQueue {
                caller,
                calls: VecDeque::from([waiting]),
            }),
        }
        (ticket, left.flatten())
    }

    /// Whether any call `suits`.
    pub fn has(&self, suits: impl Fn(&T) -> bool) -> bool {
        let mut all = self.lanes.iter().flat_map(|lane| &lane.calls);
        all.any(|waiting| suits(&waiting.what))
    }

    /// The next call that `suits`; it is let in.
    pub fn next(&mut self, suits: impl Fn(&T) -> bool, now: Instant) -> Option<T> {
        let long = self.patience / LAST_FIRST;
        let found = self.lanes.iter().enumerate().find_map(|(at, lane)| {
            let is_long =
                |first: &QueuedCall<T>| now.saturating_duration_since(first.ticket.came) > long;
            let suits = |waiting: &QueuedCall<T>| suits(&waiting.what);
            let place = if lane.calls.front().is_some_and(is_long) {
                lane.calls.iter().rposition(suits)
            } else {
                lane.calls.iter().position(suits)
            };
            Some((at, place?))
        });
        let (at, place) = found?;
        let what = self.take(at, place)?;
        self.moves(now);
        self.settle(now);
        Some(what)
    }

    /// Leaves the line; `None`: it was let in, or had to leave.
    pub fn leave(&mut self, ticket: QueueTicket, now: Instant) -> Option<T> {
        let is_its = |lane: &CallerQueue<T>| lane.caller == ticket.caller;
        let at = self.lanes.iter().position(is_its)?;
        let is_it = |waiting: &QueuedCall<T>| waiting.ticket.number == ticket.number;
        let place = self.lanes[at].calls.iter().position(is_it)?;
        let what = self.take_from(at, place);
        self.settle(now);
        what
    }

    /// How long a call may wait, as it looks now.
    pub fn may_wait_until(&self, ticket: QueueTicket) -> Instant {
        let is_its = |lane: &&CallerQueue<T>| lane.caller == ticket.caller;
        let lane = self.lanes.iter().find(is_its);
        let is_modest = lane.is_some_and(|lane| self.is_modest(lane));
        let times = if ticket.is_strict || (self.stands && !is_modest) {
            1
        } else {
            BURST
        };
        ticket.came + self.patience * times
    }

    /// Until when it isn't worth looking at that again.
    pub fn look_again(&self, ticket: QueueTicket, now: Instant) -> Instant {
        let patience = self.patience.max(Duration::from_millis(1));
        (ticket.came + patience).max(now + patience)
    }

    /// One that has to leave a line that stands, since a later one of its caller is let in before.
    pub fn hopeless(&mut self, now: Instant) -> Option<T> {
        if !self.stands {
            return None;
        }
        let lane = self.lanes.front()?;
        let first = lane.calls.front()?;
        let waited = now.saturating_duration_since(first.ticket.came);
        let is_hopeless =
            lane.calls.len() > 1 && waited > self.patience / HOPELESS && !self.is_modest(lane);
        let left = is_hopeless.then(|| self.take_from(0, 0))?;
        self.settle(now);
        left
    }

    /// The calls that waited go to where a node answers: that none was let in until now says nothing of the
    /// room there.
    pub fn forget(&mut self, now: Instant) {
        self.since = (self.waiting > 0).then_some(now);
        self.stands = false;
        self.flow = [QueueFlow::default(); 2];
    }

    /// A call is let in. Only now is the line judged: where none is let in the nodes say nothing, rather than
    /// lack room, and after a pause what came before says nothing of the room that there is.
    fn moves(&mut self, now: Instant) {
        self.flow_at(now);
        if self.flow.iter().all(|flow| flow.let_in == 0) {
            self.flow = [QueueFlow::default(); 2];
            self.half = Some(now);
        }
        self.flow[0].let_in += 1;
        let is_long = |since: Instant| now.saturating_duration_since(since) >= STANDS_AFTER;
        self.stands |= self.since.is_some_and(is_long) && self.grows(now);
    }

    /// Whether a caller has less than its share of the calls that wait: it isn't the one that the line stands for.
    fn is_modest(&self, lane: &CallerQueue<T>) -> bool {
        lane.calls.len() * self.lanes.len() < self.waiting
    }

    /// Whether more come than are let in, and a call that joined it now would wait for more than the patience.
    fn grows(&self, now: Instant) -> bool {
        let [present, before] = self.flow;
        let came = present.came + before.came;
        let let_in = present.let_in + before.let_in;
        let passed = self
            .half
            .map_or(LATE, |half| LATE + now.saturating_duration_since(half));
        let waits = passed.as_secs_f64() * self.waiting as f64 / f64::from(let_in);
        before.let_in > 0 && came > let_in && waits > self.patience.as_secs_f64()
    }

    fn flow_at(&mut self, now: Instant) -> &mut QueueFlow {
        let half = *self.half.get_or_insert(now);
        let passed = now.saturating_duration_since(half);
        if passed >= LATE {
            let before = if passed < LATE * 2 {
                self.flow[0]
            } else {
                QueueFlow::default()
            };
            self.flow = [QueueFlow::default(), before];
            self.half = Some(now);
        }
        &mut self.flow[0]
    }

    fn push_out(&mut self) -> Option<T> {
        let longest = self.lanes.iter().enumerate();
        let (at, _) = longest.max_by_key(|(_, lane)| lane.calls.len())?;
        self.take_from(at, 0)
    }

    /// Takes one out of a lane, which has had its turn.
    fn take(&mut self, at: usize, place: usize) -> Option<T> {
        let lane = self.lanes.remove(at)?;
        self.lanes.push_back(lane);
        self.take_from(self.lanes.len() - 1, place)
    }

    fn take_from(&mut self, at: usize, place: usize) -> Option<T> {
        let lane = self.lanes.get_mut(at)?;
        let waiting = lane.calls.remove(place)?;
        if lane.calls.is_empty() {
            self.lanes.remove(at);
        }
        self.waiting -= 1;
        Some(waiting.what)
    }

    fn settle(&mut self, now: Instant) {
        if self.waiting == 0 {
            self.since = None;
            self.emptied = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::millis;

    fn line() -> (WaitQueue<u32>, Instant) {
        (WaitQueue::new(millis(100)), crate::testing::now())
    }

    #[test]
    fn callers_are_let_in_by_turns_however_many_calls_one_has() {
        let (mut line, now) = line();
        for call in 0..50 {
            line.join(1, false, call, now);
        }
        line.join(2, false, 100, now);
        line.join(2, false, 101, now);
        let order: Vec<_> = (0..5).filter_map(|_| line.next(|_| true, now)).collect();
        assert_eq!(order, [0, 100, 1, 101, 2]);
        assert_eq!(line.len(), 47);
    }

    #[test]
    fn the_first_is_the_next_until_it_has_waited_for_long_and_then_the_last_is() {
        let (mut line, now) = line();
        for call in 0..4 {
            line.join(1, false, call, now);
        }
        assert_eq!(line.next(|_| true, now + millis(5)), Some(0));
        assert_eq!(line.next(|_| true, now + millis(6)), Some(3));
        assert_eq!(
            line.next(|call| *call == 1, now),
            Some(1),
            "the call that it suits"
        );
    }

    #[test]
    fn a_burst_may_take_its_time_and_a_call_that_waits_strictly_may_not() {
        let (mut line, now) = line();
        let (strict, _) = line.join(1, true, 0, now);
        let (patient, _) = line.join(1, false, 1, now);
        for call in 0..200 {
            line.join(1, false, call, now);
        }
        for tick in 0..220 {
            assert_eq!(line.may_wait_until(strict), now + millis(100));
            assert_eq!(line.may_wait_until(patient), now + millis(2500), "{tick}");
            line.next(|call| *call > 1, now + millis(tick * 10));
        }
    }

    #[test]
    fn where_more_keep_coming_than_are_let_in_no_call_waits_for_long() {
        let (mut line, now) = line();
        let (ticket, _) = line.join(1, false, 0, now);
        for tick in 0..2800u64 {
            let at = now + millis(tick);
            line.join(1, false, 1, at);
            line.next(|call| *call == 1 && tick % 2 == 0, at);
            let patience = if tick < 2000 { 2500 } else { 100 };
            assert_eq!(
                line.may_wait_until(ticket),
                now + millis(patience),
                "{tick}"
            );
        }
        // Until no call waits, and not only for a moment.
        let mut last = 2800;
        for (pause, patience) in [(499, 100), (500, 2500)] {
            while line.next(|_| true, now + millis(last)).is_some() {}
            last += pause;
            let at = now + millis(last);
            let (ticket, _) = line.join(1, false, 1, at);
            assert_eq!(line.may_wait_until(ticket), at + millis(patience));
        }
    }

    #[test]
    fn in_a_line_that_stands_only_the_last_of_a_caller_waits_for_long() {
        let (mut line, now) = line();
        for tick in 0..2100 {
            line.join(1, false, tick, now + millis(u64::from(tick)));
            // Another caller's, which moves the line.
            line.join(2, false, 9999, now + millis(u64::from(tick)));
            line.next(|call| *call == 9999, now + millis(u64::from(tick)));
        }
        let at = |after| now + millis(after);
        let mut moved = WaitQueue::new(millis(100));
        moved.join(1, false, 0, now);
        moved.join(1, false, 1, now);
        assert_eq!(moved.hopeless(at(1000)), None, "it doesn't stand");
        for tick in 0..2079 {
            assert_eq!(line.hopeless(at(2099)), Some(tick));
        }
        assert_eq!(line.hopeless(at(2099)), None, "20 ms aren't over");
        while line.len() > 1 {
            assert!(line.hopeless(at(2500)).is_some());
        }
        assert_eq!(line.hopeless(at(2500)), None, "its last");
        assert_eq!(line.next(|_| true, at(2500)), Some(2099));
    }

    #[test]
    fn a_modest_caller_waits_beside_another_whose_calls_make_the_line_stand() {
        let (mut line, now) = line();
        let (loud, _) = line.join(1, false, 1, now);
        for tick in 0..2100u64 {
            let at = now + millis(tick);
            line.join(1, false, 1, at);
            line.next(|_| tick % 2 == 0, at);
        }
        let at = now + millis(2100);
        let (quiet, _) = line.join(2, false, 2, at);
        line.join(2, false, 2, at);
        assert_eq!(line.may_wait_until(loud), now + millis(100));
        assert_eq!(line.may_wait_until(quiet), at + millis(2500));
    }

    #[test]
    fn a_line_for_nodes_that_say_nothing_does_not_stand_nor_when_one_begins_to_answer() {
        let (mut line, now) = line();
        let at = |after: u32| now + millis(u64::from(after));
        for tick in 0..2200 {
            line.join(1, false, tick, at(tick));
        }
        let (last, _) = line.join(1, false, 0, at(2200));
        let patient = at(2200 + 2500);
        assert_eq!(line.hopeless(at(2200)), None);
        assert_eq!(line.may_wait_until(last), patient);
        for tick in 2200..2700 {
            line.join(1, false, tick, at(tick));
            line.next(|_| true, at(tick));
            line.next(|_| true, at(tick));
            assert_eq!(line.hopeless(at(tick)), None, "{tick}");
        }
        assert_eq!(line.may_wait_until(last), patient, "it drains");
        for tick in 2700..3700 {
            line.join(1, false, tick, at(tick));
            line.next(|call| tick % 2 == 0 && *call > 0, at(tick));
        }
        let soon = at(2200 + 100);
        assert_eq!(line.may_wait_until(last), soon, "more come");
        line.forget(at(3700));
        assert_eq!(line.may_wait_until(last), patient);
    }

    #[test]
    fn a_full_line_loses_the_oldest_of_the_caller_with_most() {
        let (mut line, now) = line();
        for call in 0..WAITING_MAX as u32 - 1 {
            assert_eq!(line.join(1, false, call, now).1, None);
        }
        let (quiet, left) = line.join(2, false, 9999, now);
        assert_eq!(left, None, "the last place");
        assert_eq!(line.join(2, false, 10_000, now).1, Some(0));
        assert_eq!(line.len(), WAITING_MAX);
        assert_eq!(line.leave(quiet, now), Some(9999));
        assert_eq!(line.leave(quiet, now), None);
    }
}

//! What a socket has asked its node for, and what the node tells.
//!
//! Some nodes' errors don't say to which call they are the answer (evmd: `"id": null`). Such a one is
//! the answer to the only call that waits for one. Where several wait, or an earlier one may still be
//! answered, it is no call's: those that get no answer of their own within a moment are asked again, one
//! by one, and so is this node from then on.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::shared::hub::TOPICS_MAX;
use forebay_core::feed::takeover::TopicRequest;

/// The most topics that one node tells, or is asked for: all there may be.
pub(super) const SUBSCRIPTIONS_MAX: usize = TOPICS_MAX;

/// The longest id that a node may give a subscription, in bytes of JSON: real ones have 66 at the
/// most.
pub(super) const ID_BYTES_MAX: usize = 256;

/// What calls have of their own answers is waited for so long, where an error was no call's.
const SORTING: Duration = Duration::from_millis(300);
/// A call that nothing waits for holds up no other for longer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Why an id is none that news can be told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvalidId {
    /// The node tells something else under it.
    Taken,
    TooLong,
}

/// What a call over the socket is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallPurpose {
    Heads,
    Topic(TopicRequest),
    /// It isn't wanted any more: it is given up as soon as the node has taken it.
    Dropped,
    /// The subscription with this id, as JSON, is given up.
    GivenUp(String),
}

impl CallPurpose {
    /// The method and its params.
    pub(super) fn call(&self) -> Option<(&'static str, String)> {
        match self {
            CallPurpose::Heads => Some(("eth_subscribe", r#"["newHeads"]"#.into())),
            CallPurpose::Topic(request) => Some(("eth_subscribe", request.topic.params())),
            CallPurpose::GivenUp(id) => Some(("eth_unsubscribe", format!("[{id}]"))),
            CallPurpose::Dropped => None,
        }
    }
}

/// Calls to be made, calls that wait for an answer, and subscriptions by the node's own id.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    queue: VecDeque<CallPurpose>,
    /// By the call, and since when.
    asked: BTreeMap<u64, (CallPurpose, Instant)>,
    /// Calls that are waited for no longer, and may still be answered.
    late: BTreeSet<u64>,
    /// `None` for the heads.
    subscriptions: HashMap<String, Option<TopicRequest>>,
    /// One call at a time.
    is_serial: bool,
    /// The next error may be a late call's.
    is_doubtful: bool,
    sorting: Option<StrayErrors>,
}

/// Errors came that don't say which call they answer.
#[derive(Debug)]
struct StrayErrors {
    until: Instant,
    errors: usize,
}

impl Subscriptions {
    /// `is_serial`: the node's errors are known not to say which call they answer.
    pub(super) fn new(is_serial: bool) -> Subscriptions {
        Subscriptions {
            is_serial,
            ..Subscriptions::default()
        }
    }

    pub(super) fn is_serial(&self) -> bool {
        self.is_serial
    }

    /// Whether nothing more may be asked for.
    pub(super) fn is_full(&self) -> bool {
        let calls = self.queue.len() + self.asked.len() + self.late.len();
        calls + self.subscriptions.len() > SUBSCRIPTIONS_MAX
    }

    /// It is to be asked for as soon as that may be.
    pub(super) fn want(&mut self, what: CallPurpose) {
        self.queue.push_back(what);
    }

    /// What is to be asked for now.
    pub(super) fn next(&mut self, now: Instant) -> Option<CallPurpose> {
        if self
            .sorting
            .as_ref()
            .is_some_and(|sorting| !self.is_sorted(sorting, now))
        {
            return None;
        }
        if self.sorting.take().is_some() {
            self.is_doubtful = false;
            let unanswered = std::mem::take(&mut self.asked);
            for (call, (what, _)) in unanswered.into_iter().rev() {
                self.late.insert(call);
                if what != CallPurpose::Dropped {
                    self.queue.push_front(what);
                }
            }
        }
        if self.is_serial {
            self.leave_silent(now);
        }
        if self.is_serial && !self.asked.is_empty() {
            return None;
        }
        self.queue.pop_front()
    }

    /// When [`Subscriptions::next`] may say something else than before, unless something happens.
    pub(super) fn due(&self) -> Option<Instant> {
        self.sorting.as_ref().map(|sorting| sorting.until)
    }

    fn is_sorted(&self, sorting: &StrayErrors, now: Instant) -> bool {
        let all_answered = !self.is_doubtful && sorting.errors >= self.asked.len();
        all_answered || now >= sorting.until
    }

    /// Calls for topics aren't meant: what waits for a topic gives it up by itself.
    fn leave_silent(&mut self, now: Instant) {
        let is_silent = |(what, since): &(CallPurpose, Instant)| {
            matches!(what, CallPurpose::Dropped | CallPurpose::GivenUp(_))
                && now.saturating_duration_since(*since) >= ANSWER_TIME_MAX
        };
        let silent: Vec<_> = self
            .asked
            .iter()
            .filter(|(_, asked)| is_silent(asked))
            .map(|(call, _)| *call)
            .collect();
        self.is_doubtful |= !silent.is_empty();
        self.asked.retain(|call, _| !silent.contains(call));
        self.late.extend(silent);
    }

    pub(super) fn ask(&mut self, call: u64, what: CallPurpose, now: Instant) {
        self.asked.insert(call, (what, now));
    }

    /// What the call was for that is answered now.
    pub(super) fn answered(&mut self, call: u64) -> Option<CallPurpose> {
        if self.late.remove(&call) {
            return Some(CallPurpose::Dropped);
        }
        let (what, _) = self.asked.remove(&call)?;
        self.is_doubtful = false;
        Some(what)
    }

    /// An error that doesn't say which call it answers: what the call was for that it must answer.
    pub(super) fn unnamed(&mut self, now: Instant) -> Option<CallPurpose> {
        if let Some(sorting) = &mut self.sorting {
            sorting.errors += 1;
            return None;
        }
        if self.asked.is_empty() {
            self.is_doubtful = false;
            return None;
        }
        self.is_serial = true;
        if self.asked.len() == 1 && !self.is_doubtful {
            return self.asked.pop_first().map(|(_, (what, _))| what);
        }
        let until = now + SORTING;
        self.sorting = Some(StrayErrors { until, errors: 1 });
        None
    }

    /// The node tells what was requested, or heads, under this id.
    ///
    /// # Errors
    /// It is none. What was told under it before, still is.
    pub(super) fn take(
        &mut self,
        id: &Bytes,
        request: Option<TopicRequest>,
    ) -> Result<(), InvalidId> {
        if id.len() > ID_BYTES_MAX {
            return Err(InvalidId::TooLong);
        }
        let id = String::from_utf8_lossy(id).into_owned();
        match self.subscriptions.entry(id) {
            Entry::Occupied(_) => Err(InvalidId::Taken),
            Entry::Vacant(place) => {
                place.insert(request);
                Ok(())
            }
        }
    }

    /// What is told under this id: `Some(None)` for the heads.
    pub(super) fn told(&self, id: &str) -> Option<Option<&TopicRequest>> {
        self.subscriptions.get(id).map(Option::as_ref)
    }

    pub(super) fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// It isn't wanted any more: it is given up, now or with the answer.
    pub(super) fn drop_request(&mut self, request: &TopicRequest) {
        let is_it =
            |what: &CallPurpose| matches!(what, CallPurpose::Topic(asked) if asked == request);
        self.queue.retain(|what| !is_it(what));
        let mut asked = self.asked.iter_mut();
        if let Some((call, (what, _))) = asked.find(|(_, (what, _))| is_it(what)) {
            *what = CallPurpose::Dropped;
            if self.is_serial {
                let call = *call;
                self.asked.remove(&call);
                self.late.insert(call);
                self.is_doubtful = true;
            }
        }
        let is_told = |_: &String, held: &mut Option<TopicRequest>| held.as_ref() == Some(request);
        let given_up = self.subscriptions.extract_if(is_told).next();
        self.queue
            .extend(given_up.map(|(id, _)| CallPurpose::GivenUp(id)));
    }

    /// All that is told, asked for or to be asked for.
    pub(super) fn into_requests(self) -> impl Iterator<Item = TopicRequest> {
        let asked = self.asked.into_values().map(|(what, _)| what);
        let asked = asked.chain(self.queue).filter_map(|what| match what {
            CallPurpose::Topic(request) => Some(request),
            CallPurpose::Heads | CallPurpose::Dropped | CallPurpose::GivenUp(_) => None,
        });
        self.subscriptions.into_values().flatten().chain(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::CallPurpose::{Dropped, GivenUp, Heads, Topic};
    use super::*;

    use forebay_core::feed::subscription::RelayedTopic;

    const PENDING: TopicRequest = TopicRequest {
        number: 7,
        topic: RelayedTopic::PendingTransactions { full: false },
    };

    fn syncing(number: u64) -> TopicRequest {
        let topic = RelayedTopic::Syncing;
        TopicRequest { number, topic }
    }

    fn id(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    /// Asks for all that may be asked for now; the calls' numbers go on from `call`.
    fn send(subscriptions: &mut Subscriptions, call: &mut u64, now: Instant) -> Vec<CallPurpose> {
        let mut sent = Vec::new();
        while let Some(what) = subscriptions.next(now) {
            *call += 1;
            subscriptions.ask(*call, what.clone(), now);
            sent.push(what);
        }
        sent
    }

    #[test]
    fn a_topic_dropped_while_it_is_asked_for_is_given_up_with_the_answer() {
        let (mut subscriptions, mut call, now) = (Subscriptions::default(), 0, crate::clock::now());
        let wanted = [Heads, Topic(syncing(1)), Topic(PENDING)];
        for what in &wanted {
            subscriptions.want(what.clone());
        }
        assert_eq!(send(&mut subscriptions, &mut call, now), wanted);
        subscriptions.drop_request(&syncing(1));
        subscriptions.want(Topic(syncing(2)));
        send(&mut subscriptions, &mut call, now);
        assert_eq!(subscriptions.answered(2), Some(Dropped));
        assert_eq!(subscriptions.answered(4), Some(Topic(syncing(2))));
        assert_eq!(subscriptions.answered(4), None);
        subscriptions
            .take(&id("\"0x1\""), Some(syncing(2)))
            .unwrap();
        subscriptions.drop_request(&syncing(1));
        assert_eq!(subscriptions.next(now), None, "an earlier request");
        subscriptions.drop_request(&syncing(2));
        assert_eq!(subscriptions.next(now), Some(GivenUp("\"0x1\"".into())));
        subscriptions.want(Topic(syncing(3)));
        subscriptions.drop_request(&syncing(3));
        assert_eq!(subscriptions.next(now), None, "it wasn't asked for yet");
        assert_eq!(subscriptions.into_requests().collect::<Vec<_>>(), [PENDING]);
    }

    #[test]
    fn an_error_without_a_name_is_the_only_calls_that_waits_for_an_answer() {
        let (mut subscriptions, mut call, now) = (Subscriptions::default(), 0, crate::clock::now());
        assert_eq!(subscriptions.unnamed(now), None, "none is left");
        subscriptions.want(Topic(PENDING));
        send(&mut subscriptions, &mut call, now);
        assert_eq!(subscriptions.unnamed(now), Some(Topic(PENDING)));
        for what in [GivenUp("1".into()), Topic(syncing(1))] {
            subscriptions.want(what.clone());
            assert_eq!(send(&mut subscriptions, &mut call, now), [what]);
            subscriptions.want(Heads);
            assert_eq!(
                send(&mut subscriptions, &mut call, now),
                [],
                "one at a time"
            );
            assert_ne!(subscriptions.unnamed(now), None);
            assert_eq!(send(&mut subscriptions, &mut call, now), [Heads]);
            assert_eq!(subscriptions.answered(call), Some(Heads));
        }
    }

    #[test]
    fn where_several_wait_those_without_an_answer_are_asked_again_one_by_one() {
        let (mut subscriptions, mut call, now) = (Subscriptions::default(), 0, crate::clock::now());
        let topics = [Topic(syncing(1)), Topic(PENDING)];
        for what in [&Heads, &topics[0], &topics[1]] {
            subscriptions.want(what.clone());
        }
        send(&mut subscriptions, &mut call, now);
        assert_eq!(subscriptions.unnamed(now), None);
        assert_eq!(subscriptions.next(now), None, "answers may be on their way");
        assert_eq!(subscriptions.answered(1), Some(Heads));
        assert_eq!(
            (subscriptions.next(now), subscriptions.due()),
            (None, Some(now + SORTING))
        );
        let later = now + SORTING;
        assert_eq!(
            send(&mut subscriptions, &mut call, later),
            [topics[0].clone()]
        );
        assert_eq!(
            subscriptions.answered(2),
            Some(Dropped),
            "it was asked again"
        );
        assert_eq!(subscriptions.unnamed(later), Some(topics[0].clone()));
        assert_eq!(
            send(&mut subscriptions, &mut call, later),
            [topics[1].clone()]
        );
        assert_eq!(subscriptions.answered(call), Some(topics[1].clone()));
    }

    #[test]
    fn where_all_but_the_errors_owners_are_answered_they_are_asked_again_at_once() {
        let (mut subscriptions, mut call, now) = (Subscriptions::default(), 0, crate::clock::now());
        subscriptions.want(Heads);
        subscriptions.want(Topic(PENDING));
        send(&mut subscriptions, &mut call, now);
        assert_eq!(subscriptions.unnamed(now), None);
        assert_eq!(subscriptions.answered(1), Some(Heads));
        assert_eq!(send(&mut subscriptions, &mut call, now), [Topic(PENDING)]);
        assert_eq!(subscriptions.unnamed(now), Some(Topic(PENDING)));
    }

    #[test]
    fn an_error_that_may_be_a_late_calls_is_laid_to_no_other() {
        let (mut subscriptions, mut call, now) = (Subscriptions::new(true), 0, crate::clock::now());
        subscriptions.want(Topic(syncing(1)));
        send(&mut subscriptions, &mut call, now);
        subscriptions.drop_request(&syncing(1));
        subscriptions.want(Topic(PENDING));
        assert_eq!(send(&mut subscriptions, &mut call, now), [Topic(PENDING)]);
        assert_eq!(subscriptions.unnamed(now), None, "of the first");
        assert_eq!(subscriptions.next(now), None);
        let later = now + SORTING;
        assert_eq!(send(&mut subscriptions, &mut call, later), [Topic(PENDING)]);
        assert_eq!(subscriptions.unnamed(later), Some(Topic(PENDING)));
    }

    #[test]
    fn a_call_that_was_given_up_holds_up_others_only_for_a_while() {
        let (mut subscriptions, mut call, now) = (Subscriptions::new(true), 0, crate::clock::now());
        subscriptions.want(GivenUp("1".into()));
        subscriptions.want(Heads);
        assert_eq!(send(&mut subscriptions, &mut call, now).len(), 1);
        let late = now + ANSWER_TIME_MAX;
        assert_eq!(send(&mut subscriptions, &mut call, late), [Heads]);
    }

    #[test]
    fn an_id_that_is_taken_or_endless_is_none() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.take(&id("\"0x1\""), None).unwrap();
        let taken = subscriptions.take(&id("\"0x1\""), Some(PENDING));
        assert_eq!(taken, Err(InvalidId::Taken));
        assert_eq!(
            subscriptions.told("\"0x1\""),
            Some(None),
            "it stays the heads'"
        );
        let longest = Bytes::from("7".repeat(ID_BYTES_MAX));
        subscriptions.take(&longest, Some(PENDING)).unwrap();
        let endless = Bytes::from("7".repeat(ID_BYTES_MAX + 1));
        let too_long = subscriptions.take(&endless, Some(syncing(1)));
        assert_eq!(
            (too_long, subscriptions.len()),
            (Err(InvalidId::TooLong), 2)
        );
    }

    #[test]
    fn a_node_is_asked_for_no_more_than_there_may_be() {
        let mut subscriptions = Subscriptions::default();
        let now = crate::clock::now();
        subscriptions.take(&id("\"0x0\""), None).unwrap();
        for call in 0..SUBSCRIPTIONS_MAX as u64 {
            assert!(!subscriptions.is_full());
            subscriptions.ask(call, Dropped, now);
        }
        assert!(subscriptions.is_full(), "an unanswered call counts");
    }
}

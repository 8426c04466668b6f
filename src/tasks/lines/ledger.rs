//! What a line has asked its node for, and what the node tells.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;

use super::Wish;
use crate::state::hub::TOPICS_MAX;

/// The most topics that one node tells, or is asked for: all there may be.
pub const SUBSCRIPTIONS_MAX: usize = TOPICS_MAX;

/// The longest id that a node may give a subscription, in bytes of JSON: real ones have 66 at the
/// most.
pub const ID_BYTES_MAX: usize = 256;

/// Why an id is none that news can be told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadId {
    /// The node tells something else under it.
    Taken,
    TooLong,
}

/// What a call over the line was for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    Heads,
    Topic(Wish),
    /// Nobody wants it any more: it is given up as soon as the node has taken it.
    Dropped,
}

/// Calls that wait for an answer, and subscriptions by the node's own id.
#[derive(Debug, Default)]
pub struct Ledger {
    asked: HashMap<u64, Asked>,
    /// `None` for the heads.
    subscriptions: HashMap<String, Option<Wish>>,
}

impl Ledger {
    /// Whether nothing more may be asked for.
    pub fn is_full(&self) -> bool {
        self.asked.len() + self.subscriptions.len() > SUBSCRIPTIONS_MAX
    }

    pub fn ask(&mut self, call: u64, what: Asked) {
        self.asked.insert(call, what);
    }

    /// What the call was for that is answered now.
    pub fn answered(&mut self, call: u64) -> Option<Asked> {
        self.asked.remove(&call)
    }

    /// The node tells what was wished, or heads, under this id.
    ///
    /// # Errors
    /// It is none. What was told under it before, still is.
    pub fn take(&mut self, id: &Bytes, wish: Option<Wish>) -> Result<(), BadId> {
        if id.len() > ID_BYTES_MAX {
            return Err(BadId::TooLong);
        }
        let id = String::from_utf8_lossy(id).into_owned();
        match self.subscriptions.entry(id) {
            Entry::Occupied(_) => Err(BadId::Taken),
            Entry::Vacant(place) => {
                place.insert(wish);
                Ok(())
            }
        }
    }

    /// What is told under this id: `Some(None)` for the heads.
    pub fn told(&self, id: &str) -> Option<Option<&Wish>> {
        self.subscriptions.get(id).map(Option::as_ref)
    }

    pub fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Nobody wants it any more. Returns the id to give up now; what is only asked for follows with
    /// the answer.
    pub fn drop_wish(&mut self, wish: &Wish) -> Option<String> {
        for asked in self.asked.values_mut() {
            if matches!(asked, Asked::Topic(asked) if asked == wish) {
                *asked = Asked::Dropped;
            }
        }
        let is_it = |_: &String, held: &mut Option<Wish>| held.as_ref() == Some(wish);
        let mut given_up = self.subscriptions.extract_if(is_it);
        given_up.next().map(|(id, _)| id)
    }

    /// All that is told or asked for.
    pub fn into_wishes(self) -> impl Iterator<Item = Wish> {
        let asked = self.asked.into_values().filter_map(|asked| match asked {
            Asked::Topic(wish) => Some(wish),
            Asked::Heads | Asked::Dropped => None,
        });
        self.subscriptions.into_values().flatten().chain(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::domain::subscription::Passed;

    const PENDING: Wish = Wish {
        number: 7,
        topic: Passed::PendingTransactions { full: false },
    };

    fn syncing(number: u64) -> Wish {
        let topic = Passed::Syncing;
        Wish { number, topic }
    }

    fn id(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn a_topic_dropped_while_it_is_asked_for_is_given_up_with_the_answer() {
        let mut ledger = Ledger::default();
        ledger.ask(1, Asked::Heads);
        ledger.ask(2, Asked::Topic(syncing(1)));
        ledger.ask(3, Asked::Topic(PENDING));
        assert_eq!(ledger.drop_wish(&syncing(1)), None);
        ledger.ask(4, Asked::Topic(syncing(2)));
        assert_eq!(ledger.answered(2), Some(Asked::Dropped));
        assert_eq!(ledger.answered(4), Some(Asked::Topic(syncing(2))));
        assert_eq!(ledger.answered(4), None);
        ledger.take(&id("\"0x1\""), Some(syncing(2))).unwrap();
        assert_eq!(ledger.drop_wish(&syncing(1)), None, "an earlier wish");
        assert_eq!(ledger.drop_wish(&syncing(2)), Some("\"0x1\"".into()));
        assert_eq!(ledger.into_wishes().collect::<Vec<_>>(), [PENDING]);
    }

    #[test]
    fn an_id_that_is_taken_or_endless_is_none() {
        let mut ledger = Ledger::default();
        ledger.take(&id("\"0x1\""), None).unwrap();
        let taken = ledger.take(&id("\"0x1\""), Some(PENDING));
        assert_eq!(taken, Err(BadId::Taken));
        assert_eq!(ledger.told("\"0x1\""), Some(None), "it stays the heads'");
        let longest = Bytes::from("7".repeat(ID_BYTES_MAX));
        ledger.take(&longest, Some(PENDING)).unwrap();
        let endless = Bytes::from("7".repeat(ID_BYTES_MAX + 1));
        let too_long = ledger.take(&endless, Some(syncing(1)));
        assert_eq!((too_long, ledger.len()), (Err(BadId::TooLong), 2));
    }

    #[test]
    fn a_node_is_asked_for_no_more_than_there_may_be() {
        let mut ledger = Ledger::default();
        ledger.take(&id("\"0x0\""), None).unwrap();
        for call in 0..SUBSCRIPTIONS_MAX as u64 {
            assert!(!ledger.is_full());
            ledger.ask(call, Asked::Dropped);
        }
        assert!(ledger.is_full(), "an unanswered call counts");
    }
}

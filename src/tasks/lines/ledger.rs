//! What a line has asked its node for, and what the node tells.

use std::collections::HashMap;

use bytes::Bytes;

use crate::domain::subscription::Passed;
use crate::state::hub::TOPICS_MAX;

/// The most topics that one node tells, or is asked for: all there may be.
pub const SUBSCRIPTIONS_MAX: usize = TOPICS_MAX;

/// What a call over the line was for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    Heads,
    Topic(Passed),
    /// Nobody wants it any more: it is given up as soon as the node has taken it.
    Dropped,
}

/// Calls that wait for an answer, and subscriptions by the node's own id.
#[derive(Debug, Default)]
pub struct Ledger {
    asked: HashMap<u64, Asked>,
    /// `None` for the heads.
    subscriptions: HashMap<String, Option<Passed>>,
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

    /// The node tells `topic`, or heads, under this id.
    pub fn take(&mut self, id: &Bytes, topic: Option<Passed>) {
        let id = String::from_utf8_lossy(id).into_owned();
        self.subscriptions.insert(id, topic);
    }

    /// What is told under this id: `Some(None)` for the heads.
    pub fn told(&self, id: &str) -> Option<Option<&Passed>> {
        self.subscriptions.get(id).map(Option::as_ref)
    }

    pub fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Nobody wants `topic` any more. Returns the ids to give up now; what is only asked for follows
    /// with the answer.
    pub fn drop_topic(&mut self, topic: &Passed) -> Vec<String> {
        for asked in self.asked.values_mut() {
            if matches!(asked, Asked::Topic(asked) if asked == topic) {
                *asked = Asked::Dropped;
            }
        }
        let is_it = |_: &String, held: &mut Option<Passed>| held.as_ref() == Some(topic);
        let given_up = self.subscriptions.extract_if(is_it);
        given_up.map(|(id, _)| id).collect()
    }

    /// All topics that are told or asked for.
    pub fn into_topics(self) -> impl Iterator<Item = Passed> {
        let asked = self.asked.into_values().filter_map(|asked| match asked {
            Asked::Topic(topic) => Some(topic),
            Asked::Heads | Asked::Dropped => None,
        });
        self.subscriptions.into_values().flatten().chain(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PENDING: Passed = Passed::PendingTransactions { full: false };

    #[test]
    fn a_topic_dropped_while_it_is_asked_for_is_given_up_with_the_answer() {
        let mut ledger = Ledger::default();
        ledger.ask(1, Asked::Heads);
        ledger.ask(2, Asked::Topic(Passed::Syncing));
        ledger.ask(3, Asked::Topic(PENDING));
        assert!(ledger.drop_topic(&Passed::Syncing).is_empty());
        ledger.ask(4, Asked::Topic(Passed::Syncing));
        assert_eq!(ledger.answered(2), Some(Asked::Dropped));
        assert_eq!(ledger.answered(4), Some(Asked::Topic(Passed::Syncing)));
        assert_eq!(ledger.answered(4), None);
        ledger.take(&Bytes::from_static(b"\"0x1\""), Some(Passed::Syncing));
        assert_eq!(ledger.drop_topic(&Passed::Syncing), ["\"0x1\""]);
        assert_eq!(ledger.into_topics().collect::<Vec<_>>(), [PENDING]);
    }

    #[test]
    fn a_node_is_asked_for_no_more_than_there_may_be() {
        let mut ledger = Ledger::default();
        ledger.take(&Bytes::from_static(b"\"0x0\""), None);
        for call in 0..SUBSCRIPTIONS_MAX as u64 {
            assert!(!ledger.is_full());
            ledger.ask(call, Asked::Dropped);
        }
        assert!(ledger.is_full(), "an unanswered call counts");
    }
}

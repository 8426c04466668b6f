//! What of a topic was told already.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;

use crate::feed::subscription::RelayedTopic;
use crate::json::scanner;
use crate::vocabulary::hex;

/// Pending transactions that are remembered as told.
pub(super) const REMEMBERED_MAX: usize = 8192;

/// What of a topic was told already.
#[derive(Debug, Default)]
pub(super) struct RelayMemory {
    told: HashSet<Bytes>,
    order: VecDeque<Bytes>,
    /// Of a topic that has no hashes: what was told last, in short. It may be long.
    last: Option<u64>,
}

impl RelayMemory {
    /// Whether it is news. A pending transaction is told once, by whichever node, and never without
    /// its hash; of other topics only what a node that takes over says first may be what was said
    /// last.
    pub(super) fn is_news(&mut self, topic: &RelayedTopic, result: &Bytes, is_first: bool) -> bool {
        let key = match topic {
            RelayedTopic::PendingTransactions { full: false } => result.clone(),
            RelayedTopic::PendingTransactions { full: true } => {
                let mut members = scanner::members(result, 0);
                let hash = members.find(|(key, _)| &result[key.clone()] == b"\"hash\"");
                hash.map_or_else(|| result.clone(), |(_, value)| result.slice(value))
            }
            RelayedTopic::Syncing | RelayedTopic::Other { .. } => {
                let mut hasher = DefaultHasher::new();
                result.hash(&mut hasher);
                let before = self.last.replace(hasher.finish());
                return !is_first || self.last != before;
            }
        };
        is_hash(&key) && self.remember(key)
    }

    fn remember(&mut self, key: Bytes) -> bool {
        // A copy: a slice would keep a whole transaction.
        let key = Bytes::copy_from_slice(&key);
        if !self.told.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.told.remove(&oldest);
        }
        true
    }
}

fn is_hash(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text).ok();
    let hash = text.and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
    hash.and_then(hex::data::<32>).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_transaction_is_told_once_within_what_is_remembered() {
        let hash = |number: usize| Bytes::from(format!("\"0x{number:064x}\""));
        let topic = RelayedTopic::PendingTransactions { full: false };
        let mut memory = RelayMemory::default();
        assert!(memory.is_news(&topic, &hash(0), true) && !memory.is_news(&topic, &hash(0), true));
        for number in 1..=REMEMBERED_MAX {
            assert!(memory.is_news(&topic, &hash(number), false));
        }
        assert!(!memory.is_news(&topic, &hash(1), false));
        assert!(memory.is_news(&topic, &hash(0), false), "forgotten");
        assert_eq!(
            (memory.told.len(), memory.order.len()),
            (REMEMBERED_MAX, REMEMBERED_MAX)
        );
        let full = RelayedTopic::PendingTransactions { full: true };
        let mut memory = RelayMemory::default();
        let hash = hash(1);
        let hash = std::str::from_utf8(&hash).unwrap();
        let one = Bytes::from(format!("{{\"hash\":{hash},\"gas\":1}}"));
        let other = Bytes::from(format!("{{\"gas\":1,\"hash\":{hash}}}"));
        assert!(memory.is_news(&full, &one, true) && !memory.is_news(&full, &other, true));
        let none = Bytes::from_static(b"{\"hash\":\"0x1\"}");
        assert!(!memory.is_news(&full, &none, false), "no hash");
    }

    #[test]
    fn a_node_that_takes_over_doesnt_repeat_and_one_node_may() {
        let mut memory = RelayMemory::default();
        let (yes, no) = (Bytes::from_static(b"true"), Bytes::from_static(b"false"));
        for (news, is_first, is_news) in [
            (&yes, true, true),
            (&yes, false, true),
            (&yes, true, false),
            (&no, true, true),
        ] {
            assert_eq!(
                memory.is_news(&RelayedTopic::Syncing, news, is_first),
                is_news
            );
        }
    }
}

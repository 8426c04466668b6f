//! What a pretend node's connections share with its owner: how it behaves, and what it heard.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::behaviour::Behaviour;
use crate::chain::FakeChain;

/// Requests remembered for [`FakeNode::log`](crate::FakeNode::log); older ones are forgotten.
pub const LOG_REQUESTS_MAX: usize = 1000;
/// Bytes of a body that the log keeps.
pub const LOG_BODY_BYTES_MAX: usize = 64 * 1024;
/// Different method names counted; calls of further ones are counted as `other`.
pub const METHODS_COUNTED_MAX: usize = 1000;

/// One request as it was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The request target: `/v3/key?x=1`.
    pub path: String,
    /// In the order of the wire, names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most [`LOG_BODY_BYTES_MAX`] bytes of it; bytes that aren't UTF-8 are replaced.
    pub body: String,
}

/// What the node's connections share with its owner.
#[derive(Debug)]
pub(crate) struct FakeNodeState {
    pub chain: Arc<FakeChain>,
    pub behaviour: Mutex<Behaviour>,
    pub diary: Mutex<RequestLog>,
}

#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    pub calls: BTreeMap<String, u64>,
    pub requests: VecDeque<RecordedRequest>,
    pub connections: u64,
}

impl RequestLog {
    pub(crate) fn note(&mut self, heard: RecordedRequest, methods: &[String]) {
        if self.requests.len() == LOG_REQUESTS_MAX {
            self.requests.pop_front();
        }
        self.requests.push_back(heard);
        for method in methods {
            self.count(method);
        }
    }

    fn count(&mut self, method: &str) {
        let room = self.calls.len() < METHODS_COUNTED_MAX;
        let name = if room || self.calls.contains_key(method) {
            method
        } else {
            "other"
        };
        *self.calls.entry(name.to_owned()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_beyond_the_limit_are_counted_as_other() {
        let mut diary = RequestLog::default();
        for number in 0..=METHODS_COUNTED_MAX {
            diary.count(&format!("method_{number}"));
        }
        assert_eq!(diary.calls.get("other"), Some(&1));
        assert_eq!(diary.calls.len(), METHODS_COUNTED_MAX + 1);
        diary.count("method_0");
        assert_eq!(diary.calls.get("method_0"), Some(&2));
    }
}

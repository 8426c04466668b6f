//! The next nonce of an account: the highest that several nodes count.
//!
//! A transaction reaches one pool before another. A client that asks a node that hasn't heard of it
//! yet would send the next one with the same nonce.

use std::time::{Duration, Instant};

use crate::json::scanner;
use crate::rpc::transaction::Address;
use crate::vocabulary::node::NodeId;

/// Nodes asked for one count, at most.
pub const NODES_MAX: usize = 5;
/// Once a node has answered, the others have this long.
const OTHERS_TIME: Duration = Duration::from_secs(1);

/// Whether the call asks for a count that pending transactions are part of; `reads_pending`: its
/// block is the pending one.
pub fn is_pending(method: &str, reads_pending: bool) -> bool {
    reads_pending && method == "eth_getTransactionCount"
}

/// The method that fills in what a transaction lacks, its nonce among it.
pub const FILL: &str = "eth_fillTransaction";

/// A nonce that a transaction lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingNonce {
    /// The account that it is to be of: its `from`.
    pub sender: Address,
    /// Where it may be written in the params.
    pub at: usize,
}

/// The nonce that the transaction lacks with which `params` begin.
pub fn missing(params: &str) -> Option<MissingNonce> {
    let text = params.as_bytes();
    let object = scanner::elements(text, 0).next()?;
    if text.get(object.start) != Some(&b'{') {
        return None;
    }
    let mut sender = None;
    for (key, value) in scanner::members(text, object.start) {
        match text.get(key)? {
            b"\"nonce\"" => return None,
            b"\"from\"" => sender = Address::read(params.get(value)?.trim_matches('"')),
            _ => {}
        }
    }
    Some(MissingNonce {
        sender: sender?,
        at: object.start + 1,
    })
}

/// Whether blocks have a transaction with a nonce, as nodes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NonceUse {
    /// None says.
    Unsaid,
    /// They have none.
    Free,
    /// They have one, as these nodes say.
    Taken(Vec<NodeId>),
}

impl NonceUse {
    /// By how many transactions of its sender blocks have, as nodes `counted` them.
    pub fn of(nonce: u64, counted: &[(NodeId, u64)]) -> NonceUse {
        let ahead = counted.iter().filter(|(_, count)| *count > nonce);
        let ahead: Vec<NodeId> = ahead.map(|(node, _)| *node).collect();
        if counted.is_empty() {
            NonceUse::Unsaid
        } else if ahead.is_empty() {
            NonceUse::Free
        } else {
            NonceUse::Taken(ahead)
        }
    }
}

/// The counts heard so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct NonceCounts {
    highest: Option<u64>,
    first_at: Option<Instant>,
}

impl NonceCounts {
    /// Hears a count; says whether it is the highest so far.
    pub fn hear(&mut self, count: u64, now: Instant) -> bool {
        self.first_at.get_or_insert(now);
        let is_higher = self.highest.is_none_or(|highest| count > highest);
        if is_higher {
            self.highest = Some(count);
        }
        is_higher
    }

    /// Until when the others are waited for. `waits_for_holder`: a node that took a transaction
    /// of this client's is among them; it has all the time there is.
    pub fn until(&self, deadline: Instant, waits_for_holder: bool) -> Instant {
        match self.first_at {
            Some(at) if !waits_for_holder => deadline.min(at + OTHERS_TIME),
            Some(_) | None => deadline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_taken_once_a_node_counts_past_it() {
        let [one, other] = [1, 2].map(NodeId);
        for (counted, wanted) in [
            (&[][..], NonceUse::Unsaid),
            (&[(one, 7), (other, 6)], NonceUse::Free),
            (&[(one, 7), (other, 8)], NonceUse::Taken(vec![other])),
            (&[(one, 9), (other, 8)], NonceUse::Taken(vec![one, other])),
        ] {
            assert_eq!(NonceUse::of(7, counted), wanted, "{counted:?}");
        }
    }
    use crate::vocabulary::hex;

    #[test]
    fn only_a_pending_count_is_asked_of_several() {
        assert!(is_pending("eth_getTransactionCount", true));
        assert!(!is_pending("eth_getTransactionCount", false));
        assert!(!is_pending("eth_getBalance", true));
    }

    #[test]
    fn a_nonce_is_written_where_it_is_missing_and_whose_it_is_is_known() {
        let sender = format!("0x{}", "a1".repeat(20));
        let params = format!(r#"[ {{"to":null,"from":"{sender}"}}]"#);
        let wanted = MissingNonce {
            sender: Address([0xa1; 20]),
            at: 3,
        };
        assert_eq!(missing(&params), Some(wanted));
        for bad in [
            format!(r#"[{{"from":"{sender}","nonce":"0x1"}}]"#),
            format!(r#"[{{"nonce":null,"from":"{sender}"}}]"#),
            format!(r#"[["{sender}"]]"#),
            r#"[{"from":"0xa1"}]"#.into(),
            "[{}]".into(),
            "[]".into(),
        ] {
            assert_eq!(missing(&bad), None, "{bad}");
        }
    }

    #[test]
    fn the_highest_counts_and_nonsense_does_not() {
        let now = crate::testing::now();
        let mut counts = NonceCounts::default();
        let nonsense =
            ["null", "\"7\"", "7", "\"0x\""].map(|result| hex::read_quantity(result.as_bytes()));
        assert_eq!(nonsense, [None; 4]);
        let heard = ["\"0x7\"", "\"0xa\"", "\"0x9\""]
            .map(|result| counts.hear(hex::read_quantity(result.as_bytes()).unwrap(), now));
        assert_eq!(heard, [true, true, false]);
        assert_eq!(counts.highest, Some(10));
    }

    #[test]
    fn a_slow_node_is_waited_for_a_little_and_one_that_took_the_transaction_to_the_end() {
        let now = crate::testing::now();
        let deadline = now + Duration::from_secs(5);
        let mut counts = NonceCounts::default();
        assert_eq!(counts.until(deadline, false), deadline);
        counts.hear(1, now);
        assert_eq!(counts.until(deadline, false), now + OTHERS_TIME);
        assert_eq!(counts.until(deadline, true), deadline);
        assert_eq!(counts.until(now, false), now);
    }
}

//! Refusals that may be a caller's own fault: where another node refused the same caller in the
//! same words, no second node is asked for a while.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::rpc::answer::RpcError;
use crate::vocabulary::client::Client;
use crate::vocabulary::node::NodeId;

/// How long it is remembered.
pub const MEMORY: Duration = Duration::from_secs(60);
/// Refusals remembered; the oldest gives way.
pub const DISPUTES_MAX: usize = 10_000;
/// So much of a message is looked at.
const TEXT_BYTES_MAX: usize = 256;

/// One caller's refusal, in words that are the same whatever it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dispute(u64);

/// What a refusal is doubted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DisputeSubject {
    /// The node may not know what others know.
    Node,
    /// We wrote something into the call.
    Edits,
}

/// What was settled of late.
#[derive(Debug, Default)]
pub struct Disputes {
    names: RandomState,
    settled: HashMap<Dispute, Instant>,
    /// By age; what was settled again stands here twice.
    ages: VecDeque<(Instant, Dispute)>,
}

impl Disputes {
    /// What `client` was refused of `method`.
    pub fn name(
        &self,
        (client, matter): (Client, DisputeSubject),
        method: &str,
        error: &RpcError<'_>,
    ) -> Dispute {
        let bytes = error.message.bytes().take(TEXT_BYTES_MAX);
        // Numbers and hashes may be of this call alone.
        let words: Vec<u8> = bytes.filter(|byte| !byte.is_ascii_hexdigit()).collect();
        let asked = (client, matter, method);
        Dispute(self.names.hash_one((asked, error.code, words)))
    }

    /// Two nodes refused it alike, or one the call as its caller wrote it.
    pub fn settle(&mut self, dispute: Dispute, now: Instant) {
        while let Some((at, oldest)) = self.ages.front().copied() {
            let is_over = now.saturating_duration_since(at) >= MEMORY;
            if !is_over && self.ages.len() < DISPUTES_MAX {
                break;
            }
            self.ages.pop_front();
            if self.settled.get(&oldest) == Some(&at) {
                self.settled.remove(&oldest);
            }
        }
        self.settled.insert(dispute, now);
        self.ages.push_back((now, dispute));
    }

    /// Whether it was settled of late: another node would say the same.
    pub fn is_settled(&self, dispute: Dispute, now: Instant) -> bool {
        let at = self.settled.get(&dispute);
        at.is_some_and(|at| now.saturating_duration_since(*at) < MEMORY)
    }
}

/// Refusals of one call that may be its caller's own fault, and the nodes that gave them.
#[derive(Debug, Default)]
pub struct DoubtedRefusals(Vec<(NodeId, Dispute)>);

impl DoubtedRefusals {
    /// A node refused the call. Whether that is the caller's own fault: another node refused it alike, or two did so
    /// of late.
    pub fn hear(
        &mut self,
        (node, dispute): (NodeId, Dispute),
        disputes: &mut Disputes,
        now: Instant,
    ) -> bool {
        if self.0.iter().any(|(_, before)| *before == dispute) {
            disputes.settle(dispute, now);
        }
        self.0.push((node, dispute));
        disputes.is_settled(dispute, now)
    }

    /// Another node answered the call well: the nodes that refused it lack its method.
    pub fn take(&mut self) -> impl Iterator<Item = NodeId> {
        self.0.drain(..).map(|(node, _)| node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_nodes_refuse_alike_is_the_callers_fault_and_what_another_answers_the_nodes() {
        let now = crate::testing::now();
        let mut disputes = Disputes::default();
        let (one, other) = (Dispute(1), Dispute(2));
        let mut refusals = DoubtedRefusals::default();
        let mut hear = |node, dispute| refusals.hear((NodeId(node), dispute), &mut disputes, now);
        assert!(!hear(1, one));
        assert!(!hear(2, other), "in other words");
        assert!(hear(3, one));
        let nodes: Vec<_> = refusals.take().collect();
        assert_eq!(nodes, [1, 2, 3].map(NodeId));
        assert_eq!(refusals.take().count(), 0, "once");
        let mut next = DoubtedRefusals::default();
        assert!(next.hear((NodeId(4), one), &mut disputes, now), "of late");
    }
    use std::net::{IpAddr, Ipv4Addr};

    fn error(message: &str) -> RpcError<'_> {
        RpcError {
            code: -32602,
            message: message.into(),
            data: None,
        }
    }

    #[test]
    fn a_refusal_is_settled_for_its_caller_method_and_words_alone_and_for_a_minute() {
        let now = crate::testing::now();
        let mut disputes = Disputes::default();
        let caller = Client::Unknown;
        let name = |disputes: &Disputes, client, method, message| {
            disputes.name((client, DisputeSubject::Node), method, &error(message))
        };
        let one = name(&disputes, caller, "eth_call", "bad block 0x12");
        disputes.settle(one, now);
        let same = name(&disputes, caller, "eth_call", "bad block 0x77");
        assert!(disputes.is_settled(same, now), "other numbers");
        let other = Client::At(IpAddr::V4(Ipv4Addr::LOCALHOST));
        for dispute in [
            name(&disputes, other, "eth_call", "bad block 0x12"),
            name(&disputes, caller, "eth_getLogs", "bad block 0x12"),
            name(&disputes, caller, "eth_call", "no such thing"),
            disputes.name(
                (caller, DisputeSubject::Edits),
                "eth_call",
                &error("bad block 0x12"),
            ),
        ] {
            assert!(!disputes.is_settled(dispute, now));
        }
        assert!(disputes.is_settled(one, now + MEMORY - Duration::from_millis(1)));
        assert!(!disputes.is_settled(one, now + MEMORY));
    }

    #[test]
    fn so_many_are_remembered_and_not_one_more() {
        let now = crate::testing::now();
        let mut disputes = Disputes::default();
        (0..=DISPUTES_MAX as u64).for_each(|number| disputes.settle(Dispute(number), now));
        assert_eq!(
            (disputes.settled.len(), disputes.ages.len()),
            (DISPUTES_MAX, DISPUTES_MAX)
        );
        assert!(!disputes.is_settled(Dispute(0), now) && disputes.is_settled(Dispute(1), now));
    }
}

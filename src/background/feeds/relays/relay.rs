//! One topic: who tells it, and who may not be asked for it.

use std::time::Instant;

use crate::background::feeds::sockets::FeedSource;
use crate::observe::metrics::TakeoverReason;
use crate::shared::hub::SubscriptionFailure;
use forebay_core::feed::takeover::RelayMemory;
use forebay_core::vocabulary::node::NodeId;

/// One topic.
pub(super) struct TopicRelay {
    /// Who tells it, or is asked to, and by which wish.
    pub teller: Option<(FeedSource, u64)>,
    /// Who told it so far, must be left, and tells on until another has taken it; and why.
    pub former: Option<((FeedSource, u64), TakeoverReason)>,
    pub is_taken: bool,
    pub asked_at: Instant,
    /// Clients listen: what is lost must be taken over.
    pub has_begun: bool,
    /// Nothing was said by this node yet.
    pub is_first: bool,
    /// Who refused, and what the first of them said.
    pub refused: Vec<NodeId>,
    pub refusal: Option<SubscriptionFailure>,
    /// Since when nobody tells it.
    pub since: Instant,
    /// Until then who tells it is not left for being unfit, but for one who wasn't asked: the others
    /// didn't take it.
    pub stays_until: Instant,
    pub memory: RelayMemory,
}

impl TopicRelay {
    pub(crate) fn new(now: Instant) -> TopicRelay {
        TopicRelay {
            teller: None,
            former: None,
            is_taken: false,
            asked_at: now,
            has_begun: false,
            is_first: true,
            refused: Vec::new(),
            refusal: None,
            since: now,
            stays_until: now,
            memory: RelayMemory::default(),
        }
    }

    /// Who was asked doesn't take it: another is asked next.
    pub(crate) fn refuse(&mut self, why: SubscriptionFailure) {
        self.refused
            .extend(self.teller.take().map(|(teller, _)| teller.node));
        self.refusal.get_or_insert(why);
    }

    pub(crate) fn lose(&mut self, now: Instant) {
        self.teller = None;
        self.is_taken = false;
        self.since = now;
        self.stays_until = now;
        self.refused.clear();
        self.refusal = None;
    }
}

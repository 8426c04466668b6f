//! One topic: who tells it, and who may not be asked for it.

use std::time::Instant;

use super::super::lines::Teller;
use crate::domain::node::NodeId;
use crate::domain::relay::Memory;
use crate::state::hub::NotSubscribed;
use crate::telemetry::metrics::Takeover;

/// One topic.
pub(super) struct Relay {
    /// Who tells it, or is asked to, and by which wish.
    pub teller: Option<(Teller, u64)>,
    /// Who told it so far, must be left, and tells on until another has taken it; and why.
    pub former: Option<((Teller, u64), Takeover)>,
    pub is_taken: bool,
    pub asked_at: Instant,
    /// Clients listen: what is lost must be taken over.
    pub has_begun: bool,
    /// Nothing was said by this node yet.
    pub is_first: bool,
    /// Who refused, and what the first of them said.
    pub refused: Vec<NodeId>,
    pub refusal: Option<NotSubscribed>,
    /// Since when nobody tells it.
    pub since: Instant,
    /// Until then who tells it is not left for being unfit, but for one who wasn't asked: the others
    /// didn't take it.
    pub stays_until: Instant,
    pub memory: Memory,
}

impl Relay {
    pub fn new(now: Instant) -> Relay {
        Relay {
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
            memory: Memory::default(),
        }
    }

    /// Who was asked doesn't take it: another is asked next.
    pub fn refuse(&mut self, why: NotSubscribed) {
        self.refused
            .extend(self.teller.take().map(|(teller, _)| teller.node));
        self.refusal.get_or_insert(why);
    }

    pub fn lose(&mut self, now: Instant) {
        self.teller = None;
        self.is_taken = false;
        self.since = now;
        self.stays_until = now;
        self.refused.clear();
        self.refusal = None;
    }
}

//! When an answer that another balancer kept is kept here, too, and given.
//!
//! It is held against the told chain as if its node had given it now. That the node had the block when it
//! answered, the other balancer has seen.

use std::time::Instant;

use crate::call::cache::giving::KeptTerms;
use crate::call::cache::keeping::{self, AnswerMoment, KeptReply};
use crate::call::cache::kept_block::KeptBlock;
use crate::call::cache::subject::CachePlan;
use crate::fleet::node_view::NodeView;
use crate::fleet::view::FleetView;

/// On which terms, for a call with these `params`. `None`: it isn't.
pub fn terms(
    plan: &CachePlan,
    params: &str,
    reply: &KeptReply<'_>,
    (node, view, now): (&NodeView, &FleetView, Instant),
) -> Option<KeptTerms> {
    let moment = AnswerMoment {
        asked: node,
        view,
        now,
    };
    let terms = keeping::terms(plan, params, reply, moment).ok()?;
    let is_told = match plan.block {
        KeptBlock::Hashed(_) => true,
        // That one of its number is final says nothing of its hash.
        KeptBlock::Told(..) | KeptBlock::Named => view.told.hash_at(terms.number).is_some(),
        KeptBlock::Final(_) => false,
    };
    is_told.then_some(terms)
}

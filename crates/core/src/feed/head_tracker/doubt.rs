//! When nothing can be told: whether that is to be borne, or the chain to be told anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::is_near;
use crate::feed::head_tracker::{
    ChainUpdate, EarliestDeadline, HeadLinkage, HeadStep, HeadTracker,
};
use crate::vocabulary::header::Header;

/// So long after the doubt has stood, a node that comes to a head meanwhile is asked, too.
const NEWCOMERS_WITHIN: Duration = Duration::from_secs(3);

impl HeadTracker {
    /// No head may be taken, or linked. If that stands, the chain that most nodes are on is told from its
    /// head on, with a gap before it. `until`: when something else is to be looked at.
    pub(super) fn doubt(
        &mut self,
        candidates: &[Arc<Header>],
        mut until: EarliestDeadline,
        now: Instant,
    ) -> HeadStep {
        let apart = self.apart(candidates, now);
        if apart.is_none() && self.is_any_node_on_it() {
            self.doubted_since = None;
            return HeadStep::Wait(until.0);
        }
        let since = *self.doubted_since.get_or_insert(now);
        let stands_at = since + self.stands();
        if now < stands_at {
            until.also(stands_at);
            return HeadStep::Wait(until.0);
        }
        let Some(head) = apart else {
            return HeadStep::Wait(until.0);
        };
        self.last_question(candidates, stands_at, now)
            .unwrap_or_else(|| self.tear(head))
    }

    /// Before the chain is torn, what is missing for any of its heads is asked for once more: where
    /// no node brings it for the best one, one may for another; and a node that had nothing before may have it now.
    fn last_question(
        &mut self,
        candidates: &[Arc<Header>],
        doubted: Instant,
        now: Instant,
    ) -> Option<HeadStep> {
        let told = self.told.back()?.clone();
        let is_early = now.saturating_duration_since(doubted) < NEWCOMERS_WITHIN;
        for head in candidates.iter().filter(|head| is_near(head, &told)) {
            let since = self.said_last(head).max(Some(doubted)).filter(|_| is_early);
            let since = since.unwrap_or(doubted);
            match self.way(head) {
                HeadLinkage::Missing(block) if !self.questions.was_asked(block.hash, since) => {
                    let turn = self.questions.turn(now);
                    let wait = turn.map(|turn| HeadStep::Wait(Some(turn)));
                    return Some(wait.unwrap_or_else(|| self.fetch(&block, head.hash, now)));
                }
                HeadLinkage::Missing(_) | HeadLinkage::Linked(..) | HeadLinkage::Apart => {}
            }
        }
        None
    }

    /// When a node came to this head last.
    fn said_last(&self, head: &Header) -> Option<Instant> {
        let said = (self.said.values()).filter(|(said, _)| said.header.hash == head.hash);
        said.map(|(_, at)| *at).max()
    }

    fn tear(&mut self, head: Arc<Header>) -> HeadStep {
        self.told.clear();
        self.tell(ChainUpdate {
            headers: vec![head],
            is_torn: true,
            ..ChainUpdate::default()
        })
    }

    /// The best of the heads that can't be linked, where those are near to each other and have most
    /// nodes: so one whose branch no node can bring takes no others with it. One near to the told head
    /// must be such that it would be taken, could it be linked.
    fn apart(&self, candidates: &[Arc<Header>], now: Instant) -> Option<Arc<Header>> {
        let told = self.told.back()?;
        let is_astray = |head: &Arc<Header>| {
            self.place(head.hash).is_none() && !matches!(self.way(head), HeadLinkage::Linked(..))
        };
        let astray: Vec<_> = self
            .heads()
            .map(|(_, head)| head)
            .filter(|head| is_astray(head))
            .collect();
        let nodes = self.heads().count();
        let is_apart = |head: &&Arc<Header>| {
            let company = astray.iter().filter(|other| is_near(head, other));
            astray.iter().any(|other| other.hash == head.hash)
                && company.count() * 2 > nodes
                && (!is_near(head, told) || self.may_take(head, told, now))
        };
        candidates.iter().find(is_apart).cloned()
    }
}

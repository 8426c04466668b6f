//! A call that finds no place at a node: it waits for one, there or elsewhere, or is turned away.

use std::slice;
use std::time::Instant;

use crate::call::retry::{ReplyAction, RetryPlanner};
use crate::fleet::requirements::NodeQuery;
use crate::rpc::classify::{Overload, Verdict};
use crate::vocabulary::node::NodeId;

/// So often nodes may refuse a call because they have too much to do.
const OVERLOADS_MAX: u32 = 32;

impl RetryPlanner<'_> {
    /// Of which nodes the place may be taken instead of the last step's.
    pub fn wants(&self) -> NodeQuery<'_> {
        let passed = self
            .tried
            .split_last()
            .map_or(&[][..], |(_, before)| before);
        NodeQuery::new(slice::from_ref(&self.tier), passed, self.needs)
    }

    /// When all is over.
    pub fn deadline(&self) -> Instant {
        self.budget.deadline
    }

    /// The last step's attempt is made at `node` instead.
    pub fn divert(&mut self, node: NodeId) {
        if let Some(last) = self.tried.last_mut() {
            *last = node;
        }
    }

    /// The last step found no place, and there is no time left to wait for one.
    pub fn turn_away(&mut self) {
        self.tried.pop();
        self.is_turned_away = true;
        self.is_over = true;
    }

    /// Hears that an attempt ended without a word of its node, which answered no call meanwhile, as
    /// if its connection had broken. To ask another costs those that answer no more than that call.
    pub(super) fn hear_silence(&mut self, verdict: Verdict) -> ReplyAction {
        let all_broke = self.all_broke;
        let heard = self.hear(verdict, false);
        self.all_broke = all_broke;
        self.is_free = true;
        heard
    }

    /// Hears that `node` had too much to do. One that refused the call may be asked again: it goes on
    /// as if that hadn't been an attempt. It needn't be the last one asked: another may be beside it.
    pub(super) fn hear_overload(&mut self, node: NodeId, verdict: Verdict) -> ReplyAction {
        if verdict.overload != Some(Overload::Refused) || !self.may_go_on(verdict.class) {
            return self.hear(verdict, false);
        }
        if let Some(at) = self.tried.iter().rposition(|tried| *tried == node) {
            self.tried.remove(at);
        }
        self.is_free = true;
        self.overloads += 1;
        self.is_over |= self.overloads >= OVERLOADS_MAX;
        ReplyAction::Drop
    }
}

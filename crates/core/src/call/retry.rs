//! One call's way from node to node: which node to ask next, what to wait for, and when to stop.

mod disclosure;
mod doubted;
mod failures;
mod missing;
mod picking;
mod reply;
mod restart;
mod waiting;

use std::time::{Duration, Instant};

use smallvec::SmallVec;

pub use crate::call::retry::disclosure::verdict_after;
use crate::call::retry::disclosure::{passes_on, says_as_much};
use crate::call::retry::doubted::DoubtedAnswer;
use crate::call::retry::failures::AttemptFailures;
pub use crate::call::retry::failures::FailureOutcome;
use crate::call::retry::picking::NodePick;
pub use crate::call::retry::reply::{AnswerReading, AnswerSigns, says_more};
use crate::fleet::requirements::{NodeQuery, NodeRequirements, TroubleTolerance};
use crate::method::{RepeatRule, Treatment};
use crate::rpc::classify::{AttemptClass, FailoverRule, Rejection, SHUT_REST, Verdict};
use crate::rpc::refusal::Refusal;
use crate::vocabulary::node::NodeId;
use crate::vocabulary::tier::Tier;

/// A refused connection costs a moment and no node anything: it doesn't count among a call's attempts, as
/// long as it has made fewer than these.
const ATTEMPTS_WITH_REFUSED_MAX: usize = 8;

/// What a call may use up.
#[derive(Clone, Copy, Debug)]
pub struct CallBudget {
    /// Attempts, the first included; those that were refused a connection aren't counted.
    pub attempts_max: u32,
    /// How long one node has to answer.
    pub attempt: Duration,
    /// When the call is over, whatever it has come to.
    pub deadline: Instant,
    /// Whether nodes that are not fit are asked when no other is left.
    pub fails_open: bool,
    /// How long a call waits for a block that no node has yet; `None`: not at all.
    pub block_wait: Option<Duration>,
}

/// What the call does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryStep {
    /// Ask one node, and tell [`RetryPlanner::hear`] what came of it.
    Ask {
        /// The node to ask: none that was asked since the call began anew, if it did.
        node: NodeId,
        /// When the attempt is over: at the call's deadline at the latest.
        until: Instant,
        /// The tier that the node was drawn from.
        tier: Tier,
    },
    /// No node has the block yet. To be asked again when the fleet has changed, or then.
    WaitUntil(Instant),
    /// Ask no more: the call is over.
    Finish(CallEnding),
}

/// How a call ends that no node could serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEnding {
    /// With the answer of a node that says most: the one kept (see [`RetryPlanner::hear`]).
    Kept,
    /// Without a usable answer: see [`RetryPlanner::failed`].
    Unserved,
    /// With a refusal of our own: no node's answer says more.
    Refused(Refusal),
}

/// What to do with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyAction {
    /// The client gets it, and the call is over.
    Deliver,
    /// Keep it: it says more than what was kept before. Then ask for the next step.
    Keep,
    /// Ask for the next step.
    Drop,
}

/// The way of one call.
#[derive(Clone, Debug)]
pub struct RetryPlanner<'a> {
    treatment: Treatment,
    budget: CallBudget,
    needs: NodeRequirements<'a>,
    /// Room for as many as most calls may ask: no memory is taken for them.
    tried: SmallVec<[NodeId; 4]>,
    /// Nodes asked before it began anew.
    tried_before: usize,
    /// Nodes that are likely to refuse it: asked after the others of their tier.
    avoided: Vec<NodeId>,
    /// How many of those tried it cost no attempt to ask.
    uncounted: usize,
    /// The tier of the last attempt.
    tier: Tier,
    /// An answer was heard that another node may contradict: no node on another tier is asked about
    /// it.
    doubted: Option<DoubtedAnswer>,
    /// The nodes to ask about it before any other; the last first.
    confirmers: Vec<NodeId>,
    /// Which of them goes back furthest.
    digger: Option<NodeId>,
    /// Own nodes were asked.
    asked_own: bool,
    /// And have found nothing, so many as are asked: the fallback may know more.
    asks_beyond: bool,
    /// Every attempt was refused or broke off: none came to an answer, or took its whole time.
    all_broke: bool,
    /// The fallback was asked for one attempt more.
    fell_back: bool,
    /// When the wait for a block ends.
    waits_until: Option<Instant>,
    /// How nodes have failed so far.
    failures: AttemptFailures,
    /// The best-telling failure so far.
    most_telling: Option<Verdict>,
    kept: bool,
    is_over: bool,
    /// Nodes had too much to do to take it, so often.
    overloads: u32,
    /// It found no place in time.
    is_turned_away: bool,
    used_once: bool,
    /// A node was asked although the block is known to be too old for it.
    asked_too_old: bool,
    /// A miss taught what wasn't known: so few of them can be that the next repeat is free.
    was_taught: bool,
    /// Whether the next repeat costs a token of the budget.
    is_free: bool,
}

impl<'a> RetryPlanner<'a> {
    /// The way of a call that no node was asked for yet. `budget`: what it may use up. `needs`: what of
    /// a node.
    pub fn new(
        treatment: Treatment,
        budget: CallBudget,
        needs: NodeRequirements<'a>,
    ) -> RetryPlanner<'a> {
        RetryPlanner {
            treatment,
            budget,
            needs,
            tried: SmallVec::new(),
            tried_before: 0,
            avoided: Vec::new(),
            uncounted: 0,
            tier: Tier::Own,
            doubted: None,
            confirmers: Vec::new(),
            digger: None,
            asked_own: false,
            asks_beyond: false,
            all_broke: true,
            fell_back: false,
            waits_until: None,
            failures: AttemptFailures::default(),
            most_telling: None,
            kept: false,
            is_over: false,
            overloads: 0,
            is_turned_away: false,
            used_once: false,
            asked_too_old: false,
            was_taught: false,
            is_free: true,
        }
    }

    /// These nodes are asked only where no other of their tier is left.
    pub fn avoid(&mut self, nodes: Vec<NodeId>) {
        self.avoided = nodes;
    }

    /// Nodes asked so far.
    pub fn attempts(&self) -> usize {
        self.tried_before + self.tried.len() + self.overloads as usize
    }

    /// Which nodes they were.
    pub fn tried(&self) -> &[NodeId] {
        &self.tried
    }

    /// The tier of the last attempt.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// When the call may be asked of another node after one that brought no answer.
    pub fn repeat(&self) -> RepeatRule {
        self.treatment.repeat()
    }

    /// Whether `node` is asked because it goes back furthest.
    pub fn digs(&self, node: NodeId) -> bool {
        self.digger == Some(node)
    }

    /// Whether a node that is asked next is to confirm a `null`.
    pub fn confirms_null(&self) -> bool {
        self.doubted == Some(DoubtedAnswer::Null)
    }

    /// The next step. `draw` finds a node in the fleet, with its tier; `withdraw` pays for a repeat.
    pub fn next(
        &mut self,
        now: Instant,
        draw: impl FnMut(&NodeQuery<'_>) -> Option<(NodeId, Tier)>,
        withdraw: impl FnOnce() -> bool,
    ) -> RetryStep {
        let picked = if !self.is_spent(now) {
            self.pick(now, draw)
        } else if self.may_fall_back(now) {
            self.pick_one_more(draw)
        } else {
            NodePick::NoNode
        };
        let (node, tier) = match picked {
            NodePick::Node(node, tier) => (node, tier),
            NodePick::Later(until) => return RetryStep::WaitUntil(until),
            NodePick::NoNode => return self.finish(now),
        };
        if !self.tried.is_empty() && !self.is_free && !withdraw() {
            return self.finish(now);
        }
        self.tried.push(node);
        self.tier = tier;
        self.asked_own |= tier == Tier::Own;
        RetryStep::Ask {
            node,
            until: self.attempt_end(now),
            tier,
        }
    }

    /// An own node that meets the needs, to be asked while the last one is still waited for, and
    /// until when. `withdraw` pays for it, whatever was heard before, but only once `draw` has
    /// found one. The way itself, and its wait for a block, stay as they are.
    pub fn beside(
        &mut self,
        now: Instant,
        draw: impl FnOnce(&NodeQuery<'_>) -> Option<(NodeId, Tier)>,
        withdraw: impl FnOnce() -> bool,
    ) -> Option<(NodeId, Instant)> {
        let stays_elsewhere = self.doubted.is_some() && self.tier != Tier::Own;
        if self.is_spent(now) || stays_elsewhere {
            return None;
        }
        let passed = [&self.tried[..], &self.avoided[..]].concat();
        let (node, _) = draw(&NodeQuery {
            tiers: &[Tier::Own],
            tolerances: &[TroubleTolerance::Whole],
            passed: &passed,
            avoided: &[],
            needs: self.needs,
        })?;
        if !withdraw() {
            return None;
        }
        self.tried.push(node);
        Some((node, self.attempt_end(now)))
    }

    /// Whether no node is asked any more.
    fn is_spent(&self, now: Instant) -> bool {
        let counted = self.tried.len() - self.uncounted;
        let is_spent = counted >= self.budget.attempts_max as usize;
        self.is_over || is_spent || now >= self.budget.deadline
    }

    /// The last attempt doesn't count: its node may be asked again, free of charge.
    pub fn take_back(&mut self) {
        self.tried.pop();
        self.is_free = true;
    }

    /// Until when an attempt may last that begins now.
    pub fn attempt_end(&self, now: Instant) -> Instant {
        (now + self.budget.attempt).min(self.budget.deadline)
    }

    fn finish(&self, now: Instant) -> RetryStep {
        let shut = self.most_telling.and_then(|told| told.shut());
        let refusal = match self.most_telling.map(|told| told.class) {
            Some(_) if self.kept => return RetryStep::Finish(CallEnding::Kept),
            Some(_) | None if self.is_turned_away => Refusal::OverCapacity,
            Some(AttemptClass::Throttled) => Refusal::RateLimited { seconds: 1 },
            Some(AttemptClass::Timeout | AttemptClass::NodeTimeout) => Refusal::Timeout,
            Some(AttemptClass::RequestSize) => Refusal::CallTooLarge,
            Some(AttemptClass::Shut) if shut == Some(Rejection::Quota) => Refusal::QuotaSpent {
                seconds: SHUT_REST.as_secs(),
            },
            Some(AttemptClass::Shut) => Refusal::NotLetIn,
            Some(
                AttemptClass::Ok
                | AttemptClass::RpcError
                | AttemptClass::Limit
                | AttemptClass::Unsupported
                | AttemptClass::MissingData
                | AttemptClass::NoConnection
                | AttemptClass::Transport
                | AttemptClass::BadAnswer
                | AttemptClass::Unknown
                | AttemptClass::Cancelled,
            ) => return RetryStep::Finish(CallEnding::Unserved),
            None if self.overloads > 0 => Refusal::OverCapacity,
            None if now >= self.budget.deadline => Refusal::Timeout,
            None => Refusal::NoNode,
        };
        RetryStep::Finish(CallEnding::Refused(refusal))
    }

    /// How it ended without a usable answer. `is_own`: see [`FaultAttribution`](crate::call::doubts::FaultAttribution).
    pub fn failed(&self, is_own: bool) -> FailureOutcome {
        self.failures.end(self.repeat(), is_own)
    }

    /// Hears what an attempt came to. `has_body`: it is a whole answer, a result or an error.
    pub fn hear(&mut self, verdict: impl Into<Verdict>, has_body: bool) -> ReplyAction {
        let verdict = verdict.into();
        let class = verdict.class;
        let again = self.may_go_on(class);
        self.all_broke &= matches!(
            class,
            AttemptClass::NoConnection | AttemptClass::Transport | AttemptClass::BadAnswer
        );
        if class == AttemptClass::NoConnection && self.tried.len() < ATTEMPTS_WITH_REFUSED_MAX {
            self.uncounted += 1;
        }
        let says_more = self
            .most_telling
            .is_none_or(|told| says_as_much(&verdict, &told));
        let is_last_word = !again && has_body && class != AttemptClass::Shut && says_more;
        if class == AttemptClass::Ok || is_last_word {
            return ReplyAction::Deliver;
        }
        self.failures.add(class);
        self.is_over |= !again;
        self.is_free = class.is_unexecuted() || std::mem::take(&mut self.was_taught);
        if !says_more {
            return ReplyAction::Drop;
        }
        self.most_telling = Some(verdict);
        self.kept = has_body && passes_on(class);
        if self.kept {
            ReplyAction::Keep
        } else {
            ReplyAction::Drop
        }
    }

    fn may_go_on(&mut self, class: AttemptClass) -> bool {
        if self.treatment.repeat() == RepeatRule::IfUnexecuted && !class.is_unexecuted() {
            return false;
        }
        match class.elsewhere() {
            FailoverRule::Never => false,
            FailoverRule::WhileAttemptsLast => true,
            FailoverRule::Once => {
                let is_barred = match self.treatment {
                    Treatment::Heavy => class == AttemptClass::NodeTimeout,
                    Treatment::Broadcast => class == AttemptClass::Unknown,
                    Treatment::Local(_)
                    | Treatment::Read
                    | Treatment::Once
                    | Treatment::Unknown
                    | Treatment::Denied => false,
                };
                !is_barred && !std::mem::replace(&mut self.used_once, true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use AttemptClass::{
        BadAnswer, MissingData, NoConnection, NodeTimeout, RequestSize, RpcError, Throttled,
        Timeout, Transport, Unknown, Unsupported,
    };
    use CallEnding::{Kept, Refused};
    use MissingKind::{Lost, Newer, Older, Unsaid};
    use NodePreference::{Deepest, Freshest};
    use ReplyAction::{Deliver, Drop, Keep};
    use RetryStep::Finish;

    use super::*;
    use crate::call::confirmation::Confirmers;
    use crate::call::leader_share::OwnShortfall;
    use crate::fleet::depth::Gap;
    use crate::fleet::requirements::NodePreference;
    use crate::rpc::classify::Overload;
    use crate::rpc::classify::{AnnouncedLimit, LimitedQuantity, Meaning, MissingKind};
    use crate::testing;
    use crate::vocabulary::block_ref::{BlockData, BlockRange};
    use crate::vocabulary::chain::BlockNumber;

    fn retry(treatment: Treatment) -> RetryPlanner<'static> {
        speaking(treatment, None)
    }

    /// Of block 7, and waits for it up to 12 seconds.
    fn of_block_7(reads: BlockData) -> RetryPlanner<'static> {
        let number = BlockNumber(7);
        let (from, to) = (number, number);
        speaking(Treatment::Read, Some(BlockRange { from, to, reads }))
    }

    fn speaking(treatment: Treatment, block: Option<BlockRange>) -> RetryPlanner<'static> {
        let deadline = testing::now() + Duration::from_secs(30);
        let attempt = Duration::from_secs(5);
        RetryPlanner::new(
            treatment,
            CallBudget {
                attempts_max: 3,
                attempt,
                deadline,
                fails_open: true,
                block_wait: Some(Duration::from_secs(12)),
            },
            NodeRequirements {
                block,
                ..NodeRequirements::default()
            },
        )
    }

    /// Own nodes 1 to `own`, the leader 0.
    fn drawing(own: u32) -> impl FnMut(&NodeQuery<'_>) -> Option<(NodeId, Tier)> {
        from_tiers(move |tier, passed, _| {
            let nodes: Vec<_> = match tier {
                Tier::Own => (1..=own).collect(),
                Tier::Fallback => vec![0],
                Tier::LastResort => vec![],
            };
            nodes
                .into_iter()
                .map(NodeId)
                .find(|node| !passed.contains(node))
        })
    }

    /// From tier to tier what `draw` finds there, given the nodes to pass over.
    fn from_tiers(
        draw: impl Fn(Tier, &[NodeId], &NodeRequirements<'_>) -> Option<NodeId>,
    ) -> impl Fn(&NodeQuery<'_>) -> Option<(NodeId, Tier)> {
        move |query| {
            query.tiers.iter().find_map(|tier| {
                let all = [query.passed, query.avoided].concat();
                let other = draw(*tier, &all, &query.needs);
                let node = other.or_else(|| draw(*tier, query.passed, &query.needs))?;
                Some((node, *tier))
            })
        }
    }

    #[test]
    fn refused_connections_do_not_use_up_the_attempts() {
        let mut retry = retry(Treatment::Read);
        for node in 1..=8 {
            assert_eq!(asked(&mut retry, 20), Some(node));
            assert_eq!(retry.hear(NoConnection, false), Drop);
        }
        for node in 9..=10 {
            assert_eq!(asked(&mut retry, 20), Some(node));
            retry.hear(Timeout, false);
        }
        assert_eq!(asked(&mut retry, 20), None, "8, and two beyond them");
    }

    #[test]
    fn where_all_own_nodes_broke_off_the_fallback_is_asked_once_more() {
        for (class, own, wanted) in [
            (Transport, 3, Some(0)),
            (BadAnswer, 3, Some(0)),
            (Timeout, 3, None),
            (Transport, 4, None),
        ] {
            let mut retry = retry(Treatment::Read);
            for node in 1..=3 {
                assert_eq!(asked(&mut retry, own), Some(node));
                retry.hear(class, false);
            }
            assert_eq!(asked(&mut retry, own), wanted, "{class:?} of {own}");
            retry.hear(class, false);
            assert_eq!(asked(&mut retry, own), None, "once");
        }
    }

    #[test]
    fn what_silent_nodes_left_unanswered_is_asked_of_others_for_nothing_and_once_more_of_the_fallback()
     {
        let mut retry = retry(Treatment::Read);
        let now = testing::now();
        for node in [1, 2, 3, 0] {
            let step = retry.next(now, drawing(3), || false);
            assert_eq!(node_of(&step), Some(node));
            assert_eq!(
                retry.hear_unanswered(NodeId(node), Timeout.into(), true),
                Drop
            );
        }
        let over = Finish(Refused(Refusal::Timeout));
        assert_eq!(retry.next(now, drawing(3), || true), over);
    }

    #[test]
    fn what_may_have_run_is_not_repeated_though_its_node_is_silent() {
        let mut once = retry(Treatment::Once);
        assert_eq!(asked(&mut once, 2), Some(1));
        once.hear_unanswered(NodeId(1), Timeout.into(), true);
        assert_eq!(asked(&mut once, 2), None);
    }

    #[test]
    fn a_node_that_has_too_much_to_do_may_be_asked_again_and_costs_no_attempt() {
        let busy = |class: AttemptClass| Verdict {
            overload: Some(Overload::Refused),
            ..class.into()
        };
        let mut read = retry(Treatment::Read);
        for _ in 0..20 {
            assert_eq!(asked(&mut read, 1), Some(1));
            assert_eq!(
                read.hear_unanswered(NodeId(1), busy(Transport), false),
                Drop
            );
        }
        assert_eq!(read.attempts(), 20, "for show");
        assert_eq!(asked(&mut read, 1), Some(1));
        read.turn_away();
        let over = Finish(Refused(Refusal::OverCapacity));
        let now = testing::now();
        assert_eq!(read.next(now, drawing(1), || true), over);
        // What may have run isn't run again; what was let wait is an attempt as any other.
        let mut once = retry(Treatment::Once);
        asked(&mut once, 2);
        once.hear_unanswered(NodeId(1), busy(Transport), false);
        assert_eq!(asked(&mut once, 2), None);
        let mut read = retry(Treatment::Read);
        assert_eq!(asked(&mut read, 2), Some(1));
        let waited = Verdict {
            overload: Some(Overload::Waited),
            ..Timeout.into()
        };
        read.hear_unanswered(NodeId(1), waited, false);
        assert_eq!(asked(&mut read, 2), Some(2));
    }

    #[test]
    fn of_two_at_once_the_one_that_has_too_much_to_do_may_be_asked_again() {
        let busy = Verdict {
            overload: Some(Overload::Refused),
            ..Throttled.into()
        };
        for (refuses, is_under_way) in [(1, 2), (2, 1)] {
            let mut read = retry(Treatment::Read);
            assert_eq!(asked(&mut read, 3), Some(1));
            let now = testing::now();
            let beside = read.beside(now, drawing(3), || true);
            assert_eq!(beside.map(|(node, _)| node), Some(NodeId(2)));
            read.hear_unanswered(NodeId(refuses), busy, false);
            assert_eq!(read.tried(), [NodeId(is_under_way)]);
        }
    }

    #[test]
    fn a_call_that_finds_no_place_goes_where_there_is_one_or_keeps_what_was_said() {
        let mut read = retry(Treatment::Read);
        assert_eq!(asked(&mut read, 3), Some(1));
        assert_eq!(read.wants().passed, []);
        read.divert(NodeId(3));
        assert_eq!(read.hear(MissingData, true), Keep);
        assert_eq!(asked(&mut read, 3), Some(1), "it wasn't asked");
        assert_eq!(read.wants().passed, [NodeId(3)]);
        read.turn_away();
        let now = testing::now();
        assert_eq!(read.next(now, drawing(3), || true), Finish(Kept));
    }

    #[test]
    fn a_second_node_is_paid_for_only_where_there_is_one_and_then_always() {
        let now = testing::now();
        let mut retry = retry(Treatment::Read);
        assert_eq!(asked(&mut retry, 2), Some(1));
        let unpaid = || -> bool { panic!("no node is left to pay for") };
        assert_eq!(retry.beside(now, |_| None, unpaid), None);
        let second = || drawing(2);
        assert_eq!(retry.beside(now, second(), || false), None, "even at first");
        assert_eq!(retry.attempts(), 1);
        let beside = retry.beside(now, second(), || true);
        assert_eq!(beside.map(|(node, _)| node), Some(NodeId(2)));
        assert_eq!(retry.attempts(), 2);
    }

    #[test]
    fn looking_for_a_second_node_begins_no_wait_for_a_block() {
        let now = testing::now();
        let mut retry = of_block_7(BlockData::Block);
        let one = from_tiers(|_, passed, _| passed.is_empty().then_some(NodeId(1)));
        retry.next(now, one, || true);
        assert_eq!(retry.beside(now, |_| None, || true), None);
        assert_eq!(retry.waits_until, None);
    }

    fn asked(retry: &mut RetryPlanner<'_>, own: u32) -> Option<u32> {
        node_of(&retry.next(testing::now(), drawing(own), || true))
    }

    /// What a node's answer comes to, once the call was sent to one.
    fn told(
        retry: &mut RetryPlanner<'_>,
        own: u32,
        verdict: impl Into<Verdict>,
        has_body: bool,
    ) -> ReplyAction {
        asked(retry, own);
        retry.hear(verdict, has_body)
    }

    fn node_of(step: &RetryStep) -> Option<u32> {
        match step {
            RetryStep::Ask { node, .. } => Some(node.0),
            Finish(_) | RetryStep::WaitUntil(_) => None,
        }
    }

    fn ending(retry: &mut RetryPlanner<'_>) -> CallEnding {
        match retry.next(testing::now(), drawing(1), || true) {
            Finish(ending) => ending,
            RetryStep::Ask { .. } | RetryStep::WaitUntil(_) => panic!("it goes on"),
        }
    }

    #[test]
    fn a_read_goes_from_node_to_node_and_then_to_the_leader() {
        let mut retry = retry(Treatment::Read);
        for wanted in [1, 2, 0] {
            assert_eq!(asked(&mut retry, 2), Some(wanted));
            assert_eq!(retry.hear(Transport, false), Drop);
        }
        assert_eq!(asked(&mut retry, 2), None, "three attempts are all");
    }

    #[test]
    fn what_a_node_may_have_executed_is_never_repeated() {
        for treatment in [Treatment::Once, Treatment::Unknown] {
            for class in [Transport, Timeout, BadAnswer] {
                let mut retry = retry(treatment);
                told(&mut retry, 2, class, false);
                assert_eq!(asked(&mut retry, 2), None, "{treatment:?} {class:?}");
            }
            for class in [NoConnection, Throttled, Unsupported] {
                let mut retry = retry(treatment);
                told(&mut retry, 2, class, false);
                assert_eq!(asked(&mut retry, 2), Some(2), "{treatment:?} {class:?}");
            }
        }
    }

    #[test]
    fn a_revert_is_delivered_at_once() {
        let mut retry = retry(Treatment::Read);
        assert_eq!(told(&mut retry, 2, RpcError, true), Deliver);
    }

    #[test]
    fn an_unknown_error_is_asked_about_once_and_for_a_write_never() {
        let mut read = retry(Treatment::Read);
        assert_eq!(told(&mut read, 3, Unknown, true), Keep);
        assert_eq!(told(&mut read, 3, Unknown, true), Deliver);
        let mut write = retry(Treatment::Broadcast);
        assert_eq!(told(&mut write, 3, Unknown, true), Deliver);
    }

    #[test]
    fn a_heavy_call_that_timed_out_on_its_node_is_not_asked_elsewhere() {
        let mut retry = retry(Treatment::Heavy);
        assert_eq!(told(&mut retry, 3, NodeTimeout, true), Deliver);
    }

    #[test]
    fn the_client_gets_the_error_that_says_most() {
        let mut retry = retry(Treatment::Read);
        assert_eq!(told(&mut retry, 2, MissingData, true), Keep);
        assert_eq!(told(&mut retry, 2, Transport, false), Drop);
        assert_eq!(told(&mut retry, 2, Throttled, true), Drop);
        assert_eq!(ending(&mut retry), Kept);
    }

    #[test]
    fn the_last_error_is_not_told_where_an_earlier_one_says_more() {
        let mut retry = retry(Treatment::Heavy);
        assert_eq!(told(&mut retry, 2, MissingData, true), Keep);
        assert_eq!(told(&mut retry, 2, NodeTimeout, true), Drop);
        assert_eq!(ending(&mut retry), Kept);
    }

    #[test]
    fn a_nodes_billing_error_is_told_in_our_words_and_outweighs_a_broken_connection() {
        for (why, refusal) in [
            (Rejection::Quota, Refusal::QuotaSpent { seconds: 60 }),
            (Rejection::Auth, Refusal::NotLetIn),
        ] {
            let mut retry = retry(Treatment::Unknown);
            assert_eq!(told(&mut retry, 1, Meaning::Shut(why), true), Drop);
            assert_eq!(told(&mut retry, 1, NoConnection, false), Drop);
            assert_eq!(ending(&mut retry), Refused(refusal));
        }
    }

    fn limit(number: Option<u64>) -> Verdict {
        let on = LimitedQuantity::Blocks;
        Verdict {
            ceiling: Some(AnnouncedLimit { on, number }),
            ..Meaning::Range.into()
        }
    }

    #[test]
    fn a_nodes_own_limit_is_asked_elsewhere_and_the_widest_is_told() {
        let mut served = retry(Treatment::Heavy);
        assert_eq!(told(&mut served, 2, limit(Some(1000)), true), Keep);
        assert_eq!(asked(&mut served, 2), Some(2));
        assert_eq!(served.hear(AttemptClass::Ok, true), Deliver);
        for (second, wanted) in [(Some(500), Drop), (Some(5000), Keep), (None, Drop)] {
            let mut refused = retry(Treatment::Heavy);
            assert_eq!(told(&mut refused, 1, limit(Some(1000)), true), Keep);
            assert_eq!(asked(&mut refused, 1), Some(0), "the leader");
            assert_eq!(refused.hear(limit(second), true), wanted, "{second:?}");
            assert_eq!(ending(&mut refused), Kept);
        }
        let mut wordless = retry(Treatment::Heavy);
        assert_eq!(told(&mut wordless, 1, limit(None), true), Keep);
        assert_eq!(
            told(&mut wordless, 1, limit(None), true),
            Keep,
            "the last heard"
        );
        let mut paid = retry(Treatment::Heavy);
        told(&mut paid, 2, limit(None), true);
        let step = paid.next(testing::now(), drawing(2), || false);
        assert_eq!(step, Finish(Kept), "within the budget");
    }

    #[test]
    fn a_call_too_long_for_one_node_is_asked_elsewhere_for_nothing() {
        let mut retry = retry(Treatment::Once);
        assert_eq!(told(&mut retry, 2, RequestSize, true), Drop);
        let step = retry.next(testing::now(), drawing(2), || false);
        assert!(matches!(step, RetryStep::Ask { .. }), "{step:?}");
        retry.hear(RequestSize, false);
        assert_eq!(asked(&mut retry, 2), Some(0));
        retry.hear(RequestSize, false);
        assert_eq!(ending(&mut retry), Refused(Refusal::CallTooLarge));
    }

    #[test]
    fn an_avoided_node_is_asked_after_the_others_and_before_the_leader() {
        let mut retry = retry(Treatment::Heavy);
        retry.avoid(vec![NodeId(1)]);
        for wanted in [2, 1, 0] {
            assert_eq!(asked(&mut retry, 2), Some(wanted));
            retry.hear(Transport, false);
        }
    }

    #[test]
    fn without_any_node_there_is_no_node_and_after_the_deadline_a_timeout() {
        let mut retry = retry(Treatment::Read);
        let none = |_: &NodeQuery<'_>| None;
        let now = testing::now();
        assert_eq!(
            retry.next(now, none, || true),
            Finish(Refused(Refusal::NoNode))
        );
        let late = now + Duration::from_secs(31);
        assert_eq!(
            retry.next(late, none, || true),
            Finish(Refused(Refusal::Timeout))
        );
    }

    #[test]
    fn an_empty_budget_stops_repeats_but_not_those_that_cost_no_node_anything() {
        let mut spent = retry(Treatment::Read);
        told(&mut spent, 2, Timeout, false);
        let step = spent.next(testing::now(), drawing(2), || false);
        assert_eq!(step, Finish(Refused(Refusal::Timeout)));
        let mut free = retry(Treatment::Read);
        told(&mut free, 2, NoConnection, false);
        assert!(node_of(&free.next(testing::now(), drawing(2), || false)).is_some());
    }

    #[test]
    fn the_last_attempt_ends_with_the_deadline() {
        let mut retry = retry(Treatment::Read);
        let now = retry.budget.deadline - Duration::from_secs(1);
        let RetryStep::Ask { until, .. } = retry.next(now, drawing(1), || true) else {
            panic!("no node was asked");
        };
        assert_eq!(until, retry.budget.deadline);
    }

    #[test]
    fn refusing_when_none_is_fit_asks_no_last_resort() {
        let mut retry = retry(Treatment::Read);
        retry.budget.fails_open = false;
        let last = from_tiers(|tier, _, _| (tier == Tier::LastResort).then_some(NodeId(1)));
        let step = retry.next(testing::now(), last, || true);
        assert_eq!(step, Finish(Refused(Refusal::NoNode)));
    }

    #[test]
    fn a_null_is_asked_about_once_more_for_nothing_and_then_of_the_leader() {
        let mut retry = retry(Treatment::Read);
        retry.budget.attempts_max = 1;
        assert_eq!(asked(&mut retry, 2), Some(1));
        assert_eq!(retry.hear_null(no_confirmers), Keep);
        let step = retry.next(testing::now(), drawing(2), || false);
        assert_eq!(node_of(&step), Some(2), "{step:?}");
        assert_eq!(retry.own_word(), Some(OwnShortfall::Nothing));
        assert_eq!(retry.hear_null(no_confirmers), Keep);
        assert_eq!(asked(&mut retry, 3), Some(0), "no third own node");
        assert_eq!(retry.hear_null(no_confirmers), Deliver);
        let mut alone = self::retry(Treatment::Read);
        asked(&mut alone, 1);
        assert_eq!(alone.hear_null(no_confirmers), Keep);
        assert_eq!(asked(&mut alone, 1), Some(0));
        assert_eq!(alone.hear_null(no_confirmers), Deliver);
        let mut withheld = self::retry(Treatment::Read);
        asked(&mut withheld, 1);
        assert_eq!(withheld.hear_null(no_confirmers), Keep);
        assert_eq!(
            withheld.next(testing::now(), own_alone, || true),
            Finish(Kept)
        );
    }

    /// No node but own node 1.
    fn own_alone(query: &NodeQuery<'_>) -> Option<(NodeId, Tier)> {
        from_tiers(|tier, passed, _| (tier == Tier::Own && passed.is_empty()).then_some(NodeId(1)))(
            query,
        )
    }

    #[test]
    fn own_nodes_word_is_what_they_say_they_lack_and_not_how_they_fail() {
        let said = |verdict: Verdict| {
            let mut retry = retry(Treatment::Read);
            told(&mut retry, 2, verdict, true);
            retry.own_word()
        };
        for (verdict, wanted) in [
            (Meaning::Unsupported.into(), Some(OwnShortfall::NoMethod)),
            (Meaning::NoResult.into(), Some(OwnShortfall::NoResult)),
            (Meaning::Missing(Unsaid).into(), Some(OwnShortfall::NoData)),
            (Meaning::Range.into(), Some(OwnShortfall::TooMuch)),
            (Meaning::Unknown.into(), None),
            (Transport.into(), None),
            (Timeout.into(), None),
        ] {
            assert_eq!(said(verdict), wanted, "{verdict:?}");
        }
        let mut by_leader = retry(Treatment::Read);
        assert_eq!(asked(&mut by_leader, 0), Some(0));
        by_leader.hear(MissingData, true);
        assert_eq!(by_leader.own_word(), None);
    }

    fn no_confirmers(_: Tier, _: Option<BlockRange>, _: &[NodeId]) -> Confirmers {
        Confirmers::default()
    }

    #[test]
    fn nodes_that_may_know_more_are_asked_about_a_null_one_after_the_other() {
        let mut retry = retry(Treatment::Read);
        assert_eq!(asked(&mut retry, 5), Some(1));
        let find = |tier, _: Option<BlockRange>, tried: &[NodeId]| {
            assert_eq!((tier, tried), (Tier::Own, &[NodeId(1)][..]));
            Confirmers {
                nodes: vec![NodeId(4), NodeId(3)],
                digger: Some(NodeId(4)),
            }
        };
        assert!(!retry.digs(NodeId(1)));
        assert_eq!(retry.hear_null(find), Keep);
        assert_eq!(asked(&mut retry, 5), Some(3));
        assert!(!retry.digs(NodeId(3)));
        assert_eq!(retry.hear_null(no_confirmers), Keep);
        assert_eq!(asked(&mut retry, 5), Some(4));
        assert!(retry.digs(NodeId(4)));
        assert_eq!(retry.hear_null(no_confirmers), Keep);
        assert_eq!(asked(&mut retry, 5), Some(0), "the leader after them");
        assert_eq!(retry.hear_null(no_confirmers), Deliver, "they all say so");
    }

    #[test]
    fn a_node_asked_though_not_the_deepest_says_nothing_of_the_deepest() {
        let builder = |_: Tier, _: Option<BlockRange>, _: &[NodeId]| Confirmers {
            nodes: vec![NodeId(3)],
            digger: None,
        };
        let mut read = retry(Treatment::Read);
        asked(&mut read, 5);
        assert_eq!(read.hear_null(builder), Keep);
        assert_eq!(asked(&mut read, 5), Some(3));
        assert!(!read.digs(NodeId(3)), "it is the only one there");
        // Nor does one that is asked like any other, after it began anew.
        let deepest = |_: Tier, _: Option<BlockRange>, _: &[NodeId]| Confirmers {
            nodes: vec![NodeId(4)],
            digger: Some(NodeId(4)),
        };
        let mut again = retry(Treatment::Read);
        asked(&mut again, 5);
        assert_eq!(again.hear_null(deepest), Keep);
        again.begin_anew();
        assert!(!again.digs(NodeId(4)));
        assert_eq!(asked(&mut again, 5), Some(1));
        assert_eq!(again.hear_stray(), Keep);
        assert_eq!(asked(&mut again, 5), Some(2), "it was of another answer");
    }

    #[test]
    fn a_null_that_no_node_can_confirm_is_the_answer() {
        let mut retry = retry(Treatment::Read);
        asked(&mut retry, 2);
        assert_eq!(retry.hear_null(no_confirmers), Keep);
        assert_eq!(told(&mut retry, 2, Transport, false), Drop);
        let step = retry.next(testing::now(), own_alone, || true);
        assert_eq!(step, Finish(Kept));
    }

    /// Own node 1 has no block 7; a query that asks for less than the block finds the node.
    fn lacking(query: &NodeQuery<'_>) -> Option<(NodeId, Tier)> {
        let is_there = query.needs.block.is_none();
        own_alone(query).filter(|_| is_there)
    }

    #[test]
    fn a_call_waits_one_block_time_for_its_block_and_is_then_asked_all_the_same() {
        let mut retry = of_block_7(BlockData::State);
        let now = testing::now();
        let until = now + Duration::from_secs(12);
        for passed in [0, 5, 11] {
            let now = now + Duration::from_secs(passed);
            assert_eq!(
                retry.next(now, lacking, || true),
                RetryStep::WaitUntil(until)
            );
        }
        let step = retry.next(until, lacking, || true);
        assert_eq!(node_of(&step), Some(1), "{step:?}");
        assert!(matches!(retry.next(until, lacking, || true), Finish(_)));
    }

    #[test]
    fn a_wait_leaves_time_to_ask_and_ends_when_a_node_has_the_block() {
        let mut short = of_block_7(BlockData::State);
        let now = testing::now();
        short.budget.deadline = now + Duration::from_secs(4);
        let until = now + Duration::from_secs(2);
        assert_eq!(
            short.next(now, lacking, || true),
            RetryStep::WaitUntil(until)
        );
        assert!(node_of(&short.next(now, drawing(1), || true)).is_some());
        let mut impatient = of_block_7(BlockData::State);
        impatient.budget.block_wait = None;
        assert!(node_of(&impatient.next(now, lacking, || true)).is_some());
    }

    #[test]
    fn what_all_have_pruned_is_asked_at_once() {
        let mut retry = of_block_7(BlockData::State);
        let pruned = from_tiers(|_, _, needs| {
            let reads = needs.block.map(|need| need.reads);
            (reads != Some(BlockData::State)).then_some(NodeId(3))
        });
        let step = retry.next(testing::now(), pruned, || true);
        assert_eq!(node_of(&step), Some(3), "{step:?}");
    }

    #[test]
    fn an_unfit_node_is_asked_for_a_block_only_after_every_fit_node_without_it() {
        // Node 9 has the block and isn't fit; 1 and the leader 0 are fit and lack it.
        let unfit_has_it = from_tiers(|tier, passed, needs| {
            let lacks = needs.block.is_some();
            let node = match tier {
                Tier::Own => NodeId(1),
                Tier::Fallback => NodeId(0),
                Tier::LastResort => NodeId(9),
            };
            let is_open = !passed.contains(&node) && (tier == Tier::LastResort || !lacks);
            is_open.then_some(node)
        });
        let mut retry = of_block_7(BlockData::Block);
        let now = testing::now();
        let until = now + Duration::from_secs(12);
        let step = retry.next(now, &unfit_has_it, || true);
        assert_eq!(step, RetryStep::WaitUntil(until), "it waits first");
        for (node, tier) in [(1, Tier::Own), (0, Tier::Fallback), (9, Tier::LastResort)] {
            match retry.next(until, &unfit_has_it, || true) {
                RetryStep::Ask {
                    node: asked,
                    tier: of,
                    ..
                } => assert_eq!((asked, of), (NodeId(node), tier)),
                other => panic!("{other:?}"),
            }
            retry.hear(MissingData, true);
        }
        let mut none_fit = of_block_7(BlockData::Block);
        let step = none_fit.next(
            now,
            from_tiers(|tier, _, _| (tier == Tier::LastResort).then_some(NodeId(9))),
            || true,
        );
        assert!(matches!(step, RetryStep::Ask { .. }), "{step:?}");
    }

    #[test]
    fn a_block_that_only_the_leader_has_is_asked_of_the_leader() {
        let mut retry = of_block_7(BlockData::Block);
        let leader = from_tiers(|tier, _, needs| match tier {
            Tier::Own => needs.block.is_none().then_some(NodeId(1)),
            Tier::Fallback => Some(NodeId(0)),
            Tier::LastResort => None,
        });
        let step = retry.next(testing::now(), leader, || true);
        assert_eq!(node_of(&step), Some(0), "{step:?}");
    }

    #[test]
    fn a_node_without_data_sends_calls_to_a_fresher_or_deeper_one_and_shows_its_depth() {
        let now = testing::now();
        let node = |head| {
            let fleet = testing::fleet_of([testing::member(1)], now);
            let mut view = fleet.view().nodes.remove(0);
            view.head = Some(BlockNumber(head));
            view
        };
        let odd = |head| {
            let verdict =
                of_block_7(BlockData::Receipts).weigh(Meaning::OddRange.into(), &node(head));
            verdict.missing()
        };
        assert_eq!((odd(7), odd(6)), (None, Some(Newer)), "an odd range");
        for (reads, missing, head, preference, shown) in [
            (BlockData::State, Newer, 100, Freshest, None),
            (BlockData::State, Unsaid, 6, Freshest, None),
            (BlockData::State, Unsaid, 70, Deepest, None),
            (BlockData::State, Unsaid, 71, Deepest, Some(7)),
            (BlockData::State, Older, 71, Deepest, Some(7)),
            (BlockData::State, Older, 70, Deepest, None),
            (BlockData::State, Lost, 8, Deepest, Some(7)),
            (BlockData::State, Lost, 7, Deepest, None),
            (BlockData::Proof, Lost, 71, Deepest, Some(7)),
            (BlockData::Receipts, Older, 71, Deepest, Some(7)),
            (BlockData::Receipts, Older, 70, Deepest, None),
            (BlockData::Head, Older, 71, Deepest, None),
        ] {
            let mut retry = of_block_7(reads);
            let missed = retry.miss(&node(head), missing, "at block 7");
            let shown = shown.map(|number| Gap {
                reads,
                block: BlockNumber(number),
                is_lost: missing == Lost,
            });
            assert_eq!(missed, shown, "{missing:?} {head}");
            assert_eq!(retry.needs.preference, preference, "{missing:?} {head}");
        }
        let mut by_hash = retry(Treatment::Read);
        assert_eq!(by_hash.miss(&node(100), Older, ""), None);
        let mut another = of_block_7(BlockData::State);
        assert_eq!(another.miss(&node(100), Lost, "at block 6"), None);
        assert_eq!(by_hash.needs.preference, Deepest);
    }
}

//! One call's way from node to node: whom to ask next, what to wait for, and when to stop.

mod anew;
mod doubted;
mod failures;
mod missing;
mod picking;
mod telling;
mod waiting;

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use self::doubted::Doubted;
pub use self::failures::Failed;
use self::failures::Failures;
use self::picking::Pick;
pub use self::telling::is_time_limit;
use self::telling::{passes_on, says_as_much};
use super::block::{Caution, Needs};
use super::method::{Repeat, Treatment};
use super::node::NodeId;
use super::refusal::Refusal;
use super::select::Ladder;
use super::verdict::{Class, Elsewhere, SHUT_REST, Shut, Verdict};

/// A refused connection costs a moment and no node anything: it doesn't count among a call's attempts, as
/// long as it has made fewer than these.
const ATTEMPTS_WITH_REFUSED_MAX: usize = 8;

/// What a call may use up.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    pub attempts_max: u32,
    pub attempt: Duration,
    pub deadline: Instant,
    /// Whether nodes that are not fit are asked when no other is left.
    pub fails_open: bool,
    /// How long a call waits for a block that no node has yet; `None`: not at all.
    pub block_wait: Option<Duration>,
}

/// What the call does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Ask {
        node: NodeId,
        until: Instant,
        ladder: Ladder,
    },
    /// Nobody has the block yet. To be asked again when the fleet has changed, or then.
    WaitUntil(Instant),
    Finish(Ending),
}

/// How a call ends that no node could serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the answer of a node that says most: the one kept (see [`Journey::hear`]).
    Kept,
    /// Without a usable answer: see [`Journey::failed`].
    Unserved,
    Refused(Refusal),
}

/// What to do with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Deliver,
    /// Keep it: it says more than what was kept before. Then ask for the next step.
    Keep,
    /// Ask for the next step.
    Drop,
}

/// The way of one call.
#[derive(Clone, Debug)]
pub struct Journey<'a> {
    treatment: Treatment,
    allowance: Allowance,
    needs: Needs<'a>,
    /// Room for as many as most calls may ask: no memory is taken for them.
    tried: SmallVec<[NodeId; 4]>,
    /// Nodes asked before it began anew.
    tried_before: usize,
    /// Nodes that are likely to refuse it: asked after the others of their ladder.
    avoided: Vec<NodeId>,
    /// Of those tried, whom it cost no attempt to ask.
    uncounted: usize,
    /// The ladder of the last attempt.
    ladder: Ladder,
    /// An answer was heard that another node may contradict: nobody on another ladder is asked about
    /// it.
    doubted: Option<Doubted>,
    /// Who is to be asked about it before anyone else; the last first.
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
    failures: Failures,
    /// The best-telling failure so far.
    telling: Option<Verdict>,
    kept: bool,
    is_over: bool,
    /// Nodes had too much to do to take it, so often.
    overloads: u32,
    /// It found no place in time.
    is_turned_away: bool,
    used_once: bool,
    /// Somebody was asked of whom it is known that the block is too old for it.
    asked_too_old: bool,
    /// A miss taught what wasn't known: so few of them can be that the next repeat is free.
    was_taught: bool,
    /// Whether the next repeat costs a token of the budget.
    is_free: bool,
}

impl<'a> Journey<'a> {
    pub fn new(treatment: Treatment, allowance: Allowance, needs: Needs<'a>) -> Journey<'a> {
        Journey {
            treatment,
            allowance,
            needs: Needs {
                caution: Caution::Whole,
                ..needs
            },
            tried: SmallVec::new(),
            tried_before: 0,
            avoided: Vec::new(),
            uncounted: 0,
            ladder: Ladder::Own,
            doubted: None,
            confirmers: Vec::new(),
            digger: None,
            asked_own: false,
            asks_beyond: false,
            all_broke: true,
            fell_back: false,
            waits_until: None,
            failures: Failures::default(),
            telling: None,
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

    /// These nodes are asked only where no other of their ladder is left.
    pub fn avoid(&mut self, nodes: Vec<NodeId>) {
        self.avoided = nodes;
    }

    /// Nodes asked so far.
    pub fn attempts(&self) -> usize {
        self.tried_before + self.tried.len() + self.overloads as usize
    }

    /// Whom they were.
    pub fn tried(&self) -> &[NodeId] {
        &self.tried
    }

    pub fn repeat(&self) -> Repeat {
        self.treatment.repeat()
    }

    /// Whether `node` is asked because it goes back furthest.
    pub fn digs(&self, node: NodeId) -> bool {
        self.digger == Some(node)
    }

    /// Whether a node that is asked next is to confirm a `null`.
    pub fn confirms_null(&self) -> bool {
        self.doubted == Some(Doubted::Null)
    }

    /// The next step. `draw` picks a node that is not among those given and meets the needs;
    /// `withdraw` pays for a repeat.
    pub fn next(
        &mut self,
        now: Instant,
        mut draw: impl FnMut(Ladder, &[NodeId], &Needs<'a>) -> Option<NodeId>,
        withdraw: impl FnOnce() -> bool,
    ) -> Step {
        let picked = if !self.is_spent(now) {
            self.pick(now, &mut draw)
        } else if self.may_fall_back(now) {
            self.pick_one_more(&mut draw)
        } else {
            Pick::Nobody
        };
        let (node, ladder) = match picked {
            Pick::Node(node, ladder) => (node, ladder),
            Pick::Later(until) => return Step::WaitUntil(until),
            Pick::Nobody => return self.finish(now),
        };
        if !self.tried.is_empty() && !self.is_free && !withdraw() {
            return self.finish(now);
        }
        self.tried.push(node);
        self.ladder = ladder;
        self.asked_own |= ladder == Ladder::Own;
        Step::Ask {
            node,
            until: self.attempt_end(now),
            ladder,
        }
    }

    /// An own node that meets the needs, to be asked while the last one is still waited for, and
    /// until when. `withdraw` pays for it, whatever was heard before, but only once `draw` has
    /// found one. The way itself, and its wait for a block, stay as they are.
    pub fn beside(
        &mut self,
        now: Instant,
        draw: impl FnOnce(&[NodeId], &Needs<'a>) -> Option<NodeId>,
        withdraw: impl FnOnce() -> bool,
    ) -> Option<(NodeId, Instant)> {
        let stays_elsewhere = self.doubted.is_some() && self.ladder != Ladder::Own;
        if self.is_spent(now) || stays_elsewhere {
            return None;
        }
        let passed = [&self.tried[..], &self.avoided[..]].concat();
        let node = draw(&passed, &self.needs)?;
        if !withdraw() {
            return None;
        }
        self.tried.push(node);
        Some((node, self.attempt_end(now)))
    }

    /// Whether nobody is asked any more.
    fn is_spent(&self, now: Instant) -> bool {
        let counted = self.tried.len() - self.uncounted;
        let is_spent = counted >= self.allowance.attempts_max as usize;
        self.is_over || is_spent || now >= self.allowance.deadline
    }

    /// The last attempt doesn't count: its node may be asked again, free of charge.
    pub fn take_back(&mut self) {
        self.tried.pop();
        self.is_free = true;
    }

    /// Until when an attempt may last that begins now.
    pub fn attempt_end(&self, now: Instant) -> Instant {
        (now + self.allowance.attempt).min(self.allowance.deadline)
    }

    fn finish(&self, now: Instant) -> Step {
        let shut = self.telling.and_then(|told| told.shut());
        let refusal = match self.telling.map(|told| told.class) {
            Some(_) if self.kept => return Step::Finish(Ending::Kept),
            Some(_) | None if self.is_turned_away => Refusal::OverCapacity,
            Some(Class::Throttled) => Refusal::RateLimited { seconds: 1 },
            Some(Class::Timeout | Class::NodeTimeout) => Refusal::Timeout,
            Some(Class::RequestSize) => Refusal::CallTooLarge,
            Some(Class::Shut) if shut == Some(Shut::Quota) => Refusal::QuotaSpent {
                seconds: SHUT_REST.as_secs(),
            },
            Some(Class::Shut) => Refusal::NotLetIn,
            Some(
                Class::Ok
                | Class::RpcError
                | Class::Limit
                | Class::Unsupported
                | Class::MissingData
                | Class::NoConnection
                | Class::Transport
                | Class::BadAnswer
                | Class::Unknown
                | Class::Cancelled,
            ) => return Step::Finish(Ending::Unserved),
            None if self.overloads > 0 => Refusal::OverCapacity,
            None if now >= self.allowance.deadline => Refusal::Timeout,
            None => Refusal::NoNode,
        };
        Step::Finish(Ending::Refused(refusal))
    }

    /// How it ended without a usable answer. `is_own`: see [`Settled`](super::doubts::Settled).
    pub fn failed(&self, is_own: bool) -> Failed {
        self.failures.end(self.repeat(), is_own)
    }

    /// Hears what an attempt came to. `has_body`: the node said it in a JSON-RPC error.
    pub fn hear(&mut self, verdict: impl Into<Verdict>, has_body: bool) -> Use {
        let verdict = verdict.into();
        let class = verdict.class;
        let again = self.may_go_on(class);
        self.all_broke &= matches!(
            class,
            Class::NoConnection | Class::Transport | Class::BadAnswer
        );
        if class == Class::NoConnection && self.tried.len() < ATTEMPTS_WITH_REFUSED_MAX {
            self.uncounted += 1;
        }
        let says_more = self
            .telling
            .is_none_or(|told| says_as_much(&verdict, &told));
        let is_last_word = !again && has_body && class != Class::Shut && says_more;
        if class == Class::Ok || is_last_word {
            return Use::Deliver;
        }
        self.failures.add(class);
        self.is_over |= !again;
        self.is_free = class.is_unexecuted() || std::mem::take(&mut self.was_taught);
        if !says_more {
            return Use::Drop;
        }
        self.telling = Some(verdict);
        self.kept = has_body && passes_on(class);
        if self.kept { Use::Keep } else { Use::Drop }
    }

    fn may_go_on(&mut self, class: Class) -> bool {
        if self.treatment.repeat() == Repeat::IfUnexecuted && !class.is_unexecuted() {
            return false;
        }
        match class.elsewhere() {
            Elsewhere::Never => false,
            Elsewhere::WhileAttemptsLast => true,
            Elsewhere::Once => {
                let is_barred = match self.treatment {
                    Treatment::Heavy => class == Class::NodeTimeout,
                    Treatment::Broadcast => class == Class::Unknown,
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
    use super::*;
    use crate::domain::block::{Need, Reads, Wish};
    use crate::domain::chain::BlockNumber;
    use crate::domain::confirmation::Confirmers;
    use crate::domain::depth::Gap;
    use crate::domain::fleet::{Fleet, Member, Yardstick};
    use crate::domain::health::Hysteresis;
    use crate::domain::leader_share::Word;
    use crate::domain::node::{Rung, Weight};
    use crate::domain::overload::Overload;
    use crate::domain::verdict::{Ceiling, Meaning, Missing, Quantity};

    fn journey(treatment: Treatment) -> Journey<'static> {
        speaking(treatment, None)
    }

    /// Of block 7, and waits for it up to 12 seconds.
    fn of_block_7(reads: Reads) -> Journey<'static> {
        let number = BlockNumber(7);
        let (from, to) = (number, number);
        speaking(Treatment::Read, Some(Need { from, to, reads }))
    }

    fn speaking(treatment: Treatment, block: Option<Need>) -> Journey<'static> {
        let deadline = crate::clock::now() + Duration::from_secs(30);
        let attempt = Duration::from_secs(5);
        Journey::new(
            treatment,
            Allowance {
                attempts_max: 3,
                attempt,
                deadline,
                fails_open: true,
                block_wait: Some(Duration::from_secs(12)),
            },
            Needs {
                block,
                ..Needs::default()
            },
        )
    }

    /// Own nodes 1 to `own`, the leader 0.
    fn drawing(own: u32) -> impl FnMut(Ladder, &[NodeId], &Needs<'_>) -> Option<NodeId> {
        move |ladder, passed, _| {
            let nodes: Vec<_> = match ladder {
                Ladder::Own => (1..=own).collect(),
                Ladder::Fallback => vec![0],
                Ladder::LastResort => vec![],
            };
            nodes
                .into_iter()
                .map(NodeId)
                .find(|node| !passed.contains(node))
        }
    }

    #[test]
    fn refused_connections_do_not_use_up_the_attempts() {
        let mut journey = journey(Treatment::Read);
        for node in 1..=8 {
            assert_eq!(asked(&mut journey, 20), Some(node));
            assert_eq!(journey.hear(Class::NoConnection, false), Use::Drop);
        }
        for node in 9..=10 {
            assert_eq!(asked(&mut journey, 20), Some(node));
            journey.hear(Class::Timeout, false);
        }
        assert_eq!(asked(&mut journey, 20), None, "8, and two beyond them");
    }

    #[test]
    fn where_all_own_nodes_broke_off_the_fallback_is_asked_once_more() {
        for (class, own, wanted) in [
            (Class::Transport, 3, Some(0)),
            (Class::BadAnswer, 3, Some(0)),
            (Class::Timeout, 3, None),
            (Class::Transport, 4, None),
        ] {
            let mut journey = journey(Treatment::Read);
            for node in 1..=3 {
                assert_eq!(asked(&mut journey, own), Some(node));
                journey.hear(class, false);
            }
            assert_eq!(asked(&mut journey, own), wanted, "{class:?} of {own}");
            journey.hear(class, false);
            assert_eq!(asked(&mut journey, own), None, "once");
        }
    }

    #[test]
    fn a_node_that_has_too_much_to_do_may_be_asked_again_and_costs_no_attempt() {
        let busy = |class: Class| Verdict {
            overload: Some(Overload::Refused),
            ..class.into()
        };
        let mut read = journey(Treatment::Read);
        for _ in 0..20 {
            assert_eq!(asked(&mut read, 1), Some(1));
            assert_eq!(
                read.hear_overload(NodeId(1), busy(Class::Transport)),
                Use::Drop
            );
        }
        assert_eq!(read.attempts(), 20, "for show");
        assert_eq!(asked(&mut read, 1), Some(1));
        read.turn_away();
        let over = Step::Finish(Ending::Refused(Refusal::OverCapacity));
        let now = crate::clock::now();
        assert_eq!(read.next(now, drawing(1), || true), over);
        // What may have run isn't run again; what was let wait is an attempt as any other.
        let mut once = journey(Treatment::Once);
        asked(&mut once, 2);
        once.hear_overload(NodeId(1), busy(Class::Transport));
        assert_eq!(asked(&mut once, 2), None);
        let mut read = journey(Treatment::Read);
        assert_eq!(asked(&mut read, 2), Some(1));
        let waited = Verdict {
            overload: Some(Overload::Waited),
            ..Class::Timeout.into()
        };
        read.hear_overload(NodeId(1), waited);
        assert_eq!(asked(&mut read, 2), Some(2));
    }

    #[test]
    fn of_two_at_once_the_one_that_has_too_much_to_do_may_be_asked_again() {
        let busy = Verdict {
            overload: Some(Overload::Refused),
            ..Class::Throttled.into()
        };
        let second = |passed: &[NodeId], needs: &Needs<'_>| drawing(3)(Ladder::Own, passed, needs);
        for (refuses, is_under_way) in [(1, 2), (2, 1)] {
            let mut read = journey(Treatment::Read);
            assert_eq!(asked(&mut read, 3), Some(1));
            let now = crate::clock::now();
            let beside = read.beside(now, second, || true);
            assert_eq!(beside.map(|(node, _)| node), Some(NodeId(2)));
            read.hear_overload(NodeId(refuses), busy);
            assert_eq!(read.tried(), [NodeId(is_under_way)]);
        }
    }

    #[test]
    fn who_finds_no_place_goes_where_there_is_one_or_keeps_what_was_said() {
        let mut read = journey(Treatment::Read);
        assert_eq!(asked(&mut read, 3), Some(1));
        assert_eq!(read.wants().1, []);
        read.divert(NodeId(3));
        assert_eq!(read.hear(Class::MissingData, true), Use::Keep);
        assert_eq!(asked(&mut read, 3), Some(1), "it wasn't asked");
        assert_eq!(read.wants().1, [NodeId(3)]);
        read.turn_away();
        let now = crate::clock::now();
        assert_eq!(
            read.next(now, drawing(3), || true),
            Step::Finish(Ending::Kept)
        );
    }

    #[test]
    fn a_call_that_ran_into_a_nodes_time_limit_is_not_run_again() {
        let geth = "execution aborted (timeout = 5s)";
        let seconds = Duration::from_secs;
        assert!(is_time_limit(geth, seconds(5)) && is_time_limit(geth, seconds(2)));
        assert!(
            !is_time_limit(geth, Duration::from_millis(1999)),
            "it had no time"
        );
        assert!(!is_time_limit("request timed out", seconds(5)));
        let quoted = "execution reverted: execution aborted (timeout = 5s)";
        assert!(!is_time_limit(quoted, seconds(5)), "a contract's text");
    }

    #[test]
    fn a_second_node_is_paid_for_only_where_there_is_one_and_then_always() {
        let now = crate::clock::now();
        let mut journey = journey(Treatment::Read);
        assert_eq!(asked(&mut journey, 2), Some(1));
        let unpaid = || -> bool { panic!("nobody is there to be paid for") };
        assert_eq!(journey.beside(now, |_, _| None, unpaid), None);
        let second = |passed: &[NodeId], needs: &Needs<'_>| drawing(2)(Ladder::Own, passed, needs);
        assert_eq!(journey.beside(now, second, || false), None, "even at first");
        assert_eq!(journey.attempts(), 1);
        let beside = journey.beside(now, second, || true);
        assert_eq!(beside.map(|(node, _)| node), Some(NodeId(2)));
        assert_eq!(journey.attempts(), 2);
    }

    #[test]
    fn looking_for_a_second_node_begins_no_wait_for_a_block() {
        let now = crate::clock::now();
        let mut journey = of_block_7(Reads::Block);
        let one =
            |_: Ladder, passed: &[NodeId], _: &Needs<'_>| passed.is_empty().then_some(NodeId(1));
        journey.next(now, one, || true);
        assert_eq!(journey.beside(now, |_, _| None, || true), None);
        assert_eq!(journey.waits_until, None);
    }

    fn asked(journey: &mut Journey<'_>, own: u32) -> Option<u32> {
        match journey.next(crate::clock::now(), drawing(own), || true) {
            Step::Ask { node, .. } => Some(node.0),
            Step::Finish(_) | Step::WaitUntil(_) => None,
        }
    }

    fn ending(journey: &mut Journey<'_>) -> Ending {
        match journey.next(crate::clock::now(), drawing(1), || true) {
            Step::Finish(ending) => ending,
            Step::Ask { .. } | Step::WaitUntil(_) => panic!("it goes on"),
        }
    }

    #[test]
    fn a_read_goes_from_node_to_node_and_then_to_the_leader() {
        let mut journey = journey(Treatment::Read);
        for wanted in [1, 2, 0] {
            assert_eq!(asked(&mut journey, 2), Some(wanted));
            assert_eq!(journey.hear(Class::Transport, false), Use::Drop);
        }
        assert_eq!(asked(&mut journey, 2), None, "three attempts are all");
    }

    #[test]
    fn what_a_node_may_have_executed_is_never_repeated() {
        for treatment in [Treatment::Once, Treatment::Unknown] {
            for class in [Class::Transport, Class::Timeout, Class::BadAnswer] {
                let mut journey = journey(treatment);
                asked(&mut journey, 2);
                journey.hear(class, false);
                assert_eq!(asked(&mut journey, 2), None, "{treatment:?} {class:?}");
            }
            for class in [Class::NoConnection, Class::Throttled, Class::Unsupported] {
                let mut journey = journey(treatment);
                asked(&mut journey, 2);
                journey.hear(class, false);
                assert_eq!(asked(&mut journey, 2), Some(2), "{treatment:?} {class:?}");
            }
        }
    }

    #[test]
    fn a_revert_is_delivered_at_once() {
        let mut journey = journey(Treatment::Read);
        asked(&mut journey, 2);
        assert_eq!(journey.hear(Class::RpcError, true), Use::Deliver);
    }

    #[test]
    fn an_unknown_error_is_asked_about_once_and_for_a_write_never() {
        let mut read = journey(Treatment::Read);
        asked(&mut read, 3);
        assert_eq!(read.hear(Class::Unknown, true), Use::Keep);
        asked(&mut read, 3);
        assert_eq!(read.hear(Class::Unknown, true), Use::Deliver);
        let mut write = journey(Treatment::Broadcast);
        asked(&mut write, 3);
        assert_eq!(write.hear(Class::Unknown, true), Use::Deliver);
    }

    #[test]
    fn a_heavy_call_that_timed_out_on_its_node_is_not_asked_elsewhere() {
        let mut journey = journey(Treatment::Heavy);
        asked(&mut journey, 3);
        assert_eq!(journey.hear(Class::NodeTimeout, true), Use::Deliver);
    }

    #[test]
    fn the_client_gets_the_error_that_says_most() {
        let mut journey = journey(Treatment::Read);
        asked(&mut journey, 2);
        assert_eq!(journey.hear(Class::MissingData, true), Use::Keep);
        asked(&mut journey, 2);
        assert_eq!(journey.hear(Class::Transport, false), Use::Drop);
        asked(&mut journey, 2);
        assert_eq!(journey.hear(Class::Throttled, true), Use::Drop);
        assert_eq!(ending(&mut journey), Ending::Kept);
    }

    #[test]
    fn the_last_error_is_not_told_where_an_earlier_one_says_more() {
        let mut journey = journey(Treatment::Heavy);
        asked(&mut journey, 2);
        assert_eq!(journey.hear(Class::MissingData, true), Use::Keep);
        asked(&mut journey, 2);
        assert_eq!(journey.hear(Class::NodeTimeout, true), Use::Drop);
        assert_eq!(ending(&mut journey), Ending::Kept);
    }

    #[test]
    fn a_nodes_billing_error_is_told_in_our_words_and_outweighs_a_broken_connection() {
        for (why, refusal) in [
            (Shut::Quota, Refusal::QuotaSpent { seconds: 60 }),
            (Shut::Auth, Refusal::NotLetIn),
        ] {
            let mut journey = journey(Treatment::Unknown);
            asked(&mut journey, 1);
            assert_eq!(journey.hear(Meaning::Shut(why), true), Use::Drop);
            asked(&mut journey, 1);
            assert_eq!(journey.hear(Class::NoConnection, false), Use::Drop);
            assert_eq!(ending(&mut journey), Ending::Refused(refusal));
        }
    }

    fn limit(number: Option<u64>) -> Verdict {
        let on = Quantity::Blocks;
        Verdict {
            ceiling: Some(Ceiling { on, number }),
            ..Meaning::Range.into()
        }
    }

    #[test]
    fn a_nodes_own_limit_is_asked_elsewhere_and_the_widest_is_told() {
        let mut served = journey(Treatment::Heavy);
        asked(&mut served, 2);
        assert_eq!(served.hear(limit(Some(1000)), true), Use::Keep);
        assert_eq!(asked(&mut served, 2), Some(2));
        assert_eq!(served.hear(Class::Ok, true), Use::Deliver);
        for (second, wanted) in [
            (Some(500), Use::Drop),
            (Some(5000), Use::Keep),
            (None, Use::Drop),
        ] {
            let mut refused = journey(Treatment::Heavy);
            asked(&mut refused, 1);
            assert_eq!(refused.hear(limit(Some(1000)), true), Use::Keep);
            assert_eq!(asked(&mut refused, 1), Some(0), "the leader");
            assert_eq!(refused.hear(limit(second), true), wanted, "{second:?}");
            assert_eq!(ending(&mut refused), Ending::Kept);
        }
        let mut wordless = journey(Treatment::Heavy);
        asked(&mut wordless, 1);
        assert_eq!(wordless.hear(limit(None), true), Use::Keep);
        asked(&mut wordless, 1);
        assert_eq!(
            wordless.hear(limit(None), true),
            Use::Keep,
            "the last heard"
        );
        let mut paid = journey(Treatment::Heavy);
        asked(&mut paid, 2);
        paid.hear(limit(None), true);
        let step = paid.next(crate::clock::now(), drawing(2), || false);
        assert_eq!(step, Step::Finish(Ending::Kept), "within the budget");
    }

    #[test]
    fn a_call_too_long_for_one_node_is_asked_elsewhere_for_nothing() {
        let mut journey = journey(Treatment::Once);
        asked(&mut journey, 2);
        assert_eq!(journey.hear(Class::RequestSize, true), Use::Drop);
        let step = journey.next(crate::clock::now(), drawing(2), || false);
        assert!(matches!(step, Step::Ask { .. }), "{step:?}");
        journey.hear(Class::RequestSize, false);
        assert_eq!(asked(&mut journey, 2), Some(0));
        journey.hear(Class::RequestSize, false);
        assert_eq!(ending(&mut journey), Ending::Refused(Refusal::CallTooLarge));
    }

    #[test]
    fn who_is_avoided_is_asked_after_the_others_and_before_the_leader() {
        let mut journey = journey(Treatment::Heavy);
        journey.avoid(vec![NodeId(1)]);
        for wanted in [2, 1, 0] {
            assert_eq!(asked(&mut journey, 2), Some(wanted));
            journey.hear(Class::Transport, false);
        }
    }

    #[test]
    fn without_any_node_there_is_no_node_and_after_the_deadline_a_timeout() {
        let mut journey = journey(Treatment::Read);
        let none = |_: Ladder, _: &[NodeId], _: &Needs<'_>| None;
        let now = crate::clock::now();
        assert_eq!(
            journey.next(now, none, || true),
            Step::Finish(Ending::Refused(Refusal::NoNode))
        );
        let late = now + Duration::from_secs(31);
        assert_eq!(
            journey.next(late, none, || true),
            Step::Finish(Ending::Refused(Refusal::Timeout))
        );
    }

    #[test]
    fn an_empty_budget_stops_repeats_but_not_those_that_cost_no_node_anything() {
        let mut spent = journey(Treatment::Read);
        asked(&mut spent, 2);
        spent.hear(Class::Timeout, false);
        let step = spent.next(crate::clock::now(), drawing(2), || false);
        assert_eq!(step, Step::Finish(Ending::Refused(Refusal::Timeout)));
        let mut free = journey(Treatment::Read);
        asked(&mut free, 2);
        free.hear(Class::NoConnection, false);
        assert!(matches!(
            free.next(crate::clock::now(), drawing(2), || false),
            Step::Ask { .. }
        ));
    }

    #[test]
    fn the_last_attempt_ends_with_the_deadline() {
        let mut journey = journey(Treatment::Read);
        let now = journey.allowance.deadline - Duration::from_secs(1);
        let Step::Ask { until, .. } = journey.next(now, drawing(1), || true) else {
            panic!("nobody asked");
        };
        assert_eq!(until, journey.allowance.deadline);
    }

    #[test]
    fn refusing_when_none_is_fit_asks_no_last_resort() {
        let mut journey = journey(Treatment::Read);
        journey.allowance.fails_open = false;
        let last = |ladder: Ladder, _: &[NodeId], _: &Needs<'_>| {
            (ladder == Ladder::LastResort).then_some(NodeId(1))
        };
        let step = journey.next(crate::clock::now(), last, || true);
        assert_eq!(step, Step::Finish(Ending::Refused(Refusal::NoNode)));
    }

    #[test]
    fn a_null_is_asked_about_once_more_for_nothing_and_then_of_the_leader() {
        let mut journey = journey(Treatment::Read);
        journey.allowance.attempts_max = 1;
        assert_eq!(asked(&mut journey, 2), Some(1));
        assert_eq!(journey.hear_null(nobody), Use::Keep);
        let step = journey.next(crate::clock::now(), drawing(2), || false);
        assert!(
            matches!(
                step,
                Step::Ask {
                    node: NodeId(2),
                    ..
                }
            ),
            "{step:?}"
        );
        assert_eq!(journey.own_word(), Some(Word::Nothing));
        assert_eq!(journey.hear_null(nobody), Use::Keep);
        assert_eq!(asked(&mut journey, 3), Some(0), "no third own node");
        assert_eq!(journey.hear_null(nobody), Use::Deliver);
        let mut alone = self::journey(Treatment::Read);
        asked(&mut alone, 1);
        assert_eq!(alone.hear_null(nobody), Use::Keep);
        assert_eq!(asked(&mut alone, 1), Some(0));
        assert_eq!(alone.hear_null(nobody), Use::Deliver);
        let mut withheld = self::journey(Treatment::Read);
        asked(&mut withheld, 1);
        assert_eq!(withheld.hear_null(nobody), Use::Keep);
        assert_eq!(
            withheld.next(crate::clock::now(), own_alone, || true),
            Step::Finish(Ending::Kept)
        );
    }

    /// Nobody but own node 1.
    fn own_alone(ladder: Ladder, passed: &[NodeId], _: &Needs<'_>) -> Option<NodeId> {
        (ladder == Ladder::Own && passed.is_empty()).then_some(NodeId(1))
    }

    #[test]
    fn own_nodes_word_is_what_they_say_they_lack_and_not_how_they_fail() {
        let said = |verdict: Verdict| {
            let mut journey = journey(Treatment::Read);
            asked(&mut journey, 2);
            journey.hear(verdict, true);
            journey.own_word()
        };
        for (verdict, wanted) in [
            (Meaning::Unsupported.into(), Some(Word::NoMethod)),
            (Meaning::NoResult.into(), Some(Word::NoResult)),
            (Meaning::Missing(Missing::Unsaid).into(), Some(Word::NoData)),
            (Meaning::Range.into(), Some(Word::TooMuch)),
            (Meaning::Unknown.into(), None),
            (Class::Transport.into(), None),
            (Class::Timeout.into(), None),
        ] {
            assert_eq!(said(verdict), wanted, "{verdict:?}");
        }
        let mut by_leader = journey(Treatment::Read);
        assert_eq!(asked(&mut by_leader, 0), Some(0));
        by_leader.hear(Class::MissingData, true);
        assert_eq!(by_leader.own_word(), None);
    }

    fn nobody(_: Ladder, _: Option<Need>, _: &[NodeId]) -> Confirmers {
        Confirmers::default()
    }

    #[test]
    fn those_who_may_know_more_are_asked_about_a_null_one_after_the_other() {
        let mut journey = journey(Treatment::Read);
        assert_eq!(asked(&mut journey, 5), Some(1));
        let find = |ladder, _: Option<Need>, tried: &[NodeId]| {
            assert_eq!((ladder, tried), (Ladder::Own, &[NodeId(1)][..]));
            Confirmers {
                nodes: vec![NodeId(4), NodeId(3)],
                digger: Some(NodeId(4)),
            }
        };
        assert!(!journey.digs(NodeId(1)));
        assert_eq!(journey.hear_null(find), Use::Keep);
        assert_eq!(asked(&mut journey, 5), Some(3));
        assert!(!journey.digs(NodeId(3)));
        assert_eq!(journey.hear_null(nobody), Use::Keep);
        assert_eq!(asked(&mut journey, 5), Some(4));
        assert!(journey.digs(NodeId(4)));
        assert_eq!(journey.hear_null(nobody), Use::Keep);
        assert_eq!(asked(&mut journey, 5), Some(0), "the leader after them");
        assert_eq!(journey.hear_null(nobody), Use::Deliver, "they all say so");
    }

    #[test]
    fn who_is_asked_without_going_back_furthest_says_nothing_of_who_does() {
        let builder = |_: Ladder, _: Option<Need>, _: &[NodeId]| Confirmers {
            nodes: vec![NodeId(3)],
            digger: None,
        };
        let mut read = journey(Treatment::Read);
        asked(&mut read, 5);
        assert_eq!(read.hear_null(builder), Use::Keep);
        assert_eq!(asked(&mut read, 5), Some(3));
        assert!(!read.digs(NodeId(3)), "it is the only one there");
        // Nor does one that is asked as anybody, after it began anew.
        let deepest = |_: Ladder, _: Option<Need>, _: &[NodeId]| Confirmers {
            nodes: vec![NodeId(4)],
            digger: Some(NodeId(4)),
        };
        let mut again = journey(Treatment::Read);
        asked(&mut again, 5);
        assert_eq!(again.hear_null(deepest), Use::Keep);
        again.begin_anew();
        assert!(!again.digs(NodeId(4)));
        assert_eq!(asked(&mut again, 5), Some(1));
        assert_eq!(again.hear_stray(), Use::Keep);
        assert_eq!(asked(&mut again, 5), Some(2), "it was of another answer");
    }

    #[test]
    fn a_null_that_nobody_can_confirm_is_the_answer() {
        let mut journey = journey(Treatment::Read);
        asked(&mut journey, 2);
        assert_eq!(journey.hear_null(nobody), Use::Keep);
        asked(&mut journey, 2);
        assert_eq!(journey.hear(Class::Transport, false), Use::Drop);
        let step = journey.next(crate::clock::now(), own_alone, || true);
        assert_eq!(step, Step::Finish(Ending::Kept));
    }

    /// Own node 1 has no block 7; whoever is asked for less than the block is found.
    fn lacking(ladder: Ladder, passed: &[NodeId], needs: &Needs<'_>) -> Option<NodeId> {
        let is_there = ladder == Ladder::Own && needs.block.is_none();
        (is_there && passed.is_empty()).then_some(NodeId(1))
    }

    #[test]
    fn a_call_waits_one_block_time_for_its_block_and_is_then_asked_all_the_same() {
        let mut journey = of_block_7(Reads::State);
        let now = crate::clock::now();
        let until = now + Duration::from_secs(12);
        for passed in [0, 5, 11] {
            let now = now + Duration::from_secs(passed);
            assert_eq!(journey.next(now, lacking, || true), Step::WaitUntil(until));
        }
        let step = journey.next(until, lacking, || true);
        assert!(
            matches!(
                step,
                Step::Ask {
                    node: NodeId(1),
                    ..
                }
            ),
            "{step:?}"
        );
        assert!(matches!(
            journey.next(until, lacking, || true),
            Step::Finish(_)
        ));
    }

    #[test]
    fn a_wait_leaves_time_to_ask_and_ends_when_a_node_has_the_block() {
        let mut short = of_block_7(Reads::State);
        let now = crate::clock::now();
        short.allowance.deadline = now + Duration::from_secs(4);
        let until = now + Duration::from_secs(2);
        assert_eq!(short.next(now, lacking, || true), Step::WaitUntil(until));
        assert!(matches!(
            short.next(now, drawing(1), || true),
            Step::Ask { .. }
        ));
        let mut impatient = of_block_7(Reads::State);
        impatient.allowance.block_wait = None;
        assert!(matches!(
            impatient.next(now, lacking, || true),
            Step::Ask { .. }
        ));
    }

    #[test]
    fn what_all_have_pruned_is_asked_at_once() {
        let mut journey = of_block_7(Reads::State);
        let pruned = |_: Ladder, _: &[NodeId], needs: &Needs<'_>| {
            let reads = needs.block.map(|need| need.reads);
            (reads != Some(Reads::State)).then_some(NodeId(3))
        };
        let step = journey.next(crate::clock::now(), pruned, || true);
        assert!(
            matches!(
                step,
                Step::Ask {
                    node: NodeId(3),
                    ..
                }
            ),
            "{step:?}"
        );
    }

    #[test]
    fn who_is_not_fit_is_asked_for_a_block_only_after_every_fit_node_without_it() {
        // Node 9 has the block and isn't fit; 1 and the leader 0 are fit and lack it.
        let unfit_has_it = |ladder: Ladder, passed: &[NodeId], needs: &Needs<'_>| {
            let lacks = needs.block.is_some();
            let node = match ladder {
                Ladder::Own => NodeId(1),
                Ladder::Fallback => NodeId(0),
                Ladder::LastResort => NodeId(9),
            };
            let is_open = !passed.contains(&node) && (ladder == Ladder::LastResort || !lacks);
            is_open.then_some(node)
        };
        let mut journey = of_block_7(Reads::Block);
        let now = crate::clock::now();
        let until = now + Duration::from_secs(12);
        let step = journey.next(now, unfit_has_it, || true);
        assert_eq!(step, Step::WaitUntil(until), "it waits first");
        for (node, ladder) in [
            (1, Ladder::Own),
            (0, Ladder::Fallback),
            (9, Ladder::LastResort),
        ] {
            match journey.next(until, unfit_has_it, || true) {
                Step::Ask {
                    node: asked,
                    ladder: of,
                    ..
                } => assert_eq!((asked, of), (NodeId(node), ladder)),
                other => panic!("{other:?}"),
            }
            journey.hear(Class::MissingData, true);
        }
        let mut nobody_fit = of_block_7(Reads::Block);
        let step = nobody_fit.next(
            now,
            |ladder, _, _| (ladder == Ladder::LastResort).then_some(NodeId(9)),
            || true,
        );
        assert!(matches!(step, Step::Ask { .. }), "{step:?}");
    }

    #[test]
    fn a_block_that_only_the_leader_has_is_asked_of_the_leader() {
        let mut journey = of_block_7(Reads::Block);
        let leader = |ladder: Ladder, _: &[NodeId], needs: &Needs<'_>| match ladder {
            Ladder::Own => needs.block.is_none().then_some(NodeId(1)),
            Ladder::Fallback => Some(NodeId(0)),
            Ladder::LastResort => None,
        };
        let step = journey.next(crate::clock::now(), leader, || true);
        assert!(
            matches!(
                step,
                Step::Ask {
                    node: NodeId(0),
                    ..
                }
            ),
            "{step:?}"
        );
    }

    #[test]
    fn who_lacks_data_sends_the_call_to_the_fresher_or_the_deeper_and_shows_its_depth() {
        let now = crate::clock::now();
        let node = |head| {
            let mut fleet = Fleet::new(Yardstick {
                chain_id: None,
                block_time: Duration::from_secs(12),
                look: Duration::from_secs(5),
                lag_blocks_max: 10,
                hysteresis: Hysteresis { rise: 2, fall: 3 },
            });
            let member = Member {
                id: NodeId(1),
                name: "a".into(),
                rung: Rung::Own,
                weight: Weight::ONE,
            };
            fleet.replace(vec![member], now);
            let mut view = fleet.view().nodes.remove(0);
            view.head = Some(BlockNumber(head));
            view
        };
        let odd = |head| {
            let verdict = of_block_7(Reads::Receipts).weigh(Meaning::OddRange.into(), &node(head));
            verdict.missing()
        };
        assert_eq!(
            (odd(7), odd(6)),
            (None, Some(Missing::Newer)),
            "an odd range"
        );
        for (reads, missing, head, wish, shown) in [
            (Reads::State, Missing::Newer, 100, Wish::Freshest, None),
            (Reads::State, Missing::Unsaid, 6, Wish::Freshest, None),
            (Reads::State, Missing::Unsaid, 70, Wish::Deepest, None),
            (Reads::State, Missing::Unsaid, 71, Wish::Deepest, Some(7)),
            (Reads::State, Missing::Older, 71, Wish::Deepest, Some(7)),
            (Reads::State, Missing::Older, 70, Wish::Deepest, None),
            (Reads::State, Missing::Lost, 8, Wish::Deepest, Some(7)),
            (Reads::State, Missing::Lost, 7, Wish::Deepest, None),
            (Reads::Proof, Missing::Lost, 71, Wish::Deepest, Some(7)),
            (Reads::Receipts, Missing::Older, 71, Wish::Deepest, Some(7)),
            (Reads::Receipts, Missing::Older, 70, Wish::Deepest, None),
            (Reads::Head, Missing::Older, 71, Wish::Deepest, None),
        ] {
            let mut journey = of_block_7(reads);
            let missed = journey.miss(&node(head), missing, "at block 7");
            let shown = shown.map(|number| Gap {
                reads,
                block: BlockNumber(number),
                is_lost: missing == Missing::Lost,
            });
            assert_eq!(missed, shown, "{missing:?} {head}");
            assert_eq!(journey.needs.wish, wish, "{missing:?} {head}");
        }
        let mut by_hash = journey(Treatment::Read);
        assert_eq!(by_hash.miss(&node(100), Missing::Older, ""), None);
        let mut another = of_block_7(Reads::State);
        assert_eq!(another.miss(&node(100), Missing::Lost, "at block 6"), None);
        assert_eq!(by_hash.needs.wish, Wish::Deepest);
    }
}

//! One call's way from node to node: whom to ask next, and when to stop.

use std::time::{Duration, Instant};

use super::method::{Repeat, Treatment};
use super::node::NodeId;
use super::refusal::Refusal;
use super::select::Ladder;
use super::verdict::{Class, Elsewhere};

/// What a call may use up.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    pub attempts_max: u32,
    pub attempt: Duration,
    pub deadline: Instant,
    /// Whether nodes that are not fit are asked when no other is left.
    pub fails_open: bool,
}

/// What the call does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Ask {
        node: NodeId,
        until: Instant,
        ladder: Ladder,
    },
    Finish(Ending),
}

/// How a call ends that no node could serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the error of a node that says most: the one kept (see [`Journey::hear`]).
    Kept,
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
pub struct Journey {
    treatment: Treatment,
    allowance: Allowance,
    tried: Vec<NodeId>,
    /// The best-telling failure so far.
    telling: Option<Class>,
    kept: bool,
    is_over: bool,
    used_once: bool,
    /// Whether the next repeat costs a token of the budget.
    is_free: bool,
}

impl Journey {
    pub fn new(treatment: Treatment, allowance: Allowance) -> Journey {
        Journey {
            treatment,
            allowance,
            tried: Vec::new(),
            telling: None,
            kept: false,
            is_over: false,
            used_once: false,
            is_free: true,
        }
    }

    /// Nodes asked so far.
    pub fn attempts(&self) -> usize {
        self.tried.len()
    }

    pub fn repeat(&self) -> Repeat {
        self.treatment.repeat()
    }

    /// The next step. `draw` picks a node that is not among those given; `withdraw` pays for a
    /// repeat.
    pub fn next(
        &mut self,
        now: Instant,
        mut draw: impl FnMut(Ladder, &[NodeId]) -> Option<NodeId>,
        withdraw: impl FnOnce() -> bool,
    ) -> Step {
        let is_spent = self.tried.len() >= self.allowance.attempts_max as usize;
        if self.is_over || is_spent || now >= self.allowance.deadline {
            return self.finish(now);
        }
        let mut ladder = Some(Ladder::Own);
        let mut drawn = None;
        while let Some(rung) = ladder {
            if rung == Ladder::LastResort && !self.allowance.fails_open {
                break;
            }
            drawn = draw(rung, &self.tried).map(|node| (node, rung));
            if drawn.is_some() {
                break;
            }
            ladder = rung.below();
        }
        let Some((node, ladder)) = drawn else {
            return self.finish(now);
        };
        if !self.tried.is_empty() && !self.is_free && !withdraw() {
            return self.finish(now);
        }
        self.tried.push(node);
        let until = (now + self.allowance.attempt).min(self.allowance.deadline);
        Step::Ask {
            node,
            until,
            ladder,
        }
    }

    fn finish(&self, now: Instant) -> Step {
        let refusal = match self.telling {
            Some(_) if self.kept => return Step::Finish(Ending::Kept),
            Some(Class::Throttled) => Refusal::RateLimited,
            Some(Class::Timeout | Class::NodeTimeout) => Refusal::Timeout,
            Some(
                Class::Ok
                | Class::RpcError
                | Class::Shut
                | Class::Unsupported
                | Class::MissingData
                | Class::NoConnection
                | Class::Transport
                | Class::BadAnswer
                | Class::Unknown
                | Class::Cancelled,
            ) => Refusal::BadAnswer,
            None if now >= self.allowance.deadline => Refusal::Timeout,
            None => Refusal::NoNode,
        };
        Step::Finish(Ending::Refused(refusal))
    }

    /// Hears what an attempt came to. `has_body`: the node said it in a JSON-RPC error.
    pub fn hear(&mut self, class: Class, has_body: bool) -> Use {
        let again = self.may_go_on(class);
        if class == Class::Ok || (!again && has_body && class != Class::Shut) {
            return Use::Deliver;
        }
        self.is_over |= !again;
        self.is_free = class.is_unexecuted();
        let says_more = self.telling.is_none_or(|told| rank(class) >= rank(told));
        if !says_more {
            return Use::Drop;
        }
        self.telling = Some(class);
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

/// Whether a node's own error is fit for a client's eyes.
fn passes_on(class: Class) -> bool {
    match class {
        Class::RpcError
        | Class::Unsupported
        | Class::MissingData
        | Class::NodeTimeout
        | Class::Unknown => true,
        Class::Ok
        | Class::Throttled
        | Class::Shut
        | Class::Timeout
        | Class::NoConnection
        | Class::Transport
        | Class::BadAnswer
        | Class::Cancelled => false,
    }
}

/// How much a failure tells the client; the later of two equals is told.
fn rank(class: Class) -> u8 {
    match class {
        Class::RpcError | Class::Ok => 7,
        Class::MissingData => 6,
        Class::Unknown => 5,
        Class::NodeTimeout => 4,
        Class::Unsupported => 3,
        Class::Throttled => 2,
        Class::Timeout => 1,
        Class::Shut
        | Class::NoConnection
        | Class::Transport
        | Class::BadAnswer
        | Class::Cancelled => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journey(treatment: Treatment) -> Journey {
        let deadline = crate::clock::now() + Duration::from_secs(30);
        let attempt = Duration::from_secs(5);
        Journey::new(
            treatment,
            Allowance {
                attempts_max: 3,
                attempt,
                deadline,
                fails_open: true,
            },
        )
    }

    /// Own nodes 1 to `own`, the leader 0.
    fn drawing(own: u32) -> impl FnMut(Ladder, &[NodeId]) -> Option<NodeId> {
        move |ladder, passed| {
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

    fn asked(journey: &mut Journey, own: u32) -> Option<u32> {
        match journey.next(crate::clock::now(), drawing(own), || true) {
            Step::Ask { node, .. } => Some(node.0),
            Step::Finish(_) => None,
        }
    }

    fn ending(journey: &mut Journey) -> Ending {
        match journey.next(crate::clock::now(), drawing(1), || true) {
            Step::Finish(ending) => ending,
            Step::Ask { .. } => panic!("it goes on"),
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
    fn a_nodes_billing_error_is_none_of_the_clients_business() {
        let mut journey = journey(Treatment::Unknown);
        asked(&mut journey, 1);
        assert_eq!(journey.hear(Class::Shut, true), Use::Drop);
        asked(&mut journey, 1);
        assert_eq!(journey.hear(Class::Shut, true), Use::Drop);
        assert_eq!(ending(&mut journey), Ending::Refused(Refusal::BadAnswer));
    }

    #[test]
    fn without_any_node_there_is_no_node_and_after_the_deadline_a_timeout() {
        let mut journey = journey(Treatment::Read);
        let none = |_: Ladder, _: &[NodeId]| None;
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
        let last =
            |ladder: Ladder, _: &[NodeId]| (ladder == Ladder::LastResort).then_some(NodeId(1));
        let step = journey.next(crate::clock::now(), last, || true);
        assert_eq!(step, Step::Finish(Ending::Refused(Refusal::NoNode)));
    }
}

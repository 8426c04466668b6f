//! What the leader is asked about although no node is known to have it: a share of the calls, by caller
//! in turn, and the same question of one caller once within a block time.
//!
//! The leader may be paid for by the call, and what own nodes all lack can be asked for ever: a
//! transaction that never comes, a method that no node has. What the leader is known to have is asked of
//! it whatever the share is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::call::confirmation::SearchMemory;
use crate::fleet::node_view::NodeView;
use crate::fleet::view::FleetView;
use crate::method::block::BlockParam;
use crate::vocabulary::block_ref::BlockRange;
use crate::vocabulary::client::Client;
use crate::vocabulary::node::{NodeId, Role};

/// However few calls there are.
const PER_SECOND_MIN: f64 = 1.0;
/// Callers that stand in line; one that comes when it is full gets no place.
pub const CALLERS_MAX: usize = 256;
/// A caller that hasn't asked again for so long has lost its place.
const PLACE_LASTS: Duration = Duration::from_secs(2);

/// What own nodes said, all in all, of what a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnShortfall {
    /// That they have no such method.
    NoMethod,
    /// `null`, where there is no such answer.
    NoResult,
    /// That they lack the data.
    NoData,
    /// That there is none: `null`, or as little.
    Nothing,
    /// That it is too much for them.
    TooMuch,
}

/// Of blocks that are there whichever node is asked.
const TAGS: [&str; 4] = ["\"latest\"", "\"safe\"", "\"finalized\"", "\"earliest\""];

/// Whether `params` ask for a block by such a tag, in a method that names one at `place`.
pub fn names_a_tag(place: BlockParam, params: &str) -> bool {
    place != BlockParam::Nowhere && TAGS.iter().any(|tag| params.contains(tag))
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ShareQuery<'a> {
    /// The call's method, by its name.
    pub method: &'a str,
    /// The params, byte for byte; `None`: the call has none.
    pub params: Option<&'a str>,
    /// The table has the method.
    pub is_listed: bool,
    /// The blocks that it needs, as far as they are known by their numbers.
    pub block: Option<BlockRange>,
    /// It speaks of a block as of now, by a tag: there is one.
    pub is_of_a_tag: bool,
}

/// What own nodes lack of a call's question, as they said.
#[derive(Clone, Debug)]
pub struct OwnLack<'a> {
    /// What is asked for.
    pub question: ShareQuery<'a>,
    /// What they said of it, all in all.
    pub word: OwnShortfall,
    /// Those that said so.
    pub tried: Vec<NodeId>,
}

/// Whether a node may be asked for what own nodes lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareAccess {
    /// It may.
    Open,
    /// As one of the calls of the leader's share.
    ByShare,
    /// It may not.
    Closed,
}

impl OwnLack<'_> {
    /// Whether node `id` of `view` may be asked by a call that was `granted` that much of the share.
    pub fn access(
        &self,
        id: NodeId,
        view: &FleetView,
        granted: LeaderGrant,
        now: Instant,
    ) -> ShareAccess {
        let Some(node) = view.node(id) else {
            return ShareAccess::Closed;
        };
        let is_open = match node.role {
            Role::Own => self.may_say_more(node, now),
            Role::Leader | Role::Fallback => {
                self.is_known_to_have(node, view, now) || granted == LeaderGrant::Of(id)
            }
        };
        if is_open {
            ShareAccess::Open
        } else if node.role != Role::Own && granted == LeaderGrant::NotAsked {
            ShareAccess::ByShare
        } else {
            ShareAccess::Closed
        }
    }

    /// Whether an own node may say more than those that were asked: of the method that they lack it is asked
    /// no more if it is known to lack it, too.
    fn may_say_more(&self, node: &NodeView, now: Instant) -> bool {
        self.word != OwnShortfall::NoMethod || !node.lacks(self.question.method, now)
    }

    /// Whether `leader` is known to have what is asked for.
    fn is_known_to_have(&self, leader: &NodeView, view: &FleetView, now: Instant) -> bool {
        let question = self.question;
        let has = |node: &NodeView, need: BlockRange| node.head.is_some() && node.meets(need);
        match self.word {
            OwnShortfall::NoMethod => question.is_listed && !leader.lacks(question.method, now),
            OwnShortfall::NoData => match question.block {
                Some(need) => has(leader, need),
                None => question.is_of_a_tag,
            },
            // Nodes that have the block know that there is nothing in it.
            OwnShortfall::Nothing => question.block.is_some_and(|need| {
                let tried = self.tried.iter().filter_map(|id| view.node(*id));
                has(leader, need) && !tried.into_iter().any(|node| has(node, need))
            }),
            OwnShortfall::NoResult | OwnShortfall::TooMuch => false,
        }
    }
}

/// What a call was granted of the share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaderGrant {
    /// It hasn't asked for any.
    #[default]
    NotAsked,
    /// To ask this node.
    Of(NodeId),
    /// Nothing.
    Withheld,
}

impl LeaderGrant {
    /// When all nodes may be asked once more: what was granted was for one of them once.
    #[must_use]
    pub fn again(self) -> LeaderGrant {
        match self {
            LeaderGrant::NotAsked => LeaderGrant::NotAsked,
            LeaderGrant::Of(_) | LeaderGrant::Withheld => LeaderGrant::Withheld,
        }
    }
}

/// How fast the share is earned, and how long one question is asked once.
#[derive(Clone, Copy, Debug)]
pub struct ShareRate {
    /// Calls a second of all callers that own nodes lack something for.
    pub calls_per_second: f64,
    /// Of them those that may go to the leader, from 0 to 1; 0: none, else one a second at least.
    pub share: f64,
    /// A caller's question is asked once in so long.
    pub block_time: Duration,
}

/// What is left of the share.
#[derive(Debug, Default)]
pub struct LeaderShare {
    tokens: f64,
    at: Option<Instant>,
    /// Callers that were put off, in the order in which they came, and when they asked last.
    line: VecDeque<(Client, Instant)>,
    /// What the leader was asked, by caller and question.
    asked: SearchMemory,
}

impl LeaderShare {
    /// Takes one call of the share for `caller`; `false`: not now. A caller that was put off before comes first.
    pub fn take(
        &mut self,
        caller: Client,
        question: ShareQuery<'_>,
        rate: ShareRate,
        now: Instant,
    ) -> bool {
        if rate.share <= 0.0 {
            return false;
        }
        let caller = caller.key();
        let asks = (caller, question.method, question.params);
        if self.asked.knows(asks, rate.block_time, now) {
            return false;
        }
        let per_second = rate.calls_per_second * rate.share;
        self.earn(per_second.max(PER_SECOND_MIN), now);
        if !self.has_turn(caller, now) {
            return false;
        }
        self.tokens -= 1.0;
        self.asked.note(asks, now);
        true
    }

    /// A second's worth is saved up, and there at the start.
    fn earn(&mut self, per_second: f64, now: Instant) {
        let passed = self.at.map_or(Duration::from_secs(1), |at| {
            now.saturating_duration_since(at)
        });
        self.at = Some(now);
        self.tokens = (self.tokens + passed.as_secs_f64() * per_second).min(per_second);
    }

    /// Whether there is one for `caller` beyond those of the callers that stand before it.
    fn has_turn(&mut self, caller: Client, now: Instant) -> bool {
        let waits = |asked_at: Instant| now.saturating_duration_since(asked_at) < PLACE_LASTS;
        self.line.retain(|(_, asked_at)| waits(*asked_at));
        let place = self.line.iter().position(|(waiting, _)| *waiting == caller);
        let before = place.unwrap_or(self.line.len());
        if self.tokens >= before as f64 + 1.0 {
            if let Some(place) = place {
                self.line.remove(place);
            }
            return true;
        }
        if let Some(place) = place {
            self.line[place].1 = now;
        } else if self.line.len() < CALLERS_MAX {
            self.line.push_back((caller, now));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use OwnShortfall::{NoData, NoMethod, NoResult, Nothing, TooMuch};

    use super::*;
    use crate::fleet::depth::Depth;
    use crate::testing;
    use crate::vocabulary::block_ref::BlockData;
    use crate::vocabulary::chain::BlockNumber;

    const BLOCK_TIME: Duration = Duration::from_secs(12);

    fn question(params: &str) -> ShareQuery<'_> {
        ShareQuery {
            method: "eth_getTransactionReceipt",
            params: Some(params),
            is_listed: true,
            block: None,
            is_of_a_tag: false,
        }
    }

    /// So many calls a second are the leader's.
    fn rate(per_second: f64) -> ShareRate {
        ShareRate {
            calls_per_second: per_second * 10.0,
            share: 0.1,
            block_time: BLOCK_TIME,
        }
    }

    fn caller(number: u8) -> Client {
        Client::At([10, 0, 0, number].into())
    }

    /// So many seconds of calls, `per_second` each, of the callers in turn; how many each was given.
    fn given(callers: &[u8], calls_per_second: u32, per_second: f64, seconds: u32) -> Vec<u32> {
        let start = testing::now();
        let mut share = LeaderShare::default();
        let mut given = vec![0; callers.len()];
        for call in 0..seconds * calls_per_second {
            let now = start + Duration::from_secs(1) * call / calls_per_second;
            let at = call as usize % callers.len();
            let params = call.to_string();
            let rate = rate(per_second);
            given[at] += u32::from(share.take(caller(callers[at]), question(&params), rate, now));
        }
        given
    }

    #[test]
    fn no_more_than_the_share_is_given() {
        for (rate, wanted) in [(1.0, 10..=11), (5.0, 50..=55), (0.5, 10..=11)] {
            let given = given(&[1], 100, rate, 10);
            assert!(wanted.contains(&given[0]), "{rate}: {given:?}");
        }
    }

    #[test]
    fn callers_take_turns_however_often_one_of_them_asks() {
        // One asks nine times as often as another.
        let given = given(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 2], 100, 4.0, 20);
        let (one, other): (u32, u32) = (given[..9].iter().sum(), given[9]);
        assert!(
            (36..=44).contains(&one) && (36..=44).contains(&other),
            "{given:?}"
        );
    }

    #[test]
    fn a_caller_that_does_not_come_again_keeps_no_other_waiting() {
        let mut share = LeaderShare::default();
        let start = testing::now();
        let mut take = |number, params, seconds: f64| {
            let now = start + Duration::from_secs_f64(seconds);
            share.take(caller(number), question(params), rate(1.0), now)
        };
        assert!(take(1, "a", 0.0));
        assert!(!take(2, "a", 0.5), "put off");
        assert!(!take(3, "a", 1.1), "the second comes first");
        assert!(take(3, "a", 2.6), "the second has lost its place");
    }

    #[test]
    fn one_question_of_a_caller_is_given_once_within_a_block_time() {
        let mut share = LeaderShare::default();
        let start = testing::now();
        let mut take = |number, params, seconds| {
            let now = start + Duration::from_secs(seconds);
            share.take(caller(number), question(params), rate(5.0), now)
        };
        assert!(take(1, "a", 0));
        assert!(!take(1, "a", 11));
        assert!(take(1, "b", 11) && take(2, "a", 11));
        assert!(take(1, "a", 12));
    }

    #[test]
    fn what_is_remembered_has_bounds() {
        let mut share = LeaderShare::default();
        let now = testing::now();
        for number in 0..100_000u32 {
            let caller = Client::At(number.to_be_bytes().into());
            share.take(caller, question("a"), rate(1e9), now);
            share.take(caller, question("b"), rate(0.0), now);
        }
        assert!(share.line.len() <= CALLERS_MAX, "{}", share.line.len());
    }

    /// Own nodes 1 and 2, which keep the blocks from 90 on, and the leader, 0, with all of them.
    fn view(now: Instant) -> FleetView {
        let mut fleet = testing::fleet_of([0, 1, 2].map(testing::led), now);
        fleet.hear_round(&[0, 1, 2].map(|id| (NodeId(id), testing::at(100))), now);
        let mut view = fleet.view();
        for node in &mut view.nodes[1..] {
            node.depth = Depth {
                blocks_from: Some(BlockNumber(90)),
                ..Depth::default()
            };
        }
        view
    }

    #[test]
    fn what_the_leader_has_is_known_by_its_head_the_table_and_what_it_lacks() {
        let now = testing::now();
        let view = view(now);
        let at = |number: u64| {
            let number = BlockNumber(number);
            let (from, to, reads) = (number, number, BlockData::Block);
            Some(BlockRange { from, to, reads })
        };
        let tried = [NodeId(1), NodeId(2)];
        let is_known = |word, question| {
            let lack = OwnLack {
                question,
                word,
                tried: tried.to_vec(),
            };
            let access = lack.access(NodeId(0), &view, LeaderGrant::NotAsked, now);
            access == ShareAccess::Open
        };
        let of = |block| ShareQuery {
            block,
            ..question("[]")
        };
        let unlisted = ShareQuery {
            method: "zks_estimateFee",
            is_listed: false,
            ..question("[]")
        };
        let tagged = ShareQuery {
            is_of_a_tag: true,
            ..question("[]")
        };
        for (what, word, question, wanted) in [
            ("a method of the table", NoMethod, of(None), true),
            ("a method outside it", NoMethod, unlisted, false),
            ("an old block", NoData, of(at(5)), true),
            ("the head", NoData, of(at(100)), true),
            ("a block beyond its head", NoData, of(at(101)), false),
            ("a hash that no node told of", NoData, of(None), false),
            ("a tag", NoData, tagged, true),
            ("a block that own nodes pruned", Nothing, of(at(5)), true),
            ("something in a block of theirs", Nothing, of(at(95)), false),
            ("a hash that says nothing", Nothing, of(None), false),
            ("too wide a range", TooMuch, of(at(95)), false),
            ("a result that none has", NoResult, of(at(95)), false),
        ] {
            assert_eq!(is_known(word, question), wanted, "{what}");
        }
        view.nodes[0]
            .unsupported
            .learn("eth_getTransactionReceipt", now);
        assert!(!is_known(NoMethod, of(None)), "the leader lacks it, too");
    }

    #[test]
    fn own_nodes_are_asked_freely_and_the_leader_once_as_a_part_of_its_share() {
        let now = testing::now();
        let view = view(now);
        let (leader, own) = (NodeId(0), NodeId(1));
        let lack = |word| OwnLack {
            question: question("[]"),
            word,
            tried: vec![NodeId(2)],
        };
        let access = |id, granted| lack(NoData).access(id, &view, granted, now);
        for granted in [
            LeaderGrant::NotAsked,
            LeaderGrant::Of(leader),
            LeaderGrant::Withheld,
        ] {
            assert_eq!(access(own, granted), ShareAccess::Open, "{granted:?}");
        }
        for (granted, wanted) in [
            (LeaderGrant::NotAsked, ShareAccess::ByShare),
            (LeaderGrant::Of(leader), ShareAccess::Open),
            (LeaderGrant::Of(NodeId(7)), ShareAccess::Closed),
            (LeaderGrant::Withheld, ShareAccess::Closed),
            (LeaderGrant::Of(leader).again(), ShareAccess::Closed),
            (LeaderGrant::NotAsked.again(), ShareAccess::ByShare),
        ] {
            assert_eq!(access(leader, granted), wanted, "{granted:?}");
        }
        let gone = access(NodeId(9), LeaderGrant::NotAsked);
        assert_eq!(gone, ShareAccess::Closed);
        let no_method = lack(NoMethod);
        view.nodes[1]
            .unsupported
            .learn("eth_getTransactionReceipt", now);
        let lacking = no_method.access(own, &view, LeaderGrant::NotAsked, now);
        assert_eq!(lacking, ShareAccess::Closed, "it is known to lack it, too");
    }

    #[test]
    fn a_share_of_nothing_is_nothing() {
        let none = ShareRate {
            share: 0.0,
            ..rate(5.0)
        };
        let mut share = LeaderShare::default();
        assert!(!share.take(caller(1), question("a"), none, testing::now()));
    }
}

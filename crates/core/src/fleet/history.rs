//! Finding out how deep a node goes.
//!
//! Where it says so (`eth_capabilities`), that holds. Else it is asked for block 1, and, where it
//! lacks that, for one block after another between the head and there, a question a round. What
//! is found is kept as blocks behind the head, because what a pruning node keeps moves with its
//! head. A call that finds data missing says so, too. All of it grows old: a node may be synced
//! anew with everything.
//!
//! A node that was away may have lost what it held in memory: the states of all blocks but its head,
//! while those that come it keeps. What was known of it stays as a limit, and one question, halfway
//! between where it came back and there, says whether more is left of it. An absence that was
//! not noticed shows by the first call that meets a state missing so near the head.

mod loss;
mod search;

use std::time::{Duration, Instant};

use self::search::FIRST_GUESS;
pub use self::search::QUESTIONS_MAX;
use super::depth::{Depth, Gap};
use super::promises::{self, Promises};
use crate::fleet::depth::{DepthFinding, DepthPoint, DepthQuestion, HistoryResource};
use crate::fleet::history::loss::HistoryLoss;
use crate::fleet::history::search::ResourceHistory;
use crate::fleet::report::CapabilityReport;
use crate::vocabulary::block_ref::BlockData;
use crate::vocabulary::chain::BlockNumber;

/// What was found out is found out anew after this time.
pub const EVIDENCE_MAX: Duration = Duration::from_secs(3600);
/// A node whose head is lower isn't asked: nothing is old there.
pub const HEAD_MIN: BlockNumber = BlockNumber(256);
/// A node that was away is asked what it has left once it has answered so many rounds since.
const ROUNDS_BACK: u32 = 2;

/// Rounds until a node that didn't say what it has is asked for it again.
pub const CAPABILITIES_ROUNDS: u32 = 10;

/// The node was away.
#[derive(Clone, Copy, Debug)]
struct Absence {
    /// Rounds until it is asked what it has left.
    rounds: u32,
    /// Where it was when it came back: what came then it has.
    head: Option<BlockNumber>,
}

/// What one node is known to have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NodeHistory {
    state: ResourceHistory,
    blocks: ResourceHistory,
    /// Of states that it should have, those that it doesn't.
    loss: Option<HistoryLoss>,
    absence: Option<Absence>,
    /// What it should have and doesn't, but for states.
    promises: Promises,
    /// As it said itself.
    told: Option<(Depth, Instant)>,
    /// Rounds until it is asked to say so again.
    told_in: u32,
}

impl NodeHistory {
    pub(crate) fn depth(&self, head: BlockNumber, now: Instant) -> Depth {
        let told = self.told(now);
        let lost = self.loss(now).map(|loss| loss.from);
        let believed = Depth {
            blocks_from: self.blocks.oldest(told.blocks_from, head),
            state_from: self.state.oldest(told.state_from, head).max(lost),
            ..told
        };
        self.promises.less(believed, now)
    }

    fn loss(&self, now: Instant) -> Option<HistoryLoss> {
        let lasts = match self.told(now).state_from {
            Some(_) => promises::DOUBTED,
            None => EVIDENCE_MAX,
        };
        let age = |loss: &HistoryLoss| now.saturating_duration_since(loss.at);
        self.loss.filter(|loss| age(loss) < lasts)
    }

    fn told(&self, now: Instant) -> Depth {
        let fresh = self.told.filter(|(_, at)| is_fresh(*at, now));
        fresh.map(|(depth, _)| depth).unwrap_or_default()
    }

    /// What to ask the node next, which is at `head`. State comes first: it is what most lack.
    pub(crate) fn question(&self, head: BlockNumber, now: Instant) -> Option<DepthQuestion> {
        let of_state = |place| DepthQuestion {
            resource: HistoryResource::State,
            place,
        };
        let is_back = self.absence.is_some_and(|absence| absence.rounds == 0);
        let left = self.midway(head, now).filter(|_| is_back);
        let loss = self.loss(now);
        left.map(DepthPoint::Left)
            .or_else(|| loss.and_then(HistoryLoss::halfway))
            .map(of_state)
            .or_else(|| self.search(head, now))
            .or_else(|| loss.map(|loss| of_state(DepthPoint::Edge(loss.lost))))
            .or_else(|| {
                let (resource, number) = self.promises.question(now)?;
                let place = DepthPoint::Edge(number);
                Some(DepthQuestion { resource, place })
            })
    }

    /// Halfway between the oldest state that it says it has, or was found to have, and where it came
    /// back, if it was away, or its head.
    fn midway(&self, head: BlockNumber, now: Instant) -> Option<BlockNumber> {
        let told = self.told(now).state_from;
        let found = told.or_else(|| self.state.surely(head))?;
        let from = self.loss(now).map_or(found, |loss| loss.from.max(found));
        let between = self.came_back(head).0.checked_sub(from.0)?;
        (between > 0).then(|| BlockNumber(from.0 + between / 2))
    }

    fn came_back(&self, head: BlockNumber) -> BlockNumber {
        let came_back = self.absence.and_then(|absence| absence.head);
        came_back.unwrap_or(head).min(head)
    }

    fn search(&self, head: BlockNumber, now: Instant) -> Option<DepthQuestion> {
        if head < HEAD_MIN {
            return None;
        }
        let told = self.told(now);
        let ask = |resource, history: &ResourceHistory, told: Option<BlockNumber>| {
            let place = history.next(now).filter(|_| told.is_none())?;
            Some(DepthQuestion { resource, place })
        };
        ask(HistoryResource::State, &self.state, told.state_from)
            .or_else(|| ask(HistoryResource::Blocks, &self.blocks, told.blocks_from))
    }

    /// Hears what came of a question, from a node at `head`.
    pub(crate) fn hear(&mut self, found: DepthFinding, head: BlockNumber, now: Instant) {
        match (found.question.place, found.has) {
            (DepthPoint::Left(missing), has) => {
                if has == Some(false) {
                    self.lose(missing, self.came_back(head), now);
                }
                self.absence = None;
                return;
            }
            (DepthPoint::Edge(_), Some(has))
                if found.question.resource != HistoryResource::State =>
            {
                if has {
                    self.promises.found(found.question.resource);
                }
                return;
            }
            (DepthPoint::Edge(number), Some(has)) => {
                self.loss = self.loss.and_then(|loss| loss.heard(number, has, now));
                return;
            }
            (DepthPoint::Edge(_), None) => return,
            (DepthPoint::Number(_) | DepthPoint::Behind(_), _) => {}
        }
        let history = match found.question.resource {
            HistoryResource::State => &mut self.state,
            HistoryResource::Blocks => &mut self.blocks,
            HistoryResource::Proofs => return,
        };
        history.hear(found, head, now);
    }

    /// Whether the node is to be asked what it has. One that says so says so every round.
    pub(crate) fn asks_capabilities(&self) -> bool {
        self.told_in == 0
    }

    /// Hears what the node says of itself, round by round.
    pub(crate) fn hear_told(&mut self, said: CapabilityReport, now: Instant) {
        match said {
            CapabilityReport::NotAsked => self.told_in = self.told_in.saturating_sub(1),
            CapabilityReport::Untold => self.told_in = CAPABILITIES_ROUNDS - 1,
            CapabilityReport::Told(depth) => self.told = Some((depth, now)),
        }
    }

    /// A call met something missing, on a node at `head`.
    pub(crate) fn hear_missing(&mut self, gap: Gap, head: BlockNumber, now: Instant) {
        match gap.reads {
            BlockData::State => self.hear_stateless(gap, head, now),
            BlockData::Head
            | BlockData::Block
            | BlockData::Proof
            | BlockData::Receipts
            | BlockData::Logs => {
                self.promises.hear_missing(gap.reads, gap.block, now);
            }
        }
    }

    /// It is a state, but never that of the head, which the node has in any case. One so near the head
    /// says what the question would, had its node been seen to be away.
    fn hear_stateless(&mut self, gap: Gap, head: BlockNumber, now: Instant) {
        let missing = gap.block;
        if missing >= head {
            return;
        }
        let near = BlockNumber(head.0.saturating_sub(FIRST_GUESS / 2));
        let near = self.midway(head, now).unwrap_or(near);
        if !gap.is_lost || missing < near {
            self.lose(missing, missing, now);
            return;
        }
        let came_back = Some(self.came_back(head)).filter(|back| missing < *back);
        self.lose(missing, came_back.unwrap_or(head), now);
        self.absence = None;
    }

    /// State `missing` is, and those after it up to `from` may be.
    fn lose(&mut self, missing: BlockNumber, from: BlockNumber, now: Instant) {
        let from = from.max(BlockNumber(missing.0.saturating_add(1)));
        let known = self.loss(now);
        self.loss = Some(HistoryLoss {
            lost: known.map_or(missing, |loss| loss.lost.max(missing)),
            from: known.map_or(from, |loss| loss.from.max(from)),
            at: now,
        });
    }

    /// The node was silent, took no connection, or its socket broke.
    pub(crate) fn doubt(&mut self) {
        self.absence = Some(Absence {
            rounds: ROUNDS_BACK,
            head: None,
        });
    }

    pub(crate) fn is_doubted(&self) -> bool {
        self.absence.is_some()
    }

    /// The node has answered a round.
    pub(crate) fn hear_round(&mut self, head: BlockNumber, now: Instant) {
        let Some(absence) = &mut self.absence else {
            return;
        };
        absence.head.get_or_insert(head);
        absence.rounds = absence.rounds.saturating_sub(1);
        // Nothing is believed of it that it could have lost.
        if absence.rounds == 0 && self.midway(head, now).is_none() {
            self.absence = None;
        }
    }
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < EVIDENCE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: BlockNumber = BlockNumber(20_000_000);

    impl Depth {
        fn has_state(self, block: BlockNumber) -> bool {
            self.has(BlockData::State, block)
        }
    }

    fn answer(history: &mut NodeHistory, question: DepthQuestion, has: Option<bool>, now: Instant) {
        history.hear(DepthFinding { question, has }, HEAD, now);
    }

    /// Asks, round by round, a node whose oldest state and block are so many behind its head.
    fn sound(history: &mut NodeHistory, state: u64, blocks: u64, now: Instant) -> u32 {
        let mut questions = 0;
        while let Some(question) = history.question(HEAD, now) {
            let kept = match question.resource {
                HistoryResource::State => state,
                HistoryResource::Blocks => blocks,
                HistoryResource::Proofs => panic!("nothing was promised"),
            };
            let has = HEAD.0 - question.place.at(HEAD).0 <= kept;
            answer(history, question, Some(has), now);
            questions += 1;
            assert!(questions <= 2 * QUESTIONS_MAX, "no end");
        }
        questions
    }

    #[test]
    fn an_archive_node_is_known_by_two_questions() {
        let now = crate::testing::now();
        let mut history = NodeHistory::default();
        assert_eq!(history.depth(HEAD, now), Depth::default());
        assert_eq!(sound(&mut history, HEAD.0, HEAD.0, now), 2);
        let depth = history.depth(HEAD, now);
        assert!(depth.has_state(BlockNumber(0)) && depth.has(BlockData::Block, BlockNumber(0)));
        assert_eq!(depth.state_from, Some(BlockNumber(0)));
    }

    #[test]
    fn a_window_is_found_in_few_questions_and_never_taken_for_larger_than_it_is() {
        let now = crate::testing::now();
        for kept in [30, 63, 127, 128, 511, 10_064, 90_000, 2_350_000, 8_000_000] {
            let mut history = NodeHistory::default();
            let questions = sound(&mut history, kept, HEAD.0, now);
            assert!(questions <= QUESTIONS_MAX, "{kept}: {questions}");
            let from = history.depth(HEAD, now).state_from.unwrap();
            let found = HEAD.0 - from.0;
            assert!(
                found <= kept && found >= kept - kept / 10 - 2,
                "{kept}: {found}"
            );
        }
    }

    #[test]
    fn a_window_moves_with_its_head() {
        let now = crate::testing::now();
        let mut history = NodeHistory::default();
        sound(&mut history, 127, HEAD.0, now);
        let before = history.depth(HEAD, now).state_from.unwrap();
        let later = history.depth(BlockNumber(HEAD.0 + 50), now);
        assert_eq!(later.state_from, Some(BlockNumber(before.0 + 50)));
    }

    #[test]
    fn while_the_search_lasts_only_what_is_certainly_missing_is() {
        let now = crate::testing::now();
        let mut history = NodeHistory::default();
        for has in [false, true] {
            let question = history.question(HEAD, now).unwrap();
            answer(&mut history, question, Some(has), now);
        }
        let depth = history.depth(HEAD, now);
        assert!(!depth.has_state(BlockNumber(1)) && depth.has_state(BlockNumber(2)));
    }

    #[test]
    fn a_node_that_says_neither_is_given_up_and_has_all_that_is_asked_of_it() {
        let now = crate::testing::now();
        let mut history = NodeHistory::default();
        for _ in 0..2 * QUESTIONS_MAX {
            let question = history.question(HEAD, now).unwrap();
            answer(&mut history, question, None, now);
        }
        assert_eq!(history.question(HEAD, now), None);
        assert_eq!(history.depth(HEAD, now), Depth::default());
    }

    #[test]
    fn a_short_chain_is_not_asked() {
        let (now, history) = (crate::testing::now(), NodeHistory::default());
        assert_eq!(history.question(BlockNumber(HEAD_MIN.0 - 1), now), None);
        assert!(history.question(HEAD_MIN, now).is_some());
    }

    #[test]
    fn what_is_found_is_found_anew_after_an_hour_and_holds_until_then() {
        let start = crate::testing::now();
        let mut history = NodeHistory::default();
        sound(&mut history, 127, HEAD.0, start);
        let nearly = start + EVIDENCE_MAX - Duration::from_secs(1);
        assert_eq!(history.question(HEAD, nearly), None);
        let later = start + EVIDENCE_MAX;
        let question = history.question(HEAD, later).unwrap();
        assert_eq!(question.place, DepthPoint::Number(BlockNumber(1)));
        answer(&mut history, question, None, later);
        assert!(
            !history.depth(HEAD, later).has_state(BlockNumber(9)),
            "it still holds"
        );
        sound(&mut history, HEAD.0, HEAD.0, later);
        assert!(
            history.depth(HEAD, later).has_state(BlockNumber(0)),
            "synced anew"
        );
    }

    #[test]
    fn what_a_node_says_of_itself_holds_and_spares_the_questions() {
        let now = crate::testing::now();
        let mut history = NodeHistory::default();
        let told = Depth {
            state_from: Some(BlockNumber(7)),
            ..Depth::default()
        };
        history.hear_told(CapabilityReport::Told(told), now);
        assert_eq!(history.depth(HEAD, now), told);
        let question = history.question(HEAD, now).unwrap();
        assert_eq!(
            question.resource,
            HistoryResource::Blocks,
            "of which it said nothing"
        );
        let later = now + EVIDENCE_MAX;
        assert_eq!(history.depth(HEAD, later), Depth::default(), "too long ago");
    }

    /// Ten minutes are over.
    const LATER: Duration = promises::DOUBTED;

    fn promising(from: u64, now: Instant) -> NodeHistory {
        let mut history = NodeHistory::default();
        let told = Depth {
            state_from: Some(BlockNumber(from)),
            blocks_from: Some(BlockNumber(0)),
            ..Depth::default()
        };
        history.hear_told(CapabilityReport::Told(told), now);
        history
    }

    fn state_gap(block: BlockNumber, is_lost: bool) -> Gap {
        Gap {
            reads: BlockData::State,
            block,
            is_lost,
        }
    }

    #[test]
    fn a_state_lost_nearer_than_half_of_what_there_was_leaves_the_head_alone() {
        let now = crate::testing::now();
        let behind = |blocks: u64| BlockNumber(HEAD.0 - blocks);
        let mut searching = NodeHistory::default();
        for has in [false, true] {
            let question = searching.question(HEAD, now).unwrap();
            answer(&mut searching, question, Some(has), now);
        }
        let unknown = NodeHistory::default();
        for (history, what, missing, is_lost, left) in [
            (promising(HEAD.0 - 128, now), "promised", 65, true, 64),
            (promising(HEAD.0 - 128, now), "promised", 64, true, 0),
            (promising(HEAD.0 - 128, now), "other words", 3, false, 2),
            (unknown, "nothing is known", 61, true, 60),
            (unknown, "nothing is known", 60, true, 0),
            (searching, "120 were found so far", 58, true, 57),
            (searching, "120 were found so far", 57, true, 0),
        ] {
            let mut history = history;
            history.hear_missing(state_gap(behind(missing), is_lost), HEAD, now);
            let from = history.depth(HEAD, now).state_from;
            assert_eq!(from, Some(behind(left)), "{what}: {missing}");
        }
    }

    #[test]
    fn an_absence_that_went_unnoticed_costs_one_miss_however_often() {
        let now = crate::testing::now();
        let mut history = promising(HEAD.0 - 60, now);
        let mut head = HEAD;
        for _ in 0..3 {
            let reads = (head.0 - 28..head.0).map(BlockNumber);
            let misses = reads.filter(|block| {
                let is_asked = history.depth(head, now).has_state(*block);
                if is_asked {
                    history.hear_missing(state_gap(*block, true), head, now);
                }
                is_asked
            });
            assert_eq!(misses.count(), 1);
            let later = BlockNumber(head.0 + 70);
            let from = history.depth(later, now).state_from;
            assert_eq!(from, Some(head), "what comes it has");
            head = later;
        }
    }

    #[test]
    fn a_miss_outranks_what_was_promised_until_it_is_found_or_for_ten_minutes() {
        let now = crate::testing::now();
        let mut history = promising(0, now);
        let missing = |behind: u64| BlockNumber(HEAD.0 - behind);
        let lacks = |behind| state_gap(missing(behind), false);
        history.hear_missing(lacks(0), HEAD, now);
        assert!(history.depth(HEAD, now).has_state(missing(0)), "the head");
        for behind in [1000, 5000, 1] {
            history.hear_missing(lacks(behind), HEAD, now);
        }
        let depth = history.depth(HEAD, now);
        assert!(!depth.has_state(missing(1)) && depth.has_state(missing(0)));
        let later = BlockNumber(HEAD.0 + 500);
        assert!(
            history.depth(later, now).has_state(missing(0)),
            "it stays where it was"
        );
        let question = history.question(HEAD, now).unwrap();
        assert_eq!(question.place, DepthPoint::Edge(missing(1)));
        let mut found = history;
        for (has, wanted) in [(None, false), (Some(false), false), (Some(true), true)] {
            answer(&mut found, question, has, now);
            assert_eq!(
                found.depth(HEAD, now).has_state(missing(1)),
                wanted,
                "{has:?}"
            );
        }
        let nearly = now + LATER - Duration::from_millis(1);
        assert!(!history.depth(HEAD, nearly).has_state(missing(5000)));
        assert!(history.depth(HEAD, now + LATER).has_state(missing(5000)));
    }

    #[test]
    fn what_a_node_was_known_to_have_is_asked_for_once_when_it_is_back_and_stands_if_it_is_there() {
        let now = crate::testing::now();
        let mut history = promising(HEAD.0 - 128, now);
        history.doubt();
        assert_eq!(history.question(HEAD, now), None, "it is not yet back");
        for _ in 0..ROUNDS_BACK {
            assert!(
                history
                    .depth(HEAD, now)
                    .has_state(BlockNumber(HEAD.0 - 128))
            );
            history.hear_round(HEAD, now);
        }
        let question = history.question(HEAD, now).unwrap();
        assert_eq!(question.place, DepthPoint::Left(BlockNumber(HEAD.0 - 64)));
        answer(&mut history, question, Some(true), now);
        assert_eq!(history.question(HEAD, now), None);
        assert!(
            history
                .depth(HEAD, now)
                .has_state(BlockNumber(HEAD.0 - 128))
        );
    }

    #[test]
    fn a_node_that_forgot_has_its_head_alone_until_it_is_asked_further_and_keeps_what_comes() {
        let now = crate::testing::now();
        let mut history = promising(HEAD.0 - 128, now);
        history.doubt();
        (0..ROUNDS_BACK).for_each(|_| history.hear_round(HEAD, now));
        // It has its head and the one before, and an island that no question asks for.
        let has = |number: BlockNumber| {
            let behind = HEAD.0.saturating_sub(number.0);
            behind < 2 || behind == 127
        };
        let first = history.question(HEAD, now).unwrap();
        answer(&mut history, first, Some(false), now);
        assert_eq!(history.depth(HEAD, now).state_from, Some(HEAD));
        let mut questions = 0;
        while let Some(question) = history.question(HEAD, now).filter(|_| questions < 10) {
            let number = question.place.at(HEAD);
            answer(&mut history, question, Some(has(number)), now);
            questions += 1;
        }
        let from = BlockNumber(HEAD.0 - 1);
        assert_eq!(history.depth(HEAD, now).state_from, Some(from));
        let later = BlockNumber(HEAD.0 + 20);
        assert_eq!(history.depth(later, now).state_from, Some(from));
    }

    #[test]
    fn what_came_after_a_node_was_back_it_has_however_late_it_is_asked_what_it_has_left() {
        let now = crate::testing::now();
        let mut history = promising(HEAD.0 - 60, now);
        history.doubt();
        history.hear_round(HEAD, now);
        let later = BlockNumber(HEAD.0 + 100);
        let mut missing = history;
        history.hear_round(later, now);
        let question = history.question(later, now).unwrap();
        assert_eq!(question.place, DepthPoint::Left(BlockNumber(HEAD.0 - 30)));
        let has = Some(false);
        let mut fallen = history;
        fallen.doubt();
        let below = BlockNumber(HEAD.0 - 40);
        fallen.hear(DepthFinding { question, has }, below, now);
        let edge = DepthPoint::Edge(BlockNumber(HEAD.0 - 30));
        let asked = fallen.question(below, now).map(|asked| asked.place);
        assert_eq!(asked, Some(edge), "its head fell meanwhile");
        history.hear(DepthFinding { question, has }, later, now);
        assert_eq!(history.depth(later, now).state_from, Some(HEAD));
        assert!(!history.is_doubted());
        for (block, from) in [(HEAD.0 - 20, HEAD), (HEAD.0 + 60, later)] {
            missing.hear_missing(state_gap(BlockNumber(block), true), later, now);
            assert_eq!(missing.depth(later, now).state_from, Some(from), "{block}");
        }
    }

    #[test]
    fn a_node_that_is_away_again_and_again_is_not_asked_in_between() {
        let now = crate::testing::now();
        let mut history = promising(HEAD.0 - 128, now);
        for _ in 0..60 {
            history.doubt();
            history.hear_round(HEAD, now);
            assert_eq!(history.question(HEAD, now), None);
        }
        let mut unknown = NodeHistory::default();
        unknown.doubt();
        (0..ROUNDS_BACK).for_each(|_| unknown.hear_round(HEAD, now));
        assert!(!unknown.is_doubted(), "nothing is known that could be lost");
    }

    #[test]
    fn a_node_that_says_what_it_has_is_asked_every_round_and_another_every_tenth() {
        let now = crate::testing::now();
        let asked = |says: CapabilityReport| -> String {
            let mut history = NodeHistory::default();
            let round = |_| {
                let asks = history.asks_capabilities();
                let said = if asks {
                    says
                } else {
                    CapabilityReport::NotAsked
                };
                history.hear_told(said, now);
                if asks { '?' } else { '.' }
            };
            (0..22).map(round).collect()
        };
        let told = CapabilityReport::Told(Depth::default());
        assert_eq!(asked(told), "?".repeat(22));
        assert_eq!(asked(CapabilityReport::Untold), "?.........?.........?.");
    }
}

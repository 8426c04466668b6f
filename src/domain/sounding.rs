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
//! between the head and there, says whether more is left of it.

mod loss;

use std::time::{Duration, Instant};

use self::loss::Loss;
use super::block::Reads;
use super::chain::BlockNumber;
use super::depth::Depth;
use super::promises::{self, Promises};
use super::report::Capabilities;

/// What was found out is found out anew after this time.
pub const EVIDENCE_MAX: Duration = Duration::from_secs(3600);
/// A node whose head is lower isn't asked: nothing is old there.
pub const HEAD_MIN: BlockNumber = BlockNumber(256);
/// Questions until a depth is found, or given up.
pub const QUESTIONS_MAX: u32 = 24;
/// The first block behind the head that is asked for: geth keeps the state of 128.
const FIRST_GUESS: u64 = 120;
/// A search ends when what is there and what isn't are this close, as a part of the distance.
const PRECISION: u64 = 64;
/// A window is taken for a sixteenth smaller than it was found, as the head moves between two
/// rounds; by this many blocks at most.
const MARGIN_MAX: u64 = 32;
/// A node that was away is asked what it has left once it has answered so many rounds since.
const ROUNDS_BACK: u32 = 2;

/// Rounds until a node that didn't say what it has is asked for it again.
pub const CAPABILITIES_ROUNDS: u32 = 10;

/// The data whose depth is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    State,
    Blocks,
    Proofs,
}

/// The block that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Number(BlockNumber),
    /// Blocks behind the head as it is when the question is put.
    Behind(u64),
    /// Likewise, of a node that was away.
    Left(u64),
    /// A block at the edge of what was lost.
    Edge(BlockNumber),
}

impl Place {
    /// The block's number, for a node at `head`.
    pub fn at(self, head: BlockNumber) -> BlockNumber {
        match self {
            Place::Number(number) | Place::Edge(number) => number,
            Place::Behind(blocks) | Place::Left(blocks) => {
                BlockNumber(head.0.saturating_sub(blocks))
            }
        }
    }
}

/// Whether the node has `resource` at `place`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    pub resource: Resource,
    pub place: Place,
}

/// What came of it. `has` is `None` where the node said neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub question: Question,
    pub has: Option<bool>,
}

/// What one node is known to have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Soundings {
    state: Sounding,
    blocks: Sounding,
    /// Of states that it should have, those that it doesn't.
    loss: Option<Loss>,
    /// It was away: rounds until it is asked what it has left.
    back_in: Option<u32>,
    /// What it should have and doesn't, but for states.
    promises: Promises,
    /// As it said itself.
    told: Option<(Depth, Instant)>,
    /// Rounds until it is asked to say so again.
    told_in: u32,
}

impl Soundings {
    pub fn depth(&self, head: BlockNumber, now: Instant) -> Depth {
        let told = self.told(now);
        let lost = self.loss(now).map(|loss| loss.from);
        let believed = Depth {
            blocks_from: self.blocks.oldest(told.blocks_from, head),
            state_from: self.state.oldest(told.state_from, head).max(lost),
            ..told
        };
        self.promises.less(believed, now)
    }

    fn loss(&self, now: Instant) -> Option<Loss> {
        let lasts = match self.told(now).state_from {
            Some(_) => promises::DOUBTED,
            None => EVIDENCE_MAX,
        };
        let age = |loss: &Loss| now.saturating_duration_since(loss.at);
        self.loss.filter(|loss| age(loss) < lasts)
    }

    fn told(&self, now: Instant) -> Depth {
        let fresh = self.told.filter(|(_, at)| is_fresh(*at, now));
        fresh.map(|(depth, _)| depth).unwrap_or_default()
    }

    /// What to ask the node next, which is at `head`. State comes first: it is what most lack.
    pub fn question(&self, head: BlockNumber, now: Instant) -> Option<Question> {
        let of_state = |place| Question {
            resource: Resource::State,
            place,
        };
        let left = self.left(head, now).filter(|_| self.back_in == Some(0));
        let loss = self.loss(now);
        left.or_else(|| loss.and_then(Loss::halfway))
            .map(of_state)
            .or_else(|| self.search(head, now))
            .or_else(|| loss.map(|loss| of_state(Place::Edge(loss.lost))))
            .or_else(|| {
                let (resource, number) = self.promises.question(now)?;
                let place = Place::Edge(number);
                Some(Question { resource, place })
            })
    }

    /// Halfway to the oldest state that it is believed to have.
    fn left(&self, head: BlockNumber, now: Instant) -> Option<Place> {
        let from = self.depth(head, now).state_from?;
        let behind = head.0.saturating_sub(from.0) / 2;
        (behind > 0).then_some(Place::Left(behind))
    }

    fn search(&self, head: BlockNumber, now: Instant) -> Option<Question> {
        if head < HEAD_MIN {
            return None;
        }
        let told = self.told(now);
        let ask = |resource, sounding: &Sounding, told: Option<BlockNumber>| {
            let place = sounding.next(now).filter(|_| told.is_none())?;
            Some(Question { resource, place })
        };
        ask(Resource::State, &self.state, told.state_from)
            .or_else(|| ask(Resource::Blocks, &self.blocks, told.blocks_from))
    }

    /// Hears what came of a question, from a node at `head`.
    pub fn hear(&mut self, found: Found, head: BlockNumber, now: Instant) {
        match (found.question.place, found.has) {
            (Place::Left(_), has) => {
                self.back_in = None;
                if has == Some(false) {
                    let lost = found.question.place.at(head);
                    let from = head;
                    self.loss = Some(Loss {
                        lost,
                        from,
                        at: now,
                    });
                }
                return;
            }
            (Place::Edge(_), Some(has)) if found.question.resource != Resource::State => {
                if has {
                    self.promises.found(found.question.resource);
                }
                return;
            }
            (Place::Edge(number), Some(has)) => {
                self.loss = self.loss.and_then(|loss| loss.heard(number, has, now));
                return;
            }
            (Place::Edge(_), None) => return,
            (Place::Number(_) | Place::Behind(_), _) => {}
        }
        let sounding = match found.question.resource {
            Resource::State => &mut self.state,
            Resource::Blocks => &mut self.blocks,
            Resource::Proofs => return,
        };
        sounding.hear(found, head, now);
    }

    /// Whether the node is to be asked what it has. One that says so says so every round.
    pub fn asks_capabilities(&self) -> bool {
        self.told_in == 0
    }

    /// Hears what the node says of itself, round by round.
    pub fn hear_told(&mut self, said: Capabilities, now: Instant) {
        match said {
            Capabilities::NotAsked => self.told_in = self.told_in.saturating_sub(1),
            Capabilities::Untold => self.told_in = CAPABILITIES_ROUNDS - 1,
            Capabilities::Told(depth) => self.told = Some((depth, now)),
        }
    }

    /// A call met what it `reads` missing in block `missing`, on a node at `head`.
    pub fn hear_lacking(
        &mut self,
        reads: Reads,
        missing: BlockNumber,
        head: BlockNumber,
        now: Instant,
    ) {
        match reads {
            Reads::State => self.hear_missing(missing, head, now),
            Reads::Head | Reads::Block | Reads::Proof | Reads::Receipts | Reads::Logs => {
                self.promises.hear_missing(reads, missing, now);
            }
        }
    }

    /// A call met state of block `missing` missing, on a node at `head`, which it has in any case.
    pub fn hear_missing(&mut self, missing: BlockNumber, head: BlockNumber, now: Instant) {
        if missing >= head {
            return;
        }
        let next = BlockNumber(missing.0 + 1);
        let known = self.loss(now);
        self.loss = Some(Loss {
            lost: known.map_or(missing, |loss| loss.lost.max(missing)),
            from: known.map_or(next, |loss| loss.from.max(next)),
            at: now,
        });
    }

    /// The node was silent, took no connection, or its socket broke.
    pub fn doubt(&mut self) {
        self.back_in = Some(ROUNDS_BACK);
    }

    pub fn is_doubted(&self) -> bool {
        self.back_in.is_some()
    }

    /// The node has answered a round.
    pub fn hear_round(&mut self, head: BlockNumber, now: Instant) {
        self.back_in = self.back_in.map(|rounds| rounds.saturating_sub(1));
        // Nothing is believed of it that it could have lost.
        if self.back_in == Some(0) && self.left(head, now).is_none() {
            self.back_in = None;
        }
    }
}

/// One resource's.
#[derive(Clone, Copy, Debug, Default)]
struct Sounding {
    search: Search,
    /// What the search before found.
    settled: Option<Seen>,
}

impl Sounding {
    fn oldest(&self, told: Option<BlockNumber>, head: BlockNumber) -> Option<BlockNumber> {
        told.or_else(|| self.found(head))
    }

    fn found(&self, head: BlockNumber) -> Option<BlockNumber> {
        match self.settled {
            Some(settled) if !self.search.is_over() => settled.oldest(true, head),
            Some(_) | None => self.search.seen.oldest(self.search.is_over(), head),
        }
    }

    fn next(&self, now: Instant) -> Option<Place> {
        if self.search.is_stale(now) {
            return Search::default().next();
        }
        self.search.next()
    }

    fn hear(&mut self, found: Found, head: BlockNumber, now: Instant) {
        if self.search.is_stale(now) {
            self.settled = Some(self.search.seen).filter(|_| self.search.is_over());
            self.search = Search::default();
        }
        self.search.hear(found, head, now);
    }
}

/// Questions about one resource, each halving the doubt.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    began_at: Option<Instant>,
    questions: u32,
    seen: Seen,
}

#[derive(Clone, Copy, Debug, Default)]
enum Seen {
    #[default]
    Nothing,
    /// Block 1: so all of them.
    All,
    /// In blocks behind the head: `near` is there (0: the head), `far` is missing.
    Between { near: u64, far: u64 },
}

impl Seen {
    /// As long as the search is under way only what is certainly missing counts as missing.
    fn oldest(self, is_over: bool, head: BlockNumber) -> Option<BlockNumber> {
        let behind = |blocks: u64| BlockNumber(head.0.saturating_sub(blocks));
        match self {
            Seen::Nothing => None,
            Seen::All => Some(BlockNumber(0)),
            Seen::Between { near, .. } if is_over => {
                Some(behind(near - (near / 16).min(MARGIN_MAX)))
            }
            Seen::Between { far, .. } => Some(BlockNumber(behind(far).0 + 1)),
        }
    }
}

impl Search {
    fn is_stale(&self, now: Instant) -> bool {
        self.began_at.is_some_and(|at| !is_fresh(at, now))
    }

    fn is_over(&self) -> bool {
        self.next().is_none()
    }

    fn next(&self) -> Option<Place> {
        if self.questions >= QUESTIONS_MAX {
            return None;
        }
        match self.seen {
            Seen::Nothing => Some(Place::Number(BlockNumber(1))),
            Seen::All => None,
            Seen::Between { near, far } if far - near <= near / PRECISION + 1 => None,
            Seen::Between { near: 0, far } => Some(Place::Behind(FIRST_GUESS.min(far / 2))),
            // Halfway in orders of magnitude: windows are of 128 blocks, or of 10 million.
            Seen::Between { near, far } => {
                let middle = (near as f64 * far as f64).sqrt() as u64;
                Some(Place::Behind(middle.clamp(near + 1, far - 1)))
            }
        }
    }

    fn hear(&mut self, found: Found, head: BlockNumber, now: Instant) {
        self.began_at = self.began_at.or(Some(now));
        self.questions = self.questions.saturating_add(1);
        let behind = head.0.saturating_sub(found.question.place.at(head).0);
        self.seen = match (self.seen, found.has) {
            (seen, None) => seen,
            (Seen::Nothing, Some(true)) => Seen::All,
            (Seen::Nothing, Some(false)) => Seen::Between {
                near: 0,
                far: behind,
            },
            (Seen::All, Some(_)) => Seen::All,
            (Seen::Between { near, far }, Some(true)) => Seen::Between {
                near: near.max(behind.min(far.saturating_sub(1))),
                far,
            },
            (Seen::Between { near, far }, Some(false)) => Seen::Between {
                near,
                far: far.min(behind.max(near + 1)),
            },
        };
    }
}

fn is_fresh(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < EVIDENCE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: BlockNumber = BlockNumber(20_000_000);

    /// Asks, round by round, a node whose oldest state and block are so many behind its head.
    fn sound(soundings: &mut Soundings, state: u64, blocks: u64, now: Instant) -> u32 {
        let mut questions = 0;
        while let Some(question) = soundings.question(HEAD, now) {
            let kept = match question.resource {
                Resource::State => state,
                Resource::Blocks => blocks,
                Resource::Proofs => panic!("nothing was promised"),
            };
            let has = Some(HEAD.0 - question.place.at(HEAD).0 <= kept);
            soundings.hear(Found { question, has }, HEAD, now);
            questions += 1;
            assert!(questions <= 2 * QUESTIONS_MAX, "no end");
        }
        questions
    }

    #[test]
    fn an_archive_node_is_known_by_two_questions() {
        let now = crate::clock::now();
        let mut soundings = Soundings::default();
        assert_eq!(soundings.depth(HEAD, now), Depth::default());
        assert_eq!(sound(&mut soundings, HEAD.0, HEAD.0, now), 2);
        let depth = soundings.depth(HEAD, now);
        assert!(depth.has_state(BlockNumber(0)) && depth.has_block(BlockNumber(0)));
        assert_eq!(depth.state_from, Some(BlockNumber(0)));
    }

    #[test]
    fn a_window_is_found_in_few_questions_and_never_taken_for_larger_than_it_is() {
        let now = crate::clock::now();
        for kept in [30, 63, 127, 128, 511, 10_064, 90_000, 2_350_000, 8_000_000] {
            let mut soundings = Soundings::default();
            let questions = sound(&mut soundings, kept, HEAD.0, now);
            assert!(questions <= QUESTIONS_MAX, "{kept}: {questions}");
            let from = soundings.depth(HEAD, now).state_from.unwrap();
            let found = HEAD.0 - from.0;
            assert!(
                found <= kept && found >= kept - kept / 10 - 2,
                "{kept}: {found}"
            );
        }
    }

    #[test]
    fn a_window_moves_with_its_head() {
        let now = crate::clock::now();
        let mut soundings = Soundings::default();
        sound(&mut soundings, 127, HEAD.0, now);
        let before = soundings.depth(HEAD, now).state_from.unwrap();
        let later = soundings.depth(BlockNumber(HEAD.0 + 50), now);
        assert_eq!(later.state_from, Some(BlockNumber(before.0 + 50)));
    }

    #[test]
    fn while_the_search_lasts_only_what_is_certainly_missing_is() {
        let now = crate::clock::now();
        let mut soundings = Soundings::default();
        for has in [false, true] {
            let question = soundings.question(HEAD, now).unwrap();
            let has = Some(has);
            soundings.hear(Found { question, has }, HEAD, now);
        }
        let depth = soundings.depth(HEAD, now);
        assert!(!depth.has_state(BlockNumber(1)) && depth.has_state(BlockNumber(2)));
    }

    #[test]
    fn a_node_that_says_neither_is_given_up_and_has_all_that_is_asked_of_it() {
        let now = crate::clock::now();
        let mut soundings = Soundings::default();
        for _ in 0..2 * QUESTIONS_MAX {
            let question = soundings.question(HEAD, now).unwrap();
            soundings.hear(
                Found {
                    question,
                    has: None,
                },
                HEAD,
                now,
            );
        }
        assert_eq!(soundings.question(HEAD, now), None);
        assert_eq!(soundings.depth(HEAD, now), Depth::default());
    }

    #[test]
    fn a_short_chain_is_not_asked() {
        let (now, soundings) = (crate::clock::now(), Soundings::default());
        assert_eq!(soundings.question(BlockNumber(HEAD_MIN.0 - 1), now), None);
        assert!(soundings.question(HEAD_MIN, now).is_some());
    }

    #[test]
    fn what_is_found_is_found_anew_after_an_hour_and_holds_until_then() {
        let start = crate::clock::now();
        let mut soundings = Soundings::default();
        sound(&mut soundings, 127, HEAD.0, start);
        let nearly = start + EVIDENCE_MAX - Duration::from_secs(1);
        assert_eq!(soundings.question(HEAD, nearly), None);
        let later = start + EVIDENCE_MAX;
        let question = soundings.question(HEAD, later).unwrap();
        assert_eq!(question.place, Place::Number(BlockNumber(1)));
        soundings.hear(
            Found {
                question,
                has: None,
            },
            HEAD,
            later,
        );
        assert!(
            !soundings.depth(HEAD, later).has_state(BlockNumber(9)),
            "it still holds"
        );
        sound(&mut soundings, HEAD.0, HEAD.0, later);
        assert!(
            soundings.depth(HEAD, later).has_state(BlockNumber(0)),
            "synced anew"
        );
    }

    #[test]
    fn what_a_node_says_of_itself_holds_and_spares_the_questions() {
        let now = crate::clock::now();
        let mut soundings = Soundings::default();
        let told = Depth {
            state_from: Some(BlockNumber(7)),
            ..Depth::default()
        };
        soundings.hear_told(Capabilities::Told(told), now);
        assert_eq!(soundings.depth(HEAD, now), told);
        let question = soundings.question(HEAD, now).unwrap();
        assert_eq!(
            question.resource,
            Resource::Blocks,
            "of which it said nothing"
        );
        let later = now + EVIDENCE_MAX;
        assert_eq!(
            soundings.depth(HEAD, later),
            Depth::default(),
            "too long ago"
        );
    }

    /// Ten minutes are over.
    const LATER: Duration = promises::DOUBTED;

    fn promising(from: u64, now: Instant) -> Soundings {
        let mut soundings = Soundings::default();
        let told = Depth {
            state_from: Some(BlockNumber(from)),
            blocks_from: Some(BlockNumber(0)),
            ..Depth::default()
        };
        soundings.hear_told(Capabilities::Told(told), now);
        soundings
    }

    #[test]
    fn a_miss_outranks_what_was_promised_until_it_is_found_or_for_ten_minutes() {
        let now = crate::clock::now();
        let mut soundings = promising(0, now);
        let missing = |behind: u64| BlockNumber(HEAD.0 - behind);
        soundings.hear_missing(missing(0), HEAD, now);
        assert!(soundings.depth(HEAD, now).has_state(missing(0)), "the head");
        for behind in [1000, 5000, 1] {
            soundings.hear_missing(missing(behind), HEAD, now);
        }
        let depth = soundings.depth(HEAD, now);
        assert!(!depth.has_state(missing(1)) && depth.has_state(missing(0)));
        let later = BlockNumber(HEAD.0 + 500);
        assert!(
            soundings.depth(later, now).has_state(missing(0)),
            "it stays where it was"
        );
        let question = soundings.question(HEAD, now).unwrap();
        assert_eq!(question.place, Place::Edge(missing(1)));
        let mut found = soundings;
        for (has, wanted) in [(None, false), (Some(false), false), (Some(true), true)] {
            found.hear(Found { question, has }, HEAD, now);
            assert_eq!(
                found.depth(HEAD, now).has_state(missing(1)),
                wanted,
                "{has:?}"
            );
        }
        let nearly = now + LATER - Duration::from_millis(1);
        assert!(!soundings.depth(HEAD, nearly).has_state(missing(5000)));
        assert!(soundings.depth(HEAD, now + LATER).has_state(missing(5000)));
    }

    #[test]
    fn what_a_node_was_known_to_have_is_asked_for_once_when_it_is_back_and_stands_if_it_is_there() {
        let now = crate::clock::now();
        let mut soundings = promising(HEAD.0 - 128, now);
        soundings.doubt();
        assert_eq!(soundings.question(HEAD, now), None, "it is not yet back");
        for _ in 0..ROUNDS_BACK {
            assert!(
                soundings
                    .depth(HEAD, now)
                    .has_state(BlockNumber(HEAD.0 - 128))
            );
            soundings.hear_round(HEAD, now);
        }
        let question = soundings.question(HEAD, now).unwrap();
        assert_eq!(question.place, Place::Left(64));
        let has = Some(true);
        soundings.hear(Found { question, has }, HEAD, now);
        assert_eq!(soundings.question(HEAD, now), None);
        assert!(
            soundings
                .depth(HEAD, now)
                .has_state(BlockNumber(HEAD.0 - 128))
        );
    }

    #[test]
    fn a_node_that_forgot_has_its_head_alone_until_it_is_asked_further_and_keeps_what_comes() {
        let now = crate::clock::now();
        let mut soundings = promising(HEAD.0 - 128, now);
        soundings.doubt();
        (0..ROUNDS_BACK).for_each(|_| soundings.hear_round(HEAD, now));
        // It has its head and the one before, and an island that nobody asks for.
        let has = |number: BlockNumber| {
            let behind = HEAD.0.saturating_sub(number.0);
            behind < 2 || behind == 127
        };
        let first = soundings.question(HEAD, now).unwrap();
        let lost = Found {
            question: first,
            has: Some(false),
        };
        soundings.hear(lost, HEAD, now);
        assert_eq!(soundings.depth(HEAD, now).state_from, Some(HEAD));
        let mut questions = 0;
        while let Some(question) = soundings.question(HEAD, now).filter(|_| questions < 10) {
            let number = question.place.at(HEAD);
            let has = Some(has(number));
            soundings.hear(Found { question, has }, HEAD, now);
            questions += 1;
        }
        let from = BlockNumber(HEAD.0 - 1);
        assert_eq!(soundings.depth(HEAD, now).state_from, Some(from));
        let later = BlockNumber(HEAD.0 + 20);
        assert_eq!(soundings.depth(later, now).state_from, Some(from));
    }

    #[test]
    fn a_node_that_is_away_again_and_again_is_not_asked_in_between() {
        let now = crate::clock::now();
        let mut soundings = promising(HEAD.0 - 128, now);
        for _ in 0..60 {
            soundings.doubt();
            soundings.hear_round(HEAD, now);
            assert_eq!(soundings.question(HEAD, now), None);
        }
        let mut unknown = Soundings::default();
        unknown.doubt();
        (0..ROUNDS_BACK).for_each(|_| unknown.hear_round(HEAD, now));
        assert!(!unknown.is_doubted(), "nothing is known that could be lost");
    }

    #[test]
    fn a_node_that_says_what_it_has_is_asked_every_round_and_another_every_tenth() {
        let now = crate::clock::now();
        let asked = |says: Capabilities| -> String {
            let mut soundings = Soundings::default();
            let round = |_| {
                let asks = soundings.asks_capabilities();
                let said = if asks { says } else { Capabilities::NotAsked };
                soundings.hear_told(said, now);
                if asks { '?' } else { '.' }
            };
            (0..22).map(round).collect()
        };
        let told = Capabilities::Told(Depth::default());
        assert_eq!(asked(told), "?".repeat(22));
        assert_eq!(asked(Capabilities::Untold), "?.........?.........?.");
    }
}

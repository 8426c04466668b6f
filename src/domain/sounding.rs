//! Finding out how deep a node goes.
//!
//! Where it says so (`eth_capabilities`), that holds. Else it is asked for block 1, and, where it
//! lacks that, for one block after another between the head and there, a question a round. What
//! is found is kept as blocks behind the head, because what a pruning node keeps moves with its
//! head. A call that finds data missing says so, too. All of it grows old: a node may be synced
//! anew with everything.

use std::time::{Duration, Instant};

use super::chain::BlockNumber;
use super::depth::Depth;
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
/// A call that finds data missing this close below the head tells of another trouble than depth.
pub const MISSING_BEHIND_MIN: u64 = 16;

/// Rounds until a node that didn't say what it has is asked for it again.
pub const CAPABILITIES_ROUNDS: u32 = 10;

/// The data whose depth is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    State,
    Blocks,
}

/// The block that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Number(BlockNumber),
    /// Blocks behind the head as it is when the question is put.
    Behind(u64),
}

impl Place {
    /// The block's number, for a node at `head`.
    pub fn at(self, head: BlockNumber) -> BlockNumber {
        match self {
            Place::Number(number) => number,
            Place::Behind(blocks) => BlockNumber(head.0.saturating_sub(blocks)),
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
    /// As it said itself.
    told: Option<(Depth, Instant)>,
    /// Rounds until it is asked to say so again.
    told_in: u32,
}

impl Soundings {
    pub fn depth(&self, head: BlockNumber, now: Instant) -> Depth {
        let told = self.told(now);
        Depth {
            blocks_from: self.blocks.oldest(told.blocks_from, head, now),
            state_from: self.state.oldest(told.state_from, head, now),
            receipts_from: told.receipts_from,
        }
    }

    fn told(&self, now: Instant) -> Depth {
        let fresh = self.told.filter(|(_, at)| is_fresh(*at, now));
        fresh.map(|(depth, _)| depth).unwrap_or_default()
    }

    /// What to ask the node next, which is at `head`. State comes first: it is what most lack.
    pub fn question(&self, head: BlockNumber, now: Instant) -> Option<Question> {
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
        let sounding = match found.question.resource {
            Resource::State => &mut self.state,
            Resource::Blocks => &mut self.blocks,
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

    /// A call met state of block `missing` missing, on a node at `head`.
    pub fn hear_missing(&mut self, missing: BlockNumber, head: BlockNumber, now: Instant) {
        let behind = head.0.saturating_sub(missing.0);
        let known = self.state.missing(now);
        if behind >= MISSING_BEHIND_MIN && known.is_none_or(|known| behind < known) {
            self.state.missed = Some((behind, now));
        }
    }
}

/// One resource's.
#[derive(Clone, Copy, Debug, Default)]
struct Sounding {
    search: Search,
    /// What the search before found.
    settled: Option<Seen>,
    /// Blocks behind the head at which a call met nothing.
    missed: Option<(u64, Instant)>,
}

impl Sounding {
    fn missing(&self, now: Instant) -> Option<u64> {
        let fresh = self.missed.filter(|(_, at)| is_fresh(*at, now));
        fresh.map(|(behind, _)| behind)
    }

    fn oldest(
        &self,
        told: Option<BlockNumber>,
        head: BlockNumber,
        now: Instant,
    ) -> Option<BlockNumber> {
        let missed = self
            .missing(now)
            .map(|behind| BlockNumber(head.0.saturating_sub(behind) + 1));
        let found = told.or_else(|| self.found(head));
        found.max(missed)
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

    #[test]
    fn a_call_that_met_nothing_outranks_what_was_said_for_an_hour() {
        let now = crate::clock::now();
        let mut soundings = Soundings::default();
        let told = Capabilities::Told(Depth {
            state_from: Some(BlockNumber(0)),
            ..Depth::default()
        });
        soundings.hear_told(told, now);
        let missing = |behind: u64| BlockNumber(HEAD.0 - behind);
        soundings.hear_missing(missing(MISSING_BEHIND_MIN - 1), HEAD, now);
        assert!(soundings.depth(HEAD, now).has_state(missing(5000)));
        soundings.hear_missing(missing(1000), HEAD, now);
        soundings.hear_missing(missing(5000), HEAD, now);
        let depth = soundings.depth(HEAD, now);
        assert!(!depth.has_state(missing(1000)) && depth.has_state(missing(999)));
        soundings.hear_missing(missing(MISSING_BEHIND_MIN), HEAD, now);
        let depth = soundings.depth(HEAD, now);
        assert!(!depth.has_state(missing(16)) && depth.has_state(missing(15)));
        soundings.hear_told(told, now + EVIDENCE_MAX);
        let depth = soundings.depth(HEAD, now + EVIDENCE_MAX);
        assert!(depth.has_state(missing(5000)));
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

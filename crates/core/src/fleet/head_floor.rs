//! The head that clients were told before this process began, or by another balancer: they aren't told
//! less here.
//!
//! It is no truth about the chain. What a node of ours has is shown at once; what none has yet, and may be
//! there by its time, is shown for a block time, while calls wait for it. Then it is forgotten, and for a
//! while no such head is believed unless a node here has it.

use std::time::{Duration, Instant};

use crate::vocabulary::chain::{BlockHash, BlockNumber, ChainId};

/// One that is older says nothing: nodes have had its block for long.
const AGE_MAX: Duration = Duration::from_secs(60);
/// After a floor that no node came to have, so long only those count that a node has.
const DOUBT: Duration = Duration::from_secs(60);
/// One is raised at most this often.
pub const RAISED_EVERY: Duration = Duration::from_secs(1);

/// A head as it is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadFloor {
    /// The head's number.
    pub number: BlockNumber,
    /// The head's hash; `None`: its writer didn't know it.
    pub hash: Option<BlockHash>,
    /// Of its chain, where that is known.
    pub chain_id: Option<ChainId>,
    /// When it was written, in milliseconds since 1970 by its writer's clock.
    pub raised_at: u64,
}

/// The head that clients are shown, as far as nodes here have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownHead {
    /// The head's number.
    pub number: BlockNumber,
    /// The head's hash; `None`: no node told it.
    pub hash: Option<BlockHash>,
    /// Of its chain, where all nodes say the same.
    pub chain_id: Option<ChainId>,
    /// How often nodes have taken the head back, so far.
    pub reorgs: u64,
}

impl ShownHead {
    /// As it is handed on at `now`, in milliseconds since 1970.
    pub fn at(&self, now: u64) -> HeadFloor {
        HeadFloor {
            number: self.number,
            hash: self.hash,
            chain_id: self.chain_id,
            raised_at: now,
        }
    }

    /// Whether nodes have taken the chain back since `last`, with a hash to show.
    fn falls_from(&self, last: &ShownHead) -> bool {
        last.reorgs < self.reorgs && last.number > self.number && self.hash.is_some()
    }
}

impl HeadFloor {
    /// Whether it says anything at `now`, in milliseconds since 1970. Two machines' clocks may differ.
    pub fn is_young(&self, now: u64) -> bool {
        u128::from(self.raised_at.abs_diff(now)) < AGE_MAX.as_millis()
    }

    /// From when to when one was raised that is young as of this one, in milliseconds since 1970.
    pub fn young_from_to(&self) -> (u64, u64) {
        let age = AGE_MAX.as_millis() as u64 - 1;
        let from = self.raised_at.saturating_sub(age);
        (from, self.raised_at.saturating_add(age))
    }

    /// Whether it may be of the chain `id`.
    pub fn is_of(&self, id: Option<ChainId>) -> bool {
        id.is_none() || self.chain_id.is_none() || self.chain_id == id
    }

    /// Whether it may be written over `stored`. `lowers`: its chain was taken back, with a hash to show.
    pub fn replaces(&self, stored: Option<&HeadFloor>, lowers: bool, now: u64) -> bool {
        stored.is_none_or(|stored| {
            lowers
                || self.number > stored.number
                || !stored.is_young(now)
                || !self.is_of(stored.chain_id)
        })
    }
}

/// What this process makes of floors.
#[derive(Clone, Copy, Debug, Default)]
pub struct FloorTracker {
    /// Told before anything was known of nodes.
    early: Option<HeadFloor>,
    held: Option<HeldFloor>,
    doubted_until: Option<Instant>,
}

/// A floor that no node is known to have yet.
#[derive(Clone, Copy, Debug)]
struct HeldFloor {
    number: BlockNumber,
    until: Instant,
}

/// What nodes have.
#[derive(Clone, Copy, Debug)]
pub struct FloorEvidence {
    /// The highest head of those that serve.
    pub had: Option<BlockNumber>,
    /// The highest that there can be by now.
    pub reach: BlockNumber,
    /// How long a node may take to have it.
    pub patience: Duration,
}

/// What becomes of a floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloorStep {
    /// A node has it: it is shown as any other.
    Shown(BlockNumber),
    /// Nothing is new.
    Stays,
    /// No node came to have it, and it is shown no longer.
    Dropped,
}

impl FloorTracker {
    /// What is shown though no node is known to have it.
    pub fn held(&self) -> Option<BlockNumber> {
        self.held.map(|held| held.number)
    }

    /// Until when.
    pub fn held_until(&self) -> Option<Instant> {
        self.held.map(|held| held.until)
    }

    /// Hears of one before the first round.
    pub fn hear_early(&mut self, floor: HeadFloor) {
        let is_higher = self.early.is_none_or(|early| early.number < floor.number);
        if is_higher {
            self.early = Some(floor);
        }
    }

    /// The one that was heard of before the first round; once.
    pub fn take_early(&mut self) -> Option<HeadFloor> {
        self.early.take()
    }

    /// Hears of a floor above the head that is shown.
    pub fn hear(&mut self, number: BlockNumber, nodes: FloorEvidence, now: Instant) -> FloorStep {
        if nodes.had >= Some(number) {
            return FloorStep::Shown(number);
        }
        let is_doubted = self.doubted_until.is_some_and(|until| now < until);
        if is_doubted || number > nodes.reach || self.held() >= Some(number) {
            return FloorStep::Stays;
        }
        self.held = Some(HeldFloor {
            number,
            until: now + nodes.patience,
        });
        FloorStep::Stays
    }

    /// Looks what became of the one that is held.
    pub fn settle(&mut self, had: Option<BlockNumber>, now: Instant) -> FloorStep {
        let Some(held) = self.held else {
            return FloorStep::Stays;
        };
        if had >= Some(held.number) {
            self.held = None;
            return FloorStep::Shown(held.number);
        }
        if now < held.until {
            return FloorStep::Stays;
        }
        self.held = None;
        self.doubted_until = Some(now + DOUBT);
        FloorStep::Dropped
    }

    /// The chain was taken back, or began anew.
    pub fn forget(&mut self) {
        self.held = None;
    }
}

/// When this process writes a floor.
#[derive(Clone, Copy, Debug, Default)]
pub struct FloorWriter {
    written: Option<(ShownHead, Instant)>,
    /// The chain was taken back since a write was last heard.
    lowers: bool,
}

/// One to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloorWrite {
    /// What is written.
    pub floor: HeadFloor,
    /// Also over a higher one: nodes showed that the chain was taken back.
    pub lowers: bool,
}

impl FloorWriter {
    /// What to write, now that clients are shown `shown` and `stored` stands there. `unix`: now, in
    /// milliseconds since 1970.
    pub fn due(
        &mut self,
        shown: ShownHead,
        stored: Option<&HeadFloor>,
        (now, unix): (Instant, u64),
    ) -> Option<FloorWrite> {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < RAISED_EVERY;
        // Another balancer's counts, too: one a second for all of them.
        let was_raised = |stored: &HeadFloor| {
            u128::from(stored.raised_at.abs_diff(unix)) < RAISED_EVERY.as_millis()
        };
        if self.written.is_some_and(|(_, at)| is_recent(at)) || stored.is_some_and(was_raised) {
            return None;
        }
        let floor = shown.at(unix);
        self.lowers |= self
            .written
            .is_some_and(|(last, _)| shown.falls_from(&last));
        if !floor.replaces(stored, self.lowers, unix) {
            return None;
        }
        self.written = Some((shown, now));
        Some(FloorWrite {
            floor,
            lowers: self.lowers,
        })
    }

    /// The last write was heard: what was taken back is so where it stands, too.
    pub fn is_heard(&mut self) {
        self.lowers = false;
    }
}

/// What this process puts where the head stands in the store that all balancers share.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoredFloor {
    /// What counts as standing there: the highest that was said or read since it is listened to, or what was
    /// put last.
    said: Option<HeadFloor>,
    /// What stands there was read while it was listened to for this time.
    read_at: Option<u64>,
    /// What this process said last.
    own: Option<ShownHead>,
    /// When nodes took the chain back and that was not put yet, in milliseconds since 1970.
    lowered_at: Option<u64>,
}

impl StoredFloor {
    /// It is listened to from now on, or again: until what stands there is read, nothing is put over it.
    pub fn begin(&mut self) {
        self.said = None;
        self.read_at = None;
    }

    /// A balancer said it, or it stands there. `now`: in milliseconds since 1970.
    pub fn hear(&mut self, floor: HeadFloor, now: u64) {
        if floor.replaces(self.said.as_ref(), false, now) {
            self.said = Some(floor);
        }
    }

    /// What stands there was read, and heard, while it was listened to for the time `listening`. What to put
    /// there now.
    pub fn read(&mut self, listening: u64, now: u64) -> Option<HeadFloor> {
        self.read_at = Some(listening);
        self.due(now)
    }

    /// This process says `shown`; what to put there. `listening`: for which time it is listened to, if it is.
    pub fn say(&mut self, shown: ShownHead, listening: Option<u64>, now: u64) -> Option<HeadFloor> {
        if self.own.is_some_and(|own| shown.falls_from(&own)) {
            self.lowered_at = Some(now);
        }
        self.own = Some(shown);
        let is_read = listening.is_some() && self.read_at == listening;
        is_read.then(|| self.due(now)).flatten()
    }

    /// It was put there.
    pub fn is_put(&mut self, floor: HeadFloor) {
        self.said = Some(floor);
        self.lowered_at = None;
    }

    /// Also what another has said alike: it may have put nothing. What one said after the chain was taken back
    /// here holds.
    fn due(&self, now: u64) -> Option<HeadFloor> {
        let floor = self.own?.at(now);
        let is_due = self.said.is_none_or(|said| {
            let lowers = self.lowered_at.is_some_and(|at| said.raised_at <= at);
            said.number == floor.number || floor.replaces(Some(&said), lowers, now)
        });
        is_due.then_some(floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn nodes(had: u64) -> FloorEvidence {
        FloorEvidence {
            had: Some(BlockNumber(had)),
            reach: BlockNumber(had + 7),
            patience: PATIENCE,
        }
    }

    fn floor(number: u64, raised_at: u64) -> HeadFloor {
        shown(number, 0).at(raised_at)
    }

    fn shown(number: u64, reorgs: u64) -> ShownHead {
        ShownHead {
            number: BlockNumber(number),
            hash: Some(BlockHash([number as u8; 32])),
            chain_id: Some(ChainId(1)),
            reorgs,
        }
    }

    #[test]
    fn what_a_node_has_is_shown_at_once_and_what_none_has_for_a_block_time() {
        let now = crate::testing::now();
        let mut floors = FloorTracker::default();
        let step = floors.hear(BlockNumber(105), nodes(105), now);
        assert_eq!(
            (step, floors.held()),
            (FloorStep::Shown(BlockNumber(105)), None)
        );
        floors.hear(BlockNumber(106), nodes(105), now);
        floors.hear(BlockNumber(105), nodes(104), now);
        assert_eq!(floors.held(), Some(BlockNumber(106)), "the higher one");
        let nearly = now + PATIENCE - Duration::from_millis(1);
        let had = Some(BlockNumber(105));
        assert_eq!(floors.settle(had, nearly), FloorStep::Stays);
        let mut met = floors;
        let had_it = met.settle(Some(BlockNumber(107)), nearly);
        assert_eq!(
            (had_it, met.held()),
            (FloorStep::Shown(BlockNumber(106)), None)
        );
        assert_eq!(floors.settle(had, now + PATIENCE), FloorStep::Dropped);
        assert_eq!(floors.held(), None);
    }

    #[test]
    fn a_liar_lifts_nothing_beyond_reach_and_once_nothing_within_it() {
        let now = crate::testing::now();
        let mut floors = FloorTracker::default();
        floors.hear(BlockNumber(108), nodes(100), now);
        assert_eq!(floors.held(), None, "beyond reach");
        floors.hear(BlockNumber(107), nodes(100), now);
        assert_eq!(floors.held(), Some(BlockNumber(107)), "at its limit");
        let dropped = now + PATIENCE;
        floors.settle(Some(BlockNumber(100)), dropped);
        let later = dropped + DOUBT - Duration::from_millis(1);
        floors.hear(BlockNumber(102), nodes(100), later);
        assert_eq!(floors.held(), None, "it is doubted");
        let had = floors.hear(BlockNumber(102), nodes(102), later);
        assert_eq!(had, FloorStep::Shown(BlockNumber(102)), "but a node has it");
        floors.hear(BlockNumber(102), nodes(100), dropped + DOUBT);
        assert_eq!(floors.held(), Some(BlockNumber(102)));
    }

    #[test]
    fn one_that_is_a_minute_old_or_of_another_chain_says_nothing() {
        let floor = floor(100, 1_000_000);
        for (now, wanted) in [
            (1_000_000, true),
            (1_059_999, true),
            (1_060_000, false),
            (940_001, true),
            (940_000, false),
        ] {
            assert_eq!(floor.is_young(now), wanted, "{now}");
        }
        assert!(floor.is_of(Some(ChainId(1))) && floor.is_of(None));
        assert!(!floor.is_of(Some(ChainId(2))));
    }

    #[test]
    fn a_lowering_that_was_not_heard_is_tried_again() {
        let start = crate::testing::now();
        let mut writer = FloorWriter::default();
        let stored = floor(100, 1_000_000);
        let mut at = |millis: u64, shown: ShownHead| {
            let when = (start + Duration::from_millis(millis), 1_000_000 + millis);
            let write = writer.due(shown, Some(&stored), when);
            (
                write.map(|write| (write.floor.number.0, write.lowers)),
                writer,
            )
        };
        at(0, shown(100, 0));
        at(2000, shown(101, 0));
        assert_eq!(at(4000, shown(98, 1)).0, Some((98, true)));
        let (again, mut writer) = at(6000, shown(99, 1));
        assert_eq!(again, Some((99, true)), "no balancer heard the first");
        writer.is_heard();
        let when = (start + Duration::from_millis(8000), 1_008_000);
        assert_eq!(writer.due(shown(99, 1), Some(&stored), when), None);
    }

    #[test]
    fn a_floor_is_raised_once_a_second_and_lowered_only_with_a_hash_to_show() {
        let start = crate::testing::now();
        let mut writer = FloorWriter::default();
        let mut stored = None;
        let mut at = |millis: u64, shown: ShownHead| {
            let when = (start + Duration::from_millis(millis), 1_000_000 + millis);
            let write = writer.due(shown, stored.as_ref(), when);
            if write.is_some() {
                writer.is_heard();
            }
            stored = write.map(|write| write.floor).or(stored);
            write.map(|write| (write.floor.number.0, write.lowers))
        };
        assert_eq!(at(0, shown(100, 0)), Some((100, false)));
        assert_eq!(at(999, shown(101, 0)), None, "a second hasn't gone by");
        assert_eq!(at(1000, shown(102, 0)), Some((102, false)));
        assert_eq!(at(3000, shown(102, 0)), None, "no news");
        let no_hash = ShownHead {
            hash: None,
            ..shown(100, 1)
        };
        assert_eq!(at(4000, no_hash), None);
        assert_eq!(at(4000, shown(100, 0)), None, "no reorg");
        assert_eq!(at(4000, shown(100, 1)), Some((100, true)));
        assert_eq!(at(5000, shown(101, 1)), Some((101, false)));
        assert_eq!(
            at(70_000, shown(99, 1)),
            Some((99, false)),
            "what stood there was old"
        );
    }

    const START: u64 = 1_000_000;

    /// The number of what is put, as this process says `shown` at `at`, listening for the time `listening`.
    fn put(
        stored: &mut StoredFloor,
        shown: ShownHead,
        (listening, at): (Option<u64>, u64),
    ) -> Option<u64> {
        let put = stored.say(shown, listening, at)?;
        stored.is_put(put);
        Some(put.number.0)
    }

    fn read(stored: &mut StoredFloor, (listening, at): (u64, u64)) -> Option<(u64, u64)> {
        let put = stored.read(listening, at)?;
        stored.is_put(put);
        Some((put.number.0, put.raised_at))
    }

    #[test]
    fn nothing_is_put_over_a_stored_head_that_was_not_read_nor_over_a_higher_one() {
        let mut stored = StoredFloor::default();
        let say = |stored: &mut StoredFloor, shown| put(stored, shown, (Some(1), START));
        assert_eq!(say(&mut stored, shown(99, 0)), None, "it may be higher");
        stored.hear(floor(100, START), START);
        assert_eq!(read(&mut stored, (1, START)), None, "and it is");
        assert_eq!(say(&mut stored, shown(99, 1)), None);
        assert_eq!(say(&mut stored, shown(101, 1)), Some(101));
        stored.hear(floor(102, START), START);
        let alike = say(&mut stored, shown(102, 1));
        assert_eq!(alike, Some(102), "the other may have put nothing");
        assert_eq!(say(&mut stored, shown(100, 2)), Some(100), "taken back");
        assert_eq!(say(&mut stored, shown(99, 2)), None);
        for deaf in [None, Some(3)] {
            assert_eq!(put(&mut stored, shown(101, 2), (deaf, START)), None);
        }
    }

    #[test]
    fn what_this_process_said_itself_is_no_bar_to_put_it() {
        let mut stored = StoredFloor::default();
        assert_eq!(put(&mut stored, shown(106, 0), (Some(1), START)), None);
        stored.hear(floor(106, START), START);
        stored.hear(floor(105, START), START);
        let later = START + 5;
        assert_eq!(read(&mut stored, (1, later)), Some((106, later)));
        // It is gone, while it was not listened to.
        stored.begin();
        assert_eq!(read(&mut stored, (3, later)), Some((106, later)));
        // Others took the chain back meanwhile.
        let mut other = StoredFloor::default();
        other.hear(floor(103, START), START);
        other.begin();
        other.hear(floor(101, later), later);
        read(&mut other, (3, later));
        let said = put(&mut other, shown(102, 0), (Some(3), later));
        assert_eq!(said, Some(102));
    }

    #[test]
    fn a_chain_that_was_taken_back_while_the_store_was_away_lowers_only_what_was_said_before() {
        let later = START + 90_000;
        let away = |fell_at: u64, stands: HeadFloor| {
            let mut stored = StoredFloor::default();
            read(&mut stored, (1, START));
            put(&mut stored, shown(105, 0), (Some(1), START));
            stored.begin();
            put(&mut stored, shown(103, 1), (None, fell_at));
            // Said again and again until it is heard, and then the next.
            put(&mut stored, shown(103, 1), (None, later));
            put(&mut stored, shown(104, 1), (None, later));
            stored.hear(stands, later);
            let first = read(&mut stored, (3, later)).map(|(number, _)| number);
            let next = put(&mut stored, shown(104, 1), (Some(3), later));
            (first, next)
        };
        let stands = floor(105, later - 1_000);
        assert_eq!(away(later - 500, stands), (Some(104), Some(104)));
        assert_eq!(away(later - 1_500, stands), (None, None), "said after it");
    }

    #[test]
    fn a_floor_of_another_chain_is_written_over() {
        let other = HeadFloor {
            chain_id: Some(ChainId(2)),
            ..floor(5000, 1_000_000)
        };
        assert!(floor(3, 1_000_000).replaces(Some(&other), false, 1_000_000));
        let same = floor(5000, 1_000_000);
        assert!(!floor(3, 1_000_000).replaces(Some(&same), false, 1_000_000));
    }
}

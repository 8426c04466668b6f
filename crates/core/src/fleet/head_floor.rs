//! The head that clients were told before this process began, or by another balancer: they aren't told
//! less here.
//!
//! It is no truth about the chain. What a node of ours has is shown at once; what none has yet, and may be
//! there by its time, is shown for a block time, while calls wait for it. Then it is forgotten, and for a
//! while nobody's word is taken for what no node here has.

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
        self.lowers |= self.written.is_some_and(|(last, _)| {
            last.reorgs < shown.reorgs && last.number > shown.number && shown.hash.is_some()
        });
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
    /// The highest that any of them said since it is listened to.
    said: Option<HeadFloor>,
    /// What stands there was read while it was listened to for this time.
    read_at: Option<u64>,
    /// What this process said last.
    own: Option<HeadFloor>,
    /// When the chain was taken back and that could not be put, in milliseconds since 1970.
    lowered_at: Option<u64>,
}

impl StoredFloor {
    /// It is listened to from now on, or again: until what stands there is read, nothing is put over it.
    pub fn begin(&mut self) {
        self.said = None;
        self.read_at = None;
    }

    /// Another balancer said it, or it stands there. `now`: in milliseconds since 1970.
    pub fn hear(&mut self, floor: HeadFloor, now: u64) {
        if floor.replaces(self.said.as_ref(), false, now) {
            self.said = Some(floor);
        }
    }

    /// What stands there was read, and heard, while it was listened to for the time `listening`. What to put
    /// there now.
    pub fn read(&mut self, listening: u64, now: u64) -> Option<HeadFloor> {
        self.read_at = Some(listening);
        // What another said after the chain was taken back here holds.
        let lowers = |said: HeadFloor| self.lowered_at.is_some_and(|at| said.raised_at <= at);
        let lowers = self.said.is_some_and(lowers);
        self.lowered_at = None;
        let floor = HeadFloor {
            raised_at: now,
            ..self.own?
        };
        floor
            .replaces(self.said.as_ref(), lowers, now)
            .then_some(floor)
    }

    /// This process says it; what to put there. `listening`: for which time it is listened to, if it is.
    pub fn say(&mut self, write: FloorWrite, listening: Option<u64>) -> Option<HeadFloor> {
        let FloorWrite { floor, lowers } = write;
        self.own = Some(floor);
        if listening.is_none() || self.read_at != listening {
            let lowered_at = lowers.then_some(floor.raised_at);
            self.lowered_at = lowered_at.or(self.lowered_at);
            return None;
        }
        floor
            .replaces(self.said.as_ref(), lowers, floor.raised_at)
            .then_some(floor)
    }

    /// It was put there.
    pub fn is_put(&mut self, floor: HeadFloor) {
        self.said = Some(floor);
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
        HeadFloor {
            number: BlockNumber(number),
            hash: Some(BlockHash([number as u8; 32])),
            chain_id: Some(ChainId(1)),
            raised_at,
        }
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
        assert_eq!(again, Some((99, true)), "nobody heard the first");
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

    /// The number of what is put, as this process says `number` at `at`, listening for the time `listening`.
    fn put(
        stored: &mut StoredFloor,
        (number, lowers, at): (u64, bool, u64),
        listening: Option<u64>,
    ) -> Option<u64> {
        let floor = floor(number, at);
        let put = stored.say(FloorWrite { floor, lowers }, listening)?;
        stored.is_put(put);
        Some(put.number.0)
    }

    fn read(stored: &mut StoredFloor, listening: u64, now: u64) -> Option<(u64, u64)> {
        let put = stored.read(listening, now)?;
        stored.is_put(put);
        Some((put.number.0, put.raised_at))
    }

    #[test]
    fn nothing_is_put_over_a_stored_head_that_was_not_read_nor_over_a_higher_one() {
        let start = 1_000_000;
        let mut stored = StoredFloor::default();
        let unread = put(&mut stored, (99, false, start), Some(1));
        assert_eq!(unread, None, "it may be higher");
        stored.hear(floor(100, start), start);
        assert_eq!(read(&mut stored, 1, start), None, "and it is");
        assert_eq!(put(&mut stored, (99, false, start), Some(1)), None);
        assert_eq!(put(&mut stored, (101, false, start), Some(1)), Some(101));
        stored.hear(floor(102, start), start);
        assert_eq!(put(&mut stored, (102, false, start), Some(1)), None);
        assert_eq!(put(&mut stored, (100, true, start), Some(1)), Some(100));
        assert_eq!(put(&mut stored, (101, false, start), None), None, "deaf");
        assert_eq!(put(&mut stored, (101, false, start), Some(3)), None);
        let mut empty = StoredFloor::default();
        put(&mut empty, (7, false, start), None);
        assert_eq!(read(&mut empty, 1, start + 5), Some((7, start + 5)));
    }

    #[test]
    fn what_was_said_while_the_store_was_away_is_put_by_what_stands_there_then() {
        let (start, later) = (1_000_000, 1_090_000);
        let away = |said: (u64, bool, u64), stands: HeadFloor| {
            let mut stored = StoredFloor::default();
            read(&mut stored, 1, start);
            put(&mut stored, (105, false, start), Some(1));
            stored.begin();
            put(&mut stored, said, None);
            put(&mut stored, (said.0 + 1, false, said.2 + 1), None);
            stored.hear(stands, later);
            read(&mut stored, 3, later).map(|(number, _)| number)
        };
        let (fresh, young) = (floor(105, later), floor(105, later - 1_000));
        assert_eq!(away((103, true, later), fresh), Some(104), "taken back");
        assert_eq!(away((103, true, later - 2_000), young), None, "before that");
        assert_eq!(away((99, false, start), young), None, "said long ago");
        assert_eq!(away((105, false, start), young), Some(106));

        let mut lost = StoredFloor::default();
        read(&mut lost, 1, start);
        put(&mut lost, (105, false, start), Some(1));
        lost.begin();
        assert_eq!(read(&mut lost, 3, later), Some((105, later)), "it is gone");

        let mut missed = StoredFloor::default();
        missed.hear(floor(103, start), start);
        missed.begin();
        missed.hear(floor(101, start), start);
        read(&mut missed, 3, start);
        let said = put(&mut missed, (102, false, start), Some(3));
        assert_eq!(said, Some(102), "others took the chain back");
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

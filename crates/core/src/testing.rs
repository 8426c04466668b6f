//! What tests of the core begin with.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::call::cache::{AskedCall, CachePlan, KeptAnswer};
use crate::call::plan::{CallMemory, SentTransactions};
use crate::fleet::standing::Hysteresis;
use crate::fleet::tracker::Fleet;
use crate::fleet::view::FleetView;
use crate::fleet::{FleetMember, HealthCriteria, ProbeOutcome};
use crate::rpc::answer::Answer;
use crate::rpc::envelope::UpstreamCallId;
use crate::rpc::transaction::TxHash;
use crate::rpc::whole_answer::WholeAnswer;
use crate::vocabulary::chain::{BlockHash, BlockNumber};
use crate::vocabulary::client::Client;
use crate::vocabulary::header::Header;
use crate::vocabulary::node::{NodeId, NodePurpose, NodeRecord, Role, Weight};

/// The moment at which a test begins. The thinking itself reads no clock.
#[expect(clippy::disallowed_methods, reason = "a test has to begin somewhere")]
pub fn now() -> Instant {
    Instant::now()
}

/// So many milliseconds.
pub fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// What most tests judge nodes by.
pub fn criteria() -> HealthCriteria {
    HealthCriteria {
        chain_id: None,
        block_time: Duration::from_secs(12),
        round_interval: Duration::from_secs(5),
        lag_blocks_max: 10,
        hysteresis: Hysteresis { rise: 2, fall: 3 },
    }
}

/// The same, where one round tells.
pub fn quick_criteria() -> HealthCriteria {
    HealthCriteria {
        hysteresis: Hysteresis { rise: 1, fall: 1 },
        ..criteria()
    }
}

/// An own node of weight 1, called by its number.
pub fn member(id: u32) -> FleetMember {
    FleetMember {
        id: NodeId(id),
        name: id.to_string().into(),
        role: Role::Own,
        weight: Weight::ONE,
        purpose: NodePurpose::default(),
    }
}

/// The same, called by a name.
pub fn called(id: u32, name: &str) -> FleetMember {
    FleetMember {
        name: name.into(),
        ..member(id)
    }
}

/// The leader where it is node 0, and an own node else.
pub fn led(id: u32) -> FleetMember {
    FleetMember {
        role: if id == 0 { Role::Leader } else { Role::Own },
        ..member(id)
    }
}

/// A fleet without nodes, judged by [`criteria`].
pub fn fleet() -> Fleet {
    Fleet::new(criteria())
}

/// A fleet of these nodes, none of which has been probed yet, judged by [`criteria`].
pub fn fleet_of(members: impl IntoIterator<Item = FleetMember>, now: Instant) -> Fleet {
    fleet_by(criteria(), members, now)
}

/// The same, judged by other criteria.
pub fn fleet_by(
    criteria: HealthCriteria,
    members: impl IntoIterator<Item = FleetMember>,
    now: Instant,
) -> Fleet {
    let mut fleet = Fleet::new(criteria);
    fleet.replace(members.into_iter().collect(), now);
    fleet
}

/// A probe that tells a head, and nothing else.
pub fn at(head: u64) -> ProbeOutcome {
    ProbeOutcome::Answered {
        head: BlockNumber(head),
        chain_id: None,
        syncing: false,
    }
}

/// What a block of this number among all is called.
pub fn hash_of(seed: u64) -> BlockHash {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&seed.to_be_bytes());
    BlockHash(hash)
}

/// What block `number` is called on the branch `letter`.
pub fn block_hash(number: u64, letter: u8) -> BlockHash {
    let mut hash = [letter; 32];
    hash[0] = number as u8;
    BlockHash(hash)
}

/// A header of which no more is said.
pub fn header(number: u64, hash: BlockHash, parent: BlockHash) -> Header {
    Header {
        hash,
        parent,
        number: BlockNumber(number),
        timestamp: None,
        bloom: None,
        json: Bytes::new(),
    }
}

/// No earlier calls.
#[derive(Debug)]
pub struct NoMemory;

impl CallMemory for NoMemory {
    fn note_asked(&self, _: AskedCall<'_>) -> bool {
        true
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn kept(&self, _: &CachePlan, _: &FleetView) -> Option<KeptAnswer> {
        None
    }

    fn number_of(&self, _: BlockHash) -> Option<BlockNumber> {
        None
    }

    fn place_of(&self, _: TxHash) -> Option<BlockNumber> {
        None
    }

    fn holders(&self, _: SentTransactions) -> Vec<NodeId> {
        Vec::new()
    }
}

/// A node of this name in the list.
pub fn named(name: &str, url: &str) -> NodeRecord {
    NodeRecord {
        name: Some(name.to_string()),
        ..NodeRecord::at(url)
    }
}

/// A client of this name, wherever it is.
pub fn client(number: u64) -> Client {
    Client::Named {
        name: number,
        network: None,
    }
}

/// A leader in the list.
pub fn leader(url: &str) -> NodeRecord {
    NodeRecord {
        role: Role::Leader,
        ..NodeRecord::at(url)
    }
}

/// `text` has these words, and is shown whole where it hasn't.
///
/// # Panics
/// Where it hasn't.
#[track_caller]
pub fn assert_says(text: &str, words: &str) {
    assert!(text.contains(words), "{words:?} isn't in {text}");
}

/// The whole answer that `body` is, to the call of [`UpstreamCallId::FIRST`].
///
/// # Panics
/// Where it is none.
#[expect(clippy::expect_used, reason = "a test writes answers")]
pub fn whole_answer(body: &str) -> WholeAnswer {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let answer = Answer::read(&body, UpstreamCallId::FIRST).expect("an answer");
    WholeAnswer::new(&body, &answer)
}

//! Answers that balancers share by their [store](crate::shared::store): found there within milliseconds or not
//! at all, and written behind.
//!
//! Nothing is read or written but while it is known which answers were let go: while the store answers, what
//! is said there is heard, and all generations were read since.

mod packing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::clock;
use crate::shared::fleet_state::FleetState;
use crate::shared::store::{FieldWrite, SharedStore};
use forebay_core::call::cache::generations::{
    self, GENERATIONS_MAX, GenerationStamp, Generations, LostAnswers,
};
use forebay_core::call::cache::giving::KeptCondition;
use forebay_core::call::cache::stored_entry::StoredEntry;
use forebay_core::call::cache::stored_key::{self, StoredKey, StoredSecret};
use forebay_core::call::cache::{CachePlan, KeptTerms};
use forebay_core::fleet::view::FleetView;
use forebay_core::method;
use forebay_core::rpc::whole_answer::WholeAnswer;

/// No longer answer is kept or shared, nor one whose entry is longer than that and its head.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
const ENTRY_BYTES_MAX: usize = ANSWER_BYTES_MAX + 512;
/// For how long an answer stands there if its block is final, and otherwise.
const FINAL_KEEPS: Duration = Duration::from_secs(3600);
const KEEPS: Duration = Duration::from_secs(600);
/// Answers that wait to be written.
const WAITING_MAX: usize = 4096;
/// What one takes beside its bytes, about.
const WAITING_BYTES: usize = 256;

/// Where they are, and what of them is to be believed.
pub struct StoredAnswers {
    store: Arc<SharedStore>,
    secret: StoredSecret,
    names: StoredNames,
    known: ArcSwapOption<KnownGenerations>,
    /// What was let go here, and isn't known to stand in the store.
    untold: Mutex<BTreeMap<String, u64>>,
    bell: Notify,
    sender: mpsc::Sender<StoredWrite>,
    waiting_bytes: Arc<AtomicUsize>,
    waiting_bytes_max: usize,
}

/// What a chain's are called in the store.
#[derive(Clone, Debug)]
struct StoredNames {
    channel: String,
    generations: String,
    answer: String,
}

/// As they were read, and heard of since.
#[derive(Clone, Debug)]
struct KnownGenerations {
    /// See [`SharedStore::listening`].
    listening: u64,
    all: Generations,
}

/// An answer that waits to be written.
#[derive(Debug)]
pub struct StoredWrite {
    key: StoredKey,
    node: Arc<str>,
    stamp: GenerationStamp,
    is_steady: bool,
    keeps: Duration,
    answer: WholeAnswer,
    _room: WaitingRoom,
}

/// Gives its bytes back when it is dropped.
#[derive(Debug)]
struct WaitingRoom(Arc<AtomicUsize>, usize);

impl Drop for WaitingRoom {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// What is found, and to be held against what is known of the chain.
#[derive(Debug)]
pub struct StoredAnswer {
    pub node: Arc<str>,
    pub answer: WholeAnswer,
    stamp: GenerationStamp,
    is_steady: bool,
}

impl StoredAnswers {
    /// Those of `chain`. What waits to be written comes out at the other end.
    pub fn new(
        store: Arc<SharedStore>,
        (password, chain): (&str, &str),
        waiting_bytes_max: usize,
    ) -> (StoredAnswers, mpsc::Receiver<StoredWrite>) {
        let (sender, writes) = mpsc::channel(WAITING_MAX);
        let answers = StoredAnswers {
            store,
            secret: StoredSecret::of(password),
            names: StoredNames {
                channel: format!("{chain}:answers"),
                generations: format!("{chain}:generations"),
                answer: format!("{chain}:answer:"),
            },
            known: ArcSwapOption::empty(),
            untold: Mutex::default(),
            bell: Notify::new(),
            sender,
            waiting_bytes: Arc::default(),
            waiting_bytes_max,
        };
        (answers, writes)
    }

    /// Where it is said which are let go.
    pub fn channel(&self) -> &str {
        &self.names.channel
    }

    /// Whether any can be had now.
    pub fn is_on(&self) -> bool {
        self.known().is_some()
    }

    /// The answer to a call with these `params` that is planned so, if it is found in time. It may be
    /// [too old](StoredAnswers::is_current), or wrong as of the present view.
    pub async fn find(
        &self,
        plan: &CachePlan,
        params: &str,
        view: &FleetView,
    ) -> Option<StoredAnswer> {
        self.known()?;
        let key = self.key(plan, params, view)?;
        let name = format!("{}{key}", self.names.answer);
        let bytes = self.store.get_up_to(&name, ENTRY_BYTES_MAX + 1).await?;
        let entry = StoredEntry::read(&bytes, &self.secret, key)?;
        Some(StoredAnswer {
            node: entry.node.into(),
            answer: WholeAnswer::reread(packing::unpacked(&entry)?)?,
            stamp: entry.stamp,
            is_steady: entry.is_steady,
        })
    }

    /// Whether it hasn't been let go, as far as is known at this moment.
    pub fn is_current(&self, found: &StoredAnswer, plan: &CachePlan) -> bool {
        self.stamp(plan, &found.node, found.is_steady) == Some(found.stamp)
    }

    /// Writes a node's `answer` that is kept on these terms, some time soon.
    pub fn offer(
        &self,
        (plan, params): (&CachePlan, &str),
        (terms, answer): (&KeptTerms, &WholeAnswer),
        (node, fleet): (&Arc<str>, &FleetState),
    ) {
        let is_steady = matches!(terms.condition, KeptCondition::WhileSteady { .. });
        let Some(stamp) = self.stamp(plan, node, is_steady) else {
            return;
        };
        // As it is after the stamp was taken: what is let go from here on leaves this entry behind.
        let view = &fleet.snapshot().view;
        if terms.giver(view).is_none() {
            return;
        }
        let Some(room) = self.room(answer.bytes()) else {
            return;
        };
        let Some(key) = self.key(plan, params, view) else {
            return;
        };
        let is_final = Some(terms.number) <= view.finalized_head;
        let write = StoredWrite {
            key,
            node: node.clone(),
            stamp,
            is_steady,
            keeps: if is_final { FINAL_KEEPS } else { KEEPS },
            // What came with it isn't held.
            answer: answer.clone().apart(),
            _room: room,
        };
        // Without room it isn't shared.
        drop(self.sender.try_send(write));
    }

    /// Hands an answer to the store, which writes it when it can.
    pub fn write(&self, write: &StoredWrite) {
        let (bytes, _) = write.answer.parts();
        let packed = packing::packed(bytes);
        let entry = StoredEntry {
            node: &write.node,
            stamp: write.stamp,
            is_steady: write.is_steady,
            is_packed: packed.is_some(),
            bytes: bytes.len(),
            answer: packed.as_deref().unwrap_or(bytes),
        };
        if let Some(entry) = entry.write(&self.secret, write.key) {
            let name = format!("{}{}", self.names.answer, write.key);
            self.store.put(&name, &entry, write.keeps);
        }
    }

    /// From now on these are given no more, by any balancer as soon as it hears of it.
    pub fn lose(&self, lost: &LostAnswers) {
        let (name, generation) = (lost.name(), clock::roll());
        let mut untold = self.untold.lock();
        let has_room = untold.len() < GENERATIONS_MAX || untold.contains_key(&name);
        let name = match has_room {
            true => name,
            false => LostAnswers::All.name(),
        };
        untold.insert(name.clone(), generation);
        self.learn(&name, generation);
        drop(untold);
        self.bell.notify_one();
    }

    /// Returns when something was let go here since.
    pub async fn until_lost(&self) {
        self.bell.notified().await;
    }

    /// Tells the store, and all balancers that listen, what was let go here; what isn't known to stand there waits on.
    pub async fn tell(&self) {
        let untold = self.untold.lock().clone();
        for (name, generation) in untold {
            let value = generations::write_generation(generation);
            let field = (&*name, &*value);
            let key = &self.names.generations;
            if !self.store.set_field(key, field, FieldWrite::Anyway).await {
                return;
            }
            // A balancer that doesn't hear of it sees it within seconds.
            self.store.publish(&self.names.channel, b"");
            let mut untold = self.untold.lock();
            if untold.get(&name) == Some(&generation) {
                untold.remove(&name);
            }
        }
    }

    /// Reads all generations; tells what others have let go since they were read last. Where that fails nothing
    /// is shared until it succeeds.
    pub async fn read(&self) -> Vec<LostAnswers> {
        let listening = self.store.listening();
        let all = match listening {
            Some(_) => self.read_all().await,
            None => None,
        };
        let untold = self.untold.lock();
        let before = self.known.load_full();
        let Some((listening, mut all)) = listening.zip(all) else {
            let stale = before.map(|known| KnownGenerations {
                listening: 0,
                all: known.all.clone(),
            });
            self.known.store(stale.map(Arc::new));
            return Vec::new();
        };
        for (name, generation) in untold.iter() {
            all = all.with(name, *generation);
        }
        let lost = before.map(|before| before.all.lost_until(&all));
        self.known
            .store(Some(Arc::new(KnownGenerations { listening, all })));
        lost.unwrap_or_default()
    }

    /// `None`: they aren't known. Where they are too many or nonsense they are forgotten, and with them all
    /// answers.
    async fn read_all(&self) -> Option<Generations> {
        if let Some(all) = self.read_fields().await? {
            return Some(all);
        }
        let key = &self.names.generations;
        let base = generations::write_generation(clock::roll());
        let field = (Generations::BASE, &*base);
        self.store
            .set_field(key, field, FieldWrite::IfMissing)
            .await;
        let all = self.read_fields().await?;
        if all.is_none() {
            self.store.remove(key).await;
        }
        all
    }

    async fn read_fields(&self) -> Option<Option<Generations>> {
        let key = &self.names.generations;
        let fields = self.store.fields(key, GENERATIONS_MAX).await?;
        let fields = fields.iter().map(|(name, value)| (&**name, &**value));
        Some(Generations::read(fields))
    }

    fn learn(&self, name: &str, generation: u64) {
        if let Some(before) = self.known.load_full() {
            let after = KnownGenerations {
                listening: before.listening,
                all: before.all.clone().with(name, generation),
            };
            self.known.store(Some(Arc::new(after)));
        }
    }

    fn known(&self) -> Option<Arc<KnownGenerations>> {
        let known = self.known.load_full()?;
        let is_current = self.store.is_on() && self.store.listening() == Some(known.listening);
        is_current.then_some(known)
    }

    fn stamp(&self, plan: &CachePlan, node: &str, is_steady: bool) -> Option<GenerationStamp> {
        let method = method::listed(Some(plan.row))?;
        Some(self.known()?.all.stamp(method.name, node, is_steady))
    }

    fn key(&self, plan: &CachePlan, params: &str, view: &FleetView) -> Option<StoredKey> {
        let chain = view.chain_id.or(view.nodes_chain)?;
        stored_key::of(&self.secret, chain, plan, params)
    }

    fn room(&self, bytes: usize) -> Option<WaitingRoom> {
        if bytes > ANSWER_BYTES_MAX {
            return None;
        }
        let bytes = bytes + WAITING_BYTES;
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let room = WaitingRoom(self.waiting_bytes.clone(), bytes);
        (before + bytes <= self.waiting_bytes_max).then_some(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_to_be_written_is_bounded_and_gives_its_room_back() {
        let most = 2 * (1000 + WAITING_BYTES);
        let (answers, _) = StoredAnswers::new(SharedStore::away(), ("", "main"), most);
        let (one, other) = (answers.room(1000).unwrap(), answers.room(1000).unwrap());
        assert!(answers.room(0).is_none(), "there is no more");
        drop(other);
        assert!(answers.room(1001).is_none(), "nor for one byte too much");
        assert!(answers.room(1000).is_some());
        drop(one);
        let (wide, _) = StoredAnswers::new(answers.store.clone(), ("", "main"), usize::MAX);
        assert!(wide.room(ANSWER_BYTES_MAX).is_some());
        assert!(wide.room(ANSWER_BYTES_MAX + 1).is_none(), "it is too long");
    }
}

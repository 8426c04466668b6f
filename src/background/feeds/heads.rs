//! Tells clients the heads that the fleet agrees on: obeys [`HeadTracker`], which decides.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::background::feeds::resources::FeedResources;
use crate::background::pacing::or_never;
use crate::clock;
use forebay_core::feed::head_tracker::{
    ChainUpdate, HeadStep, HeadTracker, HeaderAnswers, NodeHead, TOLD_MAX, witnesses,
};
use forebay_core::fleet::awaited_blocks::held_from_subscribers;
use forebay_core::fleet::branch::PublishedChain;
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber};
use forebay_core::vocabulary::header::Header;
use forebay_core::vocabulary::node::NodeId;

/// What a client is closed with when the chain can't be linked with what it was told.
const TORN: &str = "blocks are missing between what was told and the nodes' chain: subscribe again";

/// Blocks that may wait for their logs.
pub const EVENTS_MAX: usize = 512;
const BEHIND: &str = "too many blocks wait for their logs: subscribe again";

/// A block that was told, or is abandoned.
#[derive(Clone, Debug)]
pub enum BlockEvent {
    Told { header: Arc<Header>, turn: u64 },
    Abandoned { hash: BlockHash, turn: u64 },
}

/// Tells the heads.
pub struct HeadFeed {
    pub resources: Arc<FeedResources>,
    pub heads: mpsc::Receiver<NodeHead>,
    /// To the task that tells the logs.
    pub events: mpsc::Sender<BlockEvent>,
    /// The number of the block that was told last, or is held.
    pub told: Arc<AtomicU64>,
}

/// What is told, as this task knows it.
#[derive(Default)]
struct HeadFeedState {
    /// The turns of the blocks told.
    turns: HashMap<BlockHash, u64>,
    /// Blocks that had to be asked for.
    fetched: HashSet<BlockHash>,
    /// The first and the last block that the fleet knows as told.
    published: (Option<BlockHash>, Option<BlockHash>),
    /// What subscribers are told later, and when.
    held: VecDeque<HeldUpdate>,
}

struct HeldUpdate {
    until: Instant,
    update: ChainUpdate,
}

type HeaderFetch = BoxFuture<'static, (BlockHash, Option<Arc<Header>>)>;

impl HeadFeed {
    /// Tells, for ever.
    pub async fn run(&mut self) {
        let mut head_tracker = HeadTracker::new(
            self.resources
                .settings
                .say(|settings| settings.chain.block_time),
        );
        let mut notes = HeadFeedState::default();
        let mut fleet_news = self.resources.fleet.news();
        let mut fetch: Option<HeaderFetch> = None;
        loop {
            // All that was said before calls were served a head: else it would be one node's alone.
            while let Ok(head) = self.heads.try_recv() {
                head_tracker.hear(head, clock::now());
            }
            let until = self.obey(&mut head_tracker, &mut notes, &mut fetch);
            let wait = until.map(|until| tokio::time::sleep_until(until.into()));
            tokio::select! {
                head = self.heads.recv() => match head {
                    Some(head) => head_tracker.hear(head, clock::now()),
                    None => return,
                },
                changed = fleet_news.changed() => if changed.is_err() { return },
                (hash, header) = or_never(fetch.as_mut()) => {
                    fetch = None;
                    notes.fetched.extend(header.as_ref().map(|header| header.hash));
                    head_tracker.bring(hash, header, clock::now());
                }
                () = or_never(wait) => {}
            }
        }
    }

    /// Does all that is to be done now; says until when there is nothing more.
    fn obey(
        &self,
        head_tracker: &mut HeadTracker,
        notes: &mut HeadFeedState,
        fetch: &mut Option<HeaderFetch>,
    ) -> Option<Instant> {
        self.release(notes);
        let snapshot = self.resources.fleet.snapshot();
        let list: Vec<_> = snapshot.view.nodes.iter().map(|node| node.id).collect();
        head_tracker.set_block_time(snapshot.view.block_time);
        head_tracker.heed(&list, witnesses(&snapshot.view), snapshot.view.served_head);
        loop {
            match head_tracker.next(clock::now()) {
                HeadStep::Tell(update) => {
                    // A client that is told of a block may ask for it at once.
                    self.publish(head_tracker, notes);
                    self.hold(update, notes);
                    self.release(notes);
                }
                HeadStep::Fetch { hash, child, from } => {
                    *fetch = Some(self.fetch(hash, child, &from));
                }
                HeadStep::Wait(until) => {
                    self.publish(head_tracker, notes);
                    let held = notes.held.front().map(|held| held.until);
                    return until.into_iter().chain(held).min();
                }
            }
        }
    }

    /// It is decided, and told once the balancers beside have it.
    fn hold(&self, update: ChainUpdate, notes: &mut HeadFeedState) {
        let mut headers = update.headers.iter();
        let fetched = headers
            .clone()
            .filter(|it| notes.fetched.contains(&it.hash));
        self.resources
            .metrics
            .told_heads(fetched.count(), !update.abandoned.is_empty());
        notes.fetched.clear();
        if let Some(last) = headers.next_back() {
            self.told.store(last.number.0, Ordering::Relaxed);
        }
        let now = clock::now();
        let mut until = now;
        if update.is_torn {
            // A client that subscribes again from here on has missed nothing.
            notes.held.iter_mut().for_each(|held| held.until = now);
        } else {
            until += held_from_subscribers(
                &self.resources.fleet.snapshot().view,
                self.resources.others,
                now,
            );
        }
        notes.held.push_back(HeldUpdate { until, update });
    }

    /// Tells what was held for long enough, in its order.
    fn release(&self, notes: &mut HeadFeedState) {
        let now = clock::now();
        while notes.held.front().is_some_and(|held| held.until <= now) {
            let Some(HeldUpdate { update, .. }) = notes.held.pop_front() else {
                return;
            };
            let mut later = notes.held.iter().flat_map(|held| &held.update.abandoned);
            let last = update.headers.last().map(|head| head.hash);
            if !later.any(|gone| Some(gone.hash) == last) {
                self.foretell(&update);
            }
            self.tell(&update, notes);
        }
    }

    /// Lets the fleet know what was told, where that is new.
    fn publish(&self, head_tracker: &HeadTracker, notes: &mut HeadFeedState) {
        let mut told = head_tracker.told();
        let ends = (
            told.next().map(|first| first.hash),
            head_tracker.head().map(|head| head.hash),
        );
        let head = head_tracker.head().map(|head| head.number);
        let is_cut = || head.is_some_and(|head| self.resources.fleet.snapshot().view.has_cut(head));
        if notes.published != ends || is_cut() {
            notes.published = ends;
            self.resources
                .fleet
                .hear_told(PublishedChain::of(head_tracker.told()));
        }
    }

    /// What subscribers are told before all calls find it their own calls find, wherever they come.
    fn foretell(&self, update: &ChainUpdate) {
        let head = update.headers.last().map(|head| head.number);
        if let Some(head) =
            head.filter(|head| Some(*head) > self.resources.fleet.snapshot().view.served_head)
        {
            self.resources
                .fleet
                .foretell(self.resources.hub.followers(), head);
        }
    }

    fn tell(&self, update: &ChainUpdate, notes: &mut HeadFeedState) {
        if update.is_torn {
            log::warn!("{TORN}");
            self.resources.hub.close_chain(TORN);
            notes.turns.clear();
        }
        // Logs are taken back in the order in which they were told, as geth does it.
        for header in update.abandoned.iter().rev() {
            if let Some(turn) = notes.turns.remove(&header.hash) {
                let hash = header.hash;
                self.pass_on(BlockEvent::Abandoned { hash, turn });
            }
        }
        for header in &update.headers {
            let turn = self.resources.hub.tell_head(&header.json);
            notes.turns.insert(header.hash, turn);
            let header = header.clone();
            self.pass_on(BlockEvent::Told { header, turn });
        }
        if let Some(newest) = update
            .headers
            .last()
            .and_then(|last| notes.turns.get(&last.hash))
        {
            let oldest = newest.saturating_sub(2 * TOLD_MAX as u64);
            notes.turns.retain(|_, turn| *turn >= oldest);
        }
    }

    /// Heads don't wait for logs: where those are far behind, clients that listen to them must go.
    fn pass_on(&self, event: BlockEvent) {
        if self.events.try_send(event).is_err() {
            self.resources.hub.close_logs(u64::MAX, BEHIND);
        }
    }

    /// Asks one node after another.
    fn fetch(&self, hash: BlockHash, child: BlockNumber, from: &[NodeId]) -> HeaderFetch {
        let snapshot = self.resources.fleet.snapshot();
        let upstreams = from.iter().filter_map(|id| snapshot.upstream(*id).cloned());
        let upstreams: Vec<_> = upstreams.collect();
        let timeout = self
            .resources
            .settings
            .say(|settings| settings.health.timeout);
        let prober = self.resources.prober.clone();
        Box::pin(async move {
            let mut answers = HeaderAnswers::before(child);
            for upstream in upstreams {
                match prober.header(&upstream.spec, hash, timeout).await {
                    Ok(Some(header)) => {
                        if answers.hear(header) {
                            break;
                        }
                    }
                    Ok(None) => {}
                    Err(why) => log::debug!("asking {} for a block: {why}", upstream.spec.name),
                }
            }
            (hash, answers.best())
        })
    }
}

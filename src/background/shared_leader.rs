//! One balancer's view of the leader's head, shared with the others through the store that they share, or the
//! registry.
//!
//! A paid leader is asked by the balancer that holds a key in the store, else the registry's lease; the others hear or
//! read what it told. A balancer that hears nothing new for a while asks the leader itself, and so do all at once when
//! the store is away by which it was heard: nothing here can silence it. Rounds only look into memory: store and
//! registry are asked in a loop of its own.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::background::pacing::CurrentSettings;
use crate::clock;
use crate::observe::metrics::ChainMetrics;
use crate::registry::{Registry, SharedHead};
use crate::shared::store::SharedStore;
use forebay_core::call::shared_news::{LeaderNews, NodeMark, SharedNews};
use forebay_core::fleet::ProbeOutcome;
use forebay_core::vocabulary::chain::{BlockNumber, ChainId};
use forebay_core::vocabulary::lease::HeartbeatMonitor;
use forebay_core::vocabulary::node::{NodeSpec, Role};

/// After so many intervals without news, the leader is asked directly.
const INTERVALS_MAX: u32 = 3;

/// What a round does about a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderStep {
    Ask,
    /// Another process has asked it lately, and this round hears nothing new.
    Leave,
    /// Another process has asked it, and this came of it.
    Hear(ProbeOutcome),
}

/// The way by the store that balancers share.
pub struct LeaderStore {
    pub store: Arc<SharedStore>,
    /// The balancer that asks the leader holds it.
    pub key: String,
    pub channel: String,
    /// What no other process is called.
    pub me: String,
}

/// The shared head, as this process knows it.
pub struct SharedHeads {
    registry: Arc<dyn Registry>,
    store: Option<LeaderStore>,
    metrics: Arc<ChainMetrics>,
    settings: CurrentSettings,
    known: Mutex<SharedHeadState>,
    is_told: Notify,
}

#[derive(Default)]
struct SharedHeadState {
    /// This process asks for all.
    asks: bool,
    leader: Option<String>,
    mark: Option<NodeMark>,
    /// By the store, and not the registry.
    is_by_store: bool,
    pulse: HeartbeatMonitor,
    heard: Option<(SharedHead, Instant)>,
    /// A round has heard of what was heard.
    is_used: bool,
    /// Asked here, and not told the others yet.
    to_tell: Option<SharedHead>,
    chain_id: Option<ChainId>,
}

impl SharedHeads {
    pub fn new(
        registry: Arc<dyn Registry>,
        store: Option<LeaderStore>,
        metrics: Arc<ChainMetrics>,
        settings: CurrentSettings,
    ) -> SharedHeads {
        SharedHeads {
            registry,
            store,
            metrics,
            settings,
            known: Mutex::default(),
            is_told: Notify::new(),
        }
    }

    /// What a round that begins at `now` does about the node `spec`.
    pub fn way(&self, spec: &NodeSpec, now: Instant) -> LeaderStep {
        if spec.role != Role::Leader {
            return LeaderStep::Ask;
        }
        let mut known = self.known.lock();
        known.lead_by(spec);
        let is_away = known.is_by_store && !self.store.as_ref().is_some_and(|it| it.store.is_on());
        let interval = self.settings.say(|it| it.health.leader_interval);
        let is_fresh = |at| now.saturating_duration_since(at) < interval * INTERVALS_MAX;
        match known.heard {
            Some((head, at)) if !known.asks && !is_away && is_fresh(at) => {
                if std::mem::replace(&mut known.is_used, true) {
                    return LeaderStep::Leave;
                }
                LeaderStep::Hear(ProbeOutcome::Answered {
                    head: BlockNumber(head.block_number),
                    chain_id: head.chain_id.map(ChainId),
                    syncing: false,
                })
            }
            Some(_) | None => LeaderStep::Ask,
        }
    }

    /// Takes down what the node `spec` answered here, for the others.
    pub fn tell(&self, spec: &NodeSpec, probe: &ProbeOutcome) {
        let ProbeOutcome::Answered {
            head,
            chain_id,
            syncing: false,
            ..
        } = probe
        else {
            return;
        };
        if spec.role != Role::Leader {
            return;
        }
        let mut known = self.known.lock();
        known.chain_id = chain_id.or(known.chain_id);
        known.to_tell = Some(SharedHead {
            block_number: head.0,
            chain_id: known.chain_id.map(|id| id.0),
            asked_at: clock::unix_millis(),
        });
        drop(known);
        self.is_told.notify_one();
    }

    /// Tells the others, or hears from them, for as long as it is awaited.
    pub async fn exchange(&self) {
        loop {
            let pause = self.settings.pause(|it| it.health.leader_interval);
            tokio::select! {
                () = pause => {}
                () = self.is_told.notified() => {}
            }
            if let Err(why) = self.exchange_once().await {
                self.metrics.registry_failed("share");
                log::debug!("the leader's head was not shared: {why}");
            }
        }
    }

    /// The process that asks the leader for all has told by the store what it answered.
    pub fn hear(&self, news: LeaderNews) {
        let mut known = self.known.lock();
        if known.is_by_store && known.mark == Some(news.node) {
            let head = SharedHead {
                block_number: news.head.0,
                chain_id: news.chain_id.map(|id| id.0),
                asked_at: 0,
            };
            known.heard = Some((head, clock::now()));
            known.is_used = false;
        }
    }

    async fn exchange_once(&self) -> Result<(), crate::registry::RegistryError> {
        if self.exchange_by_store().await {
            return Ok(());
        }
        self.known.lock().turn_to_registry();
        self.exchange_by_registry().await
    }

    /// `false`: there is none, or it is away.
    async fn exchange_by_store(&self) -> bool {
        let Some(LeaderStore {
            store,
            key,
            channel,
            me,
        }) = &self.store
        else {
            return false;
        };
        let keeps = self.settings.say(|it| it.health.leader_interval) * INTERVALS_MAX;
        let Some(asks) = store.hold(key, me, keeps).await else {
            return false;
        };
        let mut known = self.known.lock();
        known.is_by_store = true;
        known.asks = asks;
        let to_tell = known.to_tell.take().filter(|_| asks);
        let mark = known.mark;
        drop(known);
        if let (Some(head), Some(node)) = (to_tell, mark) {
            let news = SharedNews::Leader(LeaderNews {
                node,
                head: BlockNumber(head.block_number),
                chain_id: head.chain_id.map(ChainId),
            });
            store.publish(channel, &news.write());
        }
        true
    }

    async fn exchange_by_registry(&self) -> Result<(), crate::registry::RegistryError> {
        let asks = self.registry.holds_lease().await?;
        let (leader, to_tell) = {
            let mut known = self.known.lock();
            known.asks = asks;
            (known.leader.clone(), known.to_tell.take())
        };
        let Some(leader) = leader else { return Ok(()) };
        match to_tell.filter(|_| asks) {
            Some(head) => self.registry.share_head(&leader, head).await,
            None if asks => Ok(()),
            None => {
                let found = self.registry.shared_head(&leader).await?;
                let mut known = self.known.lock();
                if known.leader.as_ref() == Some(&leader) {
                    known.hear(found, clock::now());
                }
                Ok(())
            }
        }
    }
}

impl SharedHeadState {
    fn lead_by(&mut self, spec: &NodeSpec) {
        let (leader, mark) = (spec.url.identity(), Some(NodeMark::of(&spec.name)));
        if self.leader.as_ref() != Some(&leader) {
            *self = SharedHeadState {
                leader: Some(leader),
                asks: self.asks,
                is_by_store: self.is_by_store,
                ..SharedHeadState::default()
            };
        }
        self.mark = mark;
    }

    /// The store is away: nothing that was heard by it counts.
    fn turn_to_registry(&mut self) {
        if std::mem::take(&mut self.is_by_store) {
            self.heard = None;
            self.pulse = HeartbeatMonitor::default();
        }
    }

    fn hear(&mut self, found: Option<SharedHead>, now: Instant) {
        let Some(head) = found else { return };
        let still_for = self.pulse.still_for(head.asked_at, now);
        // How old the first is that is found isn't known.
        if still_for.is_zero() && self.pulse.has_moved() {
            self.heard = Some((head, now));
            self.is_used = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::LeaderStep::{Ask, Hear, Leave};
    use super::*;

    fn head(block_number: u64, asked_at: u64) -> Option<SharedHead> {
        Some(SharedHead {
            block_number,
            chain_id: Some(1),
            asked_at,
        })
    }

    fn leader() -> NodeSpec {
        let mut record = forebay_core::vocabulary::node::NodeRecord::at("https://a/s3cret");
        record.role = Role::Leader;
        record.resolve(&|_| None).unwrap()
    }

    fn shared() -> (tempfile::TempDir, SharedHeads) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forebay.db");
        let registry = crate::registry::embedded::EmbeddedRegistry::open(&path, Arc::new(|_| None));
        let metrics = ChainMetrics::alone();
        let (_, settings) = CurrentSettings::new(Arc::default());
        let shared = SharedHeads::new(Arc::new(registry.unwrap()), None, metrics, settings);
        (folder, shared)
    }

    #[test]
    fn a_head_that_moves_is_heard_once_and_asked_for_when_it_stands_still() {
        let (_folder, shared) = shared();
        let start = clock::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(shared.way(&leader(), start), Ask);
        shared.known.lock().hear(head(100, 1), after(1));
        assert_eq!(shared.way(&leader(), after(1)), Ask, "of unknown age");
        shared.known.lock().hear(head(101, 2), after(5));
        let expected = Hear(ProbeOutcome::Answered {
            head: BlockNumber(101),
            chain_id: Some(ChainId(1)),
            syncing: false,
        });
        assert_eq!(shared.way(&leader(), after(6)), expected);
        assert_eq!(shared.way(&leader(), after(7)), Leave);
        shared.known.lock().hear(head(101, 2), after(10));
        assert_eq!(shared.way(&leader(), after(19)), Leave);
        assert_eq!(shared.way(&leader(), after(20)), Ask);
    }

    #[test]
    fn the_holder_of_the_lease_asks_and_own_nodes_are_asked_by_all() {
        let (_folder, shared) = shared();
        let now = clock::now();
        shared.way(&leader(), now);
        shared.known.lock().hear(head(100, 1), now);
        shared.known.lock().hear(head(101, 2), now);
        let own = NodeSpec {
            role: Role::Own,
            ..leader()
        };
        assert_eq!(shared.way(&own, now), Ask);
        shared.known.lock().asks = true;
        assert_eq!(shared.way(&leader(), now), Ask);
    }
}

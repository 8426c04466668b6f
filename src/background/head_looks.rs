//! Looks at nodes' heads between two rounds: for blocks that calls ask for, and for the next one when it is due.
//! What they bring is news of heads and nothing else: which node is fit, and what has fallen, is for the rounds to
//! say.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;

use crate::background::pacing::CurrentSettings;
use crate::clock;
use crate::node::probe::Prober;
use crate::node::probed_head::ProbedHead;
use crate::shared::fleet_state::FleetState;
use forebay_core::feed::head_tracker::NodeHead;
use forebay_core::fleet::awaited_blocks;
use forebay_core::vocabulary::node::NodeId;

/// The longest that a look takes: no look-up waits for it longer.
const TIME_MAX: Duration = Duration::from_secs(1);

/// A head that no node has yet is looked for so often in a block time, and no more often than this.
const FLOOR_LOOKS: u32 = 4;
const FLOOR_PAUSE_MIN: Duration = Duration::from_millis(50);

/// What came of a look at a node.
struct HeadLook {
    id: NodeId,
    asked_at: Instant,
    found: Option<ProbedHead>,
}

/// The task that looks.
pub struct HeadLookout {
    pub fleet: Arc<FleetState>,
    pub prober: Prober,
    pub settings: CurrentSettings,
    /// To the task that tells clients of heads.
    pub heads: mpsc::Sender<NodeHead>,
}

impl HeadLookout {
    /// Looks whenever that is wanted, for as long as it is awaited.
    pub async fn run(&self) {
        tokio::join!(self.look_when_wanted(), self.look_when_due());
    }

    async fn look_when_wanted(&self) {
        loop {
            tokio::select! {
                () = self.fleet.looks.is_wanted() => {}
                () = self.floor_is_awaited() => {}
            }
            let look = self.fleet.looks.begin();
            self.look().await;
            self.fleet.looks.end(look);
            self.fleet.settle_floor();
        }
    }

    /// Returns when it is time to look again for a head that is shown while no node has it.
    async fn floor_is_awaited(&self) {
        let mut news = self.fleet.news();
        loop {
            let view = &self.fleet.snapshot().view;
            if let Some(until) = view.floor_until {
                let pause = (view.block_time / FLOOR_LOOKS).clamp(FLOOR_PAUSE_MIN, TIME_MAX);
                let at = (clock::now() + pause).min(until);
                return tokio::time::sleep_until(at.into()).await;
            }
            if news.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Each is heard as it answers.
    async fn look(&self) {
        let view = &self.fleet.snapshot().view;
        let ids = awaited_blocks::looked_at(view, clock::now());
        let mut asking: FuturesUnordered<_> = ids.into_iter().map(|id| self.ask(id)).collect();
        while let Some(looked) = asking.next().await {
            self.hear(looked).await;
        }
    }

    /// Looks for the next block. A node that hasn't answered yet isn't asked again, and holds up no other.
    async fn look_when_due(&self) {
        let mut asking = FuturesUnordered::new();
        let mut asked = HashSet::new();
        let mut moment = 0;
        loop {
            tokio::select! {
                this = self.next_moment(moment) => {
                    moment = this;
                    let view = &self.fleet.snapshot().view;
                    for id in awaited_blocks::looked_at_when_due(view, &asked, clock::now()) {
                        asked.insert(id);
                        asking.push(self.ask_when_due(id));
                    }
                }
                Some(looked) = asking.next() => {
                    asked.remove(&looked.id);
                    self.hear(looked).await;
                }
            }
        }
    }

    /// Returns at the moment of the next look, which is told, after that of the one at `last`.
    async fn next_moment(&self, last: u64) -> u64 {
        let mut news = self.fleet.news();
        loop {
            let due = self.fleet.snapshot().view.due_block;
            let next = due.and_then(|due| due.look(last, (clock::now(), clock::unix_millis())));
            tokio::select! {
                () = tokio::time::sleep(next.map_or(Duration::MAX, |next| next.after)), if next.is_some() => {
                    return next.map_or(last, |next| next.moment);
                }
                changed = news.changed() => if changed.is_err() {
                    std::future::pending().await
                },
            }
        }
    }

    /// One that tells nothing is left alone for a while: it may refuse what comes too often.
    async fn ask_when_due(&self, id: NodeId) -> HeadLook {
        let looked = self.ask(id).await;
        if looked.found.is_none() {
            tokio::time::sleep(TIME_MAX).await;
        }
        looked
    }

    async fn ask(&self, id: NodeId) -> HeadLook {
        let asked_at = clock::now();
        let timeout = self.settings.say(|it| it.health.timeout).min(TIME_MAX);
        let node = self.fleet.snapshot().upstream(id).cloned();
        let found = match node {
            Some(node) => self.prober.head_now(&node.spec, timeout).await,
            None => None,
        };
        HeadLook {
            id,
            asked_at,
            found,
        }
    }

    async fn hear(&self, looked: HeadLook) {
        let id = looked.id;
        let Some(found) = looked.found else { return };
        let snapshot = self.fleet.snapshot();
        let tip = snapshot.view.node(id).and_then(|node| node.evidence.tip);
        let known = tip.map(|(_, hash, _)| hash);
        if let Some(header) = found.header.as_ref().filter(|it| Some(it.hash) != known) {
            let head = NodeHead {
                id,
                header: header.clone(),
                as_of: looked.asked_at,
            };
            // Where there is no room, the next round brings it.
            drop(self.heads.try_send(head));
        }
        self.fleet
            .hear_look(id, found.number, &found.details())
            .await;
    }
}

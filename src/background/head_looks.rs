//! Looks at nodes' heads between two rounds, for blocks that calls ask for. What they bring is news of
//! heads and nothing else: who is fit, and what has fallen, is for the rounds to say.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;

use crate::background::feeds::sockets::NodeHead;
use crate::background::intervals::CurrentIntervals;
use crate::clock;
use crate::node::probe::Prober;
use crate::shared::fleet_state::FleetState;
use forebay_core::fleet::awaited_blocks;

/// The longest that a look takes: no look-up waits for it longer.
const TIME_MAX: Duration = Duration::from_secs(1);

/// A head that no node has yet is looked for so often in a block time, and no more often than this.
const FLOOR_LOOKS: u32 = 4;
const FLOOR_PAUSE_MIN: Duration = Duration::from_millis(50);

/// Whoever looks.
pub struct HeadLookout {
    pub pool: Arc<FleetState>,
    pub prober: Prober,
    pub regimen: CurrentIntervals,
    /// Who tells clients of heads.
    pub heads: mpsc::Sender<NodeHead>,
}

impl HeadLookout {
    /// Looks whenever that is wanted, for as long as it is awaited.
    pub async fn run(&self) {
        loop {
            tokio::select! {
                () = self.pool.looks.is_wanted() => {}
                () = self.floor_is_awaited() => {}
            }
            let look = self.pool.looks.begin();
            self.look().await;
            self.pool.looks.end(look);
            self.pool.settle_floor();
        }
    }

    /// Returns when it is time to look again for a head that is shown while no node has it.
    async fn floor_is_awaited(&self) {
        let mut news = self.pool.news();
        loop {
            let view = &self.pool.snapshot().view;
            if let Some(until) = view.floor_until {
                let pause = (view.pace / FLOOR_LOOKS).clamp(FLOOR_PAUSE_MIN, TIME_MAX);
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
        let snapshot = self.pool.snapshot();
        let timeout = self.regimen.say(|regimen| regimen.timeout).min(TIME_MAX);
        let ids = awaited_blocks::looked_at(&snapshot.view, clock::now());
        let nodes = ids.iter().filter_map(|id| snapshot.upstream(*id));
        let mut asking: FuturesUnordered<_> = nodes
            .map(async |node| (node.id, self.prober.head_now(&node.spec, timeout).await))
            .collect();
        while let Some((id, found)) = asking.next().await {
            let Some(found) = found else { continue };
            if let Some(header) = &found.header {
                // Where there is no room, the next round brings it.
                drop(self.heads.try_send((id, header.clone())));
            }
            self.pool
                .hear_look(id, found.number, &found.details())
                .await;
        }
    }
}

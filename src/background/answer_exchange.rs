//! Kept answers that this balancer shares with others: they are written behind, and let go when one of the
//! balancers does so.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use log::Level;
use tokio::sync::{Mutex, mpsc};

use crate::shared::answer_cache::{AnswerCache, Purge};
use crate::shared::fleet_state::FleetState;
use crate::shared::store::{SharedStore, StoreNews};
use crate::shared::stored_answers::{StoredAnswers, StoredWrite};
use forebay_core::call::cache::generations::LostAnswers;
use forebay_core::fleet::node_view::BranchEvidence;
use forebay_core::method;
use forebay_core::vocabulary::node::NodeId;

/// What was let go is read anew this often, whether something is heard or not; and so soon while it can't be.
const READ_EVERY: Duration = Duration::from_secs(5);
const READ_SOON: Duration = Duration::from_millis(200);

/// The exchange of one chain.
pub struct AnswerExchange {
    stored: Arc<StoredAnswers>,
    cache: Arc<AnswerCache>,
    fleet: Arc<FleetState>,
    news: Mutex<mpsc::Receiver<StoreNews>>,
    writes: Mutex<mpsc::Receiver<StoredWrite>>,
}

/// What is known of a node: how often it was found elsewhere, and on a fork or another chain.
type Known = HashMap<Arc<str>, (u64, u32)>;

impl AnswerExchange {
    pub fn new(
        store: &SharedStore,
        (stored, writes): (Arc<StoredAnswers>, mpsc::Receiver<StoredWrite>),
        cache: Arc<AnswerCache>,
        fleet: Arc<FleetState>,
    ) -> AnswerExchange {
        AnswerExchange {
            news: Mutex::new(store.listen(stored.channel())),
            stored,
            cache,
            fleet,
            writes: Mutex::new(writes),
        }
    }

    /// For as long as it is awaited.
    pub async fn run(&self) {
        tokio::join!(self.write(), self.follow(), self.watch());
    }

    async fn write(&self) {
        let mut writes = self.writes.lock().await;
        while let Some(write) = writes.recv().await {
            self.stored.write(&write);
            // What else is done here has its turn: packing takes its time.
            tokio::task::yield_now().await;
        }
    }

    /// What others have let go goes here, too.
    async fn follow(&self) {
        let mut news = self.news.lock().await;
        loop {
            self.stored.tell().await;
            for lost in self.stored.read().await {
                self.lose(&lost);
            }
            let pause = match self.stored.is_on() {
                true => READ_EVERY,
                false => READ_SOON,
            };
            tokio::select! {
                heard = news.recv() => if heard.is_none() { return },
                () = self.stored.until_lost() => {}
                () = tokio::time::sleep(pause) => {}
            }
            while news.try_recv().is_ok() {}
        }
    }

    fn lose(&self, lost: &LostAnswers) {
        // Nodes are found elsewhere now and then; all and a method's go because an operator wants it.
        let level = match lost {
            LostAnswers::All | LostAnswers::Method(_) => Level::Info,
            LostAnswers::Node(_) | LostAnswers::Steady(_) => Level::Debug,
        };
        log::log!(
            level,
            "another balancer has let kept answers go: {}",
            lost.name()
        );
        match lost {
            LostAnswers::All => drop(self.cache.purge(Purge::All)),
            LostAnswers::Method(name) => {
                if let Some(row) = method::row_of(name) {
                    self.cache.purge(Purge::Method(row));
                }
            }
            LostAnswers::Node(name) => {
                if let Some(node) = self.node(name) {
                    self.cache.lose(node);
                }
            }
            LostAnswers::Steady(name) => {
                if let Some(node) = self.node(name) {
                    self.cache.lose_steady(node);
                }
            }
        }
    }

    fn node(&self, name: &str) -> Option<NodeId> {
        let snapshot = self.fleet.snapshot();
        let node = snapshot.view.nodes.iter().find(|node| *node.name == *name);
        node.map(|node| node.id)
    }

    /// What a node has said that is found elsewhere, or leaves the list, others give no more either.
    async fn watch(&self) {
        let mut news = self.fleet.news();
        let mut known = self.known();
        while news.changed().await.is_ok() {
            let now = self.known();
            for lost in lost_between(&known, &now) {
                self.stored.lose(&lost);
            }
            known = now;
        }
    }

    fn known(&self) -> Known {
        let snapshot = self.fleet.snapshot();
        let nodes = snapshot.view.nodes.iter();
        nodes
            .map(|node| {
                let BranchEvidence { strays, losses, .. } = node.evidence;
                (node.name.clone(), (strays, losses))
            })
            .collect()
    }
}

fn lost_between(before: &Known, after: &Known) -> Vec<LostAnswers> {
    let lost = before.iter().filter_map(|(name, (strays, losses))| {
        let now = after.get(name);
        match now {
            Some((_, now)) if now == losses => {}
            Some(_) | None => return Some(LostAnswers::Node(name.to_string())),
        }
        let is_steady = now.is_some_and(|(now, _)| now == strays);
        (!is_steady).then(|| LostAnswers::Steady(name.to_string()))
    });
    lost.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_said_is_lost_when_it_is_found_on_a_fork_or_gone() {
        let known = |nodes: &[(&str, u64, u32)]| -> Known {
            let known = nodes.iter();
            known
                .map(|(name, strays, losses)| ((*name).into(), (*strays, *losses)))
                .collect()
        };
        let before = known(&[("a", 1, 1)]);
        let node = |name: &str| vec![LostAnswers::Node(name.into())];
        for (after, wanted) in [
            (known(&[("a", 1, 1), ("b", 5, 5)]), vec![]),
            (known(&[("a", 2, 1)]), vec![LostAnswers::Steady("a".into())]),
            (known(&[("a", 1, 2)]), node("a")),
            (known(&[("a", 2, 0)]), node("a")),
            (known(&[("b", 1, 1)]), node("a")),
        ] {
            assert_eq!(lost_between(&before, &after), wanted, "{after:?}");
        }
    }
}

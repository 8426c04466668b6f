//! Tells clients the logs of the blocks that were told.
//!
//! A block's logs are asked for once, by its hash, for all that listen, and matched here: so they are
//! those of the chain that was told, whichever node brings them, and a node that dies, lags or
//! reorganises leaves neither a gap nor a double. What was told is kept, to be taken back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::background::feeds::heads::{BlockEvent, EVENTS_MAX};
use crate::background::feeds::resources::FeedResources;
use crate::clock;
use forebay_core::feed::log_evidence::{BloomTrust, LogEvidence, are_others_awaited, holders};
use forebay_core::feed::log_history::{self, LogHistory, LogHistoryLookup};
use forebay_core::feed::log_match::{BlockLogs, Log, LogFilter};
use forebay_core::feed::takeover::TakeoverReason;
use forebay_core::vocabulary::chain::BlockHash;
use forebay_core::vocabulary::header::Header;
use forebay_core::vocabulary::node::NodeId;

/// The longest that a block's logs are waited for before the clients that listen are told to go.
const PATIENCE: Duration = Duration::from_secs(30);
/// One node's time for one block's logs.
const ATTEMPT: Duration = Duration::from_secs(5);

const UNANSWERED: &str = "the logs of a block can't be had from any node: subscribe again";
const FORGOTTEN: &str = "logs of an abandoned block are no longer known: subscribe again";

/// Tells the logs.
pub struct LogFeed {
    pub resources: Arc<FeedResources>,
    pub events: mpsc::Receiver<BlockEvent>,
    waiting: VecDeque<BlockEvent>,
    log_history: LogHistory,
    trust: BloomTrust,
}

impl LogFeed {
    pub fn new(resources: Arc<FeedResources>, events: mpsc::Receiver<BlockEvent>) -> LogFeed {
        LogFeed {
            resources,
            events,
            waiting: VecDeque::new(),
            log_history: LogHistory::default(),
            trust: BloomTrust::default(),
        }
    }

    /// Tells, for ever, one block after another.
    pub async fn run(&mut self) {
        loop {
            if self.waiting.is_empty() {
                match self.events.recv().await {
                    Some(event) => self.waiting.push_back(event),
                    None => return,
                }
            }
            self.take_in();
            match self.waiting.pop_front() {
                Some(BlockEvent::Told { header, turn }) => self.tell(&header, turn).await,
                Some(BlockEvent::Abandoned { hash, turn }) => self.take_back(hash, turn),
                None => {}
            }
        }
    }

    /// Takes in what has come meanwhile, as far as there is room.
    fn take_in(&mut self) {
        while self.waiting.len() < EVENTS_MAX
            && let Ok(event) = self.events.try_recv()
        {
            self.waiting.push_back(event);
        }
    }

    fn take_back(&mut self, hash: BlockHash, turn: u64) {
        match self.log_history.tear(hash, turn) {
            LogHistoryLookup::Nothing => {}
            LogHistoryLookup::Forgotten => self.resources.hub.close_logs(turn, FORGOTTEN),
            LogHistoryLookup::Found(entry) => {
                for filter in self.resources.hub.filters(turn) {
                    let passing = passing(&filter, &entry.logs);
                    let removed: Vec<_> = passing.map(Log::removed).collect();
                    self.resources.hub.tell_logs(&filter, turn, &removed);
                }
            }
        }
    }

    async fn tell(&mut self, header: &Header, turn: u64) {
        let filters = self.resources.hub.filters(turn);
        if filters.is_empty() {
            return;
        }
        let view = &self.resources.fleet.snapshot().view;
        self.trust.mind(view.chain_id.or(view.nodes_chain));
        let Some(logs) = self.bring(header, turn).await else {
            return;
        };
        self.trust.learn(header.bloom.as_deref(), &logs);
        // Clients that left meanwhile are told nothing, and none has come that hears this block.
        for filter in &filters {
            let passing: Vec<_> = passing(filter, &logs)
                .map(|log| log.json().clone())
                .collect();
            self.resources.hub.tell_logs(filter, turn, &passing);
        }
        self.log_history.write(log_history::LogHistoryEntry {
            hash: header.hash,
            turn,
            logs,
        });
    }

    /// Asks one node after another, again and again. `None`: the block is abandoned by now, or the
    /// clients that heard it are gone, or told to go.
    async fn bring(&mut self, header: &Header, turn: u64) -> Option<Arc<BlockLogs>> {
        let began_at = clock::now();
        let deadline = began_at + PATIENCE;
        let mut testimony = LogEvidence::default();
        let mut failed: Option<NodeId> = None;
        loop {
            let view = &self.resources.fleet.snapshot().view;
            let since = clock::now().saturating_duration_since(began_at);
            testimony.awaits_others = are_others_awaited(view, header.number, since);
            for id in holders(view, header.number) {
                let answer = self.ask(id, header).await;
                let has_failed = answer.is_none();
                let bloom = header.bloom.as_deref();
                let believed = answer.and_then(|logs| testimony.hear(id, logs, bloom, &self.trust));
                if let Some(logs) = believed {
                    if failed.is_some_and(|before| before != id) {
                        self.resources
                            .metrics
                            .taken_over(TakeoverReason::Unanswered);
                    }
                    return Some(logs);
                }
                failed = failed.or(has_failed.then_some(id));
                if self.is_past(header.hash, turn) {
                    return None;
                }
            }
            if clock::now() >= deadline {
                self.resources.hub.close_logs(turn, UNANSWERED);
                return None;
            }
            let pause = testimony.pause(&self.trust);
            let until = (clock::now() + pause).min(deadline);
            tokio::time::sleep_until(until.into()).await;
            if self.is_past(header.hash, turn) {
                return None;
            }
        }
    }

    /// Whether the block's logs are sought in vain: it is abandoned, or no client is left that hears it.
    /// One that came later waits for the next block's.
    fn is_past(&mut self, block: BlockHash, turn: u64) -> bool {
        self.take_in();
        let abandons = |event: &BlockEvent| matches!(event, BlockEvent::Abandoned { hash, .. } if *hash == block);
        self.waiting.iter().any(abandons) || self.resources.hub.filters(turn).is_empty()
    }

    async fn ask(&self, id: NodeId, header: &Header) -> Option<BlockLogs> {
        let snapshot = self.resources.fleet.snapshot();
        let upstream = snapshot.upstream(id)?;
        match self
            .resources
            .prober
            .logs(&upstream.spec, header.hash, ATTEMPT)
            .await
        {
            Ok(logs) => Some(logs),
            Err(why) => {
                log::debug!("asking {} for a block's logs: {why}", upstream.spec.name);
                None
            }
        }
    }
}

fn passing<'a>(filter: &'a LogFilter, logs: &'a BlockLogs) -> impl Iterator<Item = &'a Log> {
    logs.logs.iter().filter(|log| filter.passes(log))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::fleet_state::FleetState;
    use crate::shared::outbox::{Outbox, OutboxItem};
    use bytes::Bytes;
    use forebay_core::feed::subscription::{SubscriptionId, Topic};
    use forebay_core::testing;

    /// A client that listens to all logs, where there is no node to bring any.
    async fn scene() -> (LogFeed, mpsc::Sender<BlockEvent>, Arc<Outbox>) {
        let resources = FeedResources::alone(FleetState::new(testing::fleet()));
        let (events, written) = mpsc::channel(8);
        let outbox = Arc::<Outbox>::default();
        let topic = Topic::Logs(Arc::default());
        let id = SubscriptionId::read("0x1").unwrap();
        resources.hub.subscribe(topic, id, &outbox).await.unwrap();
        assert_eq!(outbox.take(), Some(OutboxItem::Begun(id)));
        (LogFeed::new(resources, written), events, outbox)
    }

    fn hash(seed: u8) -> BlockHash {
        BlockHash([seed; 32])
    }

    fn logs_of(seed: u8, data: &[&str]) -> Arc<BlockLogs> {
        let block = "0x".to_string() + &format!("{seed:02x}").repeat(32);
        let log = |data: &&str| {
            let address = "0".repeat(40);
            format!(
                r#"{{"address":"0x{address}","topics":[],"blockHash":"{block}","data":"{data}","removed":false}}"#
            )
        };
        let logs: Vec<_> = data.iter().map(log).collect();
        let result = format!("[{}]", logs.join(","));
        Arc::new(BlockLogs::read(&result, hash(seed)).unwrap())
    }

    #[tokio::test]
    async fn a_block_that_is_abandoned_before_its_logs_could_be_had_is_passed_over() {
        let (mut logs, events, outbox) = scene().await;
        let header = Arc::new(forebay_core::testing::header(1, hash(1), hash(0)));
        let turn = logs.resources.hub.tell_head(&header.json);
        let hash = header.hash;
        events
            .send(BlockEvent::Told { header, turn })
            .await
            .unwrap();
        let running = tokio::spawn(async move {
            logs.run().await;
            logs
        });
        // It is asked for meanwhile, in vain.
        tokio::time::sleep(Duration::from_millis(50)).await;
        events
            .send(BlockEvent::Abandoned { hash, turn })
            .await
            .unwrap();
        drop(events);
        let logs = tokio::time::timeout(PATIENCE / 2, running).await;
        let logs = logs.expect("it waits no longer").unwrap();
        assert_eq!(outbox.take(), None, "neither the logs nor their removal");
        assert!(!outbox.is_closing());
        assert!(!logs.resources.hub.is_idle());
    }

    #[tokio::test]
    async fn logs_are_taken_back_in_the_order_in_which_they_were_told() {
        let (mut logs, events, outbox) = scene().await;
        for (seed, data) in [(1, &["0x0a", "0x0b"][..]), (2, &["0x0c"])] {
            let turn = logs.resources.hub.tell_head(&Bytes::new());
            let entry = log_history::LogHistoryEntry {
                hash: hash(seed),
                turn,
                logs: logs_of(seed, data),
            };
            logs.log_history.write(entry);
            let abandoned = BlockEvent::Abandoned {
                hash: hash(seed),
                turn,
            };
            events.send(abandoned).await.unwrap();
        }
        drop(events);
        logs.run().await;
        let mut told = Vec::new();
        while let Some(OutboxItem::News { result, .. }) = outbox.take() {
            let log: serde_json::Value = serde_json::from_slice(&result).unwrap();
            assert_eq!(log["removed"], true);
            told.push(log["data"].as_str().unwrap().to_string());
        }
        assert_eq!(told, ["0x0a", "0x0b", "0x0c"]);
    }
}

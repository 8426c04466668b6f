//! The store that balancers share, Valkey or Redis: what one of them writes there the others find.
//!
//! It is a help and never needed. What a call asks of it has milliseconds; no call waits for what is written;
//! while it is away, calls don't ask it. Nothing of its URL is ever shown: a password may stand in it.
//!
//! In reading order: what it is for its users, here; `connection` to one server or a cluster; `queue` of what
//! is written behind; `fields`, small numbers that stand together; `upkeep`, which connects, pings, writes and listens.

mod connection;
mod fields;
mod queue;
mod upkeep;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use parking_lot::Mutex;
use redis::{Cmd, RedisError, Value};
use tokio::sync::mpsc;

use self::connection::{StoreClient, StoreConnection};
pub use self::fields::FieldWrite;
use self::queue::WriteQueue;
use crate::observe::metrics::ProcessMetrics;
use forebay_core::vocabulary::circuit::Circuit;
use forebay_core::vocabulary::node::Secret;

/// The longest that a call waits for it.
const CALL_MAX: Duration = Duration::from_millis(20);
/// Everything of ours there begins so.
const PREFIX: &str = "forebay:";
/// Messages that wait for their listener; beyond it they are lost.
const NEWS_MAX: usize = 4096;
/// Entries of a log that are read at once.
const LOG_PART: usize = 200;

/// Where it is.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `redis://` or `rediss://`, with a user and a password where they are needed.
    pub url: Secret,
    /// The PEM file of the certificates that are trusted instead of the system's.
    pub ca_file: Option<String>,
    /// The most bytes that wait to be written.
    pub queue_bytes_max: usize,
}

/// Why it can't be used at all.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("ca_file: {0}")]
    File(#[from] std::io::Error),
    /// In words that hold nothing of the URL.
    #[error("the shared store's URL can't be used: {0}")]
    Url(&'static str),
}

/// What stands there isn't known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared store can't be read")]
pub struct StoreUnread;

/// How far a log was read.
#[derive(Debug)]
pub struct LogPlace {
    next: String,
    left: usize,
    /// Entries that are asked for at once: fewer where they took too long.
    part: usize,
}

impl LogPlace {
    /// Before the entries that are younger than `from`, in milliseconds since 1970 by the store's clock; about
    /// `most` of them are read at most.
    pub fn since(from: u64, most: usize) -> LogPlace {
        LogPlace {
            next: from.to_string(),
            left: most,
            part: LOG_PART,
        }
    }
}

/// What a listener is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreNews {
    Message(Bytes),
    /// It listens from now on, or again: what was said before is found in keys and logs alone.
    Begun,
}

/// The store, as its users see it.
pub struct SharedStore {
    client: StoreClient,
    connection: ArcSwapOption<StoreConnection>,
    circuit: Mutex<Circuit>,
    queue: WriteQueue,
    listeners: Mutex<Vec<StoreListener>>,
    /// Odd while it listens: goes up when it begins to, and when it doesn't any more.
    listening: AtomicU64,
    metrics: Arc<ProcessMetrics>,
}

struct StoreListener {
    channel: String,
    news: mpsc::Sender<StoreNews>,
}

impl SharedStore {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The URL or the file of certificates can't be used.
    pub fn new(
        config: &StoreConfig,
        metrics: Arc<ProcessMetrics>,
    ) -> Result<SharedStore, StoreError> {
        Ok(SharedStore {
            client: StoreClient::new(config)?,
            connection: ArcSwapOption::empty(),
            circuit: Mutex::default(),
            queue: WriteQueue::new(config.queue_bytes_max),
            listeners: Mutex::default(),
            listening: AtomicU64::new(0),
            metrics,
        })
    }

    /// One that is away.
    #[cfg(test)]
    pub fn away() -> Arc<SharedStore> {
        let config = StoreConfig {
            url: Secret::new("redis://127.0.0.1:1".into()),
            ca_file: None,
            queue_bytes_max: 0,
        };
        Arc::new(SharedStore::new(&config, Arc::new(ProcessMetrics::new())).unwrap())
    }

    /// Whether calls ask it.
    pub fn is_on(&self) -> bool {
        self.circuit.lock().is_on()
    }

    /// The first `most` bytes, or fewer, of what stands under `key`; `None`: nothing, or it isn't known in [`CALL_MAX`].
    pub async fn get_up_to(&self, key: &str, most: usize) -> Option<Bytes> {
        let mut command = redis::cmd("GETRANGE");
        command
            .arg(prefixed(key))
            .arg(0)
            .arg(most.saturating_sub(1));
        match self.ask("get", &command).await? {
            Value::BulkString(bytes) if !bytes.is_empty() => Some(bytes.into()),
            _ => None,
        }
    }

    /// What stands under `key`, waited for longer than calls may. It isn't for calls.
    ///
    /// # Errors
    /// It isn't known: the store is away, or slow.
    pub async fn read(&self, key: &str) -> Result<Option<Bytes>, StoreUnread> {
        // Which says of a key of another kind, too, that nothing is there.
        let mut command = redis::cmd("MGET");
        command.arg(prefixed(key));
        match self.patiently("get", &command).await {
            Some(Value::Array(values)) => Ok(values.into_iter().find_map(|value| match value {
                Value::BulkString(bytes) => Some(bytes.into()),
                _ => None,
            })),
            Some(_) | None => Err(StoreUnread),
        }
    }

    /// Since when it hears without a break what is said, as a number; `None`: it doesn't hear.
    pub fn listening(&self) -> Option<u64> {
        let listening = self.listening.load(Ordering::Acquire);
        (listening % 2 == 1).then_some(listening)
    }

    /// Writes `value` under `key` for so long, whenever it can: no call waits. `false`: there is no room, or the
    /// store is away.
    pub fn put(&self, key: &str, value: &[u8], keeps: Duration) -> bool {
        let mut command = redis::cmd("SET");
        command.arg(prefixed(key)).arg(value);
        command.arg("PX").arg(millis(keeps));
        self.write(command, value.len())
    }

    /// Says `message` to all that listen on `channel`, likewise.
    pub fn publish(&self, channel: &str, message: &[u8]) -> bool {
        let mut command = redis::cmd("PUBLISH");
        command.arg(prefixed(channel)).arg(message);
        self.write(command, message.len())
    }

    /// Appends `entry` to the log `key`, which keeps what is younger than `keeps`, and waits until the store
    /// has it, [`CALL_MAX`] at most: whether it has.
    pub async fn append(&self, key: &str, entry: &[u8], (now, keeps): (u64, Duration)) -> bool {
        let oldest = now.saturating_sub(millis(keeps));
        let mut command = redis::cmd("XADD");
        command.arg(prefixed(key)).arg("MINID").arg("~").arg(oldest);
        command.arg("*").arg("e").arg(entry);
        self.ask("write", &command).await.is_some()
    }

    /// Whether `me`, and no other, holds `key` from now on for so long. `None`: it isn't known, likewise. It
    /// takes longer than a call may wait.
    pub async fn hold(&self, key: &str, me: &str, keeps: Duration) -> Option<bool> {
        let key = prefixed(key);
        let mut take = redis::cmd("SET");
        take.arg(&key).arg(me).arg("NX").arg("GET");
        take.arg("PX").arg(millis(keeps));
        match self.patiently("write", &take).await? {
            Value::BulkString(holder) if holder == me.as_bytes() => {
                let mut keep = redis::cmd("PEXPIRE");
                keep.arg(&key).arg(millis(keeps));
                self.patiently("write", &keep).await.map(|_| true)
            }
            Value::Nil => Some(true),
            _ => Some(false),
        }
    }

    /// Hands to `take` the entries of the log `key` from `place` on, oldest first, a few at a time, and moves it
    /// behind them. It isn't for calls: it waits as long as it takes.
    ///
    /// # Errors
    /// The store is away, or slow: there may be more.
    pub async fn log(
        &self,
        key: &str,
        place: &mut LogPlace,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), StoreUnread> {
        while place.left > 0 {
            let mut command = redis::cmd("XRANGE");
            command.arg(prefixed(key)).arg(&place.next).arg("+");
            command.arg("COUNT").arg(place.part);
            let Some(Value::Array(part)) = self.patiently("get", &command).await else {
                place.part = (place.part / 2).max(1);
                return Err(StoreUnread);
            };
            part.iter()
                .filter_map(entry_of)
                .for_each(|entry| take(&entry));
            place.left = place.left.saturating_sub(part.len());
            match part.last().and_then(entry_id) {
                Some(last) if part.len() == place.part => place.next = format!("({last}"),
                Some(_) | None => break,
            }
        }
        Ok(())
    }

    /// The latest entries of the log `key`, up to `most`, as far as they are known in [`CALL_MAX`].
    pub async fn latest(&self, key: &str, most: usize) -> Vec<Bytes> {
        let mut command = redis::cmd("XREVRANGE");
        command.arg(prefixed(key)).arg("+").arg("-");
        command.arg("COUNT").arg(most);
        match self.ask("get", &command).await {
            Some(Value::Array(entries)) => entries.iter().filter_map(entry_of).collect(),
            Some(_) | None => Vec::new(),
        }
    }

    /// What is said on `channel` from now on, once [`StoreNews::Begun`] was told.
    pub fn listen(&self, channel: &str) -> mpsc::Receiver<StoreNews> {
        let (news, heard) = mpsc::channel(NEWS_MAX);
        let channel = prefixed(channel);
        let mut listeners = self.listeners.lock();
        if self.listening().is_some() {
            // There is room: it is the first.
            drop(news.try_send(StoreNews::Begun));
        }
        listeners.push(StoreListener { channel, news });
        heard
    }

    fn write(&self, command: Cmd, bytes: usize) -> bool {
        if !self.is_on() {
            return false;
        }
        let has_room = self.queue.push(command, bytes);
        if !has_room {
            self.metrics.store_failed("room");
        }
        has_room
    }

    /// The answer to a call's question, within [`CALL_MAX`].
    async fn ask(&self, operation: &'static str, command: &Cmd) -> Option<Value> {
        if !self.is_on() {
            return None;
        }
        let connection = self.connection.load_full()?;
        match tokio::time::timeout(CALL_MAX, connection.ask(command)).await {
            Ok(Ok(value)) => {
                self.circuit.lock().answered();
                Some(value)
            }
            // It is there, and refuses: a user without the right, or memory that is full.
            Ok(Err(why)) if is_refusal(&why) => {
                self.circuit.lock().answered();
                self.metrics.store_failed(operation);
                None
            }
            Ok(Err(_)) | Err(_) => {
                self.metrics.store_failed(operation);
                if self.circuit.lock().failed() {
                    self.tell_off("it doesn't answer in time");
                }
                None
            }
        }
    }

    fn tell_off(&self, why: &str) {
        self.metrics.store_is(false);
        log::warn!("the shared store is not asked any more until it answers: {why}");
    }
}

fn prefixed(key: &str) -> String {
    format!("{PREFIX}{key}")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn is_refusal(why: &RedisError) -> bool {
    why.code().is_some() && !why.is_connection_dropped()
}

/// Of `[id, [field, value]]`.
fn entry_id(entry: &Value) -> Option<String> {
    match entry.as_sequence()?.first()? {
        Value::BulkString(id) => Some(String::from_utf8_lossy(id).into_owned()),
        _ => None,
    }
}

fn entry_of(entry: &Value) -> Option<Bytes> {
    match entry.as_sequence()?.get(1)?.as_sequence()?.get(1)? {
        Value::BulkString(bytes) => Some(bytes.clone().into()),
        _ => None,
    }
}

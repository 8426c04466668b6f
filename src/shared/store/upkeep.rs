//! What happens behind: the connection is kept, what waits is written, and what is said there is heard.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::time::timeout;

use super::connection::{CONNECT_MAX, StoreConnection};
use super::{PREFIX, SharedStore, StoreListener, StoreNews, is_refusal};

/// The longest that something takes for which no call waits.
pub(super) const BEHIND_MAX: Duration = Duration::from_secs(1);
/// A sign of life is asked for this often, and sooner while calls don't ask.
const PING_EVERY: Duration = Duration::from_millis(500);
const PING_SOON: Duration = Duration::from_millis(100);
/// The longest that it may take. Pings that fail in a row: then it is connected to anew.
const PING_MAX: Duration = Duration::from_millis(250);
const PINGS_MAX: u32 = 8;
/// Between two tries to connect.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Writes under way at once.
const WRITES_AT_ONCE: usize = 64;

impl SharedStore {
    /// Keeps it up, for as long as it is awaited.
    pub async fn run(&self) {
        tokio::join!(self.keep_connected(), self.write_behind(), self.hear_all());
    }

    async fn keep_connected(&self) {
        let mut pause = PAUSE_MIN;
        let mut is_told = false;
        loop {
            // Somewhat longer than connecting itself, which asks once more whether it is a cluster.
            match timeout(2 * CONNECT_MAX, self.client.connect()).await {
                Ok(Ok(connection)) => {
                    pause = PAUSE_MIN;
                    is_told = false;
                    self.connection.store(Some(connection.clone().into()));
                    self.ping(&connection).await;
                    self.lose("the connection is lost");
                }
                Ok(Err(why)) if !std::mem::replace(&mut is_told, true) => {
                    let why = why
                        .detail()
                        .map_or_else(|| why.category().into(), String::from);
                    log::warn!("the shared store can't be used; calls don't need it: {why}");
                }
                Err(_) if !std::mem::replace(&mut is_told, true) => {
                    log::warn!("the shared store doesn't answer; calls don't need it");
                }
                Ok(Err(_)) | Err(_) => {}
            }
            self.metrics.store_failed("connect");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn lose(&self, why: &str) {
        self.connection.store(None);
        if self.circuit.lock().lost() {
            self.tell_off(why);
        }
        self.queue.clear();
    }

    /// Returns when it is to be connected to anew.
    async fn ping(&self, connection: &StoreConnection) {
        let question = redis::cmd("PING");
        let mut failed = 0;
        while failed < PINGS_MAX {
            match timeout(PING_MAX, connection.ask(&question)).await {
                Ok(Ok(_)) => {
                    failed = 0;
                    if self.circuit.lock().pinged() {
                        self.metrics.store_is(true);
                        log::info!("the shared store answers");
                    }
                }
                // It answers, if only to say that it mayn't: a user without the right to ping.
                Ok(Err(why)) if is_refusal(&why) => return,
                Ok(Err(why)) if why.is_connection_dropped() => return,
                Ok(Err(_)) | Err(_) => {
                    failed += 1;
                    self.metrics.store_failed("ping");
                    if self.circuit.lock().failed() {
                        self.tell_off("it doesn't answer pings");
                    }
                }
            }
            let pause = if self.is_on() { PING_EVERY } else { PING_SOON };
            tokio::time::sleep(pause).await;
        }
    }

    async fn write_behind(&self) {
        loop {
            let commands = self.queue.take(WRITES_AT_ONCE).await;
            let Some(connection) = self.connection.load_full() else {
                continue;
            };
            let writes = commands.iter().map(|command| connection.ask(command));
            match timeout(BEHIND_MAX, join_all(writes)).await {
                Ok(done) => {
                    let failed = done.iter().filter(|done| done.is_err());
                    failed.for_each(|_| self.metrics.store_failed("write"));
                }
                Err(_) => {
                    self.metrics.store_failed("write");
                    if self.circuit.lock().failed() {
                        self.tell_off("it doesn't take what is written");
                    }
                }
            }
        }
    }

    async fn hear_all(&self) {
        let mut pause = PAUSE_MIN;
        loop {
            let listening = timeout(2 * CONNECT_MAX, self.client.listen()).await;
            if let Ok(Ok(listening)) = listening {
                let (mut ask, mut heard) = listening.split();
                // All channels: listeners come and go with their chains.
                let asked = ask.psubscribe(format!("{PREFIX}*"));
                if timeout(CONNECT_MAX, asked)
                    .await
                    .is_ok_and(|asked| asked.is_ok())
                {
                    pause = PAUSE_MIN;
                    self.begin_to_listen();
                    self.hear(&mut ask, &mut heard).await;
                    self.listening.fetch_add(1, Ordering::AcqRel);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Returns when the connection is lost.
    async fn hear(&self, ask: &mut PubSubSink, heard: &mut PubSubStream) {
        loop {
            match timeout(PING_EVERY, heard.next()).await {
                Ok(Some(message)) => {
                    let said = message.get_payload_bytes().to_vec().into();
                    let channel = message.get_channel_name();
                    self.tell(channel, &StoreNews::Message(said));
                }
                Ok(None) => return,
                Err(_) => {
                    let pinged = timeout(BEHIND_MAX, ask.ping::<redis::Value>()).await;
                    if !pinged.is_ok_and(|pinged| pinged.is_ok()) {
                        return;
                    }
                }
            }
        }
    }

    /// Tells all listeners, those that come meanwhile too.
    fn begin_to_listen(&self) {
        let listeners = self.listeners.lock();
        self.listening.fetch_add(1, Ordering::AcqRel);
        for listener in listeners.iter() {
            self.tell_one(listener, StoreNews::Begun);
        }
    }

    fn tell(&self, channel: &str, news: &StoreNews) {
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| !listener.news.is_closed());
        for listener in listeners.iter().filter(|it| it.channel == channel) {
            self.tell_one(listener, news.clone());
        }
    }

    fn tell_one(&self, listener: &StoreListener, news: StoreNews) {
        if listener.news.try_send(news).is_err() {
            self.metrics.store_failed("room");
        }
    }
}

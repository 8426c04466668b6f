//! What this balancer tells the others by the store that they share, and what it hears of them: heads, what
//! single clients were told, transactions that nodes took.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, mpsc};

use crate::background::shared_leader::SharedHeads;
use crate::clock;
use crate::shared::fleet_state::FleetState;
use crate::shared::handed_on::{HandedOn, Handover};
use crate::shared::recent_writes::{SharedWrites, marks};
use crate::shared::store::{LogPlace, SharedStore, StoreNews};
use forebay_core::call::recent_writes::TIME_MAX;
use forebay_core::call::shared_news::{ITEMS_MAX, SharedNews};
use forebay_core::fleet::head_floor::{HeadFloor, ShownHead, StoredFloor};

/// How long the head stands in the store.
const HEAD_KEEPS: Duration = Duration::from_secs(60);
/// The pause between two tries to read what was said before it was listened to.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Transactions that are read then.
const LOG_MAX: usize = 65_536;
/// The store's clock may be behind ours.
const CLOCKS_APART: Duration = Duration::from_secs(10);

/// The exchange of one chain.
pub struct SharedExchange {
    store: Arc<SharedStore>,
    fleet: Arc<FleetState>,
    recent_writes: Arc<SharedWrites>,
    /// Where one balancer asks the leader for all.
    leader: Option<Arc<SharedHeads>>,
    names: StoreNames,
    news: Mutex<mpsc::Receiver<StoreNews>>,
    handed: Mutex<mpsc::Receiver<HandedOn>>,
    head: parking_lot::Mutex<StoredFloor>,
    /// It listens from now on, or again.
    begun: Notify,
}

/// What is called how in the store.
#[derive(Clone, Debug)]
pub struct StoreNames {
    pub channel: String,
    pub head: String,
    pub writes: String,
    pub leader: String,
}

impl StoreNames {
    /// For the chain called `chain`.
    pub fn of(chain: &str) -> StoreNames {
        StoreNames {
            channel: format!("{chain}:news"),
            head: format!("{chain}:head"),
            writes: format!("{chain}:writes"),
            leader: format!("{chain}:leader"),
        }
    }
}

impl SharedExchange {
    /// To be made before the store is up.
    pub fn new(
        store: Arc<SharedStore>,
        fleet: Arc<FleetState>,
        (recent_writes, leader): (Arc<SharedWrites>, Option<Arc<SharedHeads>>),
        (names, secret): (StoreNames, &str),
    ) -> SharedExchange {
        let (handover, handed) = Handover::new(secret);
        fleet.hand_on(handover);
        recent_writes.hand_on(
            secret,
            store.clone(),
            (names.channel.clone(), names.writes.clone()),
        );
        SharedExchange {
            news: Mutex::new(store.listen(&names.channel)),
            handed: Mutex::new(handed),
            head: parking_lot::Mutex::default(),
            begun: Notify::new(),
            store,
            fleet,
            recent_writes,
            leader,
            names,
        }
    }

    /// For as long as it is awaited.
    pub async fn run(&self) {
        tokio::join!(
            self.tell_heads(),
            self.hand_on(),
            self.hear(),
            self.catch_up()
        );
    }

    async fn tell_heads(&self) {
        let mut news = self.fleet.news();
        let mut told: Option<ShownHead> = None;
        while news.changed().await.is_ok() {
            let shown = self.fleet.snapshot().view.handed_on;
            let Some(shown) = shown.filter(|shown| {
                told.is_none_or(|told| (told.number, told.reorgs) != (shown.number, shown.reorgs))
            }) else {
                continue;
            };
            if self.tell_head(shown) {
                told = Some(shown);
            }
        }
    }

    /// `false`: the store is away, or full.
    fn tell_head(&self, shown: ShownHead) -> bool {
        let (listening, now) = (self.store.listening(), clock::unix_millis());
        let put = self.head.lock().say(shown, listening, now);
        // First: on one server what others hear stands there already.
        let is_put = put.is_none_or(|floor| self.put_head(floor));
        let message = SharedNews::Head(shown.at(now)).write();
        self.store.publish(&self.names.channel, &message) && is_put
    }

    fn put_head(&self, floor: HeadFloor) -> bool {
        let message = SharedNews::Head(floor).write();
        let is_put = self.store.put(&self.names.head, &message, HEAD_KEEPS);
        if is_put {
            self.head.lock().is_put(floor);
        }
        is_put
    }

    /// Several at a time, and none waits for others.
    async fn hand_on(&self) {
        let mut handed = self.handed.lock().await;
        let mut some = Vec::new();
        while handed.recv_many(&mut some, ITEMS_MAX).await > 0 {
            let (mut floors, mut mined) = (Vec::new(), Vec::new());
            for one in some.drain(..) {
                match one {
                    HandedOn::Floor(client, head) => floors.push((client, head)),
                    HandedOn::Mined(hash, block) => mined.push((hash, block)),
                }
            }
            // Where its transaction stands is known before its client is held to the block.
            for news in [SharedNews::Mined(mined), SharedNews::Floors(floors)] {
                if !news.is_empty() {
                    self.store.publish(&self.names.channel, &news.write());
                }
            }
        }
    }

    async fn hear(&self) {
        let mut news = self.news.lock().await;
        while let Some(news) = news.recv().await {
            match news {
                StoreNews::Begun => {
                    self.head.lock().begin();
                    self.begun.notify_one();
                }
                StoreNews::Message(bytes) => self.take(&bytes),
            }
        }
    }

    /// What was said while nothing listened here: until it is read, however long the store takes.
    async fn catch_up(&self) {
        self.begun.notified().await;
        loop {
            let read = async {
                tokio::join!(self.read_head(), self.read_log());
                pending::<()>().await;
            };
            tokio::select! {
                () = self.begun.notified() => {}
                () = read => {}
            }
        }
    }

    async fn read_head(&self) {
        let mut pause = PAUSE_MIN;
        loop {
            let listening = self.store.listening();
            let read = self.store.read(&self.names.head).await;
            if let (Some(since), Ok(head)) = (listening, read)
                && self.store.listening() == listening
            {
                if let Some(head) = head {
                    self.take(&head);
                }
                let put = self.head.lock().read(since, clock::unix_millis());
                if put.is_none_or(|floor| self.put_head(floor)) {
                    return;
                }
            }
            wait(&mut pause).await;
        }
    }

    /// What is heard meanwhile may stand there, too.
    async fn read_log(&self) {
        let age = (TIME_MAX + CLOCKS_APART).as_millis() as u64;
        let mut place = LogPlace::since(clock::unix_millis().saturating_sub(age), LOG_MAX);
        let (log, mut pause) = (&self.names.writes, PAUSE_MIN);
        let take = |entry: &[u8]| self.take(entry);
        while self.store.log(log, &mut place, take).await.is_err() {
            wait(&mut pause).await;
        }
    }

    fn take(&self, bytes: &[u8]) {
        match SharedNews::read(bytes) {
            Some(SharedNews::Head(floor)) if floor.is_young(clock::unix_millis()) => {
                self.head.lock().hear(floor, clock::unix_millis());
                self.fleet.hear_floor(floor);
            }
            Some(SharedNews::Floors(floors)) => self.fleet.hear_client_floors(&floors),
            Some(SharedNews::Mined(mined)) => {
                for (hash, block) in mined {
                    self.fleet.told.mined(hash, block);
                }
            }
            Some(SharedNews::Sent(sent)) => {
                let view = &self.fleet.snapshot().view;
                self.recent_writes
                    .hear(&sent, (&marks(view), view.chain_id));
            }
            Some(SharedNews::Leader(news)) => {
                if let Some(leader) = &self.leader {
                    leader.hear(news);
                }
            }
            Some(SharedNews::Head(_)) | None => {}
        }
    }
}

/// Waits before the next try, each time longer.
async fn wait(pause: &mut Duration) {
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(PAUSE_MAX);
}

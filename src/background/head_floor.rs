//! The head that clients are shown, kept where the next process and other balancers find it, and theirs
//! heard of. Nothing that goes wrong here costs more than that.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::timeout;

use crate::clock;
use crate::observe::metrics::ChainMetrics;
use crate::registry::file_turns::{self, TurnLost};
use crate::registry::{Registry, last_head};
use crate::shared::fleet_state::FleetState;
use forebay_core::fleet::head_floor::{FloorWrite, FloorWriter, HeadFloor};

/// A start waits no longer for the floor.
const RECALL_MAX: Duration = Duration::from_millis(500);
/// Nor do other heads for one that is being written.
const WRITE_MAX: Duration = Duration::from_secs(1);
/// A registry that failed is left alone so long.
const REST: Duration = Duration::from_secs(5);
/// A head that was due too early is looked at again after this.
const TICK: Duration = Duration::from_secs(1);

/// Keeps the floor.
pub struct FloorKeeper {
    registry: Arc<dyn Registry>,
    fleet: Arc<FleetState>,
    metrics: Arc<ChainMetrics>,
    /// Beside the last list.
    last_head: PathBuf,
    /// A write of it goes on, though it took too long for the task that waited: none is begun beside it.
    is_saving: Arc<AtomicBool>,
    known: Mutex<KnownFloor>,
}

#[derive(Default)]
struct KnownFloor {
    writer: FloorWriter,
    /// What stands in the registry, as far as is known.
    stored: Option<HeadFloor>,
    /// The same of the file beside the last list: it is there for when the registry isn't.
    file_writer: FloorWriter,
    in_file: Option<HeadFloor>,
    /// It failed, and is left alone until then.
    rests_until: Option<Instant>,
}

impl FloorKeeper {
    /// `last_list`: where the last list is.
    pub fn new(
        registry: Arc<dyn Registry>,
        fleet: Arc<FleetState>,
        metrics: Arc<ChainMetrics>,
        last_list: &std::path::Path,
    ) -> FloorKeeper {
        FloorKeeper {
            registry,
            fleet,
            metrics,
            last_head: last_head::beside(last_list),
            is_saving: Arc::default(),
            known: Mutex::default(),
        }
    }

    /// Before the first round: what clients were told last.
    pub async fn recall(&self) {
        let path = self.last_head.clone();
        let in_file = file_turns::take_turn(move || last_head::load(&path));
        if let Ok(Ok(in_file)) = timeout(RECALL_MAX, in_file).await {
            self.known.lock().in_file = in_file;
            self.hear(in_file);
        }
        self.look(RECALL_MAX).await;
    }

    /// Writes what is shown and hears what others wrote, for as long as it is awaited.
    pub async fn keep(&self) {
        let mut news = self.fleet.news();
        let mut look_at = clock::now();
        let mut is_new = false;
        loop {
            // What came too early is due soon after; else nothing is before the next news or look.
            let until_look = self.rested(look_at).saturating_duration_since(clock::now());
            let pause = if is_new { TICK } else { until_look };
            is_new = timeout(pause, news.changed()).await.is_ok();
            news.borrow_and_update();
            self.write_due(clock::now()).await;
            if clock::now() >= self.rested(look_at) {
                self.look(WRITE_MAX).await;
                look_at = clock::now() + self.registry.floor_every();
            }
        }
    }

    /// `at`, or when a registry that failed has rested.
    fn rested(&self, at: Instant) -> Instant {
        let until = self.known.lock().rests_until;
        until.map_or(at, |until| at.max(until))
    }

    async fn look(&self, patience: Duration) {
        match timeout(patience, self.registry.floor()).await {
            Ok(Ok(found)) => {
                self.known.lock().stored = found;
                self.hear(found);
            }
            Ok(Err(why)) => self.complain(&why),
            Err(_) => self.complain(&"it takes too long"),
        }
    }

    fn hear(&self, floor: Option<HeadFloor>) {
        if let Some(floor) = floor.filter(|floor| floor.is_young(clock::unix_millis())) {
            self.fleet.hear_floor(floor);
        }
    }

    async fn write_due(&self, now: Instant) {
        let (in_file, in_registry) = self.due(now);
        let save = async {
            if let Some(write) = in_file {
                self.save(write).await;
            }
        };
        let raise = async {
            if let Some(write) = in_registry {
                self.raise(write).await;
            }
        };
        tokio::join!(save, raise);
    }

    async fn save(&self, write: FloorWrite) {
        if self.is_saving.load(Ordering::Acquire) {
            return;
        }
        let (path, is_saving) = (self.last_head.clone(), self.is_saving.clone());
        let saved = file_turns::take_turn(move || {
            is_saving.store(true, Ordering::Release);
            let saved = last_head::save(&path, &write.floor);
            is_saving.store(false, Ordering::Release);
            saved
        });
        match timeout(WRITE_MAX, saved).await {
            Ok(Ok(Ok(()))) => {
                let mut known = self.known.lock();
                known.in_file = Some(write.floor);
                known.file_writer.is_heard();
            }
            Ok(Ok(Err(why))) => log::debug!("the head is not written beside the last list: {why}"),
            Ok(Err(TurnLost)) => {
                self.is_saving.store(false, Ordering::Release);
                log::debug!("the head is not written beside the last list: {TurnLost}");
            }
            Err(_) => log::debug!("the head is not written beside the last list yet"),
        }
    }

    async fn raise(&self, write: FloorWrite) {
        match timeout(WRITE_MAX, self.registry.raise_floor(write)).await {
            Ok(Ok(is_written)) => {
                let mut known = self.known.lock();
                known.writer.is_heard();
                if is_written {
                    known.stored = Some(write.floor);
                }
            }
            Ok(Err(why)) => self.complain(&why),
            Err(_) => self.complain(&"it takes too long"),
        }
    }

    /// What is due to be written: in the file, and in the registry.
    fn due(&self, now: Instant) -> (Option<FloorWrite>, Option<FloorWrite>) {
        let view = &self.fleet.snapshot().view;
        let Some(shown) = view.handed_on.filter(|_| view.rounds > 0) else {
            return (None, None);
        };
        let times = (now, clock::unix_millis());
        let mut known = self.known.lock();
        let KnownFloor {
            writer,
            stored,
            file_writer,
            in_file,
            rests_until,
        } = &mut *known;
        let may_write = rests_until.is_none_or(|until| until <= now);
        (
            file_writer.due(shown, in_file.as_ref(), times),
            may_write
                .then(|| writer.due(shown, stored.as_ref(), times))
                .flatten(),
        )
    }

    fn complain(&self, why: &dyn std::fmt::Display) {
        self.metrics.registry_failed("floor");
        self.known.lock().rests_until = Some(clock::now() + REST);
        log::debug!("the head is not kept in the registry: {why}");
    }
}

//! While a new process takes over from an old one both answer: each tells the other which heads clients are
//! shown, so that a client that comes to both in turn is never shown less than before.
//!
//! They meet at a socket beside the one by which the listeners are handed over. What goes wrong there costs no
//! more than that.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::shared::fleet_state::{ChainFleets, FleetState};
use forebay_core::call::shared_news::SharedNews;

/// An old process tries so often to find the new one, and so long apart.
const TRIES: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(5);
/// The new one waits so long for it before it asks its nodes.
const MEETS_WITHIN: Duration = Duration::from_millis(500);
/// Heads that wait to be told: all are told again by the next one.
const HEADS_WAITING: usize = 1024;
/// A process that is stopped holds the other up for no longer.
const WRITE_MAX: Duration = Duration::from_secs(1);

/// Where the two meet. `upgrade_sock`: where the listeners are handed over.
pub fn meeting_place(upgrade_sock: &str) -> PathBuf {
    PathBuf::from(format!("{upgrade_sock}.heads"))
}

/// Waits at `place` for the old process, which comes with the hand-over.
///
/// # Errors
/// Nothing can be put there, or it doesn't come in time.
pub async fn meet_old(place: &Path) -> io::Result<UnixStream> {
    // What a process left there that was killed.
    drop(std::fs::remove_file(place));
    let listener = UnixListener::bind(place)?;
    let met = timeout(MEETS_WITHIN, listener.accept()).await;
    drop((listener, std::fs::remove_file(place)));
    Ok(met??.0)
}

/// The old process's part, from the hand-over to its end.
pub async fn with_new(place: &Path, fleets: ChainFleets) {
    for _ in 0..TRIES {
        if let Ok(stream) = UnixStream::connect(place).await {
            return exchange(stream, &fleets).await;
        }
        sleep(PAUSE).await;
    }
    log::warn!("the new process isn't found at {}", place.display());
}

/// Until the other one has ended.
pub async fn exchange(stream: UnixStream, fleets: &ChainFleets) {
    let (incoming, outgoing) = stream.into_split();
    let (say, said) = mpsc::channel(HEADS_WAITING);
    let mut tellers = JoinSet::new();
    for fleet in fleets() {
        tellers.spawn(tell(fleet, say.clone()));
    }
    tokio::select! {
        () = hear(incoming, fleets) => {}
        () = write(outgoing, said) => {}
    }
}

async fn tell(fleet: Arc<FleetState>, say: mpsc::Sender<Vec<u8>>) {
    let mut news = fleet.news();
    let mut told = None;
    loop {
        let shown = fleet.snapshot().view.handed_on;
        if let Some(shown) = shown.filter(|shown| told.replace(shown.number) != Some(shown.number))
        {
            let head = SharedNews::Head(shown.at(clock::unix_millis())).write();
            if say.send(frame(fleet.chain.as_str(), &head)).await.is_err() {
                return;
            }
        }
        if news.changed().await.is_err() {
            return;
        }
    }
}

/// The chain's name and what is told of it, each after its length.
fn frame(chain: &str, news: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(2 + chain.len() + news.len());
    for part in [chain.as_bytes(), news] {
        // A name has 32 bytes at most, a head fewer than 64.
        frame.push(u8::try_from(part.len()).unwrap_or(0));
        frame.extend(part);
    }
    frame
}

async fn write(mut outgoing: OwnedWriteHalf, mut said: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = said.recv().await {
        if !matches!(
            timeout(WRITE_MAX, outgoing.write_all(&frame)).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
}

async fn hear(mut incoming: OwnedReadHalf, fleets: &ChainFleets) {
    while let Ok(chain) = read_part(&mut incoming).await {
        let Ok(news) = read_part(&mut incoming).await else {
            return;
        };
        let Some(SharedNews::Head(floor)) = SharedNews::read(&news) else {
            continue;
        };
        let its = fleets()
            .into_iter()
            .find(|fleet| fleet.chain.as_str().as_bytes() == chain);
        if let Some(fleet) = its.filter(|_| floor.is_young(clock::unix_millis())) {
            fleet.hear_floor(floor);
        }
    }
}

async fn read_part(incoming: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = incoming.read_u8().await?;
    let mut part = vec![0; length.into()];
    incoming.read_exact(&mut part).await?;
    Ok(part)
}

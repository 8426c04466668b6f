//! Reads the configuration again: on SIGHUP, and when its file has changed.
//!
//! The file is looked at, not listened to: a look each second sees an edit in place, an editor
//! that puts a new file in its place, and a link that leads elsewhere, and needs no library. A
//! change is read once it stands still between two looks. A file with mistakes changes nothing.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use log::Level;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock;
use crate::config::change::{self, Change, ServerKeys};
use crate::config::settings::Settings;
use crate::config::{self, Finding, Severity};
use crate::registry::Environment;
use crate::state::pool::Pool;
use crate::telemetry::journal::{CONFIGURATION, Event};
use crate::telemetry::metrics::{Metrics, Reread};

/// Between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Puts settings in force.
pub type Apply = Box<dyn Fn(&Settings) + Send + Sync>;

/// Between two looks when a signal hurries us.
const HURRIED_LOOK_EVERY: Duration = Duration::from_millis(200);
/// So many of those looks are waited for a file that doesn't stand still.
const HURRIED_LOOKS_MAX: usize = 25;

/// Follows the file.
pub struct Reload {
    pub path: PathBuf,
    pub environment: Environment,
    /// In force.
    pub running: Settings,
    pub server: ServerKeys,
    pub apply: Apply,
    pub pool: Arc<Pool>,
    pub metrics: Arc<Metrics>,
    /// The file's bytes when it was read last.
    pub bytes: Option<Vec<u8>>,
}

/// What of a file changes when its content does. `None`: it can't be looked at.
type Look = Option<[i64; 7]>;

impl Reload {
    /// Watches for as long as it is awaited.
    pub async fn watch(&mut self) {
        let mut hangup = signal(SignalKind::hangup())
            .map_err(|why| log::error!("SIGHUP can't be heard: {why}"))
            .ok();
        let mut known = None;
        let mut last = look(&self.path).await;
        if self.bytes.as_ref() == bytes_at(&self.path).await.ok().as_ref() {
            known = Some(last);
        }
        loop {
            let is_asked = async {
                match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = is_asked => {
                    log::info!("SIGHUP: the configuration and the list of nodes are read again");
                    self.pool.list_is_due.notify_one();
                    last = settled(&self.path).await;
                    known = Some(last);
                    self.read_again().await;
                }
                () = tokio::time::sleep(LOOK_EVERY) => {
                    let now = look(&self.path).await;
                    let stands_still = std::mem::replace(&mut last, now) == now;
                    if stands_still && known != Some(now) {
                        known = Some(now);
                        self.read_changed().await;
                    }
                }
            }
        }
    }

    /// Reads the file if it says something else than when it was read last.
    async fn read_changed(&mut self) {
        let bytes = bytes_at(&self.path).await;
        if !bytes
            .as_ref()
            .is_ok_and(|bytes| self.bytes.as_ref() == Some(bytes))
        {
            self.hear(bytes);
        }
    }

    async fn read_again(&mut self) {
        let bytes = bytes_at(&self.path).await;
        self.hear(bytes);
    }

    fn hear(&mut self, bytes: io::Result<Vec<u8>>) {
        self.bytes = None;
        let read = bytes.map_err(|why| format!("{}: {why}", self.path.display()));
        let outcome = match read.and_then(|bytes| self.read(bytes)) {
            Ok((settings, server)) => self.take(settings, &server),
            Err(why) => {
                self.tell(
                    Level::Error,
                    format!("the configuration is not taken, and nothing changes: {why}"),
                );
                Reread::Refused
            }
        };
        self.pool.journal.hear_configuration(|configuration| {
            configuration.is_refused = outcome == Reread::Refused;
        });
        self.metrics
            .config_reread(outcome, clock::unix_millis() / 1000);
    }

    /// What the file says; its mistakes go to the log.
    fn read(&mut self, bytes: Vec<u8>) -> Result<(Settings, ServerKeys), String> {
        let path = self.path.display();
        // At the start an empty file means the defaults. Here it is one that somebody has only
        // begun to write: without limits, tokens and denials, until the rest of it is there.
        if bytes.iter().all(u8::is_ascii_whitespace) {
            self.bytes = Some(bytes);
            return Err(format!("{path} is empty"));
        }
        let reading = config::read_bytes(&bytes, &*self.environment);
        self.bytes = Some(bytes);
        for finding in &reading.findings {
            log::log!(level(finding), "{path}:{finding}");
        }
        match (reading.settings, reading.pingora) {
            (Some(settings), Some(server)) => Ok((settings, ServerKeys::of(&server))),
            _ => Err(format!("{path} has mistakes")),
        }
    }

    fn take(&mut self, wanted: Settings, server: &ServerKeys) -> Reread {
        let Change {
            applied,
            waiting,
            settings,
        } = change::weigh(&self.running, wanted);
        let waiting = [self.server.differences(server), waiting].concat();
        if !applied.is_empty() {
            (self.apply)(&settings);
            let sentence = format!("the configuration has changed: {}", applied.join(", "));
            self.tell(Level::Info, sentence);
        }
        if !waiting.is_empty() {
            self.tell(
                Level::Warn,
                format!("a restart is needed for {}", waiting.join(", ")),
            );
        }
        if applied.is_empty() && waiting.is_empty() {
            log::info!("the configuration is what it was");
        }
        self.running = settings;
        self.metrics.config_waits(waiting.len());
        self.pool.journal.hear_configuration(|configuration| {
            configuration.waiting = waiting;
        });
        if applied.is_empty() {
            Reread::Unchanged
        } else {
            Reread::Applied
        }
    }

    /// To the log and the status page.
    fn tell(&self, level: Level, text: String) {
        log::log!(level, "{text}");
        self.pool.journal.note(Event {
            at: clock::unix_millis(),
            kind: CONFIGURATION,
            level,
            node: None,
            text,
        });
    }
}

fn level(finding: &Finding) -> Level {
    match finding.severity {
        Severity::Error => Level::Error,
        Severity::Warning => Level::Warn,
    }
}

/// On a thread of its own: a file system may be slow, and probes go on.
async fn look(path: &Path) -> Look {
    let path = path.to_path_buf();
    let looked = tokio::task::spawn_blocking(move || std::fs::metadata(path)).await;
    let found = looked.ok()?.ok()?;
    Some([
        found.dev().cast_signed(),
        found.ino().cast_signed(),
        found.size().cast_signed(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    ])
}

/// Waits, within limits, until the file stands still between two looks.
async fn settled(path: &Path) -> Look {
    let mut last = look(path).await;
    for _ in 0..HURRIED_LOOKS_MAX {
        tokio::time::sleep(HURRIED_LOOK_EVERY).await;
        let now = look(path).await;
        if std::mem::replace(&mut last, now) == now {
            break;
        }
    }
    last
}

async fn bytes_at(path: &Path) -> io::Result<Vec<u8>> {
    let path = path.to_path_buf();
    tokio::task::spawn_blocking(move || config::bytes_at(&path))
        .await
        .unwrap_or_else(|why| Err(io::Error::other(why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_being_written_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pingora.yaml");
        std::fs::write(&path, "").unwrap();
        let write = async {
            for bytes in 1..=5 {
                tokio::time::sleep(HURRIED_LOOK_EVERY / 2).await;
                std::fs::write(&path, "x".repeat(bytes)).unwrap();
            }
        };
        let (seen, ()) = tokio::join!(settled(&path), write);
        assert!(seen.is_some());
        assert_eq!(seen, look(&path).await);
    }
}

//! Reads the configuration again: on SIGHUP, and when its file has changed.
//!
//! A file with mistakes changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::Level;

use crate::background::watched_files::{HangupSignal, LOOK_EVERY, WatchedFiles};
use crate::clock;
use crate::config::change::{self, ServerKeys, SettingsChange};
use crate::config::settings::Settings;
use crate::config::{self, Finding, Severity};
use crate::observe::journal::{CONFIGURATION, Event};
use crate::observe::metrics::{ProcessMetrics, ReloadOutcome};
use crate::registry::Environment;
use crate::shared::fleet_state::ChainFleets;

/// Puts settings in force.
pub type ApplySettings = Box<dyn Fn(&Settings) + Send + Sync>;

/// Follows the file.
pub struct ConfigReload {
    pub path: PathBuf,
    pub environment: Environment,
    /// In force.
    pub running: Settings,
    pub server: ServerKeys,
    pub apply: ApplySettings,
    /// Of all chains that there are.
    pub fleets: ChainFleets,
    pub metrics: Arc<ProcessMetrics>,
    /// The file's bytes when it was read last.
    pub bytes: Option<Vec<u8>>,
}

impl ConfigReload {
    /// Watches for as long as it is awaited.
    pub async fn watch(&mut self) {
        let mut hangup = HangupSignal::listen();
        let mut file = WatchedFiles::new(vec![self.path.clone()]).await;
        if self.bytes.as_ref() == bytes_at(&self.path).await.ok().as_ref() {
            file.know();
        }
        loop {
            tokio::select! {
                () = hangup.heard() => {
                    log::info!("SIGHUP: the configuration and the list of nodes are read again");
                    for fleet in (self.fleets)() {
                        fleet.list_is_due.notify_one();
                    }
                    file.settle().await;
                    let bytes = bytes_at(&self.path).await;
                    self.hear(bytes);
                }
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if file.is_due().await {
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
                ReloadOutcome::Refused
            }
        };
        for fleet in (self.fleets)() {
            fleet.journal.hear_configuration(|configuration| {
                configuration.is_refused = outcome == ReloadOutcome::Refused;
            });
        }
        self.metrics
            .config_reread(outcome, clock::unix_millis() / 1000);
    }

    /// What the file says; its mistakes go to the log.
    fn read(&mut self, bytes: Vec<u8>) -> Result<(Settings, ServerKeys), String> {
        let path = self.path.display();
        // At the start an empty file means the defaults. Here it is one that has only
        // begun to be written: without limits, tokens and denials, until the rest of it is there.
        if bytes.iter().all(u8::is_ascii_whitespace) {
            self.bytes = Some(bytes);
            return Err(format!("{path} is empty"));
        }
        let reading = config::read_at(&self.path, &bytes, &*self.environment);
        self.bytes = Some(bytes);
        for finding in &reading.findings {
            log::log!(level(finding), "{path}:{finding}");
        }
        match (reading.settings, reading.pingora) {
            (Some(settings), Some(server)) => match config::refusal(&self.running, &settings) {
                Some(why) => Err(format!("{path}: {why}")),
                None => Ok((settings, ServerKeys::of(&server))),
            },
            _ => Err(format!("{path} has mistakes")),
        }
    }

    fn take(&mut self, wanted: Settings, server: &ServerKeys) -> ReloadOutcome {
        let SettingsChange {
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
        for fleet in (self.fleets)() {
            fleet.journal.hear_configuration(|configuration| {
                configuration.waiting.clone_from(&waiting);
            });
        }
        if applied.is_empty() {
            ReloadOutcome::Unchanged
        } else {
            ReloadOutcome::Applied
        }
    }

    /// To the log and the status page.
    fn tell(&self, level: Level, text: String) {
        log::log!(level, "{text}");
        for fleet in (self.fleets)() {
            fleet.journal.note(Event {
                at: clock::unix_millis(),
                kind: CONFIGURATION,
                level,
                node: None,
                text: text.clone(),
            });
        }
    }
}

fn level(finding: &Finding) -> Level {
    match finding.severity {
        Severity::Error => Level::Error,
        Severity::Warning => Level::Warn,
    }
}

async fn bytes_at(path: &Path) -> io::Result<Vec<u8>> {
    let path = path.to_path_buf();
    tokio::task::spawn_blocking(move || config::bytes_at(&path))
        .await
        .unwrap_or_else(|why| Err(io::Error::other(why)))
}

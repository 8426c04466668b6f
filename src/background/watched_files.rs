//! Files that are looked at, not listened to: a look each second sees an edit in place, an editor
//! that puts a new file in its place, and a link that leads elsewhere, and needs no library. A change
//! counts once it stands still between two looks.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::background::pacing::or_never;

/// Between two looks.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks when a signal hurries us.
const HURRIED_LOOK_EVERY: Duration = Duration::from_millis(200);
/// So many of those looks are waited for files that don't stand still.
const HURRIED_LOOKS_MAX: usize = 25;

/// What of a file changes when its content does. `None`: it can't be looked at.
type FileStamp = Option<[i64; 7]>;

/// Some files that belong together.
pub struct WatchedFiles {
    paths: Vec<PathBuf>,
    last: Vec<FileStamp>,
    /// What they looked like when they were read.
    known: Option<Vec<FileStamp>>,
}

impl WatchedFiles {
    /// Nothing of them is known yet.
    pub async fn new(paths: Vec<PathBuf>) -> WatchedFiles {
        let last = look(&paths).await;
        WatchedFiles {
            paths,
            last,
            known: None,
        }
    }

    /// What was seen last has been read.
    pub fn know(&mut self) {
        self.known = Some(self.last.clone());
    }

    /// Looks once; whether they are to be read: they stand still, and are not what is known.
    pub async fn is_due(&mut self) -> bool {
        let now = look(&self.paths).await;
        let stands_still = std::mem::replace(&mut self.last, now) == self.last;
        let is_due = stands_still && self.known.as_ref() != Some(&self.last);
        if is_due {
            self.know();
        }
        is_due
    }

    /// Waits, within limits, until they stand still between two looks; they are to be read then.
    pub async fn settle(&mut self) {
        self.last = look(&self.paths).await;
        for _ in 0..HURRIED_LOOKS_MAX {
            tokio::time::sleep(HURRIED_LOOK_EVERY).await;
            let now = look(&self.paths).await;
            if std::mem::replace(&mut self.last, now) == self.last {
                break;
            }
        }
        self.know();
    }
}

/// SIGHUP: read it again. Each of these hears each signal.
pub struct HangupSignal(Option<Signal>);

impl HangupSignal {
    /// Where it can't be heard, it never comes.
    pub fn listen() -> HangupSignal {
        let heard = signal(SignalKind::hangup());
        HangupSignal(
            heard
                .map_err(|why| log::error!("SIGHUP can't be heard: {why}"))
                .ok(),
        )
    }

    pub async fn heard(&mut self) {
        or_never(self.0.as_mut().map(Signal::recv)).await;
    }
}

/// On a thread of its own: a file system may be slow, and probes go on.
async fn look(paths: &[PathBuf]) -> Vec<FileStamp> {
    let paths = paths.to_vec();
    let looked = tokio::task::spawn_blocking(move || paths.iter().map(look_at).collect());
    looked.await.unwrap_or_default()
}

fn look_at(path: &PathBuf) -> FileStamp {
    let found = std::fs::metadata(path).ok()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_being_written_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pingora.yaml");
        std::fs::write(&path, "").unwrap();
        let mut watched = WatchedFiles::new(vec![path.clone()]).await;
        let write = async {
            for bytes in 1..=5 {
                tokio::time::sleep(HURRIED_LOOK_EVERY / 2).await;
                std::fs::write(&path, "x".repeat(bytes)).unwrap();
            }
        };
        tokio::join!(watched.settle(), write);
        assert!(watched.last[0].is_some());
        assert_eq!(watched.last, look(&watched.paths).await);
    }

    #[tokio::test]
    async fn a_change_is_due_once_it_stands_still() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, "1").unwrap();
        let mut watched = WatchedFiles::new(vec![path.clone(), folder.path().join("none")]).await;
        assert!(watched.is_due().await, "nothing is known yet");
        assert!(!watched.is_due().await);
        std::fs::write(&path, "12").unwrap();
        assert!(!watched.is_due().await, "it may still be written");
        assert!(watched.is_due().await);
        assert!(!watched.is_due().await);
    }
}

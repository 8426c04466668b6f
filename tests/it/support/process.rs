//! One process that a test started, known by its id, with all that it printed in a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::eventually;

/// How much of a process's output is shown when its test fails.
const SHOWN_BYTES_MAX: usize = 16 * 1024;

/// Killed and reaped on drop, also while it is paused.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    printed: PathBuf,
}

impl Process {
    /// Starts `command` with its output, and its errors, in `folder/NAME.log`.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Process {
        let printed = folder.join(format!("{name}.log"));
        // Appended: a process that is started again goes on in the same file.
        let file = File::options()
            .create(true)
            .append(true)
            .open(&printed)
            .unwrap();
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        let child = command.spawn();
        Process {
            name: name.to_owned(),
            child: child.unwrap_or_else(|error| panic!("{name} doesn't start: {error}")),
            printed,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has printed so far, on both streams.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.printed).unwrap_or_default()).into_owned()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGSTOP: it hangs, and its sockets stay open.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        // The signal is heard when the process is next scheduled.
        let stat = format!("/proc/{}/stat", self.child.id());
        let is_stopped = || {
            let stat = fs::read_to_string(&stat).unwrap();
            stat.rsplit(") ")
                .next()
                .is_some_and(|rest| rest.starts_with('T'))
        };
        while !is_stopped() {
            std::thread::yield_now();
        }
    }

    /// SIGCONT
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn signal(&self, signal: Signal) {
        // The child isn't reaped before `kill` or `ended`, so the id is still its own.
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let mut status = None;
        let what = format!("{} ends", self.name);
        eventually(&what, deadline, async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let text = self.printed();
            let from = text.len().saturating_sub(SHOWN_BYTES_MAX);
            let shown = String::from_utf8_lossy(&text.as_bytes()[from..]);
            eprintln!(
                "--- {} printed:\n{shown}--- end of {}",
                self.name, self.name
            );
        }
    }
}

//! `forebay upgrade`: this program takes over from a running one, and no connection is refused.
//!
//! Everything that can go wrong does so before the old process is told: until then it serves as if
//! nothing had happened.

use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::cli::error::CommandError;
use crate::clock;
use crate::observe::systemd::{self, READY, SOCKET_VARIABLE};

/// So long the new process may take until it waits for the listeners.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// And so long for its first round after that.
const ROUND_PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// `pid`: of the old process; else systemd names it.
pub fn run(path: &Path, pid: Option<i32>) -> Result<(), CommandError> {
    let (settings, conf, bytes) = super::setup::configuration(path)?;
    super::setup::refuse_unfit(path, &bytes, &settings)?;
    let old = old_process(pid)?;
    let meeting = PathBuf::from(&conf.upgrade_sock);
    // Of an upgrade that failed; there, it would be taken for the new process's.
    drop(fs::remove_file(&meeting));
    let ear = ReadinessSocket::new(&meeting).map_err(|why| {
        let folder = meeting.parent().unwrap_or(&meeting).display();
        CommandError::refused(format!(
            "nothing can be put into {folder} (`upgrade_sock`): {why}"
        ))
    })?;
    let mut new = start(path, &ear.path)?;
    let begun = until(START_PATIENCE, || {
        check_running(&mut new)?;
        Ok(meeting.exists())
    });
    if let Err(why) = begun {
        // The new process must not be there when the old one is told to quit in another way.
        drop(new.kill());
        return Err(CommandError::out_of_reach(format!(
            "the new process can't take over, and process {} goes on: {why}",
            old.as_raw_nonzero()
        )));
    }
    kill_process(old, Signal::QUIT).map_err(CommandError::out_of_reach)?;
    let served = until(ROUND_PATIENCE, || {
        check_running(&mut new)?;
        Ok(ear.hears(READY))
    });
    served.map_err(|why| {
        CommandError::out_of_reach(format!("the new process has taken over: {why}"))
    })?;
    let id = new.id();
    systemd::tell(&format!("MAINPID={id}\n{READY}"));
    log::info!(
        "process {id} serves; process {} ends its calls and goes",
        old.as_raw_nonzero()
    );
    Ok(())
}

fn old_process(pid: Option<i32>) -> Result<Pid, CommandError> {
    let of_systemd = || std::env::var("MAINPID").ok()?.parse().ok();
    let named = pid.or_else(of_systemd).filter(|pid| *pid > 1);
    let Some(pid) = named.and_then(Pid::from_raw) else {
        return Err(CommandError::refused(
            "which process is to be taken over from? Say --pid PID; under systemd, \
             `systemctl reload forebay` does",
        ));
    };
    test_kill_process(pid).map_err(|why| {
        CommandError::refused(format!(
            "process {} can't be told: {why}",
            pid.as_raw_nonzero()
        ))
    })?;
    Ok(pid)
}

/// This very program, in a group of its own: it outlives the terminal.
fn start(path: &Path, ear: &Path) -> Result<Child, CommandError> {
    let program = std::env::current_exe().map_err(CommandError::out_of_reach)?;
    let mut command = Command::new(program);
    command.args(["serve", "--upgrade", "-c"]).arg(path);
    command.env(SOCKET_VARIABLE, ear).process_group(0);
    command.stdin(std::process::Stdio::null());
    command.spawn().map_err(CommandError::out_of_reach)
}

/// An error if it has ended.
fn check_running(new: &mut Child) -> Result<(), String> {
    match new.try_wait() {
        Ok(None) => Ok(()),
        Ok(Some(status)) => Err(format!("it has ended, {status}")),
        Err(why) => Err(why.to_string()),
    }
}

/// Looks until it is so, or there is an error.
fn until(patience: Duration, mut look: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    let deadline = clock::now() + patience;
    while clock::now() < deadline {
        if look()? {
            return Ok(());
        }
        thread::sleep(LOOK_EVERY);
    }
    Err(format!("nothing within {patience:?}"))
}

/// Where the new process says that it is ready.
struct ReadinessSocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl ReadinessSocket {
    fn new(meeting: &Path) -> io::Result<ReadinessSocket> {
        let mut path = meeting.as_os_str().to_os_string();
        path.push(format!(".{}.ready", std::process::id()));
        let path = PathBuf::from(path);
        drop(fs::remove_file(&path));
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        Ok(ReadinessSocket { socket, path })
    }

    fn hears(&self, message: &str) -> bool {
        let mut heard = [0; 256];
        let length = self.socket.recv(&mut heard).unwrap_or(0);
        let lines = heard[..length].split(|byte| *byte == b'\n');
        lines.into_iter().any(|line| line == message.as_bytes())
    }
}

impl Drop for ReadinessSocket {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

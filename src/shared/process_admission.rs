//! What the process takes in: its connections, whether it is still open, and which caller calls from where.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::sync::watch;

use super::callers::{Caller, Callers, is_fair};
use crate::shared::callers::CallerUsage;
use forebay_core::vocabulary::caps::Caps;

/// Connections beyond the cap that are told about our health, or that there is no room.
pub const ANTEROOM_MAX: usize = 64;

/// What all chains share of clients and their connections.
#[derive(Debug)]
pub struct ProcessAdmission {
    caps: Caps,
    pub(super) callers: Callers,
    connections: AtomicUsize,
    anteroom: AtomicUsize,
    /// A [`AdmissionState`].
    state: AtomicU8,
    /// Whether connections are to end, for those that wait for it.
    closing: watch::Sender<bool>,
}

/// Whether calls are still welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum AdmissionState {
    Open = 0,
    /// Connections end after their answer, because a new process takes the next ones.
    HandedOver = 1,
    /// The same, and the load balancer in front is told to turn away.
    Closing = 2,
}

/// Where a connection has its place.
#[derive(Clone, Copy, Debug)]
enum Room {
    Hall,
    Anteroom,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    process: Arc<ProcessAdmission>,
    caller: Caller,
    room: Room,
}

impl ProcessAdmission {
    pub fn new(caps: Caps) -> ProcessAdmission {
        ProcessAdmission {
            caps,
            callers: Callers::default(),
            connections: AtomicUsize::default(),
            anteroom: AtomicUsize::default(),
            state: AtomicU8::default(),
            closing: watch::Sender::default(),
        }
    }

    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// The caller that connects from `address`.
    pub fn caller(&self, address: Option<IpAddr>) -> Caller {
        self.callers.at(address, 0)
    }

    pub(super) fn usage(&self, caller: Caller) -> &CallerUsage {
        self.callers.slot(caller)
    }

    /// A place for a connection; `None` when there is none, or the client has so many already.
    pub fn connect(self: &Arc<Self>, caller: Caller) -> Option<ConnectionPermit> {
        self.take(caller, Room::Hall, self.caps.connections)
    }

    /// A place for a connection that is told about our health, or that there is no room for it.
    pub fn wait(self: &Arc<Self>, caller: Caller) -> Option<ConnectionPermit> {
        self.take(caller, Room::Anteroom, ANTEROOM_MAX)
    }

    fn take(self: &Arc<Self>, caller: Caller, room: Room, max: usize) -> Option<ConnectionPermit> {
        let [before, own_before] = self
            .counts(caller, room)
            .map(|count| count.fetch_add(1, Ordering::Relaxed));
        let permit = ConnectionPermit {
            process: self.clone(),
            caller,
            room,
        };
        is_fair(own_before, before, max).then_some(permit)
    }

    /// How many all have in `room`, and how many `caller` has.
    fn counts(&self, caller: Caller, room: Room) -> [&AtomicUsize; 2] {
        let own = self.callers.slot(caller);
        match room {
            Room::Hall => [&self.connections, &own.connections],
            Room::Anteroom => [&self.anteroom, &own.waiting],
        }
    }

    /// Connections of clients.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// From now on `/health` says no, and connections close after their answer.
    pub fn close(&self) {
        self.turn(AdmissionState::Closing);
    }

    /// From now on connections close after their answer: a new process takes those that follow.
    pub fn hand_over(&self) {
        self.turn(AdmissionState::HandedOver);
    }

    fn turn(&self, to: AdmissionState) {
        self.state.fetch_max(to as u8, Ordering::Release);
        self.closing.send_replace(true);
    }

    /// Whether connections are to end: the process closes, or was handed over.
    pub fn ends_connections(&self) -> bool {
        self.state.load(Ordering::Acquire) != AdmissionState::Open as u8
    }

    /// Whether `/health` says no, as the process closes: calls that still come are answered.
    pub fn is_leaving(&self) -> bool {
        self.state.load(Ordering::Acquire) == AdmissionState::Closing as u8
    }

    /// Turns true when connections are to end.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        for count in self.process.counts(self.caller, self.room) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::shared::callers::SHARE;

    const CONNECTIONS: usize = 40;

    #[test]
    fn connections_are_shared_alike_and_a_few_more_are_told_that_there_are_too_many() {
        let process = Arc::new(ProcessAdmission::new(Caps {
            connections: CONNECTIONS,
            ..Caps::ROOMY
        }));
        let caller = |last| process.caller(Some(IpAddr::from([10, 0, 0, last])));
        let (greedy, quiet) = (caller(1), caller(2));
        let open: Vec<_> = std::iter::from_fn(|| process.connect(greedy)).collect();
        assert_eq!(open.len(), CONNECTIONS * SHARE / (SHARE + 1));
        assert!(process.connect(quiet).is_some());
        let told: Vec<_> = std::iter::from_fn(|| process.wait(greedy)).collect();
        assert_eq!(told.len(), ANTEROOM_MAX * SHARE / (SHARE + 1));
        assert!(process.wait(quiet).is_some());
        assert_eq!(process.connections(), open.len());
        drop((open, told));
        assert_eq!(process.connections(), 0);
        assert!(process.wait(greedy).is_some() && process.connect(greedy).is_some());
    }

    #[test]
    fn a_process_that_is_handed_over_ends_connections_and_is_not_leaving() {
        let process = ProcessAdmission::new(Caps::ROOMY);
        let closing = process.closing();
        assert!(!process.ends_connections() && !process.is_leaving() && !*closing.borrow());
        process.hand_over();
        assert!(process.ends_connections() && !process.is_leaving() && *closing.borrow());
        process.close();
        process.hand_over();
        assert!(process.is_leaving(), "there is no way back");
    }
}

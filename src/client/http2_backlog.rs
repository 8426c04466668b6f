//! What the codec holds of one connection's answers until its client takes them: counted as that of the chain
//! that each answer is of, and bounded for each connection. A stream that has more to say waits.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::shared::admission::Admission;
use crate::shared::callers::Caller;
use crate::shared::chain_connection::ChainConnection;

/// So many bytes, and a piece more for each stream that says something at this very moment.
const BYTES_MAX: u64 = 256 << 10;

/// One connection's.
#[derive(Debug)]
pub struct Backlog {
    address: Option<IpAddr>,
    bytes: AtomicU64,
    held: Mutex<BacklogPieces>,
    /// Rung when there is room again.
    drained: Notify,
}

#[derive(Debug, Default)]
struct BacklogPieces {
    /// In the order in which the codec got them. It may write those of several streams in another: then one
    /// chain's room comes back for another's for that long, and all of them make up what is held all the same.
    pieces: VecDeque<Piece>,
    /// Among those of the chain that was called last.
    place: Option<ChainConnection>,
}

#[derive(Debug)]
struct Piece {
    admission: Arc<Admission>,
    caller: Caller,
    bytes: u64,
}

impl Backlog {
    pub fn new(address: Option<IpAddr>) -> Backlog {
        Backlog {
            address,
            bytes: AtomicU64::new(0),
            held: Mutex::default(),
            drained: Notify::new(),
        }
    }

    /// Waits until there is room, as a rule not at all.
    pub async fn has_room(&self) {
        loop {
            let drained = self.drained.notified();
            if self.bytes.load(Ordering::Acquire) < BYTES_MAX {
                return;
            }
            drained.await;
        }
    }

    /// The connection calls the chain behind `admission`; `false` when that has as many connections as it may.
    pub fn settle(&self, admission: &Arc<Admission>) -> bool {
        ChainConnection::settle(&mut self.held.lock().place, admission)
    }

    /// The codec is about to get so many bytes, of an answer of the chain behind `admission`; `false`: there is no room
    /// for them.
    pub fn put(&self, admission: &Arc<Admission>, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let caller = admission.caller(self.address);
        let has_room = admission.hold_unsent(caller, bytes);
        if has_room {
            self.bytes.fetch_add(bytes, Ordering::AcqRel);
            self.held.lock().note(admission, caller, bytes);
        }
        has_room
    }

    /// So many bytes were written, what frames them among them.
    pub fn wrote(&self, bytes: usize) {
        let mut left = bytes as u64;
        let mut held = self.held.lock();
        while let Some(piece) = held.pieces.front_mut().filter(|_| left > 0) {
            let taken = piece.bytes.min(left);
            piece.admission.release_unsent(piece.caller, taken);
            piece.bytes -= taken;
            left -= taken;
            if piece.bytes == 0 {
                held.pieces.pop_front();
            }
        }
        drop(held);
        let before = self.bytes.fetch_sub(bytes as u64 - left, Ordering::AcqRel);
        if before >= BYTES_MAX {
            self.drained.notify_waiters();
        }
    }
}

impl BacklogPieces {
    fn note(&mut self, admission: &Arc<Admission>, caller: Caller, bytes: u64) {
        match self.pieces.back_mut() {
            Some(last) if Arc::ptr_eq(&last.admission, admission) => last.bytes += bytes,
            Some(_) | None => self.pieces.push_back(Piece {
                admission: admission.clone(),
                caller,
                bytes,
            }),
        }
    }
}

impl Drop for BacklogPieces {
    fn drop(&mut self) {
        for piece in &self.pieces {
            piece.admission.release_unsent(piece.caller, piece.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn an_answer_with_more_to_write_waits_until_some_of_it_is_written() {
        let admission = Arc::new(Admission::default());
        let backlog = Backlog::new(None);
        let full = usize::try_from(BYTES_MAX).unwrap();
        assert!(backlog.put(&admission, full - 1));
        assert!(backlog.has_room().now_or_never().is_some());
        assert!(backlog.put(&admission, 1));
        let mut waits = Box::pin(backlog.has_room());
        assert!(waits.as_mut().now_or_never().is_none());
        backlog.wrote(1);
        assert!(waits.now_or_never().is_some());
        assert_eq!(admission.unsent_bytes(), BYTES_MAX - 1);
        backlog.wrote(2 * full);
        assert_eq!(admission.unsent_bytes(), 0);
        assert!(backlog.put(&admission, 7));
        drop(backlog);
        assert_eq!(admission.unsent_bytes(), 0);
    }

    #[test]
    fn what_waits_is_each_chains_own_until_it_is_written() {
        let [one, other] = [(); 2].map(|()| Arc::new(Admission::default()));
        let counts = || [&one, &other].map(|admission| admission.unsent_bytes());
        let backlog = Backlog::new(None);
        assert!(backlog.put(&one, 100) && backlog.put(&one, 50) && backlog.put(&other, 1000));
        assert_eq!(counts(), [150, 1000]);
        backlog.wrote(120);
        assert_eq!(counts(), [30, 1000]);
        backlog.wrote(40);
        assert_eq!(counts(), [0, 990]);
        assert!(backlog.put(&one, 5));
        drop(backlog);
        assert_eq!(counts(), [0, 0]);
    }
}

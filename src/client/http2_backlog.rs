//! What the codec holds of one connection's answers until its client takes them: counted in the gate,
//! and bounded for each connection. Who has more to say waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::shared::admission::Admission;
use crate::shared::callers::Caller;

/// So many bytes, and a piece more for each stream that says something at this very moment.
const BYTES_MAX: u64 = 256 << 10;

/// One connection's.
#[derive(Debug)]
pub struct Backlog {
    gate: Arc<Admission>,
    caller: Caller,
    bytes: AtomicU64,
    /// Rung when there is room again.
    drained: Notify,
}

impl Backlog {
    pub fn new(gate: &Arc<Admission>, caller: Caller) -> Backlog {
        Backlog {
            gate: gate.clone(),
            caller,
            bytes: AtomicU64::new(0),
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

    /// The codec is about to get so many bytes; `false`: there is no room for them in the house.
    pub fn put(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let has_room = self.gate.hold_unsent(self.caller, bytes);
        if has_room {
            self.bytes.fetch_add(bytes, Ordering::AcqRel);
        }
        has_room
    }

    /// So many bytes were written, what frames them among them.
    pub fn wrote(&self, bytes: usize) {
        let taken = |held: u64| Some(held.saturating_sub(bytes as u64));
        let held = self
            .bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, taken)
            .unwrap_or_default();
        self.gate
            .release_unsent(self.caller, held.min(bytes as u64));
        if held >= BYTES_MAX {
            self.drained.notify_waiters();
        }
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.gate.release_unsent(self.caller, *self.bytes.get_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn who_has_more_to_say_waits_until_some_of_it_is_written() {
        let gate = Arc::new(Admission::default());
        let backlog = Backlog::new(&gate, gate.caller(None));
        let full = usize::try_from(BYTES_MAX).unwrap();
        assert!(backlog.put(full - 1));
        assert!(backlog.has_room().now_or_never().is_some());
        assert!(backlog.put(1));
        let mut waits = Box::pin(backlog.has_room());
        assert!(waits.as_mut().now_or_never().is_none());
        backlog.wrote(1);
        assert!(waits.now_or_never().is_some());
        assert_eq!(gate.unsent_bytes(), BYTES_MAX - 1);
        backlog.wrote(2 * full);
        assert_eq!(gate.unsent_bytes(), 0);
        assert!(backlog.put(7));
        drop(backlog);
        assert_eq!(gate.unsent_bytes(), 0);
    }
}

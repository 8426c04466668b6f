//! What is written behind: in the order in which it came, up to a number and to so many bytes.

use std::collections::VecDeque;

use parking_lot::Mutex;
use redis::Cmd;
use tokio::sync::Notify;

/// Writes that wait.
const WRITES_MAX: usize = 8192;
/// What a write takes beside its value, about, in bytes.
const WRITE_BYTES: usize = 256;

/// The queue.
pub(super) struct WriteQueue {
    bytes_max: usize,
    waiting: Mutex<WaitingWrites>,
    bell: Notify,
}

#[derive(Default)]
struct WaitingWrites {
    writes: VecDeque<(Cmd, usize)>,
    bytes: usize,
}

impl WriteQueue {
    pub(super) fn new(bytes_max: usize) -> WriteQueue {
        WriteQueue {
            bytes_max,
            waiting: Mutex::default(),
            bell: Notify::new(),
        }
    }

    /// `command`, with a value of so many bytes; `false`: there is no room.
    pub(super) fn push(&self, command: Cmd, bytes: usize) -> bool {
        let mut waiting = self.waiting.lock();
        let bytes = bytes + WRITE_BYTES;
        let has_room = waiting.writes.len() < WRITES_MAX && waiting.bytes + bytes <= self.bytes_max;
        if has_room {
            waiting.bytes += bytes;
            waiting.writes.push_back((command, bytes));
            drop(waiting);
            self.bell.notify_one();
        }
        has_room
    }

    /// The next writes, up to `most`, once there are some.
    pub(super) async fn take(&self, most: usize) -> Vec<Cmd> {
        loop {
            let taken = self.take_now(most);
            if !taken.is_empty() {
                return taken;
            }
            self.bell.notified().await;
        }
    }

    /// What waits is forgotten: it is of a time before the store was lost.
    pub(super) fn clear(&self) {
        *self.waiting.lock() = WaitingWrites::default();
    }

    fn take_now(&self, most: usize) -> Vec<Cmd> {
        let mut waiting = self.waiting.lock();
        let count = waiting.writes.len().min(most);
        let taken: Vec<_> = waiting.writes.drain(..count).collect();
        let bytes: usize = taken.iter().map(|(_, bytes)| bytes).sum();
        waiting.bytes -= bytes;
        taken.into_iter().map(|(command, _)| command).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_has_its_bounds_and_gives_its_room_back() {
        let queue = WriteQueue::new(10 * (100 + WRITE_BYTES));
        for at in 0..11 {
            assert_eq!(queue.push(redis::cmd("SET"), 100), at < 10, "{at}");
        }
        assert_eq!(queue.take_now(4).len(), 4);
        assert_eq!(queue.take_now(100).len(), 6);
        assert!(queue.push(redis::cmd("SET"), 10 * (100 + WRITE_BYTES) - WRITE_BYTES));
        assert!(!queue.push(redis::cmd("SET"), 0));
        queue.clear();
        let many = WriteQueue::new(usize::MAX);
        let taken = (0..2 * WRITES_MAX).filter(|_| many.push(redis::cmd("SET"), 0));
        assert_eq!(taken.count(), WRITES_MAX);
    }
}

//! The gate: how much may be inside at once, and whether the house is still open.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Requests inside at once.
pub const REQUESTS_MAX: usize = 20_000;
/// Bytes of request bodies inside at once.
pub const BYTES_MAX: usize = 1 << 30;

/// Counts what is inside.
#[derive(Debug, Default)]
pub struct Gate {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    is_closing: AtomicBool,
}

/// One request's place inside, with the bytes it holds; given back when dropped.
#[derive(Debug)]
pub struct Pass<'a> {
    gate: &'a Gate,
    bytes: AtomicUsize,
}

impl Gate {
    /// Lets one request in; `None` when the house is full.
    pub fn enter(&self) -> Option<Pass<'_>> {
        if self.requests.fetch_add(1, Ordering::Relaxed) >= REQUESTS_MAX {
            self.requests.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Pass {
            gate: self,
            bytes: AtomicUsize::new(0),
        })
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bytes of request bodies inside.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// From now on `/health` says no, and connections close after their answer.
    pub fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }
}

impl Pass<'_> {
    /// Takes room for `bytes` more; `false` when there is none.
    pub fn hold(&self, bytes: usize) -> bool {
        let before = self.gate.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > BYTES_MAX {
            self.gate.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.requests.fetch_sub(1, Ordering::Relaxed);
        self.gate
            .bytes
            .fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_full_at_its_limit_and_has_room_again_when_one_leaves() {
        let gate = Gate::default();
        let mut inside: Vec<_> = (0..REQUESTS_MAX).map(|_| gate.enter().unwrap()).collect();
        assert!(gate.enter().is_none());
        inside.pop();
        assert!(gate.enter().is_some());
    }

    #[test]
    fn bytes_are_held_to_the_limit_and_given_back() {
        let gate = Gate::default();
        let one = gate.enter().unwrap();
        assert!(one.hold(BYTES_MAX - 1));
        let other = gate.enter().unwrap();
        assert!(!other.hold(2));
        assert!(other.hold(1));
        assert_eq!(gate.bytes(), BYTES_MAX);
        drop(one);
        assert_eq!(gate.bytes(), 1);
        assert!(other.hold(BYTES_MAX - 1));
    }
}

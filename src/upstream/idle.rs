//! The idle connections of one node: a stack, so that the warmest goes first and the rest age.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;

/// No connection idles longer: geth closes at 120 s, some proxies at 60.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(50);

/// Where connections wait between exchanges.
pub struct Shelf {
    stack: Mutex<Stack>,
    idle_max: usize,
}

#[derive(Default)]
struct Stack {
    /// Oldest first.
    idle: Vec<Idle>,
    is_closed: bool,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Idle {
    fn is_over_age(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > IDLE_TIME_MAX
    }
}

impl Shelf {
    pub fn new(idle_max: usize) -> Shelf {
        Shelf {
            stack: Mutex::default(),
            idle_max,
        }
    }

    /// Keeps `connection`, unless the shelf is full or closed.
    pub fn put(&self, connection: Connection, now: Instant) {
        let Some(connection) = connection.into_idle(now) else {
            return;
        };
        let mut stack = self.lock();
        if !stack.is_closed && stack.idle.len() < self.idle_max {
            stack.idle.push(Idle {
                connection,
                since: now,
            });
        } else {
            // Closing is a system call: not under the lock.
            drop(stack);
            drop(connection);
        }
    }

    /// The connection that was used last and is still open and quiet.
    pub fn take(&self, now: Instant) -> Option<Connection> {
        loop {
            let mut idle = self.lock().idle.pop()?;
            if idle.is_over_age(now) {
                // Those below have waited longer still.
                let older = std::mem::take(&mut self.lock().idle);
                drop(older);
                return None;
            }
            if idle.connection.is_quiet() {
                return Some(idle.connection);
            }
        }
    }

    /// Drops what is over age, closed by the node, or not quiet.
    pub fn sweep(&self, now: Instant) {
        let mut stack = self.lock();
        let dropped: Vec<Idle> = stack
            .idle
            .extract_if(.., |idle| {
                idle.is_over_age(now) || !idle.connection.is_quiet()
            })
            .collect();
        drop(stack);
        drop(dropped);
    }

    /// Drops all, and keeps none from now on.
    pub fn close(&self) {
        let mut stack = self.lock();
        stack.is_closed = true;
        let dropped = std::mem::take(&mut stack.idle);
        drop(stack);
        drop(dropped);
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.lock().idle.len()
    }

    fn lock(&self) -> MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

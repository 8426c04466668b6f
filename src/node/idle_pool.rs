//! The idle connections of one node: a stack, so that the last used goes first and the rest age.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::node::connection::NodeConnection;

/// No connection idles longer: geth closes at 120 s, some proxies at 60.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(50);

/// A call that must not run twice goes over no connection that was used longer ago.
pub const WARM_TIME_MAX: Duration = Duration::from_secs(1);
/// Nor over any before one was seen to stay open, unused, for so long: then a node won't close one
/// while a call is on its way.
const STEADY_TIME: Duration = Duration::from_secs(2);
/// A node that closed one sooner, and said nothing, isn't relied on for this long.
const DOUBT_TIME: Duration = Duration::from_secs(600);

/// Where connections wait between exchanges.
pub struct IdlePool {
    stack: Mutex<IdleStack>,
    idle_max: usize,
}

#[derive(Default)]
struct IdleStack {
    /// Oldest first.
    idle: Vec<IdleConnection>,
    is_closed: bool,
    /// The node leaves unused connections open.
    is_steady: bool,
    doubted_until: Option<Instant>,
}

struct IdleConnection {
    connection: NodeConnection,
    since: Instant,
}

impl IdleConnection {
    fn is_over_age(&self, now: Instant) -> bool {
        self.age(now) > IDLE_TIME_MAX
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl IdleStack {
    /// Learns from a connection that is still open after so long, or isn't.
    fn saw(&mut self, age: Duration, is_quiet: bool, now: Instant) {
        if age >= STEADY_TIME {
            self.is_steady |= is_quiet && self.doubted_until.is_none_or(|until| now >= until);
        } else if !is_quiet {
            self.is_steady = false;
            self.doubted_until = Some(now + DOUBT_TIME);
        }
    }
}

impl IdlePool {
    pub fn new(idle_max: usize) -> IdlePool {
        IdlePool {
            stack: Mutex::default(),
            idle_max,
        }
    }

    /// Keeps `connection`, unless the pool is closed. Where it is full the one that waits longest goes:
    /// those used last are of most use. But one stays to learn from, until the node is known to be steady:
    /// where calls come quickly none would ever be unused for long enough.
    pub fn put(&self, connection: NodeConnection, now: Instant) {
        let Some(connection) = connection.into_idle(now) else {
            return;
        };
        let mut stack = self.stack.lock();
        if stack.is_closed || self.idle_max == 0 {
            // Closing is a system call: not under the lock.
            drop(stack);
            drop(connection);
            return;
        }
        let learns = usize::from(!stack.is_steady).min(self.idle_max - 1);
        let oldest = (stack.idle.len() >= self.idle_max).then(|| stack.idle.remove(learns));
        stack.idle.push(IdleConnection {
            connection,
            since: now,
        });
        drop(stack);
        drop(oldest);
    }

    /// The connection that was used last and is still open and quiet.
    pub fn take(&self, now: Instant) -> Option<NodeConnection> {
        loop {
            let mut idle = self.stack.lock().idle.pop()?;
            if idle.is_over_age(now) {
                // Those below have waited longer still.
                let older = std::mem::take(&mut self.stack.lock().idle);
                drop(older);
                return None;
            }
            let is_quiet = idle.connection.is_quiet();
            self.saw(idle.age(now), is_quiet, now);
            if is_quiet {
                return Some(idle.connection);
            }
        }
    }

    /// The connection that was used last, if it was so a moment ago, is still open and quiet, and
    /// the node is known to close none so soon.
    pub fn take_warm(&self, now: Instant) -> Option<NodeConnection> {
        let mut stack = self.stack.lock();
        let is_warm = |idle: &mut IdleConnection| idle.age(now) <= WARM_TIME_MAX;
        let mut idle = match stack.is_steady {
            true => stack.idle.pop_if(is_warm)?,
            false => return None,
        };
        drop(stack);
        let is_quiet = idle.connection.is_quiet();
        self.saw(idle.age(now), is_quiet, now);
        is_quiet.then_some(idle.connection)
    }

    fn saw(&self, age: Duration, is_quiet: bool, now: Instant) {
        // Most were used a moment ago, and say nothing new.
        if !is_quiet || age >= STEADY_TIME {
            self.stack.lock().saw(age, is_quiet, now);
        }
    }

    /// Drops what is over age, closed by the node, or not quiet.
    pub fn sweep(&self, now: Instant) {
        let mut stack = self.stack.lock();
        let mut looks = Vec::with_capacity(stack.idle.len());
        let dropped: Vec<IdleConnection> = stack
            .idle
            .extract_if(.., |idle| {
                let is_quiet = idle.connection.is_quiet();
                looks.push((idle.age(now), is_quiet));
                idle.is_over_age(now) || !is_quiet
            })
            .collect();
        for (age, is_quiet) in looks {
            stack.saw(age, is_quiet, now);
        }
        drop(stack);
        drop(dropped);
    }

    /// Drops all, and keeps none from now on.
    pub fn close(&self) {
        let mut stack = self.stack.lock();
        stack.is_closed = true;
        let dropped = std::mem::take(&mut stack.idle);
        drop(stack);
        drop(dropped);
    }

    /// How many wait.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.stack.lock().idle.len()
    }
}

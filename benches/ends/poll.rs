//! epoll, level-triggered, and the clock it is timed by.

use std::io;
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};

/// Events taken at once.
const EVENTS_MAX: usize = 256;

#[expect(
    clippy::disallowed_methods,
    reason = "a measuring program is all clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
}

pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Poll> {
        // Else a wait may last 50 µs longer than told.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        Ok(Poll {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    pub(crate) fn add(&self, source: &impl AsFd, key: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, data(key), EventFlags::IN)?)
    }

    pub(crate) fn change(
        &self,
        source: &impl AsFd,
        key: usize,
        interest: Interest,
    ) -> io::Result<()> {
        let flags = match interest {
            Interest::Read => EventFlags::IN,
            Interest::Write => EventFlags::OUT,
        };
        Ok(epoll::modify(&self.epoll, source, data(key), flags)?)
    }

    /// Waits at most so long, for ever if `None`, and gives the keys of what is ready.
    pub(crate) fn wait(&mut self, at_most: Option<Duration>) -> io::Result<Vec<usize>> {
        let timeout = at_most.map(rustix::event::Timespec::try_from).transpose();
        let timeout = timeout.map_err(io::Error::other)?;
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            timeout.as_ref(),
        ) {
            Err(rustix::io::Errno::INTR) | Ok(_) => {}
            Err(why) => return Err(why.into()),
        }
        let keys = self.events.iter().map(|event| event.data.u64());
        Ok(keys
            .map(|key| usize::try_from(key).unwrap_or(usize::MAX))
            .collect())
    }
}

fn data(key: usize) -> EventData {
    EventData::new_u64(key as u64)
}

pub(crate) fn connect(to: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

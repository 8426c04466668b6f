//! A node whose answer can be known beforehand, by HTTP/1.1 or WebSocket, in the clear or by TLS. Its head
//! grows as a chain's does. It counts connections and what is asked of it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use super::answers::{Outbox, answer, calls_in, small};
use super::arguments::Arguments;
use super::http::{Came, Inbox};
use super::poll::{Interest, Poll, now};
use super::stream::{Stream, toward_clients};
use super::websocket::{self, Frame, From};

/// Unless told otherwise, in seconds.
const BLOCK_TIME: f64 = 12.0;
const FIRST_BLOCK: u64 = 21_000_000;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let nodes = arguments.get("nodes")?.unwrap_or(1);
    let mut house = House {
        poll: Poll::new()?,
        listeners: Vec::new(),
        guests: Vec::new(),
        free: Vec::new(),
        late: VecDeque::new(),
        delay: Duration::from_millis(arguments.get("delay")?.unwrap_or(0)),
        block_time: Duration::from_secs_f64(arguments.get("block-time")?.unwrap_or(BLOCK_TIME)),
        began_at: now(),
        tls: match arguments.text("certificate") {
            Some(certificate) => {
                let key: String = arguments.need("key")?;
                Some(toward_clients(certificate, &key)?)
            }
            None => None,
        },
        counts: Counts::default(),
    };
    let mut ports = Vec::new();
    for _ in 0..nodes {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        ports.push(listener.local_addr()?.port());
        house.poll.add(&listener, house.listeners.len())?;
        house.listeners.push(listener);
    }
    // Ends when the process that started it does. To each line it says what it has counted.
    let input = io::stdin();
    house.poll.add(&input, usize::MAX)?;
    println!("{}", serde_json::json!({ "ports": ports }));
    house.run()
}

struct House {
    poll: Poll,
    listeners: Vec<TcpListener>,
    guests: Vec<Option<Guest>>,
    free: Vec<usize>,
    /// Guests that are answered later, and when.
    late: VecDeque<(Instant, usize)>,
    delay: Duration,
    block_time: Duration,
    began_at: Instant,
    tls: Option<Arc<ServerConfig>>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    connections: u64,
    /// Calls of `eth_call`: what is asked unasked is none.
    calls: usize,
}

struct Guest {
    stream: Stream,
    inbox: Inbox,
    outbox: Outbox,
    interest: Interest,
    is_websocket: bool,
}

impl House {
    fn run(&mut self) -> anyhow::Result<()> {
        loop {
            let next = self.late.front().map(|(due, _)| *due);
            let wait = next.map(|due| due.saturating_duration_since(now()));
            let ready = self.poll.wait(wait)?;
            while self.late.front().is_some_and(|(due, _)| *due <= now()) {
                if let Some((_, guest)) = self.late.pop_front() {
                    self.attend(guest)?;
                }
            }
            for key in ready {
                if key == usize::MAX {
                    if io::stdin().read(&mut [0; 16])? == 0 {
                        return Ok(());
                    }
                    let Counts { connections, calls } = self.counts;
                    let counts = serde_json::json!({ "connections": connections, "calls": calls });
                    println!("{counts}");
                    continue;
                }
                match key.checked_sub(self.listeners.len()) {
                    None => self.welcome(key)?,
                    Some(guest) => self.hear(guest)?,
                }
            }
        }
    }

    fn welcome(&mut self, listener: usize) -> io::Result<()> {
        let Some(listener) = self.listeners.get(listener) else {
            return Ok(());
        };
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(why) => return Err(why),
            };
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            self.counts.connections += 1;
            let stream = Stream::to_client(stream, self.tls.as_ref())?;
            let at = self.free.pop().unwrap_or(self.guests.len());
            self.poll.add(&stream, self.listeners.len() + at)?;
            if at == self.guests.len() {
                self.guests.push(None);
            }
            if let Some(place) = self.guests.get_mut(at) {
                *place = Some(Guest {
                    stream,
                    inbox: Inbox::default(),
                    outbox: Outbox::default(),
                    interest: Interest::Read,
                    is_websocket: false,
                });
            }
        }
    }

    /// Something came from a guest, or can be written.
    fn hear(&mut self, at: usize) -> io::Result<()> {
        let Some(Some(guest)) = self.guests.get_mut(at) else {
            return Ok(());
        };
        let came = match guest.interest {
            Interest::Write => Ok(Came::Message),
            Interest::Read => guest.inbox.read(&mut guest.stream),
        };
        if matches!(came, Err(_) | Ok(Came::Closed)) {
            self.part_with(at);
            Ok(())
        } else if self.delay.is_zero() {
            self.attend(at)
        } else {
            self.late.push_back((now() + self.delay, at));
            Ok(())
        }
    }

    /// Answers what it can.
    fn attend(&mut self, at: usize) -> io::Result<()> {
        let since = self.began_at.elapsed().div_duration_f64(self.block_time);
        let head = FIRST_BLOCK + since as u64;
        let Some(Some(guest)) = self.guests.get_mut(at) else {
            return Ok(());
        };
        let Ok(calls) = guest.attend(head) else {
            self.part_with(at);
            return Ok(());
        };
        self.counts.calls += calls;
        let wanted = if guest.outbox.is_empty() {
            Interest::Read
        } else {
            Interest::Write
        };
        if wanted != guest.interest {
            guest.interest = wanted;
            let key = self.listeners.len() + at;
            self.poll.change(&guest.stream, key, wanted)?;
        }
        Ok(())
    }

    /// A guest that breaks off is gone, and that's all. Closing takes it out of the epoll.
    fn part_with(&mut self, at: usize) {
        if let Some(place) = self.guests.get_mut(at) {
            *place = None;
            self.free.push(at);
        }
    }
}

impl Guest {
    /// Answers what is there, and says how many calls that was.
    fn attend(&mut self, head: u64) -> io::Result<usize> {
        let mut calls = 0;
        self.outbox.write(&mut self.stream)?;
        while self.outbox.is_empty() {
            let Some((length, more)) = self.take(head)? else {
                break;
            };
            calls += more;
            self.inbox.drop_first(length);
            self.outbox.write(&mut self.stream)?;
        }
        Ok(calls)
    }

    /// Begins the answer to what came first; says how long that is, and how many calls it has.
    fn take(&mut self, head: u64) -> io::Result<Option<(usize, usize)>> {
        if self.is_websocket {
            return self.take_frame(head);
        }
        if let Some((key, length)) = self.inbox.upgrade()? {
            self.outbox = Outbox::of(websocket::welcome(&key));
            self.is_websocket = true;
            return Ok(Some((length, 0)));
        }
        let Some(request) = self.inbox.request()? else {
            return Ok(None);
        };
        self.outbox = answer(request.body, head);
        Ok(Some((request.length, calls_in(request.body))))
    }

    fn take_frame(&mut self, head: u64) -> io::Result<Option<(usize, usize)>> {
        let Some((frame, length)) = websocket::first(self.inbox.held())? else {
            return Ok(None);
        };
        let (mut out, mut calls) = (Vec::with_capacity(128), 0);
        match frame {
            Frame::Text(call) => {
                calls = calls_in(&call);
                websocket::text(&small(&call, head), &From::Node, &mut out);
            }
            Frame::Ping(payload) => websocket::pong(&payload, &From::Node, &mut out),
            Frame::Pong => {}
        }
        self.outbox = Outbox::of(out);
        Ok(Some((length, calls)))
    }
}

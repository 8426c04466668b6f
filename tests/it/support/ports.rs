//! Ports for servers that can't be told to take any.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Test processes run beside each other: each draws from a stretch of its own, by its id.
const STRETCHES: u32 = 1000;
const PORTS_A_STRETCH: u32 = 20;
/// The stretches end at 29,999, below the ports that the system gives to outgoing connections:
/// such a port may be taken again between our look and the server's start.
const FIRST: u32 = 10_000;

static DRAWN: AtomicU32 = AtomicU32::new(0);

/// A port of 127.0.0.1 where nothing listens now. Not given twice before a process has drawn 20.
pub fn free_port() -> u16 {
    let first = FIRST + std::process::id() % STRETCHES * PORTS_A_STRETCH;
    for _ in 0..PORTS_A_STRETCH {
        let drawn = DRAWN.fetch_add(1, Ordering::Relaxed) % PORTS_A_STRETCH;
        let port = u16::try_from(first + drawn).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("none of the {PORTS_A_STRETCH} ports from {first} on is free");
}

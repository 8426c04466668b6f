//! What systemd, or another program that started us as `Type=notify` does, is told (sd_notify(3)): a datagram of
//! lines to the socket that `NOTIFY_SOCKET` names.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where the socket is named.
pub const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// Serves from now on.
pub const READY: &str = "READY=1";

/// Tells the program that started us, if `NOTIFY_SOCKET` names its socket.
pub fn tell(message: &str) {
    if let Err(why) = try_tell(message) {
        log::warn!("{SOCKET_VARIABLE} can't be told: {why}");
    }
}

fn try_tell(message: &str) -> io::Result<()> {
    let Some(name) = std::env::var_os(SOCKET_VARIABLE) else {
        return Ok(());
    };
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}

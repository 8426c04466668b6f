//! The opening handshake, from the server's side (RFC 6455 §4.2).
//!
//! No subprotocol and no extension is chosen, whatever is offered: a client that can't do without
//! goes by itself (§4.1).

use std::borrow::Cow;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use forebay_core::rpc::refusal::Refusal;
use forebay_core::wire::header_list::lists;

/// The only version there is.
pub const VERSION: &str = "13";
/// A key of 16 bytes in base64: 22 digits and two marks at the end.
const KEY_DIGITS: usize = 22;
const KEY_END: &str = "==";

/// What a request's head says of a socket.
#[derive(Clone, Debug, Default)]
pub struct Handshake {
    wants_websocket: bool,
    wants_upgrade: bool,
    versions: Vec<Box<[u8]>>,
    keys: Vec<Box<[u8]>>,
}

/// Why there is no socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeRefusal {
    /// §4.2.1: the request is no handshake.
    Malformed(&'static str),
    /// §4.2.2: another version than ours.
    Version,
    /// §4.2.2: the page may not call from where it is.
    Origin,
    /// Too many sockets in all.
    Process,
    /// Too many sockets of one address.
    Address,
    /// The process is about to end.
    Closing,
    /// There is no such chain, or none is named.
    Chain(Refusal),
}

impl HandshakeRefusal {
    pub fn status(&self) -> u16 {
        match self {
            HandshakeRefusal::Malformed(_) => 400,
            HandshakeRefusal::Origin => 403,
            HandshakeRefusal::Version => 426,
            HandshakeRefusal::Address => 429,
            HandshakeRefusal::Process | HandshakeRefusal::Closing => 503,
            HandshakeRefusal::Chain(_) => 404,
        }
    }

    pub fn sentence(&self) -> Cow<'static, str> {
        let sentence = match self {
            HandshakeRefusal::Malformed(why) => why,
            HandshakeRefusal::Version => "the version of WebSocket here is 13\n",
            HandshakeRefusal::Origin => "pages of this origin may not call here\n",
            HandshakeRefusal::Process => "there is no room for another socket\n",
            HandshakeRefusal::Address => "your address has too many sockets\n",
            HandshakeRefusal::Closing => "this server is going away, connect again\n",
            HandshakeRefusal::Chain(why) => return format!("{}\n", why.sentence()).into(),
        };
        sentence.into()
    }

    /// For `Retry-After`, in whole seconds.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            HandshakeRefusal::Process | HandshakeRefusal::Address | HandshakeRefusal::Closing => {
                Some(1)
            }
            HandshakeRefusal::Malformed(_)
            | HandshakeRefusal::Version
            | HandshakeRefusal::Origin
            | HandshakeRefusal::Chain(_) => None,
        }
    }
}

/// The headers of the handshake that are counted: more of one kind than this are wrong anyway.
const NOTED_MAX: usize = 2;

impl Handshake {
    /// Takes note of a header.
    pub fn note(&mut self, name: &str, value: &[u8]) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        match name.len() {
            7 if is("upgrade") => self.wants_websocket |= lists(value, b"websocket"),
            10 if is("connection") => self.wants_upgrade |= lists(value, b"upgrade"),
            17 if is("sec-websocket-key") => add(&mut self.keys, value),
            21 if is("sec-websocket-version") => add(&mut self.versions, value),
            _ => {}
        }
    }

    /// The value of `Sec-WebSocket-Accept`.
    ///
    /// # Errors
    /// The request is no handshake, or one of another version.
    pub fn accept(&self) -> Result<String, HandshakeRefusal> {
        if !(self.wants_websocket && self.wants_upgrade) {
            return Err(HandshakeRefusal::Malformed(
                "`Upgrade` must list `websocket`, and `Connection` `Upgrade`\n",
            ));
        }
        match &self.versions[..] {
            [version] if **version == *VERSION.as_bytes() => {}
            [_] => return Err(HandshakeRefusal::Version),
            [] => {
                return Err(HandshakeRefusal::Malformed(
                    "`Sec-WebSocket-Version` is missing\n",
                ));
            }
            [_, _, ..] => {
                return Err(HandshakeRefusal::Malformed(
                    "`Sec-WebSocket-Version` stands twice\n",
                ));
            }
        }
        match &self.keys[..] {
            [key] if is_key(key) => Ok(derive_accept_key(key)),
            _ => Err(HandshakeRefusal::Malformed(
                "`Sec-WebSocket-Key` must be 16 bytes in base64, once\n",
            )),
        }
    }
}

fn add(noted: &mut Vec<Box<[u8]>>, value: &[u8]) {
    if noted.len() < NOTED_MAX {
        noted.push(value.trim_ascii().into());
    }
}

/// Whether `key` stands for 16 bytes: the last digit has four bits that mean nothing, and are 0.
fn is_key(key: &[u8]) -> bool {
    let Some((digits, end)) = key.split_at_checked(KEY_DIGITS) else {
        return false;
    };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let has_no_rest = digits.last().is_some_and(|last| b"AQgw".contains(last));
    end == KEY_END.as_bytes() && digits.iter().all(is_digit) && has_no_rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 §1.3.
    const KEY: (&str, &str) = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    const UPGRADE: (&str, &str) = ("Upgrade", "websocket");
    const CONNECTION: (&str, &str) = ("Connection", "Upgrade");
    const THIRTEEN: (&str, &str) = ("Sec-WebSocket-Version", "13");

    fn noted(headers: &[(&str, &str)]) -> Handshake {
        let mut handshake = Handshake::default();
        for (name, value) in headers {
            handshake.note(name, value.as_bytes());
        }
        handshake
    }

    fn status(headers: &[(&str, &str)]) -> u16 {
        noted(headers)
            .accept()
            .map_or_else(|why| why.status(), |_| 101)
    }

    #[test]
    fn the_example_of_the_standard_is_accepted_in_any_case_and_beside_others() {
        let plain = noted(&[UPGRADE, CONNECTION, KEY, THIRTEEN]);
        assert_eq!(plain.accept().unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let firefox = noted(&[
            ("upgrade", "h2c, WebSocket"),
            ("connection", "keep-alive, upgrade"),
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
            ("sec-websocket-key", " dGhlIHNhbXBsZSBub25jZQ== "),
            ("sec-websocket-version", " 13"),
        ]);
        assert!(firefox.accept().is_ok());
    }

    #[test]
    fn what_asks_for_no_websocket_is_no_handshake() {
        for upgrade in ["h2c", "websockets", ""] {
            assert_eq!(
                status(&[("Upgrade", upgrade), CONNECTION, KEY, THIRTEEN]),
                400
            );
        }
        assert_eq!(status(&[CONNECTION, KEY, THIRTEEN]), 400);
    }

    #[test]
    fn another_version_is_told_from_what_is_no_handshake() {
        for (version, wanted) in [
            ("13", 101),
            ("8", 426),
            ("14", 426),
            ("13, 8", 426),
            ("", 426),
        ] {
            let version = ("Sec-WebSocket-Version", version);
            assert_eq!(status(&[UPGRADE, CONNECTION, KEY, version]), wanted);
        }
        assert_eq!(status(&[UPGRADE, CONNECTION, KEY]), 400);
        assert_eq!(status(&[UPGRADE, CONNECTION, KEY, THIRTEEN, THIRTEEN]), 400);
        assert_eq!(status(&[UPGRADE, KEY, THIRTEEN]), 400);
        assert_eq!(
            status(&[UPGRADE, ("Connection", "close"), KEY, THIRTEEN]),
            400
        );
    }

    #[test]
    fn a_key_stands_for_sixteen_bytes() {
        for (key, wanted) in [
            ("dGhlIHNhbXBsZSBub25jZQ==", 101),
            ("AAAAAAAAAAAAAAAAAAAAAA==", 101),
            ("", 400),
            ("dGhlIHNhbXBsZSBub25jZQ", 400),
            ("dGhlIHNhbXBsZSBub25jZQ=", 400),
            ("dGhlIHNhbXBsZSBub25jZR==", 400),
            ("dGhlIHNhbXBsZSBub25jZSE=", 400),
            ("dGhlIHNhbXBsZSBub25j====", 400),
            ("dGhlIHNhbXBs!SBub25jZQ==", 400),
            ("dGhlIHNhbXBsZSBub25jZQ==dGhl", 400),
        ] {
            let key = ("Sec-WebSocket-Key", key);
            assert_eq!(
                status(&[UPGRADE, CONNECTION, key, THIRTEEN]),
                wanted,
                "{key:?}"
            );
        }
        assert_eq!(status(&[UPGRADE, CONNECTION, THIRTEEN]), 400);
        assert_eq!(status(&[UPGRADE, CONNECTION, THIRTEEN, KEY, KEY]), 400);
    }
}

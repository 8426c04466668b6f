//! Which chain a request is for, as its path says it: `/` and `/rpc`, or `/NAME` and `/rpc/NAME`, by name or
//! by id; and `/health`, of all or of one.

use std::fmt;

use crate::vocabulary::chain::{CHAIN_NAME_BYTES_MAX, RESERVED_CHAIN_NAMES};

/// A path, as far as it may lead somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointPath {
    /// Calls are taken here.
    Calls(ChainKey),
    /// Whether calls can be answered is told here, of all chains or of one.
    Health(ChainKey),
    /// Nothing is here: 404.
    Nowhere,
}

/// What a path says of the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChainKey {
    /// Nothing.
    #[default]
    Root,
    /// A name or an id, that may be one of a chain's.
    Named(ChainWord),
}

/// A word that a chain's name or id may be; it is kept where it is looked at, without memory of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainWord {
    bytes: [u8; CHAIN_NAME_BYTES_MAX],
    length: u8,
}

impl ChainWord {
    /// 1 to [`CHAIN_NAME_BYTES_MAX`] bytes of `a-z`, `0-9` and `-`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    fn read(text: &str) -> Option<ChainWord> {
        let is_word = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let fits = (1..=CHAIN_NAME_BYTES_MAX).contains(&text.len());
        if !fits || !text.bytes().all(is_word) || RESERVED_CHAIN_NAMES.contains(&text) {
            return None;
        }
        let mut bytes = [0; CHAIN_NAME_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len()).ok()?;
        Some(ChainWord { bytes, length })
    }
}

impl fmt::Debug for ChainWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Reads a path without its query.
pub fn read(path: &str) -> EndpointPath {
    match path {
        "/" | "/rpc" => return EndpointPath::Calls(ChainKey::Root),
        "/health" => return EndpointPath::Health(ChainKey::Root),
        _ => {}
    }
    let Some(rest) = path.strip_prefix('/') else {
        return EndpointPath::Nowhere;
    };
    let (rest, is_health) = match rest.strip_suffix("/health") {
        Some(rest) => (rest, true),
        None => (rest.strip_prefix("rpc/").unwrap_or(rest), false),
    };
    match (ChainWord::read(rest), is_health) {
        (None, _) => EndpointPath::Nowhere,
        (Some(word), true) => EndpointPath::Health(ChainKey::Named(word)),
        (Some(word), false) => EndpointPath::Calls(ChainKey::Named(word)),
    }
}

/// The name in a `Host` or an authority, as it is compared: without port and final full stop, in lower case,
/// written into `room`. `None`: it is too long for a name, or no text.
pub fn host_name<'r>(host: &[u8], room: &'r mut [u8; HOST_BYTES_MAX]) -> Option<&'r str> {
    let name = match host.iter().rposition(|byte| *byte == b':') {
        Some(at) if host[at + 1..].iter().all(u8::is_ascii_digit) => &host[..at],
        Some(_) | None => host,
    };
    let name = name.strip_suffix(b".").unwrap_or(name);
    let room = room.get_mut(..name.len())?;
    room.copy_from_slice(name);
    room.make_ascii_lowercase();
    std::str::from_utf8(room).ok()
}

/// The longest name of a host (RFC 1035, 2.3.4).
pub const HOST_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str) -> Option<String> {
        match read(path) {
            EndpointPath::Calls(ChainKey::Named(word)) => Some(word.as_str().to_string()),
            EndpointPath::Health(ChainKey::Named(word)) => {
                Some(format!("{} health", word.as_str()))
            }
            EndpointPath::Calls(ChainKey::Root) => Some("root".to_string()),
            EndpointPath::Health(ChainKey::Root) => Some("root health".to_string()),
            EndpointPath::Nowhere => None,
        }
    }

    #[test]
    fn a_path_names_a_chain_by_name_or_id_or_none() {
        for (path, wanted) in [
            ("/", Some("root")),
            ("/rpc", Some("root")),
            ("/health", Some("root health")),
            ("/base", Some("base")),
            ("/rpc/base", Some("base")),
            ("/8453", Some("8453")),
            ("/18446744073709551615", Some("18446744073709551615")),
            ("/base/health", Some("base health")),
            ("/a-1", Some("a-1")),
            ("", None),
            ("base", None),
            ("/Base", None),
            ("/base/", None),
            ("/rpc/", None),
            ("/rpc/rpc", None),
            ("/rpc/health", None),
            ("/metrics", None),
            ("/base/other", None),
            ("/rpc/base/health", None),
            ("/favicon.ico", None),
        ] {
            assert_eq!(named(path).as_deref(), wanted, "{path}");
        }
        let longest = "a".repeat(CHAIN_NAME_BYTES_MAX);
        assert_eq!(named(&format!("/{longest}")), Some(longest.clone()));
        assert_eq!(named(&format!("/{longest}a")), None);
    }

    #[test]
    fn a_host_is_compared_without_port_case_and_final_dot() {
        let name = |host: &str| {
            let mut room = [0; HOST_BYTES_MAX];
            host_name(host.as_bytes(), &mut room).map(str::to_string)
        };
        for host in [
            "base.rpc.example",
            "BASE.rpc.Example:8545",
            "base.rpc.example.",
            "base.rpc.example.:1",
            "base.rpc.example:",
        ] {
            assert_eq!(name(host).as_deref(), Some("base.rpc.example"), "{host}");
        }
        assert_eq!(name("[::1]:8545").as_deref(), Some("[::1]"));
        assert_eq!(
            name(&"a".repeat(HOST_BYTES_MAX)).map(|name| name.len()),
            Some(HOST_BYTES_MAX)
        );
        assert_eq!(name(&"a".repeat(HOST_BYTES_MAX + 1)), None);
    }
}

//! Where a node must not be, and what its URL must not hide: our own listeners, which would answer us
//! with ourselves (the cloud's are in `metadata_service`), and variables in what is shown to everybody.

use std::net::{IpAddr, SocketAddr};

use url::Host;

use crate::vocabulary::metadata_service::plain;
use crate::vocabulary::node::{NodeRecord, NodeSpecError, NodeUrl};

/// Of this link alone: nodes seldom are.
pub fn is_link_local(url: &NodeUrl) -> bool {
    match url.reveal().host() {
        Some(Host::Ipv4(ip)) => ip.is_link_local(),
        Some(Host::Ipv6(ip)) => ip.is_unicast_link_local(),
        Some(Host::Domain(_)) | None => false,
    }
}

/// What of this process others reach.
#[derive(Clone, Copy)]
pub struct OwnAddresses<'a> {
    /// Where this process listens, each with its port; an unspecified address stands for all of the
    /// machine.
    pub listeners: &'a [SocketAddr],
    /// Whether an address is one of this machine.
    pub is_local: &'a dyn Fn(IpAddr) -> bool,
}

impl OwnAddresses<'_> {
    /// Whether `url` leads back here.
    pub fn has(&self, url: &NodeUrl) -> bool {
        let mut meet = self.listeners.iter().filter(|it| it.port() == url.port());
        meet.any(|listener| self.leads_to(url, plain(listener.ip())))
    }

    fn leads_to(&self, url: &NodeUrl, listener: IpAddr) -> bool {
        let everywhere = listener.is_unspecified();
        let host = match url.reveal().host() {
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let is_here = name == "localhost" || name.ends_with(".localhost");
                return is_here && (everywhere || listener.is_loopback());
            }
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => plain(ip.into()),
            None => return false,
        };
        let is_here = host.is_loopback() || host.is_unspecified();
        host == listener
            || (host.is_unspecified() && listener.is_loopback())
            || (everywhere && (is_here || (self.is_local)(host)))
    }
}

/// What variables stand for in what a URL has before its path: it is shown in logs, metrics and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableScope {
    /// No variable stands there.
    None,
    /// All of it, and so the whole URL or what it begins with.
    Whole,
    /// The whole host, or the whole port.
    Host,
    /// A part of the host or port, or of the scheme: what it stands for would be shown.
    Part,
}

/// How `written` uses variables before its path.
pub fn reference(written: &str) -> VariableScope {
    let written = written.trim();
    let (scheme, rest) = match split_outside(written, "://") {
        Some((scheme, rest)) => (scheme, rest),
        None => ("", written),
    };
    let end = find_outside(rest, |rest| rest.starts_with(['/', '?', '#']));
    let authority = &rest[..end.unwrap_or(rest.len())];
    if scheme.is_empty() && is_variable(authority) {
        return VariableScope::Whole;
    }
    if !scheme.contains("${") && !authority.contains("${") {
        return VariableScope::None;
    }
    let (host, port) = split_outside(authority, ":").unwrap_or((authority, ""));
    let is_whole = |part: &str| !part.contains("${") || is_variable(part);
    match !scheme.contains("${") && is_whole(host) && is_whole(port) {
        true => VariableScope::Host,
        false => VariableScope::Part,
    }
}

/// `${NAME}` or `${NAME:-default}`, and nothing else.
fn is_variable(text: &str) -> bool {
    text.starts_with("${") && text.find('}') == Some(text.len() - 1)
}

/// Where the rest of `text` `is` so for the first time, outside of variables.
fn find_outside(text: &str, is: impl Fn(&str) -> bool) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if is(rest) {
            return Some(at);
        }
        at += match rest.strip_prefix("${").and_then(|inside| inside.find('}')) {
            Some(length) => length + 3,
            None => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    None
}

fn split_outside<'a>(text: &'a str, sign: &str) -> Option<(&'a str, &'a str)> {
    let at = find_outside(text, |rest| rest.starts_with(sign))?;
    Some((&text[..at], &text[at + sign.len()..]))
}

/// Whether a node may be where `record` says; `may_name_hosts`: a variable may stand for a whole host.
///
/// # Errors
/// [`NodeSpecError::Hidden`] and [`NodeSpecError::Ours`].
pub fn check(
    record: &NodeRecord,
    may_name_hosts: bool,
    ours: OwnAddresses<'_>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), NodeSpecError> {
    let socket = record.ws_url.as_deref().filter(|socket| !socket.is_empty());
    for written in [Some(record.url.as_str()), socket].into_iter().flatten() {
        match reference(written) {
            VariableScope::Part => return Err(NodeSpecError::Hidden),
            VariableScope::Host if !may_name_hosts => return Err(NodeSpecError::Hidden),
            VariableScope::Host | VariableScope::Whole | VariableScope::None => {}
        }
    }
    let urls = [
        NodeUrl::http(&record.url, lookup).ok(),
        socket.and_then(|socket| NodeUrl::socket(socket, lookup).ok()),
    ];
    match urls.iter().flatten().any(|url| ours.has(url)) {
        true => Err(NodeSpecError::Ours),
        false => Ok(()),
    }
}

/// A record of which nothing but its socket is to be looked at.
pub fn socket_alone(ws_url: &str) -> NodeRecord {
    NodeRecord {
        ws_url: Some(ws_url.to_string()),
        ..NodeRecord::at("http://node:1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_all_of_what_is_before_the_path_or_a_whole_host_or_a_part() {
        for (url, wanted) in [
            ("http://a:1/${KEY}?${B}", VariableScope::None),
            ("${URL}", VariableScope::Whole),
            (" ${URL:-http://a/b} ", VariableScope::Whole),
            ("${BASE}/v3/${KEY}", VariableScope::Whole),
            ("http://${HOST}:8545", VariableScope::Host),
            ("http://${HOST:-a/b}:${PORT}/x", VariableScope::Host),
            ("http://geth:${PORT}", VariableScope::Host),
            ("http://${KEY}.example/", VariableScope::Part),
            ("http://10.0.0.${LAST}", VariableScope::Part),
            ("http://a:85${X}", VariableScope::Part),
            ("http${S}://a", VariableScope::Part),
            ("${SCHEME}://a", VariableScope::Part),
            ("${A}${B}", VariableScope::Part),
            ("${A}.example", VariableScope::Part),
            ("http://${UNCLOSED", VariableScope::Part),
        ] {
            assert_eq!(reference(url), wanted, "{url}");
        }
    }

    fn at(url: &str) -> Result<NodeUrl, NodeSpecError> {
        NodeUrl::http(url, &|_| None)
    }

    #[test]
    fn the_metadata_service_is_refused_however_it_is_written() {
        for url in [
            "http://169.254.169.254/latest",
            "http://2852039166",
            "http://0xa9fea9fe",
            "http://0251.0376.0251.0376",
            "http://169.254.43518",
            "http://[::ffff:169.254.169.254]",
            "http://[::a9fe:a9fe]",
            "http://[64:ff9b::a9fe:a9fe]",
            "http://[fd00:ec2::254]",
            "http://169.254.170.2/v2",
            "http://METADATA.google.internal.",
        ] {
            assert_eq!(at(url), Err(NodeSpecError::Metadata), "{url}");
        }
        for url in [
            "http://169.254.169.253",
            "http://metadata.example",
            "http://[::1]",
        ] {
            assert!(at(url).is_ok(), "{url}");
        }
        assert!(is_link_local(&at("http://169.254.1.1").unwrap()));
        assert!(!is_link_local(&at("http://10.0.0.1").unwrap()));
    }

    #[test]
    fn what_leads_back_here_is_ours() {
        let listeners = ["0.0.0.0:8545", "127.0.0.1:9091", "10.0.0.5:9090"];
        let listeners = listeners.map(|listener| listener.parse().unwrap());
        let lan: IpAddr = "10.0.0.5".parse().unwrap();
        let ours = OwnAddresses {
            listeners: &listeners,
            is_local: &|ip| ip == lan,
        };
        for (url, wanted) in [
            ("http://127.0.0.1:8545", true),
            ("http://127.9.9.9:8545/x", true),
            ("http://localhost:8545", true),
            ("http://rpc.localhost.:8545", true),
            ("http://[::1]:8545", true),
            ("http://[::ffff:127.0.0.1]:8545", true),
            ("http://0:8545", true),
            ("http://10.0.0.5:8545", true),
            ("http://10.0.0.6:8545", false),
            ("http://127.0.0.1:8546", false),
            ("http://0.0.0.0:9091", true),
            ("http://10.0.0.5:9091", false),
            ("http://10.0.0.5:9090", true),
            ("http://127.0.0.1:9090", false),
            ("http://geth:8545", false),
        ] {
            assert_eq!(ours.has(&at(url).unwrap()), wanted, "{url}");
        }
        let record = NodeRecord {
            ws_url: Some("ws://127.0.0.1:8545".to_string()),
            ..NodeRecord::at("http://geth:8545")
        };
        assert_eq!(
            check(&record, true, ours, &|_| None),
            Err(NodeSpecError::Ours)
        );
        let named = NodeRecord::at("http://${GETH}:8545");
        assert_eq!(check(&named, true, ours, &|_| None), Ok(()));
        assert_eq!(
            check(&named, false, ours, &|_| None),
            Err(NodeSpecError::Hidden)
        );
    }
}

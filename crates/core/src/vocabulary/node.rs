//! What a node is: its URL, weight, role and name, as an operator wrote them down.
//!
//! A URL is parsed once. Everything after its host counts as a credential, so `Debug` and
//! `Display` never show it; [`NodeUrl::reveal`] is the one way to the whole of it.

mod fault;
mod in_flight_max;
mod purpose;
mod role;
mod secret;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::vocabulary::metadata_service::is_metadata_host;

pub use self::in_flight_max::InFlightMax;
pub use self::purpose::{
    NodePurpose, RECENT_BLOCKS_MAX, RecentBlocks, SERVED_GLOBS_MAX, ServedMethods,
};
pub use self::role::Role;
pub use self::secret::Secret;
pub use crate::vocabulary::node::fault::NodeSpecError;

/// The longest URL, name or header value that we take, in bytes.
pub const TEXT_BYTES_MAX: usize = 2048;
/// The longest name, in bytes: it is a metric label and a response header.
pub const NAME_BYTES_MAX: usize = 64;

/// A node within this process. Given out once for each identity (see [`NodeUrl::identity`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// A node's share of calls relative to its peers, 0 to 1000; 0 drains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u16);

impl Weight {
    /// The highest weight.
    pub const MAX: u16 = 1000;
    /// The weight of a node that is drained: it gets no new calls.
    pub const NONE: Weight = Weight(0);
    /// The weight of a node of which nothing else is said.
    pub const ONE: Weight = Weight(1);

    /// # Errors
    /// When `weight` is over 1000.
    pub fn new(weight: u64) -> Result<Weight, NodeSpecError> {
        match u16::try_from(weight) {
            Ok(weight) if weight <= Weight::MAX => Ok(Weight(weight)),
            _ => Err(NodeSpecError::Weight(weight)),
        }
    }

    /// 0 to [`Weight::MAX`].
    pub fn get(self) -> u16 {
        self.0
    }

    /// Whether it is 0: such a node gets no new calls.
    pub fn drains(self) -> bool {
        self.0 == 0
    }

    /// What to remember as the weight before the drain, when a node of weight `self` is given the
    /// weight `next`; `former` was remembered so far.
    pub fn former_after(self, next: Weight, former: Option<Weight>) -> Option<Weight> {
        match (self.drains(), next.drains()) {
            (false, true) => Some(self),
            (true, true) => former,
            (_, false) => None,
        }
    }
}

/// Replaces `${NAME}` and `${NAME:-default}` in `text` by what `lookup` says of `NAME`.
///
/// # Errors
/// A name without a value and without a default, or an unclosed `${`.
pub fn interpolate(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, NodeSpecError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let (inside, tail) = after.split_once('}').ok_or(NodeSpecError::Unclosed)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        match lookup(name).filter(|value| !value.is_empty() || default.is_none()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(default.ok_or_else(|| NodeSpecError::Unset(name.to_string()))?),
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// A node's URL: as it was written down, and what it means.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeUrl {
    as_written: String,
    url: Url,
}

impl NodeUrl {
    /// Reads an `http` or `https` URL; `${NAME}` in it is resolved by `lookup`.
    ///
    /// # Errors
    /// See [`NodeSpecError`].
    pub fn http(
        as_written: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<NodeUrl, NodeSpecError> {
        NodeUrl::read(as_written, lookup, &["http", "https"], "http, https")
    }

    /// Reads a `ws` or `wss` URL; `${NAME}` in it is resolved by `lookup`.
    ///
    /// # Errors
    /// See [`NodeSpecError`].
    pub fn socket(
        as_written: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<NodeUrl, NodeSpecError> {
        NodeUrl::read(as_written, lookup, &["ws", "wss"], "ws, wss")
    }

    fn read(
        as_written: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
        schemes: &[&str],
        named: &'static str,
    ) -> Result<NodeUrl, NodeSpecError> {
        let resolved = interpolate(as_written, lookup)?;
        let text = resolved.trim();
        if text.is_empty() {
            return Err(NodeSpecError::UrlEmpty);
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(NodeSpecError::UrlTooLong);
        }
        let mut url =
            Url::parse(text).map_err(|why| NodeSpecError::UrlMalformed(why.to_string()))?;
        if !schemes.contains(&url.scheme()) {
            return Err(NodeSpecError::UrlScheme(url.scheme().to_string(), named));
        }
        if url.host_str().is_none_or(str::is_empty) || url.port() == Some(0) {
            return Err(NodeSpecError::UrlHost);
        }
        if is_metadata_host(url.host()) {
            return Err(NodeSpecError::Metadata);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NodeSpecError::UrlUser);
        }
        url.set_fragment(None);
        Ok(NodeUrl {
            as_written: as_written.to_string(),
            url,
        })
    }

    /// The URL as the operator wrote it, references to the environment unresolved.
    pub fn as_written(&self) -> &str {
        &self.as_written
    }

    /// What tells two nodes apart: scheme and host in lower case, no default port, no slash at
    /// the end of the path. It holds the credentials in the path: keep it inside.
    pub fn identity(&self) -> String {
        let text = self.url.as_str();
        match self.url.query() {
            Some(_) => text.to_string(),
            None => text.trim_end_matches('/').to_string(),
        }
    }

    /// The whole URL, credentials included: for the connection alone.
    pub fn reveal(&self) -> &Url {
        &self.url
    }

    /// The host, as written in the URL (an IPv6 address in brackets).
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// The one that it names, else that of its scheme: 80 or 443.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// Whether its scheme is `https` or `wss`.
    pub fn is_tls(&self) -> bool {
        matches!(self.url.scheme(), "https" | "wss")
    }

    /// The name of a node that was given none.
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.host(), self.port())
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.host())?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        let bare = matches!(self.url.path(), "" | "/") && self.url.query().is_none();
        f.write_str(if bare { "" } else { "/…" })
    }
}

impl fmt::Debug for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A node as it is written down, before its references to the environment are resolved: what a
/// registry keeps and a configuration seeds.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// `http` or `https`, as the operator wrote it, `${NAME}` unresolved.
    pub url: String,
    /// `ws` or `wss`, likewise; `None`: the node has no socket.
    pub ws_url: Option<String>,
    /// `None`: it is called by its host and port.
    pub name: Option<String>,
    /// Its share of the calls.
    pub weight: Weight,
    /// Where it stands in the order of asking.
    pub role: Role,
    /// How many calls it may have in flight.
    pub in_flight_max: InFlightMax,
    /// Which methods and blocks it is asked for.
    pub purpose: NodePurpose,
    /// Headers of every request to it, by name; values as written, `${NAME}` unresolved.
    pub headers: BTreeMap<String, String>,
}

impl fmt::Debug for NodeRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeRecord")
            .field("name", &self.name)
            .field("weight", &self.weight)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl NodeRecord {
    /// An own node of weight 1 at `url`, with nothing else said of it.
    pub fn at(url: &str) -> NodeRecord {
        NodeRecord {
            url: url.to_string(),
            ws_url: None,
            name: None,
            weight: Weight::ONE,
            role: Role::Own,
            in_flight_max: InFlightMax::Auto,
            purpose: NodePurpose::default(),
            headers: BTreeMap::new(),
        }
    }

    /// What the record means: URLs and headers with the environment put in.
    ///
    /// # Errors
    /// See [`NodeSpecError`].
    pub fn resolve(
        &self,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<NodeSpec, NodeSpecError> {
        let url = NodeUrl::http(&self.url, lookup)?;
        let ws_url = match &self.ws_url {
            Some(ws_url) => Some(NodeUrl::socket(ws_url, lookup)?),
            None => None,
        };
        let name = match &self.name {
            Some(name) => checked_name(name)?.to_string(),
            None => url.host_and_port(),
        };
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| header(name, &interpolate(value, lookup)?))
            .collect::<Result<_, _>>()?;
        Ok(NodeSpec {
            url,
            ws_url,
            name: name.into(),
            weight: self.weight,
            role: self.role,
            in_flight_max: self.in_flight_max,
            purpose: self.purpose.clone(),
            headers,
        })
    }
}

fn checked_name(name: &str) -> Result<&str, NodeSpecError> {
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
    let clean = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    if fits && name.bytes().all(clean) && name != "local" {
        Ok(name)
    } else {
        Err(NodeSpecError::Name)
    }
}

/// Headers that frame a message or name its target: ours to write.
const OWN_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
];

fn header(name: &str, value: &str) -> Result<(String, Secret), NodeSpecError> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let visible = |byte: u8| byte == b'\t' || (0x20..0x7f).contains(&byte);
    let lower = name.to_ascii_lowercase();
    let named = !name.is_empty() && name.bytes().all(token) && !OWN_HEADERS.contains(&&*lower);
    if named && value.len() <= TEXT_BYTES_MAX && value.bytes().all(visible) {
        Ok((lower, Secret::new(value.trim().to_string())))
    } else {
        Err(NodeSpecError::Header(name.to_string()))
    }
}

/// A node as it is used: everything resolved and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// Where calls and probes are sent.
    pub url: NodeUrl,
    /// Where it is subscribed to; `None`: it has no socket.
    pub ws_url: Option<NodeUrl>,
    /// Known to clients, logs and metrics by this.
    pub name: Arc<str>,
    /// Its share of the calls.
    pub weight: Weight,
    /// Where it stands in the order of asking.
    pub role: Role,
    /// How many calls it may have in flight.
    pub in_flight_max: InFlightMax,
    /// Which methods and blocks it is asked for.
    pub purpose: NodePurpose,
    /// Sent with every request to the node; names in lower case.
    pub headers: Vec<(String, Secret)>,
}

impl NodeSpec {
    /// Whether both lead to one node: by one URL, with the same headers.
    pub fn is_same_node(&self, other: &NodeSpec) -> bool {
        self.url.identity() == other.url.identity() && self.headers == other.headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "KEY" => Some("s3cret".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn url(text: &str) -> Result<NodeUrl, NodeSpecError> {
        NodeUrl::http(text, &environment)
    }

    #[test]
    fn one_node_written_in_several_ways_has_one_identity() {
        let identity = url("http://node.example:80/").unwrap().identity();
        for same in [
            "HTTP://NODE.example",
            "http://node.example:80",
            "http://node.example/",
        ] {
            assert_eq!(url(same).unwrap().identity(), identity, "{same}");
        }
        for other in [
            "https://node.example",
            "http://node.example:81",
            "http://node.example/a",
        ] {
            assert_ne!(url(other).unwrap().identity(), identity, "{other}");
        }
    }

    #[test]
    fn a_url_never_shows_what_follows_its_host() {
        let url = url("https://mainnet.example:8443/v3/${KEY}?k=${KEY}").unwrap();
        assert_eq!(url.reveal().path(), "/v3/s3cret");
        assert_eq!(
            url.as_written(),
            "https://mainnet.example:8443/v3/${KEY}?k=${KEY}"
        );
        assert_eq!(
            format!("{url} {url:?}"),
            "https://mainnet.example:8443/… https://mainnet.example:8443/…"
        );
    }

    #[test]
    fn a_bad_url_says_what_is_wrong_with_it() {
        assert_eq!(url("  "), Err(NodeSpecError::UrlEmpty));
        assert!(matches!(
            url("10.0.0.1:8545"),
            Err(NodeSpecError::UrlMalformed(_))
        ));
        assert!(matches!(url("ftp://a"), Err(NodeSpecError::UrlScheme(..))));
        assert_eq!(url("http://a:b@c"), Err(NodeSpecError::UrlUser));
        assert_eq!(
            url("http://${NOPE}"),
            Err(NodeSpecError::Unset("NOPE".into()))
        );
        assert_eq!(url("http://${NOPE"), Err(NodeSpecError::Unclosed));
        assert_eq!(
            url(&format!("http://a/{}", "x".repeat(TEXT_BYTES_MAX))),
            Err(NodeSpecError::UrlTooLong)
        );
    }

    #[test]
    fn a_default_stands_in_for_an_unset_or_empty_variable() {
        for text in ["${NOPE:-x}", "${EMPTY:-x}"] {
            assert_eq!(interpolate(text, &environment).unwrap(), "x");
        }
        assert_eq!(
            interpolate("a${EMPTY}b${KEY}", &environment).unwrap(),
            "abs3cret"
        );
    }

    #[test]
    fn a_weight_is_at_most_a_thousand() {
        assert!(Weight::new(1000).is_ok());
        assert_eq!(Weight::new(1001), Err(NodeSpecError::Weight(1001)));
    }

    #[test]
    fn a_drained_node_remembers_its_weight_until_it_has_one_again() {
        let [none, two, three] = [0, 2, 3].map(|weight| Weight::new(weight).unwrap());
        assert_eq!(two.former_after(none, None), Some(two));
        assert_eq!(none.former_after(none, Some(two)), Some(two));
        assert_eq!(none.former_after(three, Some(two)), None);
        assert_eq!(two.former_after(three, None), None);
    }

    #[test]
    fn a_header_that_frames_the_message_is_refused() {
        let mut record = NodeRecord::at("http://a");
        record
            .headers
            .insert("Authorization".into(), "Bearer ${KEY}".into());
        let spec = record.resolve(&environment).unwrap();
        assert_eq!(spec.headers[0].0, "authorization");
        assert!(!format!("{spec:?}").contains("s3cret"));
        for bad in ["Content-Length", "host", "a b", ""] {
            record.headers = [(bad.to_string(), "1".to_string())].into();
            assert!(
                matches!(record.resolve(&environment), Err(NodeSpecError::Header(_))),
                "{bad}"
            );
        }
        record.headers = [("x".to_string(), "a\r\nb: c".to_string())].into();
        assert!(record.resolve(&environment).is_err());
    }

    #[test]
    fn a_name_is_short_and_plain() {
        let mut record = NodeRecord::at("http://a");
        for (name, good) in [
            ("geth-1", true),
            ("local", false),
            ("a b", false),
            ("", false),
        ] {
            record.name = Some(name.into());
            assert_eq!(record.resolve(&environment).is_ok(), good, "{name}");
        }
        record.name = Some("n".repeat(NAME_BYTES_MAX));
        assert!(record.resolve(&environment).is_ok());
        record.name = Some("n".repeat(NAME_BYTES_MAX + 1));
        assert_eq!(record.resolve(&environment), Err(NodeSpecError::Name));
    }
}

//! What a request asks, whatever version of HTTP it came by: its head, read once.

use std::net::IpAddr;

use forebay_core::wire::chain_path::{self, ChainKey, EndpointPath};
use forebay_core::wire::coding::{AcceptedCodings, Encoding};
use forebay_core::wire::forwarded::TrustedProxies;
use forebay_core::wire::header_list::lists;
use forebay_core::wire::trace::{self, TraceParent};

/// What a request wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestKind {
    /// JSON-RPC.
    Call,
    Health,
    /// A word for a person who looks with a browser.
    Greeting,
    /// A WebSocket, but what it takes to ask for one is missing: a proxy that doesn't pass it on.
    Upgrade,
    Preflight,
    #[default]
    NotFound,
    MethodNotAllowed,
}

impl RequestKind {
    /// Whether a GET leads to where calls are taken.
    pub fn is_at_endpoint(self) -> bool {
        matches!(self, RequestKind::Greeting | RequestKind::Upgrade)
    }
}

/// Reads the kind of a request off its method and path, and the chain that it is of.
fn kind(method: &str, path: &str) -> (RequestKind, ChainKey) {
    match (chain_path::read(path), method) {
        (EndpointPath::Calls(chain), "POST") => (RequestKind::Call, chain),
        (EndpointPath::Calls(chain), "GET" | "HEAD") => (RequestKind::Greeting, chain),
        (EndpointPath::Health(chain), "GET" | "HEAD") => (RequestKind::Health, chain),
        (EndpointPath::Calls(chain) | EndpointPath::Health(chain), "OPTIONS") => {
            (RequestKind::Preflight, chain)
        }
        (EndpointPath::Calls(chain) | EndpointPath::Health(chain), _) => {
            (RequestKind::MethodNotAllowed, chain)
        }
        (EndpointPath::Nowhere, _) => (RequestKind::NotFound, ChainKey::Root),
    }
}

/// What of a head matters only as things are set.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadOptions {
    /// What an answer may be packed with.
    pub packs: bool,
    /// The host: it may say which chain is meant.
    pub hosts: bool,
}

/// What matters of a request's head, but for its framing.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    pub kind: RequestKind,
    /// What says which chain it is for. On the heap: where there is one chain alone, nothing does.
    chain: Option<Box<AskedChain>>,
    /// By HEAD: the answer is to have no body.
    pub is_for_head: bool,
    /// HTTP/1.0 has no chunks, no interim answers, and can't tell an answer that broke off.
    pub is_http_1_0: bool,
    /// The address that asks, as the connection says.
    pub address: Option<IpAddr>,
    /// The body's length, where the head says it.
    pub body_bytes: Option<u64>,
    /// The client's id for the request if it is a usable one, or the one that it was given.
    pub request_id: Option<String>,
    /// The name that the client gives itself.
    pub client: Option<Box<[u8]>>,
    /// The values of all `X-Forwarded-For`, in their order: for which clients proxies say that they ask.
    pub forwarded: Vec<Box<[u8]>>,
    /// Where a browser's page comes from.
    pub origin: Option<Box<[u8]>>,
    /// What its body is packed with.
    pub encoding: Encoding,
    /// What its answer may be packed with; read only where answers are packed at all.
    pub accepts: AcceptedCodings,
    /// It wants to know what became of its attempts.
    pub wants_trail: bool,
    /// What was kept won't do (RFC 9111 §5.2.1.4).
    pub wants_fresh: bool,
    content_type: ContentKind,
    expects_continue: bool,
    trace: Option<TraceParent>,
    traces: usize,
}

/// What of a request says which chain it is for.
#[derive(Clone, Debug, Default)]
struct AskedChain {
    key: ChainKey,
    host: Option<Box<[u8]>>,
}

/// Of a content type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ContentKind {
    #[default]
    Nothing,
    Json,
    Other,
}

impl RequestHead {
    pub fn new(method: &str, path: &str) -> RequestHead {
        let (kind, key) = kind(method, path);
        let named = || Box::new(AskedChain { key, host: None });
        RequestHead {
            kind,
            chain: (key != ChainKey::Root).then(named),
            is_for_head: method == "HEAD",
            ..RequestHead::default()
        }
    }

    /// Takes note of a header. Of one that comes twice the first counts.
    pub fn note(&mut self, name: &str, value: &[u8]) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        // Most headers are none of ours: their length alone says so.
        match name.len() {
            6 if is("expect") => {
                self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue")
            }
            6 if is("origin") => first(&mut self.origin, value),
            11 if is("traceparent") => {
                self.traces += 1;
                self.trace = TraceParent::read(value);
            }
            12 if is("content-type") && self.content_type == ContentKind::Nothing => {
                self.content_type = if is_json(value) {
                    ContentKind::Json
                } else {
                    ContentKind::Other
                };
            }
            12 if is("x-request-id") && self.request_id.is_none() => {
                self.request_id = trace::request_id(value).map(str::to_string);
            }
            17 if is("sec-websocket-key") && self.kind == RequestKind::Greeting => {
                self.kind = RequestKind::Upgrade;
            }
            15 if is("x-forwarded-for") => self.forwarded.push(value.into()),
            16 if is("content-encoding") => self.encoding = self.encoding.and(value),
            15 if is("x-forebay-trail") => self.wants_trail |= value == b"1",
            13 if is("cache-control") => self.wants_fresh |= lists(value, b"no-cache"),
            16 if is("x-forebay-client") => first(&mut self.client, value),
            _ => {}
        }
    }

    /// Takes note of the host, where it may say which chain is meant.
    pub fn note_host(&mut self, host: &[u8]) {
        self.chain.get_or_insert_default().host = Some(host.into());
    }

    /// The chain, as the path says it.
    pub fn chain(&self) -> &ChainKey {
        self.chain
            .as_ref()
            .map_or(&ChainKey::Root, |named| &named.key)
    }

    /// The host, if it was taken note of.
    pub fn host(&self) -> Option<&[u8]> {
        self.chain.as_ref()?.host.as_deref()
    }

    /// The address of the client that asks, also where a proxy that is trusted asks for it.
    pub fn client_address(&self, proxies: &TrustedProxies) -> Option<IpAddr> {
        let forwarded = self.forwarded.iter().map(|value| &value[..]);
        Some(proxies.client(self.address?, forwarded))
    }

    /// What is kept of the head, in bytes.
    pub fn kept_bytes(&self) -> usize {
        let said = self
            .client
            .iter()
            .chain(&self.forwarded)
            .chain(&self.origin);
        let said: usize = said.map(|value| value.len()).sum();
        said + self.host().map_or(0, <[u8]>::len) + self.request_id.as_ref().map_or(0, String::len)
    }

    /// `application/json`, with or without parameters; or nothing said.
    pub fn is_json(&self) -> bool {
        self.content_type != ContentKind::Other
    }

    /// Whether the client waits for our word before it sends its body. One that speaks HTTP/1.0
    /// can't mean it (RFC 9110 §10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.expects_continue && !self.is_http_1_0
    }

    /// The trace that the request is a part of. More than one is none (Trace Context §3.2).
    pub fn trace(&self) -> Option<TraceParent> {
        self.trace.filter(|_| self.traces == 1)
    }
}

fn first(place: &mut Option<Box<[u8]>>, value: &[u8]) {
    if place.is_none() {
        *place = Some(value.into());
    }
}

/// Whether a content type is `application/json`, with or without parameters.
pub fn is_json(value: &[u8]) -> bool {
    let essence = value.split(|byte| *byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn noted(headers: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::new("POST", "/");
        for (name, value) in headers {
            head.note(name, value.as_bytes());
        }
        head
    }

    #[test]
    fn method_and_path_say_what_is_wanted() {
        for (method, path, wanted) in [
            ("POST", "/", RequestKind::Call),
            ("POST", "/rpc", RequestKind::Call),
            ("POST", "/base", RequestKind::Call),
            ("GET", "/base/health", RequestKind::Health),
            ("POST", "/base/health", RequestKind::MethodNotAllowed),
            ("POST", "/other/path", RequestKind::NotFound),
            ("GET", "/", RequestKind::Greeting),
            ("GET", "/health", RequestKind::Health),
            ("HEAD", "/health", RequestKind::Health),
            ("POST", "/health", RequestKind::MethodNotAllowed),
            ("PUT", "/", RequestKind::MethodNotAllowed),
            ("DELETE", "/rpc", RequestKind::MethodNotAllowed),
            ("OPTIONS", "/", RequestKind::Preflight),
        ] {
            assert_eq!(kind(method, path).0, wanted, "{method} {path}");
        }
    }

    #[test]
    fn json_is_taken_with_parameters_and_unsaid() {
        let said = |value| noted(&[("Content-Type", value)]).is_json();
        assert!(noted(&[]).is_json());
        assert!(said("application/json") && said("Application/JSON ; charset=utf-8"));
        assert!(!said("text/plain") && !said("application/jsonx") && !said(""));
        let twice = noted(&[
            ("content-type", "application/json"),
            ("content-type", "text/plain"),
        ]);
        assert!(twice.is_json());
    }

    #[test]
    fn one_valid_trace_is_passed_on_and_two_are_none() {
        assert_eq!(noted(&[]).trace(), None);
        let one = ("TraceParent", TRACE);
        assert_eq!(noted(&[one]).trace(), TraceParent::read(TRACE.as_bytes()));
        assert_eq!(noted(&[one, one]).trace(), None);
    }

    #[test]
    fn a_client_that_waits_for_our_word_speaks_http_1_1() {
        let mut head = noted(&[("Expect", "100-Continue")]);
        assert!(head.expects_continue());
        head.is_http_1_0 = true;
        assert!(!head.expects_continue() && !noted(&[("expect", "tea")]).expects_continue());
    }

    #[test]
    fn a_client_that_brings_a_sockets_key_wants_no_greeting() {
        let kind = |method: &str, path: &str| {
            let mut head = RequestHead::new(method, path);
            head.note("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==");
            head.kind
        };
        assert_eq!(kind("GET", "/"), RequestKind::Upgrade);
        assert_eq!(kind("GET", "/health"), RequestKind::Health);
        assert_eq!(kind("POST", "/"), RequestKind::Call);
    }

    #[test]
    fn a_trail_is_asked_for_by_a_one() {
        let wants = |value| noted(&[("X-Forebay-Trail", value)]).wants_trail;
        assert!(wants("1") && !noted(&[]).wants_trail);
        assert!(!wants("0") && !wants("") && !wants("11") && !wants("true"));
    }

    #[test]
    fn what_is_fresh_is_asked_for_by_one_directive() {
        let wants = |value| noted(&[("Cache-Control", value)]).wants_fresh;
        assert!(wants("no-cache") && wants("max-age=0, No-Cache"));
        assert!(!wants("no-store") && !wants("max-age=0") && !wants("x-no-cache"));
    }

    #[test]
    fn of_names_and_ids_the_first_usable_one_counts() {
        let head = noted(&[
            ("X-Request-Id", "{}"),
            ("x-request-id", "a"),
            ("x-request-id", "b"),
            ("X-Forebay-Client", "me"),
            ("x-forebay-client", "you"),
            ("Origin", "https://a.test"),
        ]);
        assert_eq!(head.request_id.as_deref(), Some("a"));
        assert_eq!(head.client.as_deref(), Some(&b"me"[..]));
        assert_eq!(head.origin.as_deref(), Some(&b"https://a.test"[..]));
    }
}

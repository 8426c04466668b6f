//! What the bodies of requests ask for.
//!
//! A body is one JSON object with the fields that are known here, each of its type and none of
//! them null: what can't be carried out in full is refused in full.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::admin::error::AdminError;
use crate::admin::routes;
use crate::registry::NodeEdit;
use forebay_core::vocabulary::node::{
    InFlightMax, NodePurpose, NodeRecord, NodeSpecError, RecentBlocks, Role, ServedMethods, Weight,
};

/// Headers of one node.
pub(super) const HEADERS_MAX: usize = 32;
/// The longest that a drain is waited for.
pub(super) const WAIT_SECONDS_MAX: u64 = 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddBody {
    url: String,
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    ws_url: Option<String>,
    #[serde(default, deserialize_with = "present")]
    weight: Option<u64>,
    #[serde(default)]
    is_leader: bool,
    #[serde(default)]
    is_fallback: bool,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    in_flight_max: InFlightMax,
    #[serde(default)]
    serves: ServedMethods,
    #[serde(default)]
    recent_blocks: RecentBlocks,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[serde(default, deserialize_with = "present")]
    url: Option<String>,
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    ws_url: Option<String>,
    #[serde(default, deserialize_with = "present")]
    weight: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    is_leader: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    is_fallback: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "present")]
    in_flight_max: Option<InFlightMax>,
    #[serde(default, deserialize_with = "present")]
    serves: Option<ServedMethods>,
    #[serde(default, deserialize_with = "present")]
    recent_blocks: Option<RecentBlocks>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainBody {
    #[serde(default)]
    wait_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurgeBody {
    #[serde(default, deserialize_with = "present")]
    node: Option<String>,
    #[serde(default, deserialize_with = "present")]
    method: Option<String>,
    #[serde(default, deserialize_with = "present")]
    all: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {}

/// A field that is left out is `None`; one that is null is a mistake.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// The node that a `POST /backends` describes.
///
/// # Errors
/// The client's mistake. What a node may be called and reached by is the registry's to judge.
pub(super) fn add(body: &[u8]) -> Result<NodeRecord, AdminError> {
    let body: AddBody = object(body)?;
    Ok(NodeRecord {
        role: role(Some(body.is_leader), Some(body.is_fallback))?.unwrap_or(Role::Own),
        weight: weight(body.weight)?.unwrap_or(Weight::ONE),
        in_flight_max: body.in_flight_max,
        purpose: NodePurpose {
            serves: body.serves,
            recent_blocks: body.recent_blocks,
        },
        headers: few(body.headers)?,
        ws_url: body.ws_url.map(whole).transpose()?,
        name: body.name,
        url: whole(body.url)?,
    })
}

/// A change to the node that is called `key`: its URL or its name.
#[derive(Debug, PartialEq, Eq)]
pub struct NodeChange {
    pub key: String,
    pub edit: NodeEdit,
}

/// The change that a `PATCH /backends` describes.
///
/// # Errors
/// The client's mistake.
pub(super) fn change(body: &[u8]) -> Result<NodeChange, AdminError> {
    let body: ChangeBody = object(body)?;
    let edit = NodeEdit {
        weight: weight(body.weight)?,
        role: role(body.is_leader, body.is_fallback)?,
        ws_url: body.ws_url.map(whole).transpose()?,
        headers: body.headers.map(few).transpose()?,
        in_flight_max: body.in_flight_max,
        serves: body.serves,
        recent_blocks: body.recent_blocks,
        former_weight: None,
    };
    let key = routes::key(body.url, body.name)?;
    if edit == NodeEdit::default() {
        let known = "weight, is_leader, is_fallback, ws_url, headers, in_flight_max, \
                     serves, recent_blocks";
        return Err(AdminError::input(format!(
            "there is nothing to change: {known}"
        )));
    }
    Ok(NodeChange { key, edit })
}

/// How long the client that drains a node wants to wait. No body: not at all.
///
/// # Errors
/// The client's mistake.
pub(super) fn wait(body: &[u8]) -> Result<Duration, AdminError> {
    if body.is_empty() {
        return Ok(Duration::ZERO);
    }
    let DrainBody { wait_seconds } = object(body)?;
    if wait_seconds > WAIT_SECONDS_MAX {
        return Err(AdminError::input(format!(
            "`wait_seconds` is at most {WAIT_SECONDS_MAX}"
        )));
    }
    Ok(Duration::from_secs(wait_seconds))
}

/// No body, or an object with nothing in it.
///
/// # Errors
/// Anything else.
pub(super) fn nothing(body: &[u8]) -> Result<(), AdminError> {
    if body.is_empty() {
        return Ok(());
    }
    object::<NoFields>(body).map(|NoFields {}| ())
}

/// Which kept answers are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PurgeTarget {
    All,
    /// Those of the node with this name.
    Node(String),
    Method(String),
}

/// What a `POST /cache/purge` asks for: exactly one thing.
///
/// # Errors
/// The client's mistake.
pub(super) fn purge(body: &[u8]) -> Result<PurgeTarget, AdminError> {
    let body: PurgeBody = object(body)?;
    match (body.node, body.method, body.all) {
        (Some(node), None, None) => Ok(PurgeTarget::Node(node)),
        (None, Some(method), None) => Ok(PurgeTarget::Method(method)),
        (None, None, Some(true)) => Ok(PurgeTarget::All),
        _ => Err(AdminError::input(
            "one of `node` (its name), `method` and `all` (true) is needed",
        )),
    }
}

/// Reads one JSON object. An array is none, whatever stands in it.
fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, AdminError> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(AdminError::input("the body must be a JSON object"));
    }
    serde_json::from_slice(body).map_err(|why| AdminError::input(format!("the body: {why}")))
}

fn weight(weight: Option<u64>) -> Result<Option<Weight>, NodeSpecError> {
    weight.map(Weight::new).transpose()
}

/// Either role makes the node that; without the one that it has, it is an own node.
fn role(is_leader: Option<bool>, is_fallback: Option<bool>) -> Result<Option<Role>, AdminError> {
    match (is_leader, is_fallback) {
        (None, None) => Ok(None),
        (Some(true), Some(true)) => Err(AdminError::input(
            "a node is the leader or a fallback, not both",
        )),
        _ => Ok(Some(Role::of(
            is_leader == Some(true),
            is_fallback == Some(true),
        ))),
    }
}

/// A URL that ends with its host because we showed it so is not the node's.
fn whole(url: String) -> Result<String, AdminError> {
    if url.contains('…') {
        let message = "this URL was shown without what follows its host: write the whole of it";
        return Err(AdminError::input(message));
    }
    Ok(url)
}

fn few(headers: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, AdminError> {
    if headers.len() > HEADERS_MAX {
        return Err(AdminError::input(format!("over {HEADERS_MAX} headers")));
    }
    Ok(headers)
}

impl From<NodeSpecError> for AdminError {
    fn from(fault: NodeSpecError) -> AdminError {
        AdminError::input(fault)
    }
}

/// An edit in words, for the log: never a URL, and of headers their names alone.
pub(super) fn in_words(edit: &NodeEdit) -> String {
    let mut words = Vec::new();
    if let Some(weight) = edit.weight {
        words.push(format!("weight {}", weight.get()));
    }
    if let Some(role) = edit.role {
        words.push(format!("{} node", role.as_str()));
    }
    if let Some(most) = edit.in_flight_max {
        words.push(format!("{most} calls in flight"));
    }
    if let Some(serves) = &edit.serves {
        words.push(format!("serves {serves}"));
    }
    if let Some(recent) = edit.recent_blocks {
        words.push(format!("{recent} recent blocks"));
    }
    if let Some(ws_url) = &edit.ws_url {
        let word = if ws_url.is_empty() {
            "no socket"
        } else {
            "another socket"
        };
        words.push(word.to_string());
    }
    match &edit.headers {
        Some(headers) if headers.is_empty() => words.push("no headers".to_string()),
        Some(headers) => {
            let names = headers.keys().map(|name| name.escape_debug().to_string());
            words.push(format!(
                "headers [{}]",
                names.collect::<Vec<_>>().join(", ")
            ));
        }
        None => {}
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_mistake<T>(read: Result<T, AdminError>) -> bool {
        matches!(read, Err(AdminError::Input(_)))
    }

    #[test]
    fn a_node_is_described_by_its_url_alone_or_in_full() {
        assert_eq!(
            add(br#"{"url":"http://a"}"#),
            Ok(NodeRecord::at("http://a"))
        );
        let full = br#" {"url":"http://a","name":"a","ws_url":"ws://a","weight":0,
            "is_leader":true,"is_fallback":false,"headers":{"x":"y"}}"#;
        let record = add(full).unwrap();
        assert_eq!((record.role, record.weight.get()), (Role::Leader, 0));
        assert_eq!(record.name.as_deref(), Some("a"));
        assert_eq!(record.ws_url.as_deref(), Some("ws://a"));
        assert_eq!(record.headers["x"], "y");
    }

    #[test]
    fn a_purge_is_of_a_node_a_method_or_all() {
        let of = |name: &str| name.to_string();
        assert_eq!(purge(br#"{"node":"a"}"#), Ok(PurgeTarget::Node(of("a"))));
        let method = Ok(PurgeTarget::Method(of("eth_call")));
        assert_eq!(purge(br#"{"method":"eth_call"}"#), method);
        assert_eq!(purge(br#"{"all":true}"#), Ok(PurgeTarget::All));
        for body in [
            "",
            "{}",
            r#"{"all":false}"#,
            r#"{"all":true,"node":"a"}"#,
            r#"{"node":null}"#,
            r#"{"nodes":"a"}"#,
        ] {
            assert!(is_mistake(purge(body.as_bytes())), "{body}");
        }
    }

    #[test]
    fn what_is_no_description_is_a_mistake() {
        for body in [
            "",
            "null",
            "[\"http://a\"]",
            "\"http://a\"",
            "{",
            "{}",
            "{\"url\":1}",
            "{\"url\":null}",
            "{\"url\":\"http://a\",\"url\":\"http://b\"}",
            "{\"url\":\"http://a\"} x",
            "{\"url\":\"http://a/…\"}",
            "{\"url\":\"http://a\",\"ws_url\":\"ws://a/…\"}",
            "{\"url\":\"http://a\",\"wieght\":1}",
            "{\"url\":\"http://a\",\"weight\":1001}",
            "{\"url\":\"http://a\",\"weight\":-1}",
            "{\"url\":\"http://a\",\"weight\":1.5}",
            "{\"url\":\"http://a\",\"weight\":\"1\"}",
            "{\"url\":\"http://a\",\"weight\":null}",
            "{\"url\":\"http://a\",\"is_leader\":null}",
            "{\"url\":\"http://a\",\"is_leader\":true,\"is_fallback\":true}",
            "{\"url\":\"http://a\",\"headers\":{\"a\":1}}",
            "{\"url\":\"http://a\",\"headers\":[]}",
        ] {
            assert!(is_mistake(add(body.as_bytes())), "{body}");
        }
        assert!(is_mistake(add(&[b'{', 0xff])));
        assert!(is_mistake(add("[".repeat(100_000).as_bytes())));
    }

    #[test]
    fn a_node_has_up_to_so_many_headers() {
        let body = |count: usize| {
            let headers: Vec<_> = (0..count).map(|at| format!("\"h{at}\":\"\"")).collect();
            format!(
                "{{\"url\":\"http://a\",\"headers\":{{{}}}}}",
                headers.join(",")
            )
        };
        assert!(add(body(HEADERS_MAX).as_bytes()).is_ok());
        assert!(is_mistake(add(body(HEADERS_MAX + 1).as_bytes())));
    }

    #[test]
    fn a_change_names_a_node_and_something_to_change() {
        let read = change(br#"{"name":"a","weight":0,"ws_url":""}"#).unwrap();
        assert_eq!(read.key, "a");
        assert_eq!(read.edit.weight.map(Weight::get), Some(0));
        assert_eq!(in_words(&read.edit), "weight 0, no socket");
        for body in [
            "{\"name\":\"a\"}",
            "{\"weight\":1}",
            "{\"name\":\"a\",\"url\":\"http://a\",\"weight\":1}",
            "{\"name\":\"\",\"weight\":1}",
            "{\"name\":\"a\",\"weight\":null}",
            "{\"name\":\"a\",\"is_healthy\":true}",
        ] {
            assert!(is_mistake(change(body.as_bytes())), "{body}");
        }
    }

    #[test]
    fn a_role_is_given_or_taken() {
        for (leader, fallback, wanted) in [
            (None, None, None),
            (Some(true), None, Some(Role::Leader)),
            (Some(true), Some(false), Some(Role::Leader)),
            (None, Some(true), Some(Role::Fallback)),
            (Some(false), Some(true), Some(Role::Fallback)),
            (Some(false), None, Some(Role::Own)),
            (None, Some(false), Some(Role::Own)),
            (Some(false), Some(false), Some(Role::Own)),
        ] {
            assert_eq!(role(leader, fallback), Ok(wanted));
        }
        assert!(is_mistake(role(Some(true), Some(true))));
    }

    #[test]
    fn a_drain_may_be_waited_for_and_nothing_else_said() {
        assert_eq!(wait(b""), Ok(Duration::ZERO));
        assert_eq!(wait(b"{}"), Ok(Duration::ZERO));
        assert_eq!(wait(br#"{"wait_seconds":60}"#), Ok(Duration::from_secs(60)));
        for body in [
            "{\"wait_seconds\":61}",
            "{\"wait_seconds\":-1}",
            "{\"wait\":1}",
            "[]",
            " ",
        ] {
            assert!(is_mistake(wait(body.as_bytes())), "{body}");
        }
        assert_eq!(nothing(b""), Ok(()));
        assert_eq!(nothing(b" {}"), Ok(()));
        assert!(is_mistake(nothing(b"{\"wait_seconds\":1}")) && is_mistake(nothing(b"1")));
    }

    #[test]
    fn the_most_calls_in_flight_are_a_number_or_auto() {
        for (written, wanted) in [
            ("20", Some(InFlightMax::Fixed(20))),
            ("\"auto\"", Some(InFlightMax::Auto)),
            ("\"20\"", Some(InFlightMax::Fixed(20))),
            ("0", None),
            ("10001", None),
            ("null", None),
            ("\"many\"", None),
        ] {
            let body = format!("{{\"name\":\"a\",\"in_flight_max\":{written}}}");
            let read = change(body.as_bytes()).ok();
            let read = read.and_then(|change| change.edit.in_flight_max);
            assert_eq!(read, wanted, "{written}");
        }
    }

    #[test]
    fn what_a_node_is_for_is_a_list_of_methods_and_a_number_of_blocks() {
        let edited = |member: &str| {
            let body = format!("{{\"name\":\"a\",{member}}}");
            change(body.as_bytes()).map(|change| change.edit)
        };
        let served = edited(r#""serves":["eth_*","!eth_getLogs"]"#).unwrap();
        assert_eq!(served.serves.unwrap().to_string(), "eth_*,!eth_getLogs");
        let recent = edited(r#""recent_blocks":128"#).unwrap();
        assert_eq!(recent.recent_blocks, Some(RecentBlocks::Newest(128)));
        let all = edited(r#""serves":["*"],"recent_blocks":"all""#).unwrap();
        assert_eq!(all.serves, Some(ServedMethods::default()));
        assert_eq!(all.recent_blocks, Some(RecentBlocks::All));
        for bad in [
            r#""serves":[]"#,
            r#""serves":["!*"]"#,
            r#""serves":"eth_*""#,
            r#""serves":[1]"#,
            r#""serves":null"#,
            r#""recent_blocks":0"#,
            r#""recent_blocks":null"#,
        ] {
            assert!(is_mistake(edited(bad)), "{bad}");
        }
        let added = add(br#"{"url":"http://a","serves":["eth_call"],"recent_blocks":1}"#).unwrap();
        assert!(added.purpose.serves.has("eth_call") && !added.purpose.serves.has("eth_gasPrice"));
        assert_eq!(added.purpose.recent_blocks, RecentBlocks::Newest(1));
    }

    #[test]
    fn an_edit_in_words_shows_no_secret() {
        let edit = NodeEdit {
            role: Some(Role::Leader),
            ws_url: Some("ws://a/s3cret".into()),
            headers: Some([("x-key".to_string(), "s3cret".to_string())].into()),
            weight: None,
            in_flight_max: Some(InFlightMax::Fixed(20)),
            serves: Some("eth_*,!eth_getLogs".parse().unwrap()),
            recent_blocks: Some(RecentBlocks::Newest(128)),
            former_weight: None,
        };
        assert_eq!(
            in_words(&edit),
            "leader node, 20 calls in flight, serves eth_*,!eth_getLogs, 128 recent blocks, \
             another socket, headers [x-key]"
        );
    }
}

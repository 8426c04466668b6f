//! `forebay.nodes`: the nodes that a new registry starts with.
//!
//! URLs and headers stay as they are written; they are only checked with the environment put
//! in. No finding shows any of a URL or a header's value.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use serde_json::{Map, Value as Json, json};

use super::complaints::doubles;
use super::field::{Field, ReadContext, Section, below};
use super::form::Form;
use super::hidden::{HIDDEN, harmless, shown_url};
use super::node_purpose;
use forebay_core::vocabulary::node::{InFlightMax, NodeRecord, NodeSpec, NodeUrl, Role, Weight};
use forebay_core::vocabulary::target::{self, OwnAddresses};

/// The keys of a node, and what they mean.
pub(super) const KEYS: [(&str, &str); 11] = [
    (
        "url",
        "`http` or `https`, up to 2,048 bytes, with keys in the path or query if need be; no `user:password@`. It is needed",
    ),
    (
        "ws_url",
        "its WebSocket, `ws` or `wss`; the node's headers go with it. Left out: an own node is tried once at its `url`, the leader and fallback nodes aren't",
    ),
    ("ws", "the same as `ws_url`"),
    (
        "name",
        "up to 64 letters, digits and `. _ : -`, not `local`: it stands in headers, logs and metrics. Left out: its host and port",
    ),
    (
        "weight",
        "the share of calls relative to the others, 1 if left out; 0 drains",
    ),
    (
        "leader",
        "the reference and fallback; at most one node. Without one the nodes are compared with each other",
    ),
    (
        "fallback",
        "asked, as the leader is, only when no own node is fit",
    ),
    (
        "headers",
        "sent to the node with every call and probe; values may hold `${NAME}` (not `AWS_*`, `FOREBAY_*`). Not those that frame a message (`host`, `content-*`, `connection`, …)",
    ),
    (
        "in_flight_max",
        "the most [calls in flight](../guide/load.md#calls-in-flight). Left out: found (`auto`)",
    ),
    (
        "serves",
        "the methods that it is [asked for](../guide/routing.md#what-a-node-is-for): up to 64 names and globs; a `!` before one takes out. Left out: all",
    ),
    (
        "recent_blocks",
        "the newest blocks that it is asked for, its head among them; only narrows what is learnt. Left out: `all`",
    ),
];

/// Stands in for the URL while the rest of a record is checked.
const ANY_URL: &str = "http://node";

/// `listeners`: where we serve ourselves.
pub(super) fn form<S: 'static>(listeners: fn(&S) -> Vec<SocketAddr>) -> Form<S, Vec<NodeRecord>> {
    Form::beside(
        move |field, all| Some(nodes(field, &listeners(all))),
        |nodes| nodes.iter().map(shown).collect(),
    )
}

/// URLs stand with their variables, which say nothing; but a key may be written out.
fn shown(record: &NodeRecord) -> Json {
    let NodeRecord {
        url,
        ws_url,
        name,
        weight,
        role,
        in_flight_max,
        purpose,
        headers,
    } = record;
    let headers = headers.keys().map(|name| (name.clone(), json!(HIDDEN)));
    json!({
        "url": shown_url(url),
        "ws_url": ws_url.as_deref().map(shown_url),
        "name": name,
        "weight": weight.get(),
        "leader": *role == Role::Leader,
        "fallback": *role == Role::Fallback,
        "in_flight_max": in_flight_max,
        "serves": purpose.serves,
        "recent_blocks": purpose.recent_blocks,
        "headers": headers.collect::<Map<_, _>>(),
    })
}

/// Reads the list. Nodes that can't be told apart and a second leader are errors.
fn nodes(field: &Field<'_>, listeners: &[SocketAddr]) -> Vec<NodeRecord> {
    let context = field.context;
    let errors_before = context.findings.errors();
    let read = field.list(|item| Some((item.path.clone(), node(item)?)));
    let read = read.unwrap_or_default();
    let specs: Vec<(&str, NodeSpec)> = read
        .iter()
        .filter_map(|(path, record)| Some((path.as_str(), record.resolve(context.lookup).ok()?)))
        .collect();
    check_targets(context, &read, listeners);
    check_identities(context, &specs);
    check_leaders(context, &read);
    check_names(context, &read);
    if context.findings.errors() == errors_before && !specs.is_empty() {
        advise(field, &specs);
        judge_names(context, &specs);
    }
    read.into_iter().map(|(_, record)| record).collect()
}

/// One node; `None` when its URL can't be read at all.
fn node(item: &Field<'_>) -> Option<NodeRecord> {
    if !item.is_written() && !item.is_noted() {
        return None;
    }
    let section = item.section(&KEYS.map(|(key, _)| key));
    let url = section.field("url");
    if !url.is_written() {
        item.error("`url` is missing");
    }
    let weight: Option<u64> = section.field("weight").number(0..=u64::from(Weight::MAX));
    let weight = weight.and_then(|weight| Weight::new(weight).ok());
    // Whatever the URL is, the rest is read too: its mistakes are to be told as well.
    let rest = NodeRecord {
        ws_url: socket(&section),
        name: name(&section.field("name")),
        weight: weight.unwrap_or(Weight::ONE),
        role: role(&section.field("leader"), &section.field("fallback")),
        in_flight_max: in_flight_max(&section.field("in_flight_max")),
        purpose: node_purpose::read(&section),
        headers: headers(&section.field("headers")),
        ..NodeRecord::at(ANY_URL)
    };
    let at_url = NodeRecord::at(url.written()?);
    try_out(&url, &at_url);
    Some(NodeRecord {
        url: at_url.url,
        ..rest
    })
}

fn socket(section: &Section<'_>) -> Option<String> {
    if section.has("ws_url") && section.has("ws") {
        let message = "the same as `ws_url`; write one of them";
        section.field("ws").error(message);
    }
    if section.field("ws").is_noted() {
        // The one that isn't looked for where the other may stand.
        section.field("ws").written();
    }
    let field = section.first_written(&["ws_url", "ws"]);
    let ws_url = field.written()?.to_string();
    let record = NodeRecord {
        ws_url: Some(ws_url.clone()),
        ..NodeRecord::at(ANY_URL)
    };
    try_out(&field, &record);
    Some(ws_url)
}

/// Resolves a record that holds nothing but what stands at `field`, and reports its fault there.
fn try_out(field: &Field<'_>, record: &NodeRecord) {
    if let Err(why) = record.resolve(field.context.lookup) {
        field.error(harmless(&why));
    }
}

fn name(field: &Field<'_>) -> Option<String> {
    let name = field.text()?.value;
    let named = NodeRecord {
        name: Some(name.clone()),
        ..NodeRecord::at(ANY_URL)
    };
    try_out(field, &named);
    Some(name)
}

fn in_flight_max(field: &Field<'_>) -> InFlightMax {
    let form = format!("`auto` or a number from 1 to {}", InFlightMax::MOST);
    let read = field.parsed(&form, |text| text.parse().ok());
    read.unwrap_or_default()
}

fn role(leader: &Field<'_>, fallback: &Field<'_>) -> Role {
    let says = |field: &Field<'_>| field.boolean().unwrap_or_default();
    let (is_leader, is_fallback) = (says(leader), says(fallback));
    if is_leader && is_fallback {
        fallback.error("a node is the leader or a fallback, not both; the leader is one");
    }
    Role::of(is_leader, is_fallback)
}

fn headers(field: &Field<'_>) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for entry in field.texts() {
        let header = field.below(entry);
        let Some(value) = header.written() else {
            continue;
        };
        let one = BTreeMap::from([(entry.key.clone(), value.to_string())]);
        let record = NodeRecord {
            headers: one,
            ..NodeRecord::at(ANY_URL)
        };
        try_out(&header, &record);
        let doubled = headers
            .keys()
            .any(|name| name.eq_ignore_ascii_case(&entry.key));
        if doubled && !headers.contains_key(&entry.key) {
            header.error("the same header twice; case makes no difference");
        }
        headers.insert(entry.key.clone(), value.to_string());
    }
    headers
}

/// Where none of them may be.
fn check_targets(
    context: &ReadContext<'_>,
    read: &[(String, NodeRecord)],
    listeners: &[SocketAddr],
) {
    let ours = OwnAddresses {
        listeners,
        is_local: &is_local,
    };
    for (path, record) in read {
        let path = below(path, "url");
        if let Err(why) = target::check(record, true, ours, context.lookup) {
            context.error(&path, harmless(&why));
        }
        let url = NodeUrl::http(&record.url, context.lookup);
        if url.is_ok_and(|url| target::is_link_local(&url)) {
            context.warn(&path, "an address of this link alone: few nodes are there");
        }
    }
}

/// Whether `ip` is an address of this machine: others can't be bound.
pub fn is_local(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

fn check_identities(context: &ReadContext<'_>, specs: &[(&str, NodeSpec)]) {
    let urls = specs
        .iter()
        .map(|(path, spec)| (*path, spec.url.identity()));
    for (path, first) in doubles(urls) {
        context.error(&below(path, "url"), format!("the same URL as {first}"));
    }
}

fn check_leaders(context: &ReadContext<'_>, read: &[(String, NodeRecord)]) {
    let leaders = read
        .iter()
        .filter(|(_, record)| record.role == Role::Leader);
    for (path, first) in doubles(leaders.map(|(path, _)| (path, ()))) {
        context.error(
            &below(path, "leader"),
            format!("{first} is the leader already"),
        );
    }
}

fn check_names(context: &ReadContext<'_>, read: &[(String, NodeRecord)]) {
    let names = read.iter();
    let names = names.filter_map(|(path, record)| Some((path, record.name.as_deref()?)));
    for (path, first) in doubles(names) {
        context.error(&below(path, "name"), format!("the same name as {first}"));
    }
}

fn advise(field: &Field<'_>, specs: &[(&str, NodeSpec)]) {
    if specs.iter().all(|(_, spec)| spec.role != Role::Leader) {
        field.warn(
            "no node is the leader: the highest head that the nodes agree on is the reference, \
             and there is no fallback but nodes with `fallback: true`",
        );
    }
    let mut own = specs
        .iter()
        .filter(|(_, spec)| spec.role == Role::Own)
        .peekable();
    if own.peek().is_some() && own.all(|(_, spec)| spec.weight.drains()) {
        field.warn("every own node has weight 0: none of them gets a call");
    }
}

/// A node without a name goes by its host and port; no registry takes two of one name.
fn judge_names(context: &ReadContext<'_>, specs: &[(&str, NodeSpec)]) {
    for (path, first) in doubles(specs.iter().map(|(path, spec)| (*path, &spec.name))) {
        let message = format!("goes by the same name as {first}; give each a `name`");
        context.error(path, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{FULL, finds, finds_nothing, reading};

    #[test]
    fn terraforms_nodes_have_the_same_keys() {
        let variables = include_str!("../../infra/terraform/variables-forebay.tf");
        let mut wanted: Vec<_> = KEYS.map(|(key, _)| key).to_vec();
        wanted.retain(|key| *key != "ws");
        wanted.sort_unstable();
        let objects = variables.split("list(object({").skip(1);
        let objects: Vec<Vec<_>> = objects
            .filter_map(|object| object.split_once("}))"))
            .map(|(object, _)| {
                let lines = object.lines().filter_map(|line| line.split_once(" = "));
                let mut keys: Vec<_> = lines.map(|(key, _)| key.trim()).collect();
                keys.sort_unstable();
                keys
            })
            .collect();
        assert_eq!(
            objects,
            [wanted.clone(), wanted],
            "of one chain, and of several"
        );
    }

    #[test]
    fn the_most_calls_in_flight_are_found_or_fixed() {
        let node = |most: &str| format!("{{nodes: [{{url: \"http://a\"{most}}}]}}");
        for (most, wanted) in [
            ("", InFlightMax::Auto),
            (", in_flight_max: auto", InFlightMax::Auto),
            (", in_flight_max: 1", InFlightMax::Fixed(1)),
            (", in_flight_max: 10000", InFlightMax::Fixed(10_000)),
        ] {
            let yaml = format!("forebay: {}", node(most));
            let nodes = reading(&yaml).settings.unwrap().nodes;
            assert_eq!(nodes[0].in_flight_max, wanted, "{most}");
        }
        for most in ["0", "10001", "-1", "many", "1.5"] {
            let yaml = node(&format!(", in_flight_max: {most}"));
            finds(&yaml, "expected `auto` or a number from 1 to 10000");
        }
    }

    #[test]
    fn nodes_keep_their_references_to_the_environment() {
        let nodes = reading(FULL).settings.unwrap().nodes;
        assert_eq!(nodes[0].url, "https://node.example/v3/${KEY}");
        assert_eq!(nodes[0].name.as_deref(), Some("infura"));
        assert_eq!(nodes[1].headers["authorization"], "Bearer ${KEY}");
        assert_eq!(nodes[1].ws_url.as_deref(), Some("ws://10.0.0.11:8546"));
        assert_eq!(nodes[1].weight.get(), 2);
        let roles: Vec<Role> = nodes.iter().map(|node| node.role).collect();
        assert_eq!(roles, [Role::Leader, Role::Own, Role::Fallback]);
    }

    #[test]
    fn a_node_is_not_where_it_must_not_be() {
        finds(
            "{nodes: [{url: http://localhost:8545, leader: true}]}",
            "error: forebay.nodes[0].url: the URL is of one of our own listeners",
        );
        finds(
            "{nodes: [{url: \"http://[::ffff:a9fe:a9fe]\", leader: true}]}",
            "error: forebay.nodes[0].url: the URL is of the cloud's metadata service",
        );
        finds(
            "{nodes: [{url: \"http://${KEY}.example\", leader: true}]}",
            "error: forebay.nodes[0].url: a variable stands for a part",
        );
        finds(
            "{nodes: [{url: http://169.254.7.7, leader: true}]}",
            "warning: forebay.nodes[0].url: an address of this link",
        );
        finds_nothing("{nodes: [{url: \"http://${WORD}:8545\", leader: true}]}");
    }

    #[test]
    fn nodes_that_can_not_be_told_apart_are_mistakes() {
        let leader = "{url: https://lead, leader: true}";
        finds(
            &format!(
                "{{nodes: [{leader}, {{url: http://a/x}}, {{url: \"HTTP://A:80/x/\", name: b}}]}}"
            ),
            "forebay.nodes[2].url: the same URL as forebay.nodes[1]",
        );
        finds(
            &format!(
                "{{nodes: [{leader}, {{url: http://a, name: n}}, {{url: http://b, name: n}}]}}"
            ),
            "forebay.nodes[2].name: the same name as forebay.nodes[1]",
        );
        finds(
            &format!("{{nodes: [{leader}, {{url: http://a, leader: true}}]}}"),
            "forebay.nodes[1].leader: forebay.nodes[0] is the leader already",
        );
        finds(
            "{nodes: [{url: http://a, leader: true, fallback: true}]}",
            "not both",
        );
        finds(
            "{nodes: [{url: http://a, leader: true, ws: ws://a, ws_url: ws://a}]}",
            "the same as `ws_url`",
        );
        finds(
            "{nodes: [{url: http://a, leader: true, headers: {X-A: b, x-a: c}}]}",
            "the same header twice",
        );
        finds(
            "{nodes: [{url: http://a, leader: true, headers: {host: b}}]}",
            "forebay.nodes[0].headers.host: the header `host` can't be sent",
        );
        finds(
            "{nodes: [{url: http://a, leader: true, name: a b}]}",
            "forebay.nodes[0].name: the name is empty, longer",
        );
        finds(
            "{nodes: [{url: http://a, leader: true, ws: http://a}]}",
            "forebay.nodes[0].ws: the scheme is not one of ws, wss",
        );
    }
}

//! Settings that work and are unwise: what `check` warns about.
//!
//! Few, and each has bitten an operator. What concerns nodes is said where they are read.

use std::time::Duration;

use pingora::server::configuration::ServerConf;

use super::quantity::duration_text;
use super::settings::{RegistryKind, Settings, SharedKind};
use crate::config::field::ReadContext;
use forebay_core::fleet::spread::NODES_MAX;
use forebay_core::vocabulary::node::{NodeRecord, Role};

/// Amazon ECS kills a task 120 s after its SIGTERM at the latest; this leaves time to exit.
const SHUTDOWN_MAX: Duration = Duration::from_secs(110);

/// Warns about what stands under `forebay:`.
pub(super) fn on_settings(context: &ReadContext<'_>, settings: &Settings) {
    if settings.health.fall == 1 {
        context.warn(
            "forebay.health.fall",
            "one bad probe takes a node out; 2 or more ride out a hiccup",
        );
    }
    if settings.registry.kind == RegistryKind::Dynamo && settings.shared.kind == SharedKind::None {
        on_several(context, settings);
    }
    let is_alone = settings.registry.kind == RegistryKind::Embedded
        && settings.shared.kind == SharedKind::None;
    if settings.registry.share_leader && is_alone {
        let message = "has no effect with the embedded registry and without `forebay.shared`";
        context.warn("forebay.registry.share_leader", message);
    }
    let shutdown = settings.shutdown.lame_duck + settings.shutdown.drain;
    if shutdown > SHUTDOWN_MAX {
        let message = format!(
            "`lame_duck` and `drain` take {}, over {}: ECS kills a task after 2m",
            duration_text(shutdown),
            duration_text(SHUTDOWN_MAX),
        );
        context.warn("forebay.shutdown", message);
    }
}

/// Of balancers on one table that share nothing else.
fn on_several(context: &ReadContext<'_>, settings: &Settings) {
    if settings.calls.broadcast < NODES_MAX {
        let message = "without `forebay.shared` a client that sends through one balancer and asks another \
                       may miss its own transaction and nonce; `all` helps";
        context.warn("forebay.calls.broadcast", message);
    }
    let is_polled = |node: &NodeRecord| node.role == Role::Own && node.ws_url.is_none();
    if settings.nodes.iter().any(is_polled) {
        let message = "an own node without a `ws_url` is tried for a socket at its `url`; where it has none \
                       there, several balancers learn of its blocks at somewhat different times, and clients \
                       that go from one to another may be shown the older one: write its `ws_url`, or give \
                       `forebay.shared`";
        context.warn("forebay.nodes", message);
    }
}

/// Warns about Pingora's own keys.
pub(super) fn on_server(context: &ReadContext<'_>, server: &ServerConf) {
    if server.version != 1 {
        context.warn("version", "should be written, and 1");
    }
    if server.daemon {
        context.warn("daemon", "has no effect: `serve` stays in the foreground");
    }
    if context.root.entry("threads").is_none() {
        context.warn("threads", "left out: one thread; write the number of cores");
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{finds, finds_nothing};

    #[test]
    fn unwise_settings_are_warned_about() {
        finds(
            "{nodes: [{url: http://a}]}",
            "warning: forebay.nodes: no node is the leader",
        );
        let leader = "{url: https://lead, leader: true}";
        finds(
            &format!("{{nodes: [{leader}, {{url: http://a, weight: 0}}]}}"),
            "every own node has weight 0",
        );
        finds(
            &format!("{{nodes: [{leader}, {{url: http://a/x}}, {{url: http://a/y}}]}}"),
            "error: forebay.nodes[2]: goes by the same name as forebay.nodes[1]",
        );
        finds_nothing(&format!(
            "{{nodes: [{leader}, {{url: http://a, weight: 0}}, {{url: http://b}}]}}"
        ));
        finds(
            "{health: {fall: 1}}",
            "warning: forebay.health.fall: one bad probe",
        );
        finds(
            "{shutdown: {lame_duck: 91s}}",
            "warning: forebay.shutdown: `lame_duck` and `drain` take 111s, over 110s",
        );
        finds_nothing("{shutdown: {lame_duck: 90s}}");
    }

    #[test]
    fn balancers_on_one_table_that_share_nothing_are_told_what_their_nodes_lack() {
        let nodes = |own: &str, more: &str| {
            format!(
                "{{registry: {{kind: dynamodb}}, nodes: [{{url: https://lead, leader: true}}, \
                 {{url: http://a{own}}}]{more}}}"
            )
        };
        finds(
            &nodes("", ""),
            "warning: forebay.nodes: an own node without a `ws_url` is tried for a socket at its `url`",
        );
        finds_nothing(&nodes(", ws_url: ws://a", ""));
        finds_nothing(&nodes(
            "",
            ", shared: {kind: valkey, url: \"redis://:s3cret@a\"}",
        ));
    }
}

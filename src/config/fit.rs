//! Whether the settings that were read fit together.

use std::net::SocketAddr;

use super::field::{Field, ReadContext, Section};
use super::quantity::duration_text;
use super::settings::{CallSettings, HealthSettings, ListenSettings, Settings, table};
use super::{method_effects, server, sockets};

/// A shorter token can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// Tells what doesn't fit. Values that couldn't be read aren't judged.
pub(super) fn check(context: &ReadContext<'_>, forebay: &Section<'_>, settings: &Settings) {
    let group = |key: &str| forebay.field(key).group();
    if is_sound(context, "health") {
        check_health(&group("health"), &settings.health);
    }
    if is_sound(context, "listen") {
        check_listen(&forebay.field("listen"), &settings.listen);
    }
    check_admin(&forebay.field("admin"), settings);
    if is_sound(context, "calls.deadline") && is_sound(context, "calls.attempt") {
        check_calls(&group("calls"), &settings.calls);
    }
    if is_sound(context, "calls.by_method") {
        let field = forebay.field("calls").group().field("by_method");
        method_effects::check(&field, settings);
    }
    if is_sound(context, "nodes") && is_sound(context, "methods") {
        method_effects::check_nodes(&forebay.field("nodes"), settings);
    }
    sockets::check(context, &settings.sockets);
}

/// Whether the settings of a group, or the one with this key, were read without a mistake.
fn is_sound(context: &ReadContext<'_>, prefix: &str) -> bool {
    let table = table();
    let mut keys = table.iter().map(|setting| setting.key);
    keys.all(|key| {
        let is_below = key
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        !is_below
            || context
                .findings
                .is_sound(&format!("{}.{key}", server::FOREBAY))
    })
}

/// One probe at most is in flight at a node, so it must have ended before the next round.
fn check_health(section: &Section<'_>, health: &HealthSettings) {
    let rounds = [
        ("interval", health.interval),
        ("leader_interval", health.leader_interval),
    ];
    for (key, interval) in rounds {
        if health.timeout >= interval {
            let at = section.first_written(&["timeout", key]);
            let (timeout, interval) = (duration_text(health.timeout), duration_text(interval));
            at.error(format!(
                "`timeout` ({timeout}) must be shorter than `{key}` ({interval})"
            ));
            return;
        }
    }
}

/// No attempt outlasts its call.
fn check_calls(section: &Section<'_>, calls: &CallSettings) {
    if calls.deadline < calls.attempt {
        let (deadline, attempt) = (duration_text(calls.deadline), duration_text(calls.attempt));
        let at = section.first_written(&["attempt", "deadline"]);
        at.error(format!(
            "`attempt` ({attempt}) is longer than `deadline` ({deadline})"
        ));
    }
}

/// Judges the listener's address and the token together.
fn check_admin(field: &Field<'_>, settings: &Settings) {
    let listen = &settings.listen;
    let exposed = listen.admin.filter(|_| listen.is_admin_exposed());
    let Some(address) = exposed else { return };
    match &settings.admin.token {
        None => field.context.error(
            "forebay.listen.admin",
            format!(
                "others can reach {address}, so it needs a token: set `forebay.admin.token`, \
                 or listen on 127.0.0.1"
            ),
        ),
        Some(token) if token.reveal().len() < TOKEN_BYTES_MIN => field.warn(format!(
            "others can reach {address}, and a token under {TOKEN_BYTES_MIN} characters can be \
             guessed; `openssl rand -hex 32` makes a good one"
        )),
        Some(_) => {}
    }
}

/// No two addresses are the same, and there is one for clients.
fn check_listen(field: &Field<'_>, listen: &ListenSettings) {
    if listen.http.is_empty() && listen.https.is_empty() {
        field.error("neither `http` nor `https` has an address: there is nothing to serve on");
    }
    let mut seen: Vec<(String, SocketAddr)> = Vec::new();
    for (key, address) in addresses(field, listen) {
        let clash = seen.iter().find(|(_, other)| clash(address, *other));
        if let Some((other, _)) = clash {
            let message = format!("the same address as {other}");
            field.context.error(&key, message);
        }
        seen.push((key, address));
    }
}

/// Every address with the path of its key.
fn addresses(field: &Field<'_>, listen: &ListenSettings) -> Vec<(String, SocketAddr)> {
    let path = &field.path;
    let http = listen.http.iter().enumerate();
    let https = listen.https.iter().map(|https| https.address).enumerate();
    let others = [("metrics", listen.metrics), ("admin", listen.admin)];
    let others = others
        .into_iter()
        .filter_map(|(key, address)| Some((format!("{path}.{key}"), address?)));
    http.map(|(index, address)| (format!("{path}.http[{index}]"), *address))
        .chain(https.map(|(index, address)| (format!("{path}.https[{index}].address"), address)))
        .chain(others)
        .collect()
}

/// Whether the second of two couldn't be bound. Port 0 is any free port and never clashes.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    let meet = one.ip() == other.ip() || (one.is_ipv4() == other.is_ipv4() && everywhere);
    one.port() == other.port() && one.port() != 0 && meet
}

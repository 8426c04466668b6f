//! `forebay.admin`: who may use the admin listener.
//!
//! Whoever can reach an address off loopback could change the nodes, so there a token is needed.

use std::net::SocketAddr;

use super::field::Field;
use crate::config::field::ReadContext;
use crate::config::settings::AdminSettings;
use forebay_core::vocabulary::node::Secret;

/// A shorter token can be guessed.
const TOKEN_BYTES_MIN: usize = 16;
/// The longest token, in bytes: it has to fit into a header.
const TOKEN_BYTES_MAX: usize = 1024;
/// The longest name of a host (RFC 1035, 2.3.4), in bytes.
const HOST_BYTES_MAX: usize = 253;

pub(super) fn admin(field: &Field<'_>) -> AdminSettings {
    let section = field.section(&["token", "hosts"]);
    AdminSettings {
        token: token(&section.field("token")),
        hosts: section.field("hosts").list(host).unwrap_or_default(),
    }
}

fn token(field: &Field<'_>) -> Option<Secret> {
    let token = field.text()?.value;
    let fits = token.len() <= TOKEN_BYTES_MAX && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        field.error(format!(
            "a token has up to {TOKEN_BYTES_MAX} letters, digits and signs, and no space"
        ));
        return None;
    }
    (!token.is_empty()).then(|| Secret::new(token))
}

fn host(item: &Field<'_>) -> Option<String> {
    item.parsed(
        "a host's name without a port, as in `forebay.internal`",
        |text| {
            let clean = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            let fits = !text.is_empty() && text.len() <= HOST_BYTES_MAX;
            (fits && text.bytes().all(clean)).then(|| text.to_ascii_lowercase())
        },
    )
}

/// Judges the listener's address and the token together.
pub(super) fn check(
    context: &ReadContext<'_>,
    field: &Field<'_>,
    address: Option<SocketAddr>,
    admin: &AdminSettings,
) {
    let exposed = address.filter(|address| !address.ip().to_canonical().is_loopback());
    let Some(address) = exposed else { return };
    match &admin.token {
        None => context.error(
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

#[cfg(test)]
mod tests {
    use crate::config::tests::{finds, finds_nothing, reading};

    #[test]
    fn an_admin_listener_off_loopback_needs_a_token() {
        for address in ["0.0.0.0:9091", "10.0.0.1:9091", "[::]:9091"] {
            finds(
                &format!("{{listen: {{admin: \"{address}\"}}}}"),
                "error: forebay.listen.admin: others can reach",
            );
            finds(
                &format!("{{listen: {{admin: \"{address}\"}}, admin: {{token: 123456789012345}}}}"),
                "warning: forebay.admin: others can reach",
            );
            finds_nothing(&format!(
                "{{listen: {{admin: \"{address}\"}}, admin: {{token: 1234567890123456}}}}"
            ));
        }
        for address in ["127.0.0.1:9091", "127.1.2.3:9091", "[::1]:9091", "off"] {
            finds_nothing(&format!("{{listen: {{admin: \"{address}\"}}}}"));
        }
    }

    #[test]
    fn a_token_can_be_sent_and_a_host_is_a_name() {
        finds("{admin: {token: \"a b\"}}", "and no space");
        finds_nothing(&format!("{{admin: {{token: {}}}}}", "x".repeat(1024)));
        finds(
            &format!("{{admin: {{token: {}}}}}", "x".repeat(1025)),
            "up to 1024",
        );
        finds("{admin: {hosts: [\"a:1\"]}}", "a host's name");
        let hosts = reading("forebay: {admin: {hosts: [Forebay.Internal]}}");
        assert_eq!(hosts.settings.unwrap().admin.hosts, ["forebay.internal"]);
    }
}

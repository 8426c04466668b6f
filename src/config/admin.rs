//! `forebay.admin`: which requests the admin listener takes.
//!
//! An attacker who can reach an address off loopback could change the nodes, so there a token is needed.

use super::field::Field;
use super::form::Form;
use super::hidden::HIDDEN;
use forebay_core::vocabulary::node::Secret;
use forebay_core::wire::chain_path::HOST_BYTES_MAX;

/// The longest token, in bytes: it has to fit into a header.
pub(super) const TOKEN_BYTES_MAX: usize = 1024;

pub(super) fn token<S: 'static>() -> Form<S, Option<Secret>> {
    Form::new(
        |field| read_token(field).map(Some),
        |token| token.as_ref().map(|_| HIDDEN).into(),
    )
}

fn read_token(field: &Field<'_>) -> Option<Secret> {
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

pub(super) fn host(item: &Field<'_>) -> Option<String> {
    item.parsed(
        "a host's name without a port, as in `forebay.internal`",
        |text| {
            let clean = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            let fits = !text.is_empty() && text.len() <= HOST_BYTES_MAX;
            (fits && text.bytes().all(clean)).then(|| text.to_ascii_lowercase())
        },
    )
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

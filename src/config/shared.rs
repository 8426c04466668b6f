//! `forebay.shared`: the store that balancers share, Valkey or Redis. Its URL may hold a password, so no
//! error shows it.

use url::Url;

use super::field::Field;
use super::form::Form;
use super::hidden::before_path;
use forebay_core::vocabulary::node::Secret;

/// Which store there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedKind {
    None,
    Valkey,
}

impl SharedKind {
    pub(super) const WORDS: &[(&str, SharedKind)] =
        &[("none", SharedKind::None), ("valkey", SharedKind::Valkey)];
}

/// Needed where `kind` says that there is a store.
pub(super) fn url<S: 'static>(kind: fn(&S) -> SharedKind) -> Form<S, Option<Secret>> {
    let read = move |field: &Field<'_>, all: &S| {
        let url = read_url(field);
        if kind(all) == SharedKind::Valkey && url.is_none() && !field.is_written() {
            field.error("is needed with `kind: valkey`, as in `redis://cache.internal:6379`");
        }
        url.map(Some)
    };
    Form::beside(read, |url| {
        url.as_ref().map(|url| before_path(url.reveal())).into()
    })
}

fn read_url(field: &Field<'_>) -> Option<Secret> {
    let text = field.text()?.value;
    let is_fit = |url: Url| matches!(url.scheme(), "redis" | "rediss") && url.has_host();
    if !Url::parse(text.trim()).is_ok_and(is_fit) {
        field.error(
            "expected a URL of a Valkey or Redis server, as in `redis://cache.internal:6379` or \
             `rediss://user:${PASSWORD}@cache.internal:6379`",
        );
        return None;
    }
    Some(Secret::new(text.trim().to_string()))
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{finds, finds_nothing, reading};

    #[test]
    fn a_store_needs_a_url_and_no_error_shows_a_password() {
        finds_nothing("{shared: {kind: none}}");
        finds_nothing("{shared: {kind: valkey, url: \"redis://127.0.0.1:6379\"}}");
        finds_nothing("{shared: {kind: valkey, url: \"rediss://user:s3cret@cache:6379/1\"}}");
        finds(
            "{shared: {kind: valkey}}",
            "error: forebay.shared.url: is needed",
        );
        finds("{shared: {kind: redis}}", "error: forebay.shared.kind: ");
        for url in ["http://user:s3cret@cache", "cache:s3cret", "redis://"] {
            let text = format!("{{shared: {{kind: valkey, url: \"{url}\"}}}}");
            finds(
                &text,
                "error: forebay.shared.url: expected a URL of a Valkey",
            );
        }
        let whole = "version: 1\nthreads: 1\nforebay: {shared: {kind: valkey, url: \"redis://u:s3cret@c\"}}";
        let settings = reading(whole).settings.unwrap();
        assert!(!format!("{settings:?}").contains("s3cret"));
    }
}

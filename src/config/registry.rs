//! `forebay.registry`: where the nodes are written down.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value as Json;
use url::Url;

use super::field::Field;
use super::form::Form;
use super::quantity::duration_text;

/// DynamoDB's own limits of a name, with room for `-state`.
pub(super) const TABLE_BYTES: RangeInclusive<usize> = 3..=249;
const LEASES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// Where that is long enough for the rounds.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// The holder of the lease renews it so many times within it, once a round of health.
const ROUNDS_A_LEASE: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryKind {
    Embedded,
    Dynamo,
}

impl RegistryKind {
    pub(super) const WORDS: &[(&str, RegistryKind)] = &[
        ("embedded", RegistryKind::Embedded),
        ("dynamodb", RegistryKind::Dynamo),
    ];
}

/// The shortest lease at `interval` between two rounds of health.
pub(super) fn lease_min(interval: Duration) -> Duration {
    interval * ROUNDS_A_LEASE
}

/// Left out, it is as long as the rounds need.
pub(super) fn lease<S: 'static>(interval: fn(&S) -> Duration) -> Form<S, Duration> {
    let read = move |field: &Field<'_>, all: &S| {
        let least = lease_min(interval(all));
        let lease = field.duration(LEASES).unwrap_or(LEASE.max(least));
        if lease < least {
            let (lease, least) = (duration_text(lease), duration_text(least));
            field.error(format!(
                "must be at least {least}, three times `health.interval`, not {lease}"
            ));
        }
        Some(lease)
    };
    Form::beside(read, |lease| Json::from(duration_text(*lease)))
}

pub(super) fn table(field: &Field<'_>) -> Option<String> {
    let form = "a table's name: 3 to 249 letters, digits and . _ -";
    field.parsed(form, |text| {
        let clean = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = TABLE_BYTES.contains(&text.len()) && text.bytes().all(clean);
        fits.then(|| text.to_string())
    })
}

pub(super) fn endpoint(field: &Field<'_>) -> Option<String> {
    field.parsed(
        "a URL without a password, as in `http://127.0.0.1:8000`",
        |text| {
            let url = Url::parse(text.trim()).ok()?;
            let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
            // It is shown as it stands.
            let is_open = url.username().is_empty() && url.password().is_none();
            (is_http && is_open).then(|| text.trim().to_string())
        },
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::settings::RegistryKind;
    use crate::config::tests::{finds, finds_nothing, reading};

    #[test]
    fn a_table_in_dynamodb_is_named_and_the_rest_has_defaults() {
        let read = |text: &str| reading(text).settings.unwrap().registry;
        let registry = read("forebay: {registry: {kind: dynamodb}}");
        assert_eq!(registry.kind, RegistryKind::Dynamo);
        assert_eq!(registry.table, "forebay-backends");
        assert_eq!(registry.lease, Duration::from_secs(30));
        let registry = read("forebay: {health: {interval: 1m}}");
        assert_eq!(registry.lease, Duration::from_secs(180));
    }

    #[test]
    fn a_name_an_endpoint_and_a_lease_must_be_such() {
        let name = |length: usize| format!("{{registry: {{table: {}}}}}", "t".repeat(length));
        finds_nothing(&name(3));
        finds_nothing(&name(249));
        finds(&name(2), "expected a table's name");
        finds(&name(250), "expected a table's name");
        finds("{registry: {table: \"a b c\"}}", "expected a table's name");
        finds(
            "{registry: {endpoint: \"127.0.0.1:8000\"}}",
            "expected a URL",
        );
        finds("{registry: {endpoint: \"file:///x\"}}", "expected a URL");
        finds(
            "{registry: {endpoint: \"http://who:secret@127.0.0.1:8000\"}}",
            "expected a URL without a password",
        );
        finds_nothing("{registry: {endpoint: \"http://127.0.0.1:8000\"}}");
        finds_nothing("{registry: {lease: 15s}}");
        finds("{registry: {lease: 14999ms}}", "must be at least 15s");
        finds("{registry: {lease: 3600001ms}}", "must be 1s to 1h");
        finds(
            "{registry: {share_leader: true}}",
            "warning: forebay.registry.share_leader",
        );
        finds_nothing("{registry: {kind: dynamodb, share_leader: true}}");
        finds_nothing(
            "{registry: {share_leader: true}, shared: {kind: valkey, url: \"redis://:s3cret@a\"}}",
        );
    }
}

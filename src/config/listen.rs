//! `forebay.listen`: the addresses that we serve on.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde_json::{Value as Json, json};

use super::field::Field;
use super::form::{Form, read_path, shown_path};
use forebay_core::wire::forwarded;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsListener {
    pub address: SocketAddr,
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub h2: bool,
}

fn address_or_off(field: &Field<'_>) -> Option<SocketAddr> {
    let text = field.text()?;
    match text.value.trim() {
        "off" | "false" => None,
        _ => field.address(),
    }
}

fn shown(address: &Option<SocketAddr>) -> Json {
    Json::from(address.map_or("off".to_string(), |address| address.to_string()))
}

/// A key with nothing beside it is off, too.
pub(super) fn metrics<S: 'static>() -> Form<S, Option<SocketAddr>> {
    Form::new(
        |field| field.has_key().then(|| address_or_off(field)),
        shown,
    )
}

pub(super) fn admin<S: 'static>() -> Form<S, Option<SocketAddr>> {
    Form::new(|field| Some(address_or_off(field)), shown)
}

pub(super) fn https<S: 'static>() -> Form<S, Vec<HttpsListener>> {
    let shown = |https: &HttpsListener| {
        json!({
            "address": https.address.to_string(),
            "certificate": shown_path(&https.certificate),
            "key": shown_path(&https.key),
            "h2": https.h2,
        })
    };
    Form::new(
        |field| field.list(listener),
        move |https| https.iter().map(shown).collect(),
    )
}

fn listener(item: &Field<'_>) -> Option<HttpsListener> {
    let section = item.section(&["address", "certificate", "key", "h2"]);
    for key in ["address", "certificate", "key"] {
        if !section.field(key).is_written() {
            item.error(format!("`{key}` is missing"));
        }
    }
    // All of them are read, so that all mistakes are told.
    let address = section.field("address").address();
    let certificate = read_path(&section.field("certificate"));
    let key = read_path(&section.field("key"));
    let h2 = section.field("h2").boolean().unwrap_or(true);
    Some(HttpsListener {
        address: address?,
        certificate: certificate?,
        key: key?,
        h2,
    })
}

pub(super) fn network(item: &Field<'_>) -> Option<IpNet> {
    item.parsed("a network, as in `10.0.0.0/8` or `fd00::/8`", |text| {
        forwarded::network(text.trim())
    })
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{finds, finds_nothing};

    #[test]
    fn addresses_that_clash_are_told() {
        finds(
            "{listen: {metrics: \"0.0.0.0:8545\"}}",
            "forebay.listen.metrics: the same address as forebay.listen.http[0]",
        );
        finds(
            "{listen: {http: [\"10.0.0.1:9090\"]}}",
            "forebay.listen.metrics: the same address",
        );
        finds(
            "{listen: {http: [\"10.0.0.1:1\", \"10.0.0.1:1\"]}}",
            "forebay.listen.http[1]: the same address",
        );
        finds("{listen: {http: []}}", "nothing to serve on");
        finds_nothing(
            "{listen: {http: [\"127.0.0.1:0\", \"127.0.0.1:0\", \"10.0.0.1:1\", \"10.0.0.2:1\", \"[::]:9090\"]}}",
        );
    }
}

//! `forebay.listen`: the addresses that we serve on, no two of them the same.

use std::net::SocketAddr;

use super::field::Field;
use crate::config::field::ReadContext;
use crate::config::from_file::path;
use crate::config::settings::{HttpsListener, ListenSettings};
use forebay_core::wire::forwarded::Network;

/// Reads the addresses. A clash between two of them is an error.
pub(super) fn listen(context: &ReadContext<'_>, field: &Field<'_>) -> ListenSettings {
    let section = field.section(&[
        "http",
        "https",
        "metrics",
        "admin",
        "trusted_proxies",
        "compression",
        "trail_for",
    ]);
    let default = ListenSettings::default();
    let metrics = section.field("metrics");
    let errors_before = context.findings.errors();
    let listen = ListenSettings {
        http: section
            .field("http")
            .list(Field::address)
            .unwrap_or(default.http),
        https: section.field("https").list(https).unwrap_or_default(),
        metrics: match section.has("metrics") {
            true => address_or_off(&metrics),
            false => default.metrics,
        },
        admin: address_or_off(&section.field("admin")),
        trusted_proxies: section
            .field("trusted_proxies")
            .list(cidr)
            .unwrap_or_default(),
        compression: section
            .field("compression")
            .choice(&[
                ("on", true),
                ("off", false),
                ("true", true),
                ("false", false),
            ])
            .unwrap_or(default.compression),
        trail_for: section.field("trail_for").list(cidr).unwrap_or_default(),
    };
    if context.findings.errors() == errors_before {
        check(context, field, &listen);
    }
    listen
}

fn address_or_off(field: &Field<'_>) -> Option<SocketAddr> {
    let text = field.text()?;
    match text.value.trim() {
        "off" | "false" => None,
        _ => field.address(),
    }
}

fn https(item: &Field<'_>) -> Option<HttpsListener> {
    let section = item.section(&["address", "certificate", "key", "h2"]);
    for key in ["address", "certificate", "key"] {
        if !section.field(key).is_written() {
            item.error(format!("`{key}` is missing"));
        }
    }
    // All of them are read, so that all mistakes are told.
    let address = section.field("address").address();
    let certificate = path(&section.field("certificate"));
    let key = path(&section.field("key"));
    let h2 = section.field("h2").boolean().unwrap_or(true);
    Some(HttpsListener {
        address: address?,
        certificate: certificate?,
        key: key?,
        h2,
    })
}

fn cidr(item: &Field<'_>) -> Option<Network> {
    item.parsed("a network, as in `10.0.0.0/8` or `fd00::/8`", |text| {
        Network::read(text.trim())
    })
}

fn check(context: &ReadContext<'_>, field: &Field<'_>, listen: &ListenSettings) {
    if listen.http.is_empty() && listen.https.is_empty() {
        field.error("neither `http` nor `https` has an address: there is nothing to serve on");
    }
    let mut seen: Vec<(String, SocketAddr)> = Vec::new();
    for (key, address) in addresses(field, listen) {
        let clash = seen.iter().find(|(_, other)| clash(address, *other));
        if let Some((other, _)) = clash {
            context.error(&key, format!("the same address as {other}"));
        }
        seen.push((key, address));
    }
}

/// Every address with the path of its key.
fn addresses(field: &Field<'_>, listen: &ListenSettings) -> Vec<(String, SocketAddr)> {
    let path = &field.path;
    let http = listen.http.iter().enumerate();
    let https = listen.https.iter().map(|https| https.address).enumerate();
    http.map(|(index, address)| (format!("{path}.http[{index}]"), *address))
        .chain(https.map(|(index, address)| (format!("{path}.https[{index}].address"), address)))
        .chain(
            listen
                .metrics
                .map(|address| (format!("{path}.metrics"), address)),
        )
        .chain(
            listen
                .admin
                .map(|address| (format!("{path}.admin"), address)),
        )
        .collect()
}

/// Whether the second of two couldn't be bound. Port 0 is any free port and never clashes.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    let meet = one.ip() == other.ip() || (one.is_ipv4() == other.is_ipv4() && everywhere);
    one.port() == other.port() && one.port() != 0 && meet
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

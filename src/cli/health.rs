//! `forebay health`: asks a running balancer, for an image's health check.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::cli::error::CommandError;
use crate::config::settings::ListenSettings;

const PATIENCE: Duration = Duration::from_secs(3);

pub fn run(listen: &ListenSettings) -> Result<(), CommandError> {
    let plain = listen.http.iter().map(|address| ("http", *address));
    let secure = listen.https.iter().map(|https| ("https", https.address));
    let Some((scheme, address)) = plain.chain(secure).next() else {
        return Err(CommandError::refused("there is no listener to ask"));
    };
    let address = reachable(address);
    super::setup::runtime()?.block_on(async {
        // It is our own, asked by its address, which no certificate names.
        let client = client(PATIENCE).tls_danger_accept_invalid_certs(true);
        let client = client.build().map_err(CommandError::refused)?;
        let asked = client
            .get(format!("{scheme}://{address}/health"))
            .send()
            .await;
        let answer =
            asked.map_err(|_| CommandError::refused(format!("nothing answers at {address}")))?;
        let is_ready = answer.status().is_success();
        let text = answer.text().await.unwrap_or_default();
        // A caller that reads the exit code alone may have closed stdout.
        drop(writeln!(io::stdout(), "{text}"));
        if is_ready {
            Ok(())
        } else {
            Err(CommandError::refused("not ready"))
        }
    })
}

/// What asks a balancer of this machine.
pub(super) fn client(patience: Duration) -> reqwest::ClientBuilder {
    crate::node::install_tls();
    reqwest::Client::builder().no_proxy().timeout(patience)
}

/// Where a listener on all addresses can be reached from here.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

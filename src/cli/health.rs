//! `forebay health`: asks a running balancer, for an image's health check.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::Failure;
use crate::config::settings::Settings;

const PATIENCE: Duration = Duration::from_secs(3);

pub fn run(settings: &Settings) -> Result<(), Failure> {
    let address = settings.listen.http.first().copied();
    let Some(address) = address.map(reachable) else {
        return Err(Failure::refused("there is no http listener to ask"));
    };
    crate::upstream::install_tls();
    super::runtime()?.block_on(async {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build();
        let client = client.map_err(Failure::refused)?;
        let asked = client.get(format!("http://{address}/health")).send().await;
        let answer = asked.map_err(|_| Failure::refused(format!("nobody answers at {address}")))?;
        let is_ready = answer.status().is_success();
        let text = answer.text().await.unwrap_or_default();
        // Whoever reads the exit code alone has closed this.
        drop(writeln!(io::stdout(), "{text}"));
        if is_ready {
            Ok(())
        } else {
            Err(Failure::refused("not ready"))
        }
    })
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

//! Names into addresses, by the system's resolver.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use forebay_core::vocabulary::metadata_service::is_metadata;

/// The longest that a lookup may take.
pub const LOOKUP_TIME_MAX: Duration = Duration::from_secs(5);

/// The addresses of `host` (a name or an IP literal without brackets): IPv4 before IPv6, else in
/// the system's order, each once.
///
/// # Errors
/// What the system says, or `TimedOut` after [`LOOKUP_TIME_MAX`]. A name that leads to a cloud's metadata service
/// leads nowhere: that would take what we send for the instance's own request.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = timeout(LOOKUP_TIME_MAX, lookup_host((host, port))).await??;
    let found = in_order(found.collect());
    if found.iter().any(|address| is_metadata(address.ip())) {
        return Err(io::Error::other("it leads to the cloud's metadata service"));
    }
    Ok(found)
}

fn in_order(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut distinct = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_once_each_and_ipv4_first() {
        let parse = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let found = parse(&[
            "[::2]:1",
            "10.0.0.2:1",
            "[::1]:1",
            "10.0.0.1:1",
            "10.0.0.2:1",
        ]);
        let wanted = parse(&["10.0.0.2:1", "10.0.0.1:1", "[::2]:1", "[::1]:1"]);
        assert_eq!(in_order(found), wanted);
    }

    #[tokio::test]
    async fn a_literal_resolves_to_itself() {
        let found = resolve("127.0.0.1", 8545).await.unwrap();
        assert_eq!(found, ["127.0.0.1:8545".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_name_that_cannot_exist_is_an_error() {
        assert!(resolve("no such name", 1).await.is_err());
    }

    #[tokio::test]
    async fn nothing_leads_to_a_clouds_metadata_service() {
        for host in ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"] {
            let refused = resolve(host, 80).await.unwrap_err().to_string();
            assert!(refused.contains("metadata"), "{refused}");
        }
    }
}

//! Where clouds have their metadata service, which would answer us with our credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Host;

/// Of AWS, Azure, Google and others; of ECS's and EKS's credentials; of Alibaba.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(100, 100, 100, 200),
];
/// Of EC2, and of EKS's credentials.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
];
/// Google's, and one that resolves inside EC2.
const METADATA_NAMES: [&str; 4] = [
    "metadata.google.internal",
    "metadata.goog",
    "metadata",
    "instance-data",
];

/// Whether a cloud's metadata service is there, also as IPv6 writes an IPv4 address.
pub fn is_metadata(ip: IpAddr) -> bool {
    match plain(ip) {
        IpAddr::V4(ip) => METADATA_V4.contains(&ip),
        IpAddr::V6(ip) => METADATA_V6.contains(&ip),
    }
}

/// Whether `host` is such a service, however it is written.
pub fn is_metadata_host(host: Option<Host<&str>>) -> bool {
    match host {
        Some(Host::Ipv4(ip)) => is_metadata(ip.into()),
        Some(Host::Ipv6(ip)) => is_metadata(ip.into()),
        Some(Host::Domain(name)) => METADATA_NAMES.contains(&name.trim_end_matches('.')),
        None => false,
    }
}

/// Mapped, compatible and NAT64's addresses (RFC 4291 §2.5.5, RFC 6052 §2.1) as the IPv4 ones they mean.
pub(crate) fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let in_v6 = match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] if high > 0 => Some((high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((high, low)),
        _ => None,
    };
    in_v6.map_or(ip, |(high, low)| {
        IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
    })
}

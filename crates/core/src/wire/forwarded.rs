//! Which client's call it is when it comes through proxies.
//!
//! A proxy appends to `X-Forwarded-For` the address that it was called from, so only the end of
//! the list is worth anything: it is read from there, and only as far as trusted proxies wrote
//! it. Whatever a client put before that is passed over. `Forwarded` (RFC 7239) is not read: where
//! a proxy writes one of the two, the other is still the client's to invent.

use std::net::IpAddr;

use ipnet::IpNet;

/// Addresses of one request that are looked at; proxies in a row are few.
pub const HOPS_MAX: usize = 32;

/// Reads `10.0.0.0/8`; what stands behind the bits that count says nothing. An IPv4 address written as IPv6
/// (`::ffff:10.0.0.1`) is the IPv4 address.
pub fn network(text: &str) -> Option<IpNet> {
    let (address, _) = text.split_once('/')?;
    // Stricter than what `ipnet` reads: `010.0.0.0` is 8.0.0.0 to some.
    address.parse::<IpAddr>().ok()?;
    let network: IpNet = text.parse().ok()?;
    // `::ffff:10.0.0.0/104` is `10.0.0.0/8`; with fewer bits it is more than IPv4.
    match (
        network.prefix_len().checked_sub(96),
        network.addr().to_canonical(),
    ) {
        (Some(bits), inner @ IpAddr::V4(_)) if network.addr().is_ipv6() => {
            IpNet::new(inner, bits).ok()
        }
        _ => Some(network),
    }
}

/// Whether one of `networks` has `address`.
pub fn has(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// The proxies whose word is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Those whose addresses are in `networks`; none is trusted where there are none.
    pub fn new(networks: Vec<IpNet>) -> TrustedProxies {
        TrustedProxies(networks)
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        has(&self.0, address)
    }

    /// The client's address of a request that came from `peer`: the last one in `forwarded` (the
    /// values of all `X-Forwarded-For`, in their order) that is no trusted proxy's. Where
    /// something else than an address stands there, it is that of the proxy that took it.
    pub fn client<'v, I>(&self, peer: IpAddr, forwarded: I) -> IpAddr
    where
        I: IntoIterator<Item = &'v [u8], IntoIter: DoubleEndedIterator>,
    {
        let mut client = peer.to_canonical();
        if !self.is_trusted(client) {
            return client;
        }
        let hops = forwarded.into_iter().rev();
        let hops = hops.flat_map(|value| value.rsplit(|byte| *byte == b','));
        // A list may have empty members (RFC 9110 §5.6.1).
        let hops = hops.map(<[u8]>::trim_ascii).filter(|hop| !hop.is_empty());
        for hop in hops.take(HOPS_MAX) {
            let Some(address) = address(hop) else { break };
            client = address;
            if !self.is_trusted(client) {
                break;
            }
        }
        client
    }
}

/// An address, also with a port behind it or in brackets, as some proxies write it.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, after) = rest.split_once(']')?;
            let is_port = after.is_empty() || is_port(after.strip_prefix(':')?);
            is_port.then_some(inner)?
        }
        None => match text.split_once(':') {
            Some((v4, port)) if v4.contains('.') && is_port(port) => v4,
            Some(_) | None => text,
        },
    };
    let address: IpAddr = bare.parse().ok()?;
    Some(address.to_canonical())
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> TrustedProxies {
        let networks = ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"];
        TrustedProxies::new(networks.map(|text| network(text).unwrap()).to_vec())
    }

    #[test]
    fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
        for (peer, forwarded, client) in [
            // No word but a trusted proxy's is believed.
            ("203.0.113.9", &["1.1.1.1"][..], "203.0.113.9"),
            ("fc00::1", &["1.1.1.1"], "fc00::1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            // What a client wrote stands before what the proxy wrote.
            ("10.0.0.1", &["8.8.8.8, 1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["10.0.0.9, 1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1, 10.0.0.2 ,10.3.0.4"], "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1, 192.0.2.7"], "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1, 192.0.2.8"], "192.0.2.8"),
            // Several headers are one list.
            ("10.0.0.1", &["8.8.8.8", "1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1", "10.0.0.2"], "1.1.1.1"),
            // All of them proxies: the furthest.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // IPv6, in all its dresses.
            ("fd00::1", &["2001:db8::5"], "2001:db8::5"),
            ("fd00::1", &["[2001:db8::5]"], "2001:db8::5"),
            ("fd00::1", &["[2001:db8::5]:443"], "2001:db8::5"),
            ("fd00::1", &["1.1.1.1, fdff::2"], "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1:50000"], "1.1.1.1"),
            ("::ffff:10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["1.1.1.1, ::ffff:10.0.0.2"], "1.1.1.1"),
            ("10.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1"),
            ("::ffff:203.0.113.9", &["1.1.1.1"], "203.0.113.9"),
            // Behind what is no address nothing is believed.
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1, _hidden, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["1.1.1.1, 999.1.1.1"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1:x"], "10.0.0.1"),
            ("10.0.0.1", &["[1.1.1.1"], "10.0.0.1"),
            ("10.0.0.1", &["[::1]x"], "10.0.0.1"),
            ("10.0.0.1", &["for=1.1.1.1"], "10.0.0.1"),
            // Empty members are none.
            ("10.0.0.1", &["1.1.1.1,, ,"], "1.1.1.1"),
            ("10.0.0.1", &["", ","], "10.0.0.1"),
        ] {
            let found = trusted().client(
                peer.parse().unwrap(),
                forwarded.iter().map(|value| value.as_bytes()),
            );
            assert_eq!(found.to_string(), client, "{peer} {forwarded:?}");
        }
        let binary = [&[0xff, b',', b' ', 0xc3][..]];
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(trusted().client(peer, binary), peer);
    }

    #[test]
    fn so_many_addresses_are_looked_at_and_not_one_more() {
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let client = |proxies: usize| {
            let list = format!("1.1.1.1{}", ", 10.0.0.2".repeat(proxies));
            trusted().client(peer, [list.as_bytes()]).to_string()
        };
        assert_eq!(client(HOPS_MAX - 1), "1.1.1.1");
        assert_eq!(client(HOPS_MAX), "10.0.0.2");
    }

    #[test]
    fn a_network_is_an_address_and_how_many_of_its_bits_count() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.9.9.9", "11.0.0.0"),
            ("192.0.2.7/32", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.0/31", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "255.1.1.1", "::1"),
            ("::/0", "ff::1", "10.0.0.1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1/128", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.2.2.2", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.2.2.2", "::10.2.2.2"),
        ] {
            let network = [network(text).unwrap()];
            assert!(has(&network, inside.parse().unwrap()), "{text} {inside}");
            assert!(!has(&network, outside.parse().unwrap()), "{text} {outside}");
        }
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/+8",
            "010.0.0.0/8",
            "1:2:3:4:5:6:7::8/64",
            "10.0/8",
            "a/8",
            "/8",
            "10.0.0.0/8/8",
            "::1%eth0/64",
        ] {
            assert_eq!(network(bad), None, "{bad}");
        }
    }
}

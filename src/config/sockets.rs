//! `forebay.sockets`: what clients' sockets are held to.

use super::field::ReadContext;
use super::settings::{Settings, SocketSettings};

/// Sockets of one client's address, where trusted proxies tell it. Many clients may share one behind a
/// provider's NAT.
pub(super) const PER_CLIENT_ADDRESS_MAX: usize = 1000;
/// The part of all sockets that one address may have where it may be a load balancer's, with all
/// clients behind it: so one alone doesn't take them all.
const PER_ADDRESS_PARTS: (usize, usize) = (3, 4);

impl Settings {
    /// Clients' sockets of one address at most, where there is room for so many in all.
    pub fn sockets_max_per_address(&self, room: usize) -> usize {
        let all = self.sockets.sockets_max.min(room);
        let (part, parts) = PER_ADDRESS_PARTS;
        let default = match self.listen.trusted_proxies.is_empty() {
            true => (all * part).div_ceil(parts),
            false => PER_CLIENT_ADDRESS_MAX.min(all),
        };
        self.sockets.per_address_max.unwrap_or(default)
    }
}

pub(super) fn check(context: &ReadContext<'_>, sockets: &SocketSettings) {
    let sockets_max = sockets.sockets_max;
    if sockets
        .per_address_max
        .is_some_and(|most| most > sockets_max)
    {
        context.warn(
            "forebay.sockets.per_address_max",
            format!("never reached: `sockets_max` is {sockets_max}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{finds, finds_nothing};

    #[test]
    fn one_address_has_a_limit_by_default_and_a_client_behind_a_proxy_its_own() {
        let mut settings = Settings::default();
        let per_address = |settings: &Settings| settings.sockets_max_per_address(usize::MAX);
        assert_eq!(
            per_address(&settings),
            15_000,
            "it may be a load balancer's"
        );
        settings.sockets.sockets_max = 1;
        assert_eq!(per_address(&settings), 1, "and it has one at least");
        settings.sockets.sockets_max = 20_000;
        let network = "10.0.0.0/8".parse().unwrap();
        settings.listen.trusted_proxies = vec![network];
        assert_eq!(per_address(&settings), PER_CLIENT_ADDRESS_MAX);
        settings.sockets.sockets_max = 10;
        assert_eq!(per_address(&settings), 10);
        settings.sockets.per_address_max = Some(7);
        assert_eq!(per_address(&settings), 7, "as it is set");
    }

    #[test]
    fn a_limit_that_is_never_reached_is_told_and_a_slip_finds_its_key() {
        finds(
            "{sockets: {sockets_max: 10, per_address_max: 11}}",
            "warning: forebay.sockets.per_address_max: never reached",
        );
        finds_nothing("{sockets: {sockets_max: 10, per_address_max: 10}}");
        finds(
            "{sockets: {ping_intervall: 30s}}",
            "unknown key; did you mean `ping_interval`?",
        );
    }
}

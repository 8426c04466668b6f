//! Which client calls.

use std::net::IpAddr;

/// Which client calls, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Client {
    /// By a hash of the name that it gives itself, wherever it is.
    Named {
        /// A keyed hash of the name.
        name: u64,
        /// Where the call came from, as [`network()`] reduces it; `None`: not known, or left out as in
        /// [`Client::key`].
        network: Option<IpAddr>,
    },
    /// Nameless, at this address.
    At(IpAddr),
    /// Nothing is known of the caller, so nothing is remembered of it.
    #[default]
    Unknown,
}

impl Client {
    /// The network whose room it takes up where it is remembered.
    pub fn network(self) -> Option<IpAddr> {
        match self {
            Client::Named { network, .. } => network,
            Client::At(address) => Some(network(address)),
            Client::Unknown => None,
        }
    }

    /// What it is known by.
    pub fn key(self) -> Client {
        match self {
            Client::Named { name, .. } => Client::Named {
                name,
                network: None,
            },
            Client::At(_) | Client::Unknown => self,
        }
    }
}

/// What counts as one address, by a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetworkMark(pub u64);

/// What counts as one address: of IPv6 a network of 64 bits, the smallest that one client is given.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let high = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(high.into())
        }
    }
}

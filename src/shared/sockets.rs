//! The clients' sockets: how many there are, from where, and whether they are to end.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::config::settings::SocketSettings;
use crate::shared::process_limits::{ChainShare, Resource};
#[cfg(test)]
use forebay_core::vocabulary::caps::Caps;
use forebay_core::vocabulary::client::network;

/// What sockets are held to.
#[derive(Clone, Debug, PartialEq)]
pub struct SocketLimits {
    /// In all, of what the process has files for.
    pub sockets_max: usize,
    /// Of these.
    pub sockets_max_per_address: usize,
    /// What each of them is held to.
    pub each: SocketSettings,
}

/// Counts the open sockets of a chain.
#[derive(Debug)]
pub struct SocketCounter {
    /// Of all chains.
    limits: Arc<ArcSwap<SocketLimits>>,
    share: Arc<ChainShare>,
    /// By [`network`]. None stands here without a socket.
    by_address: Mutex<HashMap<IpAddr, usize>>,
    /// Whether sockets are to end, for those that wait for it.
    leaving: watch::Sender<bool>,
}

/// Why there is no place for one more socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketShortage {
    /// There are too many in all.
    Process,
    /// There are too many of one address.
    Address,
}

/// A socket's place; given back when dropped.
#[derive(Debug)]
pub struct SocketPlace {
    sockets: Arc<SocketCounter>,
    network: Option<IpAddr>,
}

impl SocketCounter {
    /// Of one chain alone.
    #[cfg(test)]
    pub fn new(limits: SocketLimits) -> SocketCounter {
        let share = ChainShare::alone(&Caps {
            sockets: limits.sockets_max,
            ..Caps::ROOMY
        });
        let limits = ArcSwap::from_pointee(limits);
        SocketCounter::of(Arc::new(limits), Arc::new(share))
    }

    /// Of a chain with a `share` in what there is.
    pub fn of(limits: Arc<ArcSwap<SocketLimits>>, share: Arc<ChainShare>) -> SocketCounter {
        SocketCounter {
            limits,
            share,
            by_address: Mutex::default(),
            leaving: watch::Sender::default(),
        }
    }

    /// As of now: a socket keeps those that it began with.
    pub fn limits(&self) -> Arc<SocketLimits> {
        self.limits.load_full()
    }

    /// A place for a client's socket.
    ///
    /// # Errors
    /// The process, the chain or the address has as many sockets as it may.
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<SocketPlace, SocketShortage> {
        let limits = self.limits();
        if !self.share.take(Resource::Sockets, 1) {
            return Err(SocketShortage::Process);
        }
        let mut place = SocketPlace {
            sockets: self.clone(),
            network: None,
        };
        if let Some(address) = address.map(network) {
            let mut by_address = self.by_address.lock();
            let open = by_address.get(&address).copied().unwrap_or(0);
            if open >= limits.sockets_max_per_address {
                drop(by_address);
                return Err(SocketShortage::Address);
            }
            by_address.insert(address, open + 1);
            place.network = Some(address);
        }
        Ok(place)
    }

    pub fn open(&self) -> usize {
        usize::try_from(self.share.own(Resource::Sockets)).unwrap_or(usize::MAX)
    }

    /// From now on sockets end once their calls are answered.
    pub fn leave(&self) {
        self.leaving.send_replace(true);
    }

    /// Turns true when sockets are to end.
    pub fn leaving(&self) -> watch::Receiver<bool> {
        self.leaving.subscribe()
    }
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        self.sockets.share.give(Resource::Sockets, 1);
        let Some(address) = self.network else {
            return;
        };
        let mut by_address = self.sockets.by_address.lock();
        if let Some(open) = by_address.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SocketShortage::{Address, Process};
    use super::*;
    use crate::config::settings::Settings;

    fn sockets(sockets_max: usize, sockets_max_per_address: usize) -> Arc<SocketCounter> {
        Arc::new(SocketCounter::new(SocketLimits {
            sockets_max,
            sockets_max_per_address,
            each: Settings::default().sockets,
        }))
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn sockets_are_held_to_the_limit_and_a_place_is_given_back() {
        let sockets = sockets(2, 9);
        let first = sockets.admit(address(1)).unwrap();
        let _second = sockets.admit(None).unwrap();
        assert_eq!(sockets.admit(address(2)).unwrap_err(), Process);
        drop(first);
        assert!(sockets.admit(address(2)).is_ok());
    }

    #[test]
    fn an_address_is_held_to_its_own_limit_and_forgotten_without_sockets() {
        let sockets = sockets(9, 2);
        let places: Vec<_> = (0..2).map(|_| sockets.admit(address(1)).unwrap()).collect();
        assert_eq!(sockets.admit(address(1)).unwrap_err(), Address);
        assert!(sockets.admit(address(2)).is_ok());
        assert_eq!(sockets.open(), 2);
        drop(places);
        assert_eq!(sockets.open(), 0);
        assert!(sockets.by_address.lock().is_empty());
    }

    #[test]
    fn a_network_of_64_bits_is_one_address_of_version_6_and_a_mapped_one_is_of_version_4() {
        let sockets = sockets(9, 1);
        let address = |text: &str| Some(text.parse().unwrap());
        let _first = sockets.admit(address("2001:db8::1")).unwrap();
        let same = sockets.admit(address("2001:db8::ffff:0:0:2"));
        assert_eq!(same.unwrap_err(), Address);
        assert!(sockets.admit(address("2001:db8:0:1::1")).is_ok());
        let _mapped = sockets.admit(address("::ffff:10.0.0.1")).unwrap();
        let same = sockets.admit(address("10.0.0.1"));
        assert_eq!(same.unwrap_err(), Address);
        assert!(sockets.admit(address("::ffff:10.0.0.2")).is_ok());
    }

    #[test]
    fn a_socket_that_begins_after_the_shutdown_did_is_told_of_it() {
        let sockets = sockets(1, 1);
        assert!(!*sockets.leaving().borrow());
        sockets.leave();
        assert!(*sockets.leaving().borrow());
    }
}

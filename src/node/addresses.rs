//! Where nodes are, the same for all that goes to them: what a name leads to is found out for the calls, and
//! whatever else goes to that name goes there as well.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::resolver;

/// The most addresses tried for one connection.
pub const ADDRESSES_TRIED_MAX: usize = 4;

/// Where a node is: its addresses, and which of them to try first.
pub(super) struct NodeAddresses {
    list: ArcSwap<Vec<SocketAddr>>,
    first: AtomicUsize,
}

impl NodeAddresses {
    pub(super) fn new(addresses: Vec<SocketAddr>) -> NodeAddresses {
        NodeAddresses {
            list: ArcSwap::from_pointee(addresses),
            first: AtomicUsize::new(0),
        }
    }

    /// Those to try, in their turns, each with its place in the list.
    pub(super) fn turns(&self) -> Vec<(usize, SocketAddr)> {
        let mut turns = self.order();
        turns.truncate(ADDRESSES_TRIED_MAX);
        turns
    }

    /// All of them in that order.
    fn order(&self) -> Vec<(usize, SocketAddr)> {
        let list = self.list.load_full();
        let first = self.first.load(Ordering::Relaxed);
        let places = (first..first + list.len()).map(|turn| turn % list.len());
        places.map(|place| (place, list[place])).collect()
    }

    /// The one at `place` of the list is good: it goes first next time.
    pub(super) fn found_good(&self, place: usize) {
        self.first.store(place, Ordering::Relaxed);
    }

    /// None of those tried is good: let those that there was no time for go first next time.
    pub(super) fn found_none_good(&self) {
        let count = self.list.load().len();
        let tried = count.min(ADDRESSES_TRIED_MAX);
        let next = (self.first.load(Ordering::Relaxed) + tried) % count.max(1);
        self.first.store(next, Ordering::Relaxed);
    }

    /// Takes `addresses` over, unless it is empty. The one that was good goes first if it is
    /// still among them. Says whether they are others than before.
    pub(super) fn set(&self, addresses: Vec<SocketAddr>) -> bool {
        let before = self.list.load_full();
        if addresses.is_empty() || addresses == *before {
            return false;
        }
        let is_new = addresses.iter().any(|address| !before.contains(address));
        let good = before.get(self.first.load(Ordering::Relaxed));
        let first = addresses.iter().position(|address| Some(address) == good);
        self.list.store(addresses.into());
        self.first.store(first.unwrap_or(0), Ordering::Relaxed);
        is_new
    }
}

/// The names that calls go to, for whatever else goes there.
#[derive(Default)]
pub(super) struct NodeNames {
    /// As many as there are nodes, and few look here: only what opens a connection.
    known: Mutex<Vec<(String, Weak<NodeAddresses>)>>,
}

impl NodeNames {
    /// As long as `addresses` are kept, they are where `host` leads.
    pub(super) fn enter(&self, host: &str, addresses: &Arc<NodeAddresses>) {
        let mut known = self.known.lock();
        known.retain(|(_, addresses)| addresses.strong_count() > 0);
        known.push((host.to_string(), Arc::downgrade(addresses)));
    }

    /// Where `host` leads, with `port`, in the order in which calls would try them; looked up where no calls go
    /// there. All of it: only calls that fail make others go first, and a node that is asked in vain gets none.
    ///
    /// # Errors
    /// See [`resolver::resolve`].
    pub(super) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self.found(host) {
            Some(order) => Ok(order
                .into_iter()
                .map(|(_, address)| SocketAddr::new(address.ip(), port))
                .collect()),
            None => resolver::resolve(host, port).await,
        }
    }

    fn found(&self, host: &str) -> Option<Vec<(usize, SocketAddr)>> {
        let known = self.known.lock();
        // Those that came last are the node's as it is now.
        let of_host = known.iter().rev().filter(|(name, _)| name == host);
        let mut orders = of_host.filter_map(|(_, addresses)| Some(addresses.upgrade()?.order()));
        orders.find(|order| !order.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn order(addresses: &NodeAddresses) -> (Vec<u16>, usize) {
        let list = addresses.list.load_full();
        let ports = list.iter().map(SocketAddr::port).collect();
        (ports, addresses.first.load(Ordering::Relaxed))
    }

    #[test]
    fn an_empty_list_keeps_the_last_addresses() {
        let addresses = NodeAddresses::new(vec![address(1)]);
        addresses.set(vec![]);
        assert_eq!(order(&addresses), (vec![1], 0));
    }

    #[test]
    fn the_good_address_stays_first_in_a_new_list() {
        let addresses = NodeAddresses::new(vec![address(1), address(2)]);
        addresses.found_good(1);
        addresses.set(vec![address(3), address(4), address(2)]);
        assert_eq!(order(&addresses), (vec![3, 4, 2], 2));
        addresses.set(vec![address(5)]);
        assert_eq!(order(&addresses), (vec![5], 0));
    }

    #[test]
    fn so_many_are_tried_and_the_others_the_next_time() {
        let addresses = NodeAddresses::new((1..=6).map(address).collect());
        let ports = || -> Vec<u16> {
            let turns = addresses.turns();
            turns.iter().map(|(_, address)| address.port()).collect()
        };
        assert_eq!(ports(), [1, 2, 3, 4]);
        addresses.found_none_good();
        assert_eq!(ports(), [5, 6, 1, 2]);
        assert!(NodeAddresses::new(Vec::new()).turns().is_empty());
        NodeAddresses::new(Vec::new()).found_none_good();
    }

    #[tokio::test]
    async fn a_name_leads_where_calls_go_as_long_as_they_go() {
        let names = NodeNames::default();
        let ports = |port| async move { [SocketAddr::from(([10, 0, 0, 1], port))] };
        let new = || Arc::new(NodeAddresses::new(Vec::new()));
        let (unresolved, one, other) = (new(), new(), new());
        for addresses in [&unresolved, &one, &other] {
            names.enter("node.invalid", addresses);
        }
        assert!(names.addresses("node.invalid", 1).await.is_err());
        one.set(vec![SocketAddr::from(([10, 0, 0, 1], 8545))]);
        let found = names.addresses("node.invalid", 8546).await.unwrap();
        assert_eq!(found, ports(8546).await);
        drop(one);
        assert!(names.addresses("node.invalid", 1).await.is_err());
        other.set(vec![SocketAddr::from(([10, 0, 0, 1], 8545))]);
        assert!(names.addresses("node.invalid", 1).await.is_ok());
        drop((unresolved, other));
        names.enter("other.invalid", &new());
        assert_eq!(
            names.known.lock().len(),
            1,
            "those that are gone are forgotten"
        );
    }
}

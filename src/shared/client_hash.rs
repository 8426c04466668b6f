//! Clients as balancers tell each other of them: by a hash with a key that the store doesn't have.

use std::hash::Hasher as _;
use std::net::IpAddr;

use sha3::{Digest as _, Keccak256};

use forebay_core::call::pending_transactions::SenderMark;
use forebay_core::call::shared_news::ClientHash;
use forebay_core::rpc::transaction::Address;
use forebay_core::vocabulary::client::{Client, NetworkMark};

/// Makes the hashes.
#[derive(Clone, Copy, Debug)]
pub struct ClientHasher {
    keys: (u64, u64),
}

impl ClientHasher {
    /// All balancers have the same `secret`.
    pub fn new(secret: &str) -> ClientHasher {
        let digest = Keccak256::new_with_prefix("forebay clients ").chain_update(secret);
        let key = |part: usize| {
            let bytes = digest.clone().finalize();
            bytes
                .iter()
                .skip(8 * part)
                .take(8)
                .fold(0, |key, byte| key << 8 | u64::from(*byte))
        };
        ClientHasher {
            keys: (key(0), key(1)),
        }
    }

    /// Of a name that a client gives itself.
    pub fn name(&self, name: &[u8]) -> u64 {
        self.hash(b'n', name)
    }

    /// `None`: nothing is known of it.
    pub fn client(&self, client: Client) -> Option<ClientHash> {
        match client {
            // By its name's hash, made here.
            Client::Named { name, .. } => Some(ClientHash(name)),
            Client::At(address) => {
                let text = address.to_canonical().to_string();
                Some(ClientHash(self.hash(b'a', text.as_bytes())))
            }
            Client::Unknown => None,
        }
    }

    /// Of what counts as one address.
    pub fn network(&self, network: IpAddr) -> NetworkMark {
        NetworkMark(self.hash(b'w', network.to_string().as_bytes()))
    }

    /// Of an account.
    pub fn sender(&self, sender: Address) -> SenderMark {
        SenderMark(self.hash(b's', &sender.0))
    }

    #[expect(
        deprecated,
        reason = "SipHash by a key of ours: the standard library has no other way to it"
    )]
    fn hash(&self, kind: u8, bytes: &[u8]) -> u64 {
        let (one, other) = self.keys;
        let mut hasher = std::hash::SipHasher::new_with_keys(one, other);
        hasher.write_u8(kind);
        hasher.write(bytes);
        hasher.finish()
    }
}

/// A client that another balancer knows.
pub(super) fn client_elsewhere(client: ClientHash) -> Client {
    Client::Named {
        name: client.0,
        network: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balancers_with_one_secret_know_a_client_by_one_hash_and_others_do_not() {
        let [one, same, other] = ["s3cret", "s3cret", "else"].map(ClientHasher::new);
        let at = Client::At([10, 0, 0, 1].into());
        assert_eq!(one.client(at), same.client(at));
        assert_ne!(one.client(at), other.client(at));
        assert_eq!(one.name(b"a"), same.name(b"a"));
        assert_ne!(one.name(b"a"), other.name(b"a"));
        assert_ne!(one.name(b"10.0.0.1"), one.client(at).unwrap().0);
        assert_eq!(one.client(Client::Unknown), None);
        let network = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(one.network(network), same.network(network));
        assert_ne!(one.network(network), other.network(network));
        let account = Address([0xa1; 20]);
        assert_eq!(one.sender(account), same.sender(account));
        assert_ne!(one.sender(account), other.sender(account));
    }
}

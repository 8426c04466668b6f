//! What balancers tell each other: heads, what single clients were told, and transactions that nodes took.
//!
//! Numbers are big-endian; the first byte is the form's version, the second says what follows. A client is
//! a hash by a key that the balancers have and the store hasn't. What can't be understood is nothing.

use sha3::{Digest as _, Keccak256};

use crate::call::pending_transactions::{RAW_BYTES_MAX, SenderMark};
use crate::fleet::head_floor::HeadFloor;
use crate::rpc::transaction::{self, TxHash};
use crate::vocabulary::chain::{BlockHash, BlockNumber, ChainId};
use crate::vocabulary::client::NetworkMark;

const VERSION: u8 = 1;
const HEAD: u8 = 1;
const FLOORS: u8 = 2;
const SENT: u8 = 3;
const MINED: u8 = 4;
const LEADER: u8 = 5;
/// Clients, or transactions, in one message.
pub const ITEMS_MAX: usize = 512;

/// A client, by a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientHash(pub u64);

/// A node, by a short hash of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeMark(pub [u8; 6]);

impl NodeMark {
    /// Of the node called `name`.
    pub fn of(name: &str) -> NodeMark {
        let digest = Keccak256::new_with_prefix("forebay node ").chain_update(name);
        let mut mark = [0; 6];
        mark.copy_from_slice(&digest.finalize()[..6]);
        NodeMark(mark)
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedNews {
    /// All clients are shown this head.
    Head(HeadFloor),
    /// These clients were told of these blocks, beyond what all are shown.
    Floors(Vec<(ClientHash, BlockNumber)>),
    /// A node took this transaction from another balancer.
    Sent(HandedWrite),
    /// Clients were told that these transactions stand in these blocks.
    Mined(Vec<(TxHash, BlockNumber)>),
    /// What the leader answered to the balancer that asks it for all.
    Leader(LeaderNews),
}

/// What a leader told of its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderNews {
    /// The leader that said it.
    pub node: NodeMark,
    /// The number of its head.
    pub head: BlockNumber,
    /// The id of its chain; `None`: it isn't known.
    pub chain_id: Option<ChainId>,
}

/// A transaction that a node took from another balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedWrite {
    /// Milliseconds since 1970, by that balancer's clock.
    pub at: u64,
    /// The client whose transaction it is; `None`: nothing is known of the client.
    pub client: Option<ClientHash>,
    /// The network whose room it takes up.
    pub network: Option<NetworkMark>,
    /// Its sender and its nonce; `None`: they aren't known.
    pub sender: Option<(SenderMark, u64)>,
    /// The node that took it.
    pub node: NodeMark,
    /// `None`: it couldn't be computed.
    pub hash: Option<TxHash>,
    /// Without blobs; empty where it is longer than is kept.
    pub raw: Vec<u8>,
}

impl SharedNews {
    /// Whether there is nothing to be told.
    pub fn is_empty(&self) -> bool {
        match self {
            SharedNews::Floors(floors) => floors.is_empty(),
            SharedNews::Mined(mined) => mined.is_empty(),
            SharedNews::Head(_) | SharedNews::Sent(_) | SharedNews::Leader(_) => false,
        }
    }

    /// As bytes. Of several the first [`ITEMS_MAX`].
    pub fn write(&self) -> Vec<u8> {
        match self {
            SharedNews::Head(floor) => {
                let mut bytes = vec![VERSION, HEAD];
                bytes.extend(floor.number.0.to_be_bytes());
                bytes.extend(floor.raised_at.to_be_bytes());
                write_option(&mut bytes, floor.chain_id.map(|id| id.0.to_be_bytes()));
                write_option(&mut bytes, floor.hash.map(|hash| hash.0));
                bytes
            }
            SharedNews::Floors(floors) => {
                let mut bytes = vec![VERSION, FLOORS];
                for (client, head) in floors.iter().take(ITEMS_MAX) {
                    bytes.extend(client.0.to_be_bytes());
                    bytes.extend(head.0.to_be_bytes());
                }
                bytes
            }
            SharedNews::Mined(mined) => {
                let mut bytes = vec![VERSION, MINED];
                for (hash, block) in mined.iter().take(ITEMS_MAX) {
                    bytes.extend(hash.bytes());
                    bytes.extend(block.0.to_be_bytes());
                }
                bytes
            }
            SharedNews::Leader(news) => {
                let mut bytes = vec![VERSION, LEADER];
                bytes.extend(news.node.0);
                bytes.extend(news.head.0.to_be_bytes());
                write_option(&mut bytes, news.chain_id.map(|id| id.0.to_be_bytes()));
                bytes
            }
            SharedNews::Sent(sent) => {
                let mut bytes = vec![VERSION, SENT];
                bytes.extend(sent.at.to_be_bytes());
                write_option(&mut bytes, sent.client.map(|client| client.0.to_be_bytes()));
                write_option(&mut bytes, sent.network.map(|it| it.0.to_be_bytes()));
                write_option(&mut bytes, sent.sender.map(|(it, _)| it.0.to_be_bytes()));
                write_option(
                    &mut bytes,
                    sent.sender.map(|(_, nonce)| nonce.to_be_bytes()),
                );
                bytes.extend(sent.node.0);
                write_option(&mut bytes, sent.hash.map(TxHash::bytes));
                if sent.raw.len() <= RAW_BYTES_MAX {
                    bytes.extend(&sent.raw);
                }
                bytes
            }
        }
    }

    /// Reads what [`SharedNews::write`] wrote.
    pub fn read(bytes: &[u8]) -> Option<SharedNews> {
        let mut rest = Bytes(bytes);
        if rest.take::<1>()? != [VERSION] {
            return None;
        }
        match rest.take::<1>()? {
            [HEAD] => {
                let news = SharedNews::Head(HeadFloor {
                    number: BlockNumber(rest.number()?),
                    raised_at: rest.number()?,
                    chain_id: rest.option::<8>()?.map(u64::from_be_bytes).map(ChainId),
                    hash: rest.option::<32>()?.map(BlockHash),
                });
                rest.0.is_empty().then_some(news)
            }
            [FLOORS] => {
                let mut floors = Vec::new();
                while !rest.0.is_empty() && floors.len() < ITEMS_MAX {
                    floors.push((ClientHash(rest.number()?), BlockNumber(rest.number()?)));
                }
                rest.0.is_empty().then_some(SharedNews::Floors(floors))
            }
            [MINED] => {
                let mut mined = Vec::new();
                while !rest.0.is_empty() && mined.len() < ITEMS_MAX {
                    let hash = TxHash::of_bytes(rest.take()?);
                    mined.push((hash, BlockNumber(rest.number()?)));
                }
                rest.0.is_empty().then_some(SharedNews::Mined(mined))
            }
            [LEADER] => {
                let news = SharedNews::Leader(LeaderNews {
                    node: NodeMark(rest.take()?),
                    head: BlockNumber(rest.number()?),
                    chain_id: rest.option::<8>()?.map(u64::from_be_bytes).map(ChainId),
                });
                rest.0.is_empty().then_some(news)
            }
            [SENT] => {
                let sent = HandedWrite {
                    at: rest.number()?,
                    client: rest.option()?.map(u64::from_be_bytes).map(ClientHash),
                    network: rest.option()?.map(u64::from_be_bytes).map(NetworkMark),
                    sender: rest.sender()?,
                    node: NodeMark(rest.take()?),
                    hash: rest.option::<32>()?.map(TxHash::of_bytes),
                    raw: rest.0.to_vec(),
                };
                let is_whole = sent.raw.is_empty()
                    || (sent.raw.len() <= RAW_BYTES_MAX
                        && sent.hash == Some(transaction::hash_of(&sent.raw)));
                is_whole.then_some(SharedNews::Sent(sent))
            }
            _ => None,
        }
    }
}

fn write_option<const N: usize>(bytes: &mut Vec<u8>, value: Option<[u8; N]>) {
    bytes.push(u8::from(value.is_some()));
    bytes.extend(value.into_iter().flatten());
}

/// What is left to be read.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    #[expect(
        clippy::option_option,
        reason = "nothing stands there, or what stands there can't be read"
    )]
    fn sender(&mut self) -> Option<Option<(SenderMark, u64)>> {
        match (self.option()?, self.option()?) {
            (Some(mark), Some(nonce)) => {
                let mark = SenderMark(u64::from_be_bytes(mark));
                Some(Some((mark, u64::from_be_bytes(nonce))))
            }
            (None, None) => Some(None),
            (Some(_), None) | (None, Some(_)) => None,
        }
    }

    #[expect(
        clippy::option_option,
        reason = "nothing stands there, or what stands there can't be read"
    )]
    fn option<const N: usize>(&mut self) -> Option<Option<[u8; N]>> {
        match self.take::<1>()? {
            [0] => Some(None),
            [1] => Some(Some(self.take()?)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Vec<SharedNews> {
        let head = HeadFloor {
            number: BlockNumber(100),
            hash: Some(BlockHash([7; 32])),
            chain_id: Some(ChainId(1)),
            raised_at: 5,
        };
        let raw = vec![2, 1, 0];
        let sent = HandedWrite {
            at: 9,
            client: Some(ClientHash(3)),
            network: Some(NetworkMark(4)),
            sender: Some((SenderMark(5), 6)),
            node: NodeMark([1; 6]),
            hash: Some(transaction::hash_of(&raw)),
            raw,
        };
        vec![
            SharedNews::Head(head),
            SharedNews::Head(HeadFloor {
                hash: None,
                chain_id: None,
                ..head
            }),
            SharedNews::Floors(vec![]),
            SharedNews::Floors(vec![
                (ClientHash(1), BlockNumber(2)),
                (ClientHash(3), BlockNumber(4)),
            ]),
            SharedNews::Sent(sent.clone()),
            SharedNews::Mined(vec![(transaction::hash_of(&[1]), BlockNumber(5))]),
            SharedNews::Leader(LeaderNews {
                node: NodeMark::of("leader"),
                head: BlockNumber(7),
                chain_id: Some(ChainId(1)),
            }),
            SharedNews::Leader(LeaderNews {
                node: NodeMark::of("leader"),
                head: BlockNumber(7),
                chain_id: None,
            }),
            SharedNews::Sent(HandedWrite {
                client: None,
                network: None,
                sender: None,
                hash: None,
                raw: vec![],
                ..sent
            }),
        ]
    }

    #[test]
    fn what_is_written_is_read_and_less_or_more_of_it_is_not() {
        for news in all() {
            let bytes = news.write();
            assert_eq!(SharedNews::read(&bytes), Some(news.clone()));
            let other = [&[VERSION + 1], &bytes[1..]].concat();
            assert_eq!(SharedNews::read(&other), None);
            let more = [&bytes[..], &[0]].concat();
            assert_ne!(SharedNews::read(&more), Some(news.clone()));
            for end in 0..bytes.len() {
                assert_ne!(
                    SharedNews::read(&bytes[..end]),
                    Some(news.clone()),
                    "{news:?} {end}"
                );
            }
        }
    }

    #[test]
    fn a_transaction_that_is_not_what_its_hash_says_is_nothing() {
        let Some(SharedNews::Sent(sent)) = all().into_iter().nth(4) else {
            panic!("no transaction");
        };
        let lie = HandedWrite {
            raw: vec![9],
            ..sent.clone()
        };
        assert_eq!(SharedNews::read(&SharedNews::Sent(lie).write()), None);
        let at_limit = vec![1; RAW_BYTES_MAX];
        for (raw, is_kept) in [
            (at_limit.clone(), true),
            ([at_limit, vec![1]].concat(), false),
        ] {
            let long = HandedWrite {
                hash: Some(transaction::hash_of(&raw)),
                raw: raw.clone(),
                ..sent.clone()
            };
            let read = SharedNews::read(&SharedNews::Sent(long).write());
            let Some(SharedNews::Sent(read)) = read else {
                panic!("it isn't read");
            };
            assert_eq!(read.raw == raw, is_kept);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_stands_there_does_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..7u8) {
            let _ = SharedNews::read(&bytes);
            let _ = SharedNews::read(&[&[VERSION, kind], &bytes[..]].concat());
        }
    }
}

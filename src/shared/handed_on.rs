//! What the other balancers are to be told of what clients were told here, on its way to the store.

use tokio::sync::mpsc;

use crate::shared::client_hash::ClientHasher;
use forebay_core::call::shared_news::ClientHash;
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::chain::BlockNumber;
use forebay_core::vocabulary::client::Client;

/// What waits; beyond it nothing is handed on.
const WAITING_MAX: usize = 16_384;

/// One thing that a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandedOn {
    /// A block beyond what all are shown.
    Floor(ClientHash, BlockNumber),
    /// The block in which a transaction stands.
    Mined(TxHash, BlockNumber),
}

/// The way there. Nothing waits on it.
#[derive(Debug)]
pub struct Handover {
    pub hashes: ClientHasher,
    handed: mpsc::Sender<HandedOn>,
}

impl Handover {
    pub fn new(secret: &str) -> (Handover, mpsc::Receiver<HandedOn>) {
        let (handed, taken) = mpsc::channel(WAITING_MAX);
        let hashes = ClientHasher::new(secret);
        (Handover { hashes, handed }, taken)
    }

    pub fn floor(&self, client: Client, head: BlockNumber) {
        if let Some(client) = self.hashes.client(client) {
            let _ = self.handed.try_send(HandedOn::Floor(client, head));
        }
    }

    pub fn mined(&self, hash: TxHash, block: BlockNumber) {
        let _ = self.handed.try_send(HandedOn::Mined(hash, block));
    }
}

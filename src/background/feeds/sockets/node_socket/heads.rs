//! What a socket does with its node's heads: see [`SocketHeads`](forebay_core::feed::socket_heads::SocketHeads).

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::NodeSocket;
use super::state::{BlockAnswer, BlockQuery, SocketState};
use crate::clock;
use forebay_core::feed::head_tracker::{NodeHead, witnesses};
use forebay_core::feed::socket_heads::{BlockComparison, HeadRating};
use forebay_core::vocabulary::header::Header;
use forebay_core::vocabulary::node::NodeId;

impl NodeSocket {
    pub(super) async fn head(&self, live: &mut SocketState, result: &Bytes) {
        let header = std::str::from_utf8(result).ok().and_then(Header::read);
        let Some(header) = header else { return };
        live.staleness.broken(header.number.0);
        match live.heads.hear(&header, live.heard_at) {
            HeadRating::Good => self.tell(header, live.heard_at).await,
            HeadRating::Hint => self.ask(live),
        }
    }

    /// The task that tells heads hears it before calls are served it.
    async fn tell(&self, header: Arc<Header>, as_of: Instant) {
        let id = self.upstream.id;
        let head = NodeHead {
            id,
            header: header.clone(),
            as_of,
        };
        // An error says that no task follows heads any more: the process ends.
        drop(self.exchange.heads.send(head).await);
        self.exchange.resources.fleet.hear_head(id, &header).await;
        self.hurry(&header);
    }

    /// Calls aren't served the block yet: nodes without a socket are asked soon whether they have it, too.
    fn hurry(&self, header: &Header) {
        let view = &self.exchange.resources.fleet.snapshot().view;
        let open = self.exchange.open.borrow();
        let is_silent = |id: &NodeId| !open.contains_key(id);
        if Some(header.number) > view.served_head && witnesses(view).iter().any(is_silent) {
            self.exchange.resources.fleet.hurry();
        }
    }

    /// Asks the node for the block that its last head hints at, unless one is being asked for.
    fn ask(&self, live: &mut SocketState) {
        let is_asked = |query: &BlockQuery| query.from <= clock::now();
        if live.block_query.as_ref().is_some_and(is_asked) {
            return;
        }
        live.block_query = live.heads.question().map(|(number, from)| {
            let (exchange, upstream) = (self.exchange.clone(), self.upstream.clone());
            let answer = async move {
                tokio::time::sleep_until(from.into()).await;
                let asked_at = clock::now();
                let timeout = exchange
                    .resources
                    .settings
                    .say(|settings| settings.health.timeout);
                let asked = exchange
                    .resources
                    .prober
                    .header_at(&upstream.spec, number, timeout);
                BlockAnswer {
                    number,
                    asked_at,
                    block: asked.await.unwrap_or_default(),
                }
            };
            let answer = Box::pin(answer);
            BlockQuery { from, answer }
        });
    }

    /// What the node has under the number of a head that it told.
    pub(super) async fn compare(
        &self,
        live: &mut SocketState,
        BlockAnswer {
            number,
            asked_at,
            block,
        }: BlockAnswer,
    ) {
        live.block_query = None;
        let found = (block.clone(), asked_at);
        match live.heads.answer(number, found, clock::now()) {
            Some(BlockComparison::Same(told)) => {
                if let Some(block) = &block {
                    let same = told.iter().filter(|(told, _)| told.hash == block.hash);
                    same.for_each(|(told, _)| self.exchange.resources.hub.compare(told, block));
                }
                for (head, as_of) in told {
                    self.tell(head, as_of).await;
                }
            }
            Some(BlockComparison::Other(head, as_of)) => self.tell(head, as_of).await,
            None => {}
        }
        self.ask(live);
    }
}

//! Calls that name a filter: it lives in one node, which is asked.

use super::engine::{Engine, Reply, Served, Terms};
use super::errand::{Aim, Errand};
use crate::domain::filter;
use crate::domain::fleet::FleetView;
use crate::domain::jsonrpc::Call;
use crate::domain::method::Treatment;
use crate::domain::node::NodeId;
use crate::domain::refusal::Refusal;
use crate::domain::route::Asking;
use crate::domain::seen;
use crate::telemetry::metrics::CallOutcome;

impl Engine {
    /// Asks the one node that has the filter.
    pub(super) async fn follow(
        &self,
        call: &Call<'_>,
        terms: Terms<'_>,
        view: &FleetView,
    ) -> (Served, CallOutcome) {
        let followed = call.params.and_then(filter::unwrap);
        let node = followed.as_ref().and_then(|filter| filter.node(view));
        let (Some(followed), Some(node)) = (followed, node) else {
            let refused = Served::here(Reply::Refused(Refusal::FilterNotFound));
            return (refused, CallOutcome::Refused);
        };
        let call = Call {
            params: Some(&followed.params),
            ..call.clone()
        };
        let asking = Asking::from(Treatment::Once);
        let body = asking.body(&call).into();
        let mut errand = Errand::new(self, &call, &asking, terms, body);
        errand.aim_at(Aim::Only(node));
        let ended = errand.run().await;
        if followed.is_of_blocks {
            self.meet(&ended.0, node, terms).await;
        }
        ended
    }

    /// The client of a block filter is about to learn of a block by its hash alone: its number is
    /// asked of the node that told it, unless it is known.
    async fn meet(&self, served: &Served, node: NodeId, terms: Terms<'_>) {
        let Reply::Whole(answer) = &served.answer else {
            return;
        };
        let Some(hash) = answer.result().and_then(seen::newest_hash) else {
            return;
        };
        if let Some(number) = self.pool.told.number_of(hash) {
            return self.pool.tell(terms.client, number);
        }
        let params = format!("[\"{hash}\",false]");
        let call = Call {
            id: None,
            method: "eth_getBlockByHash".into(),
            params: Some(&params),
        };
        let asking = Asking::from(Treatment::Read);
        let mut errand = Errand::new(self, &call, &asking, terms, asking.body(&call).into());
        errand.aim_at(Aim::Only(node));
        // It learns the number; the block itself is nobody's.
        drop(errand.run().await);
    }
}

//! The wait for the receipt of a transaction that a pool has already (EIP-7966): no node is held by
//! it, and all calls that wait for one transaction ask together, once at each new head.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::call::answer::{CallReply, ServedAnswer};
use crate::call::broadcast::BroadcastCall;
use crate::call::fanout::NodeAnswer;
use crate::clock;
use crate::observe::metrics::CallOutcome;
use crate::shared::singleflight::{FlightOutcome, Join, SharedAnswer};
use forebay_core::call::broadcast::UNMINED;
use forebay_core::call::last_block::RECEIPT;
use forebay_core::fleet::requirements::{NodePreference, NodeQuery, NodeRequirements};
use forebay_core::rpc::transaction::TxHash;
use forebay_core::vocabulary::tier::Tier;

impl BroadcastCall<'_> {
    /// Waits as long as the call says.
    pub(super) async fn wait(&self, hash: TxHash) -> ServedAnswer {
        let arrived_at = self.context.arrived_at;
        let params = self.call.params.unwrap_or_default();
        let until = self.rounds.receipt_end(params);
        let key = format!("receipt {hash}").into();
        while clock::now() < until {
            let found = match self.state.singleflight.join(&key, None, None) {
                Join::Alone => self.watch(hash, until).await,
                Join::Owner(owner) => {
                    let found = self.watch(hash, until).await;
                    owner.land(|| landed(found.as_ref()));
                    found
                }
                Join::Follower(follower) => match timeout_at(until.into(), follower.landed()).await
                {
                    Ok(Some(FlightOutcome::Shared(shared))) => {
                        let reply = super::held(shared.answer, self.context.answer_budget);
                        return self.served(reply, &shared.node, CallOutcome::Ok);
                    }
                    // Its time was shorter.
                    Ok(None | Some(FlightOutcome::Nothing | FlightOutcome::Refused(_)))
                    | Err(_) => continue,
                },
            };
            if let Some(ended) = found.and_then(|found| self.reply(found)) {
                return ended;
            }
        }
        self.unmined(hash, until.saturating_duration_since(arrived_at))
    }

    /// Asks for the receipt whenever there is a new head.
    async fn watch(&self, hash: TxHash, until: Instant) -> Option<NodeAnswer> {
        let fleet = &self.state.fleet;
        let mut news = fleet.news();
        let mut seen = fleet.snapshot().view.highest_head;
        loop {
            timeout_at(until.into(), news.changed()).await.ok()?.ok()?;
            let head = fleet.snapshot().view.highest_head;
            if head == seen {
                continue;
            }
            seen = head;
            let freshest = NodeRequirements {
                method: RECEIPT,
                preference: NodePreference::Freshest,
                ..NodeRequirements::default()
            };
            let query = NodeQuery::new(&[Tier::Own, Tier::Fallback], &[], freshest);
            let asked = fleet.draw(&query).map(|(node, _)| [node]);
            let found = self
                .find(RECEIPT, hash, asked.as_ref().map_or(&[], |it| it))
                .await;
            if found.is_some() {
                return found;
            }
        }
    }

    /// As geth says it (`internal/ethapi/errors.go`), with the hash.
    fn unmined(&self, hash: TxHash, waited: Duration) -> ServedAnswer {
        let seconds = waited.as_secs_f64();
        let error = format!(
            r#"{{"code":{UNMINED},"message":"the transaction was added to the pool but is in no block after {seconds} s","data":"{hash}"}}"#
        );
        ServedAnswer {
            outcome: CallOutcome::RpcError,
            attempts: self.rounds.count(),
            ..ServedAnswer::here(CallReply::with_error(self.call, &error))
        }
    }
}

fn landed(found: Option<&NodeAnswer>) -> FlightOutcome {
    let shared = found.and_then(|found| {
        Some(SharedAnswer {
            answer: found.answer.clone()?,
            node: found.name.clone(),
            attempts: 1,
        })
    });
    shared.map_or(FlightOutcome::Nothing, FlightOutcome::Shared)
}

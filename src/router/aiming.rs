//! Whom a call is for.

use super::is_lookup;
use crate::call::forward::Affinity;
use crate::router::Router;
use forebay_core::call::last_block::BY_HASH;
use forebay_core::call::nonce::{self, FILL};
use forebay_core::call::plan::ForwardPlan;
use forebay_core::call::recent_writes::Client;
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::transaction;

impl Router {
    /// Whether a call goes its own way, however many others come with it. `polls`: those that are look-ups
    /// do (see [`Lookups::go_alone`](crate::call::lookups::Lookups::go_alone)).
    pub(crate) fn goes_alone(
        &self,
        call: &Call<'_>,
        asking: &ForwardPlan,
        client: Client,
        polls: bool,
    ) -> bool {
        call.method == FILL
            || (polls && is_lookup(&call.method))
            || nonce::is_pending(&call.method, asking.is_pending)
            || !matches!(self.aim(call, asking, client), Affinity::Anyone)
    }

    /// A transaction that was sent through here is asked of those who took it, and what reads the
    /// pool of those who took this client's.
    pub(super) fn aim(&self, call: &Call<'_>, asking: &ForwardPlan, client: Client) -> Affinity {
        let params = call.params;
        let holders = match &*call.method {
            BY_HASH => params
                .and_then(transaction::hash_asked)
                .map(|hash| self.taken.holders(hash)),
            "eth_getTransactionBySenderAndNonce" => params
                .and_then(transaction::nonce_asked)
                .map(|(sender, nonce)| self.taken.holders_of(sender, nonce)),
            _ if asking.is_pending || call.method == FILL => Some(self.taken.holders_for(client)),
            _ => None,
        };
        match holders {
            Some(holders) if !holders.is_empty() => Affinity::Rather(holders),
            Some(_) | None => Affinity::Anyone,
        }
    }
}

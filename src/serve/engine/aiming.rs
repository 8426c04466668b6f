//! Whom a call is for.

use super::{Engine, is_lookup};
use crate::domain::jsonrpc::Call;
use crate::domain::nonce::{self, FILL};
use crate::domain::route::Asking;
use crate::domain::seen::BY_HASH;
use crate::domain::sent::Client;
use crate::domain::transaction;
use crate::serve::errand::Aim;

impl Engine {
    /// Whether a call goes its own way, however many others come with it. `polls`: those that are look-ups
    /// do (see [`Lookups::go_alone`](crate::serve::lookups::Lookups::go_alone)).
    pub(in crate::serve) fn goes_alone(
        &self,
        call: &Call<'_>,
        asking: &Asking,
        client: Client,
        polls: bool,
    ) -> bool {
        call.method == FILL
            || (polls && is_lookup(&call.method))
            || nonce::is_pending(&call.method, asking.is_pending)
            || !matches!(self.aim(call, asking, client), Aim::Anyone)
    }

    /// A transaction that was sent through here is asked of those who took it, and what reads the
    /// pool of those who took this client's.
    pub(super) fn aim(&self, call: &Call<'_>, asking: &Asking, client: Client) -> Aim {
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
            Some(holders) if !holders.is_empty() => Aim::Rather(holders),
            Some(_) | None => Aim::Anyone,
        }
    }
}

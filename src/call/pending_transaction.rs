//! A transaction that was taken through us and that no node shows: some keep no pool, and pass it on,
//! some take their time. Until blocks have its sender's nonce it is shown from here, as a node would
//! show it.

use futures_util::StreamExt as _;

use crate::call::answer::{CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::call::fanout;
use crate::call::pending_nonce;
use crate::clock;
use forebay_core::call::last_block::BY_HASH;
use forebay_core::call::nonce::{NODES_MAX, NonceUse};
use forebay_core::call::pending_transactions::PooledTransactions;
use forebay_core::call::told_blocks;
use forebay_core::fleet::spread::{FanoutScope, spread};
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::transaction::{self, TxHash};
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

/// What is known of a transaction.
pub enum TransactionStatus {
    /// It wasn't taken through us, or was told to be in a block.
    Unknown,
    /// Blocks have none of its sender's with its nonce: nodes said so, where it is `counted`, or none
    /// said another thing. `shown`: as a node would show it.
    InNoBlock {
        shown: Option<String>,
        counted: bool,
    },
    /// They have, as these nodes say: it, or another one.
    Perhaps { ahead: Vec<NodeId> },
}

/// Looks whether blocks have the nonce of the transaction `hash`.
pub async fn look(state: &CallState, hash: TxHash, context: CallContext<'_>) -> TransactionStatus {
    let claim = |pooled: &PooledTransactions| pooled.claim(hash, clock::now());
    let pooled = || state.recent_writes.pooled();
    let Some((sender, nonce)) = pooled().and_then(|pooled| claim(&pooled)) else {
        return TransactionStatus::Unknown;
    };
    let missed = pooled().map_or_else(Vec::new, |pooled| pooled.missed_by(hash));
    if !missed.is_empty() {
        pending_nonce::pending(state, sender, &missed, context).await;
    }
    let scope = FanoutScope {
        nodes_max: NODES_MAX,
        method: "eth_getTransactionCount",
        first: &[],
        passed: &[],
    };
    let view = &state.fleet.snapshot().view;
    let nodes = spread(view, Tier::Own, scope, clock::now(), &mut clock::roll);
    let counts = pending_nonce::latest(state, sender, &nodes, context).await;
    let nonce_use = NonceUse::of(nonce, &counts);
    if let NonceUse::Taken(ahead) = nonce_use {
        return TransactionStatus::Perhaps { ahead };
    }
    let waiting = pooled().and_then(|pooled| pooled.waiting(hash, clock::now()).cloned());
    let Some(waiting) = waiting else {
        // A node has dropped it.
        return TransactionStatus::Unknown;
    };
    let raw = waiting.raw.as_deref();
    TransactionStatus::InNoBlock {
        shown: raw.and_then(|raw| transaction::shown(raw, hash, sender)),
        counted: nonce_use == NonceUse::Free,
    }
}

/// What a look-up is told of a transaction that is in no block.
pub fn reply(call: &Call<'_>, shown: Option<&str>) -> CallReply {
    let shown = shown.filter(|_| call.method == BY_HASH);
    CallReply::with_result(call, shown.unwrap_or("null"))
}

/// Whether nodes `served` nothing to `call`, which wants the transaction itself.
pub fn is_missing(call: &Call<'_>, served: &ServedAnswer) -> bool {
    call.method == BY_HASH
        && matches!(&served.answer, CallReply::Whole(answer) if answer.result() == Some(b"null"))
}

/// What to say to `call`, a look-up of `hash`, instead.
pub async fn show(
    state: &CallState,
    call: &Call<'_>,
    hash: TxHash,
    context: CallContext<'_>,
) -> Option<CallReply> {
    match look(state, hash, context).await {
        TransactionStatus::InNoBlock { shown, .. } => shown.map(|shown| reply(call, Some(&shown))),
        TransactionStatus::Perhaps { ahead } => mined(state, call, (hash, &ahead), context).await,
        TransactionStatus::Unknown => None,
    }
}

/// It came into a block while it was looked for: what a node that is so far says of it. Where it knows
/// of none, another transaction has the nonce.
async fn mined(
    state: &CallState,
    call: &Call<'_>,
    (hash, ahead): (TxHash, &[NodeId]),
    context: CallContext<'_>,
) -> Option<CallReply> {
    let body = call.for_node().into();
    let until = context.read_end(clock::now());
    let question = context.fanout_call(BY_HASH, body, until, fanout::LONG_BYTES_MAX);
    let mut fanout = fanout::ask_all(&state.fleet, &state.admission, ahead, &question);
    let mut has_denied = false;
    while let Some(heard) = fanout.next().await {
        let Some(answer) = heard.good() else { continue };
        match answer.result() {
            Some(b"null") => has_denied = true,
            Some(found) => {
                if let Some((block, number)) = told_blocks::block_named(found) {
                    state.fleet.told.block(block, number);
                    state.fleet.told.mined(hash, number);
                }
                return Some(CallReply::Whole(answer));
            }
            None => {}
        }
    }
    if has_denied && let Some(mut pooled) = state.recent_writes.pooled() {
        pooled.forget(hash);
    }
    None
}

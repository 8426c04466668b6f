//! A transaction that was taken through us and that no node shows: some keep no pool, and pass it on,
//! some take their time. Until blocks have its sender's nonce it is shown from here, as a node would
//! show it.

use super::engine::{Engine, Reply, Served, Terms};
use super::nonces;
use crate::clock;
use crate::domain::broadcast::{Spread, spread};
use crate::domain::jsonrpc::Call;
use crate::domain::nonce::NODES_MAX;
use crate::domain::seen::BY_HASH;
use crate::domain::select::Ladder;
use crate::domain::transaction::{self, TxHash};

/// What is known of a transaction.
pub enum Look {
    /// It wasn't taken through us, or was told to be in a block.
    Unknown,
    /// Blocks have none of its sender's with its nonce: nodes said so, where it is `counted`, or none
    /// said another thing. `shown`: as a node would show it.
    InNoBlock {
        shown: Option<String>,
        counted: bool,
    },
    /// They may have: it, or another one.
    Perhaps,
}

/// Looks whether blocks have the nonce of the transaction `hash`.
pub async fn look(engine: &Engine, hash: TxHash, terms: Terms<'_>) -> Look {
    let taken = &engine.taken;
    let waiting = taken
        .pooled()
        .and_then(|pooled| pooled.waiting(hash, clock::now()).cloned());
    let Some(waiting) = waiting else {
        return Look::Unknown;
    };
    let wish = Spread {
        nodes_max: NODES_MAX,
        method: "eth_getTransactionCount",
        first: &[],
        passed: &[],
    };
    let view = &engine.pool.snapshot().view;
    let nodes = spread(view, Ladder::Own, wish, clock::now(), &mut clock::roll);
    let counts = nonces::latest(engine, waiting.sender, &nodes, terms).await;
    let highest = counts.iter().map(|(_, count)| *count).max();
    if highest.is_some_and(|highest| highest > waiting.nonce) {
        return Look::Perhaps;
    }
    let raw = waiting.raw.as_deref();
    Look::InNoBlock {
        shown: raw.and_then(|raw| transaction::shown(raw, hash, waiting.sender)),
        counted: highest.is_some(),
    }
}

/// What a look-up is told of a transaction that is in no block.
pub fn reply(call: &Call<'_>, shown: Option<&str>) -> Reply {
    let shown = shown.filter(|_| call.method == BY_HASH);
    Reply::with_result(call, shown.unwrap_or("null"))
}

/// What to say to `call` instead, where nodes `served` nothing.
pub async fn show(
    engine: &Engine,
    call: &Call<'_>,
    served: &Served,
    terms: Terms<'_>,
) -> Option<Reply> {
    let is_null =
        matches!(&served.answer, Reply::Whole(answer) if answer.result() == Some(b"null"));
    if !is_null || call.method != BY_HASH {
        return None;
    }
    let hash = call.params.and_then(transaction::hash_asked)?;
    match look(engine, hash, terms).await {
        Look::InNoBlock { shown, .. } => shown.map(|shown| reply(call, Some(&shown))),
        Look::Unknown | Look::Perhaps => None,
    }
}

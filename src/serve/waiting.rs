//! A transaction that was taken through us and that no node shows: some keep no pool, and pass it on.
//! Until blocks have its sender's nonce it is shown from here, as a node would show it.

use super::engine::{Engine, Reply, Served, Terms};
use super::nonces;
use crate::clock;
use crate::domain::broadcast::{Spread, spread};
use crate::domain::jsonrpc::Call;
use crate::domain::nonce::NODES_MAX;
use crate::domain::seen::BY_HASH;
use crate::domain::select::Ladder;
use crate::domain::transaction;

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
    let waiting = {
        let pooled = engine.taken.pooled()?;
        pooled.waiting(hash, clock::now())?.clone()
    };
    let raw = waiting.raw?;
    let wish = Spread {
        nodes_max: NODES_MAX,
        method: "eth_getTransactionCount",
        first: &[],
        passed: &[],
    };
    let view = &engine.pool.snapshot().view;
    let nodes = spread(view, Ladder::Own, wish, clock::now(), &mut clock::roll);
    let counts = nonces::latest(engine, waiting.sender, &nodes, terms).await;
    if counts.iter().any(|(_, count)| *count > waiting.nonce) {
        return None;
    }
    let shown = transaction::shown(&raw, hash, waiting.sender)?;
    Some(Reply::with_result(call, &shown))
}

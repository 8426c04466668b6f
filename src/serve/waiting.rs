//! A transaction that was taken through us and that no node shows: some keep no pool, and pass it on,
//! some take their time. Until blocks have its sender's nonce it is shown from here, as a node would
//! show it.

use futures_util::StreamExt as _;

use super::engine::{Engine, Reply, Served, Terms};
use super::fan::{self, Question};
use super::nonces;
use crate::clock;
use crate::domain::broadcast::{Spread, spread};
use crate::domain::jsonrpc::Call;
use crate::domain::method::Treatment;
use crate::domain::node::NodeId;
use crate::domain::nonce::NODES_MAX;
use crate::domain::pooled::Pooled;
use crate::domain::seen::BY_HASH;
use crate::domain::select::Ladder;
use crate::domain::told;
use crate::domain::trail::Kind;
use crate::domain::transaction::{self, TxHash};
use crate::domain::verdict::Class;

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
    /// They have, as these nodes say: it, or another one.
    Perhaps { ahead: Vec<NodeId> },
}

/// Looks whether blocks have the nonce of the transaction `hash`.
pub async fn look(engine: &Engine, hash: TxHash, terms: Terms<'_>) -> Look {
    let claim = |pooled: &Pooled| pooled.claim(hash, clock::now());
    let pooled = || engine.taken.pooled();
    let Some((sender, nonce)) = pooled().and_then(|pooled| claim(&pooled)) else {
        return Look::Unknown;
    };
    let missed = pooled().map_or_else(Vec::new, |pooled| pooled.missed_by(hash));
    if !missed.is_empty() {
        nonces::pending(engine, sender, &missed, terms).await;
    }
    let wish = Spread {
        nodes_max: NODES_MAX,
        method: "eth_getTransactionCount",
        first: &[],
        passed: &[],
    };
    let view = &engine.pool.snapshot().view;
    let nodes = spread(view, Ladder::Own, wish, clock::now(), &mut clock::roll);
    let counts = nonces::latest(engine, sender, &nodes, terms).await;
    let ahead = counts.iter().filter(|(_, count)| *count > nonce);
    let ahead: Vec<NodeId> = ahead.map(|(node, _)| *node).collect();
    if !ahead.is_empty() {
        return Look::Perhaps { ahead };
    }
    let waiting = pooled().and_then(|pooled| pooled.waiting(hash, clock::now()).cloned());
    let Some(waiting) = waiting else {
        // A node has dropped it.
        return Look::Unknown;
    };
    let raw = waiting.raw.as_deref();
    Look::InNoBlock {
        shown: raw.and_then(|raw| transaction::shown(raw, hash, sender)),
        counted: !counts.is_empty(),
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
        Look::Perhaps { ahead } => mined(engine, call, (hash, &ahead), terms).await,
        Look::Unknown => None,
    }
}

/// It came into a block while it was looked for: what a node that is so far says of it. Where it knows
/// of none, another transaction has the nonce.
async fn mined(
    engine: &Engine,
    call: &Call<'_>,
    (hash, ahead): (TxHash, &[NodeId]),
    terms: Terms<'_>,
) -> Option<Reply> {
    let times = &terms.policy.limits.times;
    let question = Question {
        method: BY_HASH.into(),
        body: call.for_node().into(),
        until: times.attempt_end(Treatment::Read, terms.arrived_at, clock::now()),
        bytes_max: terms.bytes_max.min(fan::LONG_BYTES_MAX),
        trace: terms.trace,
        path: terms.origin.part(Kind::Lookup),
    };
    let mut fan = fan::ask_all(&engine.pool, &engine.gate, ahead, &question);
    let mut has_denied = false;
    let forget = || {
        if let Some(mut pooled) = engine.taken.pooled() {
            pooled.forget(hash);
        }
    };
    while let Some(heard) = fan.next().await {
        let Some(answer) = heard.answer.filter(|_| heard.class == Class::Ok) else {
            continue;
        };
        match answer.result() {
            Some(b"null") => has_denied = true,
            Some(found) => {
                if let Some((block, number)) = told::block_named(found) {
                    engine.pool.told.block(block, number);
                    engine.pool.told.mined(hash, number);
                    forget();
                }
                return Some(Reply::Whole(answer));
            }
            None => {}
        }
    }
    if has_denied {
        forget();
    }
    None
}

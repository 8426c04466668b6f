//! Many calls in one packet: each goes its own way, the answers come back in their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{FuturesOrdered, StreamExt};

use super::engine::{Engine, Reply, Served, Terms};
use crate::domain::jsonrpc::Item;
use crate::domain::refusal::Refusal;

/// Calls of one batch that are on their way at once.
const FAN_OUT: usize = 16;
/// The answers of one batch together, in bytes: they are held until the last one is there.
pub const ANSWERS_BYTES_MAX: u64 = 64 << 20;

/// A batch's answer, and who gave it.
pub struct Answers {
    /// `None` when there is nothing to say: all were notifications.
    pub body: Option<Vec<u8>>,
    /// Each node once, in the order of their answers; `local` is one of them.
    pub nodes: Vec<Arc<str>>,
    /// The most nodes asked for one call.
    pub attempts: usize,
}

/// Answers `items` (at least one).
pub async fn serve(engine: &Engine, items: &[Item<'_>], terms: Terms) -> Answers {
    let held_bytes = AtomicU64::new(0);
    let mut waiting = items.iter();
    let mut under_way = FuturesOrdered::new();
    for item in waiting.by_ref().take(FAN_OUT) {
        under_way.push_back(one(engine, item, terms, &held_bytes));
    }
    let mut said = Answers {
        body: None,
        nodes: Vec::new(),
        attempts: 0,
    };
    let local: Arc<str> = "local".into();
    while let Some((bytes, served)) = under_way.next().await {
        if let Some(item) = waiting.next() {
            under_way.push_back(one(engine, item, terms, &held_bytes));
        }
        said.attempts = said.attempts.max(served.attempts);
        let node = served.node.unwrap_or_else(|| local.clone());
        if !said.nodes.contains(&node) {
            said.nodes.push(node);
        }
        let Some(bytes) = bytes else { continue };
        let body = said.body.get_or_insert_with(Vec::new);
        body.push(if body.is_empty() { b'[' } else { b',' });
        body.extend_from_slice(&bytes);
    }
    if let Some(body) = &mut said.body {
        body.push(b']');
    }
    said
}

/// One answer's bytes, `None` for a notification's.
async fn one(
    engine: &Engine,
    item: &Item<'_>,
    terms: Terms,
    held_bytes: &AtomicU64,
) -> (Option<Vec<u8>>, Served) {
    let refused = |why: Refusal| Served::here(Reply::Refused(why));
    let (id, mut served) = match item {
        Item::Refused { id, why } => (id.unwrap_or("null"), refused(why.clone())),
        Item::Call(call) => {
            let left = ANSWERS_BYTES_MAX.saturating_sub(held_bytes.load(Ordering::Relaxed));
            let terms = Terms {
                bytes_max: terms.bytes_max.min(left),
                may_stream: false,
                ..terms
            };
            let served = engine.serve(call, terms).await;
            match call.id {
                Some(id) => (id, served),
                None => return (None, served),
            }
        }
    };
    let answer = std::mem::replace(&mut served.answer, Reply::Refused(Refusal::BadAnswer));
    let bytes = match answer {
        Reply::Whole(bytes) => bytes,
        Reply::Refused(why) => why.body(Some(id)).into_bytes(),
        // It may not stream, so there is none.
        Reply::Large(_) => Refusal::AnswerTooLarge.body(Some(id)).into_bytes(),
    };
    let length = bytes.len() as u64;
    if held_bytes.fetch_add(length, Ordering::Relaxed) + length > ANSWERS_BYTES_MAX {
        return (
            Some(Refusal::AnswerTooLarge.body(Some(id)).into_bytes()),
            served,
        );
    }
    (Some(bytes), served)
}

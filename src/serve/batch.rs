//! Many calls in one packet: each goes its own way, the answers come back in their order.
//!
//! The answers are held until the last one is there, within the packet's room: what has none any
//! more is refused alone.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt};

use super::engine::{Engine, Reply, Served, Terms};
use super::exchange::WHOLE_BYTES_MAX;
use crate::domain::jsonrpc::Item;
use crate::domain::refusal::Refusal;

/// Calls of one batch that are on their way at once.
const FAN_OUT: usize = 16;

/// A batch's answer, and who gave it.
pub struct Answers {
    /// The body; empty when there is nothing to say: all were notifications.
    pub pieces: Vec<Bytes>,
    /// Each node once, in the order of their answers; `local` is one of them.
    pub nodes: Vec<Arc<str>>,
    /// The most nodes asked for one call.
    pub attempts: usize,
}

/// Answers `items` (at least one).
pub async fn serve(engine: &Engine, items: &[Item<'_>], terms: Terms<'_>) -> Answers {
    let terms = Terms {
        may_stream: false,
        // One head for all of them, however long the last one waits for its turn.
        pins: Some(engine.pins(&engine.pool.snapshot().view)),
        ..terms
    };
    let mut waiting = items.iter();
    let mut under_way = FuturesOrdered::new();
    for item in waiting.by_ref().take(FAN_OUT) {
        under_way.push_back(one(engine, item, terms));
    }
    let mut body = Body::default();
    let mut nodes: Vec<Arc<str>> = Vec::new();
    let mut attempts = 0;
    let local: Arc<str> = "local".into();
    while let Some((id, served)) = under_way.next().await {
        if let Some(item) = waiting.next() {
            under_way.push_back(one(engine, item, terms));
        }
        attempts = attempts.max(served.attempts);
        let node = served.node.unwrap_or_else(|| local.clone());
        if !nodes.contains(&node) {
            nodes.push(node);
        }
        if let Some(id) = id {
            body.add(id, served.answer);
        }
    }
    Answers {
        pieces: body.close(),
        nodes,
        attempts,
    }
}

/// One answer, and the id that it is to carry; `None` for a notification's.
async fn one<'a>(engine: &Engine, item: &Item<'a>, terms: Terms<'_>) -> (Option<&'a str>, Served) {
    let call = match item {
        Item::Refused { id, why } => {
            let refused = Reply::Refused(why.clone());
            return (Some(id.unwrap_or("null")), Served::here(refused));
        }
        Item::Call(call) => call,
    };
    let mut served = engine.serve(call, terms).await;
    let held = match (&served.answer, call.id) {
        // What is longer was held as it came.
        (Reply::Whole(answer), Some(_)) => answer.bytes().min(WHOLE_BYTES_MAX),
        (Reply::Here(answer), Some(_)) => answer.len(),
        (Reply::Whole(_) | Reply::Here(_), None) | (Reply::Large(_) | Reply::Refused(_), _) => 0,
    };
    if !terms.room.hold(held) {
        served.answer = Reply::Refused(Refusal::AnswerTooLarge);
    }
    (call.id, served)
}

/// The body as it grows. Long answers are not copied into it.
#[derive(Default)]
struct Body {
    closed: Vec<Bytes>,
    open: Vec<u8>,
    has_begun: bool,
}

impl Body {
    fn add(&mut self, id: &str, answer: Reply) {
        let begun = std::mem::replace(&mut self.has_begun, true);
        self.open.push(if begun { b',' } else { b'[' });
        match answer {
            Reply::Here(answer) => self.open.extend_from_slice(answer.as_bytes()),
            Reply::Refused(why) => self.open.extend_from_slice(why.body(Some(id)).as_bytes()),
            Reply::Whole(answer) => match answer.around_id() {
                Some((before, after)) if answer.bytes() > WHOLE_BYTES_MAX => {
                    self.add_long(before);
                    self.open.extend_from_slice(id.as_bytes());
                    self.add_long(after);
                }
                Some(_) | None => answer.write_to(id, &mut self.open),
            },
            // It may not stream, so there is none.
            Reply::Large(_) => {
                let refusal = Refusal::AnswerTooLarge.body(Some(id));
                self.open.extend_from_slice(refusal.as_bytes());
            }
        }
        if self.open.len() > WHOLE_BYTES_MAX {
            self.close_open();
        }
    }

    fn add_long(&mut self, piece: Bytes) {
        if piece.len() <= WHOLE_BYTES_MAX / 2 {
            self.open.extend_from_slice(&piece);
        } else {
            self.close_open();
            self.closed.push(piece);
        }
    }

    fn close_open(&mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.is_empty() {
            self.closed.push(Bytes::from(open));
        }
    }

    fn close(mut self) -> Vec<Bytes> {
        if self.has_begun {
            self.open.push(b']');
        }
        self.close_open();
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::answer::Answer;
    use crate::domain::whole::Whole;

    fn whole(result: &str) -> Reply {
        let bytes = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{result}"}}"#));
        Reply::Whole(Whole::new(&bytes, &Answer::read(&bytes).unwrap()))
    }

    #[test]
    fn short_and_long_answers_stand_in_their_order_with_their_callers_ids() {
        let long = "x".repeat(WHOLE_BYTES_MAX);
        let mut body = Body::default();
        body.add("\"a\"", whole("short"));
        body.add("7", whole(&long));
        body.add("null", Reply::Refused(Refusal::NoNode));
        body.add("8", Reply::Here("{}".into()));
        let pieces = body.close();
        assert!(pieces.len() > 1);
        let text = String::from_utf8(pieces.concat()).unwrap();
        let read: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&read[0]["id"], &read[0]["result"]),
            (&"a".into(), &"short".into())
        );
        assert_eq!(
            (&read[1]["id"], &read[1]["result"]),
            (&7.into(), &long.into())
        );
        assert_eq!(read[2]["error"]["code"], -32011);
        assert_eq!(read.len(), 4);
    }

    #[test]
    fn without_answers_there_is_no_body() {
        assert!(Body::default().close().is_empty());
    }
}

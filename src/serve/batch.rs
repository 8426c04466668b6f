//! Many calls in one packet: each goes its own way, the answers come back in their order.
//!
//! The answers are held until the last one is there, within the packet's room: what has none any
//! more is refused alone, unless a node may have carried it out.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt};

use super::engine::{Engine, Reply, Served, Terms};
use super::exchange::WHOLE_BYTES_MAX;
use crate::domain::jsonrpc::Item;
use crate::domain::method::Treatment;
use crate::domain::refusal::Refusal;
use crate::state::gate::Room;

/// Calls of one batch that are on their way at once.
const FAN_OUT: usize = 16;

/// Room that a call which is no read must find before it is asked: for a hash or an id.
const NOTE_BYTES: usize = 1 << 10;

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
        pins: Some(terms.policy.pins(&engine.pool.snapshot().view)),
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
    if call.id.is_none() {
        return (None, engine.serve(call, terms).await);
    }
    let (_, treatment) = terms.policy.rules.look_up(&call.method);
    let answered = answer(engine.serve(call, terms), treatment, terms.room).await;
    (call.id, answered)
}

/// Lets `serve` answer a call that is treated so, and holds room for the answer. A read whose
/// answer finds none is refused. Anything else is refused before it is asked, or not at all: what a
/// node carried out must not look as if it had failed.
async fn answer(
    serve: impl Future<Output = Served>,
    treatment: Treatment,
    room: &Room<'_>,
) -> Served {
    let paid = if is_read(treatment) { 0 } else { NOTE_BYTES };
    if !room.hold(paid) {
        return Served::here(Reply::Refused(Refusal::AnswerTooLarge));
    }
    let mut served = serve.await;
    let bytes = match &served.answer {
        // What is longer was held as it came.
        Reply::Whole(answer) => answer.bytes().min(WHOLE_BYTES_MAX),
        Reply::Here(answer) => answer.len(),
        Reply::Large(_) | Reply::Refused(_) => 0,
    };
    if !room.hold(bytes.saturating_sub(paid)) && is_read(treatment) {
        served.answer = Reply::Refused(Refusal::AnswerTooLarge);
    }
    served
}

fn is_read(treatment: Treatment) -> bool {
    match treatment {
        Treatment::Local(_) | Treatment::Read | Treatment::Heavy | Treatment::Denied => true,
        Treatment::Broadcast | Treatment::Once | Treatment::Unknown => false,
    }
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
    use crate::state::gate::Gate;

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

    /// What a call that is treated so gets while so many bytes are left, and whether it was asked.
    async fn answered(treatment: Treatment, left: usize, result: &str) -> (bool, bool) {
        let gate = Gate::default();
        let room = gate.room(left as u64);
        let mut was_asked = false;
        let serve = async {
            was_asked = true;
            Served::here(whole(result))
        };
        let served = answer(serve, treatment, &room).await;
        (was_asked, matches!(served.answer, Reply::Whole(_)))
    }

    #[tokio::test]
    async fn a_read_without_room_is_refused_once_its_answer_is_there() {
        let bytes = match whole("0x1") {
            Reply::Whole(answer) => answer.bytes(),
            Reply::Here(_) | Reply::Large(_) | Reply::Refused(_) => unreachable!(),
        };
        for treatment in [Treatment::Read, Treatment::Heavy] {
            assert_eq!(answered(treatment, bytes, "0x1").await, (true, true));
            assert_eq!(answered(treatment, bytes - 1, "0x1").await, (true, false));
        }
    }

    #[tokio::test]
    async fn what_changes_something_is_refused_before_it_is_asked_or_not_at_all() {
        let longest = "x".repeat(WHOLE_BYTES_MAX / 2);
        for treatment in [Treatment::Broadcast, Treatment::Once, Treatment::Unknown] {
            for result in ["0x1", &longest] {
                let without = answered(treatment, NOTE_BYTES - 1, result).await;
                assert_eq!(without, (false, false));
                assert_eq!(answered(treatment, NOTE_BYTES, result).await, (true, true));
            }
        }
    }

    #[test]
    fn without_answers_there_is_no_body() {
        assert!(Body::default().close().is_empty());
    }
}

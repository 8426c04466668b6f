//! A raw transaction's way to the nodes: to several at once, on to the rest after the first has
//! taken it, and, where nobody knows or all refuse it, looked up by its hash.

mod lookup;
mod receipt;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::engine::{Engine, Reply, Served, Terms};
use super::exchange::WHOLE_BYTES_MAX;
use super::fan::{self, Fan, Heard, Question};
use crate::clock;
use crate::domain::broadcast::{
    self, Broadcast, Form, NODES_MAX, Spread, TELLS_OF_TRANSACTION, Use, Word, spread,
};
use crate::domain::chain::ChainId;
use crate::domain::jsonrpc::Call;
use crate::domain::method::Treatment;
use crate::domain::node::NodeId;
use crate::domain::pooled;
use crate::domain::refusal::Refusal;
use crate::domain::seen;
use crate::domain::select::Ladder;
use crate::domain::sent::Client;
use crate::domain::trail::Kind;
use crate::domain::transaction::{self, Signed, TxHash};
use crate::domain::verdict::Class;
use crate::domain::whole::Whole;
use crate::state::afterwork::Piece;
use crate::state::room::Room;
use crate::state::taken::Taken;
use crate::telemetry::metrics::{CallOutcome, Sending};

/// The time of a call that is kept for looking its transaction up; a quarter of it at most.
const LOOKUP_TIME: Duration = Duration::from_secs(2);

type Ended = (Served, CallOutcome);

/// Sends the raw transaction that `call` holds. Who lets go of the future doesn't stop what was
/// sent.
pub async fn send(engine: &Engine, call: &Call<'_>, terms: Terms<'_>) -> Ended {
    let (ended, sending) = Transaction::new(engine, call, terms).run().await;
    engine.metrics.broadcast(sending);
    ended
}

/// What is sent, as far as it can be read.
struct Tx {
    hash: TxHash,
    /// Of this chain, of a type that is known.
    signed: Option<Signed>,
    /// Without blobs.
    bytes: Vec<u8>,
    network: Option<IpAddr>,
}

impl Tx {
    fn read(params: &str, chain: Option<ChainId>, network: Option<IpAddr>) -> Option<Tx> {
        let bytes = transaction::bytes(params)?;
        let is_ours = |signed: &Signed| {
            signed
                .chain_id
                .is_none_or(|id| chain.is_none_or(|chain| id == chain))
        };
        Some(Tx {
            hash: transaction::hash_of(&bytes),
            signed: transaction::read(&bytes).filter(is_ours),
            bytes,
            network,
        })
    }

    fn sent(&self) -> pooled::Sent<'_> {
        pooled::Sent {
            hash: self.hash,
            signed: self.signed,
            raw: &self.bytes,
            network: self.network,
        }
    }
}

/// A transaction on its way.
struct Transaction<'a> {
    engine: &'a Engine,
    call: &'a Call<'a>,
    terms: Terms<'a>,
    form: Form,
    tx: Option<Arc<Tx>>,
    broadcast: Broadcast,
    deadline: Instant,
    asked: Vec<NodeId>,
    /// Of those, who refused it for what it is.
    refused_by: Vec<NodeId>,
    heard: Vec<Class>,
    failed: Vec<(Arc<str>, Class)>,
    /// The error that says most.
    kept: Option<(Whole, Arc<str>)>,
    volleys: usize,
}

impl<'a> Transaction<'a> {
    fn new(engine: &'a Engine, call: &'a Call<'a>, terms: Terms<'a>) -> Transaction<'a> {
        let form = Form::of(&call.method);
        let chain = engine.pool.snapshot().view.chain_id;
        let read = |params: &str| Tx::read(params, chain, terms.client.network());
        let tx = call.params.and_then(read).map(Arc::new);
        let limits = &terms.policy.limits;
        Transaction {
            engine,
            call,
            terms,
            form,
            broadcast: Broadcast::new(form, tx.is_some()),
            tx,
            deadline: terms.arrived_at + limits.times.deadline_of(Treatment::Broadcast),
            asked: Vec::new(),
            refused_by: Vec::new(),
            heard: Vec::new(),
            failed: Vec::new(),
            kept: None,
            volleys: 0,
        }
    }

    async fn run(mut self) -> (Ended, Sending) {
        self.engine.budget.deposit();
        let body = Bytes::from(self.call.for_node());
        while let Some(nodes) = self.next_nodes() {
            let Some(piece) = self.engine.afterwork.begin(body.len()) else {
                return (self.refused(Refusal::OverCapacity), Sending::Refused);
            };
            if let Some(ended) = self.volley(&nodes, &body, piece).await {
                return ended;
            }
            if let Some(ended) = self.doubt().await {
                return ended;
            }
            if !self.broadcast.goes_on() {
                break;
            }
        }
        self.finish()
    }

    /// Whom to send it to next: own nodes first, then the others, none of them twice.
    fn next_nodes(&mut self) -> Option<Vec<NodeId>> {
        let limits = &self.terms.policy.limits;
        let now = clock::now();
        let is_free = self.heard.iter().all(|class| class.is_unexecuted());
        if now >= self.until() || self.volleys >= limits.attempts_max as usize {
            return None;
        }
        // Where not all are asked: those who have this client's earlier ones, or it can't follow.
        let holders = self.engine.taken.holders_for(self.terms.client);
        let wish = Spread {
            nodes_max: limits.broadcast,
            method: &self.call.method,
            first: &holders,
            passed: &self.asked,
        };
        let view = &self.engine.pool.snapshot().view;
        let mut ladder = Some(Ladder::Own);
        while let Some(rung) = ladder {
            if rung == Ladder::LastResort && !limits.fails_open {
                return None;
            }
            let nodes = spread(view, rung, wish, now, &mut clock::roll);
            if nodes.is_empty() {
                ladder = rung.below();
            } else if !is_free && !self.engine.budget.withdraw(now) {
                return None;
            } else {
                if rung == Ladder::Fallback {
                    self.engine.metrics.fallback_call();
                }
                return Some(nodes);
            }
        }
        None
    }

    /// Until when nodes may take it: some of the time is left for a lookup.
    fn until(&self) -> Instant {
        let whole = self
            .deadline
            .saturating_duration_since(self.terms.arrived_at);
        self.deadline - LOOKUP_TIME.min(whole / 4)
    }

    /// Sends it to `nodes` and hears them until one settles it; the others are heard out by a task
    /// of their own.
    async fn volley(
        &mut self,
        nodes: &[NodeId],
        body: &Bytes,
        piece: Piece,
    ) -> Option<(Ended, Sending)> {
        let engine = self.engine;
        self.volleys += 1;
        self.asked.extend_from_slice(nodes);
        let until = match self.form {
            Form::Hash => self
                .until()
                .min(clock::now() + self.terms.policy.limits.times.attempt),
            // The node itself waits for a block.
            Form::Receipt => self.until(),
        };
        let question = Question {
            method: (*self.call.method).into(),
            body: body.clone(),
            until,
            bytes_max: self.terms.bytes_max.min(longest(self.form)),
            trace: self.terms.trace,
            path: self.terms.origin.part(Kind::Broadcast),
        };
        let (say, mut hear) = mpsc::channel(NODES_MAX);
        let delivery = Delivery {
            fan: fan::ask_all(&engine.pool, &engine.gate, nodes, &question),
            taken: engine.taken.clone(),
            tx: self.tx.clone(),
            client: self.terms.client,
            say,
            _piece: piece,
        };
        tokio::spawn(delivery.run());
        while let Some((word, heard)) = hear.recv().await {
            if let Some(ended) = self.hear(word, heard) {
                return Some(ended);
            }
        }
        None
    }

    fn hear(&mut self, word: Word, heard: Heard) -> Option<(Ended, Sending)> {
        self.heard.push(heard.class);
        if heard.class != Class::Ok {
            self.failed.push((heard.name.clone(), heard.class));
        }
        if matches!(word, Word::Refused(rank) if rank >= TELLS_OF_TRANSACTION) {
            self.refused_by.push(heard.node);
        }
        match (self.broadcast.hear(word), heard.answer) {
            (Use::Deliver, Some(answer)) => {
                self.see(heard.node, &answer);
                let reply = held(answer, self.terms.room);
                let ended = self.served(reply, &heard.name, CallOutcome::Ok);
                Some((ended, Sending::Accepted))
            }
            (Use::DeliverHash, _) => {
                let reply = self.hash_reply()?;
                let ended = self.served(reply, &heard.name, CallOutcome::Ok);
                Some((ended, Sending::Known))
            }
            (Use::Keep, Some(answer)) => {
                self.kept = Some((answer, heard.name));
                None
            }
            (Use::Deliver | Use::Keep, None) | (Use::Drop, _) => None,
        }
    }

    /// A receipt tells its client of a block: what the client is shown next is not behind it.
    fn see(&self, node: NodeId, answer: &Whole) {
        let told = match self.form {
            Form::Hash => None,
            Form::Receipt => answer.result().and_then(seen::block_told),
        };
        if let Some(head) = told {
            self.engine.pool.see(self.terms.client, node, head);
        }
    }

    fn hash_reply(&self) -> Option<Reply> {
        let hash = self.tx.as_ref()?.hash;
        Some(Reply::with_result(self.call, &format!("\"{hash}\"")))
    }

    fn finish(mut self) -> (Ended, Sending) {
        if let Some((answer, name)) = self.kept.take() {
            let ended = self.served(held(answer, self.terms.room), &name, CallOutcome::RpcError);
            return (ended, Sending::Refused);
        }
        let why = broadcast::refusal(&self.heard);
        (self.refused(why), Sending::Unanswered)
    }

    fn refused(&self, why: Refusal) -> Ended {
        let served = Served {
            answer: Reply::Refused(why),
            node: None,
            attempts: self.volleys,
            failed: (!self.failed.is_empty()).then(|| self.failed.as_slice().into()),
        };
        (served, CallOutcome::Failed)
    }

    fn served(&self, answer: Reply, node: &Arc<str>, outcome: CallOutcome) -> Ended {
        let served = Served {
            answer,
            node: Some(node.clone()),
            attempts: self.volleys,
            failed: None,
        };
        (served, outcome)
    }
}

/// The longest answer of a node that takes a transaction.
fn longest(form: Form) -> u64 {
    match form {
        Form::Hash => fan::SHORT_BYTES_MAX,
        Form::Receipt => fan::LONG_BYTES_MAX,
    }
}

/// A fan's answer, held in the client's own `room` from now on; as everywhere, the first
/// [`WHOLE_BYTES_MAX`] of it are the batch's to find room for.
fn held(answer: Whole, room: &Room<'_>) -> Reply {
    if room.hold(answer.bytes().saturating_sub(WHOLE_BYTES_MAX)) {
        Reply::Whole(answer)
    } else {
        Reply::Refused(Refusal::AnswerTooLarge)
    }
}

/// One volley, which outlives the call: it remembers who has taken the transaction, and tells the
/// call as long as it listens.
struct Delivery {
    fan: Fan,
    taken: Arc<Taken>,
    tx: Option<Arc<Tx>>,
    client: Client,
    say: mpsc::Sender<(Word, Heard)>,
    _piece: Piece,
}

impl Delivery {
    async fn run(mut self) {
        while let Some(heard) = self.fan.next().await {
            let error = heard.answer.as_ref().and_then(Whole::error);
            let word = broadcast::word(heard.class, error.as_ref());
            if matches!(word, Word::Accepted | Word::Known | Word::Unmined) {
                let sent = self.tx.as_ref().map(|tx| tx.sent());
                self.taken.remember(sent.as_ref(), self.client, heard.node);
            }
            // Nobody listens any more when the call has its answer.
            drop(self.say.try_send((word, heard)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::answer::Answer;
    use crate::domain::jsonrpc::OwnId;
    use crate::state::gate::Gate;

    #[test]
    fn only_a_receipt_may_be_long() {
        assert_eq!(longest(Form::Hash), 64 << 10);
        assert_eq!(longest(Form::Receipt), 1 << 20);
    }

    #[test]
    fn a_long_receipt_is_held_in_its_clients_room() {
        let padding = "x".repeat(WHOLE_BYTES_MAX);
        let bytes = Bytes::from(format!(r#"{{"id":1,"result":"{padding}"}}"#));
        let answer = Whole::new(&bytes, &Answer::read(&bytes, OwnId::FIRST).unwrap());
        let over = answer.bytes() - WHOLE_BYTES_MAX;
        let gate = Gate::default();
        let room = gate.room(over as u64);
        assert!(matches!(held(answer.clone(), &room), Reply::Whole(_)));
        assert!(!room.hold(1));
        let refused = held(answer, &room);
        assert!(matches!(refused, Reply::Refused(Refusal::AnswerTooLarge)));
    }
}

//! A raw transaction's way to the nodes: to several at once, on to the rest after the first has
//! taken it, and, where it isn't known whether a node has it or all refuse it, looked up by its hash.

mod lookup;
mod receipt;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::exchange::WHOLE_BYTES_MAX;
use crate::call::answer::{CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::call::fanout::{self, Fanout, FanoutCall, NodeAnswer};
use crate::clock;
use crate::observe::metrics::{CallOutcome, TransactionOutcome};
use crate::shared::answer_budget::AnswerBudget;
use crate::shared::background_sends::BackgroundSend;
use crate::shared::recent_writes::SharedWrites;
use forebay_core::call::broadcast::{
    self, Broadcast, BroadcastAction, BroadcastForm, BroadcastReply, BroadcastRound,
    BroadcastRounds, RoundLimits,
};
use forebay_core::call::trail::AttemptKind;
use forebay_core::call::{last_block, pending_transactions};
use forebay_core::fleet::spread::NODES_MAX;
use forebay_core::method::Treatment;
use forebay_core::rpc::classify::AttemptClass;
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::transaction::{self, SignedTransaction, TxHash};
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::chain::ChainId;
use forebay_core::vocabulary::client::{Client, NetworkMark};
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

/// Sends the raw transaction that `call` holds. Letting go of the future doesn't stop what was
/// sent.
pub async fn send(state: &CallState, call: &Call<'_>, context: CallContext<'_>) -> ServedAnswer {
    let (ended, sending) = BroadcastCall::new(state, call, context).run().await;
    state.metrics.broadcast(sending);
    ended
}

/// What is sent, as far as it can be read.
struct RawTransaction {
    hash: TxHash,
    /// Of this chain, of a type that is known.
    signed: Option<SignedTransaction>,
    /// Without blobs.
    bytes: Vec<u8>,
    network: Option<NetworkMark>,
}

impl RawTransaction {
    fn read(
        params: &str,
        chain: Option<ChainId>,
        network: Option<NetworkMark>,
    ) -> Option<RawTransaction> {
        let bytes = transaction::bytes(params)?;
        let is_ours = |signed: &SignedTransaction| {
            signed
                .chain_id
                .is_none_or(|id| chain.is_none_or(|chain| id == chain))
        };
        Some(RawTransaction {
            hash: transaction::hash_of(&bytes),
            signed: transaction::read(&bytes).filter(is_ours),
            bytes,
            network,
        })
    }

    fn sent(&self) -> pending_transactions::AcceptedTransaction<'_> {
        pending_transactions::AcceptedTransaction {
            hash: self.hash,
            signed: self.signed,
            marked: None,
            raw: &self.bytes,
            network: self.network,
        }
    }
}

/// A transaction on its way.
struct BroadcastCall<'a> {
    state: &'a CallState,
    call: &'a Call<'a>,
    context: CallContext<'a>,
    form: BroadcastForm,
    tx: Option<Arc<RawTransaction>>,
    broadcast: Broadcast,
    rounds: BroadcastRounds<'a>,
    deadline: Instant,
    failed: Vec<(Arc<str>, AttemptClass)>,
    /// The error that says most.
    kept: Option<(WholeAnswer, Arc<str>)>,
}

impl<'a> BroadcastCall<'a> {
    fn new(
        state: &'a CallState,
        call: &'a Call<'a>,
        context: CallContext<'a>,
    ) -> BroadcastCall<'a> {
        let form = BroadcastForm::of(&call.method);
        let chain = state.fleet.snapshot().view.chain_id;
        let network = state.recent_writes.network_of(context.client);
        let read = |params: &str| RawTransaction::read(params, chain, network);
        let tx = call.params.and_then(read).map(Arc::new);
        let policy = context.policy;
        let times = policy.times(&call.method);
        let deadline = context.arrived_at + times.deadline_of(Treatment::Broadcast);
        let limits = RoundLimits {
            method: &call.method,
            nodes_max: policy.settings.calls.broadcast,
            rounds_max: policy.settings.calls.attempts_max as usize,
            fails_open: policy.fails_open(),
            arrived_at: context.arrived_at,
            deadline,
            round: times.attempt,
        };
        BroadcastCall {
            state,
            call,
            context,
            form,
            broadcast: Broadcast::new(form, tx.is_some()),
            tx,
            rounds: BroadcastRounds::new(form, limits),
            deadline,
            failed: Vec::new(),
            kept: None,
        }
    }

    async fn run(mut self) -> (ServedAnswer, TransactionOutcome) {
        self.state.budget.deposit();
        let body = Bytes::from(self.call.for_node());
        while let Some(round) = self.next_round() {
            let Some(piece) = self.state.background_sends.begin(body.len()) else {
                return (
                    self.refused(Refusal::OverCapacity),
                    TransactionOutcome::Refused,
                );
            };
            if let Some(ended) = self.send_to(round, &body, piece).await {
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

    fn next_round(&self) -> Option<BroadcastRound> {
        let (state, now) = (self.state, clock::now());
        // Where not all are asked: those that have this client's earlier ones, or it can't follow.
        let holders = state.recent_writes.holders_for(self.context.client);
        let view = &state.fleet.snapshot().view;
        let pay = || state.budget.withdraw(now);
        let sent_by = (view, &holders[..]);
        let round = (self.rounds).next(sent_by, now, &mut clock::roll, pay)?;
        if round.tier == Tier::Fallback {
            state.metrics.fallback_call();
        }
        Some(round)
    }

    /// Sends it to the nodes of `round` and hears them until one settles it; the others are heard out by a task of
    /// their own.
    async fn send_to(
        &mut self,
        round: BroadcastRound,
        body: &Bytes,
        piece: BackgroundSend,
    ) -> Option<(ServedAnswer, TransactionOutcome)> {
        let state = self.state;
        self.rounds.begin(&round);
        let question = FanoutCall {
            method: (*self.call.method).into(),
            body: body.clone(),
            until: round.until,
            bytes_max: self.context.bytes_max.min(longest(self.form)),
            trace: self.context.trace,
            trail: self.context.request_context.part(AttemptKind::Broadcast),
        };
        let (say, mut hear) = mpsc::channel(NODES_MAX);
        let delivery = BroadcastTask {
            fanout: fanout::ask_all(&state.fleet, &state.admission, &round.nodes, &question),
            recent_writes: state.recent_writes.clone(),
            tx: self.tx.clone(),
            client: self.context.client,
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

    fn hear(
        &mut self,
        word: BroadcastReply,
        heard: NodeAnswer,
    ) -> Option<(ServedAnswer, TransactionOutcome)> {
        let class = heard.verdict.class;
        self.rounds.hear((heard.node, class), word);
        if class != AttemptClass::Ok {
            self.failed.push((heard.name.clone(), class));
        }
        match (self.broadcast.hear(word), heard.answer) {
            (BroadcastAction::Deliver, Some(answer)) => {
                self.see(heard.node, &answer);
                let reply = held(answer, self.context.answer_budget);
                let ended = self.served(reply, &heard.name, CallOutcome::Ok);
                Some((ended, TransactionOutcome::Accepted))
            }
            (BroadcastAction::DeliverHash, _) => {
                let reply = self.hash_reply()?;
                let ended = self.served(reply, &heard.name, CallOutcome::Ok);
                Some((ended, TransactionOutcome::Known))
            }
            (BroadcastAction::Keep, Some(answer)) => {
                self.kept = Some((answer, heard.name));
                None
            }
            (BroadcastAction::Deliver | BroadcastAction::Keep, None)
            | (BroadcastAction::Drop, _) => None,
        }
    }

    /// A receipt tells its client of a block: what the client is shown next is not behind it.
    fn see(&self, node: NodeId, answer: &WholeAnswer) {
        let told = match self.form {
            BroadcastForm::Hash => None,
            BroadcastForm::Receipt => answer.result().and_then(last_block::block_told),
        };
        if let Some(head) = told {
            self.state.fleet.see(self.context.client, node, head);
        }
    }

    fn hash_reply(&self) -> Option<CallReply> {
        let hash = self.tx.as_ref()?.hash;
        Some(CallReply::with_result(self.call, &format!("\"{hash}\"")))
    }

    fn finish(mut self) -> (ServedAnswer, TransactionOutcome) {
        if let Some((answer, name)) = self.kept.take() {
            let ended = self.served(
                held(answer, self.context.answer_budget),
                &name,
                CallOutcome::RpcError,
            );
            return (ended, TransactionOutcome::Refused);
        }
        let why = self.rounds.refusal();
        (self.refused(why), TransactionOutcome::Unanswered)
    }

    fn refused(&self, why: Refusal) -> ServedAnswer {
        ServedAnswer {
            outcome: CallOutcome::Failed,
            attempts: self.rounds.count(),
            failed: (!self.failed.is_empty()).then(|| self.failed.as_slice().into()),
            ..ServedAnswer::refused(why)
        }
    }

    fn served(&self, answer: CallReply, node: &Arc<str>, outcome: CallOutcome) -> ServedAnswer {
        ServedAnswer::by(node.clone(), answer, outcome).after(self.rounds.count())
    }
}

/// The longest answer of a node that takes a transaction.
fn longest(form: BroadcastForm) -> u64 {
    match form {
        BroadcastForm::Hash => fanout::SHORT_BYTES_MAX,
        BroadcastForm::Receipt => fanout::LONG_BYTES_MAX,
    }
}

/// A fanout's answer, held in the client's own `budget` from now on; as everywhere, the first
/// [`WHOLE_BYTES_MAX`] of it are the batch's to find room for.
fn held(answer: WholeAnswer, budget: &AnswerBudget<'_>) -> CallReply {
    if budget.hold(answer.bytes().saturating_sub(WHOLE_BYTES_MAX)) {
        CallReply::Whole(answer)
    } else {
        CallReply::Refused(Refusal::AnswerTooLarge)
    }
}

/// One round, which outlives the call: it remembers which nodes have taken the transaction, and tells the
/// call as long as it listens.
struct BroadcastTask {
    fanout: Fanout,
    recent_writes: Arc<SharedWrites>,
    tx: Option<Arc<RawTransaction>>,
    client: Client,
    say: mpsc::Sender<(BroadcastReply, NodeAnswer)>,
    _piece: BackgroundSend,
}

impl BroadcastTask {
    async fn run(mut self) {
        while let Some(heard) = self.fanout.next().await {
            let error = heard.answer.as_ref().and_then(WholeAnswer::error);
            let word = broadcast::word(heard.verdict.class, error.as_ref());
            if matches!(
                word,
                BroadcastReply::Accepted | BroadcastReply::Known | BroadcastReply::Unmined
            ) {
                let sent = self.tx.as_ref().map(|tx| tx.sent());
                self.recent_writes
                    .remember(sent.as_ref(), self.client, heard.node);
                let name = &heard.name;
                self.recent_writes
                    .tell(sent.as_ref(), self.client, name)
                    .await;
            }
            // The call listens no more once it has its answer.
            drop(self.say.try_send((word, heard)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::admission::Admission;
    use forebay_core::testing::whole_answer;

    #[test]
    fn only_a_receipt_may_be_long() {
        assert_eq!(longest(BroadcastForm::Hash), 64 << 10);
        assert_eq!(longest(BroadcastForm::Receipt), 1 << 20);
    }

    #[test]
    fn a_long_receipt_is_held_in_its_clients_room() {
        let padding = "x".repeat(WHOLE_BYTES_MAX);
        let answer = whole_answer(&format!(r#"{{"id":1,"result":"{padding}"}}"#));
        let over = answer.bytes() - WHOLE_BYTES_MAX;
        let admission = Admission::default();
        let budget = admission.answer_budget(over as u64);
        assert!(matches!(held(answer.clone(), &budget), CallReply::Whole(_)));
        assert!(!budget.hold(1));
        let refused = held(answer, &budget);
        assert!(matches!(
            refused,
            CallReply::Refused(Refusal::AnswerTooLarge)
        ));
    }
}

//! Counts of an account's transactions: the highest of several nodes' answers; and of those that
//! wait for a block, what nodes took from us beyond it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout_at;

use crate::call::answer::{CallReply, ServedAnswer};
use crate::call::context::{CallContext, CallState};
use crate::call::fanout;
use crate::clock;
use crate::observe::metrics::CallOutcome;
use forebay_core::call::nonce::{MissingNonce, NODES_MAX, NonceCounts};
use forebay_core::call::pending_transactions::PooledTransactions;
use forebay_core::call::plan::ForwardPlan;
use forebay_core::fleet::spread::{FanoutScope, spread};
use forebay_core::method::block::ParamEdits;
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::transaction::Address;
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::hex;
use forebay_core::vocabulary::node::NodeId;
use forebay_core::vocabulary::tier::Tier;

const COUNT: &str = "eth_getTransactionCount";

/// What nodes said.
struct NonceAnswer {
    /// The answer with the highest count, and the node that gave it.
    answer: WholeAnswer,
    name: Arc<str>,
    highest: u64,
    /// Nodes asked.
    asked: usize,
}

/// Answers a call for the pending count of `sender`, an account. `None` where there are not several nodes to
/// ask and nothing of the account's was taken here, or no node said a number: the call then goes the
/// usual way.
pub async fn count(
    state: &CallState,
    call: &Call<'_>,
    sender: Option<Address>,
    context: CallContext<'_>,
) -> Option<ServedAnswer> {
    let body = call.for_node().into();
    let counted = ask(state, body, (sender, 2), context).await?;
    let next = sender.map_or(counted.highest, |sender| {
        next_of(state, sender, counted.highest)
    });
    let answer = if next == counted.highest {
        CallReply::Whole(counted.answer)
    } else {
        CallReply::with_result(call, &hex::quantity(next))
    };
    let served = ServedAnswer::by(counted.name, answer, CallOutcome::Ok);
    Some(served.after(counted.asked))
}

/// The nonce that `sender`'s next transaction is to have; `None` where no node says.
async fn next(state: &CallState, sender: Address, context: CallContext<'_>) -> Option<u64> {
    let params = format!("[\"{sender}\",\"pending\"]");
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{COUNT}","params":{params}}}"#);
    let counted = ask(state, body.into(), (Some(sender), 1), context).await?;
    Some(next_of(state, sender, counted.highest))
}

/// Writes the nonce that we know into a transaction that lacks it: the node that fills in the rest may
/// not know yet what its sender sent last.
pub async fn fill(
    state: &CallState,
    plan: &ForwardPlan,
    MissingNonce { sender, at }: MissingNonce,
    context: CallContext<'_>,
) -> Option<ForwardPlan> {
    let next = next(state, sender, context).await?;
    let nonce = format!("\"nonce\":{},", hex::quantity(next));
    Some(ForwardPlan {
        edits: ParamEdits::inserting(at, nonce),
        ..plan.clone()
    })
}

fn next_of(state: &CallState, sender: Address, counted: u64) -> u64 {
    let next = |pooled: &PooledTransactions| pooled.next_nonce(sender, counted, clock::now());
    let pooled = state.recent_writes.pooled();
    pooled.map_or(counted, |pooled| next(&pooled))
}

/// Asks own nodes at once, above all those that took this client's transactions; where there is none,
/// others. `least`: so many must be there, where nothing of `sender`'s is known here.
async fn ask(
    state: &CallState,
    body: Bytes,
    (sender, least): (Option<Address>, usize),
    context: CallContext<'_>,
) -> Option<NonceAnswer> {
    let writes = &state.recent_writes;
    writes.hear_latest(&state.fleet.snapshot().view).await;
    if let Some(sender) = sender {
        writes.name(sender);
    }
    let is_known = |sender: &Address| writes.pooled().is_some_and(|it| it.knows(*sender));
    let known = sender.filter(is_known);
    let least = if known.is_some() { 1 } else { least };
    let mut holders = writes.holders_for(context.client);
    let scope = FanoutScope {
        nodes_max: NODES_MAX,
        method: COUNT,
        first: &holders,
        passed: &[],
    };
    let now = clock::now();
    let view = &state.fleet.snapshot().view;
    let mut nodes = spread(view, Tier::Own, scope, now, &mut clock::roll);
    if nodes.is_empty() && least == 1 {
        nodes = spread(view, Tier::Fallback, scope, now, &mut clock::roll);
    }
    if nodes.len() < least {
        return None;
    }
    state.budget.deposit();
    holders.retain(|holder| nodes.contains(holder));
    let until = context.read_end(now);
    let question = context.fanout_call(COUNT, body, until, fanout::SHORT_BYTES_MAX);
    let mut fanout = fanout::ask_all(&state.fleet, &state.admission, &nodes, &question);
    let mut counts = NonceCounts::default();
    let mut best = None;
    loop {
        let until = counts.until(question.until, !holders.is_empty());
        let Ok(Some(heard)) = timeout_at(until.into(), fanout.next()).await else {
            break;
        };
        holders.retain(|holder| *holder != heard.node);
        let Some(answer) = heard.answer else { continue };
        let Some(count) = answer.result().and_then(hex::read_quantity) else {
            continue;
        };
        let now = clock::now();
        if let Some(sender) = known
            && let Some(mut pooled) = writes.pooled()
        {
            let block_time = state.fleet.snapshot().view.block_time;
            pooled.counted_pending(sender, (heard.node, count), block_time, now);
        }
        if counts.hear(count, now) {
            best = Some((answer, heard.name, count));
        }
    }
    let (answer, name, highest) = best?;
    Some(NonceAnswer {
        answer,
        name,
        highest,
        asked: nodes.len(),
    })
}

/// How many transactions of `sender` blocks have, as `nodes` say; what that says of those that were
/// taken here is kept.
pub async fn latest(
    state: &CallState,
    sender: Address,
    nodes: &[NodeId],
    context: CallContext<'_>,
) -> Vec<(NodeId, u64)> {
    let counts = counted(state, (sender, "latest"), nodes, context).await;
    let highest = counts.iter().map(|(_, count)| *count).max();
    if let (Some(highest), Some(mut pooled)) = (highest, state.recent_writes.pooled()) {
        pooled.counted(sender, highest);
    }
    counts
}

/// Has `nodes` count `sender`'s transactions, those that wait included; what that says of those that
/// were taken here is kept.
pub async fn pending(
    state: &CallState,
    sender: Address,
    nodes: &[NodeId],
    context: CallContext<'_>,
) {
    let counts = counted(state, (sender, "pending"), nodes, context).await;
    let block_time = state.fleet.snapshot().view.block_time;
    if let Some(mut pooled) = state.recent_writes.pooled() {
        for count in counts {
            pooled.counted_pending(sender, count, block_time, clock::now());
        }
    }
}

/// The counts that `nodes` say, by the block's tag.
async fn counted(
    state: &CallState,
    (sender, tag): (Address, &str),
    nodes: &[NodeId],
    context: CallContext<'_>,
) -> Vec<(NodeId, u64)> {
    let params = format!("[\"{sender}\",\"{tag}\"]");
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{COUNT}","params":{params}}}"#);
    let until = context.read_end(clock::now());
    let question = context.fanout_call(COUNT, body.into(), until, fanout::SHORT_BYTES_MAX);
    let mut fanout = fanout::ask_all(&state.fleet, &state.admission, nodes, &question);
    let mut counts = Vec::new();
    while let Some(heard) = fanout.next().await {
        let result = heard.answer.as_ref().and_then(WholeAnswer::result);
        counts.extend(
            result
                .and_then(hex::read_quantity)
                .map(|count| (heard.node, count)),
        );
    }
    counts
}

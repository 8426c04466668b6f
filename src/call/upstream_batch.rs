//! Reads of a client's batch that go to a node together, as one batch of ours.
//!
//! Each is a call like any other: it goes its way from node to node, is judged by itself, and is counted,
//! logged and shared with identical calls as if it were alone. Together they are drawn a node, asked, and
//! charged to its load. A call that isn't done then goes on: with others, where the node told each call what it
//! lacks, or alone, where it may have been a single call that spoilt it for all.
//!
//! A group of one is an attempt of one call, as of a single call: its answer may be passed on as it comes, where
//! that to several is read to its end, since each of them is judged by its own.

mod member;
mod reply;
mod trial;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::exchange::{self, Unread};
use crate::call::attempt::{Attempt, AttemptSpec};
use crate::call::context::{CallContext, CallState};
pub use crate::call::upstream_batch::member::{BatchMember, BoxedMember, PlannedItem, members};
use crate::call::upstream_batch::reply::BatchReply;
use crate::clock;
use crate::node::client::ReuseRule;
use crate::node::reply::{BufferedBody, NodeResponse};
use crate::observe::spans::Trace;
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::Upstream;
use crate::shared::places::{Missed, NodeCandidate, NodePlace};
use crate::shared::snapshot::Snapshot;
use forebay_core::call::groups::{Group, Grouping};
use forebay_core::call::held_lookups;
use forebay_core::call::retry::RetryStep;
use forebay_core::call::trail::AttemptKind;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::rpc::batch::{self, ANSWER_BYTES_MAX, BatchVerdict, MemberOutcome};
use forebay_core::rpc::classify::{AttemptClass, Verdict};
use forebay_core::rpc::envelope::UpstreamCallId;
use forebay_core::vocabulary::client::Client;
use forebay_core::vocabulary::node::NodeId;
use forebay_core::wire::trace::TraceParent;

/// The answer to all calls, read to its end.
type BatchExchange = Result<(NodeResponse, Bytes), Unread>;

/// Splits the calls that wait into so many groups at most, which are asked at once. A call that finds no room
/// in one waits on without a node: until the call's turn comes a node may have fallen out, or the call's time
/// may be over. `attempt`: the time that a node has.
pub fn split<'a>(
    state: &CallState,
    waiting: &mut VecDeque<BoxedMember<'a>>,
    groups_max: usize,
    attempt: Duration,
) -> Vec<Group<BoxedMember<'a>>> {
    let snapshot = state.fleet.snapshot();
    let now = clock::now();
    let takes_batches = |node| {
        let upstream = snapshot.upstream(node);
        upstream.is_some_and(|upstream| upstream.batch_support.takes(now))
    };
    let mut groups = Grouping::new(&snapshot.view, attempt, groups_max);
    let mut left = Vec::new();
    while groups.has_room()
        && let Some(mut member) = waiting.pop_front()
    {
        let node = if member.goes_alone {
            None
        } else {
            draw(&mut member, &groups, now)
        };
        let bytes = member.forwarded.body.len();
        if let Err(mut member) = groups.add((member, bytes), node, takes_batches) {
            member.put_off();
            left.push(member);
        }
    }
    for member in left.into_iter().rev() {
        waiting.push_front(member);
    }
    groups.into_groups()
}

/// Takes a member's next step: to the node of one of the groups, if it will do. `None`: to no node.
fn draw<'a>(
    member: &mut BatchMember<'a>,
    groups: &Grouping<'_, BoxedMember<'a>>,
    now: Instant,
) -> Option<NodeId> {
    let joins = groups.nodes_for(member.forwarded.body.len());
    let step = member.forwarded.next(now, &joins);
    let node = match step {
        RetryStep::Ask { node, .. } => Some(node),
        RetryStep::WaitUntil(_) | RetryStep::Finish(_) => None,
    };
    member.next = Some(step);
    node
}

/// Asks for all calls of a group. They come back, those among them that are done with their answers. A single
/// one goes as a call of its own, to its end.
pub async fn ask<'a>(
    state: &CallState,
    group: Group<BoxedMember<'a>>,
    context: CallContext<'a>,
) -> Vec<BoxedMember<'a>> {
    let mut members = group.members;
    if let Some(node) = group.node.filter(|_| members.len() > 1) {
        ask_together(state, &mut members, node, context).await;
    } else {
        for member in &mut members {
            member.go_alone().await;
        }
    }
    members
}

async fn ask_together<'a>(
    state: &CallState,
    members: &mut [BoxedMember<'a>],
    id: NodeId,
    context: CallContext<'a>,
) {
    for_each(members, |member| member.next = None);
    let fleet = &state.fleet;
    let snapshot = fleet.snapshot();
    let Some(asked) = snapshot.upstream(id).zip(snapshot.view.node(id)) else {
        return for_each(members, |member| member.forwarded.stranded());
    };
    match place(fleet, members, asked, context.client).await {
        Ok(place) => attempt(state, members, (&snapshot, asked, place), context).await,
        Err(missed) => for_each(members, |member| member.miss(missed)),
    }
}

fn for_each<'a>(members: &mut [BoxedMember<'a>], mut each: impl FnMut(&mut BatchMember<'a>)) {
    members.iter_mut().for_each(|member| each(member));
}

/// A place for all of them, as they are one request.
async fn place(
    fleet: &FleetState,
    members: &[BoxedMember<'_>],
    (upstream, node): (&Arc<Upstream>, &NodeView),
    client: Client,
) -> Result<NodePlace, Missed> {
    if let Some(place) = upstream.places.at_once(upstream, &node.load) {
        return Ok(place);
    }
    let _in_line: Vec<_> = members.iter().map(|member| member.wait()).collect();
    let first = members.first();
    let deadline = first.map_or_else(clock::now, |first| first.forwarded.retry.deadline());
    let candidates = [NodeCandidate {
        upstream: upstream.clone(),
        load: node.load.clone(),
    }];
    Box::pin(fleet.wait(client, &candidates, deadline)).await
}

/// One attempt for all of them.
async fn attempt<'a>(
    state: &CallState,
    members: &mut [BoxedMember<'a>],
    (as_of, (upstream, node), place): (&Snapshot, (&Arc<Upstream>, &NodeView), NodePlace),
    context: CallContext<'a>,
) {
    let (fleet, now) = (&state.fleet, clock::now());
    let mut until = now;
    for_each(members, |member| {
        member.forwarded.depart(node);
        until = member.forwarded.retry.attempt_end(now);
    });
    let lookups = members.iter().filter(|member| member.is_lookup());
    let held_back_at = held_lookups::gives_up_at(lookups.count(), now).filter(|at| *at < until);
    let wanted = wanted(context, held_back_at.unwrap_or(until));
    let first = upstream.link.number(members.len());
    let calls = members.iter().map(|member| &member.forwarded.body[..]);
    let body = batch::written(calls, first);
    state.metrics.upstream_batch(members.len());
    let (asked, place) = ((&**upstream, node), (place, members.len()));
    let exchange = |trace| ask_whole(upstream, &body, &wanted, trace);
    let (mut attempt, came) = Attempt::make(fleet, asked, place, &wanted, exchange).await;
    if came.is_none() && held_back_at.is_some_and(|at| clock::now() >= at) {
        // It says nothing of the node: as if its client had left.
        state.lookups.hear_of(node, now, clock::now());
        return for_each(members, BatchMember::ask_alone);
    }
    let mut came = came.unwrap_or_else(|| Err(Verdict::from(AttemptClass::Timeout).into()));
    let mut judged = judge(&came, (first, members.len()));
    let verdicts = judged.outcomes.iter_mut().map(MemberOutcome::verdict_mut);
    attempt.end(verdicts, fleet, asked).await;
    // What is asked from here on has places of its own.
    drop(attempt);
    if let Some(lasts) = judged.refused_for() {
        upstream.refuse_batches(lasts);
    }
    if judged.outcomes.iter().any(trial::is_error) {
        let asked = (&*members, judged.outcomes.as_slice());
        Box::pin(trial::run(asked, (upstream, node), until)).await;
    }
    let is_mixed_up = judged.is_mixed_up;
    BatchReply::of(&came, &judged, (as_of, upstream, node), context)
        .hand_out(members, judged, now)
        .await;
    if let (false, Ok((reply, _))) = (is_mixed_up, &mut came) {
        reply.keep();
    }
}

/// Asks for all of them, and reads the answer to its end as long as there is room for it. The room is held no
/// longer than that: each answer then finds its own.
async fn ask_whole(
    upstream: &Upstream,
    body: &[u8],
    wanted: &AttemptSpec<'_>,
    trace: Option<TraceParent>,
) -> BatchExchange {
    let body = [body];
    let sent = upstream.link.send(&body, wanted.reuse, trace.as_ref());
    let mut reply = sent.await.map_err(|fault| fault.class())?;
    let mut held = wanted.answer_budget.attempt();
    let whole = match exchange::read_start(&mut reply, wanted).await? {
        BufferedBody::Whole(whole) => whole,
        BufferedBody::More(start) if held.hold(start.len()) => {
            exchange::read_to_end(&mut reply, start, ANSWER_BYTES_MAX, &mut held).await?
        }
        BufferedBody::More(_) => return Err(Unread::TooLarge),
    };
    Ok((reply, whole))
}

fn wanted<'a>(context: CallContext<'a>, until: Instant) -> AttemptSpec<'a> {
    AttemptSpec {
        id: "",
        bytes_max: ANSWER_BYTES_MAX as u64,
        may_stream: false,
        answer_budget: context.answer_budget,
        // Of several calls: what they are all a part of.
        trace: context
            .request_context
            .trace
            .map(|parent| Trace { parent, row: None }),
        trail: context.request_context.follow(AttemptKind::Batch),
        reuse: ReuseRule::Any,
        until,
        may_move: true,
        may_be_held_back: false,
    }
}

/// What came, as each of them gets it.
fn judge(came: &BatchExchange, (first, calls): (UpstreamCallId, usize)) -> BatchVerdict<'_> {
    match came {
        Ok((reply, body)) => batch::judge(body, reply.status, reply.retry_after, (first, calls)),
        Err(Unread::Failed(verdict)) => {
            BatchVerdict::of_all(MemberOutcome::Unanswered(*verdict), calls)
        }
        Err(Unread::TooLarge) => BatchVerdict::of_all(
            MemberOutcome::TooLarge(AttemptClass::TOO_LARGE.into()),
            calls,
        ),
    }
}

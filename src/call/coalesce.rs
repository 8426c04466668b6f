//! Identical reads in flight: one is asked, the others wait for its answer.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::time::timeout_at;

use super::exchange::WHOLE_BYTES_MAX;
use crate::call::answer::{CallReply, ServedAnswer};
use crate::call::cached;
use crate::call::context::{CallContext, CallState};
use crate::call::forward::ForwardedCall;
use crate::call::stored;
use crate::clock;
use crate::observe::metrics::CallOutcome;
use crate::shared::singleflight::{FlightOutcome, FlightOwner, Join, SharedAnswer, SharedRefusal};
use forebay_core::call::last_block;
use forebay_core::call::plan::ForwardPlan;
use forebay_core::call::shared_flight::{Follower, FollowerStep};
use forebay_core::call::trail::AttemptKind;
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::chain::BlockNumber;
use forebay_core::vocabulary::client::Client;

/// Asks, or waits for a call that asks the same, while clients are shown `head`. A caller keeps its own
/// deadline and its own id; when the one that asks leaves, another of them asks.
pub async fn ask(
    state: &CallState,
    call: &Call<'_>,
    plan: &ForwardPlan,
    context: CallContext<'_>,
    head: Option<BlockNumber>,
) -> ServedAnswer {
    let body = Bytes::from(plan.body(call));
    let deadline = context.arrived_at
        + context
            .policy
            .times(&call.method)
            .deadline_of(plan.treatment);
    let run = async |flight: Option<&FlightOwner<'_>>| {
        // None is ever closed.
        let _turn = match context.turns {
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        let mut forwarded = ForwardedCall::new(state, call, plan, context, body.clone());
        forwarded.owns(flight);
        forwarded.run().await
    };
    // To be told how long an identical call was waited for.
    let joined_at = context.request_context.trail.as_ref().map(|_| clock::now());
    let follow = |node: &Arc<str>, outcome| follow(context, joined_at, (node, outcome));
    let turned_away = |served: ServedAnswer| {
        follow(&"local".into(), served.outcome);
        served
    };
    let network = context.client.network();
    let mut waits = Follower::new(network);
    loop {
        let follower = match state.singleflight.join(&body, head, network) {
            Join::Alone => return run(None).await,
            Join::Owner(owner) => {
                let served = match kept(state, call, plan, &context).await {
                    Some(kept) => kept,
                    None => run(Some(&owner)).await,
                };
                owner.land(|| landed(&served, context.client));
                return served;
            }
            Join::Follower(follower) => follower,
        };
        match timeout_at(deadline.into(), follower.landed()).await {
            Err(_) => return turned_away(failed(Refusal::Timeout)),
            Ok(None) => {}
            Ok(Some(FlightOutcome::Nothing)) => return run(None).await,
            Ok(Some(FlightOutcome::Refused(refused))) => {
                match waits.hear_refused(&refused.why, refused.network) {
                    FollowerStep::TakeRefusal => return turned_away(refused.into()),
                    FollowerStep::JoinAgain => {}
                    FollowerStep::GoAlone => return run(None).await,
                }
            }
            Ok(Some(FlightOutcome::Shared(shared))) => {
                state.metrics.coalesced();
                tell(state, call, plan, &shared.answer, context.client);
                let node = shared.node.clone();
                let served = taken_over(shared, context);
                follow(&node, served.outcome);
                return served;
            }
        }
    }
}

/// What landed a moment ago may be kept by now, or another balancer keeps it.
async fn kept(
    state: &CallState,
    call: &Call<'_>,
    plan: &ForwardPlan,
    context: &CallContext<'_>,
) -> Option<ServedAnswer> {
    let kept = plan.keep.plan()?;
    match cached::look_again(state, kept, context) {
        None if stored::is_on(state, context) => {
            Box::pin(stored::find(state, call, kept, *context)).await
        }
        found => found,
    }
}

/// The client is told of the head that `answer` says.
fn tell(
    state: &CallState,
    call: &Call<'_>,
    plan: &ForwardPlan,
    answer: &WholeAnswer,
    client: Client,
) {
    let head = (answer.result())
        .and_then(|result| last_block::told(call, plan.treatment, plan.block, result, false));
    if let Some(head) = head {
        state.fleet.tell(client, head);
    }
}

/// What others may have of it.
pub(crate) fn landed(served: &ServedAnswer, client: Client) -> FlightOutcome {
    match (&served.answer, &served.node) {
        (CallReply::Whole(answer), Some(node)) if answer.bytes() <= WHOLE_BYTES_MAX => {
            FlightOutcome::Shared(SharedAnswer {
                answer: answer.clone(),
                node: node.clone(),
                attempts: served.attempts,
            })
        }
        // Their limits may be others.
        (CallReply::Refused(Refusal::AnswerTooLarge), _) => FlightOutcome::Nothing,
        (CallReply::Refused(why), _) => FlightOutcome::Refused(SharedRefusal {
            why: why.clone(),
            outcome: served.outcome,
            failed: served.failed.clone(),
            network: client.network(),
        }),
        (
            CallReply::Whole(_) | CallReply::Here(_) | CallReply::Large(_) | CallReply::Several(..),
            _,
        ) => FlightOutcome::Nothing,
    }
}

/// Tells its client of what an identical call brought.
fn follow(
    context: CallContext<'_>,
    joined_at: Option<Instant>,
    (node, outcome): (&Arc<str>, CallOutcome),
) {
    if let Some((trail, joined_at)) = context
        .request_context
        .follow(AttemptKind::Shared)
        .zip(joined_at)
    {
        let took = clock::now().saturating_duration_since(joined_at);
        trail.note(node, outcome.as_str(), took);
    }
}

fn taken_over(shared: SharedAnswer, context: CallContext<'_>) -> ServedAnswer {
    if shared.answer.bytes() as u64 > context.bytes_max {
        return failed(Refusal::AnswerTooLarge);
    }
    ServedAnswer::whole(shared.node, shared.answer).after(shared.attempts)
}

fn failed(why: Refusal) -> ServedAnswer {
    ServedAnswer {
        outcome: CallOutcome::Failed,
        ..ServedAnswer::refused(why)
    }
}

impl From<SharedRefusal> for ServedAnswer {
    fn from(shared: SharedRefusal) -> ServedAnswer {
        ServedAnswer {
            outcome: shared.outcome,
            failed: shared.failed,
            ..ServedAnswer::refused(shared.why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn a_refusal_says_for_which_network_it_was_made_and_one_of_a_size_is_nobody_elses() {
        let client = Client::At("2001:db8::7".parse().unwrap());
        let FlightOutcome::Refused(refused) = landed(&failed(Refusal::Timeout), client) else {
            panic!("others may have it");
        };
        let network: IpAddr = "2001:db8::".parse().unwrap();
        assert_eq!(refused.network, Some(network));
        assert_eq!(refused.why, Refusal::Timeout);
        assert_eq!(refused.outcome, CallOutcome::Failed);
        let too_large = landed(&failed(Refusal::AnswerTooLarge), client);
        assert!(matches!(too_large, FlightOutcome::Nothing));
    }
}

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
use crate::shared::singleflight::{FlightOutcome, FlightOwner, Join, SharedAnswer};
use forebay_core::call::last_block;
use forebay_core::call::plan::ForwardPlan;
use forebay_core::call::trail::{AttemptKind, FailedAttempts};
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::chain::BlockNumber;
use forebay_core::vocabulary::client::Client;

/// Asks, or waits for who asks the same, while clients are shown `head`. A caller keeps its own
/// deadline and its own id; when the one who asks leaves, another of them asks.
pub async fn ask(
    engine: &CallState,
    call: &Call<'_>,
    asking: &ForwardPlan,
    terms: CallContext<'_>,
    head: Option<BlockNumber>,
) -> ServedAnswer {
    let body = Bytes::from(asking.body(call));
    let deadline = terms.arrived_at
        + terms
            .policy
            .times(&call.method)
            .deadline_of(asking.treatment);
    let run = async |flight: Option<&FlightOwner<'_>>| {
        // None is ever closed.
        let _turn = match terms.turns {
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        let mut forwarded = ForwardedCall::new(engine, call, asking, terms, body.clone());
        forwarded.leads(flight);
        forwarded.run().await
    };
    // To be told how long an identical call was waited for.
    let joined_at = terms.origin.path.as_ref().map(|_| clock::now());
    let follow = |node: &Arc<str>, outcome| follow(terms, joined_at, (node, outcome));
    let turned_away = |why, failed, outcome| {
        follow(&"local".into(), outcome);
        refused((why, failed), outcome)
    };
    if terms.wants_fresh {
        // What is in flight may come out of the store that balancers share.
        return run(None).await;
    }
    let mut sheds = 0;
    loop {
        let follower = match engine.flights.join(&body, head, terms.client.network()) {
            Join::Alone => return run(None).await,
            Join::Leader(leader) => {
                let served = match kept(engine, call, asking, terms).await {
                    Some(kept) => kept,
                    None => run(Some(&leader)).await,
                };
                leader.land(|| landed(&served, terms.client));
                return served;
            }
            Join::Follower(follower) => follower,
        };
        match timeout_at(deadline.into(), follower.landed()).await {
            Err(_) => return turned_away(Refusal::Timeout, None, CallOutcome::Failed),
            // It had less time left than we: somebody asks again.
            Ok(None | Some(FlightOutcome::Refused(Refusal::Timeout, _))) => {}
            Ok(Some(FlightOutcome::Nothing)) => return run(None).await,
            Ok(Some(FlightOutcome::Refused(why, failed))) => {
                return turned_away(why, failed, CallOutcome::Failed);
            }
            Ok(Some(FlightOutcome::Shed(network, failed))) => {
                let is_ours = network == terms.client.network();
                match shed(is_ours, sheds) {
                    ShedRecovery::Taken => {
                        return turned_away(Refusal::OverCapacity, failed, CallOutcome::Refused);
                    }
                    ShedRecovery::AskedAgain => sheds += 1,
                    ShedRecovery::Alone => return run(None).await,
                }
            }
            Ok(Some(FlightOutcome::Unanswerable(why, failed))) => {
                return turned_away(why, failed, CallOutcome::Unanswerable);
            }
            Ok(Some(FlightOutcome::Brought(brought))) => {
                engine.metrics.coalesced();
                tell(engine, call, asking, &brought.answer, terms.client);
                let node = brought.node.clone();
                let served = taken_over(brought, terms);
                follow(&node, served.outcome);
                return served;
            }
        }
    }
}

/// What landed a moment ago may be kept by now, or another balancer keeps it.
async fn kept(
    engine: &CallState,
    call: &Call<'_>,
    asking: &ForwardPlan,
    terms: CallContext<'_>,
) -> Option<ServedAnswer> {
    let plan = asking.keep.plan()?;
    match cached::look_again(engine, plan, terms) {
        None if stored::is_on(engine, terms) => {
            Box::pin(stored::find(engine, call, plan, terms)).await
        }
        kept => kept,
    }
}

/// The client is told of the head that `answer` says.
fn tell(
    engine: &CallState,
    call: &Call<'_>,
    asking: &ForwardPlan,
    answer: &WholeAnswer,
    client: Client,
) {
    let head = (answer.result())
        .and_then(|result| last_block::told(call, asking.treatment, asking.block, result, false));
    if let Some(head) = head {
        engine.pool.tell(client, head);
    }
}

/// What a call does that waited for another which found no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShedRecovery {
    /// It would have fared alike.
    Taken,
    /// By whoever of those that wait is first.
    AskedAgain,
    Alone,
}

/// `is_ours`: it was the same caller's, who has had his turn. `sheds`: others' before it. However many
/// callers flood with the same call, one that doesn't waits for two of them at most.
fn shed(is_ours: bool, sheds: u32) -> ShedRecovery {
    match (is_ours, sheds) {
        (true, _) => ShedRecovery::Taken,
        (false, 0) => ShedRecovery::AskedAgain,
        (false, _) => ShedRecovery::Alone,
    }
}

/// What others may have of it.
pub(crate) fn landed(served: &ServedAnswer, client: Client) -> FlightOutcome {
    match (&served.answer, &served.node) {
        (CallReply::Whole(answer), Some(node)) if answer.bytes() <= WHOLE_BYTES_MAX => {
            FlightOutcome::Brought(SharedAnswer {
                answer: answer.clone(),
                node: node.clone(),
                attempts: served.attempts,
                is_error: served.outcome != CallOutcome::Ok,
            })
        }
        // Their limits may be others.
        (CallReply::Refused(Refusal::AnswerTooLarge), _) => FlightOutcome::Nothing,
        (CallReply::Refused(Refusal::OverCapacity), _) => {
            FlightOutcome::Shed(client.network(), served.failed.clone())
        }
        (CallReply::Refused(why), _) if served.outcome == CallOutcome::Unanswerable => {
            FlightOutcome::Unanswerable(why.clone(), served.failed.clone())
        }
        (CallReply::Refused(why), _) => FlightOutcome::Refused(why.clone(), served.failed.clone()),
        (CallReply::Whole(_) | CallReply::Here(_) | CallReply::Large(_), _) => {
            FlightOutcome::Nothing
        }
    }
}

/// Tells its client of what an identical call brought.
fn follow(
    terms: CallContext<'_>,
    joined_at: Option<Instant>,
    (node, outcome): (&Arc<str>, CallOutcome),
) {
    if let Some((following, joined_at)) = terms.origin.follow(AttemptKind::Shared).zip(joined_at) {
        let took = clock::now().saturating_duration_since(joined_at);
        following.note(node, outcome.as_str(), took);
    }
}

fn taken_over(brought: SharedAnswer, terms: CallContext<'_>) -> ServedAnswer {
    if brought.answer.bytes() as u64 > terms.bytes_max {
        return refused((Refusal::AnswerTooLarge, None), CallOutcome::Failed);
    }
    let outcome = if brought.is_error {
        CallOutcome::RpcError
    } else {
        CallOutcome::Ok
    };
    ServedAnswer {
        attempts: brought.attempts,
        ..ServedAnswer::by(brought.node, CallReply::Whole(brought.answer), outcome)
    }
}

fn refused((why, failed): (Refusal, FailedAttempts), outcome: CallOutcome) -> ServedAnswer {
    ServedAnswer {
        outcome,
        failed,
        ..ServedAnswer::refused(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_caller_is_not_turned_away_for_a_flooders_identical_call() {
        assert_eq!(shed(true, 0), ShedRecovery::Taken);
        assert_eq!(shed(false, 0), ShedRecovery::AskedAgain);
        assert_eq!(shed(false, 1), ShedRecovery::Alone);
        assert_eq!(shed(true, 1), ShedRecovery::Taken);
        let flooder = Client::At([192, 0, 2, 1].into());
        let served = ServedAnswer::refused(Refusal::OverCapacity);
        let landed = landed(&served, flooder);
        assert!(
            matches!(&landed, FlightOutcome::Shed(network, _) if *network == flooder.network()),
            "{landed:?}"
        );
    }
}

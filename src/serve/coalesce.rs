//! Identical reads in flight: one is asked, the others wait for its answer.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::time::timeout_at;

use super::engine::{Engine, Reply, Served, Terms};
use super::errand::Errand;
use super::exchange::WHOLE_BYTES_MAX;
use crate::clock;
use crate::domain::chain::BlockNumber;
use crate::domain::jsonrpc::Call;
use crate::domain::method::Row;
use crate::domain::refusal::Refusal;
use crate::domain::route::Asking;
use crate::domain::seen;
use crate::domain::sent::Client;
use crate::domain::trail::{Failed, Kind};
use crate::state::flights::{Brought, Landed, Seat};
use crate::telemetry::metrics::CallOutcome;

/// Asks, or waits for who asks the same, while clients are shown `head`. A caller keeps its own
/// deadline and its own id; when the one who asks leaves, another of them asks.
pub async fn ask(
    engine: &Engine,
    call: &Call<'_>,
    (row, asking): (Row, &Asking),
    terms: Terms<'_>,
    head: Option<BlockNumber>,
) -> (Served, CallOutcome) {
    let body = Bytes::from(asking.body(call));
    let deadline = terms.arrived_at + terms.policy.limits.times.deadline_of(asking.treatment);
    let run = async || {
        // None is ever closed.
        let _turn = match terms.turns {
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        let mut errand = Errand::new(engine, call, asking, terms, body.clone());
        errand.hedge(row);
        errand.run().await
    };
    // To be told how long an identical call was waited for.
    let joined_at = terms.origin.path.as_ref().map(|_| clock::now());
    let follow = |node: &Arc<str>, outcome| follow(terms, joined_at, (node, outcome));
    let turned_away = |why, failed, outcome| {
        follow(&"local".into(), outcome);
        refused((why, failed), outcome)
    };
    let mut sheds = 0;
    loop {
        let follower = match engine.flights.join(&body, head) {
            Seat::Alone => return run().await,
            Seat::Leader(leader) => {
                let (served, outcome) = run().await;
                leader.land(|| landed(&served, outcome, terms.client));
                return (served, outcome);
            }
            Seat::Follower(follower) => follower,
        };
        match timeout_at(deadline.into(), follower.landed()).await {
            Err(_) => return turned_away(Refusal::Timeout, None, CallOutcome::Failed),
            // It had less time left than we: somebody asks again.
            Ok(None | Some(Landed::Refused(Refusal::Timeout, _))) => {}
            Ok(Some(Landed::Nothing)) => return run().await,
            Ok(Some(Landed::Refused(why, failed))) => {
                return turned_away(why, failed, CallOutcome::Failed);
            }
            Ok(Some(Landed::Shed(network, failed))) => {
                let is_ours = network == terms.client.network();
                match shed(is_ours, sheds) {
                    Shed::Taken => {
                        return turned_away(Refusal::OverCapacity, failed, CallOutcome::Refused);
                    }
                    Shed::AskedAgain => sheds += 1,
                    Shed::Alone => return run().await,
                }
            }
            Ok(Some(Landed::Unanswerable(why, failed))) => {
                return turned_away(why, failed, CallOutcome::Unanswerable);
            }
            Ok(Some(Landed::Brought(brought))) => {
                engine.metrics.coalesced();
                let told = (brought.answer.result())
                    .and_then(|result| seen::told(call, asking, result, false));
                if let Some(head) = told {
                    engine.pool.tell(terms.client, head);
                }
                let node = brought.node.clone();
                let (served, outcome) = taken_over(brought, terms);
                follow(&node, outcome);
                return (served, outcome);
            }
        }
    }
}

/// What a call does that waited for another which found no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shed {
    /// It would have fared alike.
    Taken,
    /// By whoever of those that wait is first.
    AskedAgain,
    Alone,
}

/// `is_ours`: it was the same caller's, who has had his turn. `sheds`: others' before it. However many
/// callers flood with the same call, one that doesn't waits for two of them at most.
fn shed(is_ours: bool, sheds: u32) -> Shed {
    match (is_ours, sheds) {
        (true, _) => Shed::Taken,
        (false, 0) => Shed::AskedAgain,
        (false, _) => Shed::Alone,
    }
}

/// What others may have of it.
pub(super) fn landed(served: &Served, outcome: CallOutcome, client: Client) -> Landed {
    match (&served.answer, &served.node) {
        (Reply::Whole(answer), Some(node)) if answer.bytes() <= WHOLE_BYTES_MAX => {
            Landed::Brought(Brought {
                answer: answer.clone(),
                node: node.clone(),
                attempts: served.attempts,
                is_error: outcome != CallOutcome::Ok,
            })
        }
        // Their limits may be others.
        (Reply::Refused(Refusal::AnswerTooLarge), _) => Landed::Nothing,
        (Reply::Refused(Refusal::OverCapacity), _) => {
            Landed::Shed(client.network(), served.failed.clone())
        }
        (Reply::Refused(why), _) if outcome == CallOutcome::Unanswerable => {
            Landed::Unanswerable(why.clone(), served.failed.clone())
        }
        (Reply::Refused(why), _) => Landed::Refused(why.clone(), served.failed.clone()),
        (Reply::Whole(_) | Reply::Here(_) | Reply::Large(_), _) => Landed::Nothing,
    }
}

/// Tells its client of what an identical call brought.
fn follow(terms: Terms<'_>, joined_at: Option<Instant>, (node, outcome): (&Arc<str>, CallOutcome)) {
    if let Some((following, joined_at)) = terms.origin.follow(Kind::Shared).zip(joined_at) {
        let took = clock::now().saturating_duration_since(joined_at);
        following.note(node, outcome.as_str(), took);
    }
}

fn taken_over(brought: Brought, terms: Terms<'_>) -> (Served, CallOutcome) {
    if brought.answer.bytes() as u64 > terms.bytes_max {
        return refused((Refusal::AnswerTooLarge, None), CallOutcome::Failed);
    }
    let served = Served {
        answer: Reply::Whole(brought.answer),
        node: Some(brought.node),
        attempts: brought.attempts,
        failed: None,
    };
    let outcome = if brought.is_error {
        CallOutcome::RpcError
    } else {
        CallOutcome::Ok
    };
    (served, outcome)
}

fn refused((why, failed): (Refusal, Failed), outcome: CallOutcome) -> (Served, CallOutcome) {
    let served = Served {
        failed,
        ..Served::here(Reply::Refused(why))
    };
    (served, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_caller_is_not_turned_away_for_a_flooders_identical_call() {
        assert_eq!(shed(true, 0), Shed::Taken);
        assert_eq!(shed(false, 0), Shed::AskedAgain);
        assert_eq!(shed(false, 1), Shed::Alone);
        assert_eq!(shed(true, 1), Shed::Taken);
        let flooder = Client::At([192, 0, 2, 1].into());
        let served = Served::here(Reply::Refused(Refusal::OverCapacity));
        let landed = landed(&served, CallOutcome::Refused, flooder);
        assert!(
            matches!(&landed, Landed::Shed(network, _) if *network == flooder.network()),
            "{landed:?}"
        );
    }
}

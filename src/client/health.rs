//! `GET /health`: what the load balancer in front of us should think.
//!
//! It is 503 before the first round and once we are closing. An outage of the nodes is in the
//! body only: replacing this process would not bring them back.

use serde_json::json;

use crate::observe::events::fit_in_words;
use crate::shared::list_source::ListSource;
use forebay_core::fleet::failure_rate::FailureShare;
use forebay_core::fleet::view::FleetView;
use forebay_core::vocabulary::node::Role;

/// What there is to say of our health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthAnswer {
    /// 200 or 503.
    pub status: u16,
    pub word: &'static str,
    pub why: String,
}

/// Status and body.
pub fn report(
    view: &FleetView,
    list: ListSource,
    failing: Option<FailureShare>,
    is_closing: bool,
) -> (u16, String) {
    let HealthAnswer { status, word, why } = say(view, list, failing, is_closing);
    (status, json!({ "status": word, "why": why }).to_string())
}

/// `failing`: the share of the calls of late that failed, if it is too large.
pub fn say(
    view: &FleetView,
    list: ListSource,
    failing: Option<FailureShare>,
    is_closing: bool,
) -> HealthAnswer {
    let own = view.nodes.iter().filter(|node| node.rung == Role::Own);
    let (count, fit) = (
        own.clone().count(),
        own.filter(|node| node.serves()).count(),
    );
    let has_fallback = [Role::Leader, Role::Fallback]
        .into_iter()
        .any(|rung| view.has_fit(rung));
    let (status, word, why) = match (view.rounds, failing) {
        _ if is_closing => (503, "closing", "shutting down".to_string()),
        (0, _) => (503, "starting", "no node has been probed yet".to_string()),
        (_, Some(share)) => (200, "degraded", share.sentence()),
        _ if fit > 0 => (200, "ok", fit_in_words(fit, count)),
        _ if view.nodes.is_empty() => (200, "degraded", "there are no nodes yet".to_string()),
        _ if has_fallback => {
            let none = match count {
                0 => "there is no own node".to_string(),
                1 => "the only own node is not fit".to_string(),
                _ => format!("none of {count} own nodes is fit"),
            };
            (200, "fallback", format!("{none}, the leader serves"))
        }
        _ => (200, "degraded", "no node is fit".to_string()),
    };
    let trouble = list.trouble().filter(|_| view.rounds > 0);
    HealthAnswer {
        status,
        word,
        why: trouble.map_or_else(|| why.clone(), |trouble| format!("{why}; {trouble}")),
    }
}

pub fn is_degraded(view: &FleetView, failing: Option<FailureShare>) -> bool {
    say(view, ListSource::Registry, failing, false).word == "degraded"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_ready_before_the_first_round_and_when_closing() {
        let mut view = FleetView::default();
        let report =
            |view: &FleetView, is_closing| report(view, ListSource::Registry, None, is_closing);
        assert_eq!(report(&view, false).0, 503);
        view.rounds = 1;
        assert_eq!(report(&view, false).0, 200);
        assert!(report(&view, false).1.contains("degraded"));
        assert_eq!(report(&view, true).0, 503);
    }

    #[test]
    fn a_pool_that_fails_is_degraded_and_says_how_much_but_is_not_replaced() {
        let view = FleetView {
            rounds: 1,
            ..FleetView::default()
        };
        let share = FailureShare {
            failed: 30,
            calls: 400,
        };
        let said = say(&view, ListSource::Registry, Some(share), false);
        assert_eq!((said.status, said.word), (200, "degraded"));
        assert_eq!(said.why, "30 of 400 calls of the last 30 s failed");
        assert_eq!(
            say(&view, ListSource::Registry, Some(share), true).word,
            "closing"
        );
    }
}

//! `GET /health`: what the load balancer in front of us should think.
//!
//! It is 503 before the first round and once we are closing. An outage of the nodes is in the
//! body only: replacing this process would not bring them back.

use serde_json::json;

use crate::call::chains::Chains;
use crate::call::context::CallState;
use crate::clock;
use crate::observe::events::fit_in_words;
use crate::shared::list_source::ListSource;
use forebay_core::fleet::failure_rate::FailureShare;
use forebay_core::fleet::view::FleetView;
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::node::Role;

/// What there is to say of our health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthAnswer {
    /// 200 or 503.
    pub status: u16,
    pub word: &'static str,
    pub why: String,
    /// A node is fit, be it the leader.
    pub serves: bool,
}

/// Status and body, of the whole process: one chain's outage takes it out of the load balancer in front only
/// where that chain is required.
pub fn report_all(chains: &Chains, is_leaving: bool) -> (u16, String) {
    let present = chains.now();
    if let Some(state) = present.first().filter(|_| present.is_alone()) {
        return report_of(state, is_leaving);
    }
    let all: Vec<_> = present
        .all()
        .map(|state| (&state.fleet.chain, answer_of(state, is_leaving)))
        .collect();
    let whole = summary(&all, &present.required, chains.are_ready());
    let each = all.iter().map(|(name, answer)| {
        let HealthAnswer { word, why, .. } = answer;
        (name.to_string(), json!({ "status": word, "why": why }))
    });
    let each: serde_json::Map<_, _> = each.collect();
    let HealthAnswer {
        status, word, why, ..
    } = whole;
    let body = json!({ "status": word, "why": why, "chains": each });
    (status, body.to_string())
}

/// From the best to the worst.
const WORDS: [&str; 5] = ["ok", "fallback", "degraded", "starting", "closing"];

/// What the answers of `all` chains come to.
fn summary(
    all: &[(&ChainName, HealthAnswer)],
    required: &[ChainName],
    are_ready: bool,
) -> HealthAnswer {
    let rank = |word: &str| WORDS.iter().position(|known| *known == word);
    let worst = all.iter().max_by_key(|(_, answer)| rank(answer.word));
    let Some((name, answer)) = worst else {
        return HealthAnswer {
            status: 503,
            word: "starting",
            why: "there is no chain".to_string(),
            serves: false,
        };
    };
    let falls =
        |(name, answer): &&(&ChainName, HealthAnswer)| required.contains(name) && !answer.serves;
    let fallen = all.iter().find(falls);
    let is_closing = answer.word == "closing";
    let status = match is_closing || !are_ready || fallen.is_some() {
        true => 503,
        false => 200,
    };
    // One that starts while others serve is no more than degraded.
    let word = match answer.word {
        "starting" if are_ready => "degraded",
        word => word,
    };
    let why = match fallen {
        _ if is_closing => answer.why.clone(),
        Some((name, answer)) => format!("{name}, which is required: {}", answer.why),
        None => format!("{name}: {}", answer.why),
    };
    let serves = all.iter().any(|(_, answer)| answer.serves);
    HealthAnswer {
        status,
        word,
        why,
        serves,
    }
}

/// Status and body, of one chain.
pub fn report_of(state: &CallState, is_leaving: bool) -> (u16, String) {
    let HealthAnswer {
        status, word, why, ..
    } = answer_of(state, is_leaving);
    (status, json!({ "status": word, "why": why }).to_string())
}

fn answer_of(state: &CallState, is_leaving: bool) -> HealthAnswer {
    say(
        &state.fleet.snapshot().view,
        state.fleet.list_from.is(),
        state.fleet.failing.too_many(clock::now()),
        is_leaving,
    )
}

/// `failing`: the share of the calls of late that failed, if it is too large.
pub fn say(
    view: &FleetView,
    list: ListSource,
    failing: Option<FailureShare>,
    is_leaving: bool,
) -> HealthAnswer {
    let own = view.nodes.iter().filter(|node| node.role == Role::Own);
    let (count, fit) = (
        own.clone().count(),
        own.filter(|node| node.serves()).count(),
    );
    let has_fallback = [Role::Leader, Role::Fallback]
        .into_iter()
        .any(|role| view.has_fit(role));
    let (status, word, why) = match (view.rounds, failing) {
        _ if is_leaving => (503, "closing", "shutting down".to_string()),
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
        serves: view.rounds > 0 && (fit > 0 || has_fallback),
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
        let said = |view: &FleetView, is_leaving| say(view, ListSource::Registry, None, is_leaving);
        assert_eq!(said(&view, false).status, 503);
        view.rounds = 1;
        assert_eq!(said(&view, false).status, 200);
        assert_eq!(said(&view, false).word, "degraded");
        assert_eq!(said(&view, true).status, 503);
    }

    fn answers(words: &[(&str, &'static str)]) -> Vec<(ChainName, HealthAnswer)> {
        let answers = words.iter().map(|(name, word)| {
            let status = if ["starting", "closing"].contains(word) {
                503
            } else {
                200
            };
            let why = format!("it is {word}");
            let serves = ["ok", "fallback"].contains(word);
            let answer = HealthAnswer {
                status,
                word,
                why,
                serves,
            };
            (name.parse().unwrap(), answer)
        });
        answers.collect()
    }

    #[test]
    fn one_chain_takes_the_process_out_only_while_it_starts_or_where_it_is_required() {
        let said = |words: &[(&str, &'static str)], required: &[&str], are_ready| {
            let answers = answers(words);
            let all: Vec<_> = answers
                .iter()
                .map(|(name, answer)| (name, answer.clone()))
                .collect();
            let required: Vec<ChainName> =
                required.iter().map(|name| name.parse().unwrap()).collect();
            let HealthAnswer {
                status, word, why, ..
            } = summary(&all, &required, are_ready);
            (status, word, why)
        };
        let two = |one, other| [("a", one), ("b", other)];
        assert_eq!(said(&two("ok", "ok"), &[], true).0, 200);
        let degraded = said(&two("ok", "degraded"), &[], true);
        assert_eq!(degraded, (200, "degraded", "b: it is degraded".to_string()));
        assert_eq!(said(&two("ok", "degraded"), &["a"], true).0, 200);
        let fallen = said(&two("degraded", "ok"), &["a"], true);
        assert_eq!(fallen.0, 503);
        assert_eq!(fallen.2, "a, which is required: it is degraded");
        assert_eq!(said(&two("fallback", "ok"), &["a"], true).0, 200);
        assert_eq!(said(&two("ok", "starting"), &[], false).0, 503);
        let late = said(&two("ok", "starting"), &[], true);
        assert_eq!((late.0, late.1), (200, "degraded"));
        assert_eq!(said(&two("ok", "starting"), &["b"], true).0, 503);
        assert_eq!(said(&two("closing", "closing"), &[], true).1, "closing");
    }

    #[test]
    fn a_required_chain_whose_calls_fail_on_fit_nodes_does_not_take_the_process_out() {
        let [a, b] = ["a", "b"].map(|name| name.parse::<ChainName>().unwrap());
        let answer = |word, serves| HealthAnswer {
            status: 200,
            word,
            why: String::new(),
            serves,
        };
        for (serves, status) in [(true, 200), (false, 503)] {
            let all = [(&a, answer("ok", true)), (&b, answer("degraded", serves))];
            assert_eq!(summary(&all, std::slice::from_ref(&b), true).status, status);
        }
    }

    #[test]
    fn a_fleet_that_fails_is_degraded_and_says_how_much_but_is_not_replaced() {
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
        assert!(!said.serves, "it has no node");
        assert_eq!(said.why, "30 of 400 calls of the last 30 s failed");
        assert_eq!(
            say(&view, ListSource::Registry, Some(share), true).word,
            "closing"
        );
    }
}

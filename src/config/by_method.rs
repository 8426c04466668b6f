//! `forebay.calls.by_method`: what holds for single methods rather than for all.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::calls::{read_hedge, shown_hedge};
use super::field::Field;
use super::form::Form;
use super::quantity::duration_text;
use forebay_core::method::MethodLimits;
use forebay_core::vocabulary::glob::may_be_method;

const KEYS: [&str; 3] = ["attempt", "deadline", "hedge"];

/// Groups by methods' names and globs; `times`: the range of both times.
pub(super) fn form<S: 'static>(
    times: RangeInclusive<Duration>,
) -> Form<S, Vec<(String, MethodLimits)>> {
    let read = move |field: &Field<'_>| field.named(|name, item| one(name, item, &times));
    Form::new(read, |all| {
        let shown = all.iter();
        let shown = shown.map(|(name, limits)| (name.clone(), shown_limits(limits)));
        Json::Object(shown.collect())
    })
}

fn one(
    name: &str,
    item: &Field<'_>,
    times: &RangeInclusive<Duration>,
) -> Option<(String, MethodLimits)> {
    if !item.is_noted() && !may_be_method(name) {
        item.error("expected a method's name or a glob, as in `debug_trace*`");
        return None;
    }
    let section = item.section(&KEYS);
    let limits = MethodLimits {
        attempt: section.field("attempt").duration(times.clone()),
        deadline: section.field("deadline").duration(times.clone()),
        hedge: read_hedge(&section.field("hedge")),
    };
    Some((name.to_string(), limits))
}

fn shown_limits(limits: &MethodLimits) -> Json {
    let time = |time: Option<Duration>| time.map(|time| Json::from(duration_text(time)));
    let values = [
        time(limits.attempt),
        time(limits.deadline),
        limits.hedge.map(shown_hedge),
    ];
    let keys = KEYS.iter().zip(values);
    let shown = keys.filter_map(|(key, value)| Some(((*key).to_string(), value?)));
    Json::Object(shown.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::tests::{finds, finds_nothing, reading};

    #[test]
    fn single_methods_have_times_and_hedges_of_their_own() {
        let text = "forebay: {calls: {by_method: {\"debug_*\": {attempt: 90s, hedge: off}, eth_call: {deadline: 5s, hedge: 2}}}}";
        let settings = reading(text).settings.unwrap();
        let [(glob, debug), (name, call)] = &settings.calls.by_method[..] else {
            panic!("{:?}", settings.calls.by_method);
        };
        assert_eq!((glob.as_str(), name.as_str()), ("debug_*", "eth_call"));
        assert_eq!(
            (debug.attempt, debug.hedge),
            (Some(Duration::from_secs(90)), Some(None))
        );
        assert_eq!(
            (call.deadline, call.hedge),
            (Some(Duration::from_secs(5)), Some(Some(2.0)))
        );
        finds(
            "{calls: {by_method: {eth_call: {attempts: 1s}}}}",
            "unknown key; did you mean `attempt`?",
        );
        finds(
            "{calls: {by_method: {\"a b\": {attempt: 1s}}}}",
            "expected a method's name or a glob",
        );
        finds(
            "{calls: {by_method: {eth_call: {attempt: 9ms}}}}",
            "must be 10ms to 1h",
        );
        finds(
            "{calls: {by_method: {eth_call: 5s}}}",
            "expected a group of keys",
        );
    }

    #[test]
    fn what_has_no_effect_or_may_not_be_is_said() {
        finds(
            "{calls: {by_method: {\"none_*\": {attempt: 1s}}}}",
            "warning: forebay.calls.by_method.none_*: matches no method that is known",
        );
        for name in ["eth_newFilter", "unheard_of"] {
            finds(
                &format!("{{calls: {{by_method: {{{name}: {{hedge: on}}}}}}}}"),
                "hedge: a call of this method may not be repeated",
            );
        }
        finds_nothing("{calls: {by_method: {unheard_of: {hedge: off, attempt: 1s}}}}");
        finds_nothing(
            "{calls: {by_method: {unheard_of: {hedge: on}}}, methods: {reads: [unheard_of]}}",
        );
        finds_nothing("{calls: {by_method: {\"eth_*\": {hedge: on}}}}");
    }
}

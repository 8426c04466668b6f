//! `forebay.calls` and `forebay.methods`: values of forms of their own.

use std::ops::RangeInclusive;

use serde_json::Value as Json;

use super::field::Field;
use super::form::Form;
use forebay_core::fleet::spread::NODES_MAX;
use forebay_core::vocabulary::glob::may_be_method;

/// What a node's slow time may be multiplied with before another is asked, too.
const HEDGES: RangeInclusive<f64> = 0.5..=10.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoneFitPolicy {
    FailOpen,
    Refuse,
}

impl NoneFitPolicy {
    pub(super) const WORDS: &[(&str, NoneFitPolicy)] = &[
        ("fail_open", NoneFitPolicy::FailOpen),
        ("refuse", NoneFitPolicy::Refuse),
    ];
}

/// `off`, `on`, or what to multiply a node's slow time with.
pub(super) fn hedge<S: 'static>() -> Form<S, Option<f64>> {
    Form::new(read_hedge, |factor| shown_hedge(*factor))
}

pub(super) fn read_hedge(field: &Field<'_>) -> Option<Option<f64>> {
    field.parsed("`off`, `on` or a factor of 0.5 to 10", |text| {
        match text.trim() {
            "off" | "false" => Some(None),
            "on" | "true" => Some(Some(1.0)),
            factor => {
                let factor = factor.parse().ok();
                factor.filter(|factor| HEDGES.contains(factor)).map(Some)
            }
        }
    })
}

pub(super) fn shown_hedge(factor: Option<f64>) -> Json {
    factor.map_or(Json::from("off"), Json::from)
}

/// `all`, or how many nodes.
pub(super) fn broadcast<S: 'static>() -> Form<S, usize> {
    let read = |field: &Field<'_>| {
        let form = format!("`all` or a number of nodes, 1 to {NODES_MAX}");
        field.parsed(&form, |text| match text.trim() {
            "all" => Some(NODES_MAX),
            nodes => {
                let nodes = nodes.parse().ok();
                nodes.filter(|nodes| (1..=NODES_MAX).contains(nodes))
            }
        })
    };
    Form::new(read, |nodes| match *nodes {
        NODES_MAX => Json::from("all"),
        nodes => Json::from(nodes),
    })
}

pub(super) fn method(item: &Field<'_>) -> Option<String> {
    item.parsed("a method's name or a glob, as in `debug_trace*`", |text| {
        may_be_method(text).then(|| text.to_string())
    })
}

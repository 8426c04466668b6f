//! A call from its bytes to what a node gets of it, and a batch's answer taken apart. Each check panics when
//! what must hold does not.

use forebay_core::call::cache::{CacheKey, CacheRules, CacheSecret};
use forebay_core::call::plan::{self, PlanContext};
use forebay_core::call::{filter, shared_news::SharedNews};
use forebay_core::fleet::view::FleetView;
use forebay_core::rpc::batch::{self, MemberOutcome};
use forebay_core::rpc::envelope::{Call, RequestItem, RpcRequest, UpstreamCallId};
use forebay_core::rpc::transaction;
use serde_json::value::RawValue;

#[path = "../../../benches/scene/mod.rs"]
#[expect(dead_code, reason = "what is measured beside it is no part of this")]
mod scene;

/// Nodes that a call may go to.
const NODES: u32 = 3;

/// One call: what goes to a node is a call of the same method, with params that are JSON, and white space
/// between them changes nothing of what it means.
pub fn plan(bytes: &[u8]) {
    let Ok(RpcRequest::Single(RequestItem::Call(call))) = RpcRequest::read(bytes, 1) else {
        return;
    };
    VIEW.with(|view| {
        let key = planned(&call, view);
        let spaced = call.params.map(spaced);
        let same = Call::new(call.id, &*call.method, spaced.as_deref());
        assert_eq!(planned(&same, view), key, "{}", call.method);
    });
    let params = call.params.unwrap_or("[]");
    if let Some(found) = filter::unwrap(params) {
        json(found.params.as_bytes());
    }
    let raw = transaction::bytes(params);
    let signed = raw.as_deref().and_then(transaction::read);
    if let (Some(raw), Some(signed)) = (raw, signed) {
        let shown = transaction::shown(&raw, transaction::hash_of(&raw), signed.sender);
        shown.iter().for_each(|shown| json(shown.as_bytes()));
    }
}

thread_local! {
    static VIEW: FleetView = scene::fleet(NODES, forebay_core::testing::now());
}

/// Under what its answer would be kept.
fn planned(call: &Call<'_>, view: &FleetView) -> Option<CacheKey> {
    let (rules, pins) = (scene::rules(), scene::pins(view));
    let kept = CacheRules::new(CacheSecret::new([7, 9, 11, 13]), &[]);
    let planned = plan::plan(
        call,
        &PlanContext {
            cache: Some(&kept),
            ..scene::by(view, &rules, &pins)
        },
    );
    let forward = planned.plan.forward()?;
    let body = forward.body(call);
    let Ok(RpcRequest::Single(RequestItem::Call(heard))) = RpcRequest::read(&body, 1) else {
        panic!("a node can't read what it is sent");
    };
    assert_eq!(heard.method, call.method);
    forward.keep.plan().map(|kept| kept.key)
}

/// With a space wherever JSON allows one.
fn spaced(text: &str) -> String {
    let (mut out, mut is_text, mut is_escaped) = (String::new(), false, false);
    for letter in text.chars() {
        let is_mark = !is_text && "[]{},:".contains(letter);
        if is_mark {
            out.push('\n');
        }
        out.push(letter);
        if is_mark {
            out.push(' ');
        }
        match letter {
            '"' if !is_escaped => is_text = !is_text,
            _ => {}
        }
        is_escaped = letter == '\\' && !is_escaped;
    }
    out
}

fn json(bytes: &[u8]) {
    serde_json::from_slice::<&RawValue>(bytes).unwrap();
}

/// Calls of the batch that is answered.
const CALLS: usize = 3;

/// A node's answer to a batch: each call gets one outcome, and what it gets is JSON.
pub fn batch(bytes: &[u8]) {
    for status in [200, 400, 429, 500] {
        let verdict = batch::judge(bytes, status, None, (UpstreamCallId::FIRST, CALLS));
        assert_eq!(verdict.outcomes.len(), CALLS);
        for outcome in &verdict.outcomes {
            match outcome {
                MemberOutcome::Answered(_, answer) => {
                    let mut out = Vec::new();
                    answer.write_to("7", &mut out);
                    json(&out);
                }
                MemberOutcome::Unanswered(_)
                | MemberOutcome::TooLarge(_)
                | MemberOutcome::Alone => {}
            }
        }
    }
}

/// What another balancer wrote into the store: what was read is written the same.
pub fn news(bytes: &[u8]) {
    let Some(news) = SharedNews::read(bytes) else {
        return;
    };
    assert_eq!(SharedNews::read(&news.write()), Some(news));
}

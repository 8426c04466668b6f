//! A client's body, and a node's answer. Each check panics when what must hold does not.

use bytes::Bytes;
use forebay_core::rpc::answer::{Answer, AnswerFault, Outcome, Splicer};
use forebay_core::rpc::classify::{self, AttemptClass, Blame, FailoverRule};
use forebay_core::rpc::envelope::{Call, RequestItem, RpcRequest, UpstreamCallId};
use serde_json::value::RawValue;

/// Calls of one batch.
const CALLS_MAX: usize = 8;

/// A client's body: what is taken for a call goes to a node with its params as they came, and
/// its id is bytes of the body.
pub fn rpc_request(bytes: &[u8]) {
    let Ok(request) = RpcRequest::read(bytes, CALLS_MAX) else {
        return;
    };
    let items = match request {
        RpcRequest::Single(item) => vec![item],
        RpcRequest::Batch(items) => items,
    };
    assert!((1..=CALLS_MAX).contains(&items.len()));
    let is_json = serde_json::from_slice::<&RawValue>(bytes).is_ok();
    for item in &items {
        match item {
            RequestItem::Call(call) => {
                assert!(is_json, "a call out of no JSON");
                one_call(bytes, call);
            }
            RequestItem::Refused { id, why } => {
                id.iter().for_each(|id| an_id(bytes, id));
                let said = why.body(*id);
                serde_json::from_str::<&RawValue>(&said).unwrap();
            }
        }
    }
}

fn one_call(body: &[u8], call: &Call<'_>) {
    call.id.iter().for_each(|id| an_id(body, id));
    let sent = call.for_node();
    let Ok(RpcRequest::Single(RequestItem::Call(heard))) = RpcRequest::read(&sent, 1) else {
        panic!("a node can't read what it is sent");
    };
    assert_eq!(heard.id.map(|id| UpstreamCallId::FIRST.is(id)), Some(true));
    assert_eq!(heard.method, call.method);
    assert_eq!(heard.params, Some(call.params.unwrap_or("[]")));
}

/// A string, a number or null, and a part of what was sent.
fn an_id(body: &[u8], id: &str) {
    assert!(memchr::memmem::find(body, id.as_bytes()).is_some());
    let raw: &RawValue = serde_json::from_str(id).unwrap();
    assert!(!raw.get().starts_with(['{', '[', 't', 'f']), "{id}");
}

/// A node's answer: whole or in pieces, the caller's id is put in and nothing else changes; and
/// a revert says nothing of the node.
pub fn answer(bytes: &[u8]) {
    const ID: &str = "\"é\"";
    let whole = Answer::read(bytes, UpstreamCallId::FIRST).map(|answer| {
        let mut out = Vec::new();
        answer.write_to(ID, &mut out);
        out
    });
    let streamed = spliced(bytes, ID, bytes.len());
    for step in [1, 3, 7] {
        let cut = spliced(bytes, ID, step);
        assert_eq!(cut.is_ok(), streamed.is_ok(), "cut at {step}");
        if let (Ok(cut), Ok(streamed)) = (&cut, &streamed) {
            assert_eq!(cut, streamed);
        }
    }
    let Ok(whole) = whole else { return };
    let text: &RawValue = serde_json::from_slice(&whole).unwrap();
    assert!(text.get().contains(ID));
    if let Ok(streamed) = streamed {
        assert_eq!(streamed.trim_ascii(), whole);
    }
    if let Ok(Answer {
        outcome: Outcome::Error(error),
        ..
    }) = Answer::read(bytes, UpstreamCallId::FIRST)
    {
        an_error(&error);
    }
}

fn an_error(error: &forebay_core::rpc::answer::RpcError<'_>) {
    for status in [200, 400, 401, 402, 403, 404, 413, 429, 500, 504] {
        let verdict = classify::of_error(error, status, None);
        let message = error.message.to_lowercase();
        if error.code == 3 || message.starts_with("execution reverted") {
            assert_eq!(verdict.class, AttemptClass::RpcError, "{error:?}");
            assert_eq!(verdict.class.elsewhere(), FailoverRule::Never);
            assert_eq!(verdict.blame(), Blame::None);
        }
        assert_eq!(
            verdict.shut().is_some(),
            verdict.class == AttemptClass::Shut
        );
        assert!(verdict.rest.is_none_or(|rest| rest.as_secs() <= 300));
    }
}

fn spliced(bytes: &[u8], id: &str, step: usize) -> Result<Vec<u8>, AnswerFault> {
    let mut splicer = Splicer::new(Bytes::copy_from_slice(id.as_bytes()), UpstreamCallId::FIRST);
    let mut out = Vec::new();
    for piece in bytes.chunks(step.max(1)) {
        splicer.feed(&Bytes::copy_from_slice(piece), &mut out)?;
    }
    splicer.finish()?;
    Ok(out.concat())
}

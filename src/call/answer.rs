//! An answer, from the way that brought it to the client's side: to a call, or to a batch, which is put
//! together from those to its calls.
//!
//! What an attempt brings is none so far: see [`AttemptContent`](super::exchange::AttemptContent).

use std::sync::Arc;

use bytes::Bytes;

use crate::call::streamed_answer::StreamedAnswer;
use crate::observe::metrics::CallOutcome;
use forebay_core::call::trail::FailedAttempts;
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::whole_answer::WholeAnswer;

/// What a call or a batch comes to: its answer, and which node gave it.
pub struct ServedAnswer {
    pub answer: CallReply,
    /// As it is counted; of a batch its calls are.
    pub outcome: CallOutcome,
    /// `None`: given here. Where several gave it, all of their names.
    pub node: Option<Arc<str>>,
    /// Nodes asked; of a batch the most for one of its calls.
    pub attempts: usize,
    pub failed: FailedAttempts,
    pub cached: CacheUse,
}

/// What the cache had to do with an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheUse {
    /// Nothing: such answers aren't kept, or this one was to be fresh.
    #[default]
    Pass,
    /// It was kept.
    Hit,
    /// It might have been kept, and wasn't.
    Miss,
}

impl CacheUse {
    pub fn as_str(self) -> &'static str {
        match self {
            CacheUse::Pass => "pass",
            CacheUse::Hit => "hit",
            CacheUse::Miss => "miss",
        }
    }

    /// Of several calls together, that of one and that of those before.
    pub fn and(self, other: CacheUse) -> CacheUse {
        match (self, other) {
            (CacheUse::Miss, _) | (_, CacheUse::Miss) => CacheUse::Miss,
            (CacheUse::Hit, CacheUse::Hit) => CacheUse::Hit,
            (CacheUse::Pass, _) | (_, CacheUse::Pass) => CacheUse::Pass,
        }
    }
}

pub enum CallReply {
    /// Given here, with the caller's id in it.
    Here(String),
    /// A node's; the caller's id is still to be put in.
    Whole(WholeAnswer),
    /// A node's, passed on as it comes, with the caller's id in it.
    Large(Box<StreamedAnswer>),
    Refused(Refusal),
    /// Made of several: the answers to a batch's calls, with their ids in them, sent one after another. There
    /// is none where no call wants one. And why all were refused, where that may be said of them as a
    /// whole.
    Several(Vec<Bytes>, Option<Refusal>),
}

impl CallReply {
    /// `result`, JSON as written, with the caller's id.
    pub fn with_result(call: &Call<'_>, result: &str) -> CallReply {
        let id = call.id.unwrap_or("null");
        let pieces = [
            r#"{"jsonrpc":"2.0","id":"#,
            id,
            r#","result":"#,
            result,
            "}",
        ];
        CallReply::Here(pieces.concat())
    }

    /// `error`, an object as written, with the caller's id.
    pub fn with_error(call: &Call<'_>, error: &str) -> CallReply {
        let id = call.id.unwrap_or("null");
        CallReply::Here(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
    }
}

impl ServedAnswer {
    /// Given here.
    pub fn here(answer: CallReply) -> ServedAnswer {
        let outcome = match answer {
            CallReply::Refused(_) => CallOutcome::Refused,
            CallReply::Here(_)
            | CallReply::Whole(_)
            | CallReply::Large(_)
            | CallReply::Several(..) => CallOutcome::Ok,
        };
        ServedAnswer {
            answer,
            outcome,
            node: None,
            attempts: 0,
            failed: None,
            cached: CacheUse::Pass,
        }
    }

    /// Refused here.
    pub fn refused(why: Refusal) -> ServedAnswer {
        ServedAnswer::here(CallReply::Refused(why))
    }

    /// A node's, to its end.
    pub fn whole(node: Arc<str>, answer: WholeAnswer) -> ServedAnswer {
        let outcome = CallOutcome::of(&answer);
        ServedAnswer::by(node, CallReply::Whole(answer), outcome)
    }

    /// Given by `node`.
    pub fn by(node: Arc<str>, answer: CallReply, outcome: CallOutcome) -> ServedAnswer {
        ServedAnswer {
            outcome,
            node: Some(node),
            ..ServedAnswer::here(answer)
        }
    }

    /// After so many nodes were asked.
    pub fn after(self, attempts: usize) -> ServedAnswer {
        ServedAnswer { attempts, ..self }
    }
}

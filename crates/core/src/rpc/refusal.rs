//! Every way we say no, with the code, the HTTP status and the sentence of each.

use std::sync::Arc;

use crate::vocabulary::chain::ChainName;

/// Why a call or a whole request gets no answer from a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body is no JSON, or not in UTF-8 (−32700).
    BadJson,
    /// No JSON-RPC 2.0 request, for this reason (−32600).
    InvalidRequest(&'static str),
    /// The params can't be right at any node, for this reason (−32602).
    InvalidParams(&'static str),
    /// The method table, or the operator, denies the method.
    MethodNotAllowed,
    /// No node is there for it.
    MethodNotServed,
    /// No node is fit, or none that could be asked has the block.
    NoNode,
    /// Too much is inside already, here or at the nodes: requests, bytes, places.
    OverCapacity,
    /// No node gave a usable answer, and trying again would not help, or might do harm.
    BadAnswer,
    /// The same of a call that may be tried again: no node can have carried it out, or it only reads.
    Unserved,
    /// The batch has more calls than one may have.
    BatchTooLarge {
        /// As many as one may have.
        calls_max: usize,
    },
    /// The call's time was over before a node answered.
    Timeout,
    /// The answer, or those of a batch together, are longer than they may be.
    AnswerTooLarge,
    /// The request's body is longer than one may be.
    BodyTooLarge {
        /// As long as one may be, in bytes.
        bytes_max: usize,
    },
    /// No node takes a call that long.
    CallTooLarge,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// All nodes that could be asked want to be left alone, the first of them for so long.
    RateLimited {
        /// Whole seconds until the first of them may be asked again, as `Retry-After` tells it.
        seconds: u64,
    },
    /// What was paid for at the nodes is used up, or not paid for; the first is asked again in so long.
    QuotaSpent {
        /// Whole seconds until the first of them is asked again, as `Retry-After` tells it.
        seconds: u64,
    },
    /// The nodes refuse our credentials.
    NotLetIn,
    /// The filter's node is gone, or it is none of ours.
    FilterNotFound,
    /// No node can be subscribed to.
    NoNotifications,
    /// A subscription is asked for where news can't be sent.
    NeedsSocket,
    /// The socket has no subscription of that id.
    SubscriptionNotFound,
    /// The socket has as many subscriptions as one may have.
    TooManySubscriptions {
        /// As many as one may have.
        subscriptions_max: usize,
    },
    /// Of one socket, within a second.
    TooManyMessages,
    /// This process is about to end.
    Leaving,
    /// The `Content-Type` is something else than JSON.
    ContentType,
    /// The body is packed in a way that we don't take.
    ContentEncoding,
    /// The body isn't what it is said to be packed as.
    BadPacking(&'static str),
    /// The HTTP message can be read in two ways, or in none, for this reason (400; see
    /// [`crate::wire::framing`]).
    Framing(&'static str),
    /// The request's head is longer than we take.
    HeadTooLarge,
    /// The head did not arrive in time.
    HeadTooSlow,
    /// There are several chains, and the request says nothing of which one it is for.
    ChainMissing {
        /// How each is asked: `/base, /ethereum`.
        paths: Arc<str>,
    },
    /// There is no such chain.
    ChainUnknown {
        /// How each is asked: `/base, /ethereum`.
        paths: Arc<str>,
    },
    /// The path names another chain than the host does.
    ChainOfOtherHost {
        /// The chain that is asked at this host.
        host: ChainName,
    },
}

impl Refusal {
    /// The JSON-RPC error code. Those below −32000 that JSON-RPC 2.0 does not define are proxyd's.
    pub fn code(&self) -> i32 {
        match self {
            Refusal::BadJson | Refusal::BadPacking(_) => -32700,
            Refusal::InvalidRequest(_)
            | Refusal::ContentType
            | Refusal::ContentEncoding
            | Refusal::Framing(_)
            | Refusal::HeadTooLarge
            | Refusal::ChainMissing { .. }
            | Refusal::ChainUnknown { .. }
            | Refusal::ChainOfOtherHost { .. } => -32600,
            Refusal::InvalidParams(_) => -32602,
            // As geth says the second (`rpc/errors.go`).
            Refusal::MethodNotAllowed
            | Refusal::MethodNotServed
            | Refusal::NoNotifications
            | Refusal::NeedsSocket => -32601,
            // As geth says it (`eth/filters/api.go`).
            Refusal::FilterNotFound | Refusal::SubscriptionNotFound => -32000,
            Refusal::NoNode => -32011,
            Refusal::OverCapacity | Refusal::Leaving => -32012,
            Refusal::BadAnswer | Refusal::NotLetIn | Refusal::Unserved => -32013,
            Refusal::BatchTooLarge { .. } => -32014,
            Refusal::Timeout | Refusal::BodyTooSlow | Refusal::HeadTooSlow => -32015,
            Refusal::RateLimited { .. }
            | Refusal::QuotaSpent { .. }
            | Refusal::TooManyMessages
            | Refusal::TooManySubscriptions { .. } => -32016,
            Refusal::AnswerTooLarge => -32020,
            Refusal::BodyTooLarge { .. } | Refusal::CallTooLarge => -32021,
        }
    }

    /// The HTTP status when this refusal is the whole answer.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::BadJson
            | Refusal::BadPacking(_)
            | Refusal::InvalidRequest(_)
            | Refusal::InvalidParams(_)
            | Refusal::MethodNotAllowed
            | Refusal::MethodNotServed
            | Refusal::BadAnswer
            | Refusal::NotLetIn
            | Refusal::FilterNotFound
            | Refusal::NoNotifications
            | Refusal::NeedsSocket
            | Refusal::SubscriptionNotFound
            | Refusal::TooManySubscriptions { .. }
            // With 200 clients show the sentence, which says how to go on.
            | Refusal::ChainMissing { .. }
            | Refusal::AnswerTooLarge => 200,
            Refusal::ChainUnknown { .. } | Refusal::ChainOfOtherHost { .. } => 404,
            // Which clients try again, as they do not after 200.
            Refusal::NoNode | Refusal::Leaving | Refusal::Unserved => 503,
            Refusal::OverCapacity
            | Refusal::RateLimited { .. }
            | Refusal::QuotaSpent { .. }
            | Refusal::TooManyMessages => 429,
            Refusal::BatchTooLarge { .. }
            | Refusal::BodyTooLarge { .. }
            | Refusal::CallTooLarge => 413,
            Refusal::Timeout => 504,
            Refusal::BodyTooSlow | Refusal::HeadTooSlow => 408,
            Refusal::HeadTooLarge => 431,
            Refusal::ContentType | Refusal::ContentEncoding => 415,
            Refusal::Framing(_) => 400,
        }
    }

    /// Whether no node can have carried out a call that was refused so.
    pub fn is_unexecuted(&self) -> bool {
        matches!(
            self,
            Refusal::NoNode
                | Refusal::OverCapacity
                | Refusal::RateLimited { .. }
                | Refusal::QuotaSpent { .. }
                | Refusal::CallTooLarge
                | Refusal::Unserved
        )
    }

    /// For `Retry-After`, in whole seconds.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Refusal::RateLimited { seconds } | Refusal::QuotaSpent { seconds } => Some(*seconds),
            Refusal::OverCapacity => Some(1),
            _ => None,
        }
    }

    /// Where it is about a rate it says so in words that clients know: alloy tries again after "rate
    /// limit" and "too many requests", in lower case, whatever the code is (`alloy-transport`,
    /// `RpcErrorExt::is_retryable`).
    pub fn sentence(&self) -> String {
        match self {
            Refusal::BadJson => "parse error: the body is not JSON".into(),
            Refusal::InvalidRequest(why) => format!("invalid request: {why}"),
            Refusal::InvalidParams(why) => format!("invalid params: {why}"),
            Refusal::MethodNotAllowed => "method not allowed".into(),
            Refusal::MethodNotServed => "no node here serves this method".into(),
            Refusal::NoNode => "no node is available".into(),
            Refusal::OverCapacity => "over capacity: too many requests, try again".into(),
            Refusal::BadAnswer => "the nodes gave no usable answer".into(),
            Refusal::Unserved => "the nodes gave no usable answer, try again".into(),
            Refusal::BatchTooLarge { calls_max } => {
                format!("the batch has more than {calls_max} calls")
            }
            Refusal::Timeout => "no node answered in time".into(),
            Refusal::AnswerTooLarge => "the answer is too large".into(),
            Refusal::BodyTooLarge { bytes_max } => {
                format!("the body is larger than {bytes_max} bytes")
            }
            Refusal::CallTooLarge => "the call is larger than the nodes take".into(),
            Refusal::BodyTooSlow => "the body did not arrive in time".into(),
            Refusal::RateLimited { .. } => {
                "over rate limit: the nodes ask for a pause, try again".into()
            }
            Refusal::QuotaSpent { .. } => {
                "over rate limit: the quota at the nodes is used up, or not paid for".into()
            }
            Refusal::NotLetIn => "the nodes refuse this server's credentials".into(),
            Refusal::FilterNotFound => "filter not found".into(),
            Refusal::NoNotifications => {
                "notifications not supported: no node tells this over a WebSocket".into()
            }
            Refusal::NeedsSocket => "subscriptions need a WebSocket".into(),
            Refusal::SubscriptionNotFound => "subscription not found".into(),
            Refusal::TooManySubscriptions { subscriptions_max } => {
                format!("a socket may have {subscriptions_max} subscriptions")
            }
            Refusal::TooManyMessages => {
                "over rate limit: too many messages a second, try again".into()
            }
            Refusal::Leaving => "this server is going away, connect again".into(),
            Refusal::ContentType => "the content type must be application/json".into(),
            Refusal::ContentEncoding => "the content encoding must be gzip or identity".into(),
            Refusal::BadPacking(why) => format!("parse error: the body is no gzip: {why}"),
            Refusal::Framing(why) => format!("bad HTTP request: {why}"),
            Refusal::HeadTooLarge => "the head of the request is too large".into(),
            Refusal::HeadTooSlow => "the head of the request did not arrive in time".into(),
            Refusal::ChainMissing { paths } => {
                format!("several chains are served here, each at a path of its own: {paths}")
            }
            Refusal::ChainUnknown { paths } => {
                format!("there is no such chain here; the chains are {paths}")
            }
            Refusal::ChainOfOtherHost { host } => {
                format!("at this host there is the chain {host} alone, and the path names another")
            }
        }
    }

    /// The JSON-RPC answer, with the caller's id byte for byte (`null` where it is unknown).
    pub fn body(&self, id: Option<&str>) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":{},"message":{}}}}}"#,
            id.unwrap_or("null"),
            self.code(),
            // Quoted as JSON: a sentence may quote something itself.
            serde_json::Value::from(self.sentence())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_json_rpc_answer_with_the_callers_id() {
        let body = Refusal::BodyTooLarge { bytes_max: 5 }.body(Some("\"a\\u0041\""));
        assert!(body.contains(r#""id":"a\u0041""#));
        let read: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(read["error"]["code"], -32021);
        assert!(Refusal::BadJson.body(None).contains(r#""id":null"#));
        let quoting = Refusal::InvalidRequest("`jsonrpc` must be \"2.0\"").body(None);
        let read: serde_json::Value = serde_json::from_str(&quoting).unwrap();
        assert_eq!(
            read["error"]["message"],
            "invalid request: `jsonrpc` must be \"2.0\""
        );
    }
}

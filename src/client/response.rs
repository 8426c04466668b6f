//! What goes out: every answer's status, headers and body, the same by every version of HTTP.

use std::borrow::Cow;

use bytes::Bytes;

use crate::call::answer::CacheUse;
use crate::call::trail::RequestTrail;
use crate::client::body_stream::BodyStream;
use crate::client::request_head::RequestHead;
use crate::client::response_header::{self, ResponseHeader};
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::wire::coding::Coding;
use forebay_core::wire::cors::CorsPolicy;

pub const JSON: &str = "application/json";
pub const TEXT: &str = "text/plain; charset=utf-8";

/// An answer, but for what depends on the client that asked.
pub struct ClientResponse<'a> {
    pub status: u16,
    content_type: &'static str,
    pub body: ResponseBody<'a>,
    /// Which node served; `None` where there was no call.
    node: Option<&'a str>,
    attempts: usize,
    /// What the cache had to do with it; `None` where there is none.
    pub cached: Option<CacheUse>,
    /// For a caller that is told of its attempts.
    trail: Option<&'a RequestTrail>,
    retry_after: Option<u64>,
    /// A refused call may be tried again: told apart from other 503s.
    pub may_be_tried_again: bool,
    allow: Option<&'static str>,
    is_preflight: bool,
    /// What the body is packed with.
    coding: Option<Coding>,
    /// It may be another for a client that takes another coding.
    pub varies: bool,
    /// The coding of the request isn't one that we take.
    wants_other_coding: bool,
}

/// What an answer says: a [call's](crate::call::answer::CallReply) as it goes to the wire, or a page of ours.
pub enum ResponseBody<'a> {
    Text(Cow<'a, str>),
    /// Sent one after another.
    Pieces(Vec<Bytes>),
    /// A node's answer, and the caller's id to put into it.
    Whole(WholeAnswer, &'a str),
    /// Passed on as it comes.
    Flow(BodyStream<'a>),
}

impl ResponseBody<'_> {
    /// How many bytes it has; `None` where only the end will tell.
    pub fn bytes(&self) -> Option<usize> {
        match self {
            ResponseBody::Text(text) => Some(text.len()),
            ResponseBody::Pieces(pieces) => Some(pieces.iter().map(Bytes::len).sum()),
            ResponseBody::Whole(answer, id) => Some(answer.bytes_with(id)),
            ResponseBody::Flow(_) => None,
        }
    }
}

impl<'a> ClientResponse<'a> {
    pub fn new(
        status: u16,
        content_type: &'static str,
        body: ResponseBody<'a>,
    ) -> ClientResponse<'a> {
        ClientResponse {
            status,
            content_type,
            body,
            node: None,
            attempts: 0,
            cached: None,
            trail: None,
            retry_after: None,
            may_be_tried_again: false,
            allow: None,
            is_preflight: false,
            coding: None,
            varies: false,
            wants_other_coding: false,
        }
    }

    pub fn text(
        status: u16,
        content_type: &'static str,
        text: impl Into<Cow<'a, str>>,
    ) -> ClientResponse<'a> {
        ClientResponse::new(status, content_type, ResponseBody::Text(text.into()))
    }

    /// There is nothing to say.
    pub fn nothing() -> ClientResponse<'a> {
        ClientResponse::text(204, TEXT, "")
    }

    pub fn refusal(why: &Refusal, id: Option<&str>) -> ClientResponse<'a> {
        ClientResponse::refused(why, ResponseBody::Text(why.body(id).into()))
    }

    /// `body` says so, once or for each call of a batch.
    pub fn refused(why: &Refusal, body: ResponseBody<'a>) -> ClientResponse<'a> {
        ClientResponse {
            retry_after: why.retry_after_seconds(),
            may_be_tried_again: *why == Refusal::Unserved,
            wants_other_coding: *why == Refusal::ContentEncoding,
            ..ClientResponse::new(why.status(), JSON, body)
        }
    }

    /// Says which node served (`local` where none was asked), and how many were asked if more than one.
    pub fn served_by(self, node: &'a str, attempts: usize) -> ClientResponse<'a> {
        ClientResponse {
            node: Some(node),
            attempts,
            ..self
        }
    }

    /// Says what the cache had to do with it.
    pub fn cached(self, cached: Option<CacheUse>) -> ClientResponse<'a> {
        ClientResponse { cached, ..self }
    }

    /// Says what became of each attempt.
    pub fn come_by(self, trail: Option<&'a RequestTrail>) -> ClientResponse<'a> {
        ClientResponse { trail, ..self }
    }

    pub fn allowing(self, methods: &'static str) -> ClientResponse<'a> {
        ClientResponse {
            allow: Some(methods),
            ..self
        }
    }

    /// Adds what a browser asks for before it calls.
    pub fn preflight(self) -> ClientResponse<'a> {
        ClientResponse {
            is_preflight: true,
            ..self
        }
    }

    /// With what becomes of its body, and what that is packed with.
    pub fn with_body(
        self,
        change: impl FnOnce(ResponseBody<'a>) -> (ResponseBody<'a>, Option<Coding>),
    ) -> ClientResponse<'a> {
        let (body, coding) = change(self.body);
        ClientResponse {
            body,
            coding,
            ..self
        }
    }

    /// What a page's script may read.
    fn exposed(&self) -> &'static [u8] {
        match self.trail {
            None => {
                b"x-forebay-node, x-forebay-attempts, x-forebay-cache, x-request-id, retry-after"
            }
            Some(_) => {
                b"x-forebay-node, x-forebay-attempts, x-forebay-cache, x-request-id, retry-after, x-forebay-trail"
            }
        }
    }

    /// Whether it may have a body (RFC 9110 §8.6, §15.3.5).
    pub fn may_have_body(&self) -> bool {
        self.status != 204
    }

    /// Says every header but those of the framing and the connection.
    pub fn each_header(
        &self,
        head: &RequestHead,
        origins: &CorsPolicy,
        mut say: impl FnMut(&'static ResponseHeader, &[u8]),
    ) {
        if let Some(cached) = self.cached {
            say(&response_header::CACHE, cached.as_str().as_bytes());
        }
        self.each_but_cached(head, origins, say);
    }

    /// Likewise, but for what the cache had to do with it.
    pub fn each_but_cached(
        &self,
        head: &RequestHead,
        origins: &CorsPolicy,
        mut say: impl FnMut(&'static ResponseHeader, &[u8]),
    ) {
        let mut number = itoa::Buffer::new();
        if self.may_have_body() {
            say(&response_header::CONTENT_TYPE, self.content_type.as_bytes());
        }
        if let Some(coding) = self.coding {
            say(&response_header::CONTENT_ENCODING, coding.name().as_bytes());
        }
        if let Some(node) = self.node {
            say(&response_header::NODE, node.as_bytes());
        }
        if self.attempts > 1 {
            say(
                &response_header::ATTEMPTS,
                number.format(self.attempts).as_bytes(),
            );
        }
        if let Some(trail) = self.trail {
            say(&response_header::TRAIL, trail.written().as_bytes());
        }
        if let Some(seconds) = self.retry_after {
            say(
                &response_header::RETRY_AFTER,
                retry_after(seconds).as_bytes(),
            );
        }
        if let Some(methods) = self.allow {
            say(&response_header::ALLOW, methods.as_bytes());
        }
        if let Some(id) = &head.request_id {
            say(&response_header::REQUEST_ID, id.as_bytes());
        }
        if self.is_preflight {
            preflight_headers(origins.headers(), &mut say);
        }
        if self.wants_other_coding {
            // RFC 9110 §15.5.16.
            say(&response_header::ACCEPT_ENCODING, b"gzip");
        }
        if let Some(origin) = origins.allowed(head.origin.as_deref()) {
            say(&response_header::ALLOW_ORIGIN, origin);
            say(&response_header::EXPOSE_HEADERS, self.exposed());
        }
        match (origins.admits_all(), self.varies) {
            (true, false) => {}
            (false, false) => say(&response_header::VARY, b"origin"),
            (true, true) => say(&response_header::VARY, b"accept-encoding"),
            (false, true) => say(&response_header::VARY, b"origin, accept-encoding"),
        }
    }
}

/// The value of `Retry-After`. It begins with a zero (RFC 9110 §10.2.3: `1*DIGIT`): ethers 6 takes a
/// number without one for milliseconds, and with one asks again by its own, longer and longer pauses.
pub fn retry_after(seconds: u64) -> String {
    format!("0{seconds}")
}

fn preflight_headers(headers: &str, say: &mut impl FnMut(&'static ResponseHeader, &[u8])) {
    say(&response_header::ALLOW_METHODS, b"POST, GET, OPTIONS");
    say(&response_header::ALLOW_HEADERS, headers.as_bytes());
    say(&response_header::MAX_AGE, b"86400");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(response: &ClientResponse<'_>, head: &RequestHead, origins: &[&str]) -> String {
        let origins = CorsPolicy::new(origins.iter().map(|origin| origin.to_string()).collect());
        let mut said = String::new();
        response.each_header(head, &origins, |name, value| {
            said.push_str(&format!(
                "{}: {}\n",
                name.text,
                String::from_utf8_lossy(value)
            ));
        });
        said
    }

    #[test]
    fn a_listed_origin_is_told_so_and_another_is_not() {
        let mut head = RequestHead::default();
        head.note("origin", b"https://a.test");
        let greeting = ClientResponse::text(200, TEXT, "hello");
        let listed = said(&greeting, &head, &["https://a.test"]);
        assert!(listed.contains("Access-Control-Allow-Origin: https://a.test\n"));
        assert!(listed.contains("Vary: origin\n"));
        let other = said(&greeting, &head, &["https://b.test"]);
        assert!(!other.contains("Access-Control") && other.contains("Vary: origin\n"));
        let any = said(&greeting, &RequestHead::default(), &["*"]);
        assert!(any.contains("Access-Control-Allow-Origin: *\n") && !any.contains("Vary"));
    }

    #[test]
    fn an_answer_says_which_node_gave_it_and_what_was_asked_for() {
        let mut head = RequestHead::default();
        head.note("x-request-id", b"abc");
        let answer = ClientResponse::text(200, JSON, "{}").served_by("geth-1", 2);
        let said_of = said(&answer, &head, &["*"]);
        for line in [
            "x-forebay-node: geth-1\n",
            "x-forebay-attempts: 2\n",
            "x-request-id: abc\n",
        ] {
            assert!(said_of.contains(line), "{said_of}");
        }
        let once = ClientResponse::nothing().served_by("local", 1);
        let said_of = said(&once, &head, &["*"]);
        assert!(!said_of.contains("attempts:") && !said_of.contains("Content-Type"));
        let refused = ClientResponse::refusal(&Refusal::OverCapacity, None);
        assert!(said(&refused, &head, &["*"]).contains("Retry-After: 01\n"));
    }

    #[test]
    fn what_the_cache_had_to_do_with_it_is_said_alike_by_every_version_of_http() {
        for cached in [CacheUse::Pass, CacheUse::Hit, CacheUse::Miss] {
            let greeting = ClientResponse::text(200, TEXT, "hello").cached(Some(cached));
            let all = said(&greeting, &RequestHead::default(), &["*"]);
            let line = response_header::cache_line(cached);
            let lines = all
                .lines()
                .filter(|line| line.starts_with("x-forebay-cache"));
            assert!(
                lines.eq([line.trim_end()]) && line.ends_with("\r\n"),
                "{all}"
            );
        }
    }

    #[test]
    fn a_header_has_one_name_by_every_version_of_http() {
        let trail = RequestTrail::default();
        let mut head = RequestHead::default();
        head.note("x-request-id", b"abc");
        let all = ClientResponse::refusal(&Refusal::ContentEncoding, None)
            .served_by("a", 2)
            .cached(Some(CacheUse::Hit))
            .come_by(Some(&trail))
            .allowing("POST")
            .preflight();
        let all = ClientResponse {
            retry_after: Some(1),
            coding: Some(Coding::Gzip),
            varies: true,
            ..all
        };
        let mut count = 0;
        all.each_header(&head, &CorsPolicy::new(vec!["*".into()]), |header, _| {
            assert_eq!(header.text.to_ascii_lowercase(), header.name.as_str());
            count += 1;
        });
        assert_eq!(count, 16);
    }
}

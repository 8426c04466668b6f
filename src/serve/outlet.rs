//! What goes out: one head for every answer, with the headers that browsers and operators need.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CONTENT_LENGTH, CONTENT_TYPE,
    ORIGIN, RETRY_AFTER, TRANSFER_ENCODING, VARY,
};
use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::exchange::Large;
use super::origin::{self, REQUEST_ID};
use crate::domain::refusal::Refusal;

pub const JSON: &str = "application/json";
pub const TEXT: &str = "text/plain; charset=utf-8";
const NODE: HeaderName = HeaderName::from_static("x-forebay-node");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-forebay-attempts");

/// Which origins a browser may call from.
#[derive(Clone, Debug)]
pub struct Origins {
    any: bool,
    listed: Vec<String>,
}

impl Origins {
    /// `*` among them admits all.
    pub fn new(origins: Vec<String>) -> Origins {
        Origins {
            any: origins.iter().any(|origin| origin == "*"),
            listed: origins,
        }
    }

    fn allowed(&self, session: &Session) -> Option<HeaderValue> {
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        let origin = session.req_header().headers.get(ORIGIN)?;
        let is_listed = self
            .listed
            .iter()
            .any(|listed| listed.as_bytes() == origin.as_bytes());
        is_listed.then(|| origin.clone())
    }
}

/// An answer's head and, unless it streams, its body.
pub struct Outgoing {
    head: Box<ResponseHeader>,
    body: Bytes,
    /// What follows `body`.
    rest: Vec<Bytes>,
}

impl Outgoing {
    /// # Errors
    /// None in practice: the status is one of ours.
    pub fn new(
        status: u16,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> pingora::Result<Outgoing> {
        let body = body.into();
        let mut head = ResponseHeader::build(status, Some(10))?;
        if status != 204 {
            head.insert_header(CONTENT_TYPE, HeaderValue::from_static(content_type))?;
            head.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
        }
        Ok(Outgoing {
            head: Box::new(head),
            body,
            rest: Vec::new(),
        })
    }

    /// A body in pieces, sent one after another.
    ///
    /// # Errors
    /// None in practice: the status is one of ours.
    pub fn pieces(
        status: u16,
        content_type: &'static str,
        pieces: Vec<Bytes>,
    ) -> pingora::Result<Outgoing> {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        let mut outgoing = Outgoing::new(status, content_type, Bytes::new())?;
        outgoing
            .head
            .insert_header(CONTENT_LENGTH, HeaderValue::from(length))?;
        outgoing.rest = pieces;
        Ok(outgoing)
    }

    /// # Errors
    /// None in practice: the status is one of ours.
    pub fn refusal(why: &Refusal, id: Option<&str>) -> pingora::Result<Outgoing> {
        let mut outgoing = Outgoing::new(why.status(), JSON, why.body(id))?;
        if let Some(seconds) = why.retry_after_seconds() {
            outgoing
                .head
                .insert_header(RETRY_AFTER, HeaderValue::from(seconds))?;
        }
        Ok(outgoing)
    }

    /// Says who served (`local` where nobody was asked), and how many were asked if more than one.
    ///
    /// # Errors
    /// None in practice: names are plain.
    pub fn served_by(mut self, nodes: &str, attempts: usize) -> pingora::Result<Outgoing> {
        self.head.insert_header(NODE, nodes)?;
        if attempts > 1 {
            self.head
                .insert_header(ATTEMPTS, HeaderValue::from(attempts))?;
        }
        Ok(self)
    }

    /// # Errors
    /// None in practice: the value is plain.
    pub fn allowing(mut self, methods: &'static str) -> pingora::Result<Outgoing> {
        self.head
            .insert_header(ALLOW, HeaderValue::from_static(methods))?;
        Ok(self)
    }

    /// What depends on who asked: the request's id, and what browsers need.
    fn address(&mut self, session: &Session, origins: &Origins) -> pingora::Result<()> {
        if let Some(id) = origin::request_id(&session.req_header().headers) {
            self.head.insert_header(REQUEST_ID, id.clone())?;
        }
        self.cross_origin(session, origins)
    }

    fn cross_origin(&mut self, session: &Session, origins: &Origins) -> pingora::Result<()> {
        if let Some(origin) = origins.allowed(session) {
            self.head
                .insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, origin)?;
            let exposed = HeaderValue::from_static(
                "x-forebay-node, x-forebay-attempts, x-request-id, retry-after",
            );
            self.head
                .insert_header(ACCESS_CONTROL_EXPOSE_HEADERS, exposed)?;
        }
        if !origins.any {
            self.head
                .insert_header(VARY, HeaderValue::from_static("origin"))?;
        }
        Ok(())
    }

    /// Adds what a browser asks for before it calls.
    ///
    /// # Errors
    /// None in practice: the values are plain.
    pub fn preflight(mut self) -> pingora::Result<Outgoing> {
        let head = &mut self.head;
        head.insert_header(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST, GET, OPTIONS"),
        )?;
        let headers = HeaderValue::from_static(
            "content-type, authorization, x-forebay-client, x-request-id, traceparent",
        );
        head.insert_header(ACCESS_CONTROL_ALLOW_HEADERS, headers)?;
        head.insert_header(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"))?;
        Ok(self)
    }

    /// Sends it.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn send(mut self, session: &mut Session, origins: &Origins) -> pingora::Result<u16> {
        self.address(session, origins)?;
        let status = self.head.status.as_u16();
        let has_body = status != 204 && session.req_header().method != http::Method::HEAD;
        let downstream = session.as_downstream_mut();
        downstream.write_response_header(self.head).await?;
        if !has_body {
            downstream.finish_body().await?;
            return Ok(status);
        }
        if self.rest.is_empty() {
            downstream.write_response_body(self.body, true).await?;
            return Ok(status);
        }
        for piece in self.rest {
            downstream.write_response_body(piece, false).await?;
        }
        downstream.finish_body().await?;
        Ok(status)
    }

    /// Sends the head, then `large` piece by piece. When the node breaks off, so do we: an answer
    /// that is not whole must not look whole.
    ///
    /// # Errors
    /// The client is gone, or the node broke off.
    pub async fn stream(
        mut self,
        session: &mut Session,
        origins: &Origins,
        mut large: Box<Large>,
    ) -> pingora::Result<u16> {
        self.address(session, origins)?;
        self.head.remove_header(&CONTENT_LENGTH);
        if session.as_http1().is_some() {
            let chunked = HeaderValue::from_static("chunked");
            self.head.insert_header(TRANSFER_ENCODING, chunked)?;
        }
        let status = self.head.status.as_u16();
        let downstream = session.as_downstream_mut();
        downstream.write_response_header(self.head).await?;
        loop {
            match large.next().await {
                Ok(Some(piece)) => downstream.write_response_body(piece, false).await?,
                Ok(None) => break,
                Err(_) => {
                    let broken = pingora::ErrorType::new("a node broke off its answer");
                    return pingora::Error::e_explain(
                        broken,
                        "the client's connection breaks, too",
                    );
                }
            }
        }
        downstream.finish_body().await?;
        Ok(status)
    }
}

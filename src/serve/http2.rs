//! HTTP/2, by Pingora: its phases, translated. All is answered inside `request_filter`, by the
//! [`Endpoint`]; nothing is decided here.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use tokio::time::timeout_at;

use super::asked::Asked;
use super::caller::{BodyFault, Caller, Gone};
use super::endpoint::{Endpoint, WRITE_TIME_MAX};
use super::exchange::Large;
use super::intake;
use super::outlet::{Body, Origins, Outgoing};

/// The endpoint, as Pingora asks for it.
pub struct Proxy(pub Arc<Endpoint>);

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        // `request_filter` answers everything.
        pingora::Error::e_explain(
            pingora::ErrorType::InternalError,
            "nothing is passed through",
        )
    }

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<bool> {
        session.set_write_timeout(Some(WRITE_TIME_MAX));
        let asked = asked(session);
        let mut stream = Stream { session, asked };
        match self.0.serve(&mut stream).await {
            Ok(()) => Ok(true),
            Err(Gone) => {
                let broken = pingora::ErrorType::new("the answer broke off");
                pingora::Error::e_explain(broken, "the client's stream breaks, too")
            }
        }
    }

    async fn fail_to_proxy(&self, _: &mut Session, _: &pingora::Error, (): &mut ()) -> FailToProxy {
        FailToProxy {
            error_code: 0,
            can_reuse_downstream: false,
        }
    }

    fn suppress_error_log(&self, _: &Session, (): &(), _: &pingora::Error) -> bool {
        true
    }
}

fn asked(session: &Session) -> Asked {
    let head = session.req_header();
    let mut asked = Asked::new(head.method.as_str(), head.uri.path());
    for (name, value) in &head.headers {
        asked.note(name.as_str(), value.as_bytes());
    }
    let length = head.headers.get(CONTENT_LENGTH);
    asked.body_bytes = length
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.trim().parse().ok());
    let address = session.client_addr().and_then(|address| address.as_inet());
    asked.address = address.map(|address| address.ip());
    asked
}

/// One request, by a stream of its own.
struct Stream<'s> {
    session: &'s mut Session,
    asked: Asked,
}

impl Caller for Stream<'_> {
    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn name(&mut self, request_id: String) {
        self.asked.request_id = Some(request_id);
    }

    /// The connection is for other streams, too.
    fn close(&mut self) {}

    async fn send_continue(&mut self) -> Result<(), Gone> {
        let downstream = self.session.as_downstream_mut();
        gone(downstream.write_continue_response().await)
    }

    async fn piece(&mut self, until: Instant) -> Result<Option<Bytes>, BodyFault> {
        let read = self.session.as_downstream_mut().read_request_body();
        let read = timeout_at(until.into(), read).await;
        let read = read.map_err(|_| BodyFault::Late)?;
        read.map_err(|_| BodyFault::Gone)
    }

    fn has_ended(&mut self) -> bool {
        self.session.as_downstream_mut().is_body_done()
    }

    async fn left(&mut self) -> Gone {
        let _ = self
            .session
            .as_downstream_mut()
            .read_body_or_idle(true)
            .await;
        Gone
    }

    async fn send(&mut self, outgoing: Outgoing<'_>, origins: &Origins) -> Result<(), Gone> {
        let head = self.head(&outgoing, origins).map_err(|_| Gone)?;
        let has_body = outgoing.may_have_body() && !self.asked.is_for_head;
        let downstream = self.session.as_downstream_mut();
        gone(downstream.write_response_header(Box::new(head)).await)?;
        if !has_body {
            return gone(downstream.finish_body().await.map(drop));
        }
        match outgoing.body {
            Body::Text(text) => self.last(text.into_owned().into()).await,
            Body::Whole(answer, id) => {
                let mut bytes = Vec::new();
                answer.write_to(id, &mut bytes);
                drop(answer);
                self.last(bytes.into()).await
            }
            Body::Pieces(pieces) => {
                for piece in pieces {
                    gone(downstream.write_response_body(piece, false).await)?;
                }
                gone(downstream.finish_body().await.map(drop))
            }
            Body::Large(large) => self.stream(large).await,
        }
    }

    async fn let_go(&mut self) {
        intake::drain(self).await;
    }
}

impl Stream<'_> {
    fn head(&self, outgoing: &Outgoing<'_>, origins: &Origins) -> pingora::Result<ResponseHeader> {
        let mut head = ResponseHeader::build(outgoing.status, Some(10))?;
        outgoing.each_header(&self.asked, origins, |name, value| {
            // They are plain, but for an origin that is one of the listed.
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                drop(head.insert_header(name, value));
            }
        });
        if let Some(length) = outgoing.body.bytes().filter(|_| outgoing.may_have_body()) {
            head.insert_header(CONTENT_LENGTH, HeaderValue::from(length))?;
        }
        Ok(head)
    }

    async fn last(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let downstream = self.session.as_downstream_mut();
        gone(downstream.write_response_body(bytes, true).await)
    }

    async fn stream(&mut self, mut large: Box<Large>) -> Result<(), Gone> {
        let downstream = self.session.as_downstream_mut();
        while let Some(piece) = large.next().await.map_err(|_| Gone)? {
            gone(downstream.write_response_body(piece, false).await)?;
        }
        gone(downstream.finish_body().await.map(drop))
    }
}

fn gone<T>(done: pingora::Result<T>) -> Result<T, Gone> {
    done.map_err(|_| Gone)
}

//! One request, by a stream of its own, and its answer.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, DATE, HOST};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use tokio::time::timeout_at;

use crate::call::timer;
use crate::client::body_stream::BodyStream;
use crate::client::downstream::{ClientGone, Downstream, RequestBodyError};
use crate::client::endpoint::{Endpoint, WRITE_TIME_MAX};
use crate::client::http2_backlog::Backlog;
use crate::client::request_body;
use crate::client::request_head::{HeadOptions, RequestHead, RequestKind};
use crate::client::response::{ClientResponse, ResponseBody};
use crate::clock;
use crate::shared::admission::Admission;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::wire::cors::CorsPolicy;
use forebay_core::wire::framing::{BodyExtent, RequestFields};

/// Reads a request's head.
///
/// # Errors
/// It can't be read in one way only.
pub fn read(
    parts: &Parts,
    address: Option<IpAddr>,
    options: HeadOptions,
) -> Result<RequestHead, Refusal> {
    let mut head = RequestHead::new(parts.method.as_str(), parts.uri.path());
    head.address = address;
    let mut fields = RequestFields::default();
    let mut hosts = 0;
    for (name, value) in &parts.headers {
        let value = value.as_bytes();
        match name {
            _ if name == CONTENT_LENGTH => fields.length(value).map_err(Refusal::Framing)?,
            _ if name == HOST => {
                hosts += 1;
                if options.hosts {
                    head.note_host(value);
                }
            }
            _ if options.packs && name == ACCEPT_ENCODING => head.accepts.note(value),
            _ => head.note(name.as_str(), value),
        }
    }
    let has_length = parts.headers.contains_key(CONTENT_LENGTH);
    head.body_bytes = match fields.judge(false).map_err(Refusal::Framing)? {
        BodyExtent::Length(length) => Some(length),
        BodyExtent::Nothing | BodyExtent::Chunked => has_length.then_some(0),
    };
    if let Some(authority) = parts.uri.authority().filter(|_| options.hosts) {
        head.note_host(authority.as_str().as_bytes());
    }
    // A health check needn't know what we are called: HAProxy's doesn't say it.
    let is_named = hosts == 1 || (hosts == 0 && parts.uri.authority().is_some());
    if is_named || (hosts == 0 && head.kind == RequestKind::Health) {
        Ok(head)
    } else {
        Err(Refusal::Framing("not exactly one authority"))
    }
}

/// A request, until it is answered.
pub struct Http2Stream {
    head: RequestHead,
    /// Why it gets no more than a no.
    refused: Option<Refusal>,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    /// Once the answer has begun.
    sending: Option<SendStream<Bytes>>,
    backlog: Arc<Backlog>,
    /// Of the chain that it is for, once that is known.
    admission: Arc<Admission>,
}

impl Http2Stream {
    pub fn new(
        read: Result<RequestHead, Refusal>,
        (body, respond): (RecvStream, SendResponse<Bytes>),
        backlog: Arc<Backlog>,
        admission: Arc<Admission>,
    ) -> Http2Stream {
        let (head, refused) = match read {
            Ok(head) => (head, None),
            Err(why) => (RequestHead::default(), Some(why)),
        };
        Http2Stream {
            head,
            refused,
            body,
            respond,
            sending: None,
            backlog,
            admission,
        }
    }

    /// Answers it. Where the answer breaks off the stream breaks, too, once this is dropped.
    pub async fn serve(mut self, endpoint: &Endpoint) {
        let served = match self.refused.take() {
            Some(why) => endpoint.refuse_early(&mut self, why).await,
            None => endpoint.serve(&mut self).await,
        };
        if let (Err(ClientGone), Some(sending)) = (served, &mut self.sending) {
            sending.send_reset(h2::Reason::INTERNAL_ERROR);
        }
    }

    fn response_head(
        &self,
        response: &ClientResponse<'_>,
        origins: &CorsPolicy,
    ) -> Result<Response<()>, ClientGone> {
        let mut head = Response::new(());
        *head.status_mut() = StatusCode::from_u16(response.status).map_err(|_| ClientGone)?;
        let headers = head.headers_mut();
        response.each_header(&self.head, origins, |header, value| {
            // They are plain, but for an origin that is one of the listed.
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.insert(header.name.clone(), value);
            }
        });
        if let Some(length) = response.body.bytes().filter(|_| response.may_have_body()) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if let Ok(date) = clock::http_date(HeaderValue::from_bytes) {
            headers.insert(DATE, date);
        }
        Ok(head)
    }

    /// Writes `bytes` as the client's window opens.
    async fn write(&mut self, mut bytes: Bytes, ends: bool) -> Result<(), ClientGone> {
        let sending = self.sending.as_mut().ok_or(ClientGone)?;
        if bytes.is_empty() && !ends {
            return Ok(());
        }
        let mut timer = timer::lend();
        while !bytes.is_empty() {
            let has_room = self.backlog.has_room();
            let has_room = timer.within(WRITE_TIME_MAX, has_room).await;
            has_room.map_err(|_| ClientGone)?;
            sending.reserve_capacity(bytes.len());
            let opened = poll_fn(|cx| sending.poll_capacity(cx));
            let opened = timer.within(WRITE_TIME_MAX, opened).await;
            let room = opened
                .ok()
                .flatten()
                .and_then(Result::ok)
                .ok_or(ClientGone)?;
            let piece = bytes.split_to(room.min(bytes.len()));
            let is_last = ends && bytes.is_empty();
            if !self.backlog.put(&self.admission, piece.len()) {
                return Err(ClientGone);
            }
            sending.send_data(piece, is_last).map_err(|_| ClientGone)?;
            if is_last {
                return Ok(());
            }
        }
        if ends {
            sending
                .send_data(Bytes::new(), true)
                .map_err(|_| ClientGone)?;
        }
        Ok(())
    }

    async fn write_body(&mut self, body: ResponseBody<'_>) -> Result<(), ClientGone> {
        match body {
            ResponseBody::Text(text) => self.write(text.into_owned().into(), true).await,
            ResponseBody::Whole(answer, id) => {
                let mut bytes = Vec::new();
                answer.write_to(id, &mut bytes);
                drop(answer);
                self.write(bytes.into(), true).await
            }
            ResponseBody::Pieces(pieces) => {
                for piece in pieces {
                    self.write(piece, false).await?;
                }
                self.write(Bytes::new(), true).await
            }
            ResponseBody::Flow(flow) => self.pass_on(flow).await,
        }
    }

    async fn pass_on(&mut self, mut flow: BodyStream<'_>) -> Result<(), ClientGone> {
        while let Some(piece) = flow.next().await.map_err(|_| ClientGone)? {
            self.write(piece, false).await?;
        }
        self.write(Bytes::new(), true).await
    }
}

impl Downstream for Http2Stream {
    fn head(&self) -> &RequestHead {
        &self.head
    }

    fn name(&mut self, request_id: String) {
        self.head.request_id = Some(request_id);
    }

    /// The connection is for other streams, too.
    fn settle(&mut self, admission: &Arc<Admission>) -> bool {
        self.admission = admission.clone();
        self.backlog.settle(admission)
    }

    fn close(&mut self) {}

    async fn send_continue(&mut self) -> Result<(), ClientGone> {
        let mut head = Response::new(());
        *head.status_mut() = StatusCode::CONTINUE;
        self.respond
            .send_informational(head)
            .map_err(|_| ClientGone)
    }

    async fn piece(&mut self, until: Instant) -> Result<Option<Bytes>, RequestBodyError> {
        let read = timeout_at(until.into(), self.body.data()).await;
        let Some(read) = read.map_err(|_| RequestBodyError::Late)? else {
            return Ok(None);
        };
        let piece = read.map_err(|_| RequestBodyError::Gone)?;
        let released = self.body.flow_control().release_capacity(piece.len());
        released.map_err(|_| RequestBodyError::Gone)?;
        Ok(Some(piece))
    }

    fn has_ended(&mut self) -> bool {
        self.body.is_end_stream()
    }

    async fn left(&mut self) -> ClientGone {
        let _ = match &mut self.sending {
            Some(sending) => poll_fn(|cx| sending.poll_reset(cx)).await,
            None => poll_fn(|cx| self.respond.poll_reset(cx)).await,
        };
        ClientGone
    }

    async fn send(
        &mut self,
        response: ClientResponse<'_>,
        origins: &CorsPolicy,
    ) -> Result<(), ClientGone> {
        let head = self.response_head(&response, origins)?;
        let has_body = response.may_have_body() && !self.head.is_for_head;
        let sending = self.respond.send_response(head, !has_body);
        self.sending = Some(sending.map_err(|_| ClientGone)?);
        if has_body {
            self.write_body(response.body).await?;
        }
        Ok(())
    }

    async fn let_go(&mut self) {
        request_body::drain(self).await;
    }
}

//! Pingora's phases, translated. All is answered inside `request_filter`; nothing is decided here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Version;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;

use super::batch;
use super::door::{IDLE_SECONDS_MAX, Watched};
use super::engine::{Engine, Reply, Served, Terms};
use super::health;
use super::intake::{self, NoBody, Wish};
use super::origin::{self, Origin};
use super::outlet::{JSON, Outgoing, TEXT};
use super::policy::Policy;
use crate::clock;
use crate::domain::jsonrpc::{Call, Item, Packet};
use crate::domain::refusal::Refusal;
use crate::domain::sent::Client;

/// The client may take this long to take a piece of an answer.
const WRITE_TIME_MAX: Duration = Duration::from_secs(60);
/// Calls wait this long for the first round. They come before it when a new process takes over.
const FIRST_ROUND_TIME_MAX: Duration = Duration::from_secs(10);
const GREETING: &str = "Forebay: an Ethereum JSON-RPC endpoint. POST JSON-RPC 2.0 here.\n";

/// A name that a client gives itself, for those who share an address.
const CLIENT_HEADER: &str = "x-forebay-client";

/// The JSON-RPC endpoint.
pub struct Proxy {
    pub engine: Arc<Engine>,
}

#[async_trait]
impl ProxyHttp for Proxy {
    /// A request keeps the policy that it began with.
    type CTX = Arc<Policy>;

    fn new_ctx(&self) -> Arc<Policy> {
        self.engine.policy.load_full()
    }

    async fn upstream_peer(
        &self,
        _: &mut Session,
        _: &mut Arc<Policy>,
    ) -> pingora::Result<Box<HttpPeer>> {
        // `request_filter` answers everything.
        pingora::Error::e_explain(
            pingora::ErrorType::InternalError,
            "nothing is passed through",
        )
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        policy: &mut Arc<Policy>,
    ) -> pingora::Result<bool> {
        session.set_write_timeout(Some(WRITE_TIME_MAX));
        session.as_downstream_mut().set_pipelining_enabled(true);
        self.keep_alive(session);
        if let Some(watched) = watched(session) {
            watched.begin_body();
        }
        let counted = self.engine.metrics.begin_request();
        let answered = self.answer(session, policy).await;
        drop(counted);
        if let Ok(status) = &answered {
            self.engine.metrics.http_response(*status);
        }
        if let Some(watched) = watched(session) {
            watched.end_request();
        }
        answered.map(|_| true)
    }

    /// A client that left or broke its framing: if it can still be told, it is told 400.
    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        _: &pingora::Error,
        policy: &mut Arc<Policy>,
    ) -> FailToProxy {
        if session.response_written().is_none() {
            let why = Refusal::Framing("the body broke off or is malformed");
            session.set_keepalive(None);
            if let Ok(outgoing) = Outgoing::refusal(&why, None)
                && let Ok(status) = outgoing.send(session, &policy.origins).await
            {
                self.engine.metrics.http_response(status);
            }
        }
        FailToProxy {
            error_code: 0,
            can_reuse_downstream: false,
        }
    }

    fn suppress_error_log(&self, _: &Session, _: &Arc<Policy>, _: &pingora::Error) -> bool {
        true
    }
}

fn watched(session: &Session) -> Option<&Watched> {
    session.as_downstream().stream()?.as_any().downcast_ref()
}

impl Proxy {
    /// Pingora sets it to "for ever" with each request.
    fn keep_alive(&self, session: &mut Session) {
        let is_wanted =
            session.as_downstream().get_keepalive().is_some() && !self.engine.gate.is_closing();
        session.set_keepalive(is_wanted.then_some(IDLE_SECONDS_MAX));
    }

    /// Answers a request; the status that went out.
    async fn answer(&self, session: &mut Session, policy: &Policy) -> pingora::Result<u16> {
        // Whatever is wanted: what follows an ambiguous head may be another request in disguise.
        if let Err(why) = intake::judge_framing(session) {
            return self.refuse_early(session, why, policy).await;
        }
        let head = session.req_header();
        let outgoing = match intake::wish(&head.method, head.uri.path()) {
            Wish::Call => return self.answer_call(session, policy).await,
            Wish::Health => {
                let view = &self.engine.pool.snapshot().view;
                let (status, body) = health::report(view, self.engine.gate.is_leaving());
                Outgoing::new(status, JSON, body)?
            }
            Wish::Greeting => Outgoing::new(200, TEXT, GREETING)?,
            Wish::Preflight => Outgoing::new(204, TEXT, "")?.preflight()?,
            Wish::NotFound => Outgoing::new(404, TEXT, "not here: POST to / or /rpc\n")?,
            Wish::MethodNotAllowed => Outgoing::new(405, TEXT, "POST JSON-RPC here\n")?
                .allowing("POST, GET, HEAD, OPTIONS")?,
        };
        intake::drain(session).await;
        if !session.as_downstream_mut().is_body_done() {
            // Pingora would go on reading it, for as long as the client dribbles.
            session.set_keepalive(None);
        }
        outgoing.send(session, &policy.origins).await
    }

    async fn answer_call(&self, session: &mut Session, policy: &Policy) -> pingora::Result<u16> {
        let arrived_at = clock::now();
        let bytes_max = policy.limits.body_bytes_max;
        let address = origin::client_address(session, policy);
        let origin = Origin::of(session, policy, address, arrived_at);
        let Some(mut pass) = self.engine.gate.enter() else {
            origin.refused(&Refusal::OverCapacity);
            return self
                .refuse_early(session, Refusal::OverCapacity, policy)
                .await;
        };
        if let Err(why) = intake::judge_head(session, bytes_max) {
            origin.refused(&why);
            return self.refuse_early(session, why, policy).await;
        }
        if intake::expects_continue(session.req_header()) {
            // Pingora gives keep-alive up with it.
            let kept = session.as_downstream().get_keepalive();
            session
                .as_downstream_mut()
                .write_continue_response()
                .await?;
            session.set_keepalive(kept);
        }
        let body = match intake::read_body(session, &mut pass, bytes_max, arrived_at).await {
            Ok(body) => body,
            Err(NoBody::Refused(why)) => {
                origin.refused(&why);
                return self.refuse_early(session, why, policy).await;
            }
            Err(NoBody::Gone(why)) => return Err(why),
        };
        self.engine.pool.begin(FIRST_ROUND_TIME_MAX).await;
        // HTTP/1.0 has no chunks: an answer that broke off would look whole there.
        let may_stream = session.req_header().version > Version::HTTP_10;
        let bytes_max = policy.limits.answer_bytes_max;
        let room = self.engine.gate.room(bytes_max);
        let terms = Terms {
            policy,
            arrived_at,
            bytes_max,
            may_stream,
            client: self.client(session, address),
            room: &room,
            origin: &origin,
            trace: None,
            pins: None,
        };
        self.answer_packet(session, &body, terms).await
    }

    /// Who calls: by the header `x-forebay-client`, else by its address.
    fn client(&self, session: &Session, address: Option<IpAddr>) -> Client {
        let name = session.req_header().headers.get(CLIENT_HEADER);
        let name = name.map(|name| name.as_bytes());
        self.engine.taken.client(name, address)
    }

    /// Refuses before the body was read to its end.
    async fn refuse_early(
        &self,
        session: &mut Session,
        why: Refusal,
        policy: &Policy,
    ) -> pingora::Result<u16> {
        session.set_keepalive(None);
        let status = Outgoing::refusal(&why, None)?
            .served_by("local", 0)?
            .send(session, &policy.origins)
            .await?;
        intake::drain(session).await;
        Ok(status)
    }

    async fn answer_packet(
        &self,
        session: &mut Session,
        body: &Bytes,
        terms: Terms<'_>,
    ) -> pingora::Result<u16> {
        match Packet::read(body, terms.policy.limits.batch_calls_max) {
            Err(why) => self.refuse(session, &why, None, terms).await,
            Ok(Packet::Single(Item::Refused { id, why })) => {
                self.refuse(session, &why, id, terms).await
            }
            Ok(Packet::Single(Item::Call(call))) => self.answer_single(session, &call, terms).await,
            Ok(Packet::Batch(items)) => {
                self.engine.metrics.batch(items.len());
                // On the heap: the future of the many single calls stays small.
                let batch = Box::pin(batch::serve(&self.engine, &items, terms));
                let answers = while_client_stays(session, batch).await?;
                let outgoing = if answers.pieces.is_empty() {
                    Outgoing::new(204, JSON, "")?
                } else {
                    Outgoing::pieces(200, JSON, answers.pieces)?
                };
                let nodes = answers.nodes.join(", ");
                outgoing
                    .served_by(&nodes, answers.attempts)?
                    .send(session, &terms.policy.origins)
                    .await
            }
        }
    }

    async fn refuse(
        &self,
        session: &mut Session,
        why: &Refusal,
        id: Option<&str>,
        terms: Terms<'_>,
    ) -> pingora::Result<u16> {
        terms.origin.refused(why);
        Outgoing::refusal(why, id)?
            .served_by("local", 0)?
            .send(session, &terms.policy.origins)
            .await
    }

    async fn answer_single(
        &self,
        session: &mut Session,
        call: &Call<'_>,
        terms: Terms<'_>,
    ) -> pingora::Result<u16> {
        let Served {
            answer,
            node,
            attempts,
        } = while_client_stays(session, self.engine.serve(call, terms)).await?;
        let name = node.as_deref().unwrap_or("local");
        if call.id.is_none() {
            return Outgoing::new(204, JSON, "")?
                .served_by(name, attempts)?
                .send(session, &terms.policy.origins)
                .await;
        }
        match answer {
            Reply::Here(body) => {
                Outgoing::new(200, JSON, body)?
                    .served_by(name, attempts)?
                    .send(session, &terms.policy.origins)
                    .await
            }
            Reply::Whole(answer) => {
                let mut body = Vec::new();
                answer.write_to(call.id.unwrap_or("null"), &mut body);
                drop(answer);
                Outgoing::new(200, JSON, body)?
                    .served_by(name, attempts)?
                    .send(session, &terms.policy.origins)
                    .await
            }
            Reply::Refused(why) => {
                Outgoing::refusal(&why, call.id)?
                    .served_by(name, attempts)?
                    .send(session, &terms.policy.origins)
                    .await
            }
            Reply::Large(large) => {
                let head = Outgoing::new(200, JSON, "")?.served_by(name, attempts)?;
                Box::pin(head.stream(session, &terms.policy.origins, large)).await
            }
        }
    }
}

/// Goes on with `work` while the client is there. When it leaves, the work is dropped, and with it
/// the connections to nodes that it waits on.
async fn while_client_stays<T>(
    session: &mut Session,
    work: impl Future<Output = T>,
) -> pingora::Result<T> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        left = session.as_downstream_mut().read_body_or_idle(true) => match left {
            Err(why) => Err(why),
            Ok(_) => pingora::Error::e_explain(pingora::ErrorType::ConnectionClosed, "bytes after the body"),
        },
    }
}

//! The admin listener: the status page, and the API by which nodes come, change and go.
//!
//! A straight line: where a request comes from is judged, what it wants is read, the token is
//! judged, then the rest of it is read and carried out. Nothing of a request is written into a
//! log before it is known to hold no credential; so the exchange with Pingora is our own, too.
//!
//! In reading order: `routes`, what is wanted; `auth` and `auth_log`; `requests`, bodies; `chains`, of which
//! chain; `handlers`, `cache`; `glance` and `status`, the page; `error` and `response`, what goes out.

mod auth;
mod auth_log;
mod cache;
mod chains;
mod error;
mod glance;
mod handlers;
mod requests;
mod response;
mod routes;
mod status;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::sync::Semaphore;

pub use crate::admin::auth::AdminAuth;
use crate::admin::auth::Credential;
use crate::admin::auth_log::AuthLog;
pub use crate::admin::chains::{AdminChain, AdminChains};
use crate::admin::error::AdminError;
use crate::admin::glance::{StatusTime, glance};
pub use crate::admin::handlers::AdminHandlers;
use crate::admin::handlers::{AdminCaller, DrainedNode};
use crate::admin::response::AdminResponse;
use crate::admin::routes::{AdminQuery, AdminRoute, BodyRule, DrainAction};
use crate::call::chains::Chains;
use crate::client::health;
use crate::client::request_head::is_json;
use crate::clock;
use crate::registry::RegistryItem;
use forebay_core::wire::framing;

/// The clients for which proxies ask.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// A request's body.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Requests that are answered at once, those that wait for a drain among them.
pub const REQUESTS_MAX: usize = 64;
/// A request's head must be there this long after its connection, or the request before it.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// A body must be there this long after its head.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// The client may take this long to take a piece of an answer.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);
/// After a refusal this much of a body is read, this long: closing on unread bytes would reset
/// the connection before the client has our answer.
const DRAIN_BYTES_MAX: usize = 1 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// What carries out the requests to each chain, as chains come and go.
pub type CurrentAdminChains = Arc<ArcSwap<AdminChains>>;

/// The listener's application.
pub struct AdminApp {
    /// It may change while the listener serves.
    auth: Arc<ArcSwap<AdminAuth>>,
    admin_chains: CurrentAdminChains,
    chains: Arc<Chains>,
    auth_log: AuthLog,
    room: Semaphore,
}

impl AdminApp {
    pub fn new(
        auth: Arc<ArcSwap<AdminAuth>>,
        admin_chains: CurrentAdminChains,
        chains: Arc<Chains>,
    ) -> AdminApp {
        AdminApp {
            auth,
            admin_chains,
            chains,
            auth_log: AuthLog::default(),
            room: Semaphore::new(REQUESTS_MAX),
        }
    }
}

#[async_trait]
impl HttpServerApp for AdminApp {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let head = tokio::time::timeout(HEAD_TIME_MAX, session.read_request());
        if !matches!(head.await, Ok(Ok(true))) {
            return None;
        }
        let stays = session.get_keepalive().is_some() && !*shutdown.borrow();
        session.set_keepalive(stays.then_some(HEAD_TIME_MAX.as_secs()));
        session.set_write_timeout(Some(WRITE_TIME_MAX));
        session.set_pipelining_enabled(true);
        let answer = match self.answer(&mut session).await {
            Ok(answer) => answer,
            Err(why) => {
                if why == AdminError::TokenWrong
                    && let Some(line) = self.auth_log.hear(self.address(&session), clock::now())
                {
                    log::warn!("{line}");
                }
                // What follows may be the rest of what was refused.
                session.set_keepalive(None);
                AdminResponse::denied(&why)
            }
        };
        send(&mut session, answer).await.ok()?;
        drain(&mut session).await;
        let settings = HttpPersistentSettings::for_session(&session);
        let stream = session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }
}

async fn send(session: &mut ServerSession, answer: AdminResponse) -> pingora::Result<()> {
    let has_body = session.req_header().method != Method::HEAD;
    session
        .write_response_header(Box::new(answer.head()?))
        .await?;
    if has_body {
        session
            .write_response_body(answer.body.into(), true)
            .await?;
    }
    session.finish_body().await
}

/// Reads what is left of a refused body, within limits.
async fn drain(session: &mut ServerSession) {
    let rest = async {
        let mut drained = 0;
        while let Ok(Some(piece)) = session.read_request_body().await {
            drained += piece.len();
            if drained > DRAIN_BYTES_MAX {
                return;
            }
        }
    };
    // In time or not: the connection is closed after a refusal.
    drop(tokio::time::timeout(DRAIN_TIME_MAX, rest).await);
}

/// One request, as far as its head goes.
struct AdminRequest {
    route: AdminRoute,
    query: AdminQuery,
    caller: AdminCaller,
}

impl AdminApp {
    async fn answer(&self, session: &mut ServerSession) -> Result<AdminResponse, AdminError> {
        let request = self.judge(session)?;
        let wanted = request.route.body();
        if wanted == BodyRule::None && announces_body(&session.req_header().headers) {
            return Err(AdminError::input("no body is taken here"));
        }
        // A request without a token can't take the room away, least of all from an orchestrator's probes.
        let _room = match request.route.needs_token() {
            true => Some(self.room.try_acquire().map_err(|_| AdminError::Busy)?),
            false => None,
        };
        let body = match wanted {
            BodyRule::None => Bytes::new(),
            BodyRule::Allowed | BodyRule::Needed => read_body(session, wanted).await?,
        };
        self.carry_out(request, &body).await
    }

    /// All that the head decides.
    fn judge(&self, session: &ServerSession) -> Result<AdminRequest, AdminError> {
        framing::check(&session.to_h1_raw()).map_err(AdminError::Framing)?;
        let head = session.req_header();
        let authority = head.uri.authority().map(http::uri::Authority::as_str);
        let auth = self.auth.load();
        auth.judge_source(&head.headers, authority)?;
        let route = AdminRoute::read(&head.method, head.uri.path())?;
        let credential = match route.needs_token() {
            true => auth.judge_token(&head.headers)?,
            false => Credential::Open,
        };
        let query = AdminQuery::read(head.uri.query(), &route)?;
        if query.reveal && credential != Credential::Token {
            return Err(AdminError::RevealNeedsToken);
        }
        let address = self.address(session);
        let caller = AdminCaller {
            address,
            credential,
        };
        Ok(AdminRequest {
            route,
            query,
            caller,
        })
    }

    /// The client that asks, also where a proxy that is trusted asks for it.
    fn address(&self, session: &ServerSession) -> Option<IpAddr> {
        let peer = session.client_addr()?.as_inet()?.ip();
        let forwarded = session.req_header().headers.get_all(FORWARDED_FOR).iter();
        let state = self.chains.now().first().cloned()?;
        let proxies = &state.policy.load().proxies;
        Some(proxies.client(peer, forwarded.map(HeaderValue::as_bytes)))
    }

    async fn carry_out(
        &self,
        request: AdminRequest,
        body: &[u8],
    ) -> Result<AdminResponse, AdminError> {
        let chains = self.admin_chains.load_full();
        let named = request.query.chain.as_deref();
        let chosen = || chains.chosen(named);
        match &request.route {
            AdminRoute::Asset(asset) => Ok(AdminResponse::asset(*asset)),
            AdminRoute::Description => Ok(AdminResponse::description()),
            AdminRoute::Live => {
                let alive = serde_json::json!({ "status": "ok" });
                Ok(AdminResponse::json(200, &alive))
            }
            AdminRoute::Ready => Ok(self.ready()),
            AdminRoute::Status => {
                let chain = chains.shown(named)?;
                Ok(status_of(&chain, &chains))
            }
            AdminRoute::Purge => {
                let chain = chosen()?;
                let purged = cache::purge(&chain.state, &requests::purge(body)?, request.caller)?;
                Ok(AdminResponse::json(
                    200,
                    &serde_json::json!({ "purged": purged }),
                ))
            }
            AdminRoute::List => {
                let chain = chosen()?;
                let items = chain.handlers.list(request.query.reveal).await?;
                Ok(AdminResponse::json(200, &items))
            }
            AdminRoute::Add => {
                let chain = chosen()?;
                let record = requests::add(body)?;
                chains.refuse_others(&chain, &record)?;
                let item = chain.handlers.add(&record, request.caller).await?;
                Ok(shown(&chain, &request, 201, &item))
            }
            AdminRoute::Change => {
                let chain = chosen()?;
                let change = requests::change(body)?;
                if let Some(record) = chain.handlers.with_headers(&change) {
                    chains.refuse_others(&chain, &record)?;
                }
                let item = chain.handlers.change(&change, request.caller).await?;
                Ok(shown(&chain, &request, 200, &item))
            }
            AdminRoute::Remove => {
                let chain = chosen()?;
                let key = request.query.key()?;
                let item = chain.handlers.remove(&key, request.caller).await?;
                Ok(shown(&chain, &request, 200, &item))
            }
            AdminRoute::Turn(action, name) => {
                let chain = chosen()?;
                turned(&chain, &request, (*action, name), body).await
            }
        }
    }

    fn ready(&self) -> AdminResponse {
        let present = self.chains.now();
        // As on clients' listener: a process that hands over is asked for nothing new, and answers well.
        let is_leaving = present.all().any(|state| state.admission.is_leaving());
        let (status, body) = health::report_all(&self.chains, is_leaving);
        AdminResponse::new(status, "application/json", body)
    }
}

/// One chain in full, and all of them at a glance.
fn status_of(chain: &AdminChain, chains: &AdminChains) -> AdminResponse {
    let moment = StatusTime {
        now: clock::now(),
        at: clock::unix_millis(),
    };
    let admission = &chain.state.admission;
    let inside = (admission.requests(), admission.ends_connections());
    let glances = chains.all().iter();
    let glances = glances.map(|chain| glance(chain, inside.1, moment));
    let status = status::status(chain, glances.collect(), inside, moment);
    AdminResponse::json(200, &status)
}

/// A node of the chain's, as the caller may see it.
fn shown(
    chain: &AdminChain,
    request: &AdminRequest,
    status: u16,
    item: &RegistryItem,
) -> AdminResponse {
    AdminResponse::json(status, &chain.handlers.shown(item, request.query.reveal))
}

/// Takes a node out of service, or puts it back.
async fn turned(
    chain: &AdminChain,
    request: &AdminRequest,
    (action, name): (DrainAction, &str),
    body: &[u8],
) -> Result<AdminResponse, AdminError> {
    let handlers = &chain.handlers;
    match action {
        DrainAction::Drain => {
            let patience = requests::wait(body)?;
            let item = handlers.turn(action, name, request.caller).await?;
            let in_flight = handlers.wait_until_idle(&item, patience).await;
            let item = handlers.shown(&item, request.query.reveal);
            Ok(AdminResponse::json(200, &DrainedNode { item, in_flight }))
        }
        DrainAction::Cordon | DrainAction::Undrain => {
            requests::nothing(body)?;
            let item = handlers.turn(action, name, request.caller).await?;
            Ok(shown(chain, request, 200, &item))
        }
    }
}

/// Whether a body is to follow; the framing was checked before.
fn announces_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let is_long = length.is_some_and(|length| length.iter().any(|digit| *digit != b'0'));
    is_long || headers.contains_key(TRANSFER_ENCODING)
}

/// Reads the body whole; one that is there must be JSON.
async fn read_body(session: &mut ServerSession, wanted: BodyRule) -> Result<Bytes, AdminError> {
    let kind = session.req_header().headers.get(CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| is_json(kind.as_bytes()));
    if wanted == BodyRule::Needed && !is_json {
        return Err(AdminError::ContentType);
    }
    let gathered = tokio::time::timeout(BODY_TIME_MAX, gather(session));
    let body = gathered.await.unwrap_or(Err(AdminError::BodyTooSlow))?;
    match wanted {
        BodyRule::Allowed if !body.is_empty() && !is_json => Err(AdminError::ContentType),
        BodyRule::None | BodyRule::Allowed | BodyRule::Needed => Ok(body),
    }
}

async fn gather(session: &mut ServerSession) -> Result<Bytes, AdminError> {
    let broken = |_| AdminError::Framing("the body broke off or is malformed");
    let mut body = BytesMut::new();
    while let Some(piece) = session.read_request_body().await.map_err(broken)? {
        if body.len() + piece.len() > BODY_BYTES_MAX {
            return Err(AdminError::BodyTooLarge {
                bytes_max: BODY_BYTES_MAX,
            });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The description is written by hand: here it is held to what is read.
    #[test]
    fn the_description_names_what_there_is_and_what_needs_the_token() {
        let text = AdminResponse::description().body;
        let description: Value = serde_json::from_slice(&text).unwrap();
        let mut operations = 0;
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let path = path.replace("{name}", "a");
                let name = method.to_ascii_uppercase();
                let method = Method::from_bytes(name.as_bytes()).unwrap();
                let route = AdminRoute::read(&method, &path).unwrap();
                let is_open = operation["security"] == serde_json::json!([]);
                assert_eq!(route.needs_token(), !is_open, "{method} {path}");
                let has_body = operation["requestBody"].is_object();
                assert_eq!(route.body() != BodyRule::None, has_body, "{method} {path}");
                operations += 1;
            }
        }
        assert_eq!(operations, 12);
    }

    #[test]
    fn a_body_is_announced_by_its_length_or_in_pieces() {
        let announces = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            announces_body(&headers)
        };
        assert!(!announces_body(&HeaderMap::new()));
        assert!(!announces("content-length", "0"));
        assert!(announces("content-length", "1"));
        assert!(announces("transfer-encoding", "chunked"));
    }
}

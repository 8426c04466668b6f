//! `GET /metrics`, on a listener of its own.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Response};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use super::health;
use crate::call::chains::Chains;
use crate::call::context::CallState;
use crate::clock;
use crate::observe::metrics::{
    CONTENT_TYPE as CONTENT_TYPE_TEXT, CacheFill, ChainUse, ProcessMetrics, ProcessUse,
};

/// Answers Prometheus.
pub struct MetricsApp {
    pub metrics: Arc<ProcessMetrics>,
    pub chains: Arc<Chains>,
}

/// The metrics as of now, for Prometheus.
pub fn scrape(metrics: &ProcessMetrics, chains: &Chains) -> String {
    let present = chains.now();
    let admissions = || present.all().map(|state| &state.admission);
    metrics.show_used(&ProcessUse {
        requests: admissions().map(|admission| admission.requests()).sum(),
        request_bytes: admissions().map(|admission| admission.bytes()).sum(),
        answer_bytes: admissions()
            .map(|admission| admission.answers_bytes())
            .sum(),
        cache: present.all().find_map(cache_fill).unwrap_or_default(),
    });
    for state in present.all() {
        refresh(state);
    }
    metrics.encode()
}

/// What is kept, of all chains together.
fn cache_fill(state: &Arc<CallState>) -> Option<CacheFill> {
    let store = &state.cache.as_ref()?.store;
    Some(CacheFill {
        entries: store.entries(),
        bytes: store.bytes(),
        bytes_max: store.bytes_max(),
        evicted: store.evicted(),
    })
}

/// Sets what a chain's metrics say of this moment.
fn refresh(state: &CallState) {
    let view = &state.fleet.snapshot().view;
    let (now, unix_seconds) = (clock::now(), clock::unix_millis() / 1000);
    // A bench shows at once, not with the next round.
    state.metrics.show_fleet(view, now, unix_seconds);
    state.metrics.show_used(&ChainUse {
        retry_budget: state.budget.tokens(now),
        queued: state.fleet.places.waiting(),
        shed: state.fleet.places.shed(),
        is_degraded: health::is_degraded(view, state.fleet.failing.too_many(now)),
    });
    state.metrics.refresh(view, unix_seconds);
}

#[async_trait]
impl ServeHttp for MetricsApp {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        let (status, body) = match (head.uri.path(), is_read) {
            ("/metrics", true) => (200, scrape(&self.metrics, &self.chains)),
            ("/metrics", false) => (405, String::new()),
            _ => (404, "the metrics are at /metrics\n".to_string()),
        };
        let mut response = Response::new(body.into_bytes());
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        let length = response.body().len();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            http::HeaderValue::from_static(CONTENT_TYPE_TEXT),
        );
        headers.insert(CONTENT_LENGTH, http::HeaderValue::from(length));
        response
    }
}

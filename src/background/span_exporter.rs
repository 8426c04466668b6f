//! Takes spans to the collector, many at a time. Calls never wait for it: what it can't take in
//! time is given up, and counted.

use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::sync::{Mutex, mpsc};

use crate::background::pacing::until;
use crate::node::collector::{Collector, ExportError};
use crate::observe::otlp;
use crate::observe::spans::{Span, tracer};

/// Spans of one batch.
const BATCH_MAX: usize = 512;
/// The first span of a batch waits so long for others.
const GATHER: Duration = Duration::from_secs(1);
/// A batch that isn't taken is offered again after each of these.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Between what is recorded and the collector of it.
pub struct SpanExporter {
    pub collector: Collector,
    pub service: String,
    pub spans: Mutex<mpsc::Receiver<Span>>,
}

impl SpanExporter {
    async fn export(&self) {
        let mut spans = self.spans.lock().await;
        let mut is_told = false;
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while spans.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let gathered = tokio::time::sleep(GATHER);
            tokio::pin!(gathered);
            while batch.len() < BATCH_MAX {
                let room = BATCH_MAX - batch.len();
                tokio::select! {
                    () = &mut gathered => break,
                    more = spans.recv_many(&mut batch, room) => if more == 0 { break },
                }
            }
            let taken = self.offer(&batch).await;
            if let Some(tracer) = tracer() {
                tracer.settle(batch.len(), taken.is_ok());
            }
            tell(taken, &mut is_told);
            batch.clear();
        }
    }

    async fn offer(&self, batch: &[Span]) -> Result<(), ExportError> {
        let body = otlp::body(&self.service, batch);
        for pause in PAUSES {
            match self.collector.post(body.clone()).await {
                Err(ExportError::Now(why)) => log::debug!("spans are not taken: {why}"),
                done => return done,
            }
            tokio::time::sleep(pause).await;
        }
        self.collector.post(body).await
    }
}

/// Once when it begins and once when it is over; the metric counts each span.
fn tell(taken: Result<(), ExportError>, is_told: &mut bool) {
    match taken {
        Ok(()) => {
            if std::mem::take(is_told) {
                log::info!("the collector takes traces again");
            }
        }
        Err(why) => {
            if !std::mem::replace(is_told, true) {
                log::warn!("the collector takes no traces: {why}; calls don't need it");
            }
        }
    }
}

#[async_trait]
impl BackgroundService for SpanExporter {
    async fn start(&self, shutdown: ShutdownWatch) {
        until(shutdown, self.export()).await;
    }
}

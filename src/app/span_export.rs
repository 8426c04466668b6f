//! The exporter that takes traces to their collector.

use anyhow::Context as _;
use tokio::sync::Mutex;

use crate::background::span_exporter::SpanExporter;
use crate::config::settings::Settings;
use crate::node::collector::Collector;
use crate::observe::metrics::ProcessMetrics;
use crate::observe::spans::Tracer;

/// `None`: they aren't wanted. The tracer is this process's own, so that a second balancer in it
/// records for the first.
///
/// # Errors
/// TLS can't be set up, or a header can't be sent.
pub(super) fn exporter(
    settings: &Settings,
    metrics: &ProcessMetrics,
    ca_file: Option<&str>,
) -> anyhow::Result<Option<SpanExporter>> {
    let Some(otlp) = &settings.otlp else {
        return Ok(None);
    };
    let collector = Collector::new(otlp.endpoint.clone(), &otlp.headers, ca_file)
        .context("setting up the way to the collector of traces")?;
    let Some(spans) = Tracer::install(otlp.share, metrics.spans()) else {
        return Ok(None);
    };
    let share = otlp.share;
    log::info!(
        "traces are exported: those that callers record, and a share of {share} of the rest"
    );
    Ok(Some(SpanExporter {
        collector,
        service: otlp.service.clone(),
        spans: Mutex::new(spans),
    }))
}

//! Spans in the form of OTLP over HTTP as JSON (OpenTelemetry Protocol 1.x): one
//! `ExportTraceServiceRequest`. Ids are hexadecimal there, and 64-bit numbers texts.

use serde_json::{Value, json};

use super::spans::Span;
use crate::observe::spans::SpanKind;

/// The kinds and codes of `opentelemetry/proto/trace/v1/trace.proto`.
const KIND_SERVER: u8 = 2;
const KIND_CLIENT: u8 = 3;
const STATUS_UNSET: u8 = 0;
const STATUS_ERROR: u8 = 2;

/// The request's body, of spans of the service with this name.
pub fn body(service: &str, spans: &[Span]) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let resource = [
        text("service.name", service),
        text("service.version", version),
    ];
    let spans: Vec<_> = spans.iter().map(span).collect();
    let request = json!({
        "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{
                "scope": { "name": "forebay", "version": version },
                "spans": spans,
            }],
        }],
    });
    request.to_string().into_bytes()
}

fn span(span: &Span) -> Value {
    let took = u64::try_from(span.took.as_nanos()).unwrap_or(u64::MAX);
    let (kind, what) = match span.kind {
        SpanKind::Call => (KIND_SERVER, "call"),
        SpanKind::Attempt => (KIND_CLIENT, "attempt"),
    };
    let status = if span.is_failure {
        STATUS_ERROR
    } else {
        STATUS_UNSET
    };
    let parent = span.parent.as_ref().map_or("", |parent| parent.span_id());
    json!({
        "traceId": span.own.trace_id(),
        "spanId": span.own.span_id(),
        "parentSpanId": parent,
        "name": format!("{what} {}", span.method),
        "kind": kind,
        "startTimeUnixNano": span.began_at.to_string(),
        "endTimeUnixNano": span.began_at.saturating_add(took).to_string(),
        "attributes": attributes(span),
        "status": { "code": status },
    })
}

fn attributes(span: &Span) -> Vec<Value> {
    let mut attributes = vec![
        text("rpc.system", "jsonrpc"),
        text("rpc.method", span.method),
        text("forebay.chain", span.chain.as_str()),
        text("forebay.outcome", span.outcome),
    ];
    let node = span.node.as_deref();
    let node = node.or((span.kind == SpanKind::Call).then_some("local"));
    attributes.extend(node.map(|node| text("forebay.node", node)));
    let attempts = span.attempts.and_then(|count| i64::try_from(count).ok());
    attributes.extend(attempts.map(|count| number("forebay.attempts", count)));
    attributes.extend(span.code.map(|code| number("rpc.jsonrpc.error_code", code)));
    attributes
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: i64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use forebay_core::wire::trace::TraceParent;

    #[test]
    fn a_span_is_written_as_the_protocol_says() {
        let call = TraceParent::new([1, 2], 3);
        let attempt = Span {
            kind: SpanKind::Attempt,
            chain: "base".parse().unwrap(),
            own: call.with_span(4),
            parent: Some(call),
            method: "eth_call",
            began_at: 1_700_000_000_000_000_001,
            took: Duration::from_millis(2),
            outcome: "timeout",
            is_failure: true,
            node: Some("geth-1".into()),
            attempts: None,
            code: None,
        };
        let written: Value = serde_json::from_slice(&body("api", &[attempt])).unwrap();
        let of = &written["resourceSpans"][0];
        let name = &of["resource"]["attributes"][0];
        assert_eq!(
            *name,
            json!({"key": "service.name", "value": {"stringValue": "api"}})
        );
        assert_eq!(
            of["scopeSpans"][0]["spans"],
            json!([{
                "traceId": "00000000000000010000000000000002",
                "spanId": "0000000000000004",
                "parentSpanId": "0000000000000003",
                "name": "attempt eth_call",
                "kind": 3,
                "startTimeUnixNano": "1700000000000000001",
                "endTimeUnixNano": "1700000000002000001",
                "attributes": [
                    {"key": "rpc.system", "value": {"stringValue": "jsonrpc"}},
                    {"key": "rpc.method", "value": {"stringValue": "eth_call"}},
                    {"key": "forebay.chain", "value": {"stringValue": "base"}},
                    {"key": "forebay.outcome", "value": {"stringValue": "timeout"}},
                    {"key": "forebay.node", "value": {"stringValue": "geth-1"}},
                ],
                "status": {"code": 2},
            }])
        );
    }
}

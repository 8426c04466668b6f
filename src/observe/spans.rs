//! Spans: what a tracing backend is told of calls and of their attempts.
//!
//! A call is a span, each of its attempts a child of it, and a node is told that it serves that
//! attempt. A caller's `traceparent` decides: what it records, we record. Of calls that bring none a
//! share is recorded. A span says the method as the table names it, the node's name and what it
//! came to: nothing of what a client wrote, and nothing of a URL.
//!
//! Without the feature `otlp`, or where no collector is set, [`tracer`] is `None` and the rest of
//! this comes to nothing.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::metrics::{CallOutcome, SpanMetrics};
use crate::clock;
use forebay_core::method::{self, MethodIndex};
use forebay_core::rpc::classify::AttemptClass;
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::chance::Dice;
use forebay_core::wire::trace::TraceParent;

/// Spans that wait for the collector.
pub const QUEUE_MAX: usize = 4096;

/// The trace that a call's attempts belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What they are children of, and what nodes are told.
    pub parent: TraceParent,
    /// The call's method.
    pub row: MethodIndex,
}

/// A call's span, or an attempt's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    Call,
    Attempt,
}

/// Something that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    pub kind: SpanKind,
    pub chain: ChainName,
    /// Its trace and its own id.
    pub own: TraceParent,
    pub parent: Option<TraceParent>,
    /// As the table names it.
    pub method: &'static str,
    /// Nanoseconds since 1970.
    pub began_at: u64,
    pub took: Duration,
    pub outcome: &'static str,
    pub is_failure: bool,
    pub node: Option<Arc<str>>,
    /// Nodes asked for a call.
    pub attempts: Option<usize>,
    /// Of the JSON-RPC error.
    pub code: Option<i64>,
}

/// Decides what is recorded, and hands it on.
pub struct Tracer {
    /// The bits of an `f64`.
    share: AtomicU64,
    queue: mpsc::Sender<Span>,
    /// Handed on, and neither taken by the collector nor given up.
    pending: AtomicUsize,
    metrics: SpanMetrics,
}

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// The tracer of this process, where there is one.
pub fn tracer() -> Option<&'static Tracer> {
    if cfg!(feature = "otlp") {
        TRACER.get()
    } else {
        None
    }
}

impl Tracer {
    /// Makes the tracer of this process, of `share` (0 to 1) of the calls without a trace. Gives
    /// what it records, unless there is a tracer already.
    pub fn install(share: f64, metrics: SpanMetrics) -> Option<mpsc::Receiver<Span>> {
        let (tracer, spans) = Tracer::new(share, metrics, QUEUE_MAX);
        TRACER.set(tracer).ok().map(|()| spans)
    }

    fn new(share: f64, metrics: SpanMetrics, queue_max: usize) -> (Tracer, mpsc::Receiver<Span>) {
        let (queue, spans) = mpsc::channel(queue_max);
        let tracer = Tracer {
            share: AtomicU64::new(share.to_bits()),
            queue,
            pending: AtomicUsize::new(0),
            metrics,
        };
        (tracer, spans)
    }

    pub fn set_share(&self, share: f64) {
        self.share.store(share.to_bits(), Ordering::Relaxed);
    }

    /// So many spans were taken by the collector, or given up.
    pub fn settle(&self, spans: usize, is_taken: bool) {
        self.pending.fetch_sub(spans, Ordering::Relaxed);
        let counter = if is_taken {
            &self.metrics.exported
        } else {
            &self.metrics.failed
        };
        counter.inc_by(spans as u64);
    }

    /// Spans that the collector doesn't have yet.
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    fn hear(&self, span: Span) {
        self.pending.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(span).is_err() {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            self.metrics.dropped.inc();
        }
    }

    /// Where a call stands in its trace, if it is recorded.
    fn place(&self, parent: Option<&TraceParent>, dice: &mut impl Dice) -> Option<TraceParent> {
        match parent {
            Some(parent) if parent.is_sampled() => Some(parent.with_span(dice.roll())),
            Some(_) => None,
            None => {
                let share = f64::from_bits(self.share.load(Ordering::Relaxed));
                let is_recorded = share > 0.0 && dice.fraction() < share;
                is_recorded.then(|| TraceParent::new([dice.roll(), dice.roll()], dice.roll()))
            }
        }
    }
}

/// A call that is recorded. Dropped before it has ended, its client has left.
#[derive(Debug)]
pub struct CallSpan(Box<OpenSpan>);

/// An attempt that is recorded. Dropped before it has ended, no call waits for it any more.
#[derive(Debug)]
pub struct AttemptSpan(Box<OpenSpan>);

#[derive(Debug)]
struct OpenSpan {
    span: Span,
    began: Instant,
}

impl CallSpan {
    /// Begins the span of a call of `row`, that a client made as a part of `parent`.
    pub fn begin(
        parent: Option<&TraceParent>,
        row: MethodIndex,
        chain: &ChainName,
    ) -> Option<CallSpan> {
        let own = tracer()?.place(parent, &mut clock::roll)?;
        let mut open = OpenSpan::begin(SpanKind::Call, (own, parent.copied()), row, chain);
        open.span.outcome = CallOutcome::Cancelled.as_str();
        open.span.attempts = Some(0);
        Some(CallSpan(Box::new(open)))
    }

    /// What its attempts are children of.
    pub fn own(&self) -> TraceParent {
        self.0.span.own
    }

    /// What it came to. The span of an answer that is passed on as it comes ends where it begins.
    /// `code`: of the JSON-RPC error, where there is one.
    pub fn end(
        mut self,
        (outcome, code): (CallOutcome, Option<i64>),
        node: Option<Arc<str>>,
        attempts: usize,
    ) {
        let span = &mut self.0.span;
        span.outcome = outcome.as_str();
        span.is_failure = outcome.is_failure();
        span.node = node;
        span.attempts = Some(attempts);
        span.code = code;
    }
}

impl AttemptSpan {
    /// Begins the span of an attempt on `node` of `chain` as a part of `trace`.
    pub fn begin(trace: Option<&Trace>, node: &Arc<str>, chain: &ChainName) -> Option<AttemptSpan> {
        tracer()?;
        let trace = trace.filter(|trace| trace.parent.is_sampled())?;
        let own = trace.parent.with_span(clock::roll());
        let place = (own, Some(trace.parent));
        let mut open = OpenSpan::begin(SpanKind::Attempt, place, trace.row, chain);
        open.span.outcome = AttemptClass::Cancelled.outcome();
        open.span.node = Some(node.clone());
        Some(AttemptSpan(Box::new(open)))
    }

    /// What the node is told.
    pub fn own(&self) -> &TraceParent {
        &self.0.span.own
    }

    /// What it came to, after `took`.
    pub fn end(mut self, class: AttemptClass) {
        self.0.span.outcome = class.outcome();
        self.0.span.is_failure = !matches!(class, AttemptClass::Ok | AttemptClass::RpcError);
    }
}

impl OpenSpan {
    fn begin(
        kind: SpanKind,
        (own, parent): (TraceParent, Option<TraceParent>),
        row: MethodIndex,
        chain: &ChainName,
    ) -> OpenSpan {
        OpenSpan {
            began: clock::now(),
            span: Span {
                kind,
                chain: chain.clone(),
                own,
                parent,
                method: method::listed(row).map_or("other", |method| method.name),
                began_at: clock::unix_nanos(),
                took: Duration::ZERO,
                outcome: "",
                is_failure: false,
                node: None,
                attempts: None,
                code: None,
            },
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if let Some(tracer) = tracer() {
            let mut span = self.span.clone();
            span.took = clock::now().saturating_duration_since(self.began);
            tracer.hear(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::ProcessMetrics;
    use forebay_core::vocabulary::chance::SeededDice;

    fn tracer(share: f64) -> (Tracer, mpsc::Receiver<Span>) {
        Tracer::new(share, ProcessMetrics::new().spans(), 1)
    }

    #[test]
    fn a_callers_word_decides_and_of_the_others_a_share_is_recorded() {
        let mut dice = SeededDice::new(7);
        let parent = |flags: &str| {
            let value = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
            TraceParent::read(value.as_bytes()).unwrap()
        };
        for share in [0.0, 1.0] {
            let (tracer, _spans) = tracer(share);
            let own = tracer.place(Some(&parent("01")), &mut dice).unwrap();
            assert_eq!(own.trace_id(), parent("01").trace_id());
            assert_ne!(own.span_id(), parent("01").span_id());
            assert_eq!(tracer.place(Some(&parent("00")), &mut dice), None);
            let ours = tracer.place(None, &mut dice);
            assert_eq!(ours.is_some(), share > 0.0);
        }
        let (tracer, _spans) = tracer(0.01);
        let recorded = (0..10_000).filter(|_| tracer.place(None, &mut dice).is_some());
        assert!((60..140).contains(&recorded.count()));
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let (tracer, spans) = tracer(1.0);
        let own = TraceParent::new([1, 2], 3);
        let open = OpenSpan::begin(SpanKind::Call, (own, None), None, &ChainName::main());
        assert_eq!(open.span.method, "other");
        tracer.hear(open.span.clone());
        tracer.hear(open.span.clone());
        assert_eq!((tracer.pending(), tracer.metrics.dropped.get()), (1, 1));
        tracer.settle(1, true);
        assert_eq!((tracer.pending(), tracer.metrics.exported.get()), (0, 1));
        drop(spans);
        tracer.hear(open.span.clone());
        assert_eq!(tracer.metrics.dropped.get(), 2);
    }
}

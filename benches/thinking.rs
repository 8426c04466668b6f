//! How long the pure parts of a call take: `cargo bench`.

mod scene;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use forebay::clock;
use forebay_core::call::plan;
use forebay_core::fleet::requirements::{NodeQuery, NodeRequirements};
use forebay_core::rpc::answer::{Answer, Outcome};
use forebay_core::rpc::classify;
use forebay_core::rpc::envelope::{RequestItem, RpcRequest, UpstreamCallId};
use forebay_core::vocabulary::chance::SeededDice;
use forebay_core::vocabulary::tier::Tier;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Calls of a batch that are taken apart at most.
const CALLS_MAX: usize = 1000;

/// A message that the table of signs must be searched for.
const ERROR: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"missing trie node 0a1b2c (path )"}}"#;

fn batch_of(calls: u64) -> String {
    let calls: Vec<_> = (0..calls).map(scene::eth_call).collect();
    format!("[{}]", calls.join(","))
}

fn envelope(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("envelope");
    let one = scene::eth_call(1_700_000_000_000);
    group.bench_function("one call", |bench| {
        bench.iter(|| RpcRequest::read(black_box(one.as_bytes()), CALLS_MAX));
    });
    let hundred = batch_of(100);
    group.bench_function("batch of 100", |bench| {
        bench.iter(|| RpcRequest::read(black_box(hundred.as_bytes()), CALLS_MAX));
    });
    group.bench_function("written for the node", |bench| {
        let request = RpcRequest::read(one.as_bytes(), CALLS_MAX);
        let Ok(RpcRequest::Single(RequestItem::Call(call))) = request else {
            return;
        };
        bench.iter(|| black_box(&call).for_node());
    });
}

fn plan(criterion: &mut Criterion) {
    let view = scene::fleet(3, clock::now());
    let (rules, pins) = (scene::rules(), scene::pins(&view));
    let body = scene::eth_call(1);
    let local = r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;
    let mut group = criterion.benchmark_group("plan");
    for (name, body) in [("eth_call", body.as_str()), ("eth_blockNumber", local)] {
        let Ok(RpcRequest::Single(RequestItem::Call(call))) =
            RpcRequest::read(body.as_bytes(), CALLS_MAX)
        else {
            continue;
        };
        group.bench_function(name, |bench| {
            bench.iter(|| plan::plan(black_box(&call), &scene::by(&view, &rules, &pins)));
        });
    }
}

fn selection(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("selection");
    let now = clock::now();
    for nodes in [3, 30, 300, 1000] {
        let view = scene::fleet(nodes, now);
        let query = NodeQuery::new(&[Tier::Own], &[], NodeRequirements::default());
        let mut dice = SeededDice::new(7);
        group.bench_function(format!("{nodes} nodes"), |bench| {
            bench.iter(|| black_box(&view).draw(&query, now, &mut dice));
        });
    }
}

fn answers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answer");
    let result = scene::answer();
    group.bench_function("read a result", |bench| {
        bench.iter(|| Answer::read(black_box(result.as_bytes()), UpstreamCallId::FIRST).is_ok());
    });
    group.bench_function("judge an error", |bench| {
        bench.iter(|| {
            let answer = Answer::read(black_box(ERROR.as_bytes()), UpstreamCallId::FIRST).ok()?;
            match answer.outcome {
                Outcome::Error(error) => Some(classify::of_error(&error, 200, None).class),
                Outcome::Result(_) => None,
            }
        });
    });
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":"{}"}}"#,
        "0".repeat(60_000)
    );
    group.bench_function("read a result of 60 kB", |bench| {
        bench.iter(|| Answer::read(black_box(long.as_bytes()), UpstreamCallId::FIRST).is_ok());
    });
    group.bench_function("put the caller's id in", |bench| {
        let Ok(answer) = Answer::read(result.as_bytes(), UpstreamCallId::FIRST) else {
            return;
        };
        let room = || Vec::with_capacity(256);
        let write = |mut out| answer.write_to(black_box("1700000000000"), &mut out);
        bench.iter_batched(room, write, BatchSize::SmallInput);
    });
}

criterion_group!(benches, envelope, plan, selection, answers);
criterion_main!(benches);

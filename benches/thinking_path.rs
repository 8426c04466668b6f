//! The pure way of a call, so many times as the argument says, over so many nodes: taken apart, planned, a node drawn,
//! written for the node, its answer judged, the caller's id put in. `./dev budget` counts its
//! instructions and allocations.

mod scene;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use forebay::clock;
use forebay_core::call::plan;
use forebay_core::fleet::requirements::{NodeQuery, NodeRequirements};
use forebay_core::fleet::view::FleetView;
use forebay_core::vocabulary::tier::Tier;

use forebay_core::method::MethodRules;
use forebay_core::rpc::answer::Answer;
use forebay_core::rpc::envelope::{RequestItem, RpcRequest, UpstreamCallId};
use forebay_core::vocabulary::chance::SeededDice;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Unless told otherwise: as many as a fleet of middling size has.
const NODES: u32 = 8;

fn main() -> ExitCode {
    let argument = |at| std::env::args().nth(at);
    let calls = argument(1).and_then(|calls| calls.parse().ok());
    let nodes = argument(2).map_or(Ok(NODES), |nodes| nodes.parse());
    let (Some(calls), Ok(nodes)) = (calls, nodes) else {
        eprintln!("thinking-path CALLS [NODES]");
        return ExitCode::FAILURE;
    };
    let now = clock::now();
    let scene = Scene {
        view: scene::fleet(nodes, now),
        rules: scene::rules(),
        now,
    };
    let (body, reply) = (scene::eth_call(1_700_000_000_000), scene::answer());
    let mut dice = SeededDice::new(7);
    let answered = (0..calls).filter(|_: &u64| {
        let answer = answer(black_box(&body), black_box(&reply), &scene, &mut dice);
        answer.is_some_and(|answer| !black_box(answer).is_empty())
    });
    if answered.count() as u64 == calls {
        ExitCode::SUCCESS
    } else {
        eprintln!("a call found no answer");
        ExitCode::FAILURE
    }
}

struct Scene {
    view: FleetView,
    rules: MethodRules,
    now: Instant,
}

fn answer(body: &str, reply: &str, scene: &Scene, dice: &mut SeededDice) -> Option<Vec<u8>> {
    let Scene { view, rules, now } = scene;
    let Ok(RpcRequest::Single(RequestItem::Call(call))) = RpcRequest::read(body.as_bytes(), 1000)
    else {
        return None;
    };
    let pins = scene::pins(view);
    let planned = plan::plan(&call, &scene::by(view, rules, &pins));
    let plan = planned.plan.forward()?;
    let needs = NodeRequirements {
        block: plan.block,
        method: &call.method,
        ..NodeRequirements::default()
    };
    view.draw(&NodeQuery::new(&[Tier::Own], &[], needs), *now, dice)?;
    black_box(plan.body(&call));
    let answer = Answer::read(reply.as_bytes(), UpstreamCallId::FIRST).ok()?;
    let mut out = Vec::new();
    answer.write_to(call.id?, &mut out);
    Some(out)
}

//! What the pure parts are measured on: a fleet with so many fit nodes, and calls to it.

use std::time::{Duration, Instant};

use forebay_core::call::plan::PlanContext;
use forebay_core::call::tag_pins;
use forebay_core::fleet::FleetMember;
use forebay_core::fleet::view::FleetView;
use forebay_core::method::MethodRules;
use forebay_core::method::block::{Consistency, TagPins};
use forebay_core::testing::{self, NoMemory};
use forebay_core::vocabulary::client::Client;
use forebay_core::vocabulary::node::{NodeId, Role, Weight};

/// Calls under way at each node.
const IN_FLIGHT: u32 = 50;

/// The last word of the data of [`eth_call`], and so its answer.
const WORD: &str = "000000000000000000000000f977814e90da44bfa03b6295a0616a897441acec";

/// About 240 bytes, as wallets send them.
pub(crate) fn eth_call(id: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_call","params":[{{"to":"0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48","data":"0x70a08231{WORD}"}},"latest"]}}"#
    )
}

/// Its answer as a node sends it, with our id.
pub(crate) fn answer() -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":"0x{WORD}"}}"#)
}

pub(crate) fn rules() -> MethodRules {
    MethodRules::new(Vec::new(), Vec::new(), Vec::new())
}

pub(crate) fn pins(view: &FleetView) -> TagPins {
    tag_pins::of(view, Consistency::Monotonic, None)
}

/// A leader and so many fit nodes of different weights, each with 50 calls under way.
pub(crate) fn fleet(nodes: u32, now: Instant) -> FleetView {
    let member = |at: u32| FleetMember {
        role: if at == 0 { Role::Leader } else { Role::Own },
        weight: Weight::new(u64::from(at % 4 + 1)).unwrap_or(Weight::ONE),
        ..testing::member(at)
    };
    let mut fleet = testing::fleet_of((0..=nodes).map(member), now);
    let head = |at: u32| testing::at(21_000_000 - u64::from(at % 3));
    let probes: Vec<_> = (0..=nodes).map(|at| (NodeId(at), head(at))).collect();
    fleet.hear_round(&probes, now);
    let view = fleet.view();
    for node in &view.nodes {
        // It takes more: to wait for a place is another story.
        node.load.limiter.fix(Some(2 * IN_FLIGHT), now);
        (0..IN_FLIGHT).for_each(|_| node.load.begin());
        node.load.answered(1, Duration::from_millis(3), now);
    }
    view
}

/// What a call is planned by before which there was none.
pub(crate) fn by<'a>(
    view: &'a FleetView,
    rules: &'a MethodRules,
    pins: &'a TagPins,
) -> PlanContext<'a, NoMemory> {
    PlanContext {
        view,
        rules,
        pins,
        fails_open: true,
        client: Client::Unknown,
        has_socket: false,
        cache: None,
        wants_fresh: false,
        memory: &NoMemory,
    }
}

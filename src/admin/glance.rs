//! A chain at a glance: what is said of it as a whole, and how it stands among the others.

use std::time::Instant;

use serde::Serialize;

use crate::admin::chains::AdminChain;
use crate::client::health::{self, HealthAnswer};
use crate::shared::fleet_state::FleetState;
use forebay_core::fleet::degradation::{AlertLevel, troubles};
use forebay_core::fleet::failure_rate::FailureShare;
use forebay_core::fleet::view::FleetView;
use forebay_core::vocabulary::node::Role;

/// The moment of a look.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatusTime {
    pub now: Instant,
    /// Milliseconds since 1970.
    pub at: u64,
}

/// What is said of a chain as a whole.
pub(super) struct ChainVerdict {
    pub said: HealthAnswer,
    pub troubles: Vec<String>,
    /// Of the calls of late that failed.
    pub share: Option<FailureShare>,
}

pub(super) fn verdict(
    fleet: &FleetState,
    view: &FleetView,
    is_closing: bool,
    now: Instant,
) -> ChainVerdict {
    let failing = fleet.failing.too_many(now);
    let share = fleet.failing.share(now);
    let troubles = match view.rounds {
        0 => Vec::new(),
        _ => troubles(view, share, fleet.list_from.is().trouble(), now),
    };
    ChainVerdict {
        said: health::say(view, fleet.list_from.is(), failing, is_closing),
        troubles,
        share,
    }
}

/// One chain among others.
#[derive(Debug, Serialize)]
pub(super) struct ChainGlance {
    name: String,
    id: Option<u64>,
    /// As `GET /health` says it.
    status: &'static str,
    level: AlertLevel,
    /// What isn't as it should be, each as a sentence without its end.
    troubles: Vec<String>,
    served_head: Option<u64>,
    /// Own nodes, and those of them that are fit and have a weight.
    own: usize,
    serving: usize,
    calls: u32,
    /// 0 to 1; none without calls.
    failed_share: Option<f64>,
}

/// A chain as of `moment`, in few words.
pub(super) fn glance(chain: &AdminChain, is_closing: bool, moment: StatusTime) -> ChainGlance {
    let fleet = &chain.state.fleet;
    let view = &fleet.snapshot().view;
    let verdict = verdict(fleet, view, is_closing, moment.now);
    let own = || view.nodes.iter().filter(|node| node.role == Role::Own);
    ChainGlance {
        name: chain.name().to_string(),
        id: view.chain_id.map(|id| id.0),
        status: verdict.said.word,
        level: AlertLevel::of(verdict.said.word, &verdict.troubles),
        troubles: verdict.troubles,
        served_head: view.served_head.map(|head| head.0),
        own: own().count(),
        serving: own().filter(|node| node.serves()).count(),
        calls: verdict.share.map_or(0, |share| share.calls),
        failed_share: verdict.share.map(failed_share),
    }
}

/// 0 to 1, to a hundredth of a percent.
pub(super) fn failed_share(share: FailureShare) -> f64 {
    let rate = f64::from(share.failed) / f64::from(share.calls.max(1));
    (rate * 10_000.0).round() / 10_000.0
}

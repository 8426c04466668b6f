//! How long an attempt waits for its node.

use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::call::attempt::AttemptSpec;
use crate::call::timer;
use crate::clock;
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::Upstream;
use forebay_core::fleet::node_view::NodeView;

/// How often a waiting attempt looks whether its node is still fit.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A node from which nothing was heard since an attempt began, be it a probe's answer, is asked for a
/// sign of life after the first time, and left after the second.
const DOUBTED_AFTER: Duration = Duration::from_millis(2500);
const LEFT_AFTER: Duration = Duration::from_secs(5);

/// Waits for `exchange` until its time is over or, if it may move, its node has fallen out while another
/// is fit, or gives no sign of life.
pub async fn in_time<T>(
    fleet: &FleetState,
    (upstream, node): (&Upstream, &NodeView),
    wanted: &AttemptSpec<'_>,
    began_at: Instant,
    mut exchange: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let watches = wanted.may_move && node.standing.is_healthy();
    let mut timer = timer::lend();
    let mut look_at = began_at + LOOK_EVERY;
    let mut is_doubted = false;
    loop {
        let until = if watches {
            wanted.until.min(look_at)
        } else {
            wanted.until
        };
        if let Ok(done) = timer.until(until, exchange.as_mut()).await {
            return Some(done);
        }
        if until == wanted.until || !fleet.snapshot().view.is_waited_for(upstream.id) {
            return None;
        }
        let now = clock::now();
        look_at = now + LOOK_EVERY;
        let waited = now.saturating_duration_since(began_at);
        if waited < DOUBTED_AFTER || node.load.conduct.was_heard_since(began_at) {
            continue;
        }
        if waited >= LEFT_AFTER {
            return None;
        }
        if !std::mem::replace(&mut is_doubted, true) {
            fleet.hurry();
        }
    }
}

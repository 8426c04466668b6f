//! How long an attempt waits for its node: as the core's [`Patience`] says.

use std::pin::Pin;
use std::time::Instant;

use crate::call::timer;
use crate::clock;
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::Upstream;
use forebay_core::call::patience::{Patience, PatienceStep};
use forebay_core::fleet::node_view::NodeView;

/// Waits for `exchange`, an attempt that began at `began_at`, until its time is over or, if it `may_move`, its node has
/// fallen out while another is fit, or gives no sign of life.
pub async fn in_time<T>(
    fleet: &FleetState,
    (upstream, node): (&Upstream, &NodeView),
    (began_at, until): (Instant, Instant),
    may_move: bool,
    mut exchange: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let looks = may_move && node.standing.is_healthy();
    let mut patience = Patience::new(began_at, until, looks);
    let mut timer = timer::lend();
    loop {
        if let Ok(done) = timer.until(patience.until(), exchange.as_mut()).await {
            return Some(done);
        }
        let is_waited_for = || fleet.snapshot().view.is_waited_for(upstream.id);
        let was_heard = || node.load.conduct.was_heard_since(began_at);
        match patience.look(is_waited_for, was_heard, clock::now()) {
            PatienceStep::Wait => {}
            PatienceStep::Probe => fleet.hurry(),
            PatienceStep::Leave => return None,
        }
    }
}

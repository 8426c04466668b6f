//! Asks all nodes for their heads, a round at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::background::pacing::CurrentSettings;
use crate::background::shared_leader::{LeaderStep, SharedHeads};
use crate::clock;
use crate::config::settings::Consistency;
use crate::node::probe::{ProbeReply, ProbeRequest, Prober};
use crate::observe::metrics::ChainMetrics;
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::Upstream;
use crate::shared::snapshot::Snapshot;
use forebay_core::feed::head_tracker::NodeHead;
use forebay_core::fleet::ProbeOutcome;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::standing::{HealthState, Reason};
use forebay_core::vocabulary::node::{NodeId, Role};

/// A node that is on the right chain is asked for its chain's id again this often.
const CHAIN_ID_EVERY: Duration = Duration::from_secs(180);

/// The rounds.
pub struct ProbeRounds {
    pub fleet: Arc<FleetState>,
    pub metrics: Arc<ChainMetrics>,
    pub prober: Prober,
    pub settings: CurrentSettings,
    pub asked: HashMap<NodeId, ProbeHistory>,
    /// Where one balancer asks the leader for all.
    pub shared: Option<Arc<SharedHeads>>,
    /// To the task that tells clients of heads.
    pub heads: mpsc::Sender<NodeHead>,
}

/// When a node was last asked for what.
#[derive(Clone, Copy, Debug)]
pub struct ProbeHistory {
    at: Instant,
    chain_id_at: Option<Instant>,
}

impl ProbeRounds {
    /// One round: asks every node that is due, and tells the fleet.
    pub async fn run(&mut self) {
        self.fleet.begin_round();
        let snapshot = self.fleet.snapshot();
        let now = clock::now();
        let mut due: Vec<_> = snapshot
            .view
            .nodes
            .iter()
            .filter(|node| self.is_due(node, now))
            .filter_map(|node| Some((snapshot.upstream(node.id)?, self.ask_of(node, now))))
            .collect();
        let borrowed = self.borrow(&mut due, now);
        let timeout = self.settings.say(|settings| settings.health.timeout);
        let asking = due.iter().map(|(upstream, ask)| async {
            let probed = self.prober.probe(&upstream.spec, *ask, timeout).await;
            (upstream.id, probed)
        });
        let probed = futures_util::future::join_all(asking).await;
        for ((upstream, ask), (_, probed)) in due.iter().zip(&probed) {
            self.take_down(upstream, *ask, probed, now);
            if let Some(header) = &probed.header {
                let head = NodeHead {
                    id: upstream.id,
                    header: header.clone(),
                    as_of: now,
                };
                // Where there is no room, the next round brings it.
                drop(self.heads.try_send(head));
            }
        }
        let (probes, details): (Vec<_>, Vec<_>) = probed
            .into_iter()
            .map(|(id, probed)| ((id, probed.probe), (id, probed.details)))
            .unzip();
        let probes: Vec<_> = probes.into_iter().chain(borrowed).collect();
        self.fleet.hear_round(&probes, &details).await;
        self.asked.retain(|id, _| snapshot.view.node(*id).is_some());
        self.show();
    }

    /// Takes those from `due` that another balancer has asked, and gives what they answered it.
    fn borrow(
        &self,
        due: &mut Vec<(&Arc<Upstream>, ProbeRequest)>,
        now: Instant,
    ) -> Vec<(NodeId, ProbeOutcome)> {
        let Some(shared) = &self.shared else {
            return Vec::new();
        };
        let mut borrowed = Vec::new();
        due.retain(|(upstream, _)| match shared.way(&upstream.spec, now) {
            LeaderStep::Ask => true,
            LeaderStep::Leave => false,
            LeaderStep::Hear(probe) => {
                borrowed.push((upstream.id, probe));
                false
            }
        });
        borrowed
    }

    /// A leader has its own interval, and a node that asked for rest has it.
    fn is_due(&self, node: &NodeView, now: Instant) -> bool {
        if node.standing.rests(now) {
            return false;
        }
        let since = self
            .asked
            .get(&node.id)
            .map(|asked| now.saturating_duration_since(asked.at));
        // Rounds come with jitter: a tenth early is in time.
        let interval = self.settings.say(|it| it.health.leader_interval);
        let is_early = since.is_some_and(|since| since < interval.mul_f64(0.85));
        let is_spared = node.role == Role::Leader && is_early;
        !is_spared || node.standing.state == HealthState::Unproven
    }

    fn ask_of(&self, node: &NodeView, now: Instant) -> ProbeRequest {
        let asked = self.asked.get(&node.id).and_then(|asked| asked.chain_id_at);
        let is_fresh = asked.is_some_and(|at| now.saturating_duration_since(at) < CHAIN_ID_EVERY);
        let is_astray = node.standing.state == HealthState::Out(Reason::WrongChain);
        ProbeRequest {
            chain_id: !is_fresh || is_astray,
            tags: node.extras.tags
                && self
                    .settings
                    .say(|settings| settings.consistency != Consistency::None),
            passes_over_syncing: !self.settings.say(|settings| settings.health.heeds_syncing),
            extras: node.extras,
        }
    }

    fn take_down(
        &mut self,
        upstream: &Arc<Upstream>,
        ask: ProbeRequest,
        probed: &ProbeReply,
        now: Instant,
    ) {
        let known = self
            .asked
            .get(&upstream.id)
            .and_then(|asked| asked.chain_id_at);
        let chain_id_at = if ask.chain_id && knows_chain_id(&probed.probe) {
            Some(now)
        } else {
            known
        };
        self.asked.insert(
            upstream.id,
            ProbeHistory {
                at: now,
                chain_id_at,
            },
        );
        upstream.metrics.probed(probed.took);
        if let Some(shared) = &self.shared {
            shared.tell(&upstream.spec, &probed.probe);
        }
        let Some(probe_failure) = &probed.details.probe_failure else {
            return;
        };
        let failure = match probed.probe {
            ProbeOutcome::Throttled(_) => Reason::Throttled,
            ProbeOutcome::Answered { .. } | ProbeOutcome::Failed => probe_failure.reason,
        };
        upstream.metrics.probe_failed(failure);
        log::debug!("probing {}: {}", upstream.spec.name, probe_failure.words);
    }

    fn show(&self) {
        let snapshot: Arc<Snapshot> = self.fleet.snapshot();
        let now = clock::now();
        self.metrics
            .show_fleet(&snapshot.view, now, clock::unix_millis() / 1000);
        let traffic = || self.metrics.traffic();
        self.fleet.journal.hear_traffic(traffic, now);
    }
}

fn knows_chain_id(probe: &ProbeOutcome) -> bool {
    matches!(
        probe,
        ProbeOutcome::Answered {
            chain_id: Some(_),
            ..
        }
    )
}

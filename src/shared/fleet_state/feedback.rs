//! What calls teach of a node: that it fails, wants to be left alone, or lacks something.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::observe::access_log::shown_method;
use crate::observe::logs;
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::Upstream;
use forebay_core::fleet::conduct::Penalty;
use forebay_core::fleet::depth::Gap;
use forebay_core::fleet::node_limits::QuerySize;
use forebay_core::fleet::node_view::NodeView;
use forebay_core::fleet::view::FleetView;
use forebay_core::rpc::classify::Rejection;
use forebay_core::vocabulary::block_ref::BlockRange;
use forebay_core::vocabulary::node::NodeId;

impl FleetState {
    /// Carries out what a node's faults come to.
    pub async fn sentence(&self, id: NodeId, sentence: Penalty, method: &str) {
        match sentence {
            Penalty::Bench => self.bench(id).await,
            Penalty::RestMethod => {
                let snapshot = self.present.load();
                if let Some(node) = snapshot.view.node(id) {
                    node.rest_failing(method, clock::now());
                    let (name, method) = (&node.name, shown_method(method));
                    logs::of_chain(&self.chain, || {
                        log::warn!("node {name} fails at {method} alone, which is asked of others");
                    });
                }
            }
        }
    }

    /// A node took no connection, or its socket broke.
    pub fn doubt_depth(&self, id: NodeId) {
        self.alter(|fleet| fleet.doubt_depth(id, clock::now()));
    }

    /// An answer of node `id` is of another branch than clients were told.
    pub fn see_astray(&self, id: NodeId) {
        let view = &self.present.load().view;
        if view.node(id).is_some_and(|node| !node.was_seen_astray) {
            self.alter(|fleet| fleet.see_astray(id));
        }
        self.hurry();
    }

    /// A node has failed calls time after time.
    pub async fn bench(&self, id: NodeId) {
        self.change(|fleet| fleet.bench(id, clock::now())).await;
    }

    /// A node asked to be left alone; `shut`: as it lets no call in.
    pub async fn throttle(&self, id: NodeId, rest: Option<Duration>, shut: Option<Rejection>) {
        let rests = |node: &NodeView| node.standing.rests(clock::now());
        if self.present.load().view.node(id).is_none_or(rests) {
            return;
        }
        self.change(|fleet| {
            fleet.throttle(id, rest, clock::now());
            if let Some(why) = shut {
                fleet.shut(id, why);
            }
            Vec::new()
        })
        .await;
    }

    /// A node said that it has no such method.
    pub fn learn_lack(&self, id: NodeId, method: &str) {
        let now = clock::now();
        let snapshot = self.present.load();
        let node = snapshot.view.node(id);
        if let Some(node) = node.filter(|node| !node.lacks(method, now)) {
            node.unsupported.learn(method, now);
        }
    }

    /// The nodes that are known to refuse a call that asks for so much.
    pub fn limited_for(&self, method: &str, asked: &QuerySize) -> Vec<NodeId> {
        let now = clock::now();
        let snapshot = self.present.load();
        let nodes = snapshot.view.nodes.iter();
        let limited = nodes.filter(|node| node.limits.refuses(method, asked, now));
        limited.map(|node| node.id).collect()
    }

    /// A node takes no more calls of this method for so long.
    pub fn rest_method(&self, id: NodeId, method: &str, rest: Option<Duration>) {
        if let Some(node) = self.present.load().view.node(id) {
            node.unsupported.rest(method, rest, clock::now());
        }
    }

    /// A call met something missing on a node.
    pub fn learn_depth(&self, id: NodeId, gap: Gap) {
        let need = BlockRange {
            from: gap.block,
            to: gap.block,
            reads: gap.reads,
        };
        let has_it = |node: &NodeView| node.meets(need);
        if self.present.load().view.node(id).is_some_and(has_it) {
            self.alter(|fleet| fleet.learn_depth(id, gap, clock::now()));
        }
    }
}

/// Holds nodes to the calls in flight that their operator has fixed, or lets them be found.
pub(super) fn fix_limits(view: &FleetView, upstreams: &[Arc<Upstream>], now: Instant) {
    for upstream in upstreams {
        if let Some(node) = view.node(upstream.id) {
            let most = upstream.spec.in_flight_max.number();
            node.load.limiter.fix(most, now);
        }
    }
}

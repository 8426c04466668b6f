//! Places at nodes: a call takes one before it is sent, waits for one where there is none, and is
//! turned away where that would take too long.
//!
//! A call that gives a place back hands it to the next one in the line: newcomers don't overtake. Where
//! no call waits, none of this takes a lock.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::clock;
use crate::shared::node_clients::Upstream;
use crate::shared::place_queue::{GrantedPlace, PlaceQueue, PlaceQueueGuard, PlaceRequest};
use forebay_core::fleet::load::Load;
use forebay_core::fleet::overload;
use forebay_core::vocabulary::client::Client;

/// A node that a call may be sent to.
#[derive(Clone)]
pub struct NodeCandidate {
    pub upstream: Arc<Upstream>,
    pub load: Arc<Load>,
}

/// Why a call got no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// None came free in time.
    Full,
    /// It isn't worth waiting for one any more.
    Gone,
}

/// A place at a node; given back when dropped.
pub struct NodePlace {
    pub upstream: Arc<Upstream>,
    pub load: Arc<Load>,
    /// How many were taken with it.
    pub number: u32,
}

impl NodePlace {
    /// A place whether there is one or not, for what is never turned away.
    pub fn always(upstream: &Arc<Upstream>, load: &Arc<Load>) -> NodePlace {
        NodePlace {
            number: load.limiter.begin(),
            upstream: upstream.clone(),
            load: load.clone(),
        }
    }
}

impl Drop for NodePlace {
    fn drop(&mut self) {
        self.load.limiter.end();
        let places = &self.upstream.places;
        if places.has_waiting() {
            places.let_in(&self.load);
        }
    }
}

impl PlaceQueue {
    /// A place at a node if it has one and no call waits.
    pub fn at_once(&self, upstream: &Arc<Upstream>, load: &Arc<Load>) -> Option<NodePlace> {
        if self.has_waiting() {
            return None;
        }
        let number = load.limiter.try_begin()?;
        Some(NodePlace {
            upstream: upstream.clone(),
            load: load.clone(),
            number,
        })
    }

    /// A place at one of `nodes`, waited for until `deadline` at most, as long as it `is_worth` it. Where it
    /// isn't from the start there is no other node: the call is sent and finds out, unless their limits are fixed.
    ///
    /// # Errors
    /// None came free in time, or none is worth waiting for.
    pub async fn wait(
        self: &Arc<Self>,
        client: Client,
        nodes: &[NodeCandidate],
        deadline: Instant,
        is_worth: impl Fn() -> bool,
    ) -> Result<NodePlace, Missed> {
        let is_strict = nodes
            .iter()
            .all(|candidate| candidate.upstream.spec.in_flight_max.number().is_some());
        let was_worth = is_worth();
        let first = nodes.first().filter(|_| !was_worth && !is_strict);
        if let Some(first) = first {
            return Ok(NodePlace::always(&first.upstream, &first.load));
        }
        let (say, mut hear) = oneshot::channel();
        let caller = self.caller(client);
        let waiting = PlaceRequest {
            loads: nodes
                .iter()
                .map(|candidate| candidate.load.clone())
                .collect(),
            say,
        };
        let ticket = self.join(caller, is_strict, waiting);
        let leaves = PlaceQueueGuard {
            places: self,
            ticket,
        };
        for candidate in nodes {
            self.let_in(&candidate.load);
        }
        let place = loop {
            let Some(look) = self.patience(ticket, deadline) else {
                drop(leaves);
                // It may have been let in just now.
                let granted = hear.try_recv().ok();
                let place = granted.and_then(|granted| taken_at(granted, nodes));
                break place.or_else(|| at_silent(nodes, is_strict));
            };
            match timeout_at(look.into(), &mut hear).await {
                Ok(Ok(granted)) => break taken_at(granted, nodes),
                // Pushed out of a line that was full, or stands.
                Ok(Err(_)) => break None,
                Err(_) if !was_worth || is_worth() => {}
                Err(_) => {
                    drop(leaves);
                    self.forget();
                    return Err(Missed::Gone);
                }
            }
        };
        if place.is_none() {
            self.turned_away();
        }
        place.ok_or(Missed::Full)
    }
}

/// The place that was granted, which is at one of `nodes`.
fn taken_at(mut granted: GrantedPlace, nodes: &[NodeCandidate]) -> Option<NodePlace> {
    let is_it = |candidate: &&NodeCandidate| Arc::ptr_eq(&candidate.load, &granted.load);
    let candidate = nodes.iter().find(is_it)?.clone();
    Some(NodePlace {
        upstream: candidate.upstream,
        load: candidate.load,
        number: granted.number.take()?,
    })
}

/// A place at a node that answers no call: it isn't overloaded but broken, and the call that asks it is
/// the one to find out.
fn at_silent(nodes: &[NodeCandidate], is_strict: bool) -> Option<NodePlace> {
    let now = clock::now();
    let first = nodes.first()?;
    let answers = |candidate: &NodeCandidate| overload::answers(&candidate.load.conduct, now);
    let are_silent = !is_strict && !nodes.iter().any(answers);
    are_silent.then(|| NodePlace::always(&first.upstream, &first.load))
}

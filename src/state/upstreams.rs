//! The nodes as calls reach them: each one's description, its link and its metric handles.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::fleet::Member;
use crate::domain::node::{NodeId, NodeSpec};
use crate::telemetry::metrics::{Metrics, NodeMetrics};
use crate::upstream::connector::Connector;
use crate::upstream::link::Link;

/// One node, ready to be asked.
pub struct Upstream {
    pub id: NodeId,
    pub spec: NodeSpec,
    pub link: Link,
    pub metrics: NodeMetrics,
}

/// All of them, in the order of the list.
pub type Upstreams = Arc<Vec<Arc<Upstream>>>;

/// Gives each identity its id once, and builds what calls need of a node.
pub struct Roll {
    connector: Arc<Connector>,
    metrics: Arc<Metrics>,
    idle_max: usize,
    ids: HashMap<String, NodeId>,
}

impl Roll {
    /// `idle_max`: connections kept open to a node between calls.
    pub fn new(connector: Arc<Connector>, metrics: Arc<Metrics>, idle_max: usize) -> Roll {
        Roll { connector, metrics, idle_max, ids: HashMap::new() }
    }

    /// The upstreams for `specs`, those of `present` that did not change among them.
    pub fn call(&mut self, specs: Vec<NodeSpec>, present: &[Arc<Upstream>]) -> Upstreams {
        let upstreams = specs.into_iter().map(|spec| {
            let id = self.id_of(&spec);
            let same_way = |upstream: &&Arc<Upstream>| {
                upstream.id == id && upstream.spec == spec
            };
            match present.iter().find(same_way) {
                Some(upstream) => upstream.clone(),
                None => Arc::new(self.open(id, spec)),
            }
        });
        Arc::new(upstreams.collect())
    }

    fn open(&self, id: NodeId, spec: NodeSpec) -> Upstream {
        Upstream {
            id,
            link: Link::new(&spec, self.connector.clone(), self.idle_max),
            metrics: self.metrics.node(&spec.name),
            spec,
        }
    }

    fn id_of(&mut self, spec: &NodeSpec) -> NodeId {
        let next = NodeId(u32::try_from(self.ids.len()).unwrap_or(u32::MAX));
        *self.ids.entry(spec.url.identity()).or_insert(next)
    }
}

impl Upstream {
    pub fn member(&self) -> Member {
        Member {
            id: self.id,
            name: self.spec.name.clone(),
            rung: self.spec.rung,
            weight: self.spec.weight,
        }
    }
}

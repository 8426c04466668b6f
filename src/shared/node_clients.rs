//! The nodes as calls reach them: each one's description, its link and its metric handles.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock;
use crate::node::client::NodeClient;
use crate::node::connector::Connector;
use crate::observe::logs;
use crate::observe::metrics::{ChainMetrics, NodeMetrics};
use crate::shared::place_queue::PlaceQueue;
use forebay_core::fleet::FleetMember;
use forebay_core::rpc::batch::BatchSupport;
use forebay_core::rpc::classify::{Meaning, Verdict};
use forebay_core::rpc::whole_answer::WholeAnswer;
use forebay_core::vocabulary::node::{NodeId, NodeSpec};

/// One node, ready to be asked.
pub struct Upstream {
    pub id: NodeId,
    pub spec: NodeSpec,
    pub link: Arc<NodeClient>,
    pub metrics: NodeMetrics,
    /// Whether it is sent batches.
    pub batch_support: Arc<BatchSupport>,
    /// Where calls wait for it.
    pub places: Arc<PlaceQueue>,
    /// What no client may see: the parts of the URL after its host, and the headers' values.
    secrets: Vec<String>,
}

impl Upstream {
    /// It gets no batches for a while.
    pub fn refuse_batches(&self, lasts: Duration) {
        if self.batch_support.refuse(lasts, clock::now()) {
            let (name, seconds) = (&self.spec.name, lasts.as_secs());
            logs::of_chain(self.metrics.chain(), || {
                log::info!(
                    "node {name} did not take a batch: it gets calls one by one for {seconds} s"
                );
            });
        }
    }
}

/// A shorter text is an ordinary word, and would be found by accident.
const SECRET_BYTES_MIN: usize = 16;

/// All of them, in the order of the list.
pub type Upstreams = Arc<Vec<Arc<Upstream>>>;

/// Gives each identity its id once, and builds what calls need of a node.
pub struct ClientFactory {
    connector: Arc<Connector>,
    metrics: Arc<ChainMetrics>,
    idle_max: usize,
    places: Arc<PlaceQueue>,
    ids: HashMap<String, NodeId>,
}

impl ClientFactory {
    /// `places`: where calls wait for them; `idle_max`: connections kept open to a node between calls.
    pub fn new(
        connector: Arc<Connector>,
        metrics: Arc<ChainMetrics>,
        places: Arc<PlaceQueue>,
        idle_max: usize,
    ) -> ClientFactory {
        ClientFactory {
            connector,
            metrics,
            idle_max,
            places,
            ids: HashMap::new(),
        }
    }

    /// The upstreams for `specs`, those of `present` that did not change among them.
    pub fn call(&mut self, specs: Vec<NodeSpec>, present: &[Arc<Upstream>]) -> Upstreams {
        let upstreams = specs.into_iter().map(|spec| {
            let id = self.id_of(&spec);
            match present.iter().find(|upstream| upstream.id == id) {
                Some(upstream) if upstream.spec == spec => upstream.clone(),
                old => Arc::new(self.open(id, spec, old)),
            }
        });
        Arc::new(upstreams.collect())
    }

    /// A changed weight or name leaves the connections as they are.
    fn open(&self, id: NodeId, spec: NodeSpec, old: Option<&Arc<Upstream>>) -> Upstream {
        let same_way = |old: &&Arc<Upstream>| {
            old.spec.url.reveal() == spec.url.reveal() && old.spec.headers == spec.headers
        };
        let (link, batch_support) = match old.filter(same_way) {
            Some(old) => (old.link.clone(), old.batch_support.clone()),
            None => {
                let link = NodeClient::new(&spec, self.connector.clone(), self.idle_max);
                (Arc::new(link), Arc::new(BatchSupport::new(clock::now())))
            }
        };
        Upstream {
            id,
            link,
            batch_support,
            places: self.places.clone(),
            metrics: self.metrics.node(&spec.name),
            secrets: secrets_of(&spec),
            spec,
        }
    }

    fn id_of(&mut self, spec: &NodeSpec) -> NodeId {
        let next = NodeId(u32::try_from(self.ids.len()).unwrap_or(u32::MAX));
        *self.ids.entry(spec.url.identity()).or_insert(next)
    }
}

fn secrets_of(spec: &NodeSpec) -> Vec<String> {
    let url = spec.url.reveal();
    let path = url.path().split('/').map(str::to_string);
    let query = url.query_pairs().map(|(_, value)| value.into_owned());
    let headers = spec.headers.iter().flat_map(|(_, value)| {
        // `Bearer KEY`: the key alone is as secret.
        value
            .reveal()
            .split(' ')
            .map(str::to_string)
            .collect::<Vec<_>>()
    });
    let long = |text: &String| text.len() >= SECRET_BYTES_MIN;
    path.chain(query).chain(headers).filter(long).collect()
}

fn redacted(secrets: &[String], text: Bytes) -> Bytes {
    let mut clean = None;
    for secret in secrets {
        for at in memchr::memmem::find_iter(&text, secret.as_bytes()) {
            let clean = clean.get_or_insert_with(|| text.to_vec());
            clean[at..at + secret.len()].fill(b'*');
        }
    }
    clean.map_or(text, Bytes::from)
}

impl Upstream {
    /// `text`, a node's own words, with `*` wherever they quote one of its credentials.
    pub fn redacted(&self, text: Bytes) -> Bytes {
        redacted(&self.secrets, text)
    }

    /// The node's error without what no client may see: its credentials, and URLs beside those of the call's `params`.
    pub fn masked(&self, error: WholeAnswer, verdict: Verdict, params: &str) -> WholeAnswer {
        let error = error.masked(|bytes| self.redacted(bytes));
        match verdict.meaning {
            // All of it is a contract's, or the EVM's.
            Some(Meaning::Execution) => error,
            Some(_) | None => error.without_urls(params),
        }
    }

    pub fn member(&self) -> FleetMember {
        FleetMember {
            id: self.id,
            name: self.spec.name.clone(),
            role: self.spec.role,
            weight: self.spec.weight,
            purpose: self.spec.purpose.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_core::vocabulary::node::NodeRecord;

    #[test]
    fn whatever_follows_the_host_and_a_headers_value_is_secret() {
        let mut record =
            NodeRecord::at("https://a.example/execution/0123456789abcdef?key=abcdefghijklmnop&x=y");
        record
            .headers
            .insert("authorization".into(), "Bearer tokentokentokentoken".into());
        let spec = record.resolve(&|_| None).unwrap();
        assert_eq!(
            secrets_of(&spec),
            [
                "0123456789abcdef",
                "abcdefghijklmnop",
                "tokentokentokentoken"
            ]
        );
        let said = Bytes::from_static(b"{\"m\":\"no key 0123456789abcdef at execution\"}");
        let clean = redacted(&secrets_of(&spec), said);
        assert_eq!(clean, "{\"m\":\"no key **************** at execution\"}");
    }
}

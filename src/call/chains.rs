//! The chains of the process, and which of them a request is for.
//!
//! With one chain that is found without a look at any name.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use futures_util::future::join_all;

use crate::call::context::CallState;
use crate::clock;
use crate::shared::fleet_state::ChainFleets;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::vocabulary::chain::{ChainName, default_place};
use forebay_core::wire::chain_path::{ChainKey, HOST_BYTES_MAX, host_name};

/// After so long the process is ready though a chain has not had its first round.
pub const READY_TIME_MAX: Duration = Duration::from_secs(10);
/// How often it is looked again whether it is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One chain, and how it is asked for.
#[derive(Clone)]
pub struct ServedChain {
    pub state: Arc<CallState>,
    /// The id of the configuration.
    pub id: Option<u64>,
    /// It answers at `/`.
    pub is_default: bool,
    /// By which its clients come: in lower case, without port.
    pub hosts: Vec<String>,
}

/// All chains at one moment.
pub struct ChainDirectory {
    chains: Vec<ServedChain>,
    /// There is one alone, without a name of its own.
    is_alone: bool,
    /// The chain that answers at `/`.
    root: Option<Arc<CallState>>,
    /// By name, and by id.
    by_word: HashMap<Box<str>, Arc<CallState>>,
    by_host: HashMap<Box<str>, Arc<CallState>>,
    /// How each is asked, for a caller that named none.
    paths: Arc<str>,
    /// Chains without which the process is no good.
    pub required: Vec<ChainName>,
}

impl ChainDirectory {
    /// One chain, that has no name.
    pub fn alone(chain: ServedChain) -> ChainDirectory {
        let id = chain.id.map(|id| id.to_string());
        ChainDirectory {
            is_alone: true,
            root: Some(chain.state.clone()),
            by_word: words(&chain.state, id),
            by_host: HashMap::new(),
            paths: "/".into(),
            required: Vec::new(),
            chains: vec![chain],
        }
    }

    /// Chains with names.
    pub fn new(chains: Vec<ServedChain>, required: Vec<ChainName>) -> ChainDirectory {
        let mut directory = ChainDirectory {
            is_alone: false,
            root: None,
            by_word: HashMap::new(),
            by_host: HashMap::new(),
            paths: "".into(),
            required,
            chains,
        };
        let mut paths = Vec::new();
        for chain in &directory.chains {
            let name = chain.state.fleet.chain.as_str();
            let id = chain.id.map(|id| id.to_string());
            paths.push(format!("/{name}"));
            let keys = id.into_iter().chain([name.to_string()]);
            directory.by_word.extend(words(&chain.state, keys));
            let hosts = chain.hosts.iter().cloned();
            directory.by_host.extend(words(&chain.state, hosts));
        }
        let say_so = directory.chains.iter().map(|chain| chain.is_default);
        let root = default_place(say_so).map(|at| directory.chains[at].state.clone());
        directory.root = root;
        paths.sort_unstable();
        directory.paths = paths.join(", ").into();
        directory
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<CallState>> {
        self.chains.iter().map(|chain| &chain.state)
    }

    /// The chain that answers at `/`, else the first.
    pub fn first(&self) -> Option<&Arc<CallState>> {
        self.root.as_ref().or_else(|| self.all().next())
    }

    pub fn is_alone(&self) -> bool {
        self.is_alone
    }

    pub fn named(&self, name: &str) -> Option<&Arc<CallState>> {
        self.all().find(|state| state.fleet.chain.as_str() == name)
    }

    /// How each is asked.
    pub fn paths(&self) -> &str {
        &self.paths
    }

    fn find(&self, key: &ChainKey, host: Option<&[u8]>) -> Result<&Arc<CallState>, Refusal> {
        let by_host = host.and_then(|host| self.at_host(host));
        match key {
            ChainKey::Root => by_host
                .or(self.root.as_ref())
                .ok_or_else(|| Refusal::ChainMissing {
                    paths: self.paths.clone(),
                }),
            ChainKey::Named(word) => {
                let unknown = || Refusal::ChainUnknown {
                    paths: self.paths.clone(),
                };
                let found = self.by_word.get(word.as_str()).ok_or_else(unknown)?;
                match by_host {
                    Some(other) if !Arc::ptr_eq(found, other) => Err(Refusal::ChainOfOtherHost {
                        host: other.fleet.chain.clone(),
                    }),
                    Some(_) | None => Ok(found),
                }
            }
        }
    }

    fn at_host(&self, host: &[u8]) -> Option<&Arc<CallState>> {
        let mut room = [0; HOST_BYTES_MAX];
        self.by_host.get(host_name(host, &mut room)?)
    }
}

fn words(
    state: &Arc<CallState>,
    keys: impl IntoIterator<Item = String>,
) -> HashMap<Box<str>, Arc<CallState>> {
    let keys = keys.into_iter();
    keys.map(|key| (key.into_boxed_str(), state.clone()))
        .collect()
}

/// The chains, as they come and go.
pub struct Chains {
    present: ArcSwap<ChainDirectory>,
    began_at: Instant,
    is_ready: AtomicBool,
}

impl Chains {
    pub fn new(directory: ChainDirectory) -> Chains {
        Chains {
            present: ArcSwap::from_pointee(directory),
            began_at: clock::now(),
            is_ready: AtomicBool::new(false),
        }
    }

    /// What is known of the nodes of each, of those that there are by then.
    pub fn fleets(self: Arc<Self>) -> ChainFleets {
        Box::new(move || self.now().all().map(|state| state.fleet.clone()).collect())
    }

    /// From now on there are these.
    pub fn change(&self, directory: ChainDirectory) {
        self.present.store(Arc::new(directory));
    }

    pub fn now(&self) -> Guard<Arc<ChainDirectory>> {
        self.present.load()
    }

    /// Whether a request's host may say which chain it is for.
    pub fn heed_hosts(&self) -> bool {
        !self.present.load().by_host.is_empty()
    }

    /// The chain that a request is for, by its path and its host, where hosts are heeded.
    ///
    /// # Errors
    /// There is no such chain.
    pub fn find(&self, key: &ChainKey, host: Option<&[u8]>) -> Result<Arc<CallState>, Refusal> {
        self.present.load().find(key, host).cloned()
    }

    /// Whether every chain has had its first round, or has had time enough for it. Once it is so, it stays
    /// so: what comes later takes the process from no client.
    pub fn are_ready(&self) -> bool {
        if self.is_ready.load(Ordering::Relaxed) {
            return true;
        }
        let present = self.present.load();
        let mut begun = present
            .all()
            .map(|state| state.fleet.snapshot().view.rounds > 0);
        let is_late = clock::now().saturating_duration_since(self.began_at) >= READY_TIME_MAX;
        // No client is served by a process that knows no node at all.
        let are_ready = match is_late {
            true => begun.any(|has_begun| has_begun),
            false => begun.all(|has_begun| has_begun),
        };
        self.is_ready.fetch_or(are_ready, Ordering::Relaxed);
        are_ready
    }

    /// Returns when they are.
    pub async fn until_ready(&self) {
        let all: Vec<_> = self.present.load().all().cloned().collect();
        let begun = all.iter().map(|state| state.fleet.begin(READY_TIME_MAX));
        join_all(begun).await;
        while !self.are_ready() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::fixtures::state_of;
    use forebay_core::wire::chain_path::{self, EndpointPath};

    fn served(name: &str, id: Option<u64>, is_default: bool, hosts: &[&str]) -> ServedChain {
        ServedChain {
            state: state_of(&name.parse().unwrap()),
            id,
            is_default,
            hosts: hosts.iter().map(ToString::to_string).collect(),
        }
    }

    fn found(directory: &ChainDirectory, path: &str, host: &str) -> Result<String, Refusal> {
        let EndpointPath::Calls(key) = chain_path::read(path) else {
            panic!("{path}");
        };
        let found = directory.find(&key, Some(host.as_bytes()));
        found.map(|state| state.fleet.chain.to_string())
    }

    #[test]
    fn a_chain_is_found_by_its_path_or_its_host_and_the_two_must_agree() {
        let chains = || {
            vec![
                served("ethereum", Some(1), false, &["eth.example"]),
                served("base", Some(8453), false, &[]),
            ]
        };
        let directory = ChainDirectory::new(chains(), vec![]);
        let at = |path, host| found(&directory, path, host);
        for (path, host, name) in [
            ("/base", "x", "base"),
            ("/rpc/8453", "x", "base"),
            ("/1", "x", "ethereum"),
            ("/", "ETH.example.:8545", "ethereum"),
            ("/ethereum", "eth.example", "ethereum"),
        ] {
            assert_eq!(at(path, host).as_deref(), Ok(name), "{path} {host}");
        }
        let missing = at("/", "x").unwrap_err();
        assert!(
            missing.sentence().contains("/base, /ethereum"),
            "{missing:?}"
        );
        assert_eq!(missing.status(), 200);
        let unknown = at("/optimism", "x").unwrap_err();
        assert!(
            unknown.sentence().contains("/base, /ethereum"),
            "{unknown:?}"
        );
        assert_eq!(unknown.status(), 404);
        let other = at("/base", "eth.example").unwrap_err();
        assert!(
            matches!(other, Refusal::ChainOfOtherHost { .. }),
            "{other:?}"
        );
    }

    #[test]
    fn the_root_is_the_default_or_the_only_one() {
        let two = vec![served("a", None, false, &[]), served("b", None, true, &[])];
        let directory = ChainDirectory::new(two, vec![]);
        assert_eq!(found(&directory, "/", "x").as_deref(), Ok("b"));
        let one = ChainDirectory::new(vec![served("a", None, false, &[])], vec![]);
        assert_eq!(found(&one, "/rpc", "x").as_deref(), Ok("a"));
        let alone = ChainDirectory::alone(served("main", Some(5), false, &[]));
        assert_eq!(found(&alone, "/", "x").as_deref(), Ok("main"));
        assert_eq!(found(&alone, "/5", "x").as_deref(), Ok("main"));
        assert!(
            found(&alone, "/main", "x").is_err(),
            "it has no path of its own"
        );
    }
}

//! How the balancer of the demo is set: two chains, of which the first is the default.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::cli::demo::fleet::{CHAIN_ID, DemoFleet, SECOND_ID};
use crate::config::settings::{
    CacheSettings, ChainSettings, HealthSettings, ListenSettings, NamedChain, RegistrySettings,
    Settings, ShutdownSettings,
};
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::vocabulary::node::NodeRecord;

/// What the chain is called to which nothing happens; its path.
pub(super) const SECOND: &str = "second";
const ROUND_EVERY: Duration = Duration::from_millis(250);
const PROBE_TIMEOUT: Duration = Duration::from_millis(200);

pub(super) fn of(
    address: SocketAddr,
    folder: &Path,
    fleet: &DemoFleet,
    block_time: Duration,
) -> Settings {
    let shared = shared(address, folder);
    let chains = [
        ("first", CHAIN_ID, fleet.records()),
        (SECOND, SECOND_ID, fleet.second_records()),
    ];
    let chains = chains.map(|chain| named(&shared, chain, block_time));
    Settings {
        chains: chains.into_iter().flatten().collect(),
        ..shared
    }
}

/// A chain, with what all share. Its name is one that may be.
fn named(
    shared: &Settings,
    (name, id, nodes): (&str, u64, Vec<NodeRecord>),
    block_time: Duration,
) -> Option<NamedChain> {
    let name: ChainName = name.parse().ok()?;
    Some(NamedChain {
        is_default: id == CHAIN_ID,
        name,
        hosts: Vec::new(),
        settings: Settings {
            chain: ChainSettings {
                id: Some(id),
                block_time,
            },
            nodes,
            ..shared.clone()
        },
    })
}

fn shared(address: SocketAddr, folder: &Path) -> Settings {
    Settings {
        listen: ListenSettings {
            http: vec![address],
            metrics: None,
            ..ListenSettings::default()
        },
        registry: RegistrySettings {
            path: folder.join("forebay.db"),
            last_list: folder.join("last-list.json"),
            ..RegistrySettings::default()
        },
        health: HealthSettings {
            interval: ROUND_EVERY,
            leader_interval: ROUND_EVERY,
            timeout: PROBE_TIMEOUT,
            ..HealthSettings::default()
        },
        // Each call is to show at a node.
        cache: CacheSettings {
            memory: Some(0),
            ..CacheSettings::default()
        },
        shutdown: ShutdownSettings {
            lame_duck: Duration::ZERO,
            ..ShutdownSettings::default()
        },
        ..Settings::default()
    }
}

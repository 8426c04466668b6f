//! What of the settings may change while the balancer runs, and where it goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pingora::server::configuration::ServerConf;

use super::registries::environment;
use crate::admin::{AdminAuth, AdminChain, AdminChains, CurrentAdminChains};
use crate::app::chain::{ChainFactory, RunningChain};
use crate::app::from_settings;
use crate::background::reload::ConfigReload;
use crate::call::chains::{ChainDirectory, Chains, ServedChain};
use crate::clock;
use crate::config::change::ServerKeys;
use crate::config::settings::{Settings, ShutdownSettings};
use crate::observe::spans::tracer;
use crate::shared::process_limits::Resource;
use forebay_core::vocabulary::chain::ChainName;

/// A configuration's file, as it was read at the start.
pub struct ConfigFile {
    path: PathBuf,
    bytes: Vec<u8>,
    server: ServerKeys,
}

impl ConfigFile {
    /// `server`: Pingora's own keys in `bytes`.
    pub fn new(path: &Path, bytes: Vec<u8>, server: &ServerConf) -> ConfigFile {
        ConfigFile {
            path: path.to_path_buf(),
            bytes,
            server: ServerKeys::of(server),
        }
    }

    /// The reload that follows it, and changes `live`.
    pub(super) fn followed(self, running: Settings, live: RuntimeConfig) -> ConfigReload {
        let (metrics, chains) = (live.factory.metrics.clone(), live.chains.clone());
        ConfigReload {
            path: self.path,
            environment: environment(),
            running,
            server: self.server,
            fleets: chains.fleets(),
            metrics,
            apply: Box::new(move |settings| live.apply(settings)),
            bytes: Some(self.bytes),
        }
    }
}

/// All that may change.
pub(super) struct RuntimeConfig {
    pub chains: Arc<Chains>,
    pub admin_chains: CurrentAdminChains,
    pub admin_auth: Arc<ArcSwap<AdminAuth>>,
    pub shutdown: Arc<ArcSwap<ShutdownSettings>>,
    pub factory: ChainFactory,
    running: Mutex<Vec<RunningChain>>,
}

impl RuntimeConfig {
    /// Puts the chains of `settings` together.
    pub(super) fn new(settings: &Settings, factory: ChainFactory) -> RuntimeConfig {
        let made = settings.all_chains().map(|(name, of_chain)| {
            let stored_as = settings.stored_as(&name);
            factory.make(&name, of_chain, stored_as)
        });
        let running: Vec<RunningChain> = made.collect();
        factory.metrics.config_read(clock::unix_millis() / 1000);
        let live = RuntimeConfig {
            chains: Arc::new(Chains::new(directory(settings, &running))),
            admin_chains: Arc::new(ArcSwap::from_pointee(admin_chains(settings, &running))),
            admin_auth: Arc::new(ArcSwap::from_pointee(from_settings::admin_auth(settings))),
            shutdown: Arc::new(ArcSwap::from_pointee(settings.shutdown.clone())),
            factory,
            running: Mutex::new(running),
        };
        live.apply_to_process(settings);
        live
    }

    /// Puts `settings` in force, for whatever begins from now on.
    fn apply(&self, settings: &Settings) {
        self.apply_to_process(settings);
        let mut running = self.running.lock();
        let wanted: Vec<_> = settings.all_chains().collect();
        let is_wanted = |chain: &RunningChain| wanted.iter().any(|(name, _)| *name == chain.name);
        let (stays, goes): (Vec<_>, Vec<_>) = running.drain(..).partition(is_wanted);
        *running = stays;
        for (name, of_chain) in wanted {
            match running.iter().find(|chain| chain.name == name) {
                Some(chain) => chain.apply(of_chain),
                None => {
                    let stored_as = settings.stored_as(&name);
                    running.push(self.factory.make(&name, of_chain, stored_as));
                }
            }
        }
        // First no call is led there any more.
        self.chains.change(directory(settings, &running));
        self.admin_chains
            .store(Arc::new(admin_chains(settings, &running)));
        for chain in goes {
            self.factory.end(&chain);
        }
    }

    fn apply_to_process(&self, settings: &Settings) {
        let factory = &self.factory;
        let caps = factory.process.caps();
        let sockets = from_settings::socket_limits(settings, caps);
        let most = sockets.sockets_max as u64;
        factory.limits.set_most(Resource::Sockets, most);
        factory.sockets.store(Arc::new(sockets));
        let bounds = from_settings::process_bounds(settings, caps);
        factory.metrics.show_bounds(&bounds);
        self.admin_auth
            .store(Arc::new(from_settings::admin_auth(settings)));
        self.shutdown.store(Arc::new(settings.shutdown.clone()));
        if let (Some(tracer), Some(otlp)) = (tracer(), &settings.otlp) {
            tracer.set_share(otlp.share);
        }
    }
}

/// The chains that run as the admin listener serves them, in the order of the file.
fn admin_chains(settings: &Settings, running: &[RunningChain]) -> AdminChains {
    let chains = settings.all_chains().filter_map(|(name, _)| {
        let chain = running.iter().find(|chain| chain.name == name)?;
        Some(AdminChain {
            is_default: settings.stored_as(&name).is_none(),
            handlers: chain.handlers.clone(),
            state: chain.state.clone(),
            instance: &from_settings::MACHINE,
        })
    });
    AdminChains::new(chains.collect())
}

/// How the chains that run are found, in the order of the file.
fn directory(settings: &Settings, running: &[RunningChain]) -> ChainDirectory {
    let state_of = |name: &ChainName| {
        let chain = running.iter().find(|chain| chain.name == *name)?;
        Some(chain.state.clone())
    };
    if settings.chains.is_empty()
        && let Some(state) = state_of(&ChainName::main())
    {
        return ChainDirectory::alone(ServedChain {
            state,
            id: settings.chain.id,
            is_default: true,
            hosts: Vec::new(),
        });
    }
    let served = settings.chains.iter().filter_map(|chain| {
        Some(ServedChain {
            state: state_of(&chain.name)?,
            id: chain.settings.chain.id,
            is_default: chain.is_default,
            hosts: chain.hosts.clone(),
        })
    });
    let required = settings.health.required.iter();
    let required = required.filter_map(|name| name.parse().ok());
    ChainDirectory::new(served.collect(), required.collect())
}

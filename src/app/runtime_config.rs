//! What of the settings may change while the balancer runs, and where it goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::server::configuration::ServerConf;
use tokio::sync::watch;

use super::registries::environment;
use crate::admin::AdminConfig;
use crate::app::from_settings;
use crate::background::intervals::{CurrentIntervals, Intervals};
use crate::background::reload::ConfigReload;
use crate::call::context::CallState;
use crate::clock;
use crate::config::change::ServerKeys;
use crate::config::settings::{Settings, ShutdownSettings};
use crate::observe::metrics::ProcessMetrics;
use crate::observe::spans::tracer;

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

    /// Who follows it, and changes `live`.
    pub(super) fn followed(self, running: Settings, live: RuntimeConfig) -> ConfigReload {
        ConfigReload {
            path: self.path,
            environment: environment(),
            running,
            server: self.server,
            pool: live.engine.pool.clone(),
            metrics: live.metrics.clone(),
            apply: Box::new(move |settings| live.apply(settings)),
            bytes: Some(self.bytes),
        }
    }
}

/// All that may change.
pub(super) struct RuntimeConfig {
    pub engine: Arc<CallState>,
    pub metrics: Arc<ProcessMetrics>,
    pub house: Arc<ArcSwap<AdminConfig>>,
    pub shutdown: Arc<ArcSwap<ShutdownSettings>>,
    pub regimen: CurrentIntervals,
    change_regimen: watch::Sender<Intervals>,
}

impl RuntimeConfig {
    pub fn new(
        settings: &Settings,
        engine: &Arc<CallState>,
        metrics: &Arc<ProcessMetrics>,
    ) -> RuntimeConfig {
        let (change_regimen, regimen) = CurrentIntervals::new(from_settings::regimen(settings));
        show_bounds(settings, engine, metrics);
        engine.pool.places.change(settings.calls.queue);
        metrics.config_read(clock::unix_millis() / 1000);
        RuntimeConfig {
            engine: engine.clone(),
            metrics: metrics.clone(),
            house: Arc::new(ArcSwap::from_pointee(from_settings::house(settings))),
            shutdown: Arc::new(ArcSwap::from_pointee(settings.shutdown.clone())),
            regimen,
            change_regimen,
        }
    }

    /// Puts `settings` in force, for whatever begins from now on.
    fn apply(&self, settings: &Settings) {
        let engine = &self.engine;
        engine.policy.store(Arc::new(from_settings::policy(
            settings,
            engine.gate.caps(),
        )));
        engine
            .budget
            .change(from_settings::rates(settings), clock::now());
        engine.pool.places.change(settings.calls.queue);
        engine
            .sockets
            .change(from_settings::socket_limits(settings, engine.gate.caps()));
        show_bounds(settings, engine, &self.metrics);
        self.house.store(Arc::new(from_settings::house(settings)));
        self.shutdown.store(Arc::new(settings.shutdown.clone()));
        if let (Some(tracer), Some(otlp)) = (tracer(), &settings.otlp) {
            tracer.set_share(otlp.share);
        }
        let regimen = from_settings::regimen(settings);
        let has_seeds = self.regimen.say(|before| before.seeds != regimen.seeds);
        self.change_regimen.send_replace(regimen);
        engine
            .pool
            .change_yardstick(from_settings::yardstick(settings));
        if has_seeds {
            engine.pool.list_is_due.notify_one();
        }
    }
}

/// What alerts compare with.
fn show_bounds(settings: &Settings, engine: &CallState, metrics: &ProcessMetrics) {
    let bounds = from_settings::process_bounds(settings, engine.gate.caps());
    metrics.show_bounds(&bounds);
    let bounds = from_settings::chain_bounds(settings);
    engine.metrics.show_bounds(&bounds);
}

//! What of the settings may change while the balancer runs, and where it goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::server::configuration::ServerConf;
use tokio::sync::watch;

use super::{environment, meaning};
use crate::clock;
use crate::config::change::ServerKeys;
use crate::config::settings::{Settings, Shutdown};
use crate::serve::admin::House;
use crate::serve::engine::Engine;
use crate::tasks::regimen::{InForce, Regimen};
use crate::tasks::reload::Reload;
use crate::telemetry::spans::tracer;

/// A configuration's file, as it was read at the start.
pub struct Source {
    path: PathBuf,
    bytes: Vec<u8>,
    server: ServerKeys,
}

impl Source {
    /// `server`: Pingora's own keys in `bytes`.
    pub fn new(path: &Path, bytes: Vec<u8>, server: &ServerConf) -> Source {
        Source {
            path: path.to_path_buf(),
            bytes,
            server: ServerKeys::of(server),
        }
    }

    /// Who follows it, and changes `live`.
    pub(super) fn followed(self, running: Settings, live: Live) -> Reload {
        Reload {
            path: self.path,
            environment: environment(),
            running,
            server: self.server,
            pool: live.engine.pool.clone(),
            metrics: live.engine.metrics.clone(),
            apply: Box::new(move |settings| live.apply(settings)),
            bytes: Some(self.bytes),
        }
    }
}

/// All that may change.
pub(super) struct Live {
    pub engine: Arc<Engine>,
    pub house: Arc<ArcSwap<House>>,
    pub shutdown: Arc<ArcSwap<Shutdown>>,
    pub regimen: InForce,
    change_regimen: watch::Sender<Regimen>,
}

impl Live {
    pub fn new(settings: &Settings, engine: &Arc<Engine>) -> Live {
        let (change_regimen, regimen) = InForce::new(meaning::regimen(settings));
        engine
            .metrics
            .show_bounds(&meaning::bounds(settings, engine.gate.caps()));
        engine.pool.places.change(settings.calls.queue);
        engine.metrics.config_read(clock::unix_millis() / 1000);
        Live {
            engine: engine.clone(),
            house: Arc::new(ArcSwap::from_pointee(meaning::house(settings))),
            shutdown: Arc::new(ArcSwap::from_pointee(settings.shutdown.clone())),
            regimen,
            change_regimen,
        }
    }

    /// Puts `settings` in force, for whatever begins from now on.
    fn apply(&self, settings: &Settings) {
        let engine = &self.engine;
        engine
            .policy
            .store(Arc::new(meaning::policy(settings, engine.gate.caps())));
        engine.budget.change(meaning::rates(settings), clock::now());
        engine.pool.places.change(settings.calls.queue);
        engine
            .sockets
            .change(meaning::socket_limits(settings, engine.gate.caps()));
        engine
            .metrics
            .show_bounds(&meaning::bounds(settings, engine.gate.caps()));
        self.house.store(Arc::new(meaning::house(settings)));
        self.shutdown.store(Arc::new(settings.shutdown.clone()));
        if let (Some(tracer), Some(otlp)) = (tracer(), &settings.otlp) {
            tracer.set_share(otlp.share);
        }
        let regimen = meaning::regimen(settings);
        let has_seeds = self.regimen.say(|before| before.seeds != regimen.seeds);
        self.change_regimen.send_replace(regimen);
        engine.pool.change_yardstick(meaning::yardstick(settings));
        if has_seeds {
            engine.pool.list_is_due.notify_one();
        }
    }
}

//! The composition root: settings in, a Pingora server out. It alone knows every room.

mod store;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use pingora::apps::HttpServerOptions;
use pingora::apps::http_app::HttpServer;
use pingora::listeners::ListenerConfig;
use pingora::listeners::tls::TlsSettings;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::proxy::HttpProxy;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use pingora::services::listening::Service;

use crate::clock;
use crate::config::settings::{Consistency, RegistryKind, Settings, WhenNoneFit};
use crate::domain::chain::ChainId;
use crate::domain::fleet::{Fleet, Yardstick};
use crate::domain::health::Hysteresis;
use crate::domain::method::{Rules, Times};
use crate::domain::quota::RetryBudget;
use crate::registry::Registry;
use crate::serve::admin::{Admin, Desk, Gatekeeper, Measures};
use crate::serve::door::Door;
use crate::serve::endpoint::{Endpoint, IDLE_TIME_MAX};
use crate::serve::engine::{Engine, Limits};
use crate::serve::http2::Proxy;
use crate::serve::metrics::Scrape;
use crate::serve::outlet::Origins;
use crate::shutdown::Farewell;
use crate::state::flights::Flights;
use crate::state::gate;
use crate::state::pool::Pool;
use crate::state::upstreams::Roll;
use crate::tasks::herald::Herald;
use crate::tasks::housekeeping::Housekeeping;
use crate::tasks::prober::Rounds;
use crate::tasks::roster::{Roster, Told};
use crate::tasks::scribe::Scribe;
use crate::tasks::shared::SharedHeads;
use crate::telemetry::cloudwatch::Labels;
use crate::telemetry::metrics::{Bounds, Metrics};
use crate::upstream::connector::Connector;
use crate::upstream::probe::Prober;

pub use self::store::{dynamo, environment, nodes_environment, open_registry};

/// HTTP/2 streams of one connection at once.
const H2_STREAMS_MAX: u32 = 200;

/// What nodes are judged by.
pub fn yardstick(settings: &Settings) -> Yardstick {
    Yardstick {
        chain_id: settings.chain.id.map(ChainId),
        block_time: settings.chain.block_time,
        lag_blocks_max: settings.health.lag_blocks_max,
        hysteresis: Hysteresis {
            rise: settings.health.rise,
            fall: settings.health.fall,
        },
    }
}

fn limits(settings: &Settings) -> Limits {
    let calls = &settings.calls;
    Limits {
        times: Times {
            deadline: calls.deadline,
            attempt: calls.attempt,
            heavy: calls.heavy,
        },
        attempts_max: calls.attempts_max,
        broadcast: calls.broadcast,
        hedge: calls.hedge,
        body_bytes_max: calls.body_bytes_max,
        batch_calls_max: calls.batch_calls_max,
        answer_bytes_max: calls.answer_bytes_max,
        fails_open: calls.when_none_fit == WhenNoneFit::FailOpen,
        consistency: settings.consistency,
        block_wait: settings.chain.block_time,
    }
}

/// What alerts compare with.
fn bounds(settings: &Settings) -> Bounds {
    Bounds {
        block_time: settings.chain.block_time,
        interval: settings.health.interval,
        refresh: settings.registry.refresh,
        lag_blocks_max: settings.health.lag_blocks_max,
        requests_max: gate::REQUESTS_MAX,
        request_bytes_max: gate::BYTES_MAX,
        answer_bytes_max: gate::ANSWERS_BYTES_MAX,
        retry_budget_max: settings.calls.retry_budget.burst,
    }
}

/// Who tells CloudWatch, where somebody wants it.
fn herald(settings: &Settings, pool: &Arc<Pool>) -> Option<Herald> {
    let cloudwatch = settings.cloudwatch.clone()?;
    Some(Herald {
        pool: pool.clone(),
        labels: Labels {
            namespace: cloudwatch.namespace,
            service: cloudwatch.service,
        },
        interval: cloudwatch.interval,
    })
}

/// A balancer that is put together and has not begun.
pub struct App {
    server: Server,
    pub engine: Arc<Engine>,
    lame_duck: Duration,
    drain: Duration,
}

impl App {
    /// Puts a balancer together. `is_upgrade`: it takes the sockets over from a running one.
    ///
    /// # Errors
    /// The registry or a certificate can't be opened, or an address is taken.
    pub fn new(settings: Settings, mut conf: ServerConf, is_upgrade: bool) -> anyhow::Result<App> {
        crate::upstream::install_tls();
        // Only an upgrade waits for this: SIGTERM's own farewell is over by then.
        conf.grace_period_seconds = Some(settings.shutdown.drain.as_secs());
        // `check` says so: we stay in the foreground.
        conf.daemon = false;
        if !is_upgrade {
            check_addresses(&settings)?;
        }
        let registry = open_registry(settings.registry.kind, &settings.registry)?;
        let metrics = Arc::new(Metrics::new());
        metrics.show_bounds(&bounds(&settings));
        let connector = Arc::new(Connector::new(&conf)?);
        let pool = Arc::new(Pool::new(Fleet::new(yardstick(&settings))));
        let engine = Arc::new(engine(&settings, pool, metrics));
        let opt = Opt {
            upgrade: is_upgrade,
            ..Opt::default()
        };
        let mut server = Server::new_with_opt_and_conf(opt, conf);
        server.bootstrap();
        let idle_max = server.configuration.upstream_keepalive_pool_size;
        let roll = Roll::new(connector, engine.metrics.clone(), idle_max);
        server.add_service(endpoint(&server, &settings, &engine)?);
        if let Some(address) = settings.listen.metrics {
            let mut service = Service::new(
                "metrics".into(),
                HttpServer::new_app(Scrape(engine.clone())),
            );
            service.threads = Some(1);
            service.add_tcp(&address.to_string());
            server.add_service(service);
        }
        if let Some(address) = settings.listen.admin {
            server.add_service(admin(&settings, address, &engine, &registry));
        }
        let housekeeping = housekeeping(
            &settings,
            &engine,
            registry,
            roll,
            server.configuration.ca_file.as_deref(),
        )?;
        let mut housekeeping = background_service("housekeeping", housekeeping);
        housekeeping.threads = Some(1);
        server.add_service(housekeeping);
        let shutdown = &settings.shutdown;
        Ok(App {
            server,
            engine,
            lame_duck: shutdown.lame_duck,
            drain: shutdown.drain,
        })
    }

    /// Runs until a signal ends it.
    pub fn run(self) {
        let farewell = Farewell {
            engine: self.engine,
            lame_duck: self.lame_duck,
            drain: self.drain,
        };
        self.server.run(RunArgs {
            shutdown_signal: Box::new(farewell),
        });
    }
}

/// Pingora would panic later, and on another thread.
fn check_addresses(settings: &Settings) -> anyhow::Result<()> {
    let https = settings.listen.https.iter().map(|https| https.address);
    let all = settings
        .listen
        .http
        .iter()
        .copied()
        .chain(https)
        .chain(settings.listen.metrics)
        .chain(settings.listen.admin);
    for address in all {
        TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))?;
    }
    Ok(())
}

fn engine(settings: &Settings, pool: Arc<Pool>, metrics: Arc<Metrics>) -> Engine {
    let methods = settings.methods.clone();
    let budget = settings.calls.retry_budget;
    Engine {
        pool,
        rules: Rules::new(methods.allow, methods.deny, methods.heavy).with_reads(methods.reads),
        limits: limits(settings),
        budget: RetryBudget::new(
            budget.per_call,
            budget.per_second,
            budget.burst,
            clock::now(),
        ),
        metrics,
        gate: Arc::default(),
        flights: Flights::default(),
        taken: Arc::default(),
        afterwork: Arc::default(),
    }
}

fn endpoint(
    server: &Server,
    settings: &Settings,
    engine: &Arc<Engine>,
) -> anyhow::Result<Service<Door>> {
    let endpoint = Arc::new(Endpoint {
        engine: engine.clone(),
        origins: Origins::new(settings.cors_origins.clone()),
        log_calls: settings.log.calls,
    });
    let mut proxy = HttpProxy::new(Proxy(endpoint.clone()), server.configuration.clone());
    proxy.handle_init_modules();
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(IDLE_TIME_MAX);
    proxy.server_options = Some(options);
    let mut h2 = pingora::protocols::http::v2::server::H2Options::new();
    h2.max_concurrent_streams(H2_STREAMS_MAX);
    proxy.h2_options = Some(h2);
    let door = Door::new(endpoint, proxy);
    let mut service = Service::new("endpoint".into(), door);
    // Everybody here reads and writes in large pieces, and a buffer would be held while idle, too.
    for address in &settings.listen.http {
        let listener = ListenerConfig::tcp(address.to_string());
        service.add_listener(listener.l4_buffer(L4BufferSettings::unbuffered()));
    }
    for https in &settings.listen.https {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let mut tls = TlsSettings::intermediate(&path(&https.certificate), &path(&https.key))
            .map_err(|why| anyhow::anyhow!("the certificate for {}: {why}", https.address))?;
        if https.h2 {
            tls.enable_h2();
        }
        let listener = ListenerConfig::tcp(https.address.to_string()).tls(tls);
        service.add_listener(listener.l4_buffer(L4BufferSettings::unbuffered()));
    }
    Ok(service)
}

fn admin(
    settings: &Settings,
    address: SocketAddr,
    engine: &Arc<Engine>,
    registry: &Arc<dyn Registry>,
) -> Service<Admin> {
    let Settings { admin, health, .. } = settings;
    let desk = Desk {
        registry: registry.clone(),
        environment: nodes_environment(),
        pool: engine.pool.clone(),
    };
    let admin = Admin::new(
        Gatekeeper::new(admin.token.as_ref(), admin.hosts.clone()),
        desk,
        engine.clone(),
        Measures {
            round_interval: health.interval,
            lag_blocks_max: health.lag_blocks_max,
        },
    );
    let mut service = Service::new("admin".into(), admin);
    service.threads = Some(1);
    service.add_tcp(&address.to_string());
    service
}

fn housekeeping(
    settings: &Settings,
    engine: &Arc<Engine>,
    registry: Arc<dyn Registry>,
    roll: Roll,
    ca_file: Option<&str>,
) -> anyhow::Result<Housekeeping> {
    let pool = &engine.pool;
    let metrics = &engine.metrics;
    let roster = Roster {
        registry: registry.clone(),
        environment: nodes_environment(),
        pool: pool.clone(),
        metrics: metrics.clone(),
        roll,
        seeds: settings.nodes.clone(),
        is_seeded: false,
        last_list: settings.registry.last_list.clone(),
        refresh: settings.registry.refresh,
        told: Told::default(),
    };
    let rounds = Rounds {
        pool: pool.clone(),
        metrics: metrics.clone(),
        prober: Prober::new(ca_file).context("setting up probes")?,
        leader_interval: settings.health.leader_interval,
        timeout: settings.health.timeout,
        tags: settings.consistency == Consistency::Pinned,
        asked: HashMap::new(),
        shared: shared_heads(settings, &registry, metrics),
    };
    let scribe = Scribe {
        registry,
        pool: pool.clone(),
        metrics: metrics.clone(),
        written: HashMap::new(),
        is_told: false,
    };
    Ok(Housekeeping::new(
        roster,
        rounds,
        scribe,
        herald(settings, pool),
        settings.health.interval,
    ))
}

/// Where the leader is asked by one balancer for all.
fn shared_heads(
    settings: &Settings,
    registry: &Arc<dyn Registry>,
    metrics: &Arc<Metrics>,
) -> Option<Arc<SharedHeads>> {
    let is_on = settings.registry.share_leader && settings.registry.kind == RegistryKind::Dynamo;
    let interval = settings.health.leader_interval;
    is_on.then(|| {
        Arc::new(SharedHeads::new(
            registry.clone(),
            metrics.clone(),
            interval,
        ))
    })
}

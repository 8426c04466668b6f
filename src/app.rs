//! The composition root: settings in, a Pingora server out. It alone knows every room.
//!
//! In reading order: the balancer put together, here; `from_settings`, what the settings mean for each room,
//! and `runtime_config`, what of them may change; `resources`, what the machine gives; `registries` and
//! `certificates`, opened; `service` and `call_listeners`, how services run and end; `span_export`.

mod call_listeners;
mod certificates;
mod from_settings;
mod registries;
mod resources;
mod runtime_config;
mod service;
#[cfg(feature = "otlp")]
mod span_export;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use pingora::apps::http_app::HttpServer;
use pingora::listeners::{ListenerConfig, tls::TlsSettings};
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::{background::background_service, listening::Service};
use tokio::sync::watch;

use crate::admin::{AdminApp, AdminHandlers};
use crate::background::certificates::CertificateReload;
use crate::background::discovery::{NodeDiscovery, ReportedIssues};
use crate::background::feeds::{FeedResources, Feeds};
use crate::background::following::ConfigFollower;
use crate::background::health_writer::HealthWriter;
use crate::background::probing::ProbeRounds;
use crate::background::retained_nodes::RetainedNodes;
use crate::background::service::BackgroundTasks;
use crate::background::shared_leader::SharedHeads;
use crate::call::{context::CallState, lookups::Lookups};
use crate::client::{accept::ClientAcceptor, endpoint::Endpoint, metrics::MetricsApp};
use crate::clock;
use crate::config;
use crate::config::settings::{ListenSettings, RegistryKind, Settings, ShutdownSettings};
use crate::node::connector::Connector;
use crate::node::probe::Prober;
use crate::observe::metrics::{ChainMetrics, ProcessMetrics};
use crate::registry::Registry;
use crate::shared::admission::Admission;
use crate::shared::certificates::ListenerCertificate;
use crate::shared::fleet_state::FleetState;
use crate::shared::node_clients::ClientFactory;
use crate::shared::singleflight::Singleflight;
use crate::shared::sockets::SocketCounter;
use crate::shutdown::GracefulShutdown;
use forebay_core::call::retry_budget::RetryBudget;
use forebay_core::fleet::tracker::Fleet;
use forebay_core::vocabulary::caps::Caps;
use forebay_core::vocabulary::chain::ChainName;

pub use self::certificates::unfit_certificates;
use self::service::{Listeners, ServiceSet};
use crate::app::call_listeners::ClosableService;
pub use crate::app::from_settings::yardstick;
pub use crate::app::registries::{dynamo, environment, nodes_environment, open_registry};
pub use crate::app::runtime_config::ConfigFile;
use crate::app::runtime_config::RuntimeConfig;
pub use crate::app::service::PanicTrigger;

/// A balancer that is put together and has not begun.
pub struct App {
    server: Server,
    pub engine: Arc<CallState>,
    pub metrics: Arc<ProcessMetrics>,
    /// Of each service.
    pub tripwires: Vec<PanicTrigger>,
    shutdown: Arc<ArcSwap<ShutdownSettings>>,
    /// Closes the listeners for calls.
    close: watch::Sender<bool>,
}

impl App {
    /// Puts a balancer together. `source`: what is followed for changes of the settings.
    /// `is_upgrade`: it takes the sockets over from a running one.
    ///
    /// # Errors
    /// The registry or a certificate can't be opened, or an address is taken.
    pub fn new(
        settings: Settings,
        mut conf: ServerConf,
        source: Option<ConfigFile>,
        is_upgrade: bool,
    ) -> anyhow::Result<App> {
        crate::node::install_tls();
        // Only an upgrade waits for this: SIGTERM's own farewell is over by then.
        conf.grace_period_seconds = Some(settings.shutdown.drain.as_secs());
        // `check` says so: we stay in the foreground.
        conf.daemon = false;
        let certificates = certificates::open(&settings)?;
        if !is_upgrade {
            check_addresses(&settings)?;
        }
        let registry = registries::registry(&settings)?;
        let metrics = Arc::new(ProcessMetrics::new());
        let connector = Arc::new(Connector::new(&conf)?);
        let chain = ChainName::main();
        let fleet = Fleet::new(yardstick(&settings));
        let pool = Arc::new(FleetState::new(fleet).called(&chain));
        let caps = resources::caps(&settings);
        let engine = Arc::new(engine(&settings, caps, pool, metrics.chain(&chain)));
        let live = RuntimeConfig::new(&settings, &engine, &metrics);
        let opt = Opt {
            upgrade: is_upgrade,
            ..Opt::default()
        };
        let mut server = Server::new_with_opt_and_conf(opt, conf);
        let idle_max = server.configuration.upstream_keepalive_pool_size;
        let places = engine.pool.places.clone();
        let roll = ClientFactory::new(connector.clone(), engine.metrics.clone(), places, idle_max);
        let close = watch::Sender::new(false);
        let listeners = ClosableService {
            service: endpoint(&settings, &live, &certificates)?,
            close: close.subscribe(),
        };
        let mut staff = ServiceSet::new(engine.gate.closing());
        let endpoint = staff.add(&mut server, listeners);
        if let Some(address) = settings.listen.metrics {
            let scrape = Service::new(
                "metrics".into(),
                HttpServer::new_app(MetricsApp {
                    metrics: metrics.clone(),
                    engine: engine.clone(),
                }),
            );
            let says = format!("metrics are at http://{address}/metrics");
            let listener = alone("metrics", scrape, address, says);
            endpoint.add_dependency(staff.add(&mut server, listener));
        }
        if let Some(address) = settings.listen.admin {
            let admin = admin(&live, &settings.listen, &engine, &registry);
            let says = format!("the status page and the admin API are at http://{address}/");
            let listener = alone("admin", admin, address, says);
            endpoint.add_dependency(staff.add(&mut server, listener));
        }
        let ca_file = server.configuration.ca_file.as_deref();
        let prober = Prober::new(ca_file).context("setting up probes")?;
        #[cfg(feature = "otlp")]
        let exporter = span_export::exporter(&settings, &metrics, ca_file)?;
        let shutdown = live.shutdown.clone();
        let newsroom = newsroom(&live, connector, &prober);
        let means = (registry, roll, prober, newsroom);
        let housekeeping = housekeeping(settings, live, source, means, certificates);
        #[cfg(feature = "otlp")]
        if let Some(exporter) = exporter {
            let mut exporter = background_service("traces", exporter);
            exporter.threads = Some(1);
            staff.add(&mut server, exporter);
        }
        let mut housekeeping = background_service("housekeeping", housekeeping);
        housekeeping.threads = Some(1);
        staff.add(&mut server, housekeeping);
        // Last: until then nothing is taken from a process that serves, and whatever fails has failed.
        server.bootstrap();
        Ok(App {
            server,
            engine,
            metrics,
            tripwires: staff.tripwires,
            shutdown,
            close,
        })
    }

    /// Runs until a signal ends it.
    pub fn run(self) {
        service::watch_panics(self.metrics);
        let grace = self.server.configuration.grace_period_seconds;
        let farewell = GracefulShutdown {
            engine: self.engine,
            times: self.shutdown,
            grace: Duration::from_secs(grace.unwrap_or(0)),
            close: self.close,
        };
        self.server.run(RunArgs {
            shutdown_signal: Box::new(farewell),
        });
    }
}

/// Pingora would panic later, and on another thread.
fn check_addresses(settings: &Settings) -> anyhow::Result<()> {
    for address in settings.listen.addresses() {
        TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))?;
    }
    Ok(())
}

fn engine(
    settings: &Settings,
    caps: Caps,
    pool: Arc<FleetState>,
    metrics: Arc<ChainMetrics>,
) -> CallState {
    let gate = Arc::new(Admission::new(caps));
    let (taken, afterwork) = (Arc::default(), Arc::default());
    CallState {
        lookups: Arc::new(Lookups::new(&pool, &gate, &afterwork, &taken)),
        pool,
        policy: ArcSwap::from_pointee(from_settings::policy(settings, &caps)),
        budget: RetryBudget::new(from_settings::rates(settings), clock::now()),
        metrics,
        gate,
        flights: Singleflight::default(),
        taken,
        afterwork,
        disputes: Mutex::default(),
        searched: Mutex::default(),
        leader_share: Mutex::default(),
        hub: Arc::default(),
        sockets: Arc::new(SocketCounter::new(from_settings::socket_limits(
            settings, &caps,
        ))),
    }
}

fn endpoint(
    settings: &Settings,
    live: &RuntimeConfig,
    certificates: &[Arc<ListenerCertificate>],
) -> anyhow::Result<Listeners<ClientAcceptor>> {
    let endpoint = Arc::new(Endpoint {
        engine: live.engine.clone(),
        metrics: live.metrics.clone(),
        packs: settings.listen.compression,
    });
    let door = ClientAcceptor::new(endpoint);
    let (urls, listeners): (Vec<_>, Vec<_>) = ways_in(&settings.listen, certificates)?
        .into_iter()
        .map(|(url, listener)| {
            let mut service = Service::new("endpoint".into(), door.clone());
            // Everybody here reads and writes in large pieces, and a buffer would be held while idle, too.
            service.add_listener(listener.l4_buffer(L4BufferSettings::unbuffered()));
            (url, service)
        })
        .unzip();
    let (version, urls) = (env!("CARGO_PKG_VERSION"), urls.join(", "));
    Ok(Listeners {
        name: "endpoint",
        threads: None,
        listeners,
        says: format!("forebay {version} listens on {urls}"),
    })
}

/// Where clients come in, each with its URL.
fn ways_in(
    listen: &ListenSettings,
    certificates: &[Arc<ListenerCertificate>],
) -> anyhow::Result<Vec<(String, ListenerConfig)>> {
    let tcp = |address: &SocketAddr| ListenerConfig::tcp(address.to_string());
    let plain = listen.http.iter();
    let mut ways: Vec<_> = plain
        .map(|address| (format!("http://{address}"), tcp(address)))
        .collect();
    for (https, certificate) in listen.https.iter().zip(certificates) {
        let mut tls = TlsSettings::intermediate("", "")?;
        tls.set_cert_resolver(certificate.clone());
        if https.h2 {
            tls.enable_h2();
        }
        let address = &https.address;
        ways.push((format!("https://{address}"), tcp(address).tls(tls)));
    }
    Ok(ways)
}

/// A listener for operators, with one thread.
fn alone<A>(
    name: &'static str,
    mut service: Service<A>,
    address: SocketAddr,
    says: String,
) -> Listeners<A> {
    service.add_tcp(&address.to_string());
    Listeners {
        name,
        threads: Some(1),
        listeners: vec![service],
        says,
    }
}

fn admin(
    live: &RuntimeConfig,
    listen: &ListenSettings,
    engine: &Arc<CallState>,
    registry: &Arc<dyn Registry>,
) -> Service<AdminApp> {
    let desk = AdminHandlers {
        registry: registry.clone(),
        environment: nodes_environment(),
        pool: engine.pool.clone(),
        listeners: listen.addresses(),
        is_local: config::is_local,
    };
    let admin = AdminApp::new(live.house.clone(), desk, engine.clone());
    Service::new("admin".into(), admin)
}

fn newsroom(live: &RuntimeConfig, connector: Arc<Connector>, prober: &Prober) -> Feeds {
    let engine = &live.engine;
    Feeds::new(FeedResources {
        pool: engine.pool.clone(),
        hub: engine.hub.clone(),
        metrics: engine.metrics.clone(),
        connector,
        prober: prober.clone(),
        regimen: live.regimen.clone(),
    })
}

fn housekeeping(
    settings: Settings,
    live: RuntimeConfig,
    source: Option<ConfigFile>,
    (registry, roll, prober, newsroom): (Arc<dyn Registry>, ClientFactory, Prober, Feeds),
    certificates: Vec<Arc<ListenerCertificate>>,
) -> BackgroundTasks {
    let pool = live.engine.pool.clone();
    let metrics = live.engine.metrics.clone();
    let roster = NodeDiscovery {
        registry: registry.clone(),
        environment: nodes_environment(),
        pool: pool.clone(),
        metrics: metrics.clone(),
        roll,
        regimen: live.regimen.clone(),
        following: ConfigFollower::default(),
        last_list: settings.registry.last_list.clone(),
        leftovers: RetainedNodes::default(),
        listeners: settings.listen.addresses(),
        told: ReportedIssues::default(),
    };
    let rounds = ProbeRounds {
        pool: pool.clone(),
        metrics: metrics.clone(),
        prober,
        heads: newsroom.heads(),
        regimen: live.regimen.clone(),
        asked: HashMap::new(),
        shared: shared_heads(&settings, &live, &registry),
    };
    let scribe = HealthWriter {
        registry,
        pool,
        metrics,
        written: HashMap::new(),
        is_told: false,
    };
    let renewals = certificates
        .into_iter()
        .map(|certificate| CertificateReload {
            certificate,
            metrics: live.metrics.clone(),
            told: None,
        });
    let renewals = renewals.collect();
    let reload = source.map(|source| source.followed(settings, live));
    BackgroundTasks::new(roster, rounds, scribe, newsroom, reload, renewals)
}

/// Where the leader is asked by one balancer for all.
fn shared_heads(
    settings: &Settings,
    live: &RuntimeConfig,
    registry: &Arc<dyn Registry>,
) -> Option<Arc<SharedHeads>> {
    let is_on = settings.registry.share_leader && settings.registry.kind == RegistryKind::Dynamo;
    let (metrics, regimen) = (live.engine.metrics.clone(), live.regimen.clone());
    is_on.then(|| Arc::new(SharedHeads::new(registry.clone(), metrics, regimen)))
}

//! The composition root: settings in, a Pingora server out. It alone knows every room.

mod certificates;
mod listening;
mod live;
mod meaning;
mod resources;
mod service;
mod store;
#[cfg(feature = "otlp")]
mod traces;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use pingora::apps::http_app::HttpServer;
use pingora::listeners::ListenerConfig;
use pingora::listeners::tls::TlsSettings;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server, ShutdownWatch};
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use pingora::services::{ServiceHandle, ServiceWithDependents};
use tokio::sync::watch;

use crate::clock;
use crate::config;
use crate::config::settings::{Listen, RegistryKind, Settings, Shutdown};
use crate::domain::caps::Caps;
use crate::domain::fleet::Fleet;
use crate::domain::quota::RetryBudget;
use crate::registry::Registry;
use crate::serve::admin::{Admin, Desk};
use crate::serve::door::Door;
use crate::serve::endpoint::Endpoint;
use crate::serve::engine::Engine;
use crate::serve::metrics::Scrape;
use crate::shutdown::Farewell;
use crate::state::certificates::Certificate;
use crate::state::flights::Flights;
use crate::state::gate::Gate;
use crate::state::pool::Pool;
use crate::state::sockets::Sockets;
use crate::state::upstreams::Roll;
use crate::tasks::certificates::Renewal;
use crate::tasks::following::Following;
use crate::tasks::housekeeping::Housekeeping;
use crate::tasks::leftovers::Leftovers;
use crate::tasks::newsroom::{Means, Newsroom};
use crate::tasks::prober::Rounds;
use crate::tasks::roster::{Roster, Told};
use crate::tasks::scribe::Scribe;
use crate::tasks::shared::SharedHeads;
use crate::telemetry::metrics::Metrics;
use crate::upstream::connector::Connector;
use crate::upstream::probe::Prober;

pub use self::certificates::unfit_certificates;
use self::listening::Listening;
use self::live::Live;
pub use self::live::Source;
pub use self::meaning::yardstick;
pub use self::service::Tripwire;
use self::service::{Listeners, Vital};
pub use self::store::{dynamo, environment, nodes_environment, open_registry};

/// A balancer that is put together and has not begun.
pub struct App {
    server: Server,
    pub engine: Arc<Engine>,
    /// Of each service.
    pub tripwires: Vec<Tripwire>,
    shutdown: Arc<ArcSwap<Shutdown>>,
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
        source: Option<Source>,
        is_upgrade: bool,
    ) -> anyhow::Result<App> {
        crate::upstream::install_tls();
        // Only an upgrade waits for this: SIGTERM's own farewell is over by then.
        conf.grace_period_seconds = Some(settings.shutdown.drain.as_secs());
        // `check` says so: we stay in the foreground.
        conf.daemon = false;
        let certificates = certificates::open(&settings)?;
        if !is_upgrade {
            check_addresses(&settings)?;
        }
        let registry = store::registry(&settings)?;
        let metrics = Arc::new(Metrics::new());
        let connector = Arc::new(Connector::new(&conf)?);
        let pool = Arc::new(Pool::new(Fleet::new(yardstick(&settings))));
        let engine = Arc::new(engine(&settings, resources::caps(&settings), pool, metrics));
        let live = Live::new(&settings, &engine);
        let opt = Opt {
            upgrade: is_upgrade,
            ..Opt::default()
        };
        let mut server = Server::new_with_opt_and_conf(opt, conf);
        let idle_max = server.configuration.upstream_keepalive_pool_size;
        let places = engine.pool.places.clone();
        let roll = Roll::new(connector.clone(), engine.metrics.clone(), places, idle_max);
        let close = watch::Sender::new(false);
        let listeners = Listening {
            service: endpoint(&settings, &engine, &certificates)?,
            close: close.subscribe(),
        };
        let mut staff = Staff::new(engine.gate.closing());
        let endpoint = staff.add(&mut server, listeners);
        if let Some(address) = settings.listen.metrics {
            let scrape = Service::new(
                "metrics".into(),
                HttpServer::new_app(Scrape(engine.clone())),
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
        let exporter = traces::exporter(&settings, &engine.metrics, ca_file)?;
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
            tripwires: staff.tripwires,
            shutdown,
            close,
        })
    }

    /// Runs until a signal ends it.
    pub fn run(self) {
        service::watch_panics(self.engine.metrics.clone());
        let grace = self.server.configuration.grace_period_seconds;
        let farewell = Farewell {
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

/// The services of a server, each of which is vital.
struct Staff {
    leaving: ShutdownWatch,
    tripwires: Vec<Tripwire>,
}

impl Staff {
    fn new(leaving: ShutdownWatch) -> Staff {
        Staff {
            leaving,
            tripwires: Vec::new(),
        }
    }

    fn add(
        &mut self,
        server: &mut Server,
        service: impl ServiceWithDependents + 'static,
    ) -> ServiceHandle {
        let vital = Vital::new(service, self.leaving.clone());
        self.tripwires.push(vital.tripwire());
        server.add_service(vital)
    }
}

/// Pingora would panic later, and on another thread.
fn check_addresses(settings: &Settings) -> anyhow::Result<()> {
    for address in settings.listen.addresses() {
        TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))?;
    }
    Ok(())
}

fn engine(settings: &Settings, caps: Caps, pool: Arc<Pool>, metrics: Arc<Metrics>) -> Engine {
    Engine {
        pool,
        policy: ArcSwap::from_pointee(meaning::policy(settings, &caps)),
        budget: RetryBudget::new(meaning::rates(settings), clock::now()),
        metrics,
        gate: Arc::new(Gate::new(caps)),
        flights: Flights::default(),
        taken: Arc::default(),
        lookups: Arc::default(),
        afterwork: Arc::default(),
        disputes: Mutex::default(),
        searched: Mutex::default(),
        leader_share: Mutex::default(),
        hub: Arc::default(),
        sockets: Arc::new(Sockets::new(meaning::socket_limits(settings, &caps))),
    }
}

fn endpoint(
    settings: &Settings,
    engine: &Arc<Engine>,
    certificates: &[Arc<Certificate>],
) -> anyhow::Result<Listeners<Door>> {
    let endpoint = Arc::new(Endpoint {
        engine: engine.clone(),
        packs: settings.listen.compression,
    });
    let door = Door::new(endpoint);
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
    listen: &Listen,
    certificates: &[Arc<Certificate>],
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
    live: &Live,
    listen: &Listen,
    engine: &Arc<Engine>,
    registry: &Arc<dyn Registry>,
) -> Service<Admin> {
    let desk = Desk {
        registry: registry.clone(),
        environment: nodes_environment(),
        pool: engine.pool.clone(),
        listeners: listen.addresses(),
        is_local: config::is_local,
    };
    let admin = Admin::new(live.house.clone(), desk, engine.clone());
    Service::new("admin".into(), admin)
}

fn newsroom(live: &Live, connector: Arc<Connector>, prober: &Prober) -> Newsroom {
    let engine = &live.engine;
    Newsroom::new(Means {
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
    live: Live,
    source: Option<Source>,
    (registry, roll, prober, newsroom): (Arc<dyn Registry>, Roll, Prober, Newsroom),
    certificates: Vec<Arc<Certificate>>,
) -> Housekeeping {
    let pool = live.engine.pool.clone();
    let metrics = live.engine.metrics.clone();
    let roster = Roster {
        registry: registry.clone(),
        environment: nodes_environment(),
        pool: pool.clone(),
        metrics: metrics.clone(),
        roll,
        regimen: live.regimen.clone(),
        following: Following::default(),
        last_list: settings.registry.last_list.clone(),
        leftovers: Leftovers::default(),
        listeners: settings.listen.addresses(),
        told: Told::default(),
    };
    let rounds = Rounds {
        pool: pool.clone(),
        metrics: metrics.clone(),
        prober,
        heads: newsroom.heads(),
        regimen: live.regimen.clone(),
        asked: HashMap::new(),
        shared: shared_heads(&settings, &live, &registry),
    };
    let scribe = Scribe {
        registry,
        pool,
        metrics,
        written: HashMap::new(),
        is_told: false,
    };
    let renewals = certificates.into_iter().map(|certificate| Renewal {
        certificate,
        metrics: live.engine.metrics.clone(),
        told: None,
    });
    let renewals = renewals.collect();
    let reload = source.map(|source| source.followed(settings, live));
    Housekeeping::new(roster, rounds, scribe, newsroom, reload, renewals)
}

/// Where the leader is asked by one balancer for all.
fn shared_heads(
    settings: &Settings,
    live: &Live,
    registry: &Arc<dyn Registry>,
) -> Option<Arc<SharedHeads>> {
    let is_on = settings.registry.share_leader && settings.registry.kind == RegistryKind::Dynamo;
    let (metrics, regimen) = (live.engine.metrics.clone(), live.regimen.clone());
    is_on.then(|| Arc::new(SharedHeads::new(registry.clone(), metrics, regimen)))
}

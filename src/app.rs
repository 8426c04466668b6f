//! The composition root: settings in, a Pingora server out. It alone knows every room.
//!
//! In reading order: the balancer put together, here, and each `chain`; `from_settings`, what the settings mean
//! for each room, and `runtime_config`, what of them may change; `resources`, what the machine gives;
//! `registries` and `certificates`, opened; `service` and `call_listeners`, how services run and end;
//! `several`, the store that balancers share; `span_export`.

mod call_listeners;
mod certificates;
mod chain;
mod from_settings;
mod registries;
pub mod resources;
mod runtime_config;
mod service;
mod several;
#[cfg(feature = "otlp")]
mod span_export;

use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use pingora::apps::http_app::HttpServer;
use pingora::listeners::{ListenerConfig, tls::TlsSettings};
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::listening::Service;
use tokio::sync::{Mutex, mpsc, watch};

use crate::admin::AdminApp;
use crate::background::certificates::CertificateReload;
use crate::background::chain_supervisor::ChainSupervisor;
use crate::background::service::BackgroundTasks;
use crate::call::chains::Chains;
use crate::client::{accept::ClientAcceptor, endpoint::Endpoint, metrics::MetricsApp};
use crate::config::settings::{ListenSettings, Settings, ShutdownSettings};
use crate::observe::metrics::ProcessMetrics;
use crate::shared::admission::Admission;
use crate::shared::certificates::ListenerCertificate;
use crate::shared::process_limits::{ChainShare, ProcessLimits};
use crate::shared::upgrade_heads;
use crate::shutdown::GracefulShutdown;
use forebay_core::vocabulary::caps::Caps;

pub use self::certificates::unfit_certificates;
use self::service::{Listeners, ServiceSet};
use crate::app::call_listeners::ClosableService;
use crate::app::chain::ChainFactory;
pub use crate::app::registries::{Registries, dynamo, environment, nodes_environment};
pub use crate::app::runtime_config::ConfigFile;
use crate::app::runtime_config::RuntimeConfig;
pub use crate::app::service::PanicTrigger;
use crate::app::several::StoreService;

/// Background tasks of several chains take turns on so many threads, and on no more than there are cores: one that
/// finds nothing to do costs a wake-up.
const HOUSEKEEPERS_MAX: usize = 4;
/// The part of the room for bodies that is for what comes before it is known for which chain it is, where
/// there are several.
const ENTRY_PART: usize = 8;
/// The same of answers that wait: those over HTTP/2 do so for a connection, whatever chains it is for.
const ENTRY_UNSENT_PART: u64 = 16;

/// A balancer that is put together and has not begun.
pub struct App {
    server: Server,
    pub chains: Arc<Chains>,
    metrics: Arc<ProcessMetrics>,
    entry: Arc<Admission>,
    /// Of each service.
    pub tripwires: Vec<PanicTrigger>,
    shutdown: Arc<ArcSwap<ShutdownSettings>>,
    /// Where a new process is met that takes over.
    new_process: PathBuf,
    /// Closes the listeners for calls.
    close: watch::Sender<bool>,
}

impl App {
    /// Puts a balancer together. `source`: what is followed for changes of the settings.
    /// `is_upgrade`: it takes the sockets over from a running one.
    ///
    /// # Errors
    /// The registry or a certificate can't be opened, an address is taken, or the default chain's nodes were
    /// another chain's before.
    pub fn new(
        settings: Settings,
        conf: ServerConf,
        source: Option<ConfigFile>,
        is_upgrade: bool,
    ) -> anyhow::Result<App> {
        crate::node::install_tls();
        let certificates = certificates::open(&settings)?;
        if !is_upgrade {
            check_addresses(&settings)?;
        }
        registries::judge_default(&settings)?;
        let metrics = Arc::new(ProcessMetrics::new());
        let mut server = server(conf, &settings, is_upgrade);
        let conf = server.configuration.clone();
        let ca_file = conf.ca_file.as_deref();
        #[cfg(feature = "otlp")]
        let exporter = span_export::exporter(&settings, &metrics, ca_file)?;
        let caps = resources::caps(&settings);
        let shared = several::open(&settings, &caps, &metrics, ca_file)?;
        let (orders, obeyed) = mpsc::unbounded_channel();
        let is_alone = settings.chains.is_empty();
        let limits = ProcessLimits::new(&chains_caps(&caps, is_alone));
        let parts = (shared.clone(), metrics.clone(), orders);
        let factory = ChainFactory::new(&settings, &conf, (caps, limits), parts)?;
        let (process, prober) = (factory.process.clone(), factory.prober.clone());
        let live = RuntimeConfig::new(&settings, factory);
        let entry = entry(&live, &caps, is_alone);
        let mut services = ServiceSet::new(process.closing());
        let close = watch::Sender::new(false);
        let endpoint = endpoint(&settings, &live, &entry, &certificates)?;
        add_listeners(
            &mut services,
            &mut server,
            (endpoint, &close),
            &settings.listen,
            &live,
        );
        let (chains, shutdown) = (live.chains.clone(), live.shutdown.clone());
        let threads = housekeepers(&settings);
        let renewals = renewals(certificates, &metrics);
        let reload = source.map(|source| source.followed(settings, live));
        let meeting_place = upgrade_heads::meeting_place(&conf.upgrade_sock);
        let old_process = || (meeting_place.clone(), chains.clone().fleets());
        let housekeeping = BackgroundTasks {
            chains: Mutex::new(ChainSupervisor::new(obeyed)),
            prober,
            reload: reload.map(Mutex::new),
            renewals: renewals.into_iter().map(Mutex::new).collect(),
            old_process: is_upgrade.then(old_process),
        };
        #[cfg(feature = "otlp")]
        if let Some(exporter) = exporter {
            services.background(&mut server, ("traces", 1), exporter);
        }
        if let Some(shared) = shared {
            services.background(&mut server, ("shared", 1), StoreService(shared.store));
        }
        services.background(&mut server, ("housekeeping", threads), housekeeping);
        // Last: until then nothing is taken from a process that serves, and whatever fails has failed.
        server.bootstrap();
        Ok(App {
            server,
            chains,
            metrics,
            entry,
            tripwires: services.tripwires,
            shutdown,
            new_process: meeting_place,
            close,
        })
    }

    /// Runs until a signal ends it.
    pub fn run(self) {
        service::watch_panics(self.metrics);
        let grace = self.server.configuration.grace_period_seconds;
        let shutdown = GracefulShutdown {
            chains: self.chains,
            entry: self.entry,
            times: self.shutdown,
            grace: Duration::from_secs(grace.unwrap_or(0)),
            new_process: self.new_process,
            close: self.close,
        };
        self.server.run(RunArgs {
            shutdown_signal: Box::new(shutdown),
        });
    }
}

/// Pingora's server, without services so far.
fn server(mut conf: ServerConf, settings: &Settings, is_upgrade: bool) -> Server {
    // Only an upgrade waits for this: the shutdown that SIGTERM begins is over by then.
    conf.grace_period_seconds = Some(settings.shutdown.drain.as_secs());
    // `check` says so: we stay in the foreground.
    conf.daemon = false;
    let opt = Opt {
        upgrade: is_upgrade,
        ..Opt::default()
    };
    Server::new_with_opt_and_conf(opt, conf)
}

/// Threads of the background tasks.
fn housekeepers(settings: &Settings) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let chains = settings.all_chains().count();
    chains.clamp(1, HOUSEKEEPERS_MAX.min(cores))
}

/// What chains share; where they are several, a part is for what comes before its chain is known.
fn chains_caps(caps: &Caps, is_alone: bool) -> Caps {
    match is_alone {
        true => *caps,
        false => Caps {
            bodies: caps.bodies - caps.bodies / ENTRY_PART,
            unsent: caps.unsent - caps.unsent / ENTRY_UNSENT_PART,
            ..*caps
        },
    }
}

/// The admission of what comes before its chain is known; of one chain alone it is the chain's own.
fn entry(live: &RuntimeConfig, caps: &Caps, is_alone: bool) -> Arc<Admission> {
    let present = live.chains.now();
    match present.first().filter(|_| is_alone) {
        Some(state) => state.admission.clone(),
        None => {
            let part = Caps {
                bodies: caps.bodies / ENTRY_PART,
                unsent: caps.unsent / ENTRY_UNSENT_PART,
                ..*caps
            };
            let share = Arc::new(ChainShare::alone(&part));
            Arc::new(Admission::of(live.factory.process.clone(), share, 0))
        }
    }
}

fn renewals(
    certificates: Vec<Arc<ListenerCertificate>>,
    metrics: &Arc<ProcessMetrics>,
) -> Vec<CertificateReload> {
    let renewals = certificates
        .into_iter()
        .map(|certificate| CertificateReload {
            certificate,
            metrics: metrics.clone(),
            told: None,
        });
    renewals.collect()
}

/// The endpoint, and the listeners that it waits for: calls are looked after from the start.
fn add_listeners(
    services: &mut ServiceSet,
    server: &mut Server,
    (endpoint, close): (Listeners<ClientAcceptor>, &watch::Sender<bool>),
    listen: &ListenSettings,
    live: &RuntimeConfig,
) {
    let endpoint = ClosableService {
        service: endpoint,
        close: close.subscribe(),
    };
    let endpoint = services.add(server, endpoint);
    if let Some(address) = listen.metrics {
        let app = MetricsApp {
            metrics: live.factory.metrics.clone(),
            chains: live.chains.clone(),
        };
        let scrape = Service::new("metrics".into(), HttpServer::new_app(app));
        let says = format!("metrics are at http://{address}/metrics");
        let listener = alone("metrics", scrape, address, says);
        endpoint.add_dependency(services.add(server, listener));
    }
    if let Some(address) = listen.admin {
        let (auth, admin_chains) = (live.admin_auth.clone(), live.admin_chains.clone());
        let admin = AdminApp::new(auth, admin_chains, live.chains.clone());
        let admin = Service::new("admin".into(), admin);
        let says = format!("the status page and the admin API are at http://{address}/");
        let listener = alone("admin", admin, address, says);
        endpoint.add_dependency(services.add(server, listener));
    }
}

/// Pingora would panic later, and on another thread.
fn check_addresses(settings: &Settings) -> anyhow::Result<()> {
    for address in settings.listen.addresses() {
        TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))?;
    }
    Ok(())
}

fn endpoint(
    settings: &Settings,
    live: &RuntimeConfig,
    entry: &Arc<Admission>,
    certificates: &[Arc<ListenerCertificate>],
) -> anyhow::Result<Listeners<ClientAcceptor>> {
    let endpoint = Arc::new(Endpoint {
        chains: live.chains.clone(),
        entry: entry.clone(),
        metrics: live.factory.metrics.clone(),
        packs: settings.listen.compression,
    });
    let acceptor = ClientAcceptor::new(endpoint);
    let (urls, listeners): (Vec<_>, Vec<_>) = ways_in(&settings.listen, certificates)?
        .into_iter()
        .map(|(url, listener)| {
            let mut service = Service::new("endpoint".into(), acceptor.clone());
            // Each connection here reads and writes in large pieces, and a buffer would be held while idle, too.
            service.add_listener(listener.l4_buffer(L4BufferSettings::unbuffered()));
            (url, service)
        })
        .unzip();
    let (version, urls) = (env!("CARGO_PKG_VERSION"), urls.join(", "));
    let of = match &settings.chains[..] {
        [] => String::new(),
        chains => {
            let names: Vec<_> = chains.iter().map(|chain| chain.name.as_str()).collect();
            format!(", for {}", names.join(", "))
        }
    };
    Ok(Listeners {
        name: "endpoint",
        threads: None,
        listeners,
        says: format!("forebay {version} listens on {urls}{of}"),
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

//! What the operator tells us.
//!
//! Results go to stdout, logs and notes to stderr. Exit codes: 0 done, 1 refused input or
//! configuration, 2 usage, 3 not found, 4 registry or network out of reach.

pub mod backends;
pub mod check;
pub mod demo;
pub mod health;
mod nodes_table;
pub mod probe;
pub mod registry;
pub mod repair;
mod retained_nodes;
pub mod serve;
pub mod table;
pub mod upgrade;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use pingora::server::configuration::ServerConf;

use crate::app;
use crate::config::settings::{RegistryKind, Settings};
use crate::config::{self, Finding, ParsedConfig, Severity};
use crate::observe::logs::{self, LogFormat};
use crate::registry::validation::resolve_all;
use crate::registry::{Registry, differences};

/// A JSON-RPC load balancer for Ethereum nodes: healthy own nodes by weight, the leader as
/// fallback.
#[derive(Parser)]
#[command(name = "forebay", version)]
struct Arguments {
    /// The configuration
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        default_value = "conf/pingora.yaml"
    )]
    config: PathBuf,
    /// How logs look on stderr; FOREBAY_LOG=info,forebay=debug says how much
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: LogFormatArgument,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormatArgument {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Run the balancer in the foreground
    Serve {
        /// Take the sockets over from a running balancer
        #[arg(long)]
        upgrade: bool,
    },
    /// Take over from a running balancer with this program and this configuration
    Upgrade {
        /// The running process [default: what systemd says]
        #[arg(long)]
        pid: Option<i32>,
    },
    /// See a balancer at work: pretend nodes that lag, die and return, in one terminal
    Demo(demo::DemoArguments),
    /// Ask a running balancer whether it is ready: exit code 0 or 1
    Health,
    /// Name every mistake and every unwise setting of the configuration at once
    Check {
        /// Print the whole configuration as it is taken, defaults and all, secrets hidden
        #[arg(long, conflicts_with = "schema")]
        print: bool,
        /// Print the JSON Schema of configurations, for editors
        #[arg(long)]
        schema: bool,
        /// Print the reference page of the settings
        #[arg(long, hide = true, conflicts_with_all = ["print", "schema"])]
        reference: bool,
    },
    /// Add, list, change and remove nodes; a running balancer follows
    #[command(subcommand)]
    Backends(registry::RegistryCommand),
    /// Ask all nodes once, and say who is fit and why
    Probe {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// A command that failed: what to say, and the exit code.
pub struct CommandError {
    code: u8,
    why: String,
}

impl CommandError {
    pub fn refused(why: impl ToString) -> CommandError {
        CommandError {
            code: 1,
            why: why.to_string(),
        }
    }

    pub fn out_of_reach(why: impl ToString) -> CommandError {
        CommandError {
            code: 4,
            why: why.to_string(),
        }
    }
}

/// The program's arguments, for whoever describes them.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let format = match arguments.log_format {
        LogFormatArgument::Text => LogFormat::Text,
        LogFormatArgument::Json => LogFormat::Json,
    };
    // The demo's view has the terminal; the balancer's sentences would break into it.
    let unless_told = if matches!(arguments.command, Command::Demo(_)) {
        logs::ERRORS_ALONE
    } else {
        logs::EVERYDAY
    };
    if let Err(why) = logs::init(format, unless_told) {
        // The command can be carried out all the same.
        drop(writeln!(io::stderr(), "there will be no logs: {why}"));
    }
    match obey(arguments.command, &arguments.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.why.is_empty() {
                drop(writeln!(io::stderr(), "forebay: {}", failure.why));
            }
            ExitCode::from(failure.code)
        }
    }
}

fn obey(command: Command, path: &Path) -> Result<(), CommandError> {
    match command {
        Command::Serve { upgrade } => serve::run(path, upgrade),
        Command::Upgrade { pid } => upgrade::run(path, pid),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Health => health::run(&settings(path, ConfigScope::Listeners)?.0.listen),
        Command::Check { schema: true, .. } => {
            let schema = writeln!(io::stdout(), "{:#}", config::schema());
            schema.map_err(CommandError::refused)
        }
        Command::Check {
            reference: true, ..
        } => {
            let page = config::reference();
            let written = io::stdout().write_all(page.as_bytes());
            written.map_err(CommandError::refused)
        }
        Command::Check { print: true, .. } => {
            let (settings, pingora, _) = configuration(path)?;
            let shown = config::shown(&settings, &pingora);
            io::stdout()
                .write_all(shown.as_bytes())
                .map_err(CommandError::refused)
        }
        Command::Check { .. } => match check::check(path, &mut io::stdout()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(CommandError::refused("")),
            Err(why) => Err(CommandError::refused(why)),
        },
        Command::Backends(command) => {
            registry::run(command, &settings(path, ConfigScope::Nodes)?.0)
        }
        Command::Probe { json } => probe(path, json),
    }
}

fn probe(path: &Path, json: bool) -> Result<(), CommandError> {
    let (settings, conf) = settings(path, ConfigScope::Nodes)?;
    let registry = registry(&settings)?;
    runtime()?.block_on(async {
        let listing = registry.list_following(&settings.nodes).await;
        let listing = listing.map_err(CommandError::out_of_reach)?;
        let is_new = listing.items.is_empty() && listing.rejected.is_empty();
        let environment = app::nodes_environment();
        if !is_new {
            let follows = settings.registry.kind == RegistryKind::Embedded;
            let told = differences::told(&settings.nodes, &listing.items, follows, &*environment);
            for sentence in told {
                drop(writeln!(
                    io::stderr(),
                    "note: not as in the file: {sentence}"
                ));
            }
        }
        let found = listing.items.into_iter().map(|item| item.record);
        let records = if is_new {
            settings.nodes.clone()
        } else {
            found.collect()
        };
        let (specs, unresolved) = resolve_all(&records, &*environment);
        let rejected = [listing.rejected, unresolved].concat();
        probe::run(
            &specs,
            &rejected,
            &settings,
            conf.ca_file.as_deref(),
            json,
            &mut io::stdout(),
        )
        .await
        .map_err(CommandError::refused)
    })
}

/// What of the configuration a command works by.
#[derive(Clone, Copy)]
enum ConfigScope {
    Listeners,
    /// And the registry, and by what nodes are judged.
    Nodes,
}

impl ConfigScope {
    /// Whether the command can do without what stands wrong at `key`: the balancer's environment has
    /// variables that its operator's may lack.
    fn can_do_without(self, key: &str) -> bool {
        let rest = key.strip_prefix("forebay.").unwrap_or_default();
        let group = rest.split(['.', '[']).next().unwrap_or_default();
        let groups = config::groups();
        let passed = match self {
            ConfigScope::Listeners => &groups[..],
            ConfigScope::Nodes => &["nodes", "admin", "otlp", "cors", "cloudwatch"],
        };
        group != "listen" && passed.contains(&group)
    }
}

/// Reads what of the configuration is needed; mistakes in it go to stderr.
fn settings(path: &Path, needs: ConfigScope) -> Result<(Settings, ServerConf), CommandError> {
    let (_, reading) = reading(path)?;
    let is_fatal = |finding: &&Finding| {
        finding.severity == Severity::Error && !needs.can_do_without(&finding.key)
    };
    let fatal: Vec<_> = reading.findings.iter().filter(is_fatal).cloned().collect();
    match (needs, reading.partial, reading.pingora) {
        (ConfigScope::Listeners, Some(settings), server) if fatal.is_empty() => {
            Ok((settings, server.unwrap_or_default()))
        }
        (ConfigScope::Nodes, Some(settings), Some(server)) if fatal.is_empty() => {
            tell(path, &reading.findings);
            Ok((settings, server))
        }
        _ => {
            tell(path, &reading.findings);
            Err(CommandError::refused("the configuration has mistakes"))
        }
    }
}

fn reading(path: &Path) -> Result<(Vec<u8>, ParsedConfig), CommandError> {
    let environment = app::environment();
    let bytes = config::bytes_at(path)
        .map_err(|why| CommandError::refused(format!("{}: {why}", path.display())))?;
    let reading = config::read_at(path, &bytes, &*environment);
    Ok((bytes, reading))
}

/// Reads all of the configuration; its mistakes go to stderr. With the bytes of the file.
fn configuration(path: &Path) -> Result<(Settings, ServerConf, Vec<u8>), CommandError> {
    let (bytes, reading) = reading(path)?;
    tell(path, &reading.findings);
    match (reading.settings, reading.pingora) {
        (Some(settings), Some(pingora)) => Ok((settings, pingora, bytes)),
        _ => Err(CommandError::refused("the configuration has mistakes")),
    }
}

fn tell(path: &Path, findings: &[Finding]) {
    for finding in findings {
        drop(writeln!(io::stderr(), "{}:{finding}", path.display()));
    }
}

/// Refuses a configuration whose certificates can't be shown.
fn refuse_unfit(path: &Path, bytes: &[u8], settings: &Settings) -> Result<(), CommandError> {
    let unfit = certificate_findings(bytes, settings);
    tell(path, &unfit);
    match unfit.is_empty() {
        true => Ok(()),
        false => Err(CommandError::refused("the configuration has mistakes")),
    }
}

/// What is wrong with the certificates that the configuration `bytes` names.
fn certificate_findings(bytes: &[u8], settings: &Settings) -> Vec<Finding> {
    let unfit = app::unfit_certificates(settings).into_iter();
    unfit
        .map(|(at, why)| config::mistake(bytes, format!("forebay.listen.https[{at}]"), &why))
        .collect()
}

fn registry(settings: &Settings) -> Result<Arc<dyn Registry>, CommandError> {
    open(settings.registry.kind, settings)
}

/// One that is made where there was none is told: it may not be the one that was meant.
fn open(kind: RegistryKind, settings: &Settings) -> Result<Arc<dyn Registry>, CommandError> {
    let path = &settings.registry.path;
    let is_new = kind == RegistryKind::Embedded && !path.exists();
    let opened =
        app::open_registry(kind, &settings.registry).map_err(CommandError::out_of_reach)?;
    if is_new {
        drop(writeln!(
            io::stderr(),
            "note: a new registry is made at {}",
            path.display()
        ));
    }
    Ok(opened)
}

fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(CommandError::out_of_reach)
}

//! What the operator tells us.
//!
//! Results go to stdout, logs and notes to stderr. Exit codes: 0 done, 1 refused input or
//! configuration, 2 usage, 3 not found, 4 registry or network out of reach.

pub mod backends;
pub mod check;
pub mod demo;
pub mod health;
pub mod probe;
pub mod registries;
pub mod serve;
pub mod table;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};
use pingora::server::configuration::ServerConf;

use crate::app;
use crate::config::settings::Settings;
use crate::config::{self};
use crate::domain::node::NodeSpec;
use crate::registry::Registry;
use crate::telemetry::logs::{self, LogFormat};

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
    log_format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
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
    /// See a balancer at work: pretend nodes that lag, die and return, in one terminal
    Demo(demo::Arguments),
    /// Ask a running balancer whether it is ready: exit code 0 or 1
    Health,
    /// Name every mistake and every unwise setting of the configuration at once
    Check,
    /// Add, list, change and remove nodes; a running balancer follows
    #[command(subcommand)]
    Backends(registries::Registries),
    /// Ask all nodes once, and say who is fit and why
    Probe {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// A command that failed: what to say, and the exit code.
pub struct Failure {
    code: u8,
    why: String,
}

impl Failure {
    pub fn refused(why: impl ToString) -> Failure {
        Failure {
            code: 1,
            why: why.to_string(),
        }
    }

    pub fn out_of_reach(why: impl ToString) -> Failure {
        Failure {
            code: 4,
            why: why.to_string(),
        }
    }
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let format = match arguments.log_format {
        Format::Text => LogFormat::Text,
        Format::Json => LogFormat::Json,
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

fn obey(command: Command, path: &Path) -> Result<(), Failure> {
    match command {
        Command::Serve { upgrade } => serve::run(path, upgrade),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Health => health::run(&settings(path)?.0),
        Command::Check => match check::check(path, &mut io::stdout()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::refused("")),
            Err(why) => Err(Failure::refused(why)),
        },
        Command::Backends(command) => registries::run(command, &settings(path)?.0),
        Command::Probe { json } => probe(path, json),
    }
}

fn probe(path: &Path, json: bool) -> Result<(), Failure> {
    let (settings, conf) = settings(path)?;
    let registry = registry(&settings)?;
    runtime()?.block_on(async {
        let listing = registry.list().await.map_err(Failure::out_of_reach)?;
        let is_new = listing.items.is_empty() && listing.rejected.is_empty();
        let found = listing.items.into_iter().map(|item| item.record);
        let records = if is_new {
            settings.nodes.clone()
        } else {
            found.collect()
        };
        let environment = app::nodes_environment();
        let (mut specs, mut rejected): (Vec<NodeSpec>, _) = (Vec::new(), listing.rejected);
        for record in records {
            match record.resolve(&*environment) {
                Ok(spec) => specs.push(spec),
                Err(why) => rejected.push(format!(
                    "{}: {why}",
                    record.name.as_deref().unwrap_or("a node")
                )),
            }
        }
        probe::run(
            &specs,
            &rejected,
            &settings,
            conf.ca_file.as_deref(),
            json,
            &mut io::stdout(),
        )
        .await
        .map_err(Failure::refused)
    })
}

/// Reads the configuration; its mistakes go to stderr.
fn settings(path: &Path) -> Result<(Settings, ServerConf), Failure> {
    let (settings, conf, _) = configuration(path)?;
    Ok((settings, conf))
}

/// The same, with the bytes of the file.
fn configuration(path: &Path) -> Result<(Settings, ServerConf, Vec<u8>), Failure> {
    let environment = app::environment();
    let bytes = config::bytes_at(path)
        .map_err(|why| Failure::refused(format!("{}: {why}", path.display())))?;
    let reading = config::read_bytes(&bytes, &*environment);
    for finding in &reading.findings {
        drop(writeln!(io::stderr(), "{}:{finding}", path.display()));
    }
    match (reading.settings, reading.pingora) {
        (Some(settings), Some(pingora)) => Ok((settings, pingora, bytes)),
        _ => Err(Failure::refused("the configuration has mistakes")),
    }
}

fn registry(settings: &Settings) -> Result<Arc<dyn Registry>, Failure> {
    app::open_registry(settings.registry.kind, &settings.registry).map_err(Failure::out_of_reach)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Failure::out_of_reach)
}

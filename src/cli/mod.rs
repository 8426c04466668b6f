//! The commands.
//!
//! Results go to stdout, logs and notes to stderr. Exit codes: 0 done, 1 refused input or
//! configuration, 2 usage, 3 not found, 4 registry or network out of reach.
//!
//! In reading order: the arguments, here; `setup`, what commands begin with, and `error`, how they fail;
//! then a file for each command: [`serve`], [`upgrade`], [`check`], [`health`], [`probe`], [`cache`], [`registry`]
//! (with [`backends`] and its [`backend_error`], [`repair`] and `retained_nodes`, and its `nodes_table` drawn by [`table`]), [`demo`].

pub mod backend_error;
pub mod backends;
pub mod cache;
pub mod check;
pub mod demo;
mod error;
pub mod health;
mod nodes_table;
mod other_chains;
pub mod probe;
pub mod registry;
pub mod repair;
mod retained_nodes;
pub mod serve;
mod setup;
pub mod table;
pub mod upgrade;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::app;
use crate::cli::error::CommandError;
use crate::cli::setup::{ConfigScope, configuration, registry as open_registry, runtime, settings};
use crate::config;
use crate::config::settings::RegistryKind;
use crate::observe::logs::{self, LogFormat};
use crate::registry::differences;
use crate::registry::validation::resolve_all;
use forebay_core::vocabulary::chain::ChainName;

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
    Backends {
        /// Of this chain [default: the only one, or the one with `default: true`]
        #[arg(long, value_name = "NAME", global = true)]
        chain: Option<ChainName>,
        #[command(subcommand)]
        command: registry::RegistryCommand,
    },
    /// Let answers go that a running balancer keeps
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    /// Ask all nodes once, and say which are fit and why
    Probe {
        /// Of this chain [default: the only one, or the one with `default: true`]
        #[arg(long, value_name = "NAME")]
        chain: Option<ChainName>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The program's arguments, for code that describes them.
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
        Command::Check { schema: true, .. } => show(&format!("{:#}\n", config::schema())),
        Command::Check {
            reference: true, ..
        } => show(&config::reference()),
        Command::Check { print: true, .. } => {
            let (settings, pingora, _) = configuration(path)?;
            show(&config::shown(&settings, &pingora))
        }
        Command::Check { .. } => match check::check(path, &mut io::stdout()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(CommandError::refused("")),
            Err(why) => Err(CommandError::refused(why)),
        },
        Command::Backends { chain, command } => {
            let (settings, _) = settings(path, ConfigScope::Nodes)?;
            registry::run(command, &settings, chain.as_ref())
        }
        Command::Cache(command) => cache::run(&command, &configuration(path)?.0),
        Command::Probe { chain, json } => probe(path, chain.as_ref(), json),
    }
}

fn show(text: &str) -> Result<(), CommandError> {
    let written = io::stdout().write_all(text.as_bytes());
    written.map_err(CommandError::refused)
}

fn probe(path: &Path, chain: Option<&ChainName>, json: bool) -> Result<(), CommandError> {
    let (settings, conf) = settings(path, ConfigScope::Nodes)?;
    let chain = setup::chain(&settings, chain)?;
    let (registry, settings) = (open_registry(&chain)?, chain.settings);
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
            (&specs, &rejected),
            settings,
            &conf,
            json,
            &mut io::stdout(),
        )
        .await
        .map_err(CommandError::refused)
    })
}

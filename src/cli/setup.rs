//! What commands begin with: the configuration, the registry that it names, and a runtime.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use pingora::server::configuration::ServerConf;

use crate::app;
use crate::cli::error::CommandError;
use crate::config::settings::{RegistryKind, Settings};
use crate::config::{self, Finding, ParsedConfig, Severity};
use crate::registry::Registry;
use forebay_core::vocabulary::chain::ChainName;

/// What of the configuration a command works by.
#[derive(Clone, Copy)]
pub(super) enum ConfigScope {
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
pub(super) fn settings(
    path: &Path,
    needs: ConfigScope,
) -> Result<(Settings, ServerConf), CommandError> {
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
pub(super) fn configuration(path: &Path) -> Result<(Settings, ServerConf, Vec<u8>), CommandError> {
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
pub(super) fn refuse_unfit(
    path: &Path,
    bytes: &[u8],
    settings: &Settings,
) -> Result<(), CommandError> {
    let unfit = certificate_findings(bytes, settings);
    tell(path, &unfit);
    match unfit.is_empty() {
        true => Ok(()),
        false => Err(CommandError::refused("the configuration has mistakes")),
    }
}

/// What is wrong with the certificates that the configuration `bytes` names.
pub(super) fn certificate_findings(bytes: &[u8], settings: &Settings) -> Vec<Finding> {
    let unfit = app::unfit_certificates(settings).into_iter();
    unfit
        .map(|(at, why)| config::mistake(bytes, format!("forebay.listen.https[{at}]"), &why))
        .collect()
}

/// The chain that a command is about.
#[derive(Clone)]
pub(super) struct ChosenChain<'a> {
    /// As of one chain alone.
    pub settings: &'a Settings,
    /// Under which name its nodes are written down; `None`: as the default one's.
    pub stored_as: Option<ChainName>,
}

/// The chain called `name`, else the only one, or the default.
pub(super) fn chain<'a>(
    settings: &'a Settings,
    name: Option<&ChainName>,
) -> Result<ChosenChain<'a>, CommandError> {
    let is_default = |wanted: &ChainName| settings.stored_as(wanted).is_none();
    let is_it = |found: &ChainName| name.map_or_else(|| is_default(found), |name| name == found);
    let chosen = settings.all_chains().find(|(found, _)| is_it(found));
    let Some((found, of_chain)) = chosen else {
        let names = settings.all_chains().map(|(name, _)| name.to_string());
        let names = names.collect::<Vec<_>>().join(", ");
        return Err(CommandError::refused(match name {
            Some(name) => format!("there is no chain {name}; there are: {names}"),
            None => format!("name a chain with --chain, none is the default: {names}"),
        }));
    };
    Ok(ChosenChain {
        settings: of_chain,
        stored_as: settings.stored_as(&found).cloned(),
    })
}

/// One that is made where there was none is told: it may not be the one that was meant.
pub(super) fn open(
    kind: RegistryKind,
    chain: &ChosenChain<'_>,
) -> Result<Arc<dyn Registry>, CommandError> {
    let settings = chain.settings;
    let path = &settings.registry.path;
    let is_new = kind == RegistryKind::Embedded && !path.exists();
    let opened =
        app::Registries::open(kind, &settings.registry).map_err(CommandError::out_of_reach)?;
    if is_new {
        drop(writeln!(
            io::stderr(),
            "note: a new registry is made at {}",
            path.display()
        ));
    }
    Ok(opened.of_chain(chain.stored_as.as_ref(), &settings.registry))
}

/// That of the configuration.
pub(super) fn registry(chain: &ChosenChain<'_>) -> Result<Arc<dyn Registry>, CommandError> {
    open(chain.settings.registry.kind, chain)
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(CommandError::out_of_reach)
}

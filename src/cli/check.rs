//! `forebay check`: every mistake and every unwise setting of a configuration at once.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::app;
use crate::config::settings::{RegistryKind, Settings};
use crate::config::{self, Finding, Severity};
use crate::registry::{Registry as _, differences};
use forebay_core::vocabulary::chain::ChainName;

/// So long a table may take to be compared with the file.
const TABLE_PATIENCE: Duration = Duration::from_secs(3);

/// Writes the findings on the configuration at `path` to `out`, one a line in the order of the
/// file (`conf/pingora.yaml:12: error: forebay.health.intervall: unknown key; …`), and a summary.
/// `true` means no mistakes; there may be warnings.
///
/// # Errors
/// When the file can't be read (the message names it; nothing is written then) or `out` not
/// written.
pub fn check(path: &Path, out: &mut impl io::Write) -> io::Result<bool> {
    let environment = |name: &str| std::env::var(name).ok();
    let bytes = config::bytes_at(path)
        .map_err(|why| io::Error::new(why.kind(), format!("{}: {why}", path.display())))?;
    let reading = config::read_at(path, &bytes, &environment);
    let mut findings = reading.findings;
    if let Some(settings) = &reading.settings {
        findings.extend(super::setup::certificate_findings(&bytes, settings));
        findings.extend(table_findings(&bytes, settings));
    }
    for finding in &findings {
        writeln!(out, "{}:{finding}", path.display())?;
    }
    let summary = summary(&findings);
    writeln!(out, "{}: {summary}", path.display())?;
    let is_error = |finding: &Finding| finding.severity == Severity::Error;
    Ok(reading.settings.is_some() && !findings.iter().any(is_error))
}

/// How a shared table differs from the nodes that it was once filled with.
fn table_findings(bytes: &[u8], settings: &Settings) -> Vec<Finding> {
    if settings.registry.kind != RegistryKind::Dynamo {
        return Vec::new();
    }
    let has_nodes = |(_, of_chain): &(ChainName, &Settings)| !of_chain.nodes.is_empty();
    let told = settings.all_chains().filter(has_nodes);
    let told = told.flat_map(|(name, of_chain)| {
        let told = differences_of(of_chain);
        let told =
            told.unwrap_or_else(|why| vec![format!("the table can't be compared with it: {why}")]);
        let key = match settings.chains.is_empty() {
            true => "forebay.nodes".to_string(),
            false => format!("forebay.chains.{name}.nodes"),
        };
        told.into_iter()
            .map(move |sentence| (key.clone(), sentence))
    });
    let warning = |(key, sentence): (String, String)| Finding {
        severity: Severity::Warning,
        ..config::mistake(bytes, key, &format!("the table rules: {sentence}"))
    };
    told.map(warning).collect()
}

fn differences_of(settings: &Settings) -> Result<Vec<String>, String> {
    let runtime = super::setup::runtime().map_err(|failure| failure.why)?;
    let registry = app::dynamo(&settings.registry);
    let listed = async { tokio::time::timeout(TABLE_PATIENCE, registry.list()).await };
    let listing = match runtime.block_on(listed) {
        Ok(listed) => listed.map_err(|why| why.to_string())?,
        Err(_) => return Err("no answer".to_string()),
    };
    if listing.is_unwritten {
        return Ok(Vec::new());
    }
    let environment = app::nodes_environment();
    let (nodes, items) = (&settings.nodes, &listing.items);
    Ok(differences::told(nodes, items, false, &*environment))
}

fn summary(findings: &[Finding]) -> String {
    let count = |severity| {
        let of_kind = findings
            .iter()
            .filter(|finding| finding.severity == severity);
        of_kind.count()
    };
    let errors = counted(count(Severity::Error), "error");
    let warnings = counted(count(Severity::Warning), "warning");
    format!("{errors}, {warnings}")
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pingora.yaml");
        std::fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        let good = check(&path, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        (good, out.replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn each_mistake_is_a_line_and_a_summary_follows() {
        let text = "version: 1\nforebay:\n  health:\n    intervall: 5s\n";
        let expected = "FILE:1: warning: threads: left out: one thread; write the number of cores\n\
                        FILE:4: error: forebay.health.intervall: unknown key; did you mean `interval`?\n\
                        FILE: 1 error, 1 warning\n";
        assert_eq!(checked(text), (false, expected.to_string()));
    }

    #[test]
    fn warnings_alone_are_no_failure() {
        let (good, out) = checked("threads: 1\n");
        assert!(good);
        assert!(out.ends_with("FILE: no errors, 1 warning\n"), "{out}");
        let (good, out) = checked("version: 1\nthreads: 1\n");
        assert_eq!(
            (good, out.as_str()),
            (true, "FILE: no errors, no warnings\n")
        );
    }

    #[test]
    fn a_file_that_can_not_be_read_is_named() {
        let mut out = Vec::new();
        let why = check(Path::new("nowhere/c.yaml"), &mut out).unwrap_err();
        assert!(why.to_string().starts_with("nowhere/c.yaml: "), "{why}");
        assert!(out.is_empty());
    }
}

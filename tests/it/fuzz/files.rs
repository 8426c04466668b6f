//! What is read from files. Each check panics when what must hold does not.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use forebay::config::{self, FINDINGS_MAX, Severity};
use forebay::registry::last_list::{self, LastListFile};
use tempfile::TempDir;

/// The half of the key that the environment holds, which nothing may show: another for each file, so that none says it by
/// itself where everybody may read it (a fuzzer learns what is compared).
fn half_key(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn environment(half_key: &str) -> impl Fn(&str) -> Option<String> {
    move |name| (name == "KEY").then(|| half_key.repeat(2))
}

/// The last list on disk: what was read is written the same, and resolving it shows no secret.
pub fn list(bytes: &[u8]) {
    let secret = half_key(bytes);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("list.json");
    fs::write(&path, bytes).unwrap();
    let Ok(records) = last_list::load(&LastListFile::new(&path, None)) else {
        return;
    };
    let copy = LastListFile::new(&folder.path().join("copy.json"), None);
    last_list::save(&copy, &records).unwrap();
    assert!(last_list::load(&copy).unwrap() == records);
    // What stands up to the host is shown by design.
    let shows_key = |url: &String| url.splitn(4, '/').take(3).any(|part| part.contains("${"));
    for record in &records {
        if shows_key(&record.url) || record.ws_url.as_ref().is_some_and(shows_key) {
            continue;
        }
        match record.resolve(&environment(&secret)) {
            Ok(spec) => {
                assert!(!format!("{spec:?}{record:?}").contains(&secret));
                assert!(!spec.url.identity().is_empty());
                assert_eq!(spec.weight, record.weight);
            }
            Err(fault) => assert!(!fault.to_string().contains(&secret), "{fault}"),
        }
    }
}

/// A configuration: every mistake has its line, and none shows what the environment holds.
pub fn settings(bytes: &[u8]) {
    let secret = half_key(bytes);
    let read = config::read(bytes, &environment(&secret));
    let is_error = |finding: &config::Finding| finding.severity == Severity::Error;
    let has_errors = read.findings.iter().any(is_error);
    assert_eq!(read.settings.is_some(), !has_errors);
    assert!(has_errors || read.pingora.is_some());
    assert!(read.findings.len() <= FINDINGS_MAX + 1);
    // A lone carriage return ends a line, too (YAML 1.2 §5.4).
    let ends = bytes.iter().filter(|byte| [b'\n', b'\r'].contains(byte));
    let lines = ends.count() + 2;
    for finding in &read.findings {
        let said = finding.to_string();
        assert!((1..=lines).contains(&finding.line), "{said}");
        assert!(!said.contains(['\n', '\u{1b}', '\r']), "{said:?}");
        assert!(!said.contains(&secret), "{said:?}");
    }
}

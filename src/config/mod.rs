//! Text into meaning: a file read into settings, with every mistake told at once.
//!
//! In reading order:
//! - [`settings`], what comes out, all in one table (`settings::table`), and `times` in them
//! - `yaml`, a tree that knows its lines; `finding`, a mistake with its place; `field`, values by key, their
//!   forms from [`quantity`], near misses from `suggestion`
//! - `from_file`, all of `forebay:`, by groups: `listen` (and `listeners`), `registry`, `nodes` (and `node_purpose`), `admin`, `cors`,
//!   `observability`, `sockets`, `otlp`, `limits`, `shared`; and `server`, Pingora's own keys
//! - `chains`, each of which is read as if it were alone (`known_chain`, `chain_places`, `chain_printout`, `chain_change`,
//!   `chain_schema`)
//! - [`folders`], where relative paths lead; `advice`, what works and is unwise
//! - [`change`], what a file that was read again changes
//! - `printout`, written by `yaml_writer`; `schema`, made of the `shape`s that readers look for

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use pingora::server::configuration::ServerConf;

mod admin;
mod advice;
mod by_method;
mod calls;
mod chain_change;
mod chain_places;
mod chain_printout;
mod chain_schema;
mod chains;
pub mod change;
mod complaints;
mod cors;
mod field;
mod finding;
mod fit;
pub mod folders;
mod form;
mod from_file;
mod health;
mod hidden;
mod host_name;
mod known_chain;
mod limits;
mod listen;
mod listeners;
mod method_effects;
mod node_purpose;
mod nodes;
mod observability;
mod otlp;
mod printout;
pub mod quantity;
mod reference;
mod registry;
mod schema;
mod server;
mod setting;
pub mod settings;
mod shape;
mod shared;
mod sockets;
mod suggestion;
mod times;
mod yaml;
mod yaml_writer;

pub use finding::{FINDINGS_MAX, Finding, Severity};

pub use crate::config::printout::text as shown;
pub use chain_change::refusal;
pub use nodes::is_local;
pub use reference::reference;
pub use schema::schema;

use crate::config::field::ReadContext;
use crate::config::folders::ConfigFolders;
use crate::config::yaml::{YamlNode, YamlValue};
use field::Field;
use finding::Findings;
use settings::{RegistryKind, Settings};

/// The groups under `forebay:`.
pub fn groups() -> Vec<&'static str> {
    from_file::keys_below(&settings::table(), "")
}

/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// What a file says, and what there is to say about it.
#[derive(Debug)]
pub struct ParsedConfig {
    /// There if, and only if, no finding is an error.
    pub settings: Option<Settings>,
    /// What of it could be read, whatever else is wrong: defaults stand in for the rest.
    pub partial: Option<Settings>,
    /// Pingora's own keys; there if they can be read, whatever stands under `forebay:`.
    pub pingora: Option<ServerConf>,
    /// By line.
    pub findings: Vec<Finding>,
}

impl ParsedConfig {
    fn refused(message: String) -> ParsedConfig {
        let findings = Findings::default();
        findings.error(1, "", message);
        ParsedConfig {
            settings: None,
            partial: None,
            pingora: None,
            findings: findings.into_sorted(),
        }
    }
}

/// Reads a configuration; `lookup` is the environment. Every mistake is among the findings,
/// except that a text which isn't YAML has only its first.
pub fn read(
    text: &(impl AsRef<[u8]> + ?Sized),
    lookup: &dyn Fn(&str) -> Option<String>,
) -> ParsedConfig {
    let bytes = text.as_ref();
    if bytes.len() > FILE_BYTES_MAX {
        return ParsedConfig::refused(format!("larger than {FILE_BYTES_MAX} bytes"));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return ParsedConfig::refused("not a text in UTF-8".to_string());
    };
    let findings = Findings::default();
    let (settings, pingora) = match yaml::parse(text, &findings) {
        Some(root) => document(&root, lookup, &findings),
        None => (None, None),
    };
    ParsedConfig {
        settings: settings.clone().filter(|_| findings.errors() == 0),
        partial: settings,
        pingora,
        findings: findings.into_sorted(),
    }
}

/// The bytes of the file at `path`, or so many of them that [`read`] sees that it is too
/// large.
///
/// # Errors
/// When the file can't be opened or read.
pub fn bytes_at(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the configuration that stands at `path`: as [`read`], its [paths](places) absolute.
pub fn read_at(path: &Path, bytes: &[u8], lookup: &dyn Fn(&str) -> Option<String>) -> ParsedConfig {
    let mut reading = read(bytes, lookup);
    let places = ConfigFolders::of(path);
    if let Some(settings) = &reading.settings
        && settings.registry.kind == RegistryKind::Embedded
    {
        let others = places.others(&settings.registry.path).into_iter();
        let lead = places.lead(&settings.registry.path);
        reading.findings.extend(others.map(|other| Finding {
            severity: Severity::Warning,
            ..mistake(
                bytes,
                "forebay.registry.path".to_string(),
                &format!(
                    "there is another registry at {}; {} is used: write the whole path of the right one",
                    other.display(),
                    lead.display()
                ),
            )
        }));
    }
    for settings in [&mut reading.settings, &mut reading.partial]
        .into_iter()
        .flatten()
    {
        places.put_into(settings);
    }
    if let Some(server) = &mut reading.pingora {
        places.put_ca_file(server);
    }
    reading
}

/// A mistake at `key` that shows only when what the configuration names is looked at.
pub fn mistake(bytes: &[u8], key: String, why: &impl ToString) -> Finding {
    let text = String::from_utf8_lossy(bytes);
    let root = yaml::parse(&text, &Findings::default());
    Finding {
        severity: Severity::Error,
        line: root.map_or(1, |root| root.line_of(&key)),
        key,
        message: why.to_string(),
    }
}

fn document(
    root: &YamlNode,
    lookup: &dyn Fn(&str) -> Option<String>,
    findings: &Findings,
) -> (Option<Settings>, Option<ServerConf>) {
    let context = ReadContext {
        lookup,
        root,
        findings,
        recorder: None,
    };
    let whole = Field::new(&context, String::new(), root.line, Some(root));
    let entries = whole.entries();
    if !root.is_null() && !matches!(root.value, YamlValue::Mapping(_)) {
        return (None, None);
    }
    let server = server::server(&context, entries);
    if let Some(server) = &server {
        advice::on_server(&context, server);
    }
    let forebay = entries.iter().find(|entry| entry.key == server::FOREBAY);
    let field = Field::new(
        &context,
        server::FOREBAY.to_string(),
        forebay.map_or(root.line, |entry| entry.line),
        forebay.map(|entry| &entry.node),
    );
    let mut settings = from_file::settings(&context, &field);
    advice::on_settings(&context, &settings);
    chains::read(&context, &field, &mut settings);
    (Some(settings), server)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::settings::Consistency;
    use super::*;
    use crate::config::settings::{CloudWatchSettings, NoneFitPolicy, SharedKind};

    const SHIPPED: &str = include_str!("../../conf/pingora.yaml");

    /// Everything that can be written for one chain, none of it at its default.
    pub(super) const FULL: &str = r#"
version: 1
threads: "${THREADS:-4}"
user: "${NUMBER}"
client_bind_to_ipv4: ["10.0.0.5"]
forebay:
  chain: { id: "${CHAIN:-5}", block_time: 500ms }
  listen:
    http: ["127.0.0.1:${NUMBER}", "[::1]:8545"]
    https: [{ address: "0.0.0.0:8443", certificate: c.pem, key: k.pem, h2: false }]
    metrics: off
    admin: "127.0.0.1:9091"
    trusted_proxies: ["10.0.0.0/8", "fd00::/8"]
    compression: on
    trail_for: ["10.9.0.0/16"]
  registry: { kind: dynamodb, path: "${EMPTY:-x}.db", table: tab, endpoint: "http://e", lease: 1m, share_leader: true, refresh: 1m, last_list: l }
  shared: { kind: valkey, url: "rediss://cache.internal:6379" }
  nodes:
    - { url: "https://node.example/v3/${KEY}", leader: true, name: "${WORD}" }
    - url: http://10.0.0.11:8545
      ws: ws://10.0.0.11:8546
      weight: 2
      headers: { authorization: "Bearer ${KEY}" }
      in_flight_max: 40
      serves: ["eth_*", "!eth_getLogs"]
      recent_blocks: 128
    - { url: "http://10.0.0.12:8545", ws_url: "ws://h", fallback: true, leader: false, name: spare }
  health: { interval: 10s, leader_interval: 1h, timeout: 9999ms, lag_blocks_max: 0, rise: 1, fall: 2, syncing: ignore, sockets: false, required: [main] }
  calls:
    deadline: 7s
    attempt: 7s
    heavy: 8s
    retry_budget: { per_call: "${EMPTY:-0.5}", per_second: 1, burst: 1e3 }
    hedge: 1.5
    queue: 50ms
    by_method: { "debug_*": { attempt: 90s, deadline: 2m, hedge: off }, eth_getBalance: { hedge: 2 } }
    broadcast: 2
    leader_share: 0.5
    attempts_max: 10
    body_bytes_max: 1KiB
    batch_calls_max: "${NUMBER}"
    answer_bytes_max: 65536
    when_none_fit: refuse
  consistency: none
  methods: { allow: [txpool_content], deny: ["trace_*"], heavy: [eth_call], reads: ["bor_*"] }
  admin: { token: "${KEY}", hosts: [Forebay.internal] }
  cors: { origins: ["https://app.example", "${EMPTY}"], headers: [X-App] }
  cloudwatch: { namespace: A, service: "${WORD}", interval: 1h }
  log: { calls: 0.5 }
  sockets: { sockets_max: 9, per_address_max: 8, subscriptions_max: 7, messages_per_second: 6, ping_interval: 5s }
  otlp: { endpoint: "http://127.0.0.1:4318", headers: { X-Key: "${KEY}" }, service: "${WORD}", share: 0.5 }
  shutdown: { lame_duck: 0s, drain: 110s }
  cache: { memory: 100MiB, shared: false, never: ["eth_getCode"], no_cache: heed }
  limits: { memory: 1GiB }
"#;

    fn environment(name: &str) -> Option<String> {
        let value = match name {
            "KEY" => "s3cret",
            "NUMBER" => "700",
            "WORD" => "infura",
            "EMPTY" => "",
            _ => return None,
        };
        Some(value.to_string())
    }

    pub(super) fn reading(text: &str) -> ParsedConfig {
        read(text, &environment)
    }

    pub(super) fn told(reading: &ParsedConfig) -> Vec<String> {
        reading.findings.iter().map(ToString::to_string).collect()
    }

    /// The findings on what stands under `forebay:`, from line 3 on.
    pub(super) fn under_forebay(text: &str) -> Vec<String> {
        let reading = reading(&format!("{{version: 1, threads: 2, forebay: \n{text}\n}}"));
        let errors = reading
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        assert_eq!(reading.settings.is_some(), !errors);
        told(&reading)
    }

    /// That reading `text` under `forebay:` finds exactly one thing, and what.
    #[track_caller]
    pub(super) fn finds(text: &str, expected: &str) {
        let told = under_forebay(text);
        assert_eq!(told.len(), 1, "{text}: {told:#?}");
        assert!(told[0].contains(expected), "{text}: {told:#?}");
    }

    #[track_caller]
    pub(super) fn finds_nothing(text: &str) {
        assert_eq!(under_forebay(text), Vec::<String>::new(), "{text}");
    }

    #[test]
    fn the_shipped_file_has_no_mistake_and_says_the_defaults() {
        let reading = read(SHIPPED, &|_| None);
        assert_eq!(reading.findings, []);
        let settings = reading.settings.unwrap();
        let mut expected = Settings::default();
        // Left out, there is no admin listener.
        expected.listen.admin = Some(([127, 0, 0, 1], 9091).into());
        assert_eq!(format!("{settings:#?}"), format!("{expected:#?}"));
        let pingora = reading.pingora.unwrap();
        assert_eq!((pingora.version, pingora.threads), (1, 2));
        assert_eq!(pingora.upstream_keepalive_pool_size, 512);
    }

    #[test]
    fn what_the_shipped_file_offers_in_comments_can_be_written() {
        let offered: String = SHIPPED
        .lines()
        .map(|line| match line.trim_start().strip_prefix("# ") {
            Some(text) if text.starts_with("- {") => line.replacen("# ", "  ", 1),
            Some(text) if cfg!(feature = "otlp") && text.starts_with("otlp:") => {
                line.replacen("# ", "", 1)
            }
            Some(text) if ["id:", "leader_interval:", "cloudwatch:", "limits:", "cache:", "upgrade_sock:"].iter().any(|key| text.starts_with(key)) => {
                line.replacen("# ", "", 1)
            }
            _ => line.replace("nodes: []", "nodes:").replace("https: []", "https:"),
        } + "\n")
        .collect();
        let reading = read(&offered, &|name| {
            Some(format!("https://{}.example", name.replace('_', "-")))
        });
        assert_eq!(told(&reading), Vec::<String>::new());
        let settings = reading.settings.unwrap();
        assert_eq!((settings.nodes.len(), settings.listen.https.len()), (4, 1));
    }

    #[test]
    fn an_empty_file_or_section_means_the_defaults() {
        for text in [
            "",
            "version: 1\n",
            "forebay:\n",
            "forebay: {}\n",
            "forebay: ~\n",
            "forebay: {health: , calls: {deadline: }}",
        ] {
            let reading = reading(text);
            let settings = reading.settings.unwrap();
            assert_eq!(
                format!("{settings:?}"),
                format!("{:?}", Settings::default()),
                "{text}"
            );
            assert!(reading.pingora.is_some());
        }
    }

    #[test]
    fn the_full_configuration_has_every_key_and_none_at_its_default() {
        let root = yaml::parse(FULL, &Findings::default()).unwrap();
        let full = reading(FULL).settings.unwrap();
        let defaults = Settings {
            cloudwatch: Some(CloudWatchSettings::default()),
            ..Settings::default()
        };
        for setting in settings::table() {
            let key = setting.key;
            // They stand in place of `chain` and `nodes`.
            let is_wanted = key != "chains";
            assert_eq!(root.holds(&format!("forebay.{key}")), is_wanted, "{key}");
            // Groups alone; and whether there are traces is the program's matter.
            let is_apart = key == "cloudwatch" || key == "otlp" || key.starts_with("otlp.");
            if is_wanted && !is_apart {
                assert!(setting.value.differs(&defaults, &full), "{key}");
            }
        }
        for (key, _) in nodes::KEYS {
            let mut places = (0..full.nodes.len()).map(|at| format!("forebay.nodes[{at}].{key}"));
            assert!(places.any(|place| root.holds(&place)), "of a node: {key}");
        }
    }

    #[test]
    fn everything_that_can_be_written_arrives_as_meant() {
        let reading = reading(FULL);
        let mut findings = told(&reading);
        findings.retain(|said| {
            cfg!(feature = "otlp") || !said.contains("warning: forebay.otlp: has no effect")
        });
        assert_eq!(findings, Vec::<String>::new());
        let pingora = reading.pingora.unwrap();
        assert_eq!(pingora.threads, 4);
        assert_eq!(pingora.user.as_deref(), Some("700"));
        assert_eq!(pingora.client_bind_to_ipv4, ["10.0.0.5"]);
        let settings = reading.settings.unwrap();
        assert_eq!(settings.chain.id, Some(5));
        assert_eq!(settings.chain.block_time, Duration::from_millis(500));
        assert_eq!(settings.listen.http[0].to_string(), "127.0.0.1:700");
        assert!(!settings.listen.https[0].h2);
        assert_eq!(settings.listen.metrics, None);
        assert_eq!(settings.listen.trail_for[0].to_string(), "10.9.0.0/16");
        let proxies = settings.listen.trusted_proxies.iter();
        let proxies: Vec<_> = proxies.map(ToString::to_string).collect();
        assert_eq!(proxies, ["10.0.0.0/8", "fd00::/8"]);
        assert!(settings.listen.compression);
        assert_eq!(settings.cors.headers, ["x-app"]);
        assert_eq!(settings.registry.path.to_str(), Some("x.db"));
        assert_eq!(settings.registry.refresh, Duration::from_secs(60));
        assert_eq!(settings.health.leader_interval, Duration::from_secs(3600));
        assert_eq!(settings.health.timeout, Duration::from_millis(9999));
        assert_eq!(
            (settings.health.lag_blocks_max, settings.health.rise),
            (0, 1)
        );
        assert!(!settings.health.sockets && !settings.health.heeds_syncing);
        assert_eq!(settings.calls.retry_per_call, 0.5);
        assert_eq!(settings.calls.retry_burst, 1000.0);
        assert_eq!(settings.calls.leader_share, 0.5);
        assert_eq!(
            (settings.calls.hedge, settings.calls.queue),
            (Some(1.5), Duration::from_millis(50))
        );
        assert_eq!(
            (settings.calls.broadcast, settings.calls.by_method.len()),
            (2, 2)
        );
        assert_eq!(
            (
                settings.calls.body_bytes_max,
                settings.calls.batch_calls_max
            ),
            (1024, 700)
        );
        assert_eq!(settings.calls.answer_bytes_max, 65_536);
        assert_eq!(settings.calls.when_none_fit, NoneFitPolicy::Refuse);
        assert_eq!(settings.consistency, Consistency::None);
        assert_eq!(settings.methods.deny, ["trace_*"]);
        assert_eq!(settings.methods.reads, ["bor_*"]);
        assert_eq!(settings.admin.token.unwrap().reveal(), "s3cret");
        assert_eq!(settings.admin.hosts, ["forebay.internal"]);
        assert_eq!(settings.cors.origins, ["https://app.example"]);
        assert_eq!(settings.cloudwatch.unwrap().service, "infura");
        let sockets = &settings.sockets;
        assert_eq!((sockets.sockets_max, sockets.per_address_max), (9, Some(8)));
        assert_eq!(
            (sockets.subscriptions_max, sockets.messages_per_second),
            (7, 6)
        );
        assert_eq!(sockets.ping_interval, Duration::from_secs(5));
        assert_eq!(settings.log.calls, Some(0.5));
        assert_eq!(settings.health.required, ["main"]);
        assert_eq!(settings.shared.kind, SharedKind::Valkey);
        let share = settings.otlp.map(|otlp| otlp.share);
        assert_eq!(share, cfg!(feature = "otlp").then_some(0.5));
        assert_eq!(settings.shutdown.drain, Duration::from_secs(110));
    }

    #[test]
    fn every_mistake_is_told_at_once_and_in_the_order_of_the_file() {
        let text = "version: 1\nthreads: many\nforebay:\n  health:\n    intervall: 5s\n    rise: 0\n    \
                fall: [1]\n  calls:\n    deadline: 30\n    body_bytes_max: 5MB\n  nodes:\n    \
                - { name: x }\n    - { url: \"${NOPE}\" }\n  consistency: strict\n";
        assert_eq!(
            told(&reading(text)),
            [
                "2: error: threads: expected a whole number",
                "5: error: forebay.health.intervall: unknown key; did you mean `interval`?",
                "6: error: forebay.health.rise: must be 1 to 100, not `0`",
                "7: error: forebay.health.fall: expected a single value, found a list",
                "9: error: forebay.calls.deadline: expected a duration: a whole number and its unit, as in `500ms`, `5s`, `2m` or `1h`, found `30`",
                "10: error: forebay.calls.body_bytes_max: expected a size: a whole number of bytes, or one with a unit, as in `64KiB`, `5MiB` or `1GiB`, found `5MB`",
                "12: error: forebay.nodes[0]: `url` is missing",
                "13: error: forebay.nodes[1].url: the environment variable NOPE is not set",
                "14: error: forebay.consistency: expected monotonic or pinned or none, found `strict`",
            ]
        );
    }

    #[test]
    fn what_the_environment_holds_is_never_shown() {
        for text in [
            "{health: {rise: \"${KEY}\"}}",
            "{health: {interval: \"${KEY}\"}}",
            "{listen: {http: [\"${KEY}\"]}}",
            "{consistency: \"${KEY}\"}",
            "{nodes: [{url: \"${KEY}\", leader: true}]}",
            "{nodes: [{url: \"${KEY}://x\", leader: true}]}",
            "{nodes: [{url: \"ftp://a/${KEY}\", leader: true}]}",
            "{nodes: [{url: \"http://a:${KEY}\", leader: true}]}",
            "{nodes: [{url: http://a, leader: true, ws: \"${KEY}:b\"}]}",
            "{nodes: [{url: http://a, leader: true, headers: {host: \"${KEY}\"}}]}",
            "{nodes: [{url: http://a, leader: true, name: \"${KEY} x\"}]}",
            "{nodes: [{url: \"ftp://a/s3cret\", leader: true}]}",
            "{nodes: [\"http://a/s3cret\"]}",
            "{nodes: [{\"http://a/s3cret\": }, {url: http://a, leader: true}]}",
            "{admin: {token: [s3cret]}}",
            "{consistency: \"http://a/s3cret\"}",
            "{consistency: \"${http://a/s3cret}\"}",
        ] {
            let told = under_forebay(text);
            assert!(!told.is_empty(), "{text}");
            assert!(!told.concat().contains("s3cret"), "{text}: {told:#?}");
        }
        let told = under_forebay("{health: {rise: \"${KEY}\"}}");
        assert!(told[0].contains("what `${KEY}` stands for"), "{told:#?}");
        assert!(!format!("{:?}", reading(FULL)).contains("s3cret"));
    }

    #[test]
    fn a_file_that_is_no_configuration_is_told_so() {
        for (text, expected) in [
            ("- a\n", "expected a group of keys, found a list"),
            ("hello\n", "expected a group of keys, found a single value"),
            (
                "version: 1\nforebay:\n\thealth: {}\n",
                "3: error: a tab can't indent",
            ),
            ("a\u{0}b", "U+0000"),
        ] {
            let reading = reading(text);
            assert!(reading.settings.is_none());
            assert!(
                reading.findings[0].to_string().contains(expected),
                "{:?}",
                reading.findings
            );
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let comment = |length: usize| format!("#{}", "x".repeat(length - 1));
        assert!(reading(&comment(FILE_BYTES_MAX)).settings.is_some());
        let larger = reading(&comment(FILE_BYTES_MAX + 1));
        assert!(
            larger.findings[0]
                .message
                .contains("larger than 1048576 bytes")
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        for (bytes, good) in [
            (comment(FILE_BYTES_MAX).into_bytes(), true),
            (comment(FILE_BYTES_MAX + 1).into_bytes(), false),
            (vec![b'#', 0xff, 0xfe], false),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let bytes = bytes_at(&path).unwrap();
            assert_eq!(read(&bytes, &environment).settings.is_some(), good);
        }
        assert!(bytes_at(&folder.path().join("none")).is_err());
    }

    /// The invariants of every reading.
    fn check_reading(text: &str) {
        let reading = reading(text);
        let errors = reading
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        assert_eq!(reading.settings.is_some(), !errors);
        assert!(errors || reading.pingora.is_some());
        assert!(reading.findings.len() <= FINDINGS_MAX + 1);
        // A lone carriage return ends a line, too (YAML 1.2 §5.4).
        let lines = text.split(['\n', '\r']).count() + 1;
        for finding in &reading.findings {
            assert!((1..=lines).contains(&finding.line), "{finding}");
            assert!(
                !finding.to_string().contains(['\n', '\u{1b}', '\r']),
                "{finding:?}"
            );
            assert!(!finding.message.contains("s3cret"), "{finding:?}");
        }
    }

    #[test]
    fn a_line_may_end_with_a_carriage_return_alone() {
        check_reading("\r\r$");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            check_reading(&text);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            check_reading(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn no_text_of_yamls_own_characters_panics(text in "[-\\[\\]{}:,#&*!|>'\"%@`?a1$ \t\n]{0,120}") {
            check_reading(&text);
            check_reading(&format!("forebay:\n  nodes:\n    - {text}"));
        }

        #[test]
        fn no_mutation_of_a_file_panics(
            full in any::<bool>(),
            cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[-\\[\\]{}:,#'\"$a1~\n\t é]{0,4}"), 1..6),
        ) {
            let mut letters: Vec<char> = if full { FULL } else { SHIPPED }.chars().collect();
            for (at, length, put) in cuts {
                let start = at.index(letters.len().max(1)).min(letters.len());
                let end = (start + length).min(letters.len());
                letters.splice(start..end, put.chars());
            }
            check_reading(&letters.into_iter().collect::<String>());
        }
    }
}

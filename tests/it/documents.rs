//! What documents say in numbers and names is what the code has: keys, their defaults and ranges, limits,
//! shares of the memory, metrics, methods, errors, endpoints, ports, commands; their links lead somewhere, and
//! the site has them all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::in_repository;
use forebay::admin;
use forebay::client::websocket::close::CloseReason;
use forebay::client::{compression, endpoint, http1, http2, request_body};
use forebay::config;
use forebay::config::quantity::size_text;
use forebay::config::settings::Settings;
use forebay::node::{access, addresses, idle_pool, lookup, socket};
use forebay::shared::outbox::ServerClose;
use forebay::shared::{hub, process_admission, process_limits};
use forebay_core::call::trail::AttemptKind;
use forebay_core::call::{nonce, pending_transactions};
use forebay_core::method::{self, Treatment};
use forebay_core::rpc::refusal::Refusal;
use forebay_core::rpc::{batch, envelope};
use forebay_core::vocabulary::caps::Caps;
use forebay_core::wire::http2_frames;
use serde_json::Value as Json;

fn text_of(path: &str) -> String {
    std::fs::read_to_string(in_repository(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

const SETTINGS: &str = "docs/reference/settings.md";
const COMMANDS: &str = "docs/reference/commands.md";
const HTTP: &str = "docs/reference/http.md";
const METHODS: &str = "docs/reference/methods.md";
const ERRORS: &str = "docs/reference/errors.md";
const METRICS: &str = "docs/reference/metrics.md";
const LIMITS: &str = "docs/reference/limits.md";
const SUMMARY: &str = "docs/SUMMARY.md";

/// Documents that stand beside `docs`.
const OTHER_PAGES: [&str; 6] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "dashboards/README.md",
    "infra/terraform/README.md",
];

/// The documents, by their paths.
fn documents() -> Vec<String> {
    let mut pages: Vec<_> = OTHER_PAGES.map(str::to_string).to_vec();
    collect("docs", &mut pages);
    pages
}

/// The pages in a folder and below it.
fn collect(folder: &str, pages: &mut Vec<String>) {
    for entry in std::fs::read_dir(in_repository(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&path, pages);
        } else if path.ends_with(".md") {
            pages.push(path);
        }
    }
}

/// What stands under a heading, up to the next of its rank or above.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let rank = heading.split(' ').next().unwrap().len();
    let begun = page.split_once(&format!("\n{heading}\n")).expect(heading).1;
    let ends = (1..=rank).filter_map(|rank| begun.find(&format!("\n{} ", "#".repeat(rank))));
    &begun[..ends.min().unwrap_or(begun.len())]
}

/// The cells of the rows of all tables under a heading.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let part = section(page, heading);
    let lines = part.lines().filter(|line| line.starts_with("| "));
    // A bar within a cell is no end of it.
    let cells = lines.map(|line| line.trim_matches('|').replace("\\|", "\u{1}"));
    let cells = cells.map(|line| {
        line.split('|')
            .map(|cell| cell.trim().to_string())
            .collect()
    });
    cells
        .filter(|cells: &Vec<String>| !cells[0].starts_with("---"))
        .collect()
}

#[test]
fn every_key_of_a_node_is_documented() {
    let page = text_of(SETTINGS);
    let part = section(&page, "## A node under `nodes`");
    let schema = config::schema();
    let node = &schema["properties"]["forebay"]["properties"]["nodes"]["items"]["properties"];
    for key in node.as_object().unwrap().keys() {
        assert!(part.contains(&format!("\n| `{key}` |")), "{key}");
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let bytes = digits.as_bytes().rchunks(3).rev();
    bytes
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect::<Vec<_>>()
        .join(",")
}

fn spaced(bytes: u64) -> String {
    let text = size_text(bytes);
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    format!("{} {}", &text[..end], &text[end..])
}

#[test]
fn the_limits_are_those_of_the_code() {
    let rows = rows(&text_of(LIMITS), "## The list");
    let limit = |of: &str| {
        let row = rows.iter().find(|row| row[0].starts_with(of));
        row.unwrap_or_else(|| panic!("no row: {of}"))[1].clone()
    };
    let bytes = |bytes: usize| spaced(bytes as u64);
    let settings = Settings::default();
    let (calls, sockets) = (&settings.calls, &settings.sockets);
    let count = |count: usize| grouped(count as u64);
    let roomy = Caps::ROOMY;
    for (of, wanted) in [
        ("request body", vec![bytes(calls.body_bytes_max)]),
        ("calls in a batch", vec![count(calls.batch_calls_max)]),
        (
            "a batch to a node",
            vec![
                batch::CALLS_MAX.to_string(),
                bytes(batch::BODY_BYTES_MAX),
                bytes(batch::ANSWER_BYTES_MAX),
            ],
        ),
        ("nesting of a call", vec![envelope::DEPTH_MAX.to_string()]),
        (
            "a client's request head",
            vec![
                format!("{} s", http2_frames::HEAD_TIME_MAX.as_secs()),
                bytes(http1::head::HEAD_BYTES_MAX),
                http1::head::HEADERS_MAX.to_string(),
            ],
        ),
        (
            "frames that do nothing",
            vec![grouped(http2_frames::IDLE_FRAMES_MAX.into())],
        ),
        (
            "a client's request body: time",
            vec![format!("{} s", request_body::BODY_TIME_MAX.as_secs())],
        ),
        (
            "an idle client connection",
            vec![format!("{} s", endpoint::IDLE_TIME_MAX.as_secs())],
        ),
        (
            "a client that takes no byte",
            vec![format!("{} s", endpoint::WRITE_TIME_MAX.as_secs())],
        ),
        ("WebSockets in all", vec![count(sockets.sockets_max)]),
        (
            "of one WebSocket: subscriptions",
            vec![
                sockets.subscriptions_max.to_string(),
                grouped(sockets.messages_per_second.into()),
            ],
        ),
        (
            "HTTP/2 streams",
            vec![http2::connection::STREAMS_MAX.to_string()],
        ),
        ("requests inside at once", vec![count(roomy.requests)]),
        ("request bodies inside at once", vec![bytes(roomy.bodies)]),
        (
            "answers that wait for their clients",
            vec![spaced(roomy.unsent)],
        ),
        (
            "clients' connections",
            vec![
                count(roomy.connections),
                process_admission::ANTEROOM_MAX.to_string(),
            ],
        ),
        (
            "a body read on after a refusal",
            vec![
                bytes(request_body::DRAIN_BYTES_MAX),
                format!("{} s", request_body::DRAIN_TIME_MAX.as_secs()),
            ],
        ),
        ("answer of a node", vec![spaced(calls.answer_bytes_max)]),
        ("answers of a batch", vec![spaced(calls.answer_bytes_max)]),
        ("answers held whole", vec![spaced(roomy.answers)]),
        (
            "connecting to a node",
            vec![
                format!("{} s", access::CONNECT_TIME_MAX.as_secs()),
                format!("{} addresses", addresses::ADDRESSES_TRIED_MAX),
            ],
        ),
        (
            "an idle connection to a node",
            vec![format!("{} s", idle_pool::IDLE_TIME_MAX.as_secs())],
        ),
        (
            "what the system holds",
            vec![bytes(access::RECEIVE_BUFFER_BYTES)],
        ),
        (
            "transactions still going",
            vec![
                count(usize::try_from(process_limits::SENDS_MAX).unwrap_or_default()),
                spaced(process_limits::SENDS_BYTES_MAX),
            ],
        ),
        ("transactions remembered", vec![count(roomy.transactions)]),
        (
            "bytes of transactions",
            vec![
                bytes(pending_transactions::RAW_BYTES_MAX),
                bytes(roomy.transaction_bytes),
            ],
        ),
        (
            "nodes asked at once",
            vec![calls.broadcast.to_string(), nonce::NODES_MAX.to_string()],
        ),
        (
            "a block's logs",
            vec![
                bytes(lookup::LOGS_BYTES_MAX),
                bytes(socket::MESSAGE_BYTES_MAX),
            ],
        ),
        (
            "different topics",
            vec![count(hub::TOPICS_MAX), bytes(hub::TOPICS_BYTES_MAX)],
        ),
        (
            "admin",
            vec![
                bytes(admin::BODY_BYTES_MAX),
                admin::REQUESTS_MAX.to_string(),
            ],
        ),
        ("configuration", vec![bytes(config::FILE_BYTES_MAX)]),
    ] {
        let said = limit(of);
        for wanted in wanted {
            assert!(said.contains(&wanted), "{of}: {said} isn't {wanted}");
        }
    }
}

#[test]
fn answers_are_compressed_from_the_size_on_that_the_settings_say() {
    let least = spaced(compression::PACKED_BYTES_MIN as u64);
    let said = format!("Answers of {least} and more are compressed");
    assert!(text_of(SETTINGS).contains(&said), "{said}");
}

/// Mebibytes with as many digits as a reader wants, rounded or cut.
fn is_about(said: &str, bytes: u64) -> bool {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    let (number, unit) = said.split_once(' ').unwrap_or((said, ""));
    let scale = if unit.starts_with("GiB") { 1024.0 } else { 1.0 };
    let number: f64 = number.replace(',', "").parse().unwrap_or(f64::NAN);
    let digit = if number * scale < 10.0 { 0.1 } else { 1.0 };
    (number * scale - mebibytes).abs() <= digit
}

#[test]
fn the_shares_of_the_memory_are_those_of_the_code() {
    let rows = rows(&text_of(LIMITS), "## Memory and files");
    let mut held = 0;
    for row in rows
        .iter()
        .filter(|row| row[0].ends_with("iB") || row[0].ends_with("and more"))
    {
        let (number, unit) = row[0].split_once(' ').unwrap();
        let unit = if unit.starts_with("GiB") {
            1 << 30
        } else {
            1 << 20
        };
        let caps = Caps::of(number.parse::<u64>().unwrap() * unit);
        let count = |cell: &str, count: usize| {
            let said = cell.trim_end_matches(" and more");
            assert_eq!(said, grouped(count as u64), "{row:?}");
        };
        count(&row[1], caps.requests);
        assert!(
            is_about(&row[2], caps.bodies as u64) && is_about(&row[2], caps.answers),
            "{row:?}"
        );
        assert!(is_about(&row[3], caps.unsent), "{row:?}");
        count(&row[4], caps.connections);
        count(&row[5], caps.sockets);
        let body = caps
            .body_max()
            .min(Settings::default().calls.body_bytes_max);
        assert!(is_about(&row[6], body as u64), "{row:?}");
        held += 1;
    }
    assert_eq!(held, 4, "the table is somewhere else");
    // What operators are told of a task with Terraform's default.
    let variables = text_of("infra/terraform/variables.tf");
    let memory = variables.split_once("variable \"memory\"").unwrap().1;
    let memory = memory
        .split_once("default")
        .unwrap()
        .1
        .trim_start_matches([' ', '=']);
    let memory: u64 = memory.lines().next().unwrap().trim().parse().unwrap();
    let caps = Caps::of(memory << 20);
    let operations = text_of("docs/guide/operate.md");
    let row = operations
        .lines()
        .find(|line| line.starts_with("| memory |"))
        .unwrap();
    for wanted in [
        format!("{} GB for a task", memory / 1024),
        format!("of {} GiB", memory / 1024),
        format!("request bodies {} MiB", caps.bodies >> 20),
        format!("answers held whole {} MiB", caps.answers >> 20),
        format!("{} requests inside", grouped(caps.requests as u64)),
        format!(
            "beyond {} KiB",
            forebay::call::exchange::WHOLE_BYTES_MAX >> 10
        ),
    ] {
        assert!(row.contains(&wanted), "{wanted}: {row}");
    }
    let inputs = text_of("docs/reference/terraform.md");
    assert!(inputs.contains(&format!("| `cpu`, `memory` | 1024, {memory} |")));
}

/// A metric as it is registered.
struct Registered {
    kind: &'static str,
    labels: String,
}

/// By name. Each is registered on a line of its own.
fn metrics() -> BTreeMap<String, Registered> {
    let kinds = [
        (".gauge(\"", "gauge"),
        (".gauges(\"", "gauge"),
        (".decimals(\"", "gauge"),
        (".counter(\"", "counter"),
        (".counters(\"", "counter"),
        (".sums(\"", "counter"),
        (".histogram(\"", "histogram"),
        (".histograms(\"", "histogram"),
    ];
    let text = text_of("src/observe/metrics/families.rs");
    let mut is_a_chains = false;
    let registered = text.lines().filter_map(|line| {
        is_a_chains |= line.starts_with("impl ChainFamilies");
        let (kind, rest) = kinds
            .iter()
            .find_map(|(call, kind)| Some((*kind, line.split_once(call)?.1)))?;
        let (name, rest) = rest.split_once("\", \"")?;
        // One that is a single series has none.
        let labels = rest.split_once("\", &[\"");
        let labels = labels.map_or("", |(_, rest)| rest.split(']').next().unwrap_or_default());
        let labels = labels.replace('"', "");
        let labels = match (is_a_chains, labels.is_empty()) {
            (true, true) => "chain".to_string(),
            (true, false) => format!("chain, {labels}"),
            (false, _) => labels,
        };
        Some((name.to_string(), Registered { kind, labels }))
    });
    let registered: BTreeMap<_, _> = registered.collect();
    assert!(registered.len() > 60, "metrics are named elsewhere");
    registered
}

#[test]
fn every_metric_is_documented_and_no_page_names_another() {
    let known = metrics();
    let table = rows(&text_of(METRICS), "## Families");
    let mut told = BTreeSet::new();
    for row in table.iter().filter(|row| row[0].starts_with('`')) {
        for name in row[0].split(", ").map(|name| name.trim_matches('`')) {
            let metric = known
                .get(name)
                .unwrap_or_else(|| panic!("no metric {name}"));
            assert_eq!(row[1], metric.kind, "{name}");
            assert_eq!(row[2], metric.labels, "{name}");
            told.insert(name.to_string());
        }
    }
    let missing: Vec<_> = known.keys().filter(|name| !told.contains(*name)).collect();
    assert!(missing.is_empty(), "{METRICS} lacks {missing:?}");
    let rules = text_of("dashboards/prometheus/rules.yml");
    let mut files = documents();
    files
        .extend(["dashboards/forebay.json", "dashboards/prometheus/rules.yml"].map(str::to_string));
    for file in files {
        let text = text_of(&file);
        for rest in text.split("forebay_").skip(1) {
            let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
            let name = &rest[..end.unwrap_or(rest.len())];
            let bare = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            // What rules record is called `job:forebay_calls:rate5m`.
            let recorded = format!(":forebay_{name}:");
            // Packages are called `forebay_0.1.0-1_amd64.deb`.
            let is_metric = name.starts_with(|letter: char| letter.is_ascii_lowercase());
            if !is_metric || (rest[name.len()..].starts_with(':') && rules.contains(&recorded)) {
                continue;
            }
            let is_known = |name: &str| known.contains_key(name);
            // A family, as in `forebay_config_*`.
            let is_family =
                name.ends_with('_') && known.keys().any(|known| known.starts_with(name));
            assert!(
                is_known(name) || bare.is_some_and(is_known) || is_family,
                "{file}: forebay_{name}"
            );
        }
    }
}

#[test]
fn the_terraform_module_has_the_programs_version() {
    let versions = text_of("infra/terraform/versions.tf");
    let version = env!("CARGO_PKG_VERSION");
    assert!(versions.contains(&format!("module_version = \"{version}\"")));
    // What it checks the load balancer's time by.
    let existing = text_of("infra/terraform/existing.tf");
    let idle = endpoint::IDLE_TIME_MAX.as_secs();
    assert!(existing.contains(&format!("client_idle_seconds = {idle}\n")));
    let manual = text_of("docs/guide/deploy.md");
    assert!(manual.contains(&format!("?ref=v{version}`")));
}

#[test]
fn terraforms_settings_leave_out_the_sections_that_the_module_writes() {
    let configuration = text_of("infra/terraform/configuration.tf");
    let between = |from: &str, to: &str| {
        let (_, text) = configuration.split_once(from).unwrap();
        text.split_once(to).unwrap().0.to_owned()
    };
    let owned = between("\n  owned = {\n", "\n  }\n");
    let owned = owned
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.split_once(" ="));
    let merged = between("forebay = merge(\n", "\n    )\n");
    let merged = merged
        .lines()
        .filter_map(|line| line.split_once("{ ")?.1.split_once(" ="));
    let sections = owned.chain(merged).map(|(section, _)| section.trim_end());
    let is_whole = |section: &&str| !section.starts_with([' ', '}']);
    // A chain's id is added to what it has.
    let written: Vec<_> = sections
        .filter(|it| is_whole(it) && *it != "chain")
        .collect();
    assert!(written.len() > 4, "{written:?}");
    let refused = format!("keys(var.settings), [\"{}\"]", written.join("\", \""));
    let variables = text_of("infra/terraform/variables-forebay.tf");
    assert!(variables.contains(&refused), "write: {refused}");
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    for file in documents() {
        let text = text_of(&file);
        let folder = PathBuf::from(&file).parent().unwrap().to_path_buf();
        for rest in outside_code(&text).split("](").skip(1) {
            let link = rest.split(')').next().unwrap();
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => PathBuf::from(&file),
                path => folder.join(path),
            };
            let place = in_repository(target.to_str().unwrap());
            assert!(place.is_file(), "{file}: {link}");
            if !anchor.is_empty() {
                let page = std::fs::read_to_string(&place).unwrap();
                assert!(anchors(&page).contains(anchor), "{file}: {link}");
            }
        }
    }
}

fn outside_code(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

/// Of headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let page = outside_code(page);
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn ports_are_the_same_everywhere_and_no_two_programs_share_one() {
    let shipped = config::read(&text_of("conf/pingora.yaml"), &|_| None)
        .settings
        .unwrap();
    let listen = &shipped.listen;
    let (http, metrics, admin) = (
        listen.http[0].port(),
        listen.metrics.unwrap().port(),
        listen.admin.unwrap().port(),
    );
    let security = text_of("docs/guide/security.md");
    for row in [
        format!("| {http} JSON-RPC"),
        format!("| {metrics} metrics |"),
        format!("| {admin} admin |"),
    ] {
        assert!(security.contains(&row), "{row}");
    }
    assert!(text_of("Dockerfile").contains(&format!("EXPOSE {http} {metrics}\n")));
    let terraform = text_of("infra/terraform/configuration.tf");
    assert!(terraform.contains(&format!(
        "{{ http = {http}, metrics = {metrics}, admin = {admin} }}"
    )));
    // A Prometheus that is tried on the same machine.
    let watching = text_of("dashboards/README.md");
    let prometheus = watching
        .split_once("--web.listen-address 127.0.0.1:")
        .unwrap()
        .1;
    let prometheus: u16 = prometheus.lines().next().unwrap().parse().unwrap();
    assert!(
        ![http, metrics, admin].contains(&prometheus),
        "{prometheus} is taken"
    );
    // What compose publishes on the machine.
    let published = text_of("compose.yaml");
    let published: Vec<_> = published
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- \"127.0.0.1:"))
        .collect();
    let ports: BTreeSet<_> = published
        .iter()
        .map(|ports| ports.split(':').next().unwrap())
        .collect();
    assert_eq!(ports.len(), published.len(), "{published:?}");
}

/// What `forebay ARGUMENTS --help` lists as commands.
fn commands(arguments: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    let output = command.args(arguments).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let list = help.split_once("Commands:\n").unwrap().1;
    let list = list.split_once("\n\n").unwrap().0;
    list.lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_string)
        .collect()
}

#[test]
fn every_command_of_a_document_is_one() {
    let (all, backends) = (commands(&[]), commands(&["backends"]));
    let listed = text_of(COMMANDS);
    let listed = listed.split_once("```text\n").unwrap().1;
    let listed = listed.split_once("```").unwrap().0;
    for command in all
        .iter()
        .filter(|command| *command != "help" && *command != "backends")
    {
        assert!(listed.contains(&format!("forebay {command}")), "{command}");
    }
    for command in backends.iter().filter(|command| *command != "help") {
        assert!(
            listed.contains(&format!("forebay backends {command}")),
            "{command}"
        );
    }
    for file in documents() {
        let text = text_of(&file);
        // In code, be it in a line or in a block.
        let starts = ["`forebay ", "\nforebay ", "\n$ forebay "];
        for rest in starts.iter().flat_map(|start| text.split(start).skip(1)) {
            let mut words = rest
                .split(|letter: char| !(letter.is_ascii_lowercase() || letter == '-'))
                .filter(|word| !word.is_empty());
            let first = words.next().unwrap_or_default();
            if first.starts_with('-') {
                continue;
            }
            assert!(all.contains(first), "{file}: forebay {first}");
            let second = rest.split_whitespace().nth(1).unwrap_or_default();
            let second = second.trim_matches(|letter: char| !letter.is_ascii_lowercase());
            if first == "backends"
                && rest.starts_with("backends ")
                && !second.is_empty()
                && second.len() > 2
            {
                assert!(
                    backends.contains(second) || !text_is_code(rest),
                    "{file}: forebay backends {second}"
                );
            }
        }
    }
}

/// Whether the words go on as a command and not as prose.
fn text_is_code(rest: &str) -> bool {
    let line = rest.lines().next().unwrap_or_default();
    !line
        .split_whitespace()
        .nth(1)
        .is_some_and(|word| ["|", "commands", "writes"].contains(&word))
}

/// The refusals of every kind.
fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::BadJson,
        Refusal::BadPacking(""),
        Refusal::InvalidRequest(""),
        Refusal::InvalidParams(""),
        Refusal::MethodNotAllowed,
        Refusal::NoNode,
        Refusal::OverCapacity,
        Refusal::BadAnswer,
        Refusal::Unserved,
        Refusal::NotLetIn,
        Refusal::BatchTooLarge { calls_max: 0 },
        Refusal::Timeout,
        Refusal::AnswerTooLarge,
        Refusal::BodyTooLarge { bytes_max: 0 },
        Refusal::CallTooLarge,
        Refusal::BodyTooSlow,
        Refusal::RateLimited { seconds: 1 },
        Refusal::QuotaSpent { seconds: 60 },
        Refusal::FilterNotFound,
        Refusal::NoNotifications,
        Refusal::NeedsSocket,
        Refusal::MethodNotServed,
        Refusal::SubscriptionNotFound,
        Refusal::TooManySubscriptions {
            subscriptions_max: 0,
        },
        Refusal::TooManyMessages,
        Refusal::Leaving,
        Refusal::ContentType,
        Refusal::ContentEncoding,
        Refusal::Framing(""),
        Refusal::HeadTooLarge,
        Refusal::HeadTooSlow,
        Refusal::ChainMissing { paths: "/a".into() },
        Refusal::ChainUnknown { paths: "/a".into() },
        Refusal::ChainOfOtherHost {
            host: forebay_core::vocabulary::chain::ChainName::main(),
        },
    ]
}

#[test]
fn every_refusal_is_documented_with_its_code_and_status() {
    let page = text_of(ERRORS);
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| -")?.split(" | ");
        let code: i32 = cells.next()?.parse().ok()?;
        let statuses = cells.next()?.split(", ");
        Some(statuses.map(move |status| (-code, status.parse().unwrap())))
    });
    let told: BTreeSet<(i32, u16)> = rows.flatten().collect();
    let known = refusals();
    let known = known
        .iter()
        .map(|refusal| (refusal.code(), refusal.status()));
    assert_eq!(told, known.collect());
}

#[test]
fn every_method_is_documented_under_its_treatment() {
    let page = text_of(METHODS);
    let mut told = BTreeMap::new();
    for heading in [
        "## Answered here",
        "## Reads",
        "## Heavy",
        "## Broadcast",
        "## Once",
        "## Denied",
    ] {
        let rows = rows(&page, heading);
        let rows = rows.iter().filter(|row| row[0].starts_with('`'));
        let names = rows.flat_map(|row| row[1].split(", "));
        told.extend(names.map(|name| (name.trim_matches('`').to_string(), heading)));
    }
    let known = method::TABLE.iter().map(|row| {
        let heading = match row.treatment {
            Treatment::Local(_) => "## Answered here",
            Treatment::Read => "## Reads",
            Treatment::Heavy => "## Heavy",
            Treatment::Broadcast => "## Broadcast",
            Treatment::Once => "## Once",
            Treatment::Denied | Treatment::Unknown => "## Denied",
        };
        (row.name.to_string(), heading)
    });
    assert_eq!(told, known.collect());
}

#[test]
fn every_endpoint_close_code_and_purpose_of_an_attempt_is_documented() {
    let page = text_of(HTTP);
    let described: Json = serde_json::from_str(&text_of("src/admin/openapi.json")).unwrap();
    for (path, methods) in described["paths"].as_object().unwrap() {
        let path = path.replace("{name}", "NAME");
        for method in methods.as_object().unwrap().keys() {
            let said = format!("`{} {path}", method.to_uppercase());
            assert!(page.contains(&said), "{said}");
        }
    }
    let ends = [
        CloseReason::Protocol,
        CloseReason::NotUtf8,
        CloseReason::TooLarge,
        CloseReason::Unfinished,
        CloseReason::Restless,
        CloseReason::OverCapacity,
        CloseReason::Slow,
        CloseReason::Closed(ServerClose::Slow),
        CloseReason::Closed(ServerClose::Gap("")),
        CloseReason::Closed(ServerClose::Leaving),
    ];
    let codes = ends.map(|end| u16::from(end.close_frame().unwrap().code));
    let rows_of_codes = rows(&page, "### Close codes of a WebSocket");
    let told = rows_of_codes.iter().flat_map(|row| row[0].split(", "));
    let told: BTreeSet<u16> = told.filter_map(|code| code.parse().ok()).collect();
    assert_eq!(told, codes.into_iter().collect());
    let purposes = [
        AttemptKind::First,
        AttemptKind::Repeat,
        AttemptKind::Confirm,
        AttemptKind::Hedge,
        AttemptKind::Fallback,
        AttemptKind::LastResort,
        AttemptKind::Broadcast,
        AttemptKind::Lookup,
        AttemptKind::Batch,
        AttemptKind::Shared,
    ];
    let rows = rows(&page, "### The trail of a call");
    let told = rows.iter().flat_map(|row| row[0].split(", "));
    let told = told.filter_map(|name| name.strip_prefix('`')?.strip_suffix('`'));
    let told: BTreeSet<_> = told.collect();
    assert_eq!(told, purposes.map(AttemptKind::as_str).into());
}

#[test]
fn every_page_is_on_the_site() {
    let summary = text_of(SUMMARY);
    let links = summary.split("](").skip(1);
    let listed: Vec<_> = links
        .map(|rest| {
            let path = rest.split(')').next().unwrap();
            let outside = path.strip_prefix("../").map(str::to_string);
            outside.unwrap_or_else(|| format!("docs/{path}"))
        })
        .collect();
    let all: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(all.len(), listed.len(), "a page stands there twice");
    let pages = documents().into_iter().filter(|path| path != SUMMARY);
    assert_eq!(all, pages.collect());
}

/// A newcomer reads it in a minute.
const README_LINES_MAX: usize = 250;

#[test]
fn the_readme_is_short_and_names_the_two_commands() {
    let readme = text_of("README.md");
    assert!(readme.lines().count() <= README_LINES_MAX);
    let script = text_of("dev");
    for command in ["demo", "test"] {
        assert!(readme.contains(&format!("**`./dev {command}`**")));
        assert!(script.contains(&format!("    {command}) ")));
    }
    let oldest = format!("Rust {} or later", env!("CARGO_PKG_RUST_VERSION"));
    for page in ["README.md", "docs/guide/install.md"] {
        assert!(text_of(page).contains(&oldest), "{page}: {oldest}");
    }
}

#[test]
fn every_file_that_a_map_names_is_there() {
    let rooms = [
        "crates", "src", "tests", "benches", "deny", "docs", "infra", "findings",
    ];
    let inner = [
        "client",
        "node",
        "shared",
        "background",
        "call",
        "registry",
        "observe",
    ];
    for file in ["docs/architecture.md", "CONTRIBUTING.md"] {
        for name in text_of(file).split('`').skip(1).step_by(2) {
            let Some((room, rest)) = name.split_once('/') else {
                continue;
            };
            let is_path = !name.contains([' ', '\n', '*']);
            let path = match room {
                _ if !is_path => continue,
                room if rooms.contains(&room) => name.to_string(),
                "core" => format!("crates/core/src/{rest}"),
                room if inner.contains(&room) => format!("src/{name}"),
                _ => continue,
            };
            let exists = |path: &str| Path::new(&in_repository(path)).exists();
            assert!(
                exists(&path) || exists(&format!("{path}.rs")),
                "{file}: {name}"
            );
        }
    }
}

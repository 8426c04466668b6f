//! The rules that a compiler doesn't know: which room imports which, that nothing imports itself
//! in a circle, what the core keeps out, and how a file begins and how long it gets.
//!
//! Only the code itself is looked at: not comments, not text in quotes, not unit tests.

mod modules;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use self::modules::Modules;
use self::text::{code, without_tests, words};

/// Lines of a file, without its unit tests.
const LINES_MAX: usize = 400;

/// What a room may import beside itself.
enum May {
    Import(&'static [&'static str]),
    ImportAll,
}

use May::{Import, ImportAll};

/// One of our crates.
struct House {
    /// Where its code is.
    root: &'static str,
    /// The rooms, lowest first. `forebay_core` is below all of them; `fake` is the crate of that name.
    rooms: &'static [(&'static str, May)],
    /// It decides, and never waits, connects, reads or logs.
    is_pure: bool,
}

const CORE: House = House {
    root: "crates/core/src",
    rooms: &[
        ("json", Import(&[])),
        ("vocabulary", Import(&["json"])),
        ("wire", Import(&["vocabulary"])),
        ("method", Import(&["json", "vocabulary"])),
        ("rpc", Import(&["json", "vocabulary", "method"])),
        ("fleet", Import(&["json", "vocabulary", "rpc"])),
        (
            "call",
            Import(&["json", "vocabulary", "method", "rpc", "fleet"]),
        ),
        ("feed", Import(&["json", "vocabulary", "rpc", "fleet"])),
        ("testing", ImportAll),
    ],
    is_pure: true,
};

const FAKE: House = House {
    root: "crates/fake/src",
    rooms: &[
        ("clock", Import(&[])),
        ("capacity", Import(&["clock"])),
        ("chain", Import(&["clock"])),
        ("behaviour", Import(&["capacity"])),
        ("answer", Import(&["behaviour", "chain"])),
        ("state", Import(&["behaviour", "chain"])),
        ("wire", Import(&["answer", "behaviour", "state"])),
    ],
    is_pure: false,
};

/// The program. `client` and `background` never name each other.
const PROGRAM: House = House {
    root: "src",
    rooms: &[
        ("clock", Import(&[])),
        ("config", Import(&[])),
        ("observe", Import(&["clock", "config"])),
        ("registry", Import(&["clock"])),
        ("node", Import(&["clock", "observe"])),
        ("shared", Import(&["clock", "config", "observe", "node"])),
        (
            "call",
            Import(&["clock", "config", "observe", "node", "shared"]),
        ),
        (
            "client",
            Import(&["clock", "config", "observe", "node", "shared", "call"]),
        ),
        (
            "admin",
            Import(&[
                "clock", "config", "observe", "registry", "node", "shared", "call", "client",
            ]),
        ),
        (
            "background",
            Import(&["clock", "config", "observe", "registry", "node", "shared"]),
        ),
        ("shutdown", Import(&["config", "observe", "shared", "call"])),
        ("app", ImportAll),
        ("cli", ImportAll),
    ],
    is_pure: false,
};

/// Words that have no place in the core.
const KEPT_OUT: &[&str] = &[
    "async",
    "await",
    "tokio",
    "pingora",
    "reqwest",
    "rusqlite",
    "log",
    "tracing",
    "SystemTime",
];

#[test]
fn the_core_is_as_its_map_says() {
    check(&CORE);
}

/// Clippy reads the `clippy.toml` that is nearest to a crate, and no other.
#[test]
fn the_core_keeps_the_limits_of_the_house() {
    let read = |path: &str| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
        fs::read_to_string(path).expect("limits are written down")
    };
    let (house, core) = (read("clippy.toml"), read("crates/core/clippy.toml"));
    let is_limit = |line: &&str| line.contains(" = ") && line.starts_with(char::is_alphabetic);
    let limits: Vec<_> = house.lines().filter(is_limit).collect();
    assert!(limits.len() > 4, "the limits are somewhere else");
    for limit in limits {
        assert!(core.lines().any(|line| line == limit), "{limit}");
    }
    // What else the house bans is of crates that the core hasn't.
    let banned = house
        .split('"')
        .filter(|quoted| quoted.starts_with("std::"));
    for banned in banned {
        assert!(core.contains(&format!("\"{banned}\"")), "{banned}");
    }
    for banned in [
        "std::time::Instant::now",
        "std::time::SystemTime::now",
        "std::fs::read",
        "std::fs::File",
        "std::net::TcpStream",
        "std::net::ToSocketAddrs::to_socket_addrs",
        "std::thread::spawn",
        "std::thread::sleep",
    ] {
        assert!(core.contains(&format!("\"{banned}\"")), "{banned}");
    }
}

#[test]
fn the_pretend_node_is_as_its_map_says() {
    check(&FAKE);
}

#[test]
fn the_program_is_as_its_map_says() {
    check(&PROGRAM);
}

fn check(house: &House) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(house.root);
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 5, "the house is somewhere else");
    let read = files.iter().map(|file| {
        let path = file.strip_prefix(&root).unwrap_or(file).to_path_buf();
        (path, fs::read_to_string(file).unwrap_or_default())
    });
    let read: Vec<_> = read.collect();
    let faults = faults_of(house, &read);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// What is wrong with these files, by their paths below the house's root.
fn faults_of(house: &House, files: &[(PathBuf, String)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut modules = Modules::default();
    for (path, text) in files {
        let name = path.display();
        if !text.starts_with("//!") {
            faults.push(format!("{name}: begins without a `//!` caption"));
        }
        if is_of_tests_alone(path) {
            continue;
        }
        let own = without_tests(text);
        let lines = own.lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{name}: {lines} lines, {LINES_MAX} is the wall"));
        }
        if *path == Path::new("main.rs") {
            continue;
        }
        let room = room_of(path);
        let is_known = room == "lib" || house.rooms.iter().any(|(known, _)| *known == room);
        if !is_known {
            faults.push(format!("{name}: the room `{room}` is not on the map"));
        }
        let words = words(&code(&own));
        if house.is_pure {
            faults.extend(kept_out(path, &words));
        }
        if words.iter().any(|word| word == "forebay_fake") {
            let fault = foreign(house, &room, "fake");
            faults.extend(fault.map(|fault| format!("{name}: {fault}")));
        }
        modules.add(path, text);
    }
    for (from, to) in modules.edges() {
        if let (Some(room), Some(named)) = (from.first(), to.first()) {
            let fault = foreign(house, room, named);
            faults.extend(fault.map(|fault| format!("{}: {fault}", from.join("/"))));
        }
    }
    let circles = modules.circles();
    faults.extend(circles.iter().map(|circle| format!("a circle: {circle}")));
    faults
}

/// `tests.rs`, `fleet_tests.rs`, and what is below `tests/`.
fn is_of_tests_alone(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem == "tests" || stem.ends_with("_tests") || path.iter().any(|part| part == "tests")
}

fn foreign(house: &House, room: &str, named: &str) -> Option<String> {
    if room == named {
        return None;
    }
    match house.rooms.iter().find(|(known, _)| *known == room) {
        None | Some((_, ImportAll)) => None,
        Some((_, Import(allowed))) if allowed.contains(&named) => None,
        Some(_) => Some(format!("`{room}` must not import `{named}`")),
    }
}

fn kept_out(path: &Path, words: &[String]) -> Vec<String> {
    let name = path.display();
    let said = |word: &&&str| match **word {
        // A logarithm and a field of that name are no logging.
        "log" | "tracing" => words
            .windows(2)
            .any(|pair| pair[0] == **word && pair[1] == "::"),
        word => words.iter().any(|said| said == word),
    };
    let said = KEPT_OUT.iter().filter(said);
    said.map(|word| format!("{name}: `{word}` has no place in the core"))
        .collect()
}

/// `fleet` of `fleet/view.rs`, `clock` of `clock.rs`.
fn room_of(path: &Path) -> String {
    let first = path.iter().next().unwrap_or_default();
    let first = first.to_string_lossy();
    first.strip_suffix(".rs").unwrap_or(&first).to_owned()
}

/// The rules themselves can fail: each is shown texts that break it, and others that don't.
mod the_rules {
    use super::*;

    fn faults(house: &House, files: &[(&str, &str)]) -> Vec<String> {
        let captioned = |(path, code): &(&str, &str)| {
            let text = format!("//! A caption.\n{code}");
            (PathBuf::from(path), text)
        };
        let files: Vec<_> = files.iter().map(captioned).collect();
        faults_of(house, &files)
    }

    fn breaks(house: &House, files: &[(&str, &str)], fault: &str) {
        assert_eq!(faults(house, files), [fault], "in {files:?}");
    }

    fn holds(house: &House, files: &[(&str, &str)]) {
        assert_eq!(faults(house, files), [""; 0], "in {files:?}");
    }

    #[test]
    fn a_room_imports_only_what_the_map_allows() {
        let client = ("client/http2.rs", "");
        for (path, code) in [
            ("background/prober.rs", "use crate::client::http2;"),
            (
                "background/prober.rs",
                "fn f() { crate::client::http2::run() }",
            ),
            ("background/prober.rs", "use super::super::client::http2;"),
            ("background/mod.rs", "use super::client::http2;"),
            (
                "background/mod.rs",
                "use crate::{\n    shared::{self, fleet},\n    client::http2,\n};",
            ),
        ] {
            let module = path.trim_end_matches(".rs").trim_end_matches("/mod");
            let fault = format!("{module}: `background` must not import `client`");
            breaks(&PROGRAM, &[client, (path, code)], &fault);
        }
        let discovery = ("background/discovery.rs", "");
        breaks(
            &PROGRAM,
            &[
                discovery,
                ("client/http2.rs", "use crate::background::discovery;"),
            ],
            "client/http2: `client` must not import `background`",
        );
        breaks(
            &PROGRAM,
            &[("node/rpc.rs", "use forebay_fake::FakeNode;")],
            "node/rpc.rs: `node` must not import `fake`",
        );
        breaks(
            &CORE,
            &[
                ("fleet/view.rs", "use crate::call::plan;"),
                ("call/plan.rs", ""),
            ],
            "fleet/view: `fleet` must not import `call`",
        );
    }

    #[test]
    fn a_room_may_import_itself_and_those_below() {
        holds(
            &PROGRAM,
            &[
                ("lib.rs", "pub mod client; pub mod background;"),
                (
                    "app.rs",
                    "use crate::{client::http2, background::discovery};",
                ),
                ("background/discovery.rs", "use crate::shared::admission; "),
                (
                    "client/http2.rs",
                    "use super::head; use crate::shared::admission;",
                ),
                ("client/head.rs", "use crate::Error;"),
                ("shared/admission.rs", "use forebay_core::fleet::Fleet;"),
            ],
        );
    }

    #[test]
    fn a_room_that_is_not_on_the_map_is_a_fault() {
        for path in ["utils.rs", "utils/mod.rs"] {
            let fault = format!("{path}: the room `utils` is not on the map");
            breaks(&PROGRAM, &[(path, "")], &fault);
        }
    }

    #[test]
    fn files_of_a_room_that_import_each_other_in_a_circle_are_a_fault() {
        let circle = "a circle: fleet: history, promises, report";
        for (names, fault) in [
            // By its path, in braces, from above, and by a module's name.
            ("use crate::fleet::promises::Promises;", Some(circle)),
            (
                "use crate::fleet::{view, promises::Promises};",
                Some(circle),
            ),
            ("fn f() { super::promises::f() }", Some(circle)),
            (
                "use crate::fleet::{self, view}; fn f() { fleet::promises::f() }",
                Some(circle),
            ),
            ("use super::view;", None),
            ("// use super::promises;", None),
            (
                "#[cfg(test)]\nmod tests { use super::super::promises; }",
                None,
            ),
        ] {
            let files = [
                ("fleet/history.rs", names),
                ("fleet/promises.rs", "use crate::fleet::report::Report;"),
                ("fleet/report.rs", "use super::history::depth::Depth;"),
                ("fleet/history/depth.rs", ""),
                ("fleet/view.rs", ""),
                ("fleet.rs", ""),
            ];
            let wanted: Vec<_> = fault.into_iter().collect();
            assert_eq!(faults(&CORE, &files), wanted, "{names}");
        }
    }

    #[test]
    fn rooms_that_import_each_other_in_a_circle_are_a_fault_whatever_they_may() {
        let files = [
            ("app.rs", "use crate::cli::run;"),
            ("cli/mod.rs", "use crate::app::App;"),
        ];
        breaks(&PROGRAM, &files, "a circle: rooms: app, cli");
    }

    #[test]
    fn a_room_is_not_imported_by_its_own_files_and_a_file_by_its_private_ones() {
        let own = "a circle: cli: demo, its own file";
        for (declared, wanted) in [("pub mod demo;", own), ("mod demo;", own)] {
            let room = format!("{declared} fn f() {{ demo::run() }}");
            let files = [
                ("cli/mod.rs", room.as_str()),
                ("cli/demo.rs", "use crate::cli::f;"),
            ];
            breaks(&PROGRAM, &files, wanted);
        }
        let own = "a circle: cli/demo: frame, its own file";
        for (declared, wanted) in [("pub(super) mod frame;", Some(own)), ("mod frame;", None)] {
            let demo = format!("{declared} fn f() {{ frame::draw() }}");
            let files = [
                ("cli/demo.rs", demo.as_str()),
                ("cli/demo/frame.rs", "use super::f;"),
            ];
            let wanted: Vec<_> = wanted.into_iter().collect();
            assert_eq!(faults(&PROGRAM, &files), wanted, "{declared}");
        }
    }

    #[test]
    fn the_core_neither_waits_nor_connects_nor_logs() {
        let cases = [
            ("async fn f() {}", "async"),
            ("use tokio::sync::Mutex;", "tokio"),
            ("fn f(peer: &pingora::Peer) {}", "pingora"),
            ("fn f() { log::warn!() }", "log"),
            ("use std::time::SystemTime;", "SystemTime"),
            ("fn f<'a>(x: &'a str) { '\\''; '\"'; tokio }", "tokio"),
        ];
        for (code, word) in cases {
            let fault = format!("fleet/view.rs: `{word}` has no place in the core");
            breaks(&CORE, &[("fleet/view.rs", code)], &fault);
            holds(&PROGRAM, &[("node/http.rs", code)]);
        }
        let logarithm = "fn f(log: &[u8]) -> f64 { x.log(2.0) }";
        holds(&CORE, &[("fleet/view.rs", logarithm)]);
    }

    #[test]
    fn comments_quotations_and_unit_tests_are_not_looked_at() {
        for code in [
            "// tokio\n/* async */ /// crate::call\nfn f() {}",
            r#"const A: &str = "tokio \" async"; const B: char = '"';"#,
            "const A: &str = r#\"async \" tokio\"#;",
            "#[cfg(test)]\nmod tests { use tokio::test; }",
            "#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;",
        ] {
            holds(&CORE, &[("fleet/a.rs", code), ("call.rs", "")]);
        }
        let after = "#[cfg(test)]\nmod fixtures;\nuse tokio::test;";
        let fault = "fleet/a.rs: `tokio` has no place in the core";
        breaks(&CORE, &[("fleet/a.rs", after)], fault);
    }

    #[test]
    fn a_file_begins_with_a_caption() {
        let file = (
            PathBuf::from("fleet/view.rs"),
            "use std::fmt;\n".to_string(),
        );
        let fault = "fleet/view.rs: begins without a `//!` caption";
        assert_eq!(faults_of(&CORE, &[file]), [fault]);
    }

    #[test]
    fn four_hundred_lines_are_the_wall_and_tests_do_not_count() {
        // The caption is the first line.
        holds(&CORE, &[("fleet/a.rs", &"\n".repeat(LINES_MAX - 1))]);
        let fault = "fleet/a.rs: 401 lines, 400 is the wall";
        breaks(&CORE, &[("fleet/a.rs", &"\n".repeat(LINES_MAX))], fault);
        let tests = format!("#[cfg(test)]\nmod tests {{{}}}", "\n".repeat(LINES_MAX));
        holds(&CORE, &[("fleet/a.rs", &tests)]);
    }
}

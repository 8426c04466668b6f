//! The house rules that a compiler doesn't know: who imports whom, what the thinking keeps out,
//! and how a file begins and how long it gets.
//!
//! Only the code itself is looked at: not comments, not text in quotes, not unit tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, without its unit tests.
const LINES_MAX: usize = 400;

/// What a room may import beside itself.
enum May {
    Import(&'static [&'static str]),
    ImportAll,
}

/// The rooms of `src/`. `serve` and `tasks` never name each other.
const ROOMS: &[(&str, May)] = &[
    ("domain", May::Import(&[])),
    // Its dice implement the trait that `domain` asks for.
    ("clock", May::Import(&["domain"])),
    ("config", May::Import(&["domain"])),
    ("telemetry", May::Import(&["domain", "clock"])),
    ("registry", May::Import(&["domain", "clock"])),
    ("upstream", May::Import(&["domain", "clock", "telemetry"])),
    (
        "state",
        May::Import(&["domain", "clock", "telemetry", "upstream"]),
    ),
    (
        "serve",
        May::Import(&[
            "domain",
            "clock",
            "telemetry",
            "registry",
            "upstream",
            "state",
        ]),
    ),
    (
        "tasks",
        May::Import(&[
            "domain",
            "clock",
            "telemetry",
            "registry",
            "upstream",
            "state",
            "config",
        ]),
    ),
    ("app", May::ImportAll),
    ("shutdown", May::ImportAll),
    ("cli", May::ImportAll),
    ("fake", May::ImportAll),
];

/// The two files that stand before the rooms.
const DOORS: [&str; 2] = ["lib.rs", "main.rs"];

/// Words that have no place in `domain`: it decides, and never waits, connects, reads or logs.
const KEPT_OUT_OF_DOMAIN: &[&str] = &[
    "async",
    "await",
    "tokio",
    "pingora",
    "pingora_core",
    "pingora_proxy",
    "reqwest",
    "rusqlite",
    "log",
    "tracing",
    "SystemTime",
];

#[test]
fn the_house_is_as_its_map_says() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 5, "the house is somewhere else");
    let mut faults = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let path = file.strip_prefix(&root).unwrap_or(&file);
        faults.extend(faults_of(path, &text));
    }
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
}

/// What is wrong with one file, by its path below `src/`.
fn faults_of(path: &Path, text: &str) -> Vec<String> {
    let name = path.display();
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{name}: begins without a `//!` caption"));
    }
    if is_of_tests_alone(path) {
        return faults;
    }
    let own = without_tests(text);
    let lines = own.lines().count();
    if lines > LINES_MAX {
        faults.push(format!("{name}: {lines} lines, {LINES_MAX} is the wall"));
    }
    let is_door = DOORS.iter().any(|door| path == Path::new(door));
    if !is_door {
        let words = words(&code(own));
        faults.extend(foreign(path, &words));
        faults.extend(kept_out(path, &words));
    }
    faults
}

/// `tests.rs` or `fleet_tests.rs`
fn is_of_tests_alone(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem == "tests" || stem.ends_with("_tests")
}

fn foreign(path: &Path, words: &[String]) -> Vec<String> {
    let room = room_of(path);
    let name = path.display();
    let Some((_, may)) = ROOMS.iter().find(|(known, _)| *known == room) else {
        return vec![format!("{name}: the room `{room}` is not on the map")];
    };
    let May::Import(allowed) = may else {
        return Vec::new();
    };
    rooms_named(words, depth(path))
        .into_iter()
        .filter(|named| *named != room && !allowed.contains(&named.as_str()))
        .filter(|named| ROOMS.iter().any(|(known, _)| known == named))
        .map(|named| format!("{name}: `{room}` must not import `{named}`"))
        .collect()
}

fn kept_out(path: &Path, words: &[String]) -> Vec<String> {
    if room_of(path) != "domain" {
        return Vec::new();
    }
    let name = path.display();
    let said = |word: &&&str| match **word {
        // A logarithm and a field of that name are no logging.
        "log" | "tracing" => words
            .windows(2)
            .any(|pair| pair[0] == **word && pair[1] == "::"),
        word => words.iter().any(|said| said == word),
    };
    KEPT_OUT_OF_DOMAIN
        .iter()
        .filter(said)
        .map(|word| format!("{name}: `{word}` has no place in `domain`"))
        .collect()
}

/// `domain` of `domain/node.rs`, `clock` of `clock.rs`.
fn room_of(path: &Path) -> String {
    let first = path.iter().next().unwrap_or_default();
    let first = first.to_string_lossy();
    first.strip_suffix(".rs").unwrap_or(&first).to_owned()
}

/// So many times `super` lead from a file to the crate.
fn depth(path: &Path) -> usize {
    let steps = path.iter().count();
    if path.ends_with("mod.rs") {
        steps - 1
    } else {
        steps
    }
}

/// The rooms that code names: after `crate::`, after as many `super::` as lead there, and in the
/// braces after either.
fn rooms_named(words: &[String], depth: usize) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (index, word) in words.iter().enumerate() {
        let rest = match word.as_str() {
            "crate" => after_path(&words[index..], "crate", 1),
            "super" => after_path(&words[index..], "super", depth),
            _ => None,
        };
        let Some(rest) = rest else { continue };
        match rest.first().map(String::as_str) {
            Some("{") => named.extend(heads_of_group(rest)),
            Some(room) => drop(named.insert(room.to_owned())),
            None => {}
        }
    }
    named
}

/// What follows `word::` said `times` times.
fn after_path<'a>(words: &'a [String], word: &str, times: usize) -> Option<&'a [String]> {
    let mut rest = words;
    for _ in 0..times {
        if rest.first()? != word || rest.get(1)? != "::" {
            return None;
        }
        rest = &rest[2..];
    }
    Some(rest)
}

/// The first word of each item of `{a::b, c::{d, e}}`: a and c.
fn heads_of_group(words: &[String]) -> Vec<String> {
    let mut heads = Vec::new();
    let mut nesting = 0;
    for (index, word) in words.iter().enumerate() {
        match word.as_str() {
            "{" => nesting += 1,
            "}" => nesting -= 1,
            _ => {}
        }
        if nesting == 0 {
            break;
        }
        let begins = index > 0 && (words[index - 1] == "," || index == 1);
        if nesting == 1 && begins {
            heads.push(word.clone());
        }
    }
    heads
}

/// Everything before the unit tests at a file's foot.
fn without_tests(text: &str) -> &str {
    let signs = ["#[cfg(test)]\nmod ", "#[cfg(test)]\n#[path"];
    let starts = signs.iter().filter_map(|sign| text.find(sign));
    starts.min().map_or(text, |start| &text[..start])
}

/// The text without comments and without what stands in quotes.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = passage(rest);
        if skipped == 0 {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of the comment or quotation that `text` begins with; 0 if it doesn't.
fn passage(text: &str) -> usize {
    let to = |end: &str, from: usize| {
        let found = text[from..].find(end);
        found.map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return to("*/", 2);
    }
    if text.starts_with("r#\"") {
        return to("\"#", 3);
    }
    if text.starts_with("r\"") {
        return to("\"", 2);
    }
    if text.starts_with('"') {
        return quotation(text);
    }
    // A character, such as '"' or '\''; a lifetime has no second quote so near.
    let mut characters = text.char_indices();
    match (characters.next(), characters.next(), characters.next()) {
        (Some((_, '\'')), Some((_, '\\')), Some((at, escaped))) => to("'", at + escaped.len_utf8()),
        (Some((_, '\'')), Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

fn quotation(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Identifiers, `::`, and every other character that isn't space, in order.
fn words(code: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut within = false;
    for character in code.chars() {
        let part = character.is_alphanumeric() || character == '_';
        match words.last_mut() {
            Some(last) if part && within => last.push(character),
            Some(last) if character == ':' && last == ":" => last.push(':'),
            _ if character.is_whitespace() => {}
            _ => words.push(character.to_string()),
        }
        within = part;
    }
    words
}

/// The rules themselves can fail: each is shown a text that breaks it, and one that doesn't.
mod the_rules {
    use super::*;

    fn faults(path: &str, code: &str) -> Vec<String> {
        faults_of(Path::new(path), &format!("//! A caption.\n{code}"))
    }

    fn breaks(path: &str, code: &str, fault: &str) {
        let faults = faults(path, code);
        assert_eq!(faults, [format!("{path}: {fault}")], "in {code}");
    }

    fn holds(path: &str, code: &str) {
        assert_eq!(faults(path, code), [""; 0], "in {code}");
    }

    #[test]
    fn a_room_imports_only_what_the_map_allows() {
        let serve = "`tasks` must not import `serve`";
        breaks(
            "tasks/prober.rs",
            "use crate::architecture::serve::http2;",
            serve,
        );
        breaks(
            "tasks/prober.rs",
            "fn f() { crate::architecture::serve::run() }",
            serve,
        );
        breaks("tasks/prober.rs", "use super::super::serve::http2;", serve);
        breaks("tasks/mod.rs", "use super::serve;", serve);
        breaks(
            "tasks/mod.rs",
            "use crate::architecture::{\n    state::{gate, fleet},\n    serve,\n};",
            serve,
        );
        breaks(
            "serve/http2.rs",
            "use crate::architecture::tasks::roster;",
            "`serve` must not import `tasks`",
        );
        breaks(
            "domain/node.rs",
            "use crate::architecture::clock;",
            "`domain` must not import `clock`",
        );
        breaks(
            "upstream/http.rs",
            "pub(crate) use crate::architecture::state::gate;",
            "`upstream` must not import `state`",
        );
    }

    #[test]
    fn a_room_may_import_itself_and_those_below() {
        holds(
            "state/mod.rs",
            "use crate::architecture::upstream::pool; use crate::architecture::domain::node;",
        );
        holds(
            "state/gate.rs",
            "use super::fleet; use crate::architecture::state::fleet;",
        );
        holds(
            "tasks/roster.rs",
            "use crate::architecture::{config, state::{serve, gate}};",
        );
        holds("domain/a/b.rs", "use super::super::node;");
        holds("app.rs", "use crate::architecture::{serve, tasks};");
        holds("lib.rs", "pub mod serve; pub mod tasks;");
        holds(
            "serve/mod.rs",
            "pub(crate) fn f() {} use crate::architecture::Error;",
        );
    }

    #[test]
    fn a_room_that_is_not_on_the_map_is_a_fault() {
        let fault = "the room `utils` is not on the map";
        breaks("utils.rs", "", fault);
        breaks("utils/mod.rs", "", fault);
    }

    #[test]
    fn the_thinking_neither_waits_nor_connects_nor_logs() {
        let cases = [
            ("async fn f() {}", "async"),
            ("use tokio::sync::Mutex;", "tokio"),
            ("fn f(peer: &pingora::Peer) {}", "pingora"),
            ("fn f() { log::warn!() }", "log"),
            ("use std::time::SystemTime;", "SystemTime"),
        ];
        for (code, word) in cases {
            let fault = format!("`{word}` has no place in `domain`");
            breaks("domain/fleet.rs", code, &fault);
            holds("upstream/http.rs", code);
        }
        holds("domain/fleet.rs", "fn f(log: &[u8]) -> f64 { x.log(2.0) }");
    }

    #[test]
    fn comments_quotations_and_unit_tests_are_not_looked_at() {
        holds(
            "domain/a.rs",
            "// tokio\n/* async */ /// crate::architecture::serve\nfn f() {}",
        );
        holds(
            "domain/a.rs",
            r#"const A: &str = "tokio \" async"; const B: char = '"';"#,
        );
        holds("domain/a.rs", "const A: &str = r#\"async \" tokio\"#;");
        holds(
            "domain/a.rs",
            "#[cfg(test)]\nmod tests { use crate::architecture::serve; }",
        );
        let fault = "`tokio` has no place in `domain`";
        breaks(
            "domain/a.rs",
            "fn f<'a>(x: &'a str) { '\\''; '\"'; tokio }",
            fault,
        );
    }

    #[test]
    fn a_file_begins_with_a_caption() {
        let faults = faults_of(Path::new("domain/node.rs"), "use std::fmt;\n");
        assert_eq!(faults, ["domain/node.rs: begins without a `//!` caption"]);
    }

    #[test]
    fn four_hundred_lines_are_the_wall_and_tests_do_not_count() {
        // The caption is the first line.
        holds("domain/a.rs", &"\n".repeat(LINES_MAX - 1));
        let fault = "401 lines, 400 is the wall";
        breaks("domain/a.rs", &"\n".repeat(LINES_MAX), fault);
        let tests = format!("#[cfg(test)]\nmod tests {{{}}}", "\n".repeat(LINES_MAX));
        holds("domain/a.rs", &tests);
    }
}

//! Stories of several chains in one file: what each is held to, and what is told of mistakes.

use std::time::Duration;

use pingora::server::configuration::ServerConf;

use crate::config::settings::Settings;
use crate::config::tests::{finds, finds_nothing, reading, told, under_forebay};
use crate::config::{change, printout, read, refusal};
use forebay_core::vocabulary::chain::ChainName;

const TWO: &str = "
version: 1
threads: 2
forebay:
  health: { interval: 5s, timeout: 2s, fall: 4 }
  calls: { deadline: 20s, attempt: 6s }
  methods: { deny: [eth_sign] }
  chains:
    ethereum:
      id: 1
      default: true
      nodes: [{ url: \"http://a\", leader: true }]
    base:
      id: 8453
      block_time: 2s
      hosts: [Base.RPC.example., b.example]
      health: { interval: 1s, timeout: 900ms }
      calls: { attempt: 3s }
      consistency: none
      nodes:
        - { url: \"http://b\", leader: true }
";

fn settings(text: &str) -> Settings {
    let read = reading(text);
    read.settings
        .unwrap_or_else(|| panic!("{:#?}", read.findings))
}

#[test]
fn a_chain_has_what_stands_under_it_over_what_stands_for_all() {
    assert_eq!(told(&reading(TWO)), Vec::<String>::new());
    let settings = settings(TWO);
    let names: Vec<_> = settings
        .all_chains()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(names, ["ethereum", "base"]);
    let [ethereum, base] = &settings.chains[..] else {
        panic!("{:#?}", settings.chains);
    };
    assert!(ethereum.is_default && !base.is_default);
    assert_eq!(base.hosts, ["base.rpc.example", "b.example"]);
    let (one, other) = (&ethereum.settings, &base.settings);
    assert_eq!((one.chain.id, other.chain.id), (Some(1), Some(8453)));
    assert_eq!(other.chain.block_time, Duration::from_secs(2));
    assert_eq!(one.chain.block_time, Duration::from_secs(12));
    assert_eq!(other.health.interval, Duration::from_secs(1));
    assert_eq!((one.health.fall, other.health.fall), (4, 4));
    assert_eq!(other.calls.attempt, Duration::from_secs(3));
    assert_eq!(other.calls.deadline, Duration::from_secs(20));
    assert_eq!(other.methods.deny, ["eth_sign"]);
    assert_ne!(one.consistency, other.consistency);
    assert_eq!((one.nodes.len(), other.nodes.len()), (1, 1));
    assert!(settings.nodes.is_empty());
}

#[test]
fn nodes_of_chains_other_than_the_default_stand_apart() {
    let settings = settings(TWO);
    let registry = |at: usize| settings.chains[at].settings.registry.clone();
    assert_eq!(registry(0).path.to_str(), Some("data/forebay.db"));
    assert_eq!(registry(0).table, "forebay-backends");
    let stored_as = |at: usize| settings.stored_as(&settings.chains[at].name);
    assert_eq!(stored_as(0), None);
    assert_eq!(stored_as(1).map(ChainName::as_str), Some("base"));
    assert_eq!(registry(1).table, "forebay-backends-base");
    let own = reading("forebay: {chains: {a: {}, b: {registry: {table: own}}}}")
        .settings
        .unwrap();
    assert_eq!(own.chains[0].settings.registry.table, "forebay-backends-a");
    assert_eq!(own.chains[1].settings.registry.table, "own");
    let table = "a table, or the one with -state beside it, is one chain's";
    for chains in [
        "a: {default: true}, state: {}",
        "a: {default: true}, b: {}, c: {registry: {table: forebay-backends-b}}",
        "a: {registry: {table: own}}, b: {registry: {table: own-state}}",
    ] {
        let text = format!("{{registry: {{kind: dynamodb}}, chains: {{{chains}}}}}");
        finds(&text, table);
    }
}

#[test]
fn without_chains_there_is_one_that_is_called_main() {
    for text in [
        "",
        "forebay: {chains: {}}",
        "forebay: {chains: , chain: {id: 5}}",
    ] {
        let settings = settings(text);
        let names: Vec<_> = settings
            .all_chains()
            .map(|(name, _)| name.to_string())
            .collect();
        assert_eq!(names, ["main"], "{text}");
    }
}

#[test]
fn a_mistake_in_a_chain_is_told_at_its_own_key_and_line() {
    let mistaken = |from: &str, to: &str| {
        let text = TWO.replace(from, to);
        assert_ne!(text, TWO);
        told(&reading(&text))
    };
    for (from, to, expected) in [
        (
            "calls: { attempt: 3s }",
            "calls: { attempt: soon }",
            "18: error: forebay.chains.base.calls.attempt: expected a duration",
        ),
        (
            "calls: { attempt: 3s }",
            "calls: { attempt: 21s }",
            "18: error: forebay.chains.base.calls.attempt: `attempt` (21s) is longer than `deadline` (20s)",
        ),
        (
            "calls: { attempt: 3s }",
            "calls: { attempts: 3s }",
            "18: error: forebay.chains.base.calls.attempts: unknown key; did you mean `attempt`?",
        ),
        (
            "id: 8453",
            "id: base",
            "14: error: forebay.chains.base.id: expected a whole number",
        ),
        (
            "block_time: 2s",
            "blocktime: 2s",
            "15: error: forebay.chains.base.blocktime: unknown key; did you mean `block_time`?",
        ),
        (
            "consistency: none",
            "listen: { http: [] }",
            "19: error: forebay.chains.base.listen: is the process's, the same for all chains: write `forebay.listen`",
        ),
        (
            "consistency: none",
            "registry: { path: x.db }",
            "19: error: forebay.chains.base.registry.path: is the process's, the same for all chains: write `forebay.registry.path`",
        ),
        (
            "http://b\"",
            "ftp://b\"",
            "21: error: forebay.chains.base.nodes[0].url: the scheme",
        ),
        (
            "hosts: [Base.RPC.example., b.example]",
            "hosts: [\"b.example:80\"]",
            "16: error: forebay.chains.base.hosts[0]: expected a host's name",
        ),
    ] {
        let told = mistaken(from, to);
        assert_eq!(told.len(), 1, "{to}: {told:#?}");
        assert!(told[0].starts_with(expected), "{to}: {told:#?}");
    }
}

#[test]
fn a_mistake_for_all_chains_is_told_once() {
    let text = TWO.replace("deadline: 20s", "deadline: long");
    let told = told(&reading(&text));
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].starts_with("6: error: forebay.calls.deadline"),
        "{told:#?}"
    );
}

#[test]
fn a_value_for_all_that_does_not_fit_one_chain_is_told_of_that_chain() {
    let text = TWO.replace("interval: 1s, timeout: 900ms", "interval: 1s");
    let told = told(&reading(&text));
    assert_eq!(told.len(), 1, "{told:#?}");
    let expected = "17: error: forebay.chains.base.health.timeout: `timeout` (2s) must be shorter";
    assert!(told[0].starts_with(expected), "{told:#?}");
}

#[test]
fn names_are_held_to_their_rules() {
    let named = |name: &str| format!("{{chains: {{{name}: {{id: 1}}}}}}");
    finds_nothing(&named("a"));
    finds_nothing(&named(&format!("a{}", "-".repeat(31))));
    for bad in [
        "A", "1a", "a_b", "\"\"", "rpc", "health", "metrics", "status", "backends", "local",
    ] {
        finds(&named(bad), ": error: forebay.chains.");
    }
    finds(
        &named(&format!("a{}", "b".repeat(32))),
        "32 characters at most",
    );
    finds("{chains: {a: {id: 1}, a: {id: 2}}}", "written twice");
    finds(
        "{chains: {base: {nodes: []}, base: {nodes: []}}}",
        "written twice",
    );
    finds("{chains: {a: }}", "write a group of keys");
    finds("{chains: [a]}", "expected a group of keys, found a list");
}

#[test]
fn two_chains_have_nothing_in_common_that_tells_them_apart() {
    for (text, expected) in [
        (
            "{chains: {a: {id: 1}, b: {id: 1}}}",
            "error: forebay.chains.b.id: two chains can't have one id, and it is that of forebay.chains.a.id",
        ),
        (
            "{chains: {a: {default: true}, b: {default: true}}}",
            "error: forebay.chains.b.default: one chain is the default, and that is forebay.chains.a.default",
        ),
        (
            "{chains: {a: {hosts: [x.example]}, b: {hosts: [X.example.]}}}",
            "error: forebay.chains.b.hosts[0]: a host leads to one chain, and it is forebay.chains.a.hosts[0]",
        ),
        (
            "{chains: {a: {nodes: [{url: \"http://n/k\", leader: true}]}, b: {nodes: [{url: \"http://n/k\", leader: true}]}}}",
            "error: forebay.chains.b.nodes[0]: a node (by its URL and headers) is one chain's, and it is forebay.chains.a.nodes[0]",
        ),
    ] {
        finds(text, expected);
    }
    // One URL, and a header that names the chain.
    finds_nothing(
        "{chains: {a: {nodes: [{url: \"http://n\", leader: true, headers: {x: a}}]}, \
          b: {nodes: [{url: \"http://n\", leader: true, headers: {x: b}}]}}}",
    );
}

#[test]
fn what_means_one_chain_alone_can_not_stand_beside_several() {
    finds(
        "{chain: {id: 1}, chains: {a: {id: 1}}}",
        "error: forebay.chain: means one chain alone",
    );
    finds(
        "{nodes: [], chains: {a: {id: 1}}}",
        "error: forebay.nodes: means one chain alone",
    );
}

#[test]
fn a_chain_that_health_requires_must_be_there() {
    finds_nothing("{health: {required: [a]}, chains: {a: {id: 1}, b: {id: 2}}}");
    finds_nothing("{health: {required: [main]}}");
    finds(
        "{health: {required: [c]}, chains: {a: {id: 1}, b: {id: 2}}}",
        "error: forebay.health.required[0]: there is no chain `c`; the chains are a, b",
    );
    finds(
        "{health: {required: [a]}}",
        "error: forebay.health.required[0]: there is no chain `a`; the chains are main",
    );
    let in_chain = under_forebay("{chains: {a: {health: {required: [a]}}}}");
    assert!(in_chain[0].contains("is the process's"), "{in_chain:#?}");
}

#[test]
fn what_is_printed_of_chains_can_be_read_again() {
    let mut first = settings(TWO);
    // They are printed by name.
    first.chains.sort_by(|one, other| one.name.cmp(&other.name));
    let printed = printout::text(&first, &ServerConf::default());
    assert!(!printed.contains("\n  nodes"), "{printed}");
    let again = read(&printed, &|_| None);
    let again = again
        .settings
        .unwrap_or_else(|| panic!("{:#?}\n{printed}", again.findings));
    assert_eq!(format!("{again:#?}"), format!("{first:#?}"));
}

fn changed(from: &str, to: &str) -> change::SettingsChange {
    let text = TWO.replace(from, to);
    assert_ne!(text, TWO);
    change::weigh(&settings(TWO), settings(&text))
}

#[test]
fn what_changes_in_a_chain_is_told_by_its_name() {
    for (from, to, applied) in [
        (
            "attempt: 3s",
            "attempt: 4s",
            vec!["forebay.chains.base.calls.attempt"],
        ),
        (
            "block_time: 2s",
            "block_time: 1s",
            vec!["forebay.chains.base.block_time"],
        ),
        (", b.example]", "]", vec!["forebay.chains.base.hosts"]),
        // For all: told once.
        ("fall: 4", "fall: 5", vec!["forebay.health.fall"]),
        (
            "    base:",
            "    optimism:",
            vec!["forebay.chains.base", "forebay.chains.optimism"],
        ),
        ("http://b", "http://c", vec!["forebay.chains.base.nodes"]),
    ] {
        let change = changed(from, to);
        assert_eq!(change.applied, applied, "{to}");
        assert_eq!(change.waiting, Vec::<String>::new(), "{to}");
    }
    let change = changed("deadline: 20s", "deadline: 21s");
    let deadlines = change
        .settings
        .chains
        .iter()
        .map(|chain| chain.settings.calls.deadline);
    assert!(
        deadlines
            .into_iter()
            .all(|time| time == Duration::from_secs(21))
    );
}

#[test]
fn an_id_waits_for_a_restart_and_so_does_another_form() {
    let change = changed("id: 8453", "id: 10");
    assert_eq!(change.waiting, ["forebay.chains.base.id"]);
    assert_eq!(change.settings.chains[1].settings.chain.id, Some(8453));
    let alone = "version: 1\nthreads: 2\nforebay: { chain: { id: 1 } }";
    let change = change::weigh(&settings(alone), settings(TWO));
    assert!(
        change.waiting.contains(&"forebay.chains".to_string()),
        "{:?}",
        change.waiting
    );
    assert!(change.settings.chains.is_empty());
    assert_eq!(change.settings.chain.id, Some(1));
}

#[test]
fn the_default_chain_is_not_exchanged_in_passing() {
    let unmarked = TWO.replace("      default: true\n", "");
    let base_marked = unmarked.replace("id: 8453", "id: 8453\n      default: true");
    let base_alone = {
        let (head, rest) = unmarked.split_once("    ethereum:").unwrap();
        format!("{head}    base:{}", rest.split_once("    base:").unwrap().1)
    };
    let ethereum_alone = unmarked.split_once("    base:").unwrap().0.to_string();
    for (before, after, is_refused) in [
        (TWO, TWO, false),
        (TWO, unmarked.as_str(), true),
        (TWO, &base_marked, true),
        (TWO, &base_alone, true),
        (TWO, &ethereum_alone, false),
        (&ethereum_alone, &unmarked, true),
        (&ethereum_alone, TWO, false),
        (&unmarked, &base_alone, true),
        (&unmarked, TWO, true),
        (&unmarked, &unmarked, false),
    ] {
        let refused = refusal(&settings(before), &settings(after));
        assert_eq!(refused.is_some(), is_refused, "{before}\n{after}");
    }
}

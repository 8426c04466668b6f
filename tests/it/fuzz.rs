//! Everything that reads what strangers send, fed with mutants of a kept corpus.
//!
//! `tests/corpus/<target>/` holds small real inputs, and everything that once failed: a failing
//! input is written there under the name it then keeps. The same seed feeds the same inputs;
//! `FOREBAY_SEED=n` begins with another, and `FOREBAY_FUZZ_INPUTS=n` feeds that many to each
//! target (20,000 unless told). The checks take bytes and nothing else: a coverage-guided fuzzer calls
//! them as they are (`./dev fuzz`, the folder `fuzz`).

mod bodies;
mod calls;
mod corpus;
mod files;
mod frames;
mod heads;
mod mutation;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::support::in_repository;

#[test]
fn no_request_panics_and_ids_and_params_stay_byte_for_byte() {
    corpus::feed("rpc_request", bodies::rpc_request);
}

#[test]
fn no_answer_panics_and_only_its_id_changes_however_it_is_cut() {
    corpus::feed("answer", bodies::answer);
}

#[test]
fn no_response_panics_and_it_reads_the_same_however_it_is_cut() {
    corpus::feed("response", heads::response);
}

#[test]
fn no_request_panics_and_it_reads_the_same_however_it_is_cut() {
    corpus::feed("request", heads::request);
}

#[test]
fn no_list_of_nodes_panics_and_what_was_read_is_written_the_same() {
    corpus::feed_one_in(corpus::COSTLY, "list", files::list);
}

#[test]
fn no_call_panics_and_white_space_in_its_params_means_nothing() {
    corpus::feed("plan", calls::plan);
}

#[test]
fn no_batch_of_answers_panics_and_each_call_has_its_own_outcome() {
    corpus::feed("batch", calls::batch);
}

#[test]
fn no_news_of_another_balancer_panics_and_it_is_written_as_it_was_read() {
    corpus::feed("news", calls::news);
}

#[test]
fn no_websocket_panics_and_it_reads_the_same_however_it_is_cut() {
    corpus::feed("websocket", frames::websocket);
}

#[test]
fn no_http2_panics_and_it_reads_the_same_however_it_is_cut() {
    corpus::feed("http2", frames::http2);
}

#[test]
fn no_packed_body_panics_and_it_reads_the_same_however_it_is_cut() {
    corpus::feed_one_in(corpus::COSTLY, "packed", frames::packed);
}

#[test]
fn no_configuration_panics_and_its_mistakes_have_their_lines() {
    corpus::feed_one_in(corpus::COSTLY, "settings", files::settings);
}

/// Names of inputs, and the checks that they are fed to here.
fn fed() -> BTreeMap<String, &'static str> {
    let lines = include_str!("fuzz.rs").lines().map(str::trim_start);
    let feeds = lines.filter(|line| line.starts_with("corpus::feed"));
    feeds
        .map(|line| {
            let mut parts = line.split('"').skip(1);
            let (name, rest) = (parts.next().unwrap(), parts.next().unwrap());
            let check = rest.trim_start_matches(", ").trim_end_matches(");");
            (name.to_owned(), check)
        })
        .collect()
}

fn names_in(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(in_repository(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn every_input_has_its_corpus_and_its_target_of_libfuzzer() {
    let fed = fed();
    let names: BTreeSet<String> = fed.keys().cloned().collect();
    assert!(names.len() > 10, "inputs are fed otherwise: {names:?}");
    assert_eq!(names_in("tests/corpus"), names);
    let files: BTreeSet<String> = names.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names_in("fuzz/targets"), files);
    for (name, check) in &fed {
        let path = format!("fuzz/targets/{name}.rs");
        let target = fs::read_to_string(in_repository(&path)).unwrap();
        let fuzzed = format!("|bytes: &[u8]| forebay_fuzz::{check}(bytes)");
        assert!(target.contains(&fuzzed), "{path} doesn't feed {check}");
    }
    let manifest = fs::read_to_string(in_repository("fuzz/Cargo.toml")).unwrap();
    let bins = manifest.split("[[bin]]").skip(1).map(|bin| {
        let mut quoted = bin.split('"').skip(1).step_by(2);
        (quoted.next().unwrap().to_owned(), quoted.next().unwrap())
    });
    let declared: BTreeMap<String, &str> = bins.collect();
    assert!(declared.keys().eq(fed.keys()), "{declared:?}");
    for (name, path) in declared {
        assert_eq!(path, format!("targets/{name}.rs"));
    }
}

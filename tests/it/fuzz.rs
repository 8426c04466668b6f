//! Everything that reads what strangers send, fed with mutants of a kept corpus.
//!
//! `tests/corpus/<target>/` holds small real inputs, and everything that once failed: a failing
//! input is written there under the name it then keeps. The same seed feeds the same inputs;
//! `FOREBAY_SEED=n` begins with another, and `FOREBAY_FUZZ_INPUTS=n` feeds that many to each
//! target (20,000 unless told). The checks in `fuzz/targets.rs` take bytes and nothing else, so
//! that a coverage-guided fuzzer can call them as they are:
//! `fuzz_target!(|bytes: &[u8]| targets::answer(bytes));`.

mod corpus;
mod mutation;
mod targets;

#[test]
fn no_packet_panics_and_ids_and_params_stay_byte_for_byte() {
    corpus::feed("packet", targets::packet);
}

#[test]
fn no_answer_panics_and_only_its_id_changes_however_it_is_cut() {
    corpus::feed("answer", targets::answer);
}

#[test]
fn no_response_panics_and_it_reads_the_same_however_it_is_cut() {
    corpus::feed("response", targets::response);
}

#[test]
fn no_request_panics_and_it_reads_the_same_however_it_is_cut() {
    corpus::feed("request", targets::request);
}

#[test]
fn no_list_of_nodes_panics_and_what_was_read_is_written_the_same() {
    corpus::feed_one_in(corpus::WITH_FILES, "list", targets::list);
}

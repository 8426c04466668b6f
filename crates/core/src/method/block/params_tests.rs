//! Stories of block parameters.

use super::*;
use crate::json::element_offsets::ELEMENTS_MAX;
use crate::method::{MethodRules, listed};
use proptest::prelude::*;

const STATE: BlockParam = BlockParam::At {
    index: 1,
    reads: BlockData::State,
    form: BlockParamForm::OrLatest,
};
const BLOCK: BlockParam = BlockParam::At {
    index: 0,
    reads: BlockData::Block,
    form: BlockParamForm::Given,
};
const LOGS: BlockParam = BlockParam::Range {
    index: 0,
    missing_is_latest: true,
    is_of_now: true,
};
const TRACES: BlockParam = BlockParam::Range {
    index: 0,
    missing_is_latest: false,
    is_of_now: true,
};
const FILTER: BlockParam = BlockParam::Range {
    index: 0,
    missing_is_latest: true,
    is_of_now: false,
};
/// Latest 0x64, safe 0x40, finalized 0x20.
const PINS: TagPins = TagPins {
    latest: Some(BlockNumber(0x64)),
    safe: Some(BlockNumber(0x40)),
    finalized: Some(BlockNumber(0x20)),
    falls: 0,
};

fn read_params(place: BlockParam, params: &str, pins: &TagPins) -> BlockRefs {
    read(place, (Some(params), &ElementOffsets::of(params)), pins)
}

fn written(edits: &ParamEdits, params: &str) -> Vec<u8> {
    let mut written = Vec::new();
    edits.write(params, &mut written);
    written
}

fn travels(place: BlockParam, params: &str, pins: &TagPins) -> (Option<(u64, u64)>, String) {
    let block_refs = read_params(place, params, pins);
    let text = written(&block_refs.edits, params);
    let need = block_refs.need.map(|need| (need.from.0, need.to.0));
    (need, String::from_utf8(text).unwrap())
}

fn same(place: BlockParam, params: &str, wanted: Option<u64>) {
    let wanted = wanted.map(|number| (number, number));
    assert_eq!(travels(place, params, &PINS), (wanted, params.to_string()));
}

fn goes_as(place: BlockParam, params: &str, wanted: &str) {
    assert_eq!(travels(place, params, &PINS).1, wanted, "{params}");
}

#[test]
fn no_block_stands_behind_the_elements_whose_places_are_known() {
    for method in crate::method::TABLE {
        let index = match method.place {
            BlockParam::Nowhere => continue,
            BlockParam::At { index, .. }
            | BlockParam::Hash { index, .. }
            | BlockParam::Range { index, .. } => index,
        };
        assert!(index < ELEMENTS_MAX, "{}", method.name);
    }
}

#[test]
fn numbers_hashes_and_what_is_pending_travel_as_they_are() {
    same(STATE, r#"["0xa","0x10"]"#, Some(16));
    same(STATE, r#"["0xa","0x0010" ]"#, Some(16));
    same(STATE, r#"["0xa", 16]"#, Some(16));
    same(STATE, r#"["0xa","earliest"]"#, Some(0));
    same(STATE, r#"["0xa","pending"]"#, None);
    same(STATE, r#"["0xa","Latest"]"#, None);
    // To Cosmos EVM every word that it doesn't know is block 1.
    same(STATE, r#"["0xa","LATEST"]"#, None);
    same(STATE, r#"["0xa","0x+1"]"#, None);
    same(STATE, r#"["0xa","0x1ffffffffffffffff"]"#, None);
    same(STATE, r#"["0xa",{"blockNumber":"0x10"}]"#, Some(16));
    same(
        STATE,
        r#"["0xa",{"blockHash":"0x10","requireCanonical":true}]"#,
        None,
    );
    same(STATE, r#"{"address":"0xa"}"#, None);
    same(STATE, "[]", None);
}

#[test]
fn latest_and_a_missing_block_travel_as_the_served_head() {
    for (params, wanted) in [
        (r#"["0xa","latest"]"#, r#"["0xa","0x64"]"#),
        (
            r#"[{"to":"latest"} ,"lat\u0065st" , {}]"#,
            r#"[{"to":"latest"} ,"0x64" , {}]"#,
        ),
        (r#"["0xa"]"#, r#"["0xa","0x64"]"#),
        (r#"[ {"a":"]"} ]"#, r#"[ {"a":"]"},"0x64" ]"#),
        (r#"["0xa",null]"#, r#"["0xa","0x64"]"#),
        (
            r#"["0xa",{"blockNumber":"latest"}]"#,
            r#"["0xa",{"blockNumber":"0x64"}]"#,
        ),
    ] {
        let wanted = (Some((100, 100)), wanted.to_string());
        assert_eq!(travels(STATE, params, &PINS), wanted);
        assert_eq!(
            travels(STATE, params, &TagPins::default()),
            (None, params.to_string()),
            "without a pin it stays"
        );
    }
    goes_as(BLOCK, r#"["latest",true]"#, r#"["0x64",true]"#);
    same(BLOCK, "[]", None);
    same(BLOCK, "[null,true]", None);
}

#[test]
fn safe_and_finalized_travel_as_numbers_where_they_are_pinned() {
    goes_as(BLOCK, r#"["safe",false]"#, r#"["0x40",false]"#);
    goes_as(STATE, r#"["0xa","finalized"]"#, r#"["0xa","0x20"]"#);
    let monotonic = TagPins {
        latest: PINS.latest,
        ..TagPins::default()
    };
    let left = travels(BLOCK, r#"["safe",false]"#, &monotonic);
    assert_eq!(left, (None, r#"["safe",false]"#.to_string()));
}

#[test]
fn a_filter_of_logs_gets_its_missing_ends() {
    for (params, need, wanted) in [
        (
            r#"[{}]"#,
            (100, 100),
            r#"[{"fromBlock":"0x64","toBlock":"0x64"}]"#,
        ),
        (
            r#"[{ "address":"0x1"}]"#,
            (100, 100),
            r#"[{"fromBlock":"0x64","toBlock":"0x64", "address":"0x1"}]"#,
        ),
        (
            r#"[{"fromBlock":"0x10"}]"#,
            (16, 100),
            r#"[{"toBlock":"0x64","fromBlock":"0x10"}]"#,
        ),
        (
            r#"[{"toBlock":"latest","fromBlock":"finalized"}]"#,
            (32, 100),
            r#"[{"toBlock":"0x64","fromBlock":"0x20"}]"#,
        ),
        (
            r#"[{"topics":[],"fromBlock":"latest"}]"#,
            (100, 100),
            r#"[{"toBlock":"0x64","topics":[],"fromBlock":"0x64"}]"#,
        ),
        (
            r#"[{"fromBlock":"0x1","toBlock":"0x2"}]"#,
            (1, 2),
            r#"[{"fromBlock":"0x1","toBlock":"0x2"}]"#,
        ),
        (
            r#"[{"fromBlock":"0x65","toBlock":null}]"#,
            (100, 101),
            r#"[{"fromBlock":"0x65","toBlock":"0x65"}]"#,
        ),
    ] {
        assert_eq!(
            travels(LOGS, params, &PINS),
            (Some(need), wanted.to_string())
        );
    }
    same(LOGS, r#"[{"blockHash":"0x1"}]"#, None);
    same(FILTER, r#"[{"address":"0x1"}]"#, None);
    assert_eq!(
        travels(FILTER, r#"[{"fromBlock":"0x7"}]"#, &PINS).0,
        Some((7, 7))
    );
}

#[test]
fn a_filter_of_traces_keeps_its_ends_missing_and_its_tags_are_pinned() {
    same(TRACES, "[{}]", None);
    same(TRACES, r#"[{"fromAddress":["0x1"],"count":3}]"#, None);
    same(TRACES, r#"[{"toBlock":"0x10"}]"#, Some(16));
    same(TRACES, r#"[{"fromBlock":"0x10","toBlock":null}]"#, Some(16));
    assert_eq!(
        travels(TRACES, r#"[{"toBlock":"latest"}]"#, &PINS),
        (Some((100, 100)), r#"[{"toBlock":"0x64"}]"#.to_string())
    );
}

#[test]
fn what_is_pending_is_known_however_it_is_written() {
    let is_pending = |place, params| read_params(place, params, &PINS).is_pending;
    assert!(is_pending(STATE, r#"["0xa", "pending"]"#));
    assert!(is_pending(STATE, r#"["0xa","pend\u0069ng"]"#));
    assert!(is_pending(STATE, r#"["0xa",{"blockNumber":"pending"}]"#));
    assert!(is_pending(BLOCK, r#"["pending",true]"#));
    assert!(is_pending(LOGS, r#"[{"toBlock":"pending"}]"#));
    assert!(is_pending(FILTER, r#"[{"fromBlock":"pending"}]"#));
    for other in [
        r#"["pending"]"#,
        r#"["pending","latest"]"#,
        r#"["0xa","0x1",{"blockNumber":"pending"}]"#,
        r#"["0xa",{"blockHash":"pending"}]"#,
    ] {
        assert!(!is_pending(STATE, other), "{other}");
    }
}

#[test]
fn only_written_numbers_make_a_reversed_range() {
    let is_reversed = |params| read_params(LOGS, params, &PINS).is_reversed;
    assert!(is_reversed(r#"[{"fromBlock":"0x2","toBlock":"0x1"}]"#));
    assert!(!is_reversed(r#"[{"fromBlock":"0x2","toBlock":"0x2"}]"#));
    assert!(!is_reversed(r#"[{"fromBlock":"0x65","toBlock":"latest"}]"#));
}

#[test]
fn what_can_be_read_in_two_ways_is_left_alone() {
    for params in [
        r#"[{"fromBlock":"0x1","fromblock":"0x2"}]"#,
        r#"[{"fromBlock":"0x1","fromBlock":"latest"}]"#,
        r#"[{"TOBLOCK":"latest"}]"#,
        r#"[{"from\u0042lock":"latest"}]"#,
        "[{\"toBloc\u{212a}\":\"0x1\"}]",
    ] {
        same(LOGS, params, None);
    }
    same(
        STATE,
        r#"["0xa",{"blockNumber":"latest","blocknumber":"0x1"}]"#,
        None,
    );
}

proptest! {
    #[test]
    fn no_params_panic(params in r#"[\[{][\[\]{}",:a-z0-9\\ ]{0,60}"#) {
        for place in [STATE, BLOCK, LOGS, TRACES, FILTER] {
            let block_refs = read_params(place, &params, &PINS);
            written(&block_refs.edits, &params);
        }
    }

    #[test]
    fn every_other_parameter_stays_byte_for_byte(
        before in "(\"[a-z\\]\\[{}, ]{0,8}\"|null|[0-9]{1,3}|\\{ ?\"latest\": ?\\[1\\] ?\\}) ?",
        block in "(|,? ?\"latest\" ?|, ?\"safe\"|, ?\"0x[0-9]{1,4}\"|, ?null)",
        after in "(|, ?\\{\"latest\":\"latest\"\\} ?|,\"latest\")",
    ) {
        let params = format!("[{before}{block}{after}]");
        let value: Result<Vec<serde_json::Value>, _> = serde_json::from_str(&params);
        prop_assume!(value.is_ok());
        let text = travels(STATE, &params, &PINS).1;
        let raw = |text: &str| -> Vec<String> {
            scanner::elements(text.as_bytes(), 0).map(|at| text[at].to_string()).collect()
        };
        let (sent, came) = (raw(&text), raw(&params));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        for (index, sent) in sent.iter().enumerate() {
            prop_assert!(index == 1 || Some(sent) == came.get(index), "{} {}", params, text);
        }
        prop_assert!(sent.len() >= came.len());
    }
}

#[test]
fn a_plain_number_routes_a_call_and_is_never_written_anew() {
    let place = BlockParam::At {
        index: 0,
        reads: BlockData::Block,
        form: BlockParamForm::Plain,
    };
    let pins = TagPins {
        latest: Some(BlockNumber(100)),
        ..TagPins::default()
    };
    for (params, wanted) in [
        ("[7]", Some(7)),
        (r#"["0x7"]"#, Some(7)),
        (r#"["latest"]"#, None),
        ("[null]", None),
        ("[]", None),
        ("[-1]", None),
        ("[7.5]", None),
    ] {
        let block_refs = read_params(place, params, &pins);
        let need = block_refs.need.map(|need| (need.from.0, need.to.0));
        assert_eq!(need, wanted.map(|number| (number, number)), "{params}");
        assert!(block_refs.edits.is_empty(), "{params}");
    }
}

/// bsc `consensus/parlia/api.go`: tags, quantities in hexadecimal, or nothing, which is the latest.
#[test]
fn validators_are_asked_for_at_the_block_that_a_tag_means() {
    let (row, _) = MethodRules::new(vec![], vec![], vec![]).look_up("parlia_getValidators");
    let place = listed(row).unwrap().place;
    for (params, wanted) in [
        ("[]", r#"["0x64"]"#),
        (r#"["latest"]"#, r#"["0x64"]"#),
        (r#"["0x7"]"#, r#"["0x7"]"#),
        ("[7]", "[7]"),
    ] {
        goes_as(place, params, wanted);
    }
}

#[test]
fn what_is_as_long_as_a_hash_is_one_also_with_zeros_in_front() {
    for last in ["0", "1", "f"] {
        let hash = format!("0x{}{last}", "0".repeat(63));
        let wanted = BlockHash::read(&hash);
        assert!(wanted.is_some());
        for params in [
            format!(r#"[{{}},"{hash}"]"#),
            format!(r#"[{{}},{{"blockHash":"{hash}"}}]"#),
        ] {
            let read = read_params(STATE, &params, &PINS);
            assert_eq!(read.hash.map(|hashed| hashed.hash), wanted, "{params}");
            assert!(read.need.is_none() && read.is_exact);
        }
        let as_number = format!(r#"[{{}},{{"blockNumber":"{hash}"}}]"#);
        let read = read_params(STATE, &as_number, &PINS);
        assert!(read.hash.is_none() && read.need.is_none() && !read.is_exact);
        let longer = format!(r#"[{{}},"{hash}0"]"#);
        assert!(read_params(STATE, &longer, &PINS).hash.is_none());
    }
}

#[test]
fn a_block_that_is_named_by_its_hash_is_known_wherever_it_may_stand() {
    use BlockData::{Block, Receipts, State};
    let digits = "aB".repeat(32);
    let by_hash = BlockParam::Hash {
        index: 0,
        reads: Block,
    };
    for (place, params, reads) in [
        (STATE, format!(r#"["0xa","0x{digits}"]"#), Some(State)),
        (
            STATE,
            format!(r#"["0xa",{{"blockHash":"0x{digits}"}}]"#),
            Some(State),
        ),
        (
            STATE,
            format!(r#"["0xa",{{"blockHash":"0x{digits}","requireCanonical":true}}]"#),
            Some(State),
        ),
        (
            STATE,
            format!(r#"["0xa",{{"blockhash":"0x{digits}"}}]"#),
            None,
        ),
        (STATE, r#"["0xa",{"blockHash":"latest"}]"#.into(), None),
        (BLOCK, format!(r#"["0x{digits}"]"#), Some(Block)),
        (BLOCK, format!(r#"["0x{digits}0"]"#), None),
        (
            LOGS,
            format!(r#"[{{"blockHash":"0x{digits}"}}]"#),
            Some(Receipts),
        ),
        (
            LOGS,
            format!(r#"[{{"blockHash":"0x{digits}","toBlock":"0x1"}}]"#),
            None,
        ),
        (by_hash, format!(r#"["0x{digits}","0x0"]"#), Some(Block)),
        (by_hash, r#"["latest"]"#.into(), None),
        (by_hash, r#"["0x10"]"#.into(), None),
    ] {
        let block_refs = read_params(place, &params, &PINS);
        let hash = BlockHash([0xab; 32]);
        let wanted = reads.map(|reads| HashedBlock { hash, reads });
        assert_eq!(block_refs.hash, wanted, "{params}");
        if wanted.is_some() {
            assert!(
                block_refs.need.is_none() && block_refs.edits.is_empty(),
                "{params}"
            );
        }
    }
}

//! Params in many writings: equal meanings, other meanings, and what has two.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::json::element_offsets::ElementOffsets;

const CALL: BlockPlace = BlockPlace::Element {
    index: 1,
    may_lack: true,
};
const ACCOUNT: BlockPlace = BlockPlace::Element {
    index: 1,
    may_lack: false,
};
const BLOCK_FIRST: BlockPlace = BlockPlace::Element {
    index: 0,
    may_lack: false,
};
const FILTER: BlockPlace = BlockPlace::Filter { index: 0 };

/// Where that is how they are written, it is known without writing it, too.
fn canonical(params: &str, place: BlockPlace) -> Option<Vec<u8>> {
    let mut form = Vec::new();
    let found = write(Some(params), place, &mut |piece| {
        form.extend_from_slice(piece)
    })
    .map(|()| form);
    if serde_json::from_str::<serde::de::IgnoredAny>(params).is_ok() {
        let elements = ElementOffsets::of(params);
        let written = ParamsAsWritten::of(Some(params), &elements, place);
        if let Some(written) = written.filter(ParamsAsWritten::are_canonical) {
            assert_eq!(found, Some(written.pieces().concat()), "{params}");
        }
    }
    found
}

fn assert_alike(place: BlockPlace, writings: &[&str]) {
    let first = canonical(writings[0], place);
    assert!(first.is_some(), "{}", writings[0]);
    for other in writings {
        assert_eq!(canonical(other, place), first, "{other}");
    }
}

fn assert_apart(place: BlockPlace, writings: &[&str]) {
    for (at, one) in writings.iter().enumerate() {
        for other in &writings[at + 1..] {
            let (one_written, other_written) = (canonical(one, place), canonical(other, place));
            assert!(one_written.is_some(), "{one}");
            assert_ne!(one_written, other_written, "{one} {other}");
        }
    }
}

#[test]
fn objects_in_lists_are_alike_in_any_order() {
    let writings = [r#"["0x1",[{"a":0,"b":1}]]"#, r#"["0x1",[{"b":1,"a":0}]]"#];
    assert_alike(BlockPlace::Nowhere, &writings);
}

#[test]
fn texts_of_any_length_are_told_apart_and_known_again() {
    for length in [0, 1, 15, 16, 17, 64, 80, 254, 255, 256, 1000] {
        let text = |mark: &str, fill: &str| format!(r#"["{mark}{}"]"#, fill.repeat(length));
        let low = text("0x", "a");
        assert_alike(BlockPlace::Nowhere, &[&low, &text("0x", "A")]);
        let longer = text("0xa", "a");
        let (one, two) = (low.replacen("0x", "0xb", 1), text("0xc", "a"));
        assert_apart(BlockPlace::Nowhere, &[&low, &longer, &one, &two]);
        // Not all of it is digits: the case of its letters may mean something.
        let (small, large) = (text("0xg", "a"), text("0xg", "A"));
        if length > 0 {
            assert_apart(BlockPlace::Nowhere, &[&small, &large, &longer]);
        }
        let ends = |end: &str| low.replacen("\"]", &format!("{end}\"]"), 1);
        assert_apart(BlockPlace::Nowhere, &[&ends("g"), &ends("G"), &low]);
    }
}

/// An object with so many members, in the order in which they are named or against it, a space before each.
fn object(members: usize, is_turned: bool, space: &str, digits: &str) -> String {
    let member = |at: usize| format!("{space}\"k{at}\":\"0x{digits}{at}\"");
    let mut written: Vec<_> = (0..members).map(member).collect();
    if is_turned {
        written.reverse();
    }
    format!("[{{{}}}]", written.join(","))
}

#[test]
fn objects_are_read_alike_however_many_members_they_have_and_however_long_they_are() {
    for members in [0, 1, 2, 7, 8, 9, 12, 13] {
        let written = [false, true].map(|is_turned| {
            let spaced = object(members, is_turned, " ", "ab");
            let capitals = object(members, is_turned, "", "aB");
            [object(members, is_turned, "", "ab"), capitals, spaced]
        });
        let written = written.concat();
        let all: Vec<_> = written.iter().map(String::as_str).collect();
        assert_alike(BlockPlace::Nowhere, &all);
        if members > 1 {
            let twice = all[0].replacen("k1", "K0", 1);
            assert_eq!(canonical(&twice, BlockPlace::Nowhere), None);
        }
    }
    for length in [1023, 1024, 1025, 1026] {
        let frame = r#"[{"b":"0x","a":"0x1"}]"#;
        let filled = |fill: &str| {
            let digits = fill.repeat(length - frame.len());
            frame.replacen("0x", &format!("0x{digits}"), 1)
        };
        let (small, large) = (filled("c"), filled("C"));
        assert_eq!(small.len(), length);
        let spaced = small.replacen('{', "{ ", 1);
        assert_alike(BlockPlace::Nowhere, &[&small, &large, &spaced]);
    }
}

#[test]
fn params_as_most_clients_write_them_are_known_to_be_in_their_form() {
    for (params, place, is_so) in [
        (
            r#"[{"to":"0xabababababababababababababababababababab","data":"0x70a08231"},"0x10"]"#,
            CALL,
            true,
        ),
        (
            r#"[{"to":"0xabababababababababababababababababababab","data":"0x70A08231"},"0x10"]"#,
            CALL,
            false,
        ),
        (
            r#"[{"to":"0xabababababababababababababababababababab","data":"0x1f"},"latest",{"0xAB":{"balance":"0x1"}}]"#,
            CALL,
            false,
        ),
        (r#"[{"to":"0xab","data":"0x1f"},"latest"]"#, CALL, true),
        (r#"[{"to":"0xab","input":"0x"},"0x10"]"#, CALL, true),
        (r#"["0xab","0x10"]"#, ACCOUNT, true),
        (r#"["0xab"]"#, BlockPlace::Nowhere, true),
        (r#"[{"data":"0x1f","to":"0xab"},"latest"]"#, CALL, false),
        (r#"[{"to":"0xAb"},"latest"]"#, CALL, false),
        (r#"[{"to":"0xab","to":"0xac"},"latest"]"#, CALL, false),
        (r#"["0xab", "0x10"]"#, ACCOUNT, false),
        (r#"["0xab","earliest"]"#, ACCOUNT, false),
        (r#"["0xab"]"#, CALL, false),
        (r#"["0x1","0x2","0x3","0x4"]"#, BlockPlace::Nowhere, false),
    ] {
        let elements = ElementOffsets::of(params);
        let written = ParamsAsWritten::of(Some(params), &elements, place);
        let are_known = written.is_some_and(|written| written.are_canonical());
        assert_eq!(are_known, is_so, "{params}");
    }
}

#[test]
fn what_means_the_same_is_written_alike() {
    assert_alike(
        CALL,
        &[
            r#"[{"to":"0xab","data":"0x1F"},"latest"]"#,
            r#"[ {"data":"0x1f", "to":"0xAB"} ]"#,
            r#"[{"data":"0x1f","to":"0xAB","from":null},"0x10"]"#,
            r#"[{"data":"0x1f","to":"0xAB"},null]"#,
            r#"[{"data":"0x1f","to":"0xAB"},{"blockNumber":"0x7"}]"#,
        ],
    );
    assert_alike(
        FILTER,
        &[
            r#"[{"address":"0xAb"}]"#,
            r#"[{"fromBlock":"0x1","toBlock":"latest","address":["0xab"],"topics":[]}]"#,
            r#"[{"address":["0xab"],"topics":null,"toBlock":"0x2"}]"#,
        ],
    );
    assert_eq!(
        canonical("[]", BlockPlace::Nowhere),
        Some(b"[]".to_vec()),
        "and no params are none"
    );
    let mut written = Vec::new();
    write(None, BlockPlace::Nowhere, &mut |piece| {
        written.extend_from_slice(piece)
    })
    .unwrap();
    assert_eq!(written, b"[]");
}

#[test]
fn what_means_something_else_is_not() {
    assert_apart(
        CALL,
        &[
            r#"[{"to":"0xab"}]"#,
            r#"[{"to":"0xab0"}]"#,
            r#"[{"to":"ab"}]"#,
            r#"[{"To":"0xab"}]"#,
            r#"[{"to":"0xab"},"latest",{}]"#,
            r#"[{"to":"0xab"},"latest",null]"#,
            r#"[{"to":"0xab"},"latest",{"0xcd":{"balance":"0x1"}}]"#,
            r#"[{"to":"0xab"},"latest",{"0xcd":{"balance":"0x10"}}]"#,
            r#"[{"to":"0xab"},"latest",{"0xcd":{"balance":null}}]"#,
            // Named among overrides a precompile is none any more (geth `internal/ethapi/override`).
            r#"[{"to":"0xab"},"latest",{"0xcd":null}]"#,
            r#"[{"to":"0xab"},"latest",{"0xcd":{}}]"#,
            r#"[{"to":"0xab","x":null}]"#,
        ],
    );
    // Each account that is named has its place in the answer.
    assert_apart(
        CALL,
        &[r#"[{"0xcd":["0x0"]}]"#, r#"[{"0xab":null,"0xcd":["0x0"]}]"#],
    );
    assert_apart(
        FILTER,
        &[
            r#"[{"topics":["0xa"]}]"#,
            r#"[{"topics":["0xa",null]}]"#,
            r#"[{"topics":[["0xa"]]}]"#,
            r#"[{"topics":[["0xa","0xb"]]}]"#,
            r#"[{"topics":["0xa","0xb"]}]"#,
            r#"[{"address":[]}]"#,
            r#"[{}]"#,
        ],
    );
    assert_apart(
        BlockPlace::Nowhere,
        &["[1]", "[\"1\"]", "[[1]]", "[1,null]", "[true]", "[false]"],
    );
}

#[test]
fn what_can_be_read_in_two_ways_has_no_form() {
    for (place, params) in [
        (CALL, r#"[{"to":"0xab","to":"0xab"}]"#),
        (CALL, r#"[{"to":"0xab","To":"0xcd"}]"#),
        // The second takes the first away, in nodes that decode as Go does.
        (CALL, r#"[{"to":"0xab","data":"0x1","data":null}]"#),
        (CALL, r#"[{"to":"0xab","data":"0x1","DATA":null}]"#),
        (CALL, r#"[{"to":"0xab","data":null,"data":"0x1"}]"#),
        (FILTER, r#"[{"address":"0xab","address":null}]"#),
        (FILTER, r#"[{"topics":["0xa"],"topics":[]}]"#),
        (FILTER, r#"[{"topics":["0xa"],"Topics":null}]"#),
        (CALL, r#"[{"t\u006f":"0xab"}]"#),
        (CALL, r#"[{"to":"0x\u0061b"}]"#),
        (CALL, r#"[{"to":"0xab"},"earliest"]"#),
        (CALL, r#"[{"to":"0xab"},"pending"]"#),
        (CALL, r#"[{"to":"0xab"},"0x01"]"#),
        (CALL, r#"[{"to":"0xab"},"0X1"]"#),
        (CALL, r#"[{"to":"0xab"},"0x"]"#),
        (CALL, r#"[{"to":"0xab"},16]"#),
        (
            CALL,
            r#"[{"to":"0xab"},{"blockNumber":"0x1","blockHash":"0x1"}]"#,
        ),
        (CALL, r#"[{"to":"0xab"},{"blockNumber":"0x1","x":1}]"#),
        (CALL, r#"[{"to":"0xab"},{}]"#),
        (CALL, "[]"),
        (CALL, r#"{"to":"0xab"}"#),
        (FILTER, r#"["0x1"]"#),
        (FILTER, "[]"),
        (FILTER, r#"[{"fromBlock":"earliest"}]"#),
        (
            FILTER,
            r#"[{"fromBlock":"0x1","FromBlock":"0x2","fromblock":"0x3"}]"#,
        ),
        (BLOCK_FIRST, r#"[null,false]"#),
        (BLOCK_FIRST, "[]"),
    ] {
        assert_eq!(canonical(params, place), None, "{params}");
    }
}

/// What params say, however they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meant {
    Null,
    Yes(bool),
    Number(u8),
    Hex(String),
    Text(String),
    List(Vec<Meant>),
    Object(BTreeMap<String, Meant>),
}

fn meant() -> impl Strategy<Value = Meant> {
    let leaf = prop_oneof![
        Just(Meant::Null),
        any::<bool>().prop_map(Meant::Yes),
        (0u8..20).prop_map(Meant::Number),
        "[0-1a-b]{0,3}".prop_map(Meant::Hex),
        "[xs#\\[0-1]{0,2}".prop_map(Meant::Text),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Meant::List),
            prop::collection::btree_map("[a-b]{1,2}|to|0x[0-1a]", inner, 0..3)
                .prop_map(Meant::Object),
        ]
    })
}

/// Written in one of many ways, by `style`.
fn written(meant: &Meant, style: &mut u64) -> String {
    let mut next = |ways: u64| {
        *style = style
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (*style >> 33) % ways
    };
    let space = ["", " ", "\n\t"][next(3) as usize];
    let cased = |digits: &str, upper: bool| match upper {
        true => digits.to_ascii_uppercase(),
        false => digits.to_string(),
    };
    match meant {
        Meant::Null => "null".into(),
        Meant::Yes(yes) => yes.to_string(),
        Meant::Number(number) => number.to_string(),
        Meant::Hex(digits) => format!("\"0x{}\"", cased(digits, next(2) == 0)),
        Meant::Text(text) => format!("\"{text}\""),
        Meant::List(list) => {
            let parts: Vec<_> = list.iter().map(|each| written(each, style)).collect();
            format!("[{space}{}{space}]", parts.join(&format!("{space},")))
        }
        Meant::Object(members) => {
            let turn = next(3) as usize;
            let upper = next(2) == 0;
            let mut parts: Vec<_> = members
                .iter()
                .map(|(key, value)| {
                    let key = match key.strip_prefix("0x") {
                        Some(digits) => format!("0x{}", cased(digits, upper)),
                        None => key.clone(),
                    };
                    format!("{space}\"{key}\"{space}:{}", written(value, style))
                })
                .collect();
            let turn = turn.min(parts.len());
            parts.rotate_left(turn);
            format!("{{{}}}", parts.join(","))
        }
    }
}

/// The same, without what says nothing.
fn bare(params: &[Meant]) -> Vec<Meant> {
    let each = params.iter().map(|param| match param {
        Meant::Object(members) => {
            let said = members
                .iter()
                .filter(|(key, value)| *key != "to" || **value != Meant::Null);
            Meant::Object(
                said.map(|(key, value)| (key.clone(), value.clone()))
                    .collect(),
            )
        }
        other => other.clone(),
    });
    each.collect()
}

fn form(params: &[Meant], style: u64) -> Option<Vec<u8>> {
    let text = written(&Meant::List(params.to_vec()), &mut style.clone());
    canonical(text.trim(), BlockPlace::Nowhere)
}

proptest! {
    #[test]
    fn equal_meanings_share_a_form_and_no_two_meanings_do(
        one in prop::collection::vec(meant(), 0..3),
        other in prop::collection::vec(meant(), 0..3),
        styles in any::<[u64; 2]>(),
    ) {
        let first = form(&one, styles[0]);
        prop_assert!(first.is_some());
        prop_assert_eq!(&first, &form(&one, styles[1]));
        let is_same = bare(&one) == bare(&other);
        prop_assert_eq!(is_same, first == form(&other, styles[1]));
    }

    /// What is written as another's form has that form itself: else what is looked for as it is written could be
    /// another's.
    #[test]
    fn a_form_is_the_form_of_what_is_written_so(
        params in prop::collection::vec(meant(), 1..3),
        style in any::<u64>(),
    ) {
        let bare = form(&params, style).unwrap();
        prop_assert_eq!(&canonical(std::str::from_utf8(&bare).unwrap(), BlockPlace::Nowhere), &Some(bare));
        let call = Meant::List(vec![params[0].clone(), Meant::Text("latest".into())]);
        let form = canonical(written(&call, &mut style.clone()).trim(), CALL).unwrap();
        let before = std::str::from_utf8(form.strip_suffix(b"B]").unwrap()).unwrap();
        for behind in ["]", r#",{"0xab":{"nonce":"0x1"}}]"#] {
            let form = format!("{before}B{behind}").into_bytes();
            for block in ["null", r#""0x10""#, r#""latest""#, r#"{"blockNumber":"0x7"}"#] {
                let text = format!("{before}{block}{behind}");
                prop_assert_eq!(&canonical(&text, CALL), &Some(form.clone()));
            }
        }
    }

    /// [`canonical`] sees to it that a text is taken for a form only where it is one.
    #[test]
    fn what_is_one_character_from_a_form_is_taken_for_one_only_where_it_is(
        params in prop::collection::vec(meant(), 1..3),
        style in any::<u64>(),
        at in any::<prop::sample::Index>(),
        character in prop::sample::select("A _\\é\"{}[],:0a".chars().collect::<Vec<_>>()),
        replaces in any::<bool>(),
    ) {
        // Beyond the bytes that are looked at first.
        let long = Meant::Text("0".repeat(40));
        let params = [vec![long], params].concat();
        let form = String::from_utf8(form(&params, style).unwrap()).unwrap();
        let mut text: Vec<char> = form.chars().collect();
        let at = 43 + at.index(text.len() - 43);
        match replaces {
            true => text[at] = character,
            false => text.insert(at, character),
        }
        canonical(&String::from_iter(text), BlockPlace::Nowhere);
    }

    /// The same of calls as most are.
    #[test]
    fn what_is_one_character_from_a_usual_call_is_taken_for_a_form_only_where_it_is(
        bytes in 0usize..40,
        at in any::<prop::sample::Index>(),
        character in prop::sample::select("A _\\é\"{}[],:0a".chars().collect::<Vec<_>>()),
        replaces in any::<bool>(),
    ) {
        let (to, data) = ("ab".repeat(20), "1f".repeat(bytes));
        let usual = format!(r#"[{{"to":"0x{to}","data":"0x{data}"}},"latest"]"#);
        let mut text: Vec<char> = usual.chars().collect();
        let at = at.index(text.len());
        match replaces {
            true => text[at] = character,
            false => text.insert(at, character),
        }
        canonical(&String::from_iter(text), CALL);
    }

    #[test]
    fn nothing_panics(params in r#"[\[\]{}",: a-c0-9x\\]{0,60}"#) {
        for place in [CALL, FILTER, BlockPlace::Nowhere] {
            canonical(&params, place);
        }
    }
}

//! Tests of JSON's grammar, against `serde_json`.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn passes(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.value().and_then(|_| scanner.end()).is_ok()
}

fn serde_passes(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

fn depth(text: &str) -> usize {
    Scanner::new(text).value().unwrap().1
}

#[test]
fn the_grammar_is_kept_to_the_letter() {
    let good = [
        "0",
        "-0",
        "12.50",
        "1e3",
        "1E-3",
        "1.5e+10",
        "\"\"",
        "[]",
        "{}",
        " [ ] ",
        "true",
        "null",
        "false",
        r#""\"\\\/\b\f\n\r\t\u00e9\ud800""#,
        "\"é😀\"",
        r#"{"a":[{},[],{"b":null}]}"#,
        "\t\r\n [1 , 2]",
        "[[],[[]]]",
        "\"0123456\"",
        "\"01234567\"",
        "\"012345678\"",
    ];
    #[rustfmt::skip]
    let bad = [
        "", " ", "-", "01", "1.", ".5", "1e", "1e+", "+1", "0x1", "tru", "nul", "truee", "'a'",
        "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\n\"", "[", "]", "[1", "[1,", "[,]", "[1,]", "[1 2]",
        "[}", "{]", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{a:1}", "{1:1}", "{,}", "[1]]",
        "1 1", "\u{a0}1", "[1}", "NaN", "\"\\u12\"", "\"\\u12g4\"", "\"\u{1f}\"", "\"0123456\u{0}89abcdef\"",
        "{\"a\":1,", "{\"a\":1,}", "{\"a\" 1}", "{\"a\":1 \"b\":2}",
        "\u{feff}1", "{\"a\":[}", "[\"a\":1]",
    ];
    for (texts, wanted) in [(&good[..], true), (&bad, false)] {
        for text in texts {
            assert_eq!(passes(text), wanted, "{text:?}");
            assert_eq!(serde_passes(text), wanted, "serde_json: {text:?}");
        }
    }
}

#[test]
fn nesting_is_counted_and_costs_no_stack() {
    for (text, wanted) in [
        ("1", 0),
        ("[]", 1),
        ("{}", 1),
        (r#"{"a":[1,{"b":[]}],"c":[[]]}"#, 4),
        (r#"["[[[","]]"]"#, 1),
    ] {
        assert_eq!(depth(text), wanted, "{text}");
    }
    for levels in [63, 64, 65, 127, 128, 129, 200, 100_000] {
        let (open, close) = (r#"{"a":["#.repeat(levels), "]}".repeat(levels));
        let text = format!("{open}{close}");
        assert_eq!(depth(&text), 2 * levels);
        assert!(!passes(&text[..text.len() - 1]) && !passes(&text[1..]));
        let crossed = format!("{open}{}", "}]".repeat(levels));
        assert!(!passes(&crossed));
    }
}

#[test]
fn members_are_handed_on_as_written() {
    let text = r#" { "a" : [ 1 ] ,"\u0062":"x\\", "c":{"d":[]}} "#;
    let mut found = Vec::new();
    let mut scanner = Scanner::new(text);
    let member = |key: RawString<'_>, scanner: &mut Scanner<'_>| {
        let (value, depth) = scanner.value()?;
        found.push((key.text().unwrap().into_owned(), value.to_string(), depth));
        Ok(())
    };
    assert_eq!(scanner.object(member), Ok(()));
    assert_eq!(scanner.end(), Ok(()));
    let wanted = [
        ("a", "[ 1 ]", 1),
        ("b", r#""x\\""#, 0),
        ("c", r#"{"d":[]}"#, 2),
    ];
    let wanted = wanted.map(|(key, value, depth)| (key.to_string(), value.to_string(), depth));
    assert_eq!(found, wanted);
}

#[test]
fn half_a_surrogate_pair_is_no_text() {
    let mut said = Vec::new();
    let mut scanner = Scanner::new(r#"{"\ud83d\ude00":1,"\ud800":1}"#);
    let object = scanner.object(|key, scanner| {
        said.push(key.text().map(Cow::into_owned));
        scanner.value().map(|_| ())
    });
    assert_eq!(object, Ok(()));
    assert_eq!(said, [Some("😀".to_string()), None]);
}

/// Text that is JSON more often than not, and a byte away from it otherwise.
fn nearly_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_string()),
        Just("true".to_string()),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?([eE][+-]?[0-9])?",
        r#""([ -!#-\[\]-~é]|\\["\\/bfnrtu]|\\u[0-9a-f]{4}){0,20}""#,
    ];
    let tree = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|elements| format!("[{}]", elements.join(" , "))),
            prop::collection::vec(("\"[a-c\\\\]{0,9}\"", inner), 0..4).prop_map(|members| {
                let members = members.iter().map(|(key, value)| format!("{key}:{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    });
    (
        tree,
        any::<prop::sample::Index>(),
        "[\\[\\]{}\",:\\\\ 0\u{1}]?",
        any::<bool>(),
    )
        .prop_map(|(tree, at, change, is_whole)| {
            let at = at.index(tree.len() + 1);
            if is_whole || !tree.is_char_boundary(at) {
                return tree;
            }
            format!(
                "{}{change}{}",
                &tree[..at],
                tree.get(at + 1..).unwrap_or_default()
            )
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_is_as_strict_as_serde_json_and_no_stricter(text in nearly_json()) {
        prop_assert_eq!(passes(&text), serde_passes(&text), "{:?}", text);
    }

    #[test]
    fn so_it_is_on_any_text(text in r#"[\[\]{}",: a-cnulltrue0-9.eE+\-\\\n\u{1}é]{0,24}"#) {
        prop_assert_eq!(passes(&text), serde_passes(&text), "{:?}", text);
    }

    #[test]
    fn the_plain_part_of_a_string_ends_where_a_byte_by_byte_search_says(
        bytes in prop::collection::vec(prop_oneof![3 => 0x20u8..0x7f, 1 => any::<u8>()], 0..40),
        at in 0usize..42,
    ) {
        let is_end = |byte: &u8| *byte < 0x20 || matches!(*byte, b'"' | b'\\');
        let rest = bytes.get(at..).unwrap_or_default();
        let wanted = at + rest.iter().position(is_end).unwrap_or(rest.len());
        prop_assert_eq!(plain_end(&bytes, at), wanted);
    }
}

//! What is kept and given, what goes, and how much room it takes.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use forebay_core::call::cache::CacheSecret;
use forebay_core::call::cache::KeptBlock;
use forebay_core::call::cache::giving::KeptCondition;
use forebay_core::fleet::branch::PublishedChain;
use forebay_core::method::retention::Retention;
use forebay_core::testing;
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber};
use forebay_core::vocabulary::node::Role;

const NODE: NodeId = NodeId(7);
const OTHER: NodeId = NodeId(8);

fn cache(memory: u64) -> AnswerCache {
    of_chain(&Arc::new(AnswerStore::new(memory)))
}

fn of_chain(store: &Arc<AnswerStore>) -> AnswerCache {
    AnswerCache::of(store.clone(), (CacheSecret::new([1, 2, 3, 4]), 5), None)
}

fn now() -> Instant {
    forebay_core::testing::now()
}

/// Of the call with this number.
fn plan(number: u64, row: u16) -> CachePlan {
    let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    CachePlan {
        key: CacheKey([hash.rotate_left(32), hash]),
        row,
        retention: Retention::State,
        block: KeptBlock::Named,
        from: None,
        is_by_hash: false,
    }
}

fn always(node: NodeId) -> KeptTerms {
    KeptTerms {
        node,
        losses: view(1).node(node).map_or(0, |node| node.evidence.losses),
        number: BlockNumber(5),
        condition: KeptCondition::Always,
    }
}

fn answer(result_bytes: usize) -> WholeAnswer {
    let result = "x".repeat(result_bytes);
    testing::whole_answer(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":"{result}"}}"#
    ))
}

/// A hash no two bytes of which are alike.
fn told(first: u8) -> BlockHash {
    BlockHash(std::array::from_fn(|at| first + at as u8))
}

/// Two nodes, and block 5 told.
fn view(hash: u8) -> FleetView {
    let criteria = testing::quick_criteria();
    let members = [NODE, OTHER].map(|id| testing::called(id.0, "a"));
    let mut fleet = testing::fleet_by(criteria, members, now());
    let header = testing::header(5, told(hash), BlockHash([0; 32]));
    fleet.hear_told(PublishedChain::of([header.into()].iter()));
    fleet.view()
}

#[test]
fn what_is_kept_is_given_as_it_was_sent_with_the_callers_id() {
    let (cache, view) = (cache(1 << 20), view(1));
    let (plan, kept, kept_at) = (plan(1, 3), answer(10), now());
    assert!(cache.find(&plan, &view, kept_at).is_none());
    cache.keep(&plan, &always(NODE), &kept, kept_at);
    let found = cache.find(&plan, &view, kept_at).unwrap();
    assert_eq!(found.answer.result(), kept.result());
    assert_eq!((&*found.node, found.role), ("a", Role::Own));
    // It is of a block that no client is shown yet.
    assert_eq!(found.news, Some(always(NODE).number));
    let mut written = Vec::new();
    found.answer.write_to("\"mine\"", &mut written);
    assert_eq!(
        written,
        br#"{"jsonrpc":"2.0","id":"mine","result":"xxxxxxxxxx"}"#
    );
    assert_eq!(cache.store.entries(), 1);
    for age in [0, 1500].map(Duration::from_millis) {
        let found = cache.find(&plan, &view, kept_at + age).unwrap();
        assert_eq!(found.age, age);
    }
}

#[test]
fn it_is_told_that_something_was_kept_and_that_only() {
    let cache = cache(1 << 20);
    let keep = |number, bytes| cache.keep(&plan(number, 3), &always(NODE), &answer(bytes), now());
    let kept = || cache.store.kept_so_far();
    assert_eq!(kept(), 0);
    keep(1, 10);
    assert_eq!(kept(), 1);
    keep(2, ANSWER_BYTES_MAX + 1);
    assert_eq!(kept(), 1, "it is too long");
    cache.forget(&plan(1, 3));
    assert_eq!(kept(), 1, "gone or not");
}

#[test]
fn an_error_is_given_as_one() {
    let (cache, view) = (cache(1 << 20), view(1));
    let body = r#"{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"no","data":"0x01"}}"#;
    cache.keep(
        &plan(1, 3),
        &always(NODE),
        &testing::whole_answer(body),
        now(),
    );
    let found = cache.find(&plan(1, 3), &view, now()).unwrap();
    assert_eq!(found.answer.result(), None);
    assert_eq!(found.answer.error().unwrap().data, Some("\"0x01\""));
}

#[test]
fn the_terms_are_kept_and_asked_for() {
    let cache = cache(1 << 20);
    let told = KeptCondition::WhileTold(told(1));
    let strays = view(1).node(NODE).unwrap().evidence.strays;
    for (number, condition, is_given, is_given_elsewhere) in [
        (1, told, true, false),
        (2, KeptCondition::WhileSteady { strays }, true, true),
        (
            3,
            KeptCondition::WhileSteady { strays: strays + 1 },
            false,
            false,
        ),
    ] {
        let terms = KeptTerms {
            condition,
            ..always(NODE)
        };
        cache.keep(&plan(number, 3), &terms, &answer(1), now());
        let found = cache.find(&plan(number, 3), &view(1), now());
        assert_eq!(found.is_some(), is_given, "{condition:?}");
        assert!(found.is_none_or(|found| found.news == Some(terms.number)));
        let elsewhere = cache.find(&plan(number, 3), &view(2), now()).is_some();
        assert_eq!(elsewhere, is_given_elsewhere, "{condition:?}");
    }
}

#[test]
fn what_a_node_said_before_it_was_lost_is_given_no_more() {
    let (cache, view) = (cache(1 << 20), view(1));
    cache.keep(&plan(1, 3), &always(NODE), &answer(1), now());
    cache.keep(&plan(2, 3), &always(OTHER), &answer(1), now());
    cache.lose(NODE);
    cache.keep(&plan(3, 3), &always(NODE), &answer(1), now());
    let is_given = |number| cache.find(&plan(number, 3), &view, now()).is_some();
    assert_eq!([1, 2, 3].map(is_given), [false, true, true]);
}

#[test]
fn entries_go_by_node_by_method_or_all() {
    let cache = cache(1 << 20);
    let other = of_chain(&cache.store);
    other.keep(&plan(5, 4), &always(NODE), &answer(1), now());
    for (number, node, row) in [(1, NODE, 3), (2, OTHER, 3), (3, OTHER, 4), (4, OTHER, 4)] {
        cache.keep(&plan(number, row), &always(node), &answer(1), now());
    }
    assert_eq!(cache.purge(Purge::Node(NODE)), 1);
    assert_eq!(cache.purge(Purge::Method(4)), 2);
    assert_eq!((cache.purge(Purge::All), cache.store.entries()), (1, 1));
    assert_eq!(other.purge(Purge::All), 1, "another chain's stay");
}

#[test]
fn there_is_never_more_than_there_is_room_for() {
    let (memory, view) = (4_u64 << 20, view(1));
    let cache = cache(memory);
    for number in 0..20_000 {
        cache.keep(&plan(number, 3), &always(NODE), &answer(1000), now());
        assert!(cache.store.bytes() <= memory);
    }
    assert!(
        cache.store.bytes() > memory * 8 / 10,
        "{}",
        cache.store.bytes()
    );
    assert!(cache.store.evicted() > 10_000);
    assert!(cache.find(&plan(19_999, 3), &view, now()).is_some());
}

#[test]
fn the_longest_is_kept_and_one_byte_more_is_not() {
    let (cache, view) = (cache(64 << 20), view(1));
    let around = answer(0).bytes();
    for (number, bytes) in [(1, ANSWER_BYTES_MAX), (2, ANSWER_BYTES_MAX + 1)] {
        cache.keep(
            &plan(number, 3),
            &always(NODE),
            &answer(bytes - around),
            now(),
        );
        let is_kept = cache.find(&plan(number, 3), &view, now()).is_some();
        assert_eq!(is_kept, bytes <= ANSWER_BYTES_MAX, "{bytes}");
    }
}

#[test]
fn one_pass_over_everything_leaves_what_is_asked_for_often() {
    let (cache, view) = (cache(1 << 20), view(1));
    let often = 0..100;
    for _ in 0..5 {
        for number in often.clone() {
            if cache.find(&plan(number, 3), &view, now()).is_none() {
                cache.keep(&plan(number, 3), &always(NODE), &answer(1000), now());
            }
        }
    }
    for number in 1000..20_000 {
        cache.keep(&plan(number, 3), &always(NODE), &answer(1000), now());
    }
    let left = often.filter(|number| cache.find(&plan(*number, 3), &view, now()).is_some());
    let left = left.count();
    assert!(left > 80, "{left}");
}

#[test]
fn what_is_gathered_is_bounded_and_given_back() {
    let cache = cache(8 << 20);
    let most = 1 << 20;
    let (mut one, mut other) = (cache.gathering(), cache.gathering());
    assert!(one.hold(most / 2) && other.hold(most / 2));
    assert!(!other.hold(1), "there is no room for more");
    drop(other);
    assert!(one.hold(most / 2));
    assert!(!one.hold(1), "it is the longest");
    drop(one);
    assert!(cache.gathering().hold(most));
}

/// What this process takes, in bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
#[ignore = "takes a gibibyte, and half a minute"]
fn entries_take_little_beside_their_answers() {
    let before = resident();
    let many = cache(4 << 30);
    let around = answer(0).bytes();
    let short = answer(300 - around);
    for number in 0..1_000_000 {
        many.keep(&plan(number, 3), &always(NODE), &short, now());
    }
    let took = resident() - before;
    let counted = many.store.bytes();
    println!(
        "a million entries of 300 bytes take {} MiB, counted as {} MiB",
        took >> 20,
        counted >> 20
    );
    assert_eq!(many.store.entries(), 1_000_000);
    assert!(took <= 600 << 20 && counted <= 600 << 20);
    drop(many);
    for bytes in [1 << 10, 4 << 10, 64 << 10] {
        // Compared with the beginning: what was let go of may be used again without growing.
        let full = cache(1 << 30);
        let long = answer(bytes - around);
        let entries = (3 << 30) / bytes as u64 / 2;
        for number in 0..entries {
            full.keep(&plan(number, 3), &always(NODE), &long, now());
        }
        let (kept, took) = (
            full.store.entries() * bytes,
            resident().saturating_sub(before),
        );
        println!(
            "1 GiB full of answers of {bytes} bytes takes {} MiB, {} MiB of them answers",
            took >> 20,
            kept >> 20
        );
        assert!(took <= (1 << 30) + (154 << 20), "{took}");
    }
}

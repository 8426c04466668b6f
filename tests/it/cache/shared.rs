//! Kept answers that balancers share by a real Redis: one that begins is warm, what is let go is so everywhere,
//! and whatever becomes of the store, no answer is wrong.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::sharing::{Sharing, entries, is_hit};
use crate::support::{Balancer, RedisServer, batch_of, soon};

/// A balancer that listens hears within milliseconds what is let go; one that didn't would see it within 5 s.
const HEARD: Duration = Duration::from_millis(1500);
/// The longest that a call takes which waits in vain for a store's 20 ms.
const FROZEN_MAX: Duration = Duration::from_millis(150);
/// Of one batch so many calls' answers are looked for in the store.
const BATCH_MAX: u64 = 64;
/// No longer answer is read from the store, about, in bytes.
const ENTRY_BYTES_MAX: u64 = 1 << 20;

/// How many bytes the store has said so far.
async fn bytes_said(server: &RedisServer) -> u64 {
    let said = server.ask("INFO stats").await;
    let mut lines = said.lines();
    let said = lines.find_map(|line| line.strip_prefix("total_net_output_bytes:"));
    said.unwrap().trim().parse().unwrap()
}

async fn shared_hits(balancer: &Balancer) -> f64 {
    let labels = [("method", "eth_getBalance")];
    let hits = balancer.metric("forebay_cache_shared_hits_total", &labels);
    hits.await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_balancer_keeps_the_other_gives_and_one_that_begins_is_warm() {
    let server = RedisServer::start().await;
    let mut sharing = Sharing::over(&server, 1).await;
    let mut tries = 0..5;
    let (asked, hits, body, [first, second]) = loop {
        assert!(tries.next().is_some(), "the other doesn't find it in time");
        let (asked, hits) = (sharing.heard(), shared_hits(&sharing.other).await);
        let body = sharing.kept_by_one().await;
        let [first, second] = [&sharing.one, &sharing.other].map(|it| it.post(&body));
        let both = [first.await, second.await];
        if is_hit(&both[1]) {
            break (asked, hits, body, both);
        }
    };
    assert_eq!(first.text(), second.text());
    assert_eq!(
        first.header("x-forebay-node"),
        second.header("x-forebay-node")
    );
    assert_eq!(sharing.heard(), asked + 1);
    assert_eq!(shared_hits(&sharing.other).await, hits + 1.0);
    assert!(is_hit(&sharing.other.post(&body).await), "kept here now");
    assert_eq!(shared_hits(&sharing.other).await, hits + 1.0);

    for (calls, wanted, to_nodes) in [(BATCH_MAX, "hit", 0), (BATCH_MAX + 3, "miss", 3)] {
        let all = sharing.stored(&server, calls).await;
        let asked = sharing.heard();
        let batch = sharing.other.post(&batch_of(&all)).await;
        assert_eq!(batch.header("x-forebay-cache"), Some(wanted));
        assert_eq!(batch.json().as_array().unwrap().len(), all.len());
        assert_eq!(sharing.heard(), asked + to_nodes);
    }

    let mut all = Vec::new();
    for _ in 0..60 {
        let body = sharing.fresh();
        sharing.one.post(&body).await;
        all.push(body);
    }
    sharing.other.process.kill();
    sharing.other.start_again().await;
    let began = forebay::clock::now();
    let warm = async {
        for body in &all {
            if is_hit(&sharing.other.post(body).await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it began cold");
    };
    warm.await;
    println!("warm {:?} after it was ready", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_is_asked_once_is_shared_although_it_is_never_asked_again_there() {
    let server = RedisServer::start().await;
    let sharing = Sharing::over(&server, 1).await;
    for _ in 0..1100 {
        sharing.one.post(&sharing.fresh()).await;
    }
    soon("the other finds it", async || {
        let body = sharing.kept_by_one().await;
        is_hit(&sharing.other.post(&body).await)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_lets_go_the_others_give_no_more_even_if_they_were_away() {
    let server = RedisServer::start().await;
    let mut sharing = Sharing::over(&server, 1).await;
    for which in [
        &["--method", "eth_getBalance"][..],
        &["--node", "a"],
        &["--node", "b"],
        &["--all"],
    ] {
        for is_away in [false, true] {
            let mut bodies = Vec::new();
            for _ in 0..6 {
                bodies.push(sharing.kept_by_both().await);
            }
            // And one that only the store has.
            let stored = sharing.kept_by_one().await;
            if is_away {
                sharing.other.process.pause();
            }
            sharing.one.obeys(&[&["cache", "purge"], which].concat());
            if is_away {
                sharing.other.process.resume();
            }
            let began = forebay::clock::now();
            let goes = |node: &str| which[0] != "--node" || which[1] == node;
            for (body, node) in bodies.iter().filter(|(_, node)| goes(node)) {
                let asked = sharing.heard();
                let what = format!("{which:?}, away: {is_away}: {body} of {node} is gone");
                soon(&what, async || {
                    sharing.other.post(body).await;
                    sharing.heard() > asked
                })
                .await;
            }
            assert!(is_away || began.elapsed() < HEARD, "{which:?}: it is heard");
            if which[0] != "--node" {
                // Nor is it read from the store.
                let asked = sharing.heard();
                assert!(!is_hit(&sharing.other.post(&stored).await), "{which:?}");
                assert_eq!(sharing.heard(), asked + 1);
            }
            sharing.meet().await;
        }
    }
    // Nor by one that was not there at all.
    let body = sharing.kept_by_one().await;
    sharing.other.process.kill();
    sharing.one.obeys(&["cache", "purge", "--all"]);
    sharing.other.start_again().await;
    let asked = sharing.heard();
    sharing.other.post(&body).await;
    assert_eq!(sharing.heard(), asked + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_has_said_that_lies_to_one_balancer_no_other_gives() {
    let server = RedisServer::start().await;
    let sharing = Sharing::over(&server, 1).await;
    let mut of_a = Vec::new();
    while of_a.len() < 6 {
        let body = sharing.kept_by_one().await;
        let answer = sharing.one.post(&body).await;
        if answer.node() == "a" {
            of_a.push(body);
        }
    }
    // Asked for one block by its hash, it answers another.
    let latest = sharing
        .one
        .ask("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    let mut block = latest["result"].clone();
    let hash = block["hash"].as_str().unwrap().to_string();
    block["hash"] = json!(format!("0x{}", "ab".repeat(32)));
    sharing.nodes[0].set_result("eth_getBlockByHash", &block.to_string());
    soon("it has lied", async || {
        sharing
            .one
            .ask("eth_getBlockByHash", json!([hash, false]))
            .await;
        let generations = server.ask("HGETALL forebay:main:generations").await;
        generations.contains("node:a")
    })
    .await;
    // Nor does that one itself. Each is asked for other ones: what it hears anew it shares.
    let (of_one, of_other) = of_a.split_at(3);
    for (balancer, of_a) in [(&sharing.one, of_one), (&sharing.other, of_other)] {
        for body in of_a {
            let asked = sharing.heard();
            soon("it is given no more", async || {
                balancer.post(body).await;
                sharing.heard() > asked
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_damaged_and_misplaced_entries_are_misses() {
    let server = RedisServer::start().await;
    let sharing = Sharing::over(&server, 1).await;
    let damages = [
        ("bits", "SETBIT KEY 400 1|SETBIT KEY 401 0|SETBIT KEY 402 1"),
        ("its version", "SETRANGE KEY 0 x"),
        ("longer", "APPEND KEY x"),
        ("nonsense", "SET KEY hello"),
        ("empty", "SET KEY \"\""),
        ("huge", "SETRANGE KEY 50000000 x"),
        ("another kind", "DEL KEY|RPUSH KEY x"),
        ("another's", "COPY OTHER KEY REPLACE"),
    ];
    let mut found = 0;
    for (what, damage) in damages {
        server.ask("EVAL \"for _,k in ipairs(redis.call('KEYS','forebay:main:answer:*')) do redis.call('DEL',k) end return 1\" 0").await;
        let other_body = sharing.kept_by_one().await;
        let other = entries(&server).await;
        let body = sharing.kept_by_one().await;
        let mut keys = entries(&server).await.into_iter();
        let key = keys.find(|key| !other.contains(key));
        let (key, other) = (key.unwrap(), &other[0]);
        let before = server.ask(&format!("DUMP {key}")).await;
        let damage = damage.replace("KEY", &key).replace("OTHER", other);
        for command in damage.split('|') {
            let said = server.ask(command).await;
            assert!(!said.starts_with('-'), "{what}: {said}");
        }
        assert_ne!(server.ask(&format!("DUMP {key}")).await, before, "{what}");
        let (asked, said) = (sharing.heard(), bytes_said(&server).await);
        let answer = sharing.other.post(&body).await;
        assert!(!is_hit(&answer), "{what}");
        assert_eq!(sharing.heard(), asked + 1, "{what}");
        assert_eq!(
            answer.text(),
            sharing.one.post(&body).await.text(),
            "{what}"
        );
        found += usize::from(is_hit(&sharing.other.post(&other_body).await));
        let said = bytes_said(&server).await - said;
        assert!(
            said < 2 * ENTRY_BYTES_MAX,
            "{what}: the store said {said} bytes"
        );
    }
    // But for what takes longer than there is time: as long as an entry may be, or by chance.
    assert!(found >= 4, "{found}");
    // What was let go can't be known: nothing is shared, and all is served.
    for (command, recovers) in [
        ("SET forebay:main:generations x", false),
        ("DEL forebay:main:generations", true),
        ("HSET forebay:main:generations base nonsense", true),
    ] {
        server.ask(command).await;
        server.ask("PUBLISH forebay:main:answers x").await;
        for _ in 0..20 {
            let body = sharing.kept_by_one().await;
            sharing.other.post(&body).await.json();
        }
        if recovers {
            sharing.meet().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chains_that_are_called_alike_share_nothing() {
    let server = RedisServer::start().await;
    let sharing = Sharing::over(&server, 1).await;
    let elsewhere = Sharing::over(&server, 2).await;
    sharing.made.store(10_000, Ordering::Relaxed);
    // One answer may come too late by chance.
    let mut found = 0;
    for _ in 0..10 {
        let body = sharing.kept_by_one().await;
        assert!(!is_hit(&elsewhere.one.post(&body).await));
        found += usize::from(is_hit(&sharing.other.post(&body).await));
    }
    assert!(found >= 5, "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_the_store_calls_are_answered_as_if_there_were_none() {
    let mut server = RedisServer::start().await;
    let sharing = Sharing::over(&server, 1).await;
    let full = "CONFIG SET maxmemory 1mb";
    for trouble in ["freezes", "is killed", "FLUSHALL", full] {
        match trouble {
            "freezes" => server.process.pause(),
            "is killed" => server.process.kill(),
            command => drop(server.ask(command).await),
        }
        let until = forebay::clock::now() + Duration::from_millis(1500);
        while forebay::clock::now() < until {
            let body = sharing.fresh();
            for balancer in [&sharing.one, &sharing.other] {
                let began = forebay::clock::now();
                let answer = balancer.post(&body).await;
                assert_eq!(answer.status, 200, "{trouble}: {}", answer.text());
                assert!(answer.json().get("result").is_some(), "{trouble}");
                let took = began.elapsed();
                assert!(took < Duration::from_millis(900), "{trouble}: {took:?}");
            }
        }
        match trouble {
            "freezes" => server.process.resume(),
            "is killed" => server.restart().await,
            _ => drop(server.ask("CONFIG SET maxmemory 0").await),
        }
        sharing.meet().await;
    }
    // A new block has answers of its own.
    let body = sharing.kept_by_one().await;
    sharing.chain.advance(1);
    soon("the other has it", async || {
        !is_hit(&sharing.other.post(&body).await)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_milliseconds_for_a_store_that_is_frozen() {
    let server = RedisServer::start().await;
    let sharing = Sharing::over(&server, 1).await;
    let failed = async || {
        let name = "forebay_shared_store_failures_total";
        let failed = sharing.one.metric(name, &[("operation", "get")]);
        failed.await.unwrap_or_default()
    };
    let before = failed().await;
    server.process.pause();
    // At once: after some that come late none is asked for any more.
    let took = futures_util::future::join_all((0..3).map(async |_| {
        let body = sharing.fresh();
        let began = forebay::clock::now();
        assert!(!is_hit(&sharing.one.post(&body).await));
        began.elapsed()
    }));
    let took = took.await;
    assert!(failed().await > before, "it was asked");
    // The machine may do much else.
    let quickest = took.iter().min().unwrap();
    assert!(*quickest < FROZEN_MAX, "{took:?}");
    server.process.resume();
    sharing.meet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_has_said_that_one_balancer_lists_no_more_no_other_gives() {
    let server = RedisServer::start().await;
    let sharing = Sharing::over(&server, 1).await;
    let mut of_both = Vec::new();
    for node in ["a", "b"] {
        loop {
            let (body, by) = sharing.kept_by_both().await;
            if by == node {
                of_both.push(body);
                break;
            }
        }
    }
    let [of_a, of_b] = of_both.try_into().unwrap();
    sharing.one.takes_out("a");
    soon("the other gives it no more", async || {
        !is_hit(&sharing.other.post(&of_a).await)
    })
    .await;
    assert!(is_hit(&sharing.other.post(&of_b).await), "what others said");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_cannot_hear_what_is_let_go_reads_nothing() {
    let server = RedisServer::start().await;
    let sharing = Sharing::over(&server, 1).await;
    let mut all = sharing.stored(&server, 80).await.into_iter();
    for command in ["ACL SETUSER default -psubscribe", "CLIENT KILL TYPE pubsub"] {
        let said = server.ask(command).await;
        assert!(!said.starts_with('-'), "{command}: {said}");
    }
    // Until it has noticed; one answer may come too late by chance.
    let mut misses = 0;
    while misses < 5 {
        let body = all.next().expect("it reads though it can't hear");
        let is_found = is_hit(&sharing.other.post(&body).await);
        misses = if is_found { 0 } else { misses + 1 };
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for body in all {
        assert!(!is_hit(&sharing.other.post(&body).await), "{body}");
    }
    assert_eq!(
        sharing.other.metric("forebay_shared_store_up", &[]).await,
        Some(1.0),
        "it answers all the same"
    );
    server.ask("ACL SETUSER default +psubscribe").await;
    sharing.meet().await;
}

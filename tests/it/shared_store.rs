//! Balancers that share a store: real Redis, and what becomes of calls while it fails.

use std::sync::Arc;
use std::time::Duration;

use forebay::observe::metrics::ProcessMetrics;
use forebay::shared::store::{LogPlace, SharedStore, StoreConfig, StoreNews};
use forebay_core::vocabulary::node::Secret;
use forebay_fake::{FakeChain, FakeNode};
use serde_json::{Value, json};

use crate::support::{
    Authority, Balancer, Draft, Engine, QUICK, RedisServer, TcpGate, Wallet, eventually, free_port,
    number, pretend_node, soon,
};

/// Calls must be answered within this while the store fails, on a machine that does much else.
const NO_SLOWER: Duration = Duration::from_millis(900);

fn store_at(url: &str, ca_file: Option<String>) -> Arc<SharedStore> {
    forebay::node::install_tls();
    let config = StoreConfig {
        url: Secret::new(url.to_string()),
        ca_file,
        queue_bytes_max: 1 << 20,
    };
    Arc::new(SharedStore::new(&config, Arc::new(ProcessMetrics::new())).unwrap())
}

/// What is put is found, and what is said is heard.
async fn is_well(store: &Arc<SharedStore>) {
    let mut heard = store.listen("main:news");
    let task = tokio::spawn({
        let store = store.clone();
        async move { store.run().await }
    });
    soon("it is on", async || store.is_on()).await;
    assert_eq!(heard.recv().await, Some(StoreNews::Begun));
    assert!(store.put("a", b"value", Duration::from_secs(60)));
    soon("it is found", async || {
        store.read("a").await == Ok(Some("value".into()))
    })
    .await;
    assert_eq!(store.read("b").await, Ok(None));
    assert!(store.publish("main:news", b"said"));
    assert_eq!(heard.recv().await, Some(StoreNews::Message("said".into())));
    let now = forebay::clock::unix_millis();
    for entry in ["one", "other"] {
        let keeps = Duration::from_secs(60);
        assert!(store.append("log", entry.as_bytes(), (now, keeps)).await);
    }
    soon("both are read", async || {
        let mut read = Vec::new();
        let take = |entry: &[u8]| read.push(entry.to_vec());
        let mut place = LogPlace::since(now - 60_000, 10);
        let all = store.log("log", &mut place, take).await;
        all.is_ok() && read == [&b"one"[..], b"other"]
    })
    .await;
    assert_eq!(store.latest("log", 1).await, ["other"]);
    task.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_alone_a_user_over_tls_and_a_cluster_are_used_alike() {
    for engine in [Engine::Redis, Engine::Valkey] {
        is_used_in_all_ways(engine).await;
    }
}

async fn is_used_in_all_ways(engine: Engine) {
    let server = RedisServer::start_as(engine, &[]).await;
    is_well(&store_at(&server.url(), None)).await;

    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (certificate, key) = authority.signs("localhost");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let (certificate, key) = (file("cert.pem", &certificate), file("key.pem", &key));
    let ca = file("ca.pem", &authority.pem());
    let port = free_port().to_string();
    let user = "--user forebay on >s3cret ~forebay:* &forebay:* +@read +@write +@pubsub +@connection +cluster";
    let tls = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
    ];
    let options: Vec<_> = tls.into_iter().chain(user.split(' ')).collect();
    let _guarded = RedisServer::start_as(engine, &options).await;
    let url = format!("rediss://forebay:s3cret@localhost:{port}");
    is_well(&store_at(&url, Some(ca))).await;

    let cluster = RedisServer::start_as(engine, &["--cluster-enabled", "yes"]).await;
    let slots = cluster.ask("CLUSTER ADDSLOTSRANGE 0 16383").await;
    assert!(slots.starts_with("+OK"), "{slots}");
    soon("the cluster is whole", async || {
        cluster
            .ask("CLUSTER INFO")
            .await
            .contains("cluster_state:ok")
    })
    .await;
    is_well(&store_at(&cluster.url(), None)).await;
}

/// Nodes on one chain, and two balancers before them that share a store.
struct Two {
    chain: Arc<FakeChain>,
    nodes: Vec<FakeNode>,
    one: Balancer,
    other: Balancer,
}

impl Two {
    /// The other's rounds come once a minute: what it learns in time is told it.
    async fn over(nodes: usize, urls: [&str; 2], more: &str) -> Two {
        let chain = FakeChain::still(1, 100);
        let mut running = Vec::new();
        let mut list = String::new();
        for number in 0..nodes {
            let node = pretend_node(&chain).await;
            list += &format!("    - {{ url: \"{}\", name: n{number} }}\n", node.url());
            running.push(node);
        }
        let yaml = |beginning: &str, url: &str| {
            format!(
                "{beginning}  shared: {{ kind: valkey, url: \"{url}\" }}\n{more}  nodes:\n{list}"
            )
        };
        let quick = QUICK.replace("block_time: 1s", "block_time: 2s");
        let slow = quick.replace("interval: 400ms", "interval: 60s");
        let one = Balancer::start(&yaml(&quick, urls[0]), &[("FOREBAY_LOG", "debug")]).await;
        let other = Balancer::start(&yaml(&slow, urls[1]), &[("FOREBAY_LOG", "debug")]).await;
        let two = Two {
            chain,
            nodes: running,
            one,
            other,
        };
        for balancer in [&two.one, &two.other] {
            is_up(balancer, 1.0).await;
        }
        two
    }

    /// The nodes take transactions, and know nothing of them.
    fn have_no_pool(&self) {
        for node in &self.nodes {
            node.set_result("eth_getTransactionCount", "\"0x0\"");
            node.set_result("eth_getTransactionByHash", "null");
        }
    }

    /// The other hears at once what the one sees.
    async fn share_heads(&self) {
        let head = self.chain.head() + 1;
        self.chain.set_head(head);
        soon("the one sees it", async || {
            shown(&self.one).await == Some(head)
        })
        .await;
        eventually("the other has heard", Duration::from_secs(3), async || {
            shown(&self.other).await == Some(head)
        })
        .await;
    }

    /// The other ends, and begins anew with nothing, while all nodes but one fall back: half of the weight has
    /// less than the shared head.
    async fn begin_the_other_behind(&mut self) {
        for node in &self.nodes[1..] {
            node.set_lag(1);
        }
        self.other.process.kill();
        let folder = self.other.folder();
        for file in ["forebay.db", "last-list.head.json"] {
            drop(std::fs::remove_file(folder.join(file)));
        }
        self.other.start_again().await;
    }

    async fn other_finds(&self, head: u64) {
        soon("it has found the head", async || {
            shown(&self.other).await == Some(head)
        })
        .await;
    }

    /// Both answer calls of all kinds, in no more than the usual time, for a while.
    async fn answer_for(&self, time: Duration) {
        let until = forebay::clock::now() + time;
        while forebay::clock::now() < until {
            for balancer in [&self.one, &self.other] {
                for (method, params) in [
                    ("eth_blockNumber", json!([])),
                    (
                        "eth_getBalance",
                        json!(["0x0000000000000000000000000000000000000001", "latest"]),
                    ),
                    ("eth_getBlockByNumber", json!(["latest", false])),
                    ("eth_sendRawTransaction", json!(["0x010203"])),
                ] {
                    let began = forebay::clock::now();
                    let answer = balancer.ask(method, params).await;
                    let took = began.elapsed();
                    assert!(answer.get("error").is_none(), "{method}: {answer}");
                    assert!(took < NO_SLOWER, "{method}: {took:?}");
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn is_up(balancer: &Balancer, wanted: f64) {
    balancer
        .becomes("forebay_shared_store_up", &[], wanted)
        .await;
}

/// `None`: it answers with an error.
async fn shown(balancer: &Balancer) -> Option<u64> {
    let answer = balancer.ask("eth_blockNumber", json!([])).await;
    let quantity = answer.get("result").filter(|said| said.is_string());
    quantity.map(number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_balancer_shows_the_other_shows_at_once_and_one_begun_later_too() {
    let server = RedisServer::start().await;
    let mut two = Two::over(3, [&server.url(), &server.url()], "").await;
    for _ in 0..3 {
        two.share_heads().await;
    }
    let head = two.chain.head();
    two.begin_the_other_behind().await;
    two.other_finds(head).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_begun_while_the_store_lets_nothing_be_read_catches_up_later_and_writes_nothing_over_it()
 {
    let server = RedisServer::start().await;
    let mut two = Two::over(3, [&server.url(), &server.url()], "").await;
    two.share_heads().await;
    two.have_no_pool();
    let wallet = Wallet::rich();
    let sent = json!([wallet.sign(0, Draft::on(1)).raw]);
    two.one.ask("eth_sendRawTransaction", sent).await;

    let head = two.chain.head();
    let rights = async |rights: &str| {
        let set = server.ask(&format!("ACL SETUSER default {rights}")).await;
        assert!(set.starts_with("+OK"), "{set}");
    };
    rights("-mget -xrange").await;
    two.begin_the_other_behind().await;
    soon(
        "it has tried again and again, and its first round is over",
        async || {
            let name = "forebay_shared_store_failures_total";
            let failed = two.other.metric(name, &[("operation", "get")]).await;
            failed >= Some(5.0) && shown(&two.other).await == Some(head - 1)
        },
    )
    .await;
    let number = String::from_iter(head.to_be_bytes().map(char::from));
    let stands = async || {
        let stands = server.ask("GETRANGE forebay:main:head 2 9").await;
        assert!(stands.contains(&number), "{stands:?}");
    };
    stands().await;
    rights("+mget +xrange").await;
    two.other_finds(head).await;
    stands().await;
    soon("it counts what was sent before", async || {
        let count = json!([wallet.address, "pending"]);
        let counted = two.other.ask("eth_getTransactionCount", count).await;
        counted["result"] == "0x1"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_may_freeze_die_lose_all_or_be_full_and_no_call_fails_or_waits() {
    let mut server = RedisServer::start().await;
    let two = Two::over(2, [&server.url(), &server.url()], "").await;
    let a_while = Duration::from_secs(2);
    two.share_heads().await;

    server.process.pause();
    two.answer_for(a_while).await;
    is_up(&two.one, 0.0).await;
    is_up(&two.other, 0.0).await;
    server.process.resume();
    is_up(&two.one, 1.0).await;
    is_up(&two.other, 1.0).await;
    two.share_heads().await;

    server.process.kill();
    two.answer_for(a_while).await;
    server.restart().await;
    is_up(&two.one, 1.0).await;
    is_up(&two.other, 1.0).await;
    // It listens a moment later.
    two.answer_for(Duration::from_millis(500)).await;
    two.share_heads().await;

    assert!(server.ask("FLUSHALL").await.starts_with("+OK"));
    two.answer_for(Duration::from_millis(500)).await;
    two.share_heads().await;

    let set = server.ask("CONFIG SET maxmemory 1").await;
    assert!(set.starts_with("+OK"), "{set}");
    two.answer_for(a_while).await;
    let set = server.ask("CONFIG SET maxmemory 0").await;
    assert!(set.starts_with("+OK"), "{set}");
    two.share_heads().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_that_is_cut_off_from_the_store_serves_on_and_believes_nothing_old() {
    let server = RedisServer::start().await;
    let gate = TcpGate::before(server.address).await;
    let cut_off = format!("redis://{}", gate.listening.address);
    let two = Two::over(2, [&server.url(), &cut_off], "").await;
    two.share_heads().await;
    gate.cut();
    two.answer_for(Duration::from_secs(2)).await;
    is_up(&two.other, 0.0).await;
    let up = two.one.metric("forebay_shared_store_up", &[]).await;
    assert_eq!(up, Some(1.0));
    let head = two.chain.head() + 1;
    two.chain.set_head(head);
    soon("the one goes on", async || {
        shown(&two.one).await == Some(head)
    })
    .await;
    gate.mend();
    is_up(&two.other, 1.0).await;
    soon("the other hears of it", async || {
        shown(&two.other).await == Some(head)
    })
    .await;
    // A lie of a time long past, in the key and said aloud.
    let old = [&[1, 1][..], &(head + 3).to_be_bytes(), &[0; 8], &[0, 0]].concat();
    let old: String = old.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    for command in [
        format!("SET forebay:main:head \"{old}\""),
        format!("PUBLISH forebay:main:news \"{old}\""),
    ] {
        drop(server.ask(&command).await);
    }
    two.answer_for(Duration::from_millis(300)).await;
    assert_eq!(shown(&two.other).await, Some(head));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_was_sent_through_one_is_counted_and_shown_by_the_other() {
    let server = RedisServer::start().await;
    let two = Two::over(
        8,
        [&server.url(), &server.url()],
        "  calls: { broadcast: 1 }\n",
    )
    .await;
    two.have_no_pool();
    let wallet = Wallet::rich();
    for nonce in 0..10 {
        let written = wallet.sign(nonce, Draft::on(1));
        let (raw, hash) = (written.raw, written.hash);
        let sent = two.one.ask("eth_sendRawTransaction", json!([raw])).await;
        assert_eq!(sent["result"], hash, "{sent}");
        let count = json!([wallet.address, "pending"]);
        let counted = two.other.ask("eth_getTransactionCount", count).await;
        assert_eq!(number(&counted["result"]), nonce + 1, "{counted}");
        let shown = two
            .other
            .ask("eth_getTransactionByHash", json!([hash]))
            .await;
        assert_eq!(shown["result"]["hash"], hash, "{shown}");
    }
    // What is too long to go along counts all the same, and isn't shown.
    let data = format!("0x{}", "00".repeat(16 << 10));
    let long = wallet.sign(
        10,
        Draft {
            data: &data,
            ..Draft::on(1)
        },
    );
    let sent = two.one.ask("eth_sendRawTransaction", json!([long.raw]));
    assert_eq!(sent.await["result"], long.hash);
    let count = json!([wallet.address, "pending"]);
    let counted = two.other.ask("eth_getTransactionCount", count).await;
    assert_eq!(number(&counted["result"]), 11, "{counted}");
    let asked = json!([long.hash]);
    let shown = two.other.ask("eth_getTransactionByHash", asked).await;
    assert_eq!(shown["result"], Value::Null, "{shown}");
    // Nothing of its sender stands there but the transaction.
    let log = server.ask("XRANGE forebay:main:writes - +").await;
    assert!(!log.contains("127.0.0.1"), "{log}");
}

/// How often each of `balancers` has asked the leader by now.
async fn asked(balancers: &[Balancer]) -> Vec<f64> {
    let mut asked = Vec::new();
    for balancer in balancers {
        let name = "forebay_probe_duration_seconds_count";
        let times = balancer.metric(name, &[("node", "leader")]).await;
        asked.push(times.unwrap_or(0.0));
    }
    asked
}

/// Which balancers ask the leader within two seconds, some ten rounds.
async fn askers(balancers: &[Balancer]) -> Vec<usize> {
    let before = asked(balancers).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = asked(balancers).await;
    let grown = before.iter().zip(&after).enumerate();
    grown
        .filter(|(_, (before, after))| after > before)
        .map(|(at, _)| at)
        .collect()
}

async fn all_hear_of_the_leader(balancers: &[Balancer], head: u64) {
    for balancer in balancers {
        let name = "forebay_reference_block_number";
        balancer.becomes(name, &[], head as f64).await;
        let leads = [("source", "leader")];
        let source = balancer.metric("forebay_reference_source", &leads).await;
        assert_eq!(source, Some(1.0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paid_leader_is_asked_by_one_for_all_and_by_each_while_the_store_is_away() {
    let server = RedisServer::start().await;
    let chain = FakeChain::still(1, 100);
    let (leader, own) = (pretend_node(&chain).await, pretend_node(&chain).await);
    let yaml = QUICK.replace("refresh: 300ms", "refresh: 300ms, share_leader: true");
    let yaml = format!(
        "{yaml}  shared: {{ kind: valkey, url: \"{}\" }}\n  nodes:\n    \
         - {{ url: \"{}\", leader: true, name: leader }}\n    - {{ url: \"{}\", name: own }}\n",
        server.url(),
        leader.url(),
        own.url()
    );
    let mut balancers = Vec::new();
    for _ in 0..3 {
        balancers.push(Balancer::start(&yaml, &[]).await);
    }
    let mut asker = 0;
    soon("only one asks the leader", async || {
        let askers = askers(&balancers).await;
        asker = *askers.first().unwrap_or(&0);
        askers.len() == 1
    })
    .await;
    chain.advance(5);
    all_hear_of_the_leader(&balancers, 105).await;

    // The balancer that asks for all dies, and another takes its place.
    balancers.remove(asker).process.kill();
    chain.advance(5);
    all_hear_of_the_leader(&balancers, 110).await;
    soon("one of the others asks", async || {
        askers(&balancers).await.len() == 1
    })
    .await;

    server.process.pause();
    for balancer in &balancers {
        is_up(balancer, 0.0).await;
    }
    // Not after three intervals without news, but in the next round.
    let before = asked(&balancers).await;
    let began = forebay::clock::now();
    eventually("each asks for itself", Duration::from_secs(1), async || {
        let now = asked(&balancers).await;
        before.iter().zip(&now).all(|(before, now)| now > before)
    })
    .await;
    println!("each has asked after {:?}", began.elapsed());
    chain.advance(5);
    all_hear_of_the_leader(&balancers, 115).await;
    server.process.resume();
    soon("one asks for all again", async || {
        askers(&balancers).await.len() == 1
    })
    .await;
    chain.advance(5);
    all_hear_of_the_leader(&balancers, 120).await;
}

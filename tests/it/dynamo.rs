//! Balancers on one table: real DynamoDB Local, real nodes, faults between them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use forebay::registry::{NodeEdit, Registry};
use forebay_core::testing::named;
use forebay_core::vocabulary::node::{NodeRecord, Role, Weight};
use forebay_fake::FakeChain;

use crate::support::{
    Anvil, Balancer, CREDENTIALS, DynamoServer, Fault, FaultProxy, Load, PATIENCE, TABLE,
    assert_says, eventually, on_table, pretend_node, said, soon,
};

const ANVIL: &[&str] = &[
    "--chain-id",
    "1",
    "--no-mining",
    "--timestamp",
    "1700000000",
];
const REFRESH: Duration = Duration::from_millis(500);

/// On the table behind `endpoint`, once it has `nodes` own nodes that are fit.
async fn balancer(endpoint: &str, more: &str, nodes: f64) -> Balancer {
    let balancer = Balancer::start(&on_table(endpoint, more), &CREDENTIALS).await;
    has_fit(&balancer, nodes).await;
    balancer
}

async fn has_fit(balancer: &Balancer, nodes: f64) {
    let own = [("rung", "own")];
    balancer.becomes("forebay_nodes_healthy", &own, nodes).await;
}

/// What a command on the balancer's configuration says; it exits with `code`.
#[track_caller]
fn ends(balancer: &Balancer, arguments: &[&str], code: i32) -> String {
    let (said, ended) = said(balancer.command(arguments).envs(CREDENTIALS));
    assert!(!said.contains("s3cretkey"), "{said}");
    assert_eq!(ended, Some(code), "{arguments:?}: {said}");
    said
}

fn to_weight(weight: u64) -> NodeEdit {
    NodeEdit {
        weight: Some(Weight::new(weight).unwrap()),
        ..NodeEdit::default()
    }
}

/// How often the log has said `words`.
fn told(balancer: &Balancer, words: &str) -> usize {
    balancer.process.printed().matches(words).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_as_the_original_wrote_it_is_served_and_stays_readable_for_its_readers() {
    let (leader, own) = (Anvil::start(ANVIL).await, Anvil::start(ANVIL).await);
    let server = DynamoServer::local().await;
    server.make_original_table().await;
    let (first, last) = ("2018-07-02T11:50:49.281928", "2018-07-03T11:50:49.281928");
    server.put_original(&leader.url(), true, last).await;
    server.put_original(&own.url(), false, first).await;
    // A leader that was forgotten: the one added last leads.
    let forgotten = "http://127.0.0.1:9/s3cretkey";
    server.put_original(forgotten, true, first).await;
    let broken = [
        ("url", AttributeValue::S("http://h/s3cretkey".into())),
        ("weight", AttributeValue::S("much".into())),
    ];
    server.put(&broken).await;
    let balancer = balancer(&server.url(), "", 1.0).await;
    let served = balancer.post(r#"{"jsonrpc":"2.0","id":1,"method":"eth_gasPrice"}"#);
    let node = own.rpc.address.to_string();
    assert_eq!(served.await.node(), node);
    let rejected = balancer.metric("forebay_registry_items_rejected", &[]);
    assert_eq!(rejected.await, Some(1.0));
    let leads = format!("leader: 127.0.0.1:{}, which was added last", leader.port());
    assert_eq!(told(&balancer, &leads), 1);
    soon("it says that health isn't written", async || {
        told(&balancer, "health is not written back") == 1
    })
    .await;
    assert_eq!(told(&balancer, "passed over: h:80: the weight is not"), 1);
    assert_eq!(told(&balancer, "s3cretkey"), 0);

    // Changes and health need the table beside it.
    let set = ["backends", "set", &node, "--weight", "2"];
    assert_says(&ends(&balancer, &set, 4), "forebay backends init");
    let said = ends(&balancer, &["backends", "init"], 0);
    assert_says(&said, "forebay-backends is there and stays as it is");
    assert_says(&said, "forebay-backends-state is made");
    assert_says(&said, "infra/terraform");
    assert_says(&ends(&balancer, &set, 0), "\"weight\": 2");
    soon("health is written back", async || {
        let items = server.items(TABLE, "url").await;
        items[&own.url()].contains_key("checked_at")
    })
    .await;
    let items = server.items(TABLE, "url").await;
    let item = &items[&own.url()];
    assert_eq!(item["is_leader"], AttributeValue::Bool(false));
    assert_eq!(item["is_healthy"], AttributeValue::Bool(true));
    assert_eq!(item["block_number"], AttributeValue::N("0".into()));
    assert_eq!(item["when_added"], AttributeValue::S(first.into()));
    assert!(item["checked_by"].as_s().is_ok() && item["lag"].as_n().is_ok());
    // What never answered keeps the number that it had.
    let number = AttributeValue::N("7849400".into());
    assert_eq!(items[forgotten]["block_number"], number);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_balancers_share_a_list_and_one_writes_until_it_dies() {
    let server = DynamoServer::local().await;
    let registry = server.registry();
    registry.init().await.unwrap();
    let nodes = [Anvil::start(ANVIL).await, Anvil::start(ANVIL).await];
    registry.add(&named("a", &nodes[0].url())).await.unwrap();
    let mut balancers = Vec::new();
    for _ in 0..3 {
        let proxy = FaultProxy::before(server.rpc.address).await;
        balancers.push((balancer(&proxy.url(), "", 1.0).await, proxy));
    }
    soon("one of them holds the lease", async || {
        server.holder().await.is_some()
    })
    .await;

    let add = ["backends", "add", &nodes[1].url(), "--name", "b"];
    ends(&balancers[0].0, &add, 0);
    let added_at = forebay::clock::now();
    for (balancer, _) in &balancers {
        eventually(
            "b serves",
            2 * REFRESH + Duration::from_secs(1),
            async || {
                let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_gasPrice"}"#;
                balancer.post(call).await.node() == "b"
            },
        )
        .await;
    }
    println!(
        "from add to the first calls on all three: {:?}",
        added_at.elapsed()
    );

    // One writes, the others only read.
    for (_, proxy) in &balancers {
        proxy.counted();
    }
    nodes[0].mine(1).await;
    tokio::time::timeout(PATIENCE, quiet(5)).await.unwrap();
    let writers = |kind: &str| {
        let wrote = balancers.iter().map(|(_, proxy)| proxy.asked(kind));
        wrote.filter(|count| *count > 0).count()
    };
    assert_eq!(writers("UpdateItem pen"), 1, "beats of one");
    assert!(writers("UpdateItem") <= 1, "health of one");

    let holder = server.holder().await.unwrap();
    let pid = |balancer: &Balancer| format!("-{}-", balancer.process.id());
    let place = balancers
        .iter()
        .position(|(it, _)| holder.contains(&pid(it)));
    let before = checked_by(&server).await;
    let (mut dead, _) = balancers.remove(place.expect("one of them holds it"));
    dead.process.kill();
    let killed_at = forebay::clock::now();
    soon("another holds the lease", async || {
        server.holder().await.is_some_and(|now| now != holder)
    })
    .await;
    println!("the lease was taken over after {:?}", killed_at.elapsed());
    nodes[1].process.pause();
    soon("the new holder writes that b is silent", async || {
        let items = server.items(TABLE, "url").await;
        items[&nodes[1].url()]["is_healthy"] == AttributeValue::Bool(false)
    })
    .await;
    assert_ne!(checked_by(&server).await, before);
    nodes[1].process.resume();
}

async fn quiet(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn checked_by(server: &DynamoServer) -> BTreeSet<String> {
    let items = server.items(TABLE, "url").await.into_values();
    let by = items.filter_map(|item| item.get("checked_by")?.as_s().ok().cloned());
    by.collect()
}

/// The table of costs in `docs/guide/several-balancers.md` rests on these numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_grow_with_balancers_and_writes_do_not() {
    let (one, three) = tokio::join!(requests_of(1), requests_of(3));
    for sum in [&one, &three] {
        // 41 s have one or two times 30 s for each node, though it is written by the first round after them.
        let healths = of(sum, "UpdateItem");
        assert!((10..=20).contains(&healths), "{healths}");
        let beats = of(sum, "UpdateItem pen");
        // One each two rounds: on a busy machine rounds come late.
        assert!((2..=5).contains(&beats), "{beats}");
    }
    assert!(of(&one, "GetItem list") <= 9, "{one:?}");
    assert_eq!(of(&one, "GetItem pen"), 0);
    // Two a second.
    for (sum, balancers) in [(&one, 1), (&three, 3)] {
        let looks = of(sum, "GetItem floor");
        assert!((23..=84).contains(&(looks / balancers)), "{looks}");
        assert_eq!(of(sum, "UpdateItem floor"), 0, "nothing to raise");
    }
    assert!(of(&three, "GetItem list") <= 27, "{three:?}");
    assert!(of(&three, "GetItem pen") <= 10, "{three:?}");
    assert!(of(&three, "Scan") <= 3, "one a minute each: {three:?}");
}

fn of(sum: &BTreeMap<String, u64>, kind: &str) -> u64 {
    sum.get(kind).copied().unwrap_or(0)
}

/// What so many balancers, as shipped, ask of a table with ten nodes within 41 s.
async fn requests_of(balancers: usize) -> BTreeMap<String, u64> {
    let server = DynamoServer::dynoxide().await;
    let registry = server.registry();
    registry.init().await.unwrap();
    let chain = FakeChain::still(1, 100);
    let mut nodes = Vec::new();
    for number in 0..10 {
        let node = pretend_node(&chain).await;
        let record = named(&format!("n{number}"), &node.url());
        registry.add(&record).await.unwrap();
        nodes.push(node);
    }
    let mut running = Vec::new();
    for _ in 0..balancers {
        let proxy = FaultProxy::before(server.rpc.address).await;
        let yaml = on_table(&proxy.url(), "")
            .replace("refresh: 500ms", "refresh: 5s")
            .replace(", lease: 2s", "")
            .replace("interval: 400ms, timeout: 350ms", "interval: 5s");
        running.push((Balancer::start(&yaml, &CREDENTIALS).await, proxy));
    }
    soon("health is written", async || {
        checked_by(&server).await.len() == 1
    })
    .await;
    for (_, proxy) in &running {
        proxy.counted();
    }
    quiet(41).await;
    let mut sum: BTreeMap<String, u64> = BTreeMap::new();
    for (_, proxy) in &running {
        for (kind, count) in proxy.counted() {
            *sum.entry(kind).or_default() += count;
        }
    }
    println!("{balancers} balancers, 10 nodes, 41 s: {sum:?}");
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_the_table_costs_a_call_or_a_node() {
    let server = DynamoServer::local().await;
    let registry = server.registry();
    registry.init().await.unwrap();
    let nodes = [Anvil::start(ANVIL).await, Anvil::start(ANVIL).await];
    registry.add(&named("a", &nodes[0].url())).await.unwrap();
    registry.add(&named("b", &nodes[1].url())).await.unwrap();
    // More than a page of 1 MB: long notes, as operators may leave them.
    for number in 0..24 {
        let url = format!("{}/{number}", nodes[0].url());
        let name = format!("drained-{number}");
        server
            .put(&[
                ("url", AttributeValue::S(url)),
                ("name", AttributeValue::S(name)),
                ("weight", AttributeValue::N("0".into())),
                ("note", AttributeValue::S("x".repeat(60_000))),
            ])
            .await;
    }
    let proxy = FaultProxy::before(server.rpc.address).await;
    let balancer = Balancer::start(&on_table(&proxy.url(), ""), &CREDENTIALS).await;
    let all = async |balancer: &Balancer| {
        let own = [("rung", "own")];
        balancer.metric("forebay_nodes", &own).await
    };
    soon("all pages are seen", async || {
        all(&balancer).await == Some(26.0)
    })
    .await;
    assert!(proxy.asked("Scan") >= 2);
    let said = ends(&balancer, &["backends", "list", "--json"], 0);
    assert_eq!(said.matches("\"url\"").count(), 26);

    let load = Load::start(&balancer.url(), 1_000_000, 1);
    let mut outages = 0;
    for fault in [
        Fault::Late(Duration::from_millis(300)),
        Fault::Reset,
        Fault::Cut,
        Fault::CutSecondPage,
        Fault::Throttled,
        Fault::Broken,
        Fault::Denied,
        Fault::NoTable,
        Fault::Empty,
    ] {
        // Another revision, so that the list is read whole.
        registry.set("a", &to_weight(1)).await.unwrap();
        proxy.go_wrong(fault);
        let is_seen = async || told(&balancer, "the list stays as it was") == outages + 1;
        match fault {
            Fault::Late(_) => quiet(2).await,
            _ => {
                soon(&format!("{fault:?} is told"), is_seen).await;
                outages += 1;
            }
        }
        assert_eq!(all(&balancer).await, Some(26.0), "{fault:?}");
        let before = load.done();
        load.reaches(before + 50).await;
        proxy.go_wrong(Fault::None);
        soon(&format!("{fault:?} is over"), async || {
            told(&balancer, "the registry is in reach again") == outages
        })
        .await;
    }
    let errors = [("operation", "list")];
    let errors = balancer.metric("forebay_registry_errors_total", &errors);
    assert!(errors.await >= Some(8.0));
    assert_eq!(told(&balancer, "s3cretkey"), 0);

    // For long out of reach: the list ages, and probing goes on.
    server.process.pause();
    soon("the list ages", async || {
        balancer.metric("forebay_registry_age_seconds", &[]).await >= Some(4.0)
    })
    .await;
    // And probing goes on.
    let b = [("node", "b")];
    nodes[1].mine(3).await;
    balancer.becomes("forebay_node_block_number", &b, 3.0).await;
    starts_from_the_last_list(&balancer, &proxy).await;
    server.process.resume();
    load.stop().await.no_call_failed();
}

/// Another balancer, with a copy of the first one's last list, while nothing answers for the table.
async fn starts_from_the_last_list(balancer: &Balancer, proxy: &FaultProxy) {
    let last_list = balancer.folder().join("last-list.json");
    let yaml = on_table(&proxy.url(), "").replace(
        "@FOLDER@/last-list.json",
        last_list.to_str().expect("a path in UTF-8"),
    );
    let started_at = forebay::clock::now();
    let second = Balancer::start(&yaml, &CREDENTIALS).await;
    println!("started without the table in {:?}", started_at.elapsed());
    assert_eq!(
        told(&second, "serving from the last list on disk, 26 nodes"),
        1
    );
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_gasPrice"}"#;
    assert_eq!(second.post(call).await.status, 200);
    soon("its age grows", async || {
        second.metric("forebay_registry_age_seconds", &[]).await >= Some(2.0)
    })
    .await;
    let said = ends(&second, &["backends", "list"], 4);
    assert_says(&said, "no answer in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_changes_under_fifty_thousand_calls_cost_none() {
    const CALLS: u64 = 44_000;
    const CALLS_AFTER: u64 = 6_000;
    let server = DynamoServer::dynoxide().await;
    let registry = server.registry();
    registry.init().await.unwrap();
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(Anvil::start(ANVIL).await);
    }
    for (name, node) in ["a", "b", "c"].into_iter().zip(&nodes) {
        registry.add(&named(name, &node.url())).await.unwrap();
    }
    let balancer = balancer(&server.url(), "", 3.0).await;
    let load = Load::start(&balancer.url(), CALLS, 16);
    let d = named("d", &nodes[3].url());
    for change in 0..200 {
        load.reaches(change * CALLS / 220).await;
        match change % 4 {
            0 => drop(registry.add(&d).await.unwrap()),
            1 => drop(registry.set("d", &to_weight(1 + change % 7)).await.unwrap()),
            2 => drop(registry.set("a", &to_weight(change % 5)).await.unwrap()),
            _ => drop(registry.remove("d").await.unwrap()),
        }
    }
    let tally = load.finish().await;
    tally.no_call_failed();
    println!(
        "served by {:?}, repeated {}",
        tally.served_by, tally.repeated
    );
    for (name, weight) in [("a", 1), ("b", 2), ("c", 3)] {
        registry.set(name, &to_weight(weight)).await.unwrap();
    }
    for (name, weight) in [("a", 1.0), ("b", 2.0), ("c", 3.0)] {
        let node = [("node", name)];
        balancer.becomes("forebay_node_weight", &node, weight).await;
    }
    let tally = Load::start(&balancer.url(), CALLS_AFTER, 4).finish().await;
    tally.no_call_failed();
    for (name, share) in [("a", 1.0 / 6.0), ("b", 2.0 / 6.0), ("c", 3.0 / 6.0)] {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand calls")]
        let found = tally.of(name) as f64 / CALLS_AFTER as f64;
        assert!((found - share).abs() < 0.05, "{name}: {found} of {tally:?}");
    }
    assert_eq!(tally.of("d"), 0, "it was removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_balancers_ask_a_shared_leader_as_often_as_one() {
    let server = DynamoServer::dynoxide().await;
    let registry = server.registry();
    registry.init().await.unwrap();
    let chain = FakeChain::still(1, 100);
    let leader = pretend_node(&chain).await;
    let own = pretend_node(&chain).await;
    let record = NodeRecord {
        role: Role::Leader,
        ..named("leader", &leader.url())
    };
    registry.add(&record).await.unwrap();
    registry.add(&named("own", &own.url())).await.unwrap();
    let mut balancers = Vec::new();
    for _ in 0..3 {
        balancers.push(balancer(&server.url(), ", share_leader: true", 1.0).await);
    }
    let asked = || leader.calls_of("eth_getBlockByNumber");
    let rounds = || own.calls_of("eth_getBlockByNumber");
    soon("only one asks the leader", async || {
        let (asked_before, rounds_before) = (asked(), rounds());
        quiet(2).await;
        let (asked, rounds) = (asked() - asked_before, rounds() - rounds_before);
        println!("in 2 s the leader was asked {asked} times, the own node {rounds} times");
        asked > 0 && asked * 2 < rounds
    })
    .await;
    // The others follow the head that one was told.
    chain.advance(5);
    for balancer in &balancers {
        let head = "forebay_reference_block_number";
        balancer.becomes(head, &[], 105.0).await;
        let leads = [("source", "leader")];
        let source = balancer.metric("forebay_reference_source", &leads).await;
        assert_eq!(source, Some(1.0));
    }
    // The balancer that asks for all dies: the others ask themselves before another does it for all.
    let holder = server.holder().await.unwrap();
    let pid = |balancer: &Balancer| format!("-{}-", balancer.process.id());
    let place = balancers.iter().position(|it| holder.contains(&pid(it)));
    let mut dead = balancers.remove(place.unwrap());
    dead.process.kill();
    chain.advance(5);
    for balancer in &balancers {
        let head = "forebay_reference_block_number";
        balancer.becomes(head, &[], 110.0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_moves_between_a_file_and_a_table_and_every_refusal_says_what_to_do() {
    let server = DynamoServer::local().await;
    let proxy = FaultProxy::before(server.rpc.address).await;
    let node = Anvil::start(ANVIL).await;
    let yaml = on_table(&proxy.url(), ", path: \"@FOLDER@/forebay.db\"");
    let balancer = Balancer::start_unready(&yaml, &CREDENTIALS).await;
    let ends = |line: &str, code| ends(&balancer, &line.split(' ').collect::<Vec<_>>(), code);
    let says = |line: &str, code, words: &str| assert_says(&ends(line, code), words);
    says("backends list", 4, "there is no such table");
    let said = ends("backends init", 0);
    assert_says(&said, "forebay-backends is made: partition key url (S)");
    assert_says(&said, "no point-in-time recovery: this endpoint");
    let described = server
        .client
        .describe_table()
        .table_name(TABLE)
        .send()
        .await;
    let table = described.unwrap().table.unwrap();
    assert_eq!(table.deletion_protection_enabled(), Some(true));
    says("backends init", 0, "stays as it is");

    let add = format!("backends add {} --name a --weight 3", node.url());
    says(&add, 0, "\"weight\": 3");
    says(&add, 1, "in the registry already");
    says(&format!("{add} --if-absent"), 0, "there already");
    let said = ends("probe", 0);
    assert!(said.contains("own") && said.contains(" fit"), "{said}");
    let said = ends("backends copy --from dynamodb --to embedded", 0);
    assert!(said.starts_with("1 copied, 0 there already\n"), "{said}");
    assert_says(&said, "a new registry is made at /");
    says("backends remove a", 0, "\"name\": \"a\"");
    ends("backends remove a", 3);
    let said = ends("backends copy --from embedded --to dynamodb", 0);
    assert_eq!(said, "1 copied, 0 there already\n");
    has_fit(&balancer, 1.0).await;

    for (fault, words) in [
        (Fault::Denied, "access denied; the role needs"),
        (Fault::NoTable, "there is no such table"),
        (Fault::Throttled, "throttled"),
        (Fault::Broken, "DynamoDB says InternalServerError"),
    ] {
        proxy.go_wrong(fault);
        says("backends list", 4, words);
    }
    proxy.go_wrong(Fault::None);
    let mut command = balancer.command(&["backends", "list"]);
    command.env_clear();
    command.envs([
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_REGION", "eu-west-1"),
    ]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no credentials were found"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_found_in_a_profile_and_where_a_task_on_ecs_finds_them() {
    let server = DynamoServer::dynoxide().await;
    let registry = server.registry();
    registry.init().await.unwrap();
    registry.add(&NodeRecord::at("http://a")).await.unwrap();
    let yaml = on_table(&server.url(), "");
    let balancer = Balancer::start_unready(&yaml, &CREDENTIALS).await;
    let profile = balancer.folder().join("credentials");
    let keys = "aws_access_key_id = testing\naws_secret_access_key = s3cretkey\n";
    std::fs::write(&profile, format!("[ops]\n{keys}")).unwrap();
    let task = task_endpoint().await;
    for env in [
        [
            ("AWS_SHARED_CREDENTIALS_FILE", profile.to_str().unwrap()),
            ("AWS_PROFILE", "ops"),
        ],
        [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", task.as_str()),
            ("AWS_REGION", "eu-west-1"),
        ],
    ] {
        let mut command = balancer.command(&["backends", "list", "--json"]);
        command.env_clear().envs(env);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("http://a"), "{env:?}: {why}");
    }
}

/// What the agent on ECS answers to a task that asks for its role's credentials.
async fn task_endpoint() -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            // The request is a head, and comes in one piece.
            let _ = client.read(&mut [0; 4096]).await;
            let body = r#"{"AccessKeyId":"testing","SecretAccessKey":"s3cretkey","Token":"s3cretkey","Expiration":"2099-01-01T00:00:00Z"}"#;
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = client.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/v2/credentials/role")
}

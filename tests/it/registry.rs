//! What every registry does, in a file and in a table alike.
//!
//! Each story is told over the embedded registry and over dynoxide; all of them again over
//! DynamoDB Local, in one test, as it takes seconds to start.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use forebay::registry::dynamo::{DynamoConfig, DynamoRegistry};
use forebay::registry::embedded::EmbeddedRegistry;
use forebay::registry::{Environment, NodeEdit, Registry, RegistryError, SharedHead, StoredHealth};
use forebay_core::testing::{leader, named};
use forebay_core::vocabulary::node::{
    InFlightMax, NodePurpose, NodeRecord, NodeSpecError, RecentBlocks, Role, Weight,
};

use crate::support::DynamoServer;

/// A story that takes longer than this hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// A new registry, that may be opened several times.
enum Home {
    File(tempfile::TempDir),
    /// The rows of a chain beside those of the default one.
    Chain(tempfile::TempDir),
    Table {
        client: aws_sdk_dynamodb::Client,
        name: String,
    },
}

impl Home {
    fn open(&self) -> Arc<dyn Registry> {
        self.open_with(|name| (name == "KEY").then(|| "s3cret".to_string()))
    }

    fn open_with(
        &self,
        environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Arc<dyn Registry> {
        let environment: Environment = Arc::new(environment);
        match self {
            Home::File(folder) => {
                let path = folder.path().join("data/forebay.db");
                Arc::new(EmbeddedRegistry::open(&path, environment).unwrap())
            }
            Home::Chain(folder) => {
                let path = folder.path().join("forebay.db");
                let default = EmbeddedRegistry::open(&path, environment).unwrap();
                Arc::new(default.of_chain(Some(&"base".parse().unwrap())))
            }
            Home::Table { client, name } => {
                Arc::new(crate::support::registry(client, name, environment))
            }
        }
    }
}

async fn table(server: &DynamoServer, name: &str) -> Home {
    let name = format!("table-{name}");
    let registry = crate::support::registry(&server.client, &name, Arc::new(|_| None));
    registry.init().await.unwrap();
    Home::Table {
        client: server.client.clone(),
        name,
    }
}

/// Tells a story over the embedded registry and over a table.
async fn everywhere(story: impl AsyncFn(Home)) {
    let told = async {
        story(Home::File(tempfile::tempdir().unwrap())).await;
        beside_the_default_chain(&story).await;
        let server = DynamoServer::dynoxide().await;
        story(table(&server, "story").await).await;
    };
    tokio::time::timeout(DEADLINE, told).await.unwrap();
}

/// Tells it over a chain's rows in a file whose default chain has nodes that the stories know, too; those
/// stay as they are.
async fn beside_the_default_chain(story: &impl AsyncFn(Home)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forebay.db");
    let default = EmbeddedRegistry::open(&path, Arc::new(|_| None)).unwrap();
    default.add(&leader("http://a")).await.unwrap();
    default.add(&named("b", "http://b:8545")).await.unwrap();
    let before = default.list().await.unwrap().items;
    story(Home::Chain(folder)).await;
    assert_eq!(default.list().await.unwrap().items, before);
}

#[tokio::test]
async fn each_chains_lease_and_shared_head_are_its_own() {
    let server = DynamoServer::dynoxide().await;
    let place = |table: &str| DynamoConfig {
        table: table.to_string(),
        endpoint: None,
        lease: Duration::from_secs(30),
    };
    let open = || crate::support::registry(&server.client, "table-of", Arc::new(|_| None));
    let (one, other) = (open(), open());
    let of_base = |registry: &DynamoRegistry| registry.beside(&place("table-of-base"));
    let (one_of_base, other_of_base) = (of_base(&one), of_base(&other));
    for registry in [&one, &one_of_base] {
        registry.init().await.unwrap();
    }
    // One balancer writes health of the one chain, the other of the other.
    assert!(one.holds_lease().await.unwrap());
    assert!(other_of_base.holds_lease().await.unwrap());
    assert!(!other.holds_lease().await.unwrap());
    assert!(!one_of_base.holds_lease().await.unwrap());
    let head = SharedHead {
        block_number: 7,
        chain_id: Some(1),
        asked_at: 1,
    };
    one.share_head("http://lead/", head).await.unwrap();
    let heads = (
        other.shared_head("http://lead/").await.unwrap(),
        other_of_base.shared_head("http://lead/").await.unwrap(),
    );
    assert_eq!(heads, (Some(head), None));
    // The list's version, too: a change of the one is none of the other.
    one_of_base.add(&NodeRecord::at("http://b")).await.unwrap();
    assert_eq!(urls(&other_of_base).await, ["http://b"]);
    assert!(other.list().await.unwrap().items.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_story_again_on_dynamodb_local() {
    let server = DynamoServer::local().await;
    whole(table(&server, "1").await).await;
    once(table(&server, "2").await).await;
    names(table(&server, "3").await).await;
    second_leader(table(&server, "4").await).await;
    bad_record(table(&server, "5").await).await;
    taking_the_lead(table(&server, "6").await).await;
    edits(table(&server, "7").await).await;
    bad_edit(table(&server, "8").await).await;
    not_there(table(&server, "9").await).await;
    variables(table(&server, "10").await).await;
    seeded_once(table(&server, "11").await).await;
    seeded_once_after_an_add(table(&server, "12").await).await;
    bad_seed(table(&server, "13").await).await;
    long_seed(table(&server, "14").await).await;
    older_health(table(&server, "15").await).await;
    emptied(table(&server, "16").await).await;
    many_adds(table(&server, "17").await).await;
    one_wins(table(&server, "18").await).await;
    one_seeds(table(&server, "19").await).await;
    set_back(table(&server, "20").await).await;
}

fn to_role(role: Role) -> NodeEdit {
    NodeEdit {
        role: Some(role),
        ..NodeEdit::default()
    }
}

fn to_weight(weight: u64) -> NodeEdit {
    NodeEdit {
        weight: Some(Weight::new(weight).unwrap()),
        ..NodeEdit::default()
    }
}

fn health(block_number: u64, checked_at: u64) -> StoredHealth {
    StoredHealth {
        is_healthy: true,
        block_number: Some(block_number),
        lag: Some(1),
        reason: None,
        checked_at: Some(checked_at),
    }
}

async fn urls(registry: &dyn Registry) -> Vec<String> {
    let listing = registry.list().await.unwrap();
    assert_eq!(listing.rejected, [""; 0]);
    let items = listing.items.into_iter();
    items.map(|item| item.record.url).collect()
}

#[tokio::test]
async fn what_one_process_adds_another_lists_whole() {
    everywhere(whole).await;
}

async fn whole(home: Home) {
    let (one, other) = (home.open(), home.open());
    assert!(other.list().await.unwrap().items.is_empty());
    let record = NodeRecord {
        url: "https://a/${KEY}".to_string(),
        ws_url: Some("wss://a/${KEY}".to_string()),
        name: Some("geth-1".to_string()),
        weight: Weight::new(1000).unwrap(),
        role: Role::Fallback,
        in_flight_max: InFlightMax::Fixed(20),
        purpose: NodePurpose {
            serves: "eth_*,!eth_getLogs".parse().unwrap(),
            recent_blocks: RecentBlocks::Newest(128),
        },
        headers: [("authorization".to_string(), "Bearer \"${KEY}\"".to_string())].into(),
    };
    let added = one.add(&record).await.unwrap();
    assert_eq!(added.record, record);
    assert_eq!(added.when_added.len(), "2018-07-02T11:50:49.281928".len());
    let listed = other.list().await.unwrap().items;
    assert_eq!(listed, std::slice::from_ref(&added));
    assert_eq!(other.remove("geth-1").await.unwrap(), added);
    assert!(one.list().await.unwrap().items.is_empty());
    assert!(home.open().list().await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_node_is_added_once_however_its_url_is_written() {
    everywhere(once).await;
}

async fn once(home: Home) {
    let registry = home.open();
    let record = NodeRecord::at(" http://a:80/s3cret ");
    registry.add(&record).await.unwrap();
    for url in ["HTTP://A/s3cret/", "http://a/${KEY}", "http://a:80/s3cret"] {
        let again = registry.add(&named("other", url)).await;
        assert!(matches!(again, Err(RegistryError::Exists)), "{url}");
    }
    assert_eq!(urls(&*registry).await, ["http://a:80/s3cret"]);
}

#[tokio::test]
async fn a_name_given_or_by_default_is_one_nodes_alone() {
    everywhere(names).await;
}

async fn names(home: Home) {
    let registry = home.open();
    registry.add(&named("b:80", "http://a")).await.unwrap();
    let taken = registry.add(&NodeRecord::at("http://b")).await;
    let why = taken.unwrap_err().to_string();
    assert_eq!(why, "the name `b:80` is taken by another node");
    let taken = registry.add(&named("b:80", "http://c")).await;
    assert!(matches!(taken, Err(RegistryError::NameTaken(name)) if name == "b:80"));
    registry.add(&NodeRecord::at("http://d/one")).await.unwrap();
    let taken = registry.add(&NodeRecord::at("http://d/two")).await;
    assert!(matches!(taken, Err(RegistryError::NameTaken(name)) if name == "d:80"));
    registry.add(&named("d2", "http://d/two")).await.unwrap();
}

#[tokio::test]
async fn a_second_leader_is_refused_and_told_of_the_first_without_its_key() {
    everywhere(second_leader).await;
}

async fn second_leader(home: Home) {
    let registry = home.open();
    registry.add(&leader("https://a/s3cret")).await.unwrap();
    let refused = registry.add(&leader("http://b")).await;
    assert!(matches!(refused, Err(RegistryError::SecondLeader(first)) if first == "a:443"));
    assert_eq!(urls(&*registry).await.len(), 1);
}

#[tokio::test]
async fn a_bad_record_is_refused_and_nothing_is_written() {
    everywhere(bad_record).await;
}

async fn bad_record(home: Home) {
    let registry = home.open();
    for (record, fault) in [
        (NodeRecord::at(""), NodeSpecError::UrlEmpty),
        (NodeRecord::at("http://u:p@a"), NodeSpecError::UrlUser),
        (named("local", "http://a"), NodeSpecError::Name),
        (named("local", "http://${NOPE}"), NodeSpecError::Name),
    ] {
        let refused = registry.add(&record).await;
        assert!(matches!(refused, Err(RegistryError::Record(found)) if found == fault));
    }
    assert!(registry.seed(&[NodeRecord::at("http://a")]).await.unwrap());
}

#[tokio::test]
async fn taking_the_lead_makes_the_present_leader_an_own_node() {
    everywhere(taking_the_lead).await;
}

async fn taking_the_lead(home: Home) {
    let registry = home.open();
    registry.add(&leader("http://a")).await.unwrap();
    registry.add(&named("b", "http://b")).await.unwrap();
    for key in ["b", "a:80", "a:80"] {
        let item = registry.set(key, &to_role(Role::Leader)).await.unwrap();
        assert_eq!(item.record.role, Role::Leader);
        let listing = registry.list().await.unwrap();
        let leads =
            |item: &&_| forebay::registry::RegistryItem::clone(item).record.role == Role::Leader;
        let leaders = listing.items.iter().filter(leads);
        assert_eq!(leaders.collect::<Vec<_>>(), [&item]);
    }
    registry.set("a:80", &to_role(Role::Own)).await.unwrap();
    registry.add(&leader("http://c")).await.unwrap();
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_nothing_else() {
    everywhere(edits).await;
}

async fn edits(home: Home) {
    let registry = home.open();
    let added = registry.add(&named("a", "https://a/${KEY}")).await.unwrap();
    let mut expected = added.record;
    let set = registry.set("https://A:443/s3cret", &to_weight(0)).await;
    expected.weight = Weight::new(0).unwrap();
    assert_eq!(set.unwrap().record, expected);
    let edit = NodeEdit {
        ws_url: Some("wss://a/${KEY}".to_string()),
        headers: Some([("x".to_string(), "1".to_string())].into()),
        in_flight_max: Some(InFlightMax::Fixed(7)),
        serves: Some("!eth_getLogs".parse().unwrap()),
        recent_blocks: Some(RecentBlocks::Newest(5)),
        ..NodeEdit::default()
    };
    expected.in_flight_max = InFlightMax::Fixed(7);
    expected.purpose.serves = edit.serves.clone().unwrap();
    expected.purpose.recent_blocks = RecentBlocks::Newest(5);
    expected.ws_url = edit.ws_url.clone();
    expected.headers = edit.headers.clone().unwrap();
    assert_eq!(registry.set("a", &edit).await.unwrap().record, expected);
    let edit = NodeEdit {
        ws_url: Some(String::new()),
        in_flight_max: Some(InFlightMax::Auto),
        serves: Some("*".parse().unwrap()),
        recent_blocks: Some(RecentBlocks::All),
        ..NodeEdit::default()
    };
    expected.in_flight_max = InFlightMax::Auto;
    expected.purpose = NodePurpose::default();
    expected.ws_url = None;
    registry.set("https://a/${KEY}", &edit).await.unwrap();
    assert_eq!(registry.list().await.unwrap().items[0].record, expected);
}

#[tokio::test]
async fn a_bad_edit_is_refused_and_changes_nothing() {
    everywhere(bad_edit).await;
}

async fn bad_edit(home: Home) {
    let registry = home.open();
    registry.add(&leader("http://a")).await.unwrap();
    registry.add(&named("b", "http://b")).await.unwrap();
    let before = registry.list().await.unwrap().items;
    let edit = NodeEdit {
        role: Some(Role::Leader),
        ws_url: Some("http://b".to_string()),
        ..NodeEdit::default()
    };
    let refused = registry.set("b", &edit).await;
    assert!(matches!(refused, Err(RegistryError::Record(_))));
    assert_eq!(registry.list().await.unwrap().items, before);
}

#[tokio::test]
async fn a_node_that_is_not_there_can_be_neither_set_nor_removed() {
    everywhere(not_there).await;
}

async fn not_there(home: Home) {
    let registry = home.open();
    registry.add(&named("a", "http://a")).await.unwrap();
    for key in ["a:80", "http://b", "", "b"] {
        let set = registry.set(key, &to_weight(1)).await;
        assert!(matches!(set, Err(RegistryError::Unknown)), "{key}");
        let removed = registry.remove(key).await;
        assert!(matches!(removed, Err(RegistryError::Unknown)), "{key}");
    }
    registry.remove("HTTP://A:80/").await.unwrap();
}

#[tokio::test]
async fn a_node_whose_variable_is_set_elsewhere_is_one_node_everywhere() {
    everywhere(variables).await;
}

async fn variables(home: Home) {
    let (without, with) = (home.open_with(|_| None), home.open());
    let record = NodeRecord::at("https://a/${KEY}");
    without.add(&record).await.unwrap();
    for url in ["https://a/${KEY}", "https://a/s3cret"] {
        let again = with.add(&named("other", url)).await;
        assert!(matches!(again, Err(RegistryError::Exists)), "{url}");
    }
    assert_eq!(urls(&*without).await, urls(&*with).await);
    with.set("https://a/s3cret", &to_weight(2)).await.unwrap();
    without.remove("a:443").await.unwrap();
    without.add(&NodeRecord::at("${LEADER}")).await.unwrap();
    without.set("${LEADER}", &to_weight(2)).await.unwrap();
}

#[tokio::test]
async fn a_registry_is_seeded_only_while_nothing_was_ever_written() {
    everywhere(seeded_once).await;
    everywhere(seeded_once_after_an_add).await;
}

async fn seeded_once(home: Home) {
    let seeds = [leader("http://a"), NodeRecord::at("http://b")];
    let registry = home.open();
    assert!(!registry.seed(&[]).await.unwrap());
    assert!(registry.seed(&seeds).await.unwrap());
    assert!(!registry.seed(&seeds).await.unwrap());
    for url in urls(&*registry).await {
        registry.remove(&url).await.unwrap();
    }
    assert!(!home.open().seed(&seeds).await.unwrap());
    assert!(urls(&*registry).await.is_empty());
}

async fn seeded_once_after_an_add(home: Home) {
    let registry = home.open();
    registry.add(&NodeRecord::at("http://c")).await.unwrap();
    registry.remove("c:80").await.unwrap();
    assert!(!registry.seed(&[leader("http://a")]).await.unwrap());
}

#[tokio::test]
async fn a_seed_with_one_bad_record_writes_none() {
    everywhere(bad_seed).await;
}

async fn bad_seed(home: Home) {
    let registry = home.open();
    let good = leader("http://a");
    let seeds = [good.clone(), leader("http://b")];
    let refused = registry.seed(&seeds).await;
    assert!(matches!(refused, Err(RegistryError::SecondLeader(_))));
    assert!(urls(&*registry).await.is_empty());
    assert!(registry.seed(&[good]).await.unwrap());
}

#[tokio::test]
async fn a_seed_longer_than_a_transaction_is_written_whole() {
    everywhere(long_seed).await;
}

/// DynamoDB takes 100 writes at once, one of them the list's revision.
async fn long_seed(home: Home) {
    let urls = (0..100).map(|number| format!("http://seed-{number}"));
    let seeds: Vec<_> = urls.map(|url| NodeRecord::at(&url)).collect();
    assert!(home.open().seed(&seeds).await.unwrap());
    assert_eq!(self::urls(&*home.open()).await.len(), 100);
}

#[tokio::test]
async fn an_older_observation_never_overwrites_a_newer_one() {
    everywhere(older_health).await;
}

async fn older_health(home: Home) {
    let registry = home.open();
    registry.add(&NodeRecord::at("http://a/")).await.unwrap();
    let largest = i64::MAX as u64;
    for (written, standing) in [
        (health(1, 10), health(1, 10)),
        (health(2, 9), health(1, 10)),
        (health(3, 10), health(1, 10)),
        (health(largest, 11), health(largest, 11)),
    ] {
        let healths = [
            ("http://unknown".to_string(), written.clone()),
            ("http://a/".to_string(), written),
        ];
        registry.record_health(&healths).await.unwrap();
        let listing = home.open().list().await.unwrap();
        assert_eq!(listing.items.len(), 1);
        assert_eq!(listing.items[0].health, standing);
    }
    registry.set("a:80", &to_weight(3)).await.unwrap();
    let listing = home.open().list().await.unwrap();
    assert_eq!(listing.items[0].health.checked_at, Some(11));
}

#[tokio::test]
async fn what_was_written_before_the_clock_was_set_back_is_overwritten() {
    everywhere(set_back).await;
}

/// Writes health and head of `http://a`, as of `at`.
async fn tell(registry: &dyn Registry, block_number: u64, at: u64) {
    let healths = [("http://a".to_string(), health(block_number, at))];
    registry.record_health(&healths).await.unwrap();
    let head = SharedHead {
        block_number,
        chain_id: None,
        asked_at: at,
    };
    registry.share_head("http://a", head).await.unwrap();
}

async fn set_back(home: Home) {
    let registry = home.open();
    registry.add(&NodeRecord::at("http://a")).await.unwrap();
    let now = forebay::clock::unix_millis();
    for (number, at) in [(1, now + 3 * 3_600_000), (2, now)] {
        tell(&*registry, number, at).await;
    }
    let listing = home.open().list().await.unwrap();
    assert_eq!(listing.items[0].health, health(2, now));
    // In a file there is none.
    let shared = registry.shared_head("http://a").await.unwrap();
    assert!(shared.is_none_or(|head| head.block_number == 2));
}

#[tokio::test]
async fn a_node_whose_version_was_damaged_by_hand_can_be_edited() {
    let server = DynamoServer::dynoxide().await;
    let registry = server.registry();
    registry.init().await.unwrap();
    for version in [
        AttributeValue::S("two".to_string()),
        AttributeValue::N("1.5".to_string()),
    ] {
        let url = AttributeValue::S("http://a".to_string());
        server.put(&[("url", url), ("version", version)]).await;
        let edit = to_weight(7);
        let setting = registry.set("http://a", &edit);
        let set = tokio::time::timeout(DEADLINE / 4, setting).await;
        assert_eq!(set.unwrap().unwrap().record.weight.get(), 7);
    }
}

#[tokio::test]
async fn what_another_balancer_wrote_is_overwritten_though_its_clock_was_ahead() {
    let server = DynamoServer::dynoxide().await;
    let home = table(&server, "ahead").await;
    let (ahead, next) = (home.open(), home.open());
    ahead.add(&NodeRecord::at("http://a")).await.unwrap();
    let writes = [(&ahead, 1, 1000), (&next, 2, 10), (&next, 3, 9)];
    for (registry, number, at) in writes {
        tell(&**registry, number, at).await;
    }
    let listing = home.open().list().await.unwrap();
    assert_eq!(listing.items[0].health, health(2, 10));
    let shared = ahead.shared_head("http://a").await.unwrap();
    assert_eq!(shared.map(|head| head.block_number), Some(2));
}

#[tokio::test]
async fn a_former_weight_can_be_given_to_a_drained_node() {
    everywhere(former_weight).await;
}

async fn former_weight(home: Home) {
    let registry = home.open();
    let mut record = NodeRecord::at("http://a");
    record.weight = Weight::NONE;
    registry.add(&record).await.unwrap();
    let edit = NodeEdit {
        former_weight: Some(Weight::new(5).unwrap()),
        ..NodeEdit::default()
    };
    let edited = registry.set("http://a", &edit).await.unwrap();
    assert_eq!(edited.record.weight, Weight::NONE);
    assert_eq!(edited.former_weight, edit.former_weight);
    let listing = registry.list().await.unwrap();
    assert_eq!(listing.items[0].former_weight, edit.former_weight);
}

#[tokio::test]
async fn a_new_registry_is_told_from_one_that_was_emptied() {
    everywhere(unwritten).await;
}

async fn unwritten(home: Home) {
    let registry = home.open();
    let listing = registry.list().await.unwrap();
    assert!(listing.is_unwritten && !listing.is_credible());
    registry.add(&NodeRecord::at("http://a")).await.unwrap();
    assert!(!registry.list().await.unwrap().is_unwritten);
    registry.remove("http://a").await.unwrap();
    let listing = registry.list().await.unwrap();
    assert!(listing.is_emptied && !listing.is_unwritten);
}

#[tokio::test]
async fn an_empty_list_is_credible_when_its_last_node_was_removed() {
    everywhere(emptied).await;
}

async fn emptied(home: Home) {
    let (registry, other) = (home.open(), home.open());
    registry.add(&NodeRecord::at("http://a")).await.unwrap();
    assert!(other.list().await.unwrap().is_credible());
    registry.remove("http://a").await.unwrap();
    for registry in [registry, other, home.open()] {
        let listing = registry.list().await.unwrap();
        assert!(listing.items.is_empty() && listing.is_credible());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_concurrent_adds_none_is_lost() {
    everywhere(many_adds).await;
}

async fn many_adds(home: Home) {
    let registries: Vec<_> = (0..4).map(|_| home.open()).collect();
    let mut adds = tokio::task::JoinSet::new();
    for number in 0..40 {
        let registry = registries[number % 4].clone();
        adds.spawn(async move {
            let record = NodeRecord::at(&format!("http://node-{number}"));
            registry.add(&record).await
        });
    }
    let added = adds.join_all().await;
    assert!(added.iter().all(Result::is_ok), "{added:?}");
    for registry in &registries {
        assert_eq!(urls(&**registry).await.len(), 40);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_registries_that_add_the_same_node_or_a_leader_one_wins() {
    everywhere(one_wins).await;
}

async fn one_wins(home: Home) {
    let mut adds = tokio::task::JoinSet::new();
    for number in 0..8 {
        let registry = home.open();
        // One node, written in as many ways as it is added.
        let same = format!("http://same{}", "/".repeat(number % 2));
        adds.spawn(async move {
            let same = registry.add(&NodeRecord::at(&same)).await;
            let url = format!("http://leader-{number}");
            [same, registry.add(&leader(&url)).await]
        });
    }
    let outcomes = adds.join_all().await;
    for kind in 0..2 {
        let won = outcomes.iter().filter(|pair| pair[kind].is_ok());
        assert_eq!(won.count(), 1, "{outcomes:?}");
    }
    assert_eq!(urls(&*home.open()).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_processes_that_seed_a_new_registry_at_once_one_does() {
    everywhere(one_seeds).await;
}

async fn one_seeds(home: Home) {
    let seeds: Vec<_> = (0..20)
        .map(|number| NodeRecord::at(&format!("http://seed-{number}")))
        .collect();
    let mut seeding = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (registry, seeds) = (home.open(), seeds.clone());
        seeding.spawn(async move { registry.seed(&seeds).await.unwrap() });
    }
    let seeded = seeding.join_all().await;
    assert_eq!(seeded.iter().filter(|seeded| **seeded).count(), 1);
    assert_eq!(urls(&*home.open()).await.len(), 20);
}

#[tokio::test]
async fn a_table_with_another_key_is_refused_and_left_alone() {
    let server = DynamoServer::dynoxide().await;
    table(&server, "cats").await;
    // The state table's key is `name`.
    let registry = crate::support::registry(&server.client, "table-cats-state", Arc::new(|_| None));
    let why = registry.init().await.unwrap_err().to_string();
    assert!(why.contains("its key is not url (S) alone"), "{why}");
}

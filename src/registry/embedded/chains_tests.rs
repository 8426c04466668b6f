//! Several chains in one file, beside earlier releases that know of one.

use super::tests::{Home, urls};
use super::*;
use crate::registry::ItemOrigin;
use forebay_core::vocabulary::node::{Role, Weight};

/// The layout of the first release, as its programs make it and read it.
const FIRST_LAYOUT: &str = "
CREATE TABLE nodes (
    url TEXT NOT NULL PRIMARY KEY, identity TEXT NOT NULL UNIQUE, name TEXT UNIQUE,
    rung TEXT NOT NULL DEFAULT 'own', weight INTEGER NOT NULL DEFAULT 1, ws_url TEXT,
    headers TEXT NOT NULL DEFAULT '{}', when_added TEXT NOT NULL,
    is_healthy INTEGER NOT NULL DEFAULT 0, block_number INTEGER, lag INTEGER, reason TEXT,
    checked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX one_leader ON nodes (rung) WHERE rung = 'leader';
CREATE TABLE history (first_written TEXT NOT NULL) STRICT;
PRAGMA application_id = 0x466f7265;
PRAGMA user_version = 1;
INSERT INTO history VALUES ('2026-01-01T00:00:00.000000');
INSERT INTO nodes (url, identity, rung, when_added)
VALUES ('http://old', 'http://old/', 'leader', '2026-01-01T00:00:00.000000');
";

/// What an earlier program sees.
fn seen_by_earlier(home: &Home) -> Vec<String> {
    let earlier = home.connection();
    let mut statement = earlier
        .prepare("SELECT url FROM nodes ORDER BY rowid")
        .unwrap();
    let urls = statement.query_map([], |row| row.get(0)).unwrap();
    urls.collect::<Result<_, _>>().unwrap()
}

fn named(name: &str) -> ChainName {
    name.parse().unwrap()
}

fn leader(url: &str) -> NodeRecord {
    NodeRecord {
        role: Role::Leader,
        name: Some("lead".to_string()),
        ..NodeRecord::at(url)
    }
}

#[tokio::test]
async fn chains_share_a_file_and_nothing_in_it() {
    let home = Home::new();
    let main = home.open();
    let (base, gnosis) = (
        main.of_chain(Some(&named("base"))),
        main.of_chain(Some(&named("gnosis"))),
    );
    // One URL, one name and one leader in each.
    for registry in [&main, &base, &gnosis] {
        assert!(registry.list().await.unwrap().is_unwritten);
        registry.add(&leader("http://a")).await.unwrap();
        let again = registry.add(&leader("http://a")).await.unwrap_err();
        assert!(matches!(again, RegistryError::Exists), "{again}");
    }
    base.add(&NodeRecord::at("http://b")).await.unwrap();
    let edit = NodeEdit {
        role: Some(Role::Leader),
        weight: Some(Weight::new(7).unwrap()),
        ..NodeEdit::default()
    };
    base.set("http://b", &edit).await.unwrap();
    let health = StoredHealth {
        is_healthy: true,
        block_number: Some(5),
        checked_at: Some(1),
        ..StoredHealth::default()
    };
    let written = [("http://a".to_string(), health)];
    base.record_health(&written).await.unwrap();
    for (registry, leads, head) in [
        (&main, Role::Leader, None),
        (&base, Role::Own, Some(5)),
        (&gnosis, Role::Leader, None),
    ] {
        let item = &registry.list().await.unwrap().items[0];
        assert_eq!((item.record.role, item.health.block_number), (leads, head));
    }
    base.remove("http://a").await.unwrap();
    base.remove("http://b").await.unwrap();
    let listing = base.list().await.unwrap();
    assert!(listing.items.is_empty() && listing.is_emptied && !listing.is_unwritten);
    assert_eq!(urls(&main).await, ["http://a"]);
    assert_eq!(urls(&gnosis).await, ["http://a"]);
    // Another process sees the same.
    let other = home.open().of_chain(Some(&named("gnosis")));
    assert_eq!(urls(&other).await, ["http://a"]);
    other.add(&NodeRecord::at("http://c")).await.unwrap();
    assert_eq!(urls(&gnosis).await, ["http://a", "http://c"]);
}

#[tokio::test]
async fn each_chain_follows_its_own_nodes_of_the_configuration() {
    let home = Home::new();
    let main = home.open();
    let base = main.of_chain(Some(&named("base")));
    main.follow(&[leader("http://a")]).await.unwrap();
    base.add(&NodeRecord::at("http://by-command"))
        .await
        .unwrap();
    base.follow(&[leader("http://b"), NodeRecord::at("http://c")])
        .await
        .unwrap();
    let looked = base.list_following(&[]).await.unwrap();
    assert_eq!(looked.items.len(), 1, "what it would be without them");
    assert_eq!(base.list().await.unwrap().items.len(), 3);
    let followed = base.follow(&[leader("http://b")]).await.unwrap().unwrap();
    assert_eq!(followed.removed, ["c:80"]);
    assert_eq!(urls(&base).await, ["http://by-command", "http://b"]);
    let item = &main.list().await.unwrap().items[0];
    assert!(matches!(item.origin, ItemOrigin::File { .. }));
    assert!(!base.seed(&[NodeRecord::at("http://d")]).await.unwrap());
    let fresh = main.of_chain(Some(&named("fresh")));
    assert!(fresh.seed(&[NodeRecord::at("http://d")]).await.unwrap());
}

#[tokio::test]
async fn beside_an_earlier_release_each_goes_on_with_what_it_knows() {
    let home = Home::new();
    fs::create_dir(home.path().parent().unwrap()).unwrap();
    home.by_hand(FIRST_LAYOUT);
    let main = home.open();
    let base = main.of_chain(Some(&named("base")));
    assert_eq!(urls(&main).await, ["http://old"]);
    base.add(&leader("http://old")).await.unwrap();
    base.add(&NodeRecord::at("http://b")).await.unwrap();
    assert_eq!(seen_by_earlier(&home), ["http://old"]);
    // It adds, changes and removes as it always did, and marks its file as its own still.
    let earlier = home.connection();
    let number = |sql| {
        earlier
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(number("PRAGMA application_id"), 0x466f_7265);
    assert_eq!(number("PRAGMA user_version"), 1);
    earlier
        .execute_batch(
            "INSERT INTO nodes (url, identity, name, rung, weight, ws_url, headers, when_added)
             VALUES ('http://b', 'http://b/', 'b', 'own', 3, NULL, '{}', 'now');
             UPDATE nodes SET is_healthy = 1, block_number = 9, checked_at = 1 WHERE url = 'http://b';
             DELETE FROM nodes WHERE url = 'http://old';",
        )
        .unwrap();
    assert_eq!(urls(&main).await, ["http://b"]);
    let items = base.list().await.unwrap().items;
    let told: Vec<_> = items.iter().map(|item| item.record.url.as_str()).collect();
    assert_eq!(told, ["http://old", "http://b"]);
    assert_eq!(items[1].health.block_number, None, "that was the other's");
}

#[tokio::test]
async fn what_can_be_read_of_a_damaged_file_is_told_by_chain() {
    let home = Home::new();
    let main = home.open();
    main.add(&NodeRecord::at("http://a")).await.unwrap();
    let base = main.of_chain(Some(&named("base")));
    base.add(&NodeRecord::at("http://b")).await.unwrap();
    let odd = "INSERT INTO chain_history VALUES ('No Chain', 'now', NULL, 0)";
    home.by_hand(odd);
    let saved = EmbeddedRegistry::salvage(&home.path());
    let wanted = [
        (None, vec![NodeRecord::at("http://a")]),
        (Some(named("base")), vec![NodeRecord::at("http://b")]),
    ];
    assert_eq!(saved, wanted);
}

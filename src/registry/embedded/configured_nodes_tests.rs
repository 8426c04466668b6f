//! What becomes of the configuration's nodes in the file.

use std::sync::Arc;

use rusqlite::Connection;

use super::*;
use crate::registry::embedded::EmbeddedRegistry;
use crate::registry::{ItemOrigin, NodeEdit, Registry, RegistryItem};
use forebay_core::vocabulary::node::NodeRecord;

struct Home {
    folder: tempfile::TempDir,
    registry: EmbeddedRegistry,
}

impl Home {
    fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forebay.db");
        Home {
            registry: EmbeddedRegistry::open(&path, Arc::new(|_| None)).unwrap(),
            folder,
        }
    }

    /// As an earlier release left it.
    fn ages(&self) {
        let connection = Connection::open(self.folder.path().join("forebay.db")).unwrap();
        let sql = "ALTER TABLE nodes DROP COLUMN in_file; ALTER TABLE nodes DROP COLUMN pending; \
                   ALTER TABLE history DROP COLUMN is_older;";
        connection.execute_batch(sql).unwrap();
    }

    fn opened_again(self) -> Home {
        let path = self.folder.path().join("forebay.db");
        Home {
            registry: EmbeddedRegistry::open(&path, Arc::new(|_| None)).unwrap(),
            ..self
        }
    }

    async fn follows(&self, nodes: &[NodeRecord]) -> FollowReport {
        self.registry.follow(nodes).await.unwrap().unwrap()
    }

    /// Each node's name, weight and role.
    async fn list(&self) -> Vec<String> {
        let items = self.registry.list().await.unwrap().items;
        items.iter().map(shown).collect()
    }

    async fn set(&self, key: &str, weight: Option<u64>, role: Option<Role>) {
        let edit = NodeEdit {
            weight: weight.map(|weight| Weight::new(weight).unwrap()),
            role,
            ..NodeEdit::default()
        };
        self.registry.set(key, &edit).await.unwrap();
    }
}

fn shown(item: &RegistryItem) -> String {
    let record = &item.record;
    let name = name_of(record.name.as_deref(), &record.url, &|_| None);
    let mark = match item.origin {
        ItemOrigin::Registry => "",
        ItemOrigin::File {
            is_pending: true, ..
        } => " pending",
        ItemOrigin::File { .. } => " file",
    };
    format!(
        "{name} {} {}{mark}",
        record.weight.get(),
        record.role.as_str()
    )
}

fn node(name: &str, weight: u64, role: Role) -> NodeRecord {
    NodeRecord {
        name: Some(name.to_string()),
        weight: Weight::new(weight).unwrap(),
        role,
        ..NodeRecord::at(&format!("http://{name}"))
    }
}

fn own(name: &str, weight: u64) -> NodeRecord {
    node(name, weight, Role::Own)
}

#[tokio::test]
async fn nodes_come_change_and_go_with_the_file_and_those_of_commands_stay() {
    let home = Home::new();
    assert_eq!(home.follows(&[]).await, FollowReport::default());
    assert!(home.registry.list().await.unwrap().is_unwritten);
    let followed = home.follows(&[own("a", 1), own("b", 2)]).await;
    assert_eq!(followed.added, ["a", "b"]);
    home.registry.add(&own("c", 3)).await.unwrap();
    let followed = home.follows(&[own("b", 5), own("d", 1)]).await;
    assert_eq!(
        (followed.added, followed.changed, followed.removed),
        (vec!["d".into()], vec!["b".into()], vec!["a".into()])
    );
    assert_eq!(
        home.list().await,
        ["b 5 own file", "c 3 own", "d 1 own file"]
    );
    assert_eq!(
        home.follows(&[own("b", 5), own("d", 1)]).await,
        FollowReport::default()
    );
    let followed = home.follows(&[]).await;
    assert_eq!(followed.removed, ["b", "d"]);
    assert_eq!(home.list().await, ["c 3 own"]);
    home.registry.remove("c").await.unwrap();
    home.follows(&[own("a", 1)]).await;
    home.follows(&[]).await;
    let listing = home.registry.list().await.unwrap();
    assert!(
        listing.is_credible() && listing.items.is_empty(),
        "the file said so"
    );
}

#[tokio::test]
async fn what_a_command_says_stands_until_that_key_of_the_file_changes() {
    let home = Home::new();
    let leader = node("l", 1, Role::Leader);
    let file = |weight, ws: Option<&str>| {
        let a = NodeRecord {
            ws_url: ws.map(str::to_string),
            ..own("a", weight)
        };
        [leader.clone(), a]
    };
    home.follows(&file(2, None)).await;
    home.set("a", Some(0), Some(Role::Leader)).await;
    let said = ["a 0 leader file", "l 1 own file"];
    let sorted = async || {
        let mut list = home.list().await;
        list.sort();
        list
    };
    assert_eq!(sorted().await, said);
    // Another key of the file changes.
    home.follows(&file(2, Some("ws://a"))).await;
    assert_eq!(sorted().await, said);
    home.follows(&file(3, Some("ws://a"))).await;
    assert_eq!(
        sorted().await,
        ["a 3 leader file", "l 1 own file"],
        "that key"
    );
    home.set("l", None, Some(Role::Leader)).await;
    assert_eq!(sorted().await, ["a 3 own file", "l 1 leader file"]);
    // The file exchanges the two roles.
    let exchanged = [node("l", 1, Role::Own), node("a", 3, Role::Leader)];
    home.follows(&exchanged).await;
    assert_eq!(sorted().await, ["a 3 leader file", "l 1 own file"]);
}

#[tokio::test]
async fn a_node_of_the_file_is_taken_away_there_and_its_url_and_name_follow() {
    let home = Home::new();
    home.follows(&[own("a", 1), own("b", 1)]).await;
    home.set("a", Some(7), None).await;
    let refused = home.registry.remove("a").await.unwrap_err();
    assert!(matches!(refused, RegistryError::InFile(name) if name == "a"));
    let moved = NodeRecord {
        url: "http://elsewhere".to_string(),
        ..own("a", 1)
    };
    let followed = home.follows(&[moved, own("b", 1)]).await;
    assert_eq!(
        (followed.changed, followed.removed),
        (vec!["a".to_string()], vec![])
    );
    assert_eq!(
        home.list().await,
        ["a 7 own file", "b 1 own file"],
        "its weight by command stands"
    );
    // Two exchange their names.
    let named = |name: &str, url: &str| NodeRecord {
        url: url.to_string(),
        ..own(name, 1)
    };
    home.follows(&[named("b", "http://elsewhere"), named("a", "http://b")])
        .await;
    assert_eq!(home.list().await, ["b 7 own file", "a 1 own file"]);
}

#[tokio::test]
async fn a_name_or_a_lead_that_a_command_gave_to_another_is_not_taken_from_it() {
    let home = Home::new();
    home.registry
        .add(&node("c", 1, Role::Leader))
        .await
        .unwrap();
    let namesake = NodeRecord {
        url: "http://other".to_string(),
        ..own("c", 1)
    };
    let followed = home.follows(&[namesake, node("l", 1, Role::Leader)]).await;
    assert!(
        followed.refused[0].contains("the name `c` is taken"),
        "{followed:?}"
    );
    assert_eq!(home.list().await, ["c 1 leader", "l 1 own file"]);
}

#[tokio::test]
async fn an_older_registry_loses_no_node_and_gets_back_none_that_was_removed_before_it_is_let_in() {
    let home = Home::new();
    home.registry.add(&own("kept", 1)).await.unwrap();
    home.registry.add(&own("drained", 5)).await.unwrap();
    home.set("drained", Some(0), None).await;
    home.registry.add(&own("by-command", 2)).await.unwrap();
    home.ages();
    let home = home.opened_again();
    let file = [
        own("kept", 1),
        own("drained", 5),
        node("lacking", 3, Role::Leader),
    ];
    let followed = home.follows(&file).await;
    assert_eq!(
        (followed.pending, followed.removed),
        (vec!["lacking".to_string()], vec![])
    );
    let list = [
        "kept 1 own file",
        "drained 0 own file",
        "by-command 2 own",
        "lacking 0 own pending",
    ];
    assert_eq!(home.list().await, list);
    // It is no older one from now on; what is pending stays so until it is let in.
    let more = [&file[..], &[own("new", 1)]].concat();
    assert_eq!(home.follows(&more).await.added, ["new"]);
    assert_eq!(home.list().await[3], "lacking 0 own pending");
    home.registry.admit("http://lacking").await.unwrap();
    assert_eq!(home.list().await[3], "lacking 3 leader file");
    home.registry.admit("http://lacking").await.unwrap();
}

#[tokio::test]
async fn a_look_at_what_will_be_followed_changes_nothing() {
    let home = Home::new();
    let shows = home.registry.list_following(&[own("a", 1)]).await.unwrap();
    assert_eq!(shown(&shows.items[0]), "a 1 own file");
    assert!(home.list().await.is_empty());
    assert!(home.registry.list().await.unwrap().is_unwritten);
}

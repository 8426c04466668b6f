//! `forebay backends`: the nodes in the registry, listed and changed from the command line.
//!
//! Results go to `out`, what is worth knowing beside them to `notes`. URLs are shown whole: a
//! user who may read the registry's file may read them anyway.

use std::io::{self, Write};

use clap::{Args, Subcommand};

use super::nodes_table;
use super::table::printable;
use crate::cli::backend_error::BackendError;
use crate::cli::retained_nodes;
use crate::cli::setup::ChosenChain;
use crate::config::{self, settings::Settings};
use crate::observe::events::nodes_in_words;
use crate::registry::item_json::ItemJson;
use crate::registry::validation::{EnvironmentLookup, identity_of, name_of, unset_variables};
use crate::registry::{Listing, NodeEdit, Registry, RegistryError, RegistryItem};
use forebay_core::vocabulary::node::{
    InFlightMax, NodePurpose, NodeRecord, NodeSpecError, NodeUrl, RecentBlocks, Role,
    ServedMethods, Weight,
};
use forebay_core::vocabulary::target::{self, OwnAddresses};

/// Commands about single nodes, and the list of them.
#[derive(Clone, Subcommand)]
pub enum BackendCommand {
    /// Add a node.
    Add(AddArguments),
    /// List the nodes, with the last health that the balancer wrote back.
    List {
        /// Print a JSON array instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Change a node; what isn't named stays as it is.
    Set(SetArguments),
    /// Take a node away. To let its calls end first, set its weight to 0 before.
    Remove {
        /// The node's URL or its name.
        #[arg(value_name = "URL|NAME")]
        node: String,
    },
}

#[derive(Clone, Args)]
pub struct AddArguments {
    /// Where the node speaks JSON-RPC, like http://10.0.0.11:8545. Keep keys in the balancer's
    /// environment: 'https://mainnet.infura.io/v3/${INFURA_KEY}', in single quotes.
    pub(super) url: String,
    /// The reference for the head of the chain, asked itself when no other node is fit; there
    /// is at most one.
    #[arg(long, conflicts_with = "fallback")]
    leader: bool,
    /// Asked, beside the leader, only when no other node is fit.
    #[arg(long)]
    fallback: bool,
    /// The node's share of calls relative to the others, 0 to 1000; 0 gives it none.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    weight: u64,
    /// The most calls that the node has in flight: `auto`, as many as it turns out to take, or a
    /// number from 1 to 10000.
    #[arg(long, value_name = "N|auto", default_value_t = InFlightMax::Auto)]
    in_flight_max: InFlightMax,
    /// The methods that the node is asked for: names and globs with commas between them; those with a
    /// `!` before them are taken out, in single quotes: 'eth_*,!eth_getLogs'.
    #[arg(long, value_name = "METHODS", default_value_t = ServedMethods::default())]
    serves: ServedMethods,
    /// The newest blocks that the node is asked for: `all`, as far back as it turns out to go, or a
    /// number from 1.
    #[arg(long, value_name = "N|all", default_value_t = RecentBlocks::All)]
    recent_blocks: RecentBlocks,
    /// Where the node speaks WebSocket, like ws://10.0.0.11:8546.
    #[arg(long, value_name = "URL")]
    ws: Option<String>,
    /// What logs and metrics call the node [default: its host and port].
    #[arg(long)]
    name: Option<String>,
    /// Succeed when the node is there already, and leave it as it is.
    #[arg(long)]
    if_absent: bool,
}

#[derive(Clone, Args)]
pub struct SetArguments {
    /// The node's URL or its name.
    #[arg(value_name = "URL|NAME")]
    node: String,
    /// The node's share of calls relative to the others, 0 to 1000; 0 gives it none.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    weight: Option<u64>,
    /// The most calls that the node has in flight: `auto`, or a number from 1 to 10000.
    #[arg(long, value_name = "N|auto")]
    in_flight_max: Option<InFlightMax>,
    /// The methods that the node is asked for, as in 'eth_*,!eth_getLogs'; '*' for all.
    #[arg(long, value_name = "METHODS")]
    serves: Option<ServedMethods>,
    /// The newest blocks that the node is asked for: `all`, or a number from 1.
    #[arg(long, value_name = "N|all")]
    recent_blocks: Option<RecentBlocks>,
    /// Make it the leader; the present one becomes an ordinary node.
    #[arg(long, conflicts_with = "no_leader")]
    leader: bool,
    /// Make it an ordinary node, neither leader nor fallback.
    #[arg(long)]
    no_leader: bool,
    /// Where the node speaks WebSocket; '' when it no longer does.
    #[arg(long, value_name = "URL")]
    ws: Option<String>,
    /// Take back what commands said of it: as the configuration's `nodes` has it.
    #[arg(
        long,
        conflicts_with_all = [
            "weight", "in_flight_max", "serves", "recent_blocks", "leader", "no_leader", "ws",
        ]
    )]
    as_in_file: bool,
}

/// Carries out `command` on `chain`. `lookup` is this process's environment, not the server's: for remarks alone.
///
/// # Errors
/// See [`BackendError`]; its exit code follows from it.
pub(super) async fn run(
    command: BackendCommand,
    registry: &dyn Registry,
    chain: &ChosenChain<'_>,
    lookup: EnvironmentLookup<'_>,
    (out, notes): (&mut dyn Write, &mut dyn Write),
) -> Result<(), BackendError> {
    let (settings, file) = (chain.settings, &chain.settings.nodes);
    let written = match command {
        BackendCommand::Add(command) => {
            let if_absent = command.if_absent;
            let record = command.record()?;
            judge(&record, settings, lookup)?;
            let item = match registry.add(&record).await {
                Err(RegistryError::Exists) if if_absent => {
                    note(notes, "note: it is there already and stays as it is");
                    present(registry, &record.url, lookup).await?
                }
                added => {
                    let item = added?;
                    for remark in remarks(registry, &item, lookup).await {
                        note(notes, &remark);
                    }
                    item
                }
            };
            print_item(out, &item, lookup)
        }
        BackendCommand::List { json } => {
            let listing = registry.list().await?;
            tell(notes, &listing, file.len());
            let items = listing.items.iter();
            let items: Vec<_> = items.map(|item| ItemJson::of(item, lookup)).collect();
            let leftovers = retained_nodes::ask(settings, chain.stored_as.as_ref()).await;
            for left in &leftovers {
                let name = &left.name;
                let told = format!("note: {name} serves, though the registry has lost it");
                note(notes, &told);
            }
            if json {
                print_json(out, &[items, leftovers].concat())
            } else {
                nodes_table::write(out, &listing.items, (&items, &leftovers))
            }
        }
        BackendCommand::Set(command) => {
            if let Some(socket) = &command.ws {
                judge(&target::socket_alone(socket), settings, lookup)?;
            }
            let edit = command.edit(file, lookup)?;
            let item = registry.set(&command.node, &edit).await?;
            print_item(out, &item, lookup)
        }
        BackendCommand::Remove { node } => {
            let item = registry.remove(&node).await?;
            print_item(out, &item, lookup)
        }
    };
    match written.and_then(|()| out.flush()) {
        // The reader, `head` say, has seen enough.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// What is to be said of a list beside its nodes. `configured`: nodes of the configuration.
fn tell(notes: &mut dyn Write, listing: &Listing, configured: usize) {
    if listing.is_unwritten && configured > 0 {
        let nodes = nodes_in_words(configured);
        let told =
            format!("note: what the configuration has, {nodes}, comes in when the balancer starts");
        note(notes, &told);
    }
    for rejected in &listing.rejected {
        note(notes, &format!("passed over: {rejected}"));
    }
    for warning in &listing.warnings {
        note(notes, &format!("warning: {warning}"));
    }
}

/// Refuses a node where none may be, and one whose URL would show a variable.
fn judge(
    record: &NodeRecord,
    settings: &Settings,
    lookup: EnvironmentLookup<'_>,
) -> Result<(), NodeSpecError> {
    let listeners = settings.listen.addresses();
    let ours = OwnAddresses {
        listeners: &listeners,
        is_local: &config::is_local,
    };
    target::check(record, false, ours, lookup)
}

impl AddArguments {
    fn record(self) -> Result<NodeRecord, NodeSpecError> {
        Ok(NodeRecord {
            ws_url: self.ws,
            name: self.name,
            weight: Weight::new(self.weight)?,
            in_flight_max: self.in_flight_max,
            purpose: NodePurpose {
                serves: self.serves,
                recent_blocks: self.recent_blocks,
            },
            role: Role::of(self.leader, self.fallback),
            ..NodeRecord::at(&self.url)
        })
    }
}

impl SetArguments {
    fn edit(
        &self,
        file: &[NodeRecord],
        lookup: EnvironmentLookup<'_>,
    ) -> Result<NodeEdit, BackendError> {
        if self.as_in_file {
            return as_in_file(&self.node, file, lookup);
        }
        let edit = NodeEdit {
            weight: self.weight.map(Weight::new).transpose()?,
            role: match (self.leader, self.no_leader) {
                (true, _) => Some(Role::Leader),
                (false, true) => Some(Role::Own),
                (false, false) => None,
            },
            ws_url: self.ws.clone(),
            headers: None,
            in_flight_max: self.in_flight_max,
            serves: self.serves.clone(),
            recent_blocks: self.recent_blocks,
            former_weight: None,
        };
        if edit == NodeEdit::default() {
            return Err(BackendError::NothingToSet);
        }
        Ok(edit)
    }
}

/// What makes the node `key` what the configuration says.
fn as_in_file(
    key: &str,
    file: &[NodeRecord],
    lookup: EnvironmentLookup<'_>,
) -> Result<NodeEdit, BackendError> {
    let identity = identity_of(key, lookup);
    let is_it = |record: &&NodeRecord| {
        identity_of(&record.url, lookup) == identity
            || name_of(record.name.as_deref(), &record.url, lookup) == key.trim()
    };
    let record = file.iter().find(is_it).ok_or(BackendError::NotInFile)?;
    Ok(NodeEdit::from(record))
}

/// The node that stands at `url`.
async fn present(
    registry: &dyn Registry,
    url: &str,
    lookup: EnvironmentLookup<'_>,
) -> Result<RegistryItem, RegistryError> {
    let identity = identity_of(url, lookup);
    let is_it = |item: &RegistryItem| identity_of(&item.record.url, lookup) == identity;
    let items = registry.list().await?.items.into_iter();
    // It stands there, but can't be read.
    items.into_iter().find(is_it).ok_or(RegistryError::Exists)
}

/// What a newcomer may want to know of the node just added. It stands whatever happens here, so
/// nothing here fails.
async fn remarks(
    registry: &dyn Registry,
    added: &RegistryItem,
    lookup: EnvironmentLookup<'_>,
) -> Vec<String> {
    let unset = unset_variables(&added.record, lookup).unwrap_or_default();
    let told = |name| format!("note: {name} is not set here; the balancer needs it");
    let mut remarks: Vec<_> = unset.iter().map(told).collect();
    let url = NodeUrl::http(&added.record.url, lookup);
    if url.is_ok_and(|url| target::is_link_local(&url)) {
        remarks.push("note: an address of this link alone: few nodes are there".to_string());
    }
    let alone = registry.list().await.is_ok_and(|all| all.items.len() == 1);
    if alone && added.record.role != Role::Leader {
        remarks.push(
            "hint: there is no leader yet, so nodes will be compared with each other alone; \
             `forebay backends add URL --leader` adds a reference and fallback"
                .to_string(),
        );
    }
    remarks
}

/// A remark that can't be written is no reason to fail.
fn note(notes: &mut dyn Write, text: &str) {
    let _ = writeln!(notes, "{}", printable(text));
}

fn print_item(
    out: &mut dyn Write,
    item: &RegistryItem,
    lookup: EnvironmentLookup<'_>,
) -> io::Result<()> {
    print_json(out, &ItemJson::of(item, lookup))
}

fn print_json(out: &mut dyn Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::registry::StoredHealth;
    use crate::registry::embedded::EmbeddedRegistry;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: BackendCommand,
    }

    fn environment(name: &str) -> Option<String> {
        (name == "KEY").then(|| "s3cret".to_string())
    }

    struct TestCli {
        registry: EmbeddedRegistry,
        _folder: tempfile::TempDir,
    }

    /// What a command printed, noted and exited with.
    #[derive(Debug)]
    struct Done {
        out: String,
        notes: String,
        code: u8,
    }

    impl TestCli {
        fn new() -> TestCli {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("forebay.db");
            TestCli {
                registry: EmbeddedRegistry::open(&path, Arc::new(environment)).unwrap(),
                _folder: folder,
            }
        }

        async fn run(&self, line: &str) -> Done {
            let words = ["backends"].into_iter().chain(line.split_whitespace());
            let words = words.map(|word| if word == "''" { "" } else { word });
            let command = Line::try_parse_from(words).unwrap().command;
            let (mut out, mut notes) = (Vec::new(), Vec::new());
            let settings = Settings {
                nodes: vec![forebay_core::testing::named("filed", "http://filed")],
                ..Settings::default()
            };
            let chain = ChosenChain {
                settings: &settings,
                stored_as: None,
            };
            let registry = &self.registry;
            let done = run(
                command,
                registry,
                &chain,
                &environment,
                (&mut out, &mut notes),
            );
            let done = done.await;
            let mut notes = String::from_utf8(notes).unwrap();
            if let Err(failure) = &done {
                notes.push_str(&failure.to_string());
            }
            Done {
                out: String::from_utf8(out).unwrap(),
                notes,
                code: done.map_or_else(|failure| failure.exit_code(), |()| 0),
            }
        }

        async fn json(&self, line: &str) -> serde_json::Value {
            let done = self.run(line).await;
            assert_eq!(done.code, 0, "{done:?}");
            serde_json::from_str(&done.out).unwrap()
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Line::command().debug_assert();
        for line in [
            "add",
            "add http://a --leader --fallback",
            "add http://a --weight two",
            "add http://a --weight -1",
            "set http://a --leader --no-leader",
            "remove",
        ] {
            let words = ["backends"].into_iter().chain(line.split(' '));
            let refused = Line::try_parse_from(words).err().unwrap();
            assert_eq!(refused.exit_code(), 2, "{line}");
        }
    }

    #[tokio::test]
    async fn a_node_that_would_show_a_variable_or_lead_back_here_is_refused() {
        let cli = TestCli::new();
        for (url, why) in [
            ("http://${KEY}.example/", "a variable stands for a part"),
            ("http://${HOST}:8545", "a variable stands for a part"),
            ("http://127.0.0.1:8545", "one of our own listeners"),
            ("http://2852039166/", "metadata service"),
            (
                "http://a --ws ws://${KEY}.example",
                "a variable stands for a part",
            ),
        ] {
            let done = cli.run(&format!("add {url}")).await;
            assert!(
                done.code == 1 && done.notes.contains(why),
                "{url}: {done:?}"
            );
            assert!(!done.notes.contains("s3cret"), "{done:?}");
        }
        assert_eq!(cli.run("add http://a --name a").await.code, 0);
        assert_eq!(cli.run("set a --ws ws://localhost:8545").await.code, 1);
        let noted = cli.run("add http://169.254.7.7").await;
        assert!(
            noted.code == 0 && noted.notes.contains("this link alone"),
            "{noted:?}"
        );
        assert_eq!(cli.run("add ${URL}").await.code, 0);
    }

    #[tokio::test]
    async fn an_added_node_is_printed_as_json() {
        let cli = TestCli::new();
        let line = "add https://a/${KEY} --leader --weight 1000 --ws wss://a --name infura";
        let item = cli.json(line).await;
        assert_eq!(item["url"], "https://a/${KEY}");
        assert_eq!(item["ws_url"], "wss://a");
        assert_eq!(item["name"], "infura");
        assert_eq!(item["weight"], 1000);
        assert_eq!(item["is_leader"], true);
        let item = cli.json("add http://b --fallback").await;
        assert_eq!(item["is_fallback"], true);
        assert_eq!(item["weight"], 1);
    }

    #[tokio::test]
    async fn only_a_first_node_that_is_no_leader_brings_the_hint() {
        let cli = TestCli::new();
        assert!(cli.run("add http://a").await.notes.contains("no leader"));
        assert_eq!(cli.run("add http://b").await.notes, "");
        let cli = TestCli::new();
        assert_eq!(cli.run("add http://a --leader").await.notes, "");
    }

    #[tokio::test]
    async fn a_variable_that_is_not_set_here_is_only_noted() {
        let cli = TestCli::new();
        let done = cli.run("add https://a/${NOPE} --leader").await;
        assert_eq!(done.code, 0);
        assert_eq!(
            done.notes,
            "note: NOPE is not set here; the balancer needs it\n"
        );
    }

    #[tokio::test]
    async fn every_refusal_has_its_exit_code_and_says_what_to_do() {
        let cli = TestCli::new();
        cli.run("add http://a --leader").await;
        for (line, code, told) in [
            ("add HTTP://A:80/", 1, "in the registry already"),
            ("add http://b --leader", 1, "a:80 leads already"),
            ("add http://a/2", 1, "of its own with --name"),
            ("add a:80", 1, "scheme"),
            ("add http://c --name local", 1, "name"),
            ("add http://c --weight 1001", 1, "weight 1001"),
            ("set a:80", 1, "--weight"),
            ("set a:80 --weight 1001", 1, "weight 1001"),
            ("set a:80 --ws http://a", 1, "scheme"),
            ("set b --weight 1", 3, "no such node"),
            ("remove http://b", 3, "forebay backends list"),
        ] {
            let done = cli.run(line).await;
            assert_eq!(done.code, code, "{line}: {done:?}");
            assert!(done.notes.contains(told), "{line}: {done:?}");
            assert_eq!(done.out, "", "{line}");
        }
        assert_eq!(cli.json("list --json").await.as_array().unwrap().len(), 1);
        let damaged = BackendError::from(RegistryError::Damaged("the row of a is damaged".into()));
        assert_eq!(damaged.exit_code(), 1);
        assert_eq!(damaged.to_string(), "the row of a is damaged");
        let away = BackendError::from(RegistryError::OutOfReach {
            operation: "list",
            why: String::new(),
        });
        assert_eq!(away.exit_code(), 4);
    }

    #[tokio::test]
    async fn set_and_remove_print_the_item_and_take_a_name_or_a_url() {
        let cli = TestCli::new();
        cli.run("add http://a --leader").await;
        cli.run("add http://b --name b").await;
        assert_eq!(cli.json("set b --leader").await["is_leader"], true);
        let items = cli.json("list --json").await;
        assert_eq!(items[0]["is_leader"], false);
        let item = cli.json("set HTTP://B/ --no-leader --weight 0").await;
        assert_eq!(
            (&item["is_leader"], &item["weight"]),
            (&false.into(), &0.into())
        );
        assert_eq!(cli.json("set b --ws ws://b").await["ws_url"], "ws://b");
        assert_eq!(cli.json("set b --ws ''").await.get("ws_url"), None);
        assert_eq!(cli.json("remove a:80").await["url"], "http://a");
        assert_eq!(cli.json("remove http://b").await["name"], "b");
        assert_eq!(cli.json("list --json").await, serde_json::json!([]));
    }

    #[tokio::test]
    async fn a_second_add_succeeds_where_it_is_allowed_to_and_changes_nothing() {
        let cli = TestCli::new();
        cli.run("add http://a --weight 3").await;
        let done = cli.run("add HTTP://A:80/ --weight 5 --if-absent").await;
        assert_eq!(done.code, 0, "{done:?}");
        assert!(done.notes.contains("there already"), "{done:?}");
        let item: serde_json::Value = serde_json::from_str(&done.out).unwrap();
        assert_eq!(
            (&item["url"], &item["weight"]),
            (&"http://a".into(), &3.into())
        );
        assert_eq!(
            cli.json("add http://b --if-absent").await["url"],
            "http://b"
        );
    }

    #[tokio::test]
    async fn an_empty_list_says_how_to_add_the_first() {
        let out = TestCli::new().run("list").await.out;
        assert!(out.contains("forebay backends add http://"));
        assert!(out.contains("'https://mainnet.infura.io/v3/${INFURA_KEY}' --leader"));
    }

    #[tokio::test]
    async fn the_table_is_aligned_and_shows_everything() {
        let cli = TestCli::new();
        cli.run("add https://a/${KEY} --leader").await;
        cli.run("add http://10.0.0.11:8545 --name geth-1 --weight 20")
            .await;
        let health = StoredHealth {
            is_healthy: false,
            block_number: Some(7_849_400),
            lag: Some(11),
            reason: Some("lagging".to_string()),
            checked_at: Some(1),
        };
        let healths = [("http://10.0.0.11:8545".to_string(), health)];
        cli.registry.record_health(&healths).await.unwrap();
        let out = cli.run("list").await.out;
        let lines: Vec<Vec<&str>> = out
            .lines()
            .map(|it| it.split_whitespace().collect())
            .collect();
        assert_eq!(lines[0], nodes_table::HEADINGS);
        let row = [
            "a:443",
            "https://a/${KEY}",
            "leader",
            "1",
            "-",
            "-",
            "-",
            "-",
        ];
        assert_eq!(lines[1][..8], row);
        let row = [
            "geth-1",
            "http://10.0.0.11:8545",
            "own",
            "20",
            "no",
            "7849400",
            "11",
            "lagging",
        ];
        assert_eq!(lines[2][..8], row);
        let added: Vec<_> = out
            .lines()
            .zip(&lines)
            .map(|(line, cells)| line.find(cells[8]))
            .collect();
        assert!(added.iter().all(|place| *place == added[0]), "{out}");
        let items = cli.json("list --json").await;
        assert_eq!(items[1]["reason"], "lagging");
        assert_eq!(items[0]["block_number"], serde_json::Value::Null);
    }
}

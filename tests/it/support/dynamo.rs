//! DynamoDB: Amazon's own for one machine, and dynoxide, which is up at once.

use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use forebay::registry::Environment;
use forebay::registry::dynamo::{DynamoConfig, DynamoRegistry};
use tempfile::TempDir;

use super::{Process, Rpc, free_port, http, in_repository, part, soon};

/// What a balancer finds its credentials in: any do.
pub const CREDENTIALS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "testing"),
    ("AWS_SECRET_ACCESS_KEY", "s3cretkey"),
    ("AWS_REGION", "eu-west-1"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

pub const TABLE: &str = "forebay-backends";

/// A running server; killed on drop.
#[derive(Debug)]
pub struct DynamoServer {
    pub process: Process,
    pub rpc: Rpc,
    pub client: Client,
    _folder: TempDir,
}

impl DynamoServer {
    /// DynamoDB Local, in memory.
    pub async fn local() -> DynamoServer {
        let folder = in_repository(".parts/dynamodb-local");
        assert!(folder.exists(), "run tests/parts/install.sh (`./dev test`)");
        let mut command = Command::new("java");
        command.current_dir(folder).args([
            "-Xmx256m",
            "-XX:TieredStopAtLevel=1",
            "-Djava.library.path=./DynamoDBLocal_lib",
            "-jar",
            "DynamoDBLocal.jar",
            "-inMemory",
            "-sharedDb",
            "-disableTelemetry",
        ]);
        DynamoServer::start("dynamodb-local", command, "-port").await
    }

    pub async fn dynoxide() -> DynamoServer {
        let mut command = Command::new(part("dynoxide"));
        command.arg("serve");
        DynamoServer::start("dynoxide", command, "--port").await
    }

    async fn start(name: &str, mut command: Command, port: &str) -> DynamoServer {
        let rpc = Rpc::on_port(free_port());
        command.arg(port).arg(rpc.address.port().to_string());
        let folder = TempDir::new().unwrap();
        let mut process = Process::start(name, command, folder.path());
        soon("DynamoDB answers", async || {
            assert!(process.is_running(), "it has ended");
            let soon = Duration::from_secs(2);
            http::get(rpc.address, "/", soon).await.is_ok()
        })
        .await;
        DynamoServer {
            process,
            client: client(&rpc.url()),
            rpc,
            _folder: folder,
        }
    }

    pub fn url(&self) -> String {
        self.rpc.url()
    }

    /// The node table alone, as the original made it.
    pub async fn make_original_table(&self) {
        let attribute = AttributeDefinition::builder()
            .attribute_name("url")
            .attribute_type(ScalarAttributeType::S)
            .build();
        let key = KeySchemaElement::builder()
            .attribute_name("url")
            .key_type(KeyType::Hash)
            .build();
        let made = self
            .client
            .create_table()
            .table_name(TABLE)
            .attribute_definitions(attribute.unwrap())
            .key_schema(key.unwrap())
            .billing_mode(BillingMode::PayPerRequest);
        made.send().await.unwrap();
    }

    /// An item with the five attributes that the original wrote.
    pub async fn put_original(&self, url: &str, is_leader: bool, when_added: &str) {
        self.put(&[
            ("url", AttributeValue::S(url.to_string())),
            ("is_leader", AttributeValue::Bool(is_leader)),
            ("is_healthy", AttributeValue::Bool(true)),
            ("block_number", AttributeValue::N("7849400".to_string())),
            ("when_added", AttributeValue::S(when_added.to_string())),
        ])
        .await;
    }

    /// As by a console.
    pub async fn put(&self, attributes: &[(&str, AttributeValue)]) {
        let item = attributes
            .iter()
            .map(|(name, value)| ((*name).to_string(), value.clone()));
        let put = self.client.put_item().table_name(TABLE);
        put.set_item(Some(item.collect())).send().await.unwrap();
    }

    /// The items of a table by their key.
    pub async fn items(
        &self,
        table: &str,
        key: &str,
    ) -> HashMap<String, HashMap<String, AttributeValue>> {
        let found = self.client.scan().table_name(table).consistent_read(true);
        let items = found.send().await.unwrap().items.unwrap_or_default();
        let keyed = |item: HashMap<String, AttributeValue>| {
            let name = item[key].as_s().unwrap().clone();
            (name, item)
        };
        items.into_iter().map(keyed).collect()
    }

    /// The holder of the lease.
    pub async fn holder(&self) -> Option<String> {
        let state = self.items(&format!("{TABLE}-state"), "name").await;
        let holder = state.get("pen")?.get("holder")?.as_s().ok();
        holder.cloned()
    }

    /// A registry of this process's own over the table.
    pub fn registry(&self) -> DynamoRegistry {
        self.registry_with(Arc::new(|_| None))
    }

    pub fn registry_with(&self, environment: Environment) -> DynamoRegistry {
        registry(&self.client, TABLE, environment)
    }
}

pub fn registry(client: &Client, table: &str, environment: Environment) -> DynamoRegistry {
    let place = DynamoConfig {
        table: table.to_string(),
        endpoint: None,
        lease: Duration::from_secs(2),
    };
    DynamoRegistry::over(client.clone(), &place, environment)
}

fn client(endpoint: &str) -> Client {
    let credentials = Credentials::new("testing", "s3cretkey", None, None, "test");
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-west-1"))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::standard())
        .http_client(http)
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

/// A configuration on the table behind `endpoint`, that decides in tenths of a second. `more` is
/// added to the registry's keys.
pub fn on_table(endpoint: &str, more: &str) -> String {
    format!(
        "version: 1\nthreads: 2\nforebay:\n  chain: {{ block_time: 1s }}\n  \
         listen: {{ http: [\"@HTTP@\"], metrics: \"@METRICS@\" }}\n  \
         registry: {{ kind: dynamodb, table: {TABLE}, endpoint: \"{endpoint}\", refresh: 500ms, \
         last_list: \"@FOLDER@/last-list.json\", lease: 2s{more} }}\n  \
         health: {{ interval: 400ms, timeout: 350ms }}\n  \
         cache: {{ memory: 0 }}\n  \
         shutdown: {{ lame_duck: 300ms, drain: 5s }}\n"
    )
}

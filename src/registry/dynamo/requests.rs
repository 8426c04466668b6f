//! The two tables as requests: over which client, for how long, how often again.
//!
//! A request has [`REQUEST_PATIENCE`] in all, and the SDK repeats what may be repeated within it.
//! Every write here is conditional or carries a token, so a repeat of one that was done changes
//! nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Region};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tokio::sync::OnceCell;

use crate::registry::dynamo::error::DynamoError;

/// The longest that one request takes, its repeats included.
pub(super) const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
const ATTEMPT_PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS_MAX: u32 = 3;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Of a megabyte each: a hundred thousand nodes and more.
const PAGES_MAX: usize = 64;

/// One item as the table has it.
pub(super) type Attributes = HashMap<String, AttributeValue>;

/// The way to a table and the one beside it.
#[derive(Clone, Debug)]
pub(super) struct DynamoTables {
    pub nodes: String,
    pub state: String,
    endpoint: Option<String>,
    /// Those of other tables at the same endpoint have it, too.
    client: Arc<OnceCell<Client>>,
}

impl DynamoTables {
    /// Sends no request yet.
    pub(super) fn new(table: &str, endpoint: Option<String>) -> DynamoTables {
        DynamoTables {
            nodes: table.to_string(),
            state: format!("{table}-state"),
            endpoint,
            client: Arc::default(),
        }
    }

    pub(super) fn over(client: Client, table: &str) -> DynamoTables {
        DynamoTables {
            client: Arc::new(OnceCell::new_with(Some(client))),
            ..DynamoTables::new(table, None)
        }
    }

    /// Another pair of tables, over the same client.
    pub(super) fn beside(&self, table: &str) -> DynamoTables {
        DynamoTables {
            client: self.client.clone(),
            ..DynamoTables::new(table, self.endpoint.clone())
        }
    }

    /// The client, made at the first call: finding the region and credentials may ask the network.
    pub(super) async fn client(&self) -> Result<&Client, DynamoError> {
        self.client.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Client, DynamoError> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(ATTEMPT_PATIENCE)
            .operation_attempt_timeout(ATTEMPT_PATIENCE)
            .operation_timeout(REQUEST_PATIENCE);
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS_MAX)
            .with_initial_backoff(PAUSE_FIRST)
            .with_max_backoff(PAUSE_MAX);
        let found = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .load()
            .await;
        let mut config = Builder::from(&found)
            .timeout_config(timeouts.build())
            .retry_config(retries);
        if let Some(endpoint) = &self.endpoint {
            config = config.endpoint_url(endpoint);
        }
        match (found.region(), &self.endpoint) {
            (Some(_), _) => {}
            // A local one doesn't care, but the signature needs a region.
            (None, Some(_)) => config = config.region(Region::from_static("us-east-1")),
            (None, None) => return Err(DynamoError::NoRegion),
        }
        Ok(Client::from_conf(config.build()))
    }

    /// All items of the node table, page by page to the end, consistently read.
    pub(super) async fn scan(&self) -> Result<Vec<Attributes>, DynamoError> {
        let client = self.client().await?;
        let mut items = Vec::new();
        let mut from = None;
        for _ in 0..PAGES_MAX {
            let page = client
                .scan()
                .table_name(&self.nodes)
                .consistent_read(true)
                .set_exclusive_start_key(from.take())
                .send()
                .await
                .map_err(|why| DynamoError::of(&why))?;
            items.extend(page.items.unwrap_or_default());
            match page.last_evaluated_key {
                Some(key) if !key.is_empty() => from = Some(key),
                Some(_) | None => return Ok(items),
            }
        }
        Err(DynamoError::Other(format!("more than {PAGES_MAX} pages")))
    }

    /// The item called `name` of the state table: consistently read, or as it was a moment ago, at half the price.
    pub(super) async fn state_item(
        &self,
        name: &str,
        is_consistent: bool,
    ) -> Result<Option<Attributes>, DynamoError> {
        let asked = self.client().await?.get_item().table_name(&self.state);
        let asked = asked.key("name", text(name)).consistent_read(is_consistent);
        let answer = asked.send().await.map_err(|why| DynamoError::of(&why))?;
        Ok(answer.item)
    }

    /// An update of the node at `url`, still without its expressions.
    pub(super) async fn node_update(
        &self,
        url: &str,
    ) -> Result<UpdateItemFluentBuilder, DynamoError> {
        let update = self.client().await?.update_item();
        Ok(update.table_name(&self.nodes).key("url", text(url)))
    }

    /// An update of the state item called `name`, still without its expressions.
    pub(super) async fn state_update(
        &self,
        name: &str,
    ) -> Result<UpdateItemFluentBuilder, DynamoError> {
        let update = self.client().await?.update_item();
        Ok(update.table_name(&self.state).key("name", text(name)))
    }

    /// All of `writes`, or none; [`DynamoError::Conflict`] when a condition does not hold.
    pub(super) async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<(), DynamoError> {
        let transaction = self.client().await?.transact_write_items();
        let sent = transaction.set_transact_items(Some(writes)).send().await;
        sent.map(drop)
            .map_err(|why| DynamoError::of_transaction(&why))
    }
}

/// Sends `update`; `false` when its condition does not hold.
pub(super) async fn holds(update: UpdateItemFluentBuilder) -> Result<bool, DynamoError> {
    match update.send().await.map_err(|why| DynamoError::of(&why)) {
        Ok(_) => Ok(true),
        Err(DynamoError::Conflict) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A whole number from 0 on; anything else counts as nothing.
pub(super) fn natural(attributes: &Attributes, name: &str) -> Option<u64> {
    attributes.get(name)?.as_n().ok()?.parse().ok()
}

/// A text; anything else counts as nothing.
pub(super) fn written<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.get(name)?.as_s().ok().map(String::as_str)
}

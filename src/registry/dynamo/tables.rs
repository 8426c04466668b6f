//! `backends init`: the two tables, made where they are missing and never changed where they are.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification,
    ScalarAttributeType, TableDescription, TableStatus,
};

use crate::clock;
use crate::registry::dynamo::error::DynamoError;
use crate::registry::dynamo::requests::DynamoTables;
use crate::registry::dynamo::state_table::malformed;

/// AWS takes some seconds to make a table.
const MAKING_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// A sentence on each thing done, found or left; why not, in words, when it fails.
pub(super) async fn init(store: &DynamoTables) -> Result<Vec<String>, String> {
    let mut told = Vec::new();
    for (table, key) in [(&store.nodes, "url"), (&store.state, "name")] {
        let made = ensure(store, table, key).await;
        let sentence = made.map_err(|why| format!("table {table}: {why}"))?;
        told.push(sentence);
        if table == &store.nodes {
            told.push(recovery(store, table).await);
        }
    }
    Ok(told)
}

async fn ensure(store: &DynamoTables, table: &str, key: &str) -> Result<String, String> {
    match describe(store, table).await {
        Ok(found) => {
            check_key(&found, key)?;
            let protection = match found.deletion_protection_enabled() {
                Some(true) => "",
                Some(false) | None => "; note that its deletion protection is off",
            };
            Ok(format!("{table} is there and stays as it is{protection}"))
        }
        Err(DynamoError::NoTable) => {
            create(store, table, key)
                .await
                .map_err(|why| why.to_string())?;
            Ok(format!(
                "{table} is made: partition key {key} (S), on-demand capacity, deletion protection"
            ))
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn describe(store: &DynamoTables, table: &str) -> Result<TableDescription, DynamoError> {
    let asked = store.client().await?.describe_table().table_name(table);
    let answer = asked.send().await.map_err(|why| DynamoError::of(&why))?;
    answer.table.ok_or(DynamoError::Garbled)
}

fn check_key(found: &TableDescription, key: &str) -> Result<(), String> {
    let schema = found.key_schema();
    let is_ours = matches!(schema, [only] if only.attribute_name() == key);
    let is_text = found.attribute_definitions().iter().any(|defined| {
        defined.attribute_name() == key && defined.attribute_type() == &ScalarAttributeType::S
    });
    if is_ours && is_text {
        return Ok(());
    }
    Err(format!(
        "it is there, but its key is not {key} (S) alone; name another in `registry.table`"
    ))
}

async fn create(store: &DynamoTables, table: &str, key: &str) -> Result<(), DynamoError> {
    let attribute = AttributeDefinition::builder()
        .attribute_name(key)
        .attribute_type(ScalarAttributeType::S)
        .build();
    let schema = KeySchemaElement::builder()
        .attribute_name(key)
        .key_type(KeyType::Hash)
        .build();
    let made = store
        .client()
        .await?
        .create_table()
        .table_name(table)
        .attribute_definitions(attribute.map_err(|_| malformed())?)
        .key_schema(schema.map_err(|_| malformed())?)
        .billing_mode(BillingMode::PayPerRequest)
        .deletion_protection_enabled(true)
        .send()
        .await
        .map_err(|why| DynamoError::of(&why));
    match made {
        // Another process makes it at this moment.
        Err(DynamoError::Other(code)) if code == "ResourceInUseException" => {}
        made => drop(made?),
    }
    until_active(store, table).await
}

async fn until_active(store: &DynamoTables, table: &str) -> Result<(), DynamoError> {
    let deadline = clock::now() + MAKING_MAX;
    while clock::now() < deadline {
        match describe(store, table).await {
            Ok(found) if found.table_status() == Some(&TableStatus::Active) => return Ok(()),
            // Just made, it may not be known everywhere yet.
            Ok(_) | Err(DynamoError::NoTable) => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    }
    Err(DynamoError::TimedOut)
}

/// Point-in-time recovery; where it can't be had, that is only said.
async fn recovery(store: &DynamoTables, table: &str) -> String {
    match enable_recovery(store, table).await {
        Ok(()) => format!("{table} has point-in-time recovery"),
        Err(DynamoError::Unknown) => format!(
            "{table} has no point-in-time recovery: this endpoint doesn't know it (DynamoDB Local \
             does not); on AWS it would be on"
        ),
        Err(why) => format!(
            "note: point-in-time recovery of {table} could not be switched on: {why}; the table \
             works without it"
        ),
    }
}

async fn enable_recovery(store: &DynamoTables, table: &str) -> Result<(), DynamoError> {
    let wanted = PointInTimeRecoverySpecification::builder()
        .point_in_time_recovery_enabled(true)
        .build()
        .map_err(|_| malformed())?;
    let asked = store.client().await?.update_continuous_backups();
    let asked = asked
        .table_name(table)
        .point_in_time_recovery_specification(wanted);
    asked
        .send()
        .await
        .map(drop)
        .map_err(|why| DynamoError::of(&why))
}

//! The state table: `<table>-state`, partition key `name`. It holds no nodes.
//!
//! | item | attributes |
//! | --- | --- |
//! | `list` | `version`, raised by each change of ours; `is_emptied`, when it took the last node; `changed_at`, `changed_by` |
//! | `pen` | which balancer writes health down: `holder`, `beat` |
//! | `floor` | the head that clients were told last: `number`, `hash`, `chain_id`, `raised_at`, `raised_by` |
//! | `head-…`, by a digest of a leader's URL | what it told for all: `block_number`, `chain_id`, `asked_at`, `asked_by` |

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};

use super::row::digest;
use crate::clock;
use crate::registry::SharedHead;
use crate::registry::dynamo::error::DynamoError;
use crate::registry::dynamo::requests::{DynamoTables, holds, natural, number, text, written};
use forebay_core::fleet::head_floor::{FloorWrite, HeadFloor};
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber, ChainId};
use forebay_core::vocabulary::lease::Lease;

const LIST: &str = "list";
/// As earlier releases call it, with which the table is shared.
const LEASE: &str = "pen";
const FLOOR: &str = "floor";

/// What the state table says of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revision {
    /// There is no state table for us: the table may be the original's.
    Unkept,
    /// Nothing was ever written by us.
    New,
    At {
        version: u64,
        is_emptied: bool,
    },
}

impl Revision {
    /// Whether a change of ours was ever written.
    pub(super) fn is_unwritten(self) -> bool {
        match self {
            Revision::Unkept | Revision::New => true,
            Revision::At { .. } => false,
        }
    }

    /// 0: no change of ours was ever written.
    pub(super) fn version(self) -> u64 {
        match self {
            Revision::At { version, .. } => version,
            Revision::Unkept | Revision::New => 0,
        }
    }

    /// Whether the last node was taken away by a change of ours.
    pub(super) fn is_emptied(self) -> bool {
        match self {
            Revision::At { is_emptied, .. } => is_emptied,
            Revision::Unkept | Revision::New => false,
        }
    }
}

pub(super) async fn revision(store: &DynamoTables) -> Result<Revision, DynamoError> {
    let item = match store.state_item(LIST, true).await {
        Ok(item) => item,
        // A role for the original's table alone may read it all the same.
        Err(DynamoError::NoTable | DynamoError::Denied) => return Ok(Revision::Unkept),
        Err(error) => return Err(error),
    };
    let Some(item) = item else {
        return Ok(Revision::New);
    };
    let is_emptied = item.get("is_emptied").and_then(|it| it.as_bool().ok());
    Ok(Revision::At {
        version: natural(&item, "version").unwrap_or(0),
        is_emptied: is_emptied == Some(&true),
    })
}

/// A new revision after `before`, if that is still the last one.
pub(super) fn next_revision(
    store: &DynamoTables,
    before: Revision,
    is_emptied: bool,
    me: &str,
) -> Result<TransactWriteItem, DynamoError> {
    let change = Update::builder()
        .table_name(&store.state)
        .key("name", text(LIST))
        .update_expression(
            "SET #version = :next, is_emptied = :emptied, changed_at = :at, changed_by = :me",
        )
        .expression_attribute_names("#version", "version")
        .expression_attribute_values(":next", number(before.version().saturating_add(1)))
        .expression_attribute_values(":emptied", AttributeValue::Bool(is_emptied))
        .expression_attribute_values(":at", text(clock::iso_8601()))
        .expression_attribute_values(":me", text(me));
    let change = match before {
        Revision::At { version, .. } => change
            .condition_expression("#version = :seen")
            .expression_attribute_values(":seen", number(version)),
        Revision::Unkept | Revision::New => {
            change.condition_expression("attribute_not_exists(#version)")
        }
    };
    let change = change.build().map_err(|_| malformed())?;
    Ok(TransactWriteItem::builder().update(change).build())
}

pub(super) fn malformed() -> DynamoError {
    DynamoError::Other("a request can't be made".to_string())
}

/// The balancer that holds the lease, if one ever did.
pub(super) async fn lease(store: &DynamoTables) -> Result<Option<Lease>, DynamoError> {
    let item = store.state_item(LEASE, true).await?;
    Ok(item.map(|item| Lease {
        holder: written(&item, "holder").unwrap_or_default().to_string(),
        beat: natural(&item, "beat").unwrap_or(0),
    }))
}

/// Puts `new` where `old` stands; says whether it still stood there.
pub(super) async fn take_lease(
    store: &DynamoTables,
    old: Option<&Lease>,
    new: &Lease,
) -> Result<bool, DynamoError> {
    let update = store.state_update(LEASE).await?;
    let update = update
        .update_expression("SET holder = :me, beat = :beat")
        .expression_attribute_values(":me", text(&new.holder))
        .expression_attribute_values(":beat", number(new.beat));
    holds(match old {
        None => update.condition_expression("attribute_not_exists(holder)"),
        Some(old) => update
            .condition_expression("holder = :holder AND beat = :seen")
            .expression_attribute_values(":holder", text(&old.holder))
            .expression_attribute_values(":seen", number(old.beat)),
    })
    .await
}

fn head_of(leader: &str) -> String {
    format!("head-{}", digest(leader))
}

/// What the leader whose identity is `leader` last told for all.
pub(super) async fn shared_head(
    store: &DynamoTables,
    leader: &str,
) -> Result<Option<SharedHead>, DynamoError> {
    let item = store.state_item(&head_of(leader), true).await?;
    Ok(item.and_then(|item| {
        Some(SharedHead {
            block_number: natural(&item, "block_number")?,
            chain_id: natural(&item, "chain_id"),
            asked_at: natural(&item, "asked_at")?,
        })
    }))
}

/// Writes it down, unless what stands there is newer and ours. Another's clock is not compared, nor ours
/// once it has been set back.
pub(super) async fn share_head(
    store: &DynamoTables,
    leader: &str,
    head: SharedHead,
    me: &str,
) -> Result<(), DynamoError> {
    let update = store.state_update(&head_of(leader)).await?;
    let chain_id = head.chain_id.map(number);
    let what = match chain_id {
        Some(_) => "SET block_number = :head, asked_at = :at, asked_by = :me, chain_id = :chain",
        None => "SET block_number = :head, asked_at = :at, asked_by = :me",
    };
    let update = update
        .update_expression(what)
        .condition_expression(
            "attribute_not_exists(asked_at) OR attribute_not_exists(asked_by) \
             OR asked_by <> :me OR asked_at < :at OR asked_at > :now",
        )
        .expression_attribute_values(":head", number(head.block_number))
        .expression_attribute_values(":at", number(head.asked_at))
        .expression_attribute_values(":now", number(clock::unix_millis()))
        .expression_attribute_values(":me", text(me));
    let update = match chain_id {
        Some(chain_id) => update.expression_attribute_values(":chain", chain_id),
        None => update,
    };
    holds(update).await.map(drop)
}

/// The head that clients were told last. It may be as old as a moment: a raise that is missed is seen at
/// the next look, which costs half as much so.
pub(super) async fn floor(store: &DynamoTables) -> Result<Option<HeadFloor>, DynamoError> {
    let item = store.state_item(FLOOR, false).await?;
    Ok(item.and_then(|item| {
        Some(HeadFloor {
            number: BlockNumber(natural(&item, "number")?),
            hash: written(&item, "hash").and_then(BlockHash::read),
            chain_id: natural(&item, "chain_id").map(ChainId),
            raised_at: natural(&item, "raised_at")?,
        })
    }))
}

/// Writes it, unless what stands there [is not to be replaced](HeadFloor::replaces).
pub(super) async fn raise_floor(
    store: &DynamoTables,
    write: FloorWrite,
    me: &str,
) -> Result<bool, DynamoError> {
    let floor = write.floor;
    let (oldest, newest) = floor.young_from_to();
    let chain_id = floor
        .chain_id
        .map_or(AttributeValue::Null(true), |id| number(id.0));
    let hash = floor
        .hash
        .map_or(AttributeValue::Null(true), |hash| text(hash.to_string()));
    let update = store.state_update(FLOOR).await?;
    let update = update
        .update_expression(
            "SET #number = :number, #hash = :hash, chain_id = :chain, raised_at = :at, raised_by = :me",
        )
        .expression_attribute_names("#number", "number")
        .expression_attribute_names("#hash", "hash")
        .expression_attribute_values(":number", number(floor.number.0))
        .expression_attribute_values(":hash", hash)
        .expression_attribute_values(":chain", chain_id)
        .expression_attribute_values(":at", number(floor.raised_at))
        .expression_attribute_values(":me", text(me));
    if write.lowers {
        return holds(update).await;
    }
    let update = update
        .condition_expression(
            "attribute_not_exists(#number) OR #number < :number OR raised_at < :oldest \
             OR raised_at > :newest OR (attribute_type(chain_id, :numeric) AND chain_id <> :chain)",
        )
        .expression_attribute_values(":oldest", number(oldest))
        .expression_attribute_values(":newest", number(newest))
        .expression_attribute_values(":numeric", text("N"));
    holds(update).await
}

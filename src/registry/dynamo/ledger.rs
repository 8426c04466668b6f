//! The state table: `<table>-state`, partition key `name`. It holds no nodes.
//!
//! | item | attributes |
//! | --- | --- |
//! | `list` | `version`, raised by each change of ours; `is_emptied`, when it took the last node; `changed_at`, `changed_by` |
//! | `pen` | who writes health down: `holder`, `beat` |
//! | `head-…`, by a digest of a leader's URL | what it told for all: `block_number`, `chain_id`, `asked_at`, `asked_by` |

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};

use super::row::digest;
use super::store::{Store, holds, natural, number, text, written};
use super::trouble::Trouble;
use crate::clock;
use crate::domain::lease::Lease;
use crate::registry::SharedHead;

const LIST: &str = "list";
const PEN: &str = "pen";

/// What the state table says of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// There is no state table for us: the table may be the original's.
    Unkept,
    /// Nothing was ever written by us.
    New,
    At {
        version: u64,
        is_emptied: bool,
    },
}

impl Edition {
    /// Whether a change of ours was ever written.
    pub fn is_unwritten(self) -> bool {
        match self {
            Edition::Unkept | Edition::New => true,
            Edition::At { .. } => false,
        }
    }

    /// 0: no change of ours was ever written.
    pub fn version(self) -> u64 {
        match self {
            Edition::At { version, .. } => version,
            Edition::Unkept | Edition::New => 0,
        }
    }

    /// Whether the last node was taken away by a change of ours.
    pub fn is_emptied(self) -> bool {
        match self {
            Edition::At { is_emptied, .. } => is_emptied,
            Edition::Unkept | Edition::New => false,
        }
    }
}

pub async fn edition(store: &Store) -> Result<Edition, Trouble> {
    let item = match store.state_item(LIST).await {
        Ok(item) => item,
        // A role for the original's table alone may read it all the same.
        Err(Trouble::NoTable | Trouble::Denied) => return Ok(Edition::Unkept),
        Err(trouble) => return Err(trouble),
    };
    let Some(item) = item else {
        return Ok(Edition::New);
    };
    let is_emptied = item.get("is_emptied").and_then(|it| it.as_bool().ok());
    Ok(Edition::At {
        version: natural(&item, "version").unwrap_or(0),
        is_emptied: is_emptied == Some(&true),
    })
}

/// A new edition after `before`, if that is still the last one.
pub fn next_edition(
    store: &Store,
    before: Edition,
    is_emptied: bool,
    me: &str,
) -> Result<TransactWriteItem, Trouble> {
    let change = Update::builder()
        .table_name(&store.state)
        .key("name", text(LIST))
        .update_expression(
            "SET #version = :next, is_emptied = :emptied, changed_at = :at, changed_by = :me",
        )
        .expression_attribute_names("#version", "version")
        .expression_attribute_values(":emptied", AttributeValue::Bool(is_emptied))
        .expression_attribute_values(":at", text(clock::iso_8601()))
        .expression_attribute_values(":me", text(me));
    let change = match before {
        Edition::At { version, .. } => change
            .condition_expression("#version = :seen")
            .expression_attribute_values(":seen", number(version))
            .expression_attribute_values(":next", number(version.saturating_add(1))),
        Edition::Unkept | Edition::New => change
            .condition_expression("attribute_not_exists(#version)")
            .expression_attribute_values(":next", number(1)),
    };
    let change = change.build().map_err(|_| malformed())?;
    Ok(TransactWriteItem::builder().update(change).build())
}

pub fn malformed() -> Trouble {
    Trouble::Other("a request can't be made".to_string())
}

/// Who holds the pen, if anybody ever did.
pub async fn pen(store: &Store) -> Result<Option<Lease>, Trouble> {
    let item = store.state_item(PEN).await?;
    Ok(item.map(|item| Lease {
        holder: written(&item, "holder").unwrap_or_default().to_string(),
        beat: natural(&item, "beat").unwrap_or(0),
    }))
}

/// Puts `new` where `old` stands; says whether it still stood there.
pub async fn take_pen(store: &Store, old: Option<&Lease>, new: &Lease) -> Result<bool, Trouble> {
    let update = store.state_update(PEN).await?;
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
pub async fn shared_head(store: &Store, leader: &str) -> Result<Option<SharedHead>, Trouble> {
    let item = store.state_item(&head_of(leader)).await?;
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
pub async fn share_head(
    store: &Store,
    leader: &str,
    head: SharedHead,
    me: &str,
) -> Result<(), Trouble> {
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

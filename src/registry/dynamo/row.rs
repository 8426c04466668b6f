//! One item of the node table, as it is found there, however it was edited by hand.
//!
//! The 2018 original wrote `url` (S), `is_leader` (BOOL), `is_healthy` (BOOL), `block_number` (N)
//! and `when_added` (S), and reads them still. All else is ours, and may be missing.
//! [`DynamoRow::item`] is where an item must make sense.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use sha3::{Digest, Sha3_256};
use thiserror::Error;

use crate::registry::dynamo::requests::{Attributes, natural, number, text, written};
use crate::registry::node_list::{self, StoredNode as _};
use crate::registry::validation::{EnvironmentLookup, identity_of, unset_variables};
use crate::registry::{NodeEdit, RegistryItem, StoredHealth};
use forebay_core::vocabulary::hex;
use forebay_core::vocabulary::node::{
    InFlightMax, NodePurpose, NodeRecord, NodeSpecError, RecentBlocks, Role, ServedMethods, Weight,
};

/// Why an item is no node.
#[derive(Debug, Error)]
pub(super) enum DynamoRowError {
    #[error("the {0} is not {1}")]
    Attribute(&'static str, &'static str),
    #[error(transparent)]
    Record(#[from] NodeSpecError),
}

#[derive(Clone, Debug)]
pub(super) struct DynamoRow {
    pub(super) attributes: Attributes,
}

/// What an edit makes of attributes: `None` takes one away.
pub(super) type AttributePatch = BTreeMap<&'static str, Option<AttributeValue>>;

impl DynamoRow {
    pub(super) fn new(attributes: Attributes) -> DynamoRow {
        DynamoRow { attributes }
    }

    /// A new node. The original's readers expect all five of its attributes.
    pub(super) fn of(item: &RegistryItem) -> DynamoRow {
        let record = &item.record;
        let mut attributes = HashMap::from([
            ("url".to_string(), text(&record.url)),
            ("is_healthy".to_string(), AttributeValue::Bool(false)),
            ("block_number".to_string(), number(0)),
            ("when_added".to_string(), text(&item.when_added)),
            ("version".to_string(), number(1)),
        ]);
        if let Some(name) = &record.name {
            attributes.insert("name".to_string(), text(name));
        }
        let row = DynamoRow { attributes };
        row.patched(&patch(&NodeEdit {
            former_weight: item.former_weight,
            ..NodeEdit::from(record)
        }))
    }

    pub(super) fn when_added(&self) -> &str {
        written(&self.attributes, "when_added").unwrap_or_default()
    }

    /// Raised with every edit; an item of the original's has none.
    pub(super) fn version(&self) -> Option<u64> {
        natural(&self.attributes, "version")
    }

    /// The same as it was found, readable or not: what an edit's condition compares with.
    pub(super) fn version_found(&self) -> Option<&AttributeValue> {
        self.attributes.get("version")
    }

    pub(super) fn patched(&self, patch: &AttributePatch) -> DynamoRow {
        let mut attributes = self.attributes.clone();
        for (name, value) in patch {
            match value {
                Some(value) => drop(attributes.insert((*name).to_string(), value.clone())),
                None => drop(attributes.remove(*name)),
            }
        }
        DynamoRow { attributes }
    }

    /// What the item means. Variables may be unset: another process may have them.
    pub(super) fn item(
        &self,
        lookup: EnvironmentLookup<'_>,
    ) -> Result<RegistryItem, DynamoRowError> {
        let in_flight_max = self.number(
            "in_flight_max",
            "a number from 1 to 10000",
            InFlightMax::fixed,
        );
        let recent_blocks = self.number(
            "recent_blocks",
            "a number of blocks from 1 on",
            RecentBlocks::newest,
        );
        let record = NodeRecord {
            url: self.url().to_string(),
            weight: self.weight()?,
            ws_url: self.text("ws_url")?,
            name: self.text("name")?,
            role: self.role()?,
            in_flight_max: in_flight_max?.unwrap_or_default(),
            purpose: NodePurpose {
                serves: self.serves()?,
                recent_blocks: recent_blocks?.unwrap_or_default(),
            },
            headers: self.headers()?,
        };
        unset_variables(&record, lookup)?;
        Ok(self.item_of(record))
    }

    /// What can be said of an item that is no node, for the caller that takes it away.
    pub(super) fn remains(&self) -> RegistryItem {
        self.item_of(NodeRecord {
            name: written(&self.attributes, "name").map(str::to_string),
            ..NodeRecord::at(self.url())
        })
    }

    fn item_of(&self, record: NodeRecord) -> RegistryItem {
        RegistryItem {
            former_weight: self.former_weight(),
            health: self.health(),
            ..RegistryItem::new(record, self.when_added().to_string())
        }
    }

    /// Damaged, it costs no more than the way back to it.
    fn former_weight(&self) -> Option<Weight> {
        natural(&self.attributes, "former_weight").and_then(|weight| Weight::new(weight).ok())
    }

    /// What `edit` makes of this node.
    pub(super) fn patch(&self, edit: &NodeEdit) -> AttributePatch {
        let mut patch = patch(edit);
        if let (Some(next), None) = (edit.weight, edit.former_weight) {
            let present = self.weight().unwrap_or(next);
            let former = present.former_after(next, self.former_weight());
            patch.insert("former_weight", former.map(|former| number(former.get())));
        }
        patch
    }

    /// Damaged health does not cost the node.
    fn health(&self) -> StoredHealth {
        let all = &self.attributes;
        let is_healthy = all.get("is_healthy").and_then(|value| value.as_bool().ok());
        let checked_at = natural(all, "checked_at");
        let block_number = natural(all, "block_number");
        StoredHealth {
            is_healthy: is_healthy == Some(&true),
            // A node that was just added says 0: it has not been probed yet.
            block_number: block_number.filter(|number| *number > 0 || checked_at.is_some()),
            lag: natural(all, "lag"),
            reason: written(all, "reason").map(str::to_string),
            checked_at,
        }
    }

    fn weight(&self) -> Result<Weight, DynamoRowError> {
        let weight = self.number("weight", "a number from 0 to 1000", Weight::new)?;
        Ok(weight.unwrap_or(Weight::ONE))
    }

    /// A number that `read` takes; `form` is what it should be.
    fn number<T>(
        &self,
        name: &'static str,
        form: &'static str,
        read: impl Fn(u64) -> Result<T, NodeSpecError>,
    ) -> Result<Option<T>, DynamoRowError> {
        if !self.attributes.contains_key(name) {
            return Ok(None);
        }
        let number = natural(&self.attributes, name).and_then(|number| read(number).ok());
        let wrong = DynamoRowError::Attribute(name, form);
        number.map(Some).ok_or(wrong)
    }

    fn serves(&self) -> Result<ServedMethods, DynamoRowError> {
        let wrong = || DynamoRowError::Attribute("serves", "a list of methods' names and globs");
        let Some(value) = self.attributes.get("serves") else {
            return Ok(ServedMethods::default());
        };
        let globs = value.as_l().map_err(|_| wrong())?.iter();
        let globs = globs.map(|glob| glob.as_s().cloned().map_err(|_| wrong()));
        ServedMethods::new(globs.collect::<Result<_, _>>()?).map_err(|_| wrong())
    }

    fn role(&self) -> Result<Role, DynamoRowError> {
        let is_leader = self.boolean("is_leader")?;
        Ok(Role::of(is_leader, self.boolean("is_fallback")?))
    }

    fn boolean(&self, name: &'static str) -> Result<bool, DynamoRowError> {
        let wrong = DynamoRowError::Attribute(name, "true or false");
        match self.attributes.get(name) {
            None => Ok(false),
            Some(value) => value.as_bool().copied().map_err(|_| wrong),
        }
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, DynamoRowError> {
        match self.attributes.get(name) {
            None | Some(AttributeValue::Null(_)) => Ok(None),
            Some(value) => match value.as_s() {
                Ok(text) => Ok(Some(text.clone())),
                Err(_) => Err(DynamoRowError::Attribute(name, "a text")),
            },
        }
    }

    fn headers(&self) -> Result<BTreeMap<String, String>, DynamoRowError> {
        let wrong = || DynamoRowError::Attribute("headers", "a map of texts");
        let Some(value) = self.attributes.get("headers") else {
            return Ok(BTreeMap::new());
        };
        let headers = value.as_m().map_err(|_| wrong())?.iter();
        headers
            .map(|(name, value)| {
                let value = value.as_s().map_err(|_| wrong())?;
                Ok((name.clone(), value.clone()))
            })
            .collect()
    }
}

impl node_list::StoredNode for DynamoRow {
    fn url(&self) -> &str {
        written(&self.attributes, "url").unwrap_or_default()
    }

    fn name(&self) -> Option<&str> {
        written(&self.attributes, "name")
    }

    fn is_leader(&self) -> bool {
        self.boolean("is_leader").unwrap_or(false)
    }

    fn is_at(&self, url: &str, identity: &str, lookup: EnvironmentLookup<'_>) -> bool {
        self.url() == url || identity_of(self.url(), lookup) == identity
    }

    fn mark(&self) -> String {
        format!("item {}", digest(self.url()))
    }
}

/// 16 hex digits that tell URLs apart and show nothing of them.
pub(super) fn digest(url: &str) -> String {
    hex::digits_text(&Sha3_256::digest(url)[..8])
}

/// What `edit` changes.
pub(super) fn patch(edit: &NodeEdit) -> AttributePatch {
    let mut patch = AttributePatch::new();
    if let Some(weight) = edit.weight {
        patch.insert("weight", Some(number(weight.get())));
    }
    if let Some(former) = edit.former_weight {
        patch.insert("former_weight", Some(number(former.get())));
    }
    if let Some(role) = edit.role {
        let is_leader = AttributeValue::Bool(role == Role::Leader);
        let is_fallback = (role == Role::Fallback).then_some(AttributeValue::Bool(true));
        patch.insert("is_leader", Some(is_leader));
        patch.insert("is_fallback", is_fallback);
    }
    if let Some(ws_url) = &edit.ws_url {
        let ws_url = Some(ws_url).filter(|ws_url| !ws_url.is_empty());
        patch.insert("ws_url", ws_url.map(text));
    }
    if let Some(most) = edit.in_flight_max {
        patch.insert("in_flight_max", most.number().map(number));
    }
    if let Some(serves) = &edit.serves {
        let globs = serves.globs().map(text);
        let globs = (!serves.is_all()).then(|| AttributeValue::L(globs.collect()));
        patch.insert("serves", globs);
    }
    if let Some(recent) = edit.recent_blocks {
        patch.insert("recent_blocks", recent.number().map(number));
    }
    if let Some(headers) = &edit.headers {
        let pairs = headers.iter();
        let pairs = pairs.map(|(name, value)| (name.clone(), text(value)));
        let headers = (!headers.is_empty()).then(|| AttributeValue::M(pairs.collect()));
        patch.insert("headers", headers);
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original(is_leader: bool) -> Attributes {
        HashMap::from([
            ("url".to_string(), text("http://a/s3cret")),
            ("is_leader".to_string(), AttributeValue::Bool(is_leader)),
            ("is_healthy".to_string(), AttributeValue::Bool(true)),
            ("block_number".to_string(), number(7_849_400)),
            ("when_added".to_string(), text("2018-07-02T11:50:49.281928")),
        ])
    }

    fn with(name: &str, value: AttributeValue) -> DynamoRow {
        let mut attributes = original(false);
        attributes.insert(name.to_string(), value);
        DynamoRow::new(attributes)
    }

    #[test]
    fn an_item_of_the_originals_is_a_node() {
        let item = DynamoRow::new(original(true)).item(&|_| None).unwrap();
        assert_eq!(item.record.role, Role::Leader);
        assert_eq!(item.record.weight, Weight::ONE);
        assert_eq!(item.when_added, "2018-07-02T11:50:49.281928");
        assert!(item.health.is_healthy);
        assert_eq!(item.health.block_number, Some(7_849_400));
        assert_eq!(item.health.checked_at, None);
    }

    #[test]
    fn what_is_written_is_read_again_and_has_the_originals_attributes() {
        let record = NodeRecord {
            ws_url: Some("ws://a".to_string()),
            name: Some("a".to_string()),
            weight: Weight::new(7).unwrap(),
            role: Role::Fallback,
            purpose: NodePurpose {
                serves: "eth_*,!eth_getLogs".parse().unwrap(),
                recent_blocks: RecentBlocks::Newest(128),
            },
            headers: [("x".to_string(), "1".to_string())].into(),
            ..NodeRecord::at("http://a")
        };
        let item = RegistryItem::new(record, "2018-07-02T11:50:49.281928".to_string());
        let row = DynamoRow::of(&item);
        for name in original(false).keys() {
            assert!(row.attributes.contains_key(name), "{name}");
        }
        assert_eq!(row.item(&|_| None).unwrap(), item);
    }

    #[test]
    fn a_drained_node_keeps_its_former_weight() {
        let to = |weight| NodeEdit {
            weight: Some(Weight::new(weight).unwrap()),
            ..NodeEdit::default()
        };
        let mut row = DynamoRow::new(original(false));
        for (weight, former) in [(7, None), (0, Some(7)), (0, Some(7)), (5, None)] {
            row = row.patched(&row.patch(&to(weight)));
            let item = row.item(&|_| None).unwrap();
            let former = former.map(|weight| Weight::new(weight).unwrap());
            assert_eq!(item.former_weight, former, "after {weight}");
        }
    }

    #[test]
    fn an_attribute_of_another_kind_is_told_without_its_value() {
        for (name, value) in [
            ("weight", text("s3cret")),
            ("weight", number(1001)),
            ("weight", number(1.5)),
            ("is_leader", text("true")),
            ("is_fallback", number(1)),
            ("headers", text("s3cret")),
            ("serves", text("s3cret")),
            ("serves", AttributeValue::L(vec![number(1)])),
            ("serves", AttributeValue::L(vec![text("!*")])),
            ("recent_blocks", number(0)),
            ("recent_blocks", text("s3cret")),
            (
                "headers",
                AttributeValue::M([("a".to_string(), number(1))].into()),
            ),
            ("ws_url", number(1)),
            ("ws_url", text("http://s3cret")),
            ("name", AttributeValue::L(Vec::new())),
            ("name", text("a s3cret name")),
            ("url", text("ftp://a/s3cret")),
            ("url", text("")),
        ] {
            let row = with(name, value);
            let why = row.item(&|_| None).unwrap_err().to_string();
            assert!(!why.contains("s3cret"), "{why}");
            assert!(!row.label(&|_| None).contains("s3cret"), "{name}");
        }
    }

    #[test]
    fn damaged_health_does_not_cost_the_node() {
        for (name, value) in [
            ("is_healthy", text("yes")),
            ("block_number", number(-1)),
            ("lag", text("1")),
            ("checked_at", number(0.5)),
            ("reason", number(1)),
            ("when_added", number(2018)),
        ] {
            assert!(with(name, value).item(&|_| None).is_ok(), "{name}");
        }
    }
}

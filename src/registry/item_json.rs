//! An item in the interface's JSON shape: the 2018 original's attributes, and ours after them.

use serde::{Deserialize, Serialize};

use crate::registry::validation::{EnvironmentLookup, name_of};
use crate::registry::{ItemOrigin, RegistryItem};
use forebay_core::vocabulary::node::{InFlightMax, RecentBlocks, Role, ServedMethods, Weight};

/// The shape of one item. The field order is that of the interface's page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemJson {
    /// As written in the registry, so with any credentials written out in it: code that shows this to
    /// others replaces it first, and `ws_url` too.
    pub url: String,
    pub is_leader: bool,
    pub is_healthy: bool,
    pub block_number: Option<u64>,
    pub when_added: String,
    pub weight: u16,
    /// The given name, else `host:port`.
    pub name: String,
    pub lag: Option<u64>,
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ws_url: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_fallback: bool,
    /// It serves, though the registry has lost it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_leftover: bool,
    /// The most calls that it has in flight, where that was fixed.
    #[serde(default, skip_serializing_if = "InFlightMax::is_auto")]
    pub in_flight_max: InFlightMax,
    /// The methods that it is asked for, where they were named.
    #[serde(default, skip_serializing_if = "ServedMethods::is_all")]
    pub serves: ServedMethods,
    /// The newest blocks that it is asked for, where they were numbered.
    #[serde(default, skip_serializing_if = "RecentBlocks::is_all")]
    pub recent_blocks: RecentBlocks,
    /// Of a drained node: the weight that it had, and will have again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub former_weight: Option<u16>,
    /// Of a node of the configuration: what that says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_file: Option<InFileJson>,
}

/// What the configuration says of a node, where a command may have said something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFileJson {
    pub weight: u16,
    pub is_leader: bool,
    pub is_fallback: bool,
    /// It has no calls until a round has found it fit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_pending: bool,
}

impl InFileJson {
    fn of(origin: ItemOrigin) -> Option<InFileJson> {
        match origin {
            ItemOrigin::Registry => None,
            ItemOrigin::File {
                weight,
                role,
                is_pending,
            } => Some(InFileJson {
                weight: weight.get(),
                is_leader: role == Role::Leader,
                is_fallback: role == Role::Fallback,
                is_pending,
            }),
        }
    }
}

impl ItemJson {
    pub fn of(item: &RegistryItem, lookup: EnvironmentLookup<'_>) -> ItemJson {
        let record = &item.record;
        ItemJson {
            url: record.url.clone(),
            is_leader: record.role == Role::Leader,
            is_healthy: item.health.is_healthy,
            block_number: item.health.block_number,
            when_added: item.when_added.clone(),
            weight: record.weight.get(),
            name: name_of(record.name.as_deref(), &record.url, lookup),
            lag: item.health.lag,
            reason: item.health.reason.clone(),
            ws_url: record.ws_url.clone(),
            is_fallback: record.role == Role::Fallback,
            is_leftover: false,
            in_flight_max: record.in_flight_max,
            serves: record.purpose.serves.clone(),
            recent_blocks: record.purpose.recent_blocks,
            former_weight: item.former_weight.map(Weight::get),
            in_file: InFileJson::of(item.origin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::StoredHealth;
    use forebay_core::vocabulary::node::NodeRecord;

    fn item() -> RegistryItem {
        let record = NodeRecord {
            name: Some("geth-1".to_string()),
            weight: Weight::new(2).unwrap(),
            ..NodeRecord::at("http://10.0.0.11:8545")
        };
        RegistryItem {
            health: StoredHealth {
                is_healthy: true,
                block_number: Some(7_849_400),
                lag: Some(0),
                reason: None,
                checked_at: Some(1),
            },
            ..RegistryItem::new(record, "2018-07-02T11:50:49.281928".to_string())
        }
    }

    fn json(item: &RegistryItem) -> String {
        serde_json::to_string(&ItemJson::of(item, &|_| None)).unwrap()
    }

    #[test]
    fn an_item_has_the_shape_of_the_interface() {
        let expected = concat!(
            r#"{"url":"http://10.0.0.11:8545","is_leader":false,"is_healthy":true,"#,
            r#""block_number":7849400,"when_added":"2018-07-02T11:50:49.281928","weight":2,"#,
            r#""name":"geth-1","lag":0,"reason":null}"#
        );
        assert_eq!(json(&item()), expected);
    }

    #[test]
    fn what_the_file_says_of_a_node_is_said_beside_what_holds() {
        let mut item = item();
        item.record.weight = Weight::NONE;
        item.origin = ItemOrigin::File {
            weight: Weight::ONE,
            role: Role::Leader,
            is_pending: false,
        };
        let expected = r#","in_file":{"weight":1,"is_leader":true,"is_fallback":false}}"#;
        assert!(json(&item).ends_with(expected), "{}", json(&item));
    }

    #[test]
    fn a_socket_and_a_fallback_are_said_only_where_they_are() {
        let mut item = item();
        item.record.name = None;
        item.record.ws_url = Some("ws://10.0.0.11:8546".to_string());
        item.record.role = Role::Fallback;
        let json = json(&item);
        assert!(json.contains(r#""name":"10.0.0.11:8545""#));
        assert!(json.ends_with(r#","ws_url":"ws://10.0.0.11:8546","is_fallback":true}"#));
        item.record.role = Role::Leader;
        assert!(self::json(&item).contains(r#""is_leader":true"#));
    }
}

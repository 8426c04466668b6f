//! What a subscription listens to: its topic, read from the params of `eth_subscribe`.
//!
//! Topics that mean the same are equal, however they were written: case, order and repetition in a
//! filter of logs don't count. So all subscriptions to the same topic share one source.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::feed::log_match::LogFilter;
use crate::rpc::refusal::Refusal;
use crate::vocabulary::chance::Dice;
use crate::vocabulary::hex;

/// The longest params of a subscription that is passed on to a node, in bytes.
pub const PARAMS_BYTES_MAX: usize = 4096;

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// `newHeads`: the header of each block that joins the chain.
    NewHeads,
    /// `logs`: those of the chain's blocks that the filter lets through, and again as removed when their
    /// block is abandoned.
    Logs(Arc<LogFilter>),
    /// Anything else: it is a node's to tell.
    Passed(RelayedTopic),
}

/// What one node tells, and we pass on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RelayedTopic {
    /// `newPendingTransactions`: what comes into the node's pool.
    PendingTransactions {
        /// Whole transactions rather than their hashes (geth's second param).
        full: bool,
    },
    /// `syncing`: the state of the node's own syncing, as it changes.
    Syncing,
    /// Any other name: whether there is such a topic a node says.
    Other {
        /// The params of `eth_subscribe` as they go to the node: a JSON array in canonical form.
        params: String,
    },
}

/// Why there is no subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionFailure {
    /// In words of ours.
    Refused(Refusal),
    /// The node's own error object, as JSON, without its secrets.
    Node(Bytes),
}

impl Topic {
    /// Every value of [`Topic::kind`].
    pub const KINDS: [&str; 5] = [
        "newHeads",
        "logs",
        "newPendingTransactions",
        "syncing",
        "other",
    ];

    /// From the params of `eth_subscribe`, as written.
    ///
    /// # Errors
    /// Params that name nothing to subscribe to, with −32602.
    pub fn read(params: Option<&str>) -> Result<Topic, Refusal> {
        let params: Vec<&RawValue> = serde_json::from_str(params.unwrap_or("[]"))
            .map_err(|_| Refusal::InvalidParams("the params must be an array"))?;
        let Some((name, rest)) = params.split_first() else {
            return Err(Refusal::InvalidParams("missing the subscription's name"));
        };
        let name: String = serde_json::from_str(name.get())
            .map_err(|_| Refusal::InvalidParams("the subscription's name must be a string"))?;
        // The known kinds take one param at most.
        let option = rest.first().map(|option| option.get());
        match name.as_str() {
            "newHeads" => without(option).map(|()| Topic::NewHeads),
            "syncing" => without(option).map(|()| Topic::Passed(RelayedTopic::Syncing)),
            "logs" => LogFilter::read(option).map(|filter| Topic::Logs(Arc::new(filter))),
            "newPendingTransactions" => {
                let full = option.map_or(Ok(None), serde_json::from_str::<Option<bool>>);
                let full =
                    full.map_err(|_| Refusal::InvalidParams("the flag must be a boolean"))?;
                let full = full.unwrap_or(false);
                Ok(Topic::Passed(RelayedTopic::PendingTransactions { full }))
            }
            _ => other(&name, rest),
        }
    }

    /// What it takes to remember it.
    pub fn bytes(&self) -> usize {
        let more = match self {
            Topic::NewHeads => 0,
            Topic::Logs(filter) => filter.bytes(),
            Topic::Passed(passed) => passed.params().len(),
        };
        size_of::<Topic>() + more
    }

    /// Its kind, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Topic::NewHeads => "newHeads",
            Topic::Logs(_) => "logs",
            Topic::Passed(RelayedTopic::PendingTransactions { .. }) => "newPendingTransactions",
            Topic::Passed(RelayedTopic::Syncing) => "syncing",
            Topic::Passed(RelayedTopic::Other { .. }) => "other",
        }
    }
}

impl RelayedTopic {
    /// The params of `eth_subscribe` for a node.
    pub fn params(&self) -> String {
        match self {
            RelayedTopic::PendingTransactions { full: false } => {
                r#"["newPendingTransactions"]"#.into()
            }
            RelayedTopic::PendingTransactions { full: true } => {
                r#"["newPendingTransactions",true]"#.into()
            }
            RelayedTopic::Syncing => r#"["syncing"]"#.into(),
            RelayedTopic::Other { params } => params.clone(),
        }
    }
}

/// Old clients send an empty object where there is nothing to say.
fn without(option: Option<&str>) -> Result<(), Refusal> {
    let is_nothing = |text: &str| {
        let value: Result<serde_json::Value, _> = serde_json::from_str(text);
        value.is_ok_and(|value| {
            value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
        })
    };
    if option.is_none_or(is_nothing) {
        Ok(())
    } else {
        Err(Refusal::InvalidParams("this subscription takes no option"))
    }
}

/// Keys are sorted, and white space is gone: the canonical form goes to the node, too.
fn other(name: &str, rest: &[&RawValue]) -> Result<Topic, Refusal> {
    let bad = |_| Refusal::InvalidParams("the params can't be read");
    let mut params = vec![serde_json::Value::from(name)];
    for param in rest {
        params.push(serde_json::from_str(param.get()).map_err(bad)?);
    }
    let params = serde_json::Value::from(params).to_string();
    if params.len() > PARAMS_BYTES_MAX {
        return Err(Refusal::InvalidParams("the params are too long"));
    }
    Ok(Topic::Passed(RelayedTopic::Other { params }))
}

/// A client's name for its subscription: ours, never a node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(u128);

impl SubscriptionId {
    /// 128 bits of chance: no client guesses another's.
    pub fn draw(dice: &mut impl Dice) -> SubscriptionId {
        let high = u128::from(dice.roll());
        SubscriptionId(high << 64 | u128::from(dice.roll()))
    }

    /// From `0x` and up to 32 hex digits.
    pub fn read(text: &str) -> Option<SubscriptionId> {
        hex::digits_of_128_bits(text.strip_prefix("0x")?).map(SubscriptionId)
    }
}

/// As geth writes it: a hex quantity.
impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::chance::SeededDice;

    fn topic(params: &str) -> Topic {
        Topic::read(Some(params)).unwrap_or_else(|why| panic!("{params}: {why:?}"))
    }

    #[test]
    fn what_means_the_same_is_the_same_topic() {
        let address = "0xabcdefabcdefabcdefabcdefabcdefabcdefabcd";
        let upper = "0xABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD";
        let other = "0x0000000000000000000000000000000000000001";
        let one = format!("0x{:064x}", 1);
        let two = format!("0x{:064X}", 0xa2);
        for (left, right) in [
            (r#"["newHeads"]"#, r#" [ "new\u0048eads" , {} ]"#),
            (
                r#"["logs"]"#,
                r#"["logs",{"address":[],"fromBlock":"0x1"}]"#,
            ),
            (
                &format!(r#"["logs",{{"address":"{address}"}}]"#),
                &format!(r#"["logs",{{"topics":[],"address":["{upper}","{address}"]}}]"#),
            ),
            (
                &format!(r#"["logs",{{"address":["{address}","{other}"]}}]"#),
                &format!(r#"["logs",{{"address":["{other}","{address}"]}}]"#),
            ),
            (
                &format!(r#"["logs",{{"topics":[null,["{one}","{two}"],[]]}}]"#),
                &format!(r#"["logs",{{"topics":[["{one}",null],["{two}","{one}"],null]}}]"#)
                    .to_lowercase(),
            ),
            (
                r#"["newPendingTransactions"]"#,
                r#"["newPendingTransactions",false]"#,
            ),
            (
                r#"["alchemy_minedTransactions",{"b":1,"a":[2]}]"#,
                r#"["alchemy_minedTransactions", {"a":[ 2 ],"b":1}]"#,
            ),
        ] {
            assert_eq!(topic(left), topic(right), "{left} {right}");
        }
    }

    #[test]
    fn what_means_another_thing_is_another_topic() {
        let one = format!("0x{:064x}", 1);
        for (left, right) in [
            (r#"["logs"]"#, r#"["logs",{"topics":[null]}]"#),
            (
                &format!(r#"["logs",{{"topics":["{one}",null]}}]"#),
                &format!(r#"["logs",{{"topics":["{one}"]}}]"#),
            ),
            (
                r#"["newPendingTransactions"]"#,
                r#"["newPendingTransactions",true]"#,
            ),
            (r#"["a",[1,2]]"#, r#"["a",[2,1]]"#),
        ] {
            assert_ne!(topic(left), topic(right), "{left} {right}");
        }
    }

    #[test]
    fn what_is_no_subscription_is_refused_as_invalid_params() {
        let many = vec![format!("\"0x{:040x}\"", 1); 1001].join(",");
        for params in [
            "",
            "{}",
            "[]",
            "[1]",
            "[null]",
            r#"["newHeads",1]"#,
            r#"["newPendingTransactions","yes"]"#,
            r#"["logs",1]"#,
            r#"["logs",{"address":"0x1"}]"#,
            r#"["logs",{"address":1}]"#,
            r#"["logs",{"topics":"0x"}]"#,
            r#"["logs",{"topics":[null,null,null,null,null]}]"#,
            &format!(r#"["logs",{{"address":[{many}]}}]"#),
            &format!(r#"["x","{}"]"#, "y".repeat(PARAMS_BYTES_MAX)),
        ] {
            let refused = Topic::read(Some(params)).map_err(|why| why.code());
            assert_eq!(refused, Err(-32602), "{params}");
        }
        assert!(Topic::read(None).is_err());
    }

    #[test]
    fn an_id_is_a_quantity_and_comes_back() {
        let id = SubscriptionId::draw(&mut SeededDice::new(1));
        assert_eq!(SubscriptionId::read(&id.to_string()), Some(id));
        assert_eq!(SubscriptionId::read("0x0a").unwrap().to_string(), "0xa");
        for bad in [
            "",
            "0x",
            "1",
            "0x+1",
            "0xg",
            &format!("0x1{}", "0".repeat(32)),
        ] {
            assert_eq!(SubscriptionId::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_node_is_asked_for_the_same_topic() {
        for params in [
            r#"["newPendingTransactions"]"#,
            r#"["newPendingTransactions",true]"#,
            r#"["syncing"]"#,
            r#"["other",{"a":1}]"#,
        ] {
            let Topic::Passed(passed) = topic(params) else {
                panic!("{params}");
            };
            assert_eq!(passed.params(), params);
        }
    }
}

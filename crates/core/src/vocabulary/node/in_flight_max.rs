//! How many calls a node may have in flight, as an operator says it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::vocabulary::node::NodeSpecError;

/// The most calls that a node has in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "serde_json::Value", into = "serde_json::Value")]
pub enum InFlightMax {
    /// As many as it turns out to take.
    #[default]
    Auto,
    /// 1 to [`InFlightMax::MOST`].
    Fixed(u32),
}

impl InFlightMax {
    /// The highest number that an operator may give.
    pub const MOST: u32 = 10_000;

    /// # Errors
    /// When `most` is 0 or over [`InFlightMax::MOST`].
    pub fn fixed(most: u64) -> Result<InFlightMax, NodeSpecError> {
        match u32::try_from(most) {
            Ok(most) if (1..=InFlightMax::MOST).contains(&most) => Ok(InFlightMax::Fixed(most)),
            _ => Err(NodeSpecError::InFlightMax),
        }
    }

    /// The number, where there is one.
    pub fn number(self) -> Option<u32> {
        match self {
            InFlightMax::Auto => None,
            InFlightMax::Fixed(most) => Some(most),
        }
    }

    /// Whether the limit is found out by what the node takes.
    pub fn is_auto(&self) -> bool {
        *self == InFlightMax::Auto
    }
}

impl FromStr for InFlightMax {
    type Err = NodeSpecError;

    /// `auto` or a number.
    fn from_str(text: &str) -> Result<InFlightMax, NodeSpecError> {
        match text.trim() {
            "auto" => Ok(InFlightMax::Auto),
            number => InFlightMax::fixed(number.parse().map_err(|_| NodeSpecError::InFlightMax)?),
        }
    }
}

impl fmt::Display for InFlightMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InFlightMax::Auto => f.write_str("auto"),
            InFlightMax::Fixed(most) => most.fmt(f),
        }
    }
}

impl TryFrom<serde_json::Value> for InFlightMax {
    type Error = NodeSpecError;

    fn try_from(value: serde_json::Value) -> Result<InFlightMax, NodeSpecError> {
        match (value.as_str(), value.as_u64()) {
            (Some(text), _) => text.parse(),
            (_, Some(most)) => InFlightMax::fixed(most),
            (None, None) => Err(NodeSpecError::InFlightMax),
        }
    }
}

impl From<InFlightMax> for serde_json::Value {
    fn from(most: InFlightMax) -> serde_json::Value {
        match most {
            InFlightMax::Auto => "auto".into(),
            InFlightMax::Fixed(most) => most.into(),
        }
    }
}

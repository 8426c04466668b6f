//! How a story is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// What holds, in a sentence.
    pub says: String,
    /// Where it stems from: a section of the semantics, a thread.
    pub source: String,
    /// The chain's head at the beginning.
    #[serde(default = "hundred")]
    pub head: u64,
    /// Lines of the configuration under `forebay:`.
    #[serde(default)]
    pub config: Vec<String>,
    /// By name, in this order.
    pub nodes: BTreeMap<String, Node>,
    pub steps: Vec<Step>,
}

fn hundred() -> u64 {
    100
}

/// What a node is, or what changes about it; what isn't said is as the default, or stays.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub weight: Option<u16>,
    pub leader: Option<bool>,
    /// Blocks behind the chain.
    pub behind: Option<u64>,
    /// Stands at this block whatever the chain does.
    pub at: Option<u64>,
    /// State is kept of so many blocks.
    pub state_blocks: Option<u64>,
    /// By method: this result, whatever is asked.
    #[serde(default)]
    pub results: BTreeMap<String, Value>,
    /// By method: this error.
    #[serde(default)]
    pub errors: BTreeMap<String, Error>,
    #[serde(default)]
    pub facts: Vec<Known>,
    /// Methods it says it doesn't have.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Methods that it hangs up on.
    #[serde(default)]
    pub hangs_up_on: Vec<String>,
    /// Methods that it answers with this HTTP status.
    pub status: Option<Status>,
    /// Methods that it answers with these very words.
    pub says: Option<Says>,
    /// It answers a batch with one error.
    #[serde(default)]
    pub object_for_batch: bool,
    /// No connection is accepted any more.
    #[serde(default)]
    pub refuses: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Error {
    pub code: i64,
    pub message: String,
    pub data: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Says {
    #[serde(default = "good")]
    pub status: u16,
    /// `$id` in it is the call's id.
    pub body: String,
    pub methods: Vec<String>,
}

fn good() -> u16 {
    200
}

/// A result that holds from a block on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    pub method: String,
    pub of: Option<String>,
    pub since: u64,
    pub result: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    pub code: u16,
    pub methods: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Call(Call),
    Batch(Batch),
    /// A node's behaviour from now on.
    Change(BTreeMap<String, Node>),
    /// The chain grows by so many blocks.
    Advance(u64),
    /// So many rounds of probes pass.
    Rounds(u32),
    Heard(Heard),
    Metric(Metric),
}

/// One call, so many times over, one after another.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub method: String,
    /// `"$name"` in it stands for what was kept.
    #[serde(default)]
    pub params: Value,
    #[serde(default = "once")]
    pub times: u32,
    pub expect: Expect,
    /// Keeps the result under this name.
    pub keep: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    pub calls: Vec<(String, Value)>,
    #[serde(default = "once")]
    pub times: u32,
    /// Of each answer.
    pub each: Expect,
    /// All results of one batch are equal.
    #[serde(default)]
    pub alike: bool,
}

fn once() -> u32 {
    1
}

/// What the answer must be; what isn't said may be anything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    #[serde(default, deserialize_with = "present")]
    pub result: Option<Value>,
    /// A result, and not null.
    #[serde(default)]
    pub found: bool,
    /// An error with this code.
    pub error: Option<i64>,
    /// A part of the error's message.
    pub says: Option<String>,
    /// What no answer may show.
    pub hides: Option<String>,
    /// Any error.
    #[serde(default)]
    pub refused: bool,
    /// The quantity there (a JSON pointer into the result) never falls.
    pub never_falls: Option<String>,
    /// All results are the same.
    #[serde(default)]
    pub always_same: bool,
    /// Only these nodes answer.
    pub from: Option<Vec<String>>,
}

/// Keeps `"result": null` apart from none.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// Calls of clients that a node has heard since the story began.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heard {
    /// `None`: all together.
    pub node: Option<String>,
    pub method: String,
    #[serde(default)]
    pub at_least: u64,
    #[serde(default = "any_number")]
    pub at_most: u64,
}

fn any_number() -> u64 {
    u64::MAX
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub name: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub is: f64,
}

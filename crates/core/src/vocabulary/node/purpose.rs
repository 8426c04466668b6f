//! What a node is for, as an operator says it before anything is learnt.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::vocabulary::glob::{matches, may_be_method};
use crate::vocabulary::node::NodeSpecError;

/// Globs of a [`ServedMethods`] at most.
pub const SERVED_GLOBS_MAX: usize = 64;
/// The most that a [`RecentBlocks`] may say, in blocks.
pub const RECENT_BLOCKS_MAX: u64 = 1_000_000_000;
/// Before a glob that takes methods out.
const OUT: char = '!';
/// All methods, all blocks.
const ALL: &str = "all";

/// What a node is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePurpose {
    /// The methods that it is asked for.
    pub serves: ServedMethods,
    /// How far back it is asked.
    pub recent_blocks: RecentBlocks,
}

/// Which methods a node is asked for: names and globs, and those that `!` before them takes out again, in
/// whatever order. Globs that only take out leave all others. Cloned without copying.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ServedMethods(Option<Arc<[Box<str>]>>);

impl ServedMethods {
    /// # Errors
    /// None, too many, what can't be a method's name, or what leaves no method.
    pub fn new(globs: Vec<String>) -> Result<ServedMethods, NodeSpecError> {
        let is_fine = |glob: &String| {
            let name = glob.strip_prefix(OUT).unwrap_or(glob);
            may_be_method(name) && !name.contains([OUT, ','])
        };
        let is_bounded = (1..=SERVED_GLOBS_MAX).contains(&globs.len());
        if !is_bounded || !globs.iter().all(is_fine) {
            return Err(NodeSpecError::Serves);
        }
        if globs.iter().all(|glob| glob == "*") {
            return Ok(ServedMethods::default());
        }
        let globs = globs.into_iter().map(String::into_boxed_str);
        let served = ServedMethods(Some(globs.collect()));
        if served.leaves_nothing() {
            return Err(NodeSpecError::ServesNothing);
        }
        Ok(served)
    }

    /// Whether the node is asked for calls of `method`.
    pub fn has(&self, method: &str) -> bool {
        let mut is_any_in = false;
        let mut is_in = false;
        for glob in self.globs() {
            match glob.strip_prefix(OUT) {
                Some(out) if matches(out, method) => return false,
                Some(_) => {}
                None => {
                    is_any_in = true;
                    is_in |= matches(glob, method);
                }
            }
        }
        is_in || !is_any_in
    }

    /// Whether it is asked for every method.
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// As they were written; none: all methods.
    pub fn globs(&self) -> impl Iterator<Item = &str> {
        let globs = self.0.as_deref().unwrap_or_default();
        globs.iter().map(AsRef::as_ref)
    }

    fn leaves_nothing(&self) -> bool {
        let outs = || self.globs().filter_map(|glob| glob.strip_prefix(OUT));
        let is_out = |glob: &str| outs().any(|out| matches(out, glob));
        let mut ins = self
            .globs()
            .filter(|glob| !glob.starts_with(OUT))
            .peekable();
        match ins.peek() {
            Some(_) => ins.all(is_out),
            None => is_out("*"),
        }
    }
}

impl FromStr for ServedMethods {
    type Err = NodeSpecError;

    /// Names and globs with commas between them.
    fn from_str(text: &str) -> Result<ServedMethods, NodeSpecError> {
        let globs = text.split(',').map(|glob| glob.trim().to_string());
        ServedMethods::new(globs.collect())
    }
}

impl fmt::Display for ServedMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("*");
        }
        let globs: Vec<&str> = self.globs().collect();
        f.write_str(&globs.join(","))
    }
}

impl TryFrom<Vec<String>> for ServedMethods {
    type Error = NodeSpecError;

    fn try_from(globs: Vec<String>) -> Result<ServedMethods, NodeSpecError> {
        ServedMethods::new(globs)
    }
}

/// `*` for all.
impl From<ServedMethods> for Vec<String> {
    fn from(served: ServedMethods) -> Vec<String> {
        if served.is_all() {
            return vec!["*".to_string()];
        }
        served.globs().map(str::to_string).collect()
    }
}

/// How many of the newest blocks a node has, its head among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "serde_json::Value", into = "serde_json::Value")]
pub enum RecentBlocks {
    /// As far back as it turns out to go.
    #[default]
    All,
    /// So many at most: 1 to [`RECENT_BLOCKS_MAX`].
    Newest(u64),
}

impl RecentBlocks {
    /// # Errors
    /// When `blocks` are 0 or over [`RECENT_BLOCKS_MAX`].
    pub fn newest(blocks: u64) -> Result<RecentBlocks, NodeSpecError> {
        match blocks {
            1..=RECENT_BLOCKS_MAX => Ok(RecentBlocks::Newest(blocks)),
            _ => Err(NodeSpecError::RecentBlocks),
        }
    }

    /// The number, where there is one.
    pub fn number(self) -> Option<u64> {
        match self {
            RecentBlocks::All => None,
            RecentBlocks::Newest(blocks) => Some(blocks),
        }
    }

    /// Whether nothing but what it turns out to have bounds how far back it is asked.
    pub fn is_all(&self) -> bool {
        *self == RecentBlocks::All
    }
}

impl FromStr for RecentBlocks {
    type Err = NodeSpecError;

    /// `all` or a number.
    fn from_str(text: &str) -> Result<RecentBlocks, NodeSpecError> {
        match text.trim() {
            ALL => Ok(RecentBlocks::All),
            number => RecentBlocks::newest(number.parse().unwrap_or_default()),
        }
    }
}

impl fmt::Display for RecentBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecentBlocks::All => f.write_str(ALL),
            RecentBlocks::Newest(blocks) => blocks.fmt(f),
        }
    }
}

impl TryFrom<serde_json::Value> for RecentBlocks {
    type Error = NodeSpecError;

    fn try_from(value: serde_json::Value) -> Result<RecentBlocks, NodeSpecError> {
        match (value.as_str(), value.as_u64()) {
            (Some(text), _) => text.parse(),
            (_, Some(blocks)) => RecentBlocks::newest(blocks),
            (None, None) => Err(NodeSpecError::RecentBlocks),
        }
    }
}

impl From<RecentBlocks> for serde_json::Value {
    fn from(recent: RecentBlocks) -> serde_json::Value {
        match recent {
            RecentBlocks::All => ALL.into(),
            RecentBlocks::Newest(blocks) => blocks.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(text: &str) -> Result<ServedMethods, NodeSpecError> {
        text.parse()
    }

    #[test]
    fn a_node_is_asked_for_what_is_in_and_not_out_again() {
        let all = ServedMethods::default();
        assert!(all.has("eth_call") && all.is_all());
        assert_eq!(served("*").unwrap(), all);
        for (globs, method, wanted) in [
            ("eth_*", "eth_call", true),
            ("eth_*", "debug_traceCall", false),
            ("eth_*,debug_traceCall", "debug_traceCall", true),
            ("eth_*,!eth_getLogs", "eth_getLogs", false),
            ("!eth_getLogs,eth_*", "eth_getLogs", false),
            ("!eth_getLogs", "eth_getLogs", false),
            ("!eth_getLogs", "eth_call", true),
            ("*,!trace_*", "trace_block", false),
            ("*, !trace_*", "eth_call", true),
        ] {
            let served = served(globs).unwrap();
            assert_eq!(served.has(method), wanted, "{globs} {method}");
        }
    }

    #[test]
    fn what_leaves_a_node_nothing_is_no_purpose() {
        for nothing in ["!*", "eth_call,!eth_*", "eth_get*,!eth_*", "*,!*"] {
            assert_eq!(served(nothing), Err(NodeSpecError::ServesNothing));
        }
        for some in ["eth_*,!eth_get*", "eth_call,net_*,!eth_*", "!eth_*"] {
            assert!(served(some).is_ok(), "{some}");
        }
    }

    #[test]
    fn globs_are_few_short_and_of_plain_characters() {
        let long = |bytes| "x".repeat(bytes);
        for bad in ["", "eth_call,", "a b", "!", "!!a", "\u{e9}", &long(129)] {
            assert_eq!(served(bad), Err(NodeSpecError::Serves), "{bad}");
        }
        assert!(served(&long(128)).is_ok() && served(&format!("!{}", long(128))).is_ok());
        let many = |count| ServedMethods::new(vec!["a".to_string(); count]);
        assert!(many(SERVED_GLOBS_MAX).is_ok());
        for count in [0, SERVED_GLOBS_MAX + 1] {
            assert_eq!(many(count), Err(NodeSpecError::Serves));
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["*", "eth_*,!eth_getLogs"] {
            let read = served(text).unwrap();
            assert_eq!(read.to_string(), text);
            let json = serde_json::to_string(&read).unwrap();
            assert_eq!(serde_json::from_str::<ServedMethods>(&json).unwrap(), read);
        }
        for text in ["all", "1", "128", "1000000000"] {
            let read: RecentBlocks = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
            let json = serde_json::to_string(&read).unwrap();
            assert_eq!(serde_json::from_str::<RecentBlocks>(&json).unwrap(), read);
        }
        for bad in ["0", "1000000001", "-1", "1.5", "many", ""] {
            let read = bad.parse::<RecentBlocks>();
            assert_eq!(read, Err(NodeSpecError::RecentBlocks), "{bad}");
        }
        for bad in ["0", "null", "[1]", "1.5"] {
            assert!(serde_json::from_str::<RecentBlocks>(bad).is_err(), "{bad}");
        }
    }
}

//! What readers look for at each key: the schema and the reference page are made of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the items of a list stand at.
pub(super) const ITEM: &str = "[]";

/// What the groups of [`ValueShape::Named`] stand at.
pub(super) const NAMED: &str = ".*";

/// The form of a value that may be any text.
pub(super) const ANY_TEXT: &str = "a text";

/// What a reader looks for at a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ValueShape {
    /// These keys and no others.
    Group(Vec<String>),
    /// Any keys, each with a text.
    Free,
    /// Any keys, each with a group.
    Named,
    List,
    /// A value of some form, in words.
    Text(String),
    Boolean,
    Choice(Vec<String>),
    Number(u64, u64),
    Decimal(f64, f64),
    Duration(Duration, Duration),
    /// Bytes.
    Size(u64, u64),
}

/// Notes what readers look for.
#[derive(Debug, Default)]
pub(super) struct SchemaRecorder {
    shapes: RefCell<BTreeMap<String, ValueShape>>,
}

impl SchemaRecorder {
    /// What is said first of a key is the most exact.
    pub(super) fn note(&self, path: &str, shape: impl FnOnce() -> ValueShape) {
        let mut shapes = self.shapes.borrow_mut();
        if !shapes.contains_key(path) {
            shapes.insert(path.to_string(), shape());
        }
    }

    pub(super) fn shape(&self, path: &str) -> Option<ValueShape> {
        self.shapes.borrow().get(path).cloned()
    }
}

//! A value of a node's that must not be read in a log: a header's, which may be a key.

use std::fmt;

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `value`, references to the environment already resolved.
    pub fn new(value: String) -> Secret {
        Secret(value)
    }

    /// The value itself: for the request that it goes into alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

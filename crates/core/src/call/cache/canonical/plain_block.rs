//! Blocks that are left out of the canonical form: only what no two nodes read otherwise.

use std::ops::Range;

use crate::json::scanner;
use crate::vocabulary::chain::BlockHash;

/// Whether a block is named as every node reads it: by a tag that was written as a number, or by a
/// number or a hash in its one form. What `earliest` is differs between nodes.
pub(super) fn is_plain_block(text: &str, at: Range<usize>, may_lack: bool) -> bool {
    let Some(value) = text.get(at.clone()) else {
        return false;
    };
    match value.as_bytes().first() {
        Some(b'"') => is_plain_name(value),
        Some(b'{') => {
            let mut names = 0;
            let mut members = scanner::members(text.as_bytes(), at.start);
            let are_plain = members.all(|(key, value)| match &text[key] {
                "\"blockHash\"" | "\"blockNumber\"" => {
                    names += 1;
                    is_plain_name(&text[value])
                }
                // Where it is asked for, what was kept by hash may be of a block that is gone.
                "\"requireCanonical\"" => &text[value] == "false",
                _ => false,
            });
            are_plain && names == 1
        }
        Some(_) => may_lack && value == "null",
        None => false,
    }
}

/// See [`is_plain_block`]; with its quotes.
fn is_plain_name(name: &str) -> bool {
    let inner = name.strip_prefix('"');
    let Some(inner) = inner.and_then(|name| name.strip_suffix('"')) else {
        return false;
    };
    if matches!(inner, "latest" | "safe" | "finalized") {
        return true;
    }
    let is_number = |digits: &str| {
        (1..=16).contains(&digits.len())
            && (digits == "0" || !digits.starts_with('0'))
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    inner.strip_prefix("0x").is_some_and(is_number) || BlockHash::read(inner).is_some()
}

//! What a node says of its own limit: on which quantity it is, and the number.

/// A limit of a node's own, as it told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnnouncedLimit {
    /// What it bounds.
    pub on: LimitedQuantity,
    /// As told; `None`: it named no number.
    pub number: Option<u64>,
}

/// What a node's limit bounds: blocks, what is asked for, or what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitedQuantity {
    /// The blocks of a range.
    Blocks,
    /// Addresses, or topics.
    Addresses,
    /// What was found in it.
    Results,
}

impl AnnouncedLimit {
    /// Reads `text`, the message of a refusal, in lower case.
    pub fn read(text: &str) -> AnnouncedLimit {
        let has = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
        let on = if has(&["results", "response size", "timeout", "query returned"]) {
            LimitedQuantity::Results
        } else if has(&["address", "topics"]) {
            LimitedQuantity::Addresses
        } else {
            LimitedQuantity::Blocks
        };
        // Before that word stands what was asked for.
        let (_, told) = text.rsplit_once("max").unwrap_or(("", text));
        let least = |text| numbers(text).filter(|number| *number > 1).min();
        AnnouncedLimit {
            on,
            number: least(told).or_else(|| least(text)),
        }
    }
}

/// The decimal numbers in `text`, with commas in them or a `k` behind; no part of a word is one.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    let words = text.split(|at: char| !at.is_ascii_alphanumeric() && at != ',' && at != '_');
    words.filter_map(|word| {
        let word = word.trim_matches(',');
        let (digits, factor) = match word.strip_suffix('k') {
            Some(digits) => (digits, 1000),
            None => (word, 1),
        };
        let digits = digits.replace(',', "");
        digits.parse::<u64>().ok()?.checked_mul(factor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_read_with_its_number_whatever_else_is_said() {
        use LimitedQuantity::{Addresses, Blocks, Results};
        for (text, on, number) in [
            ("exceed maximum block range: 5000", Blocks, Some(5000)),
            (
                "eth_getlogs is limited to a 10,000 range",
                Blocks,
                Some(10_000),
            ),
            ("block range is too wide", Blocks, None),
            ("up to a 2k block range", Blocks, Some(2000)),
            (
                "block range 200001 is too large, max is 1024 blocks",
                Blocks,
                Some(1024),
            ),
            (
                "requested too many blocks from 100 to 5000, maximum is set to 2048",
                Blocks,
                Some(2048),
            ),
            ("block range 5000 exceeds the maximum", Blocks, Some(5000)),
            (
                "exceed max addresses or topics per search position",
                Addresses,
                None,
            ),
            (
                "query returned more than 10000 results. try with this block range [0x1, 0x2].",
                Results,
                Some(10_000),
            ),
            (
                "maximum [from, to] blocks distance: 10000",
                Blocks,
                Some(10_000),
            ),
            ("99999999999999999999999 blocks range", Blocks, None),
        ] {
            assert_eq!(
                AnnouncedLimit::read(text),
                AnnouncedLimit { on, number },
                "{text}"
            );
        }
    }
}

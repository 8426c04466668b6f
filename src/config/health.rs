//! `forebay.health`: a value of a form of its own.

use super::field::Field;
use forebay_core::vocabulary::chain::ChainName;

pub(super) fn chain_name(item: &Field<'_>) -> Option<String> {
    item.parsed("the name of a chain, as in `base`", |text| {
        let name: ChainName = text.trim().parse().ok()?;
        Some(name.as_str().to_string())
    })
}

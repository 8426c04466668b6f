//! Which numbers the tags of a request stand for.

use crate::fleet::view::FleetView;
use crate::method::block::{Consistency, TagPins};
use crate::vocabulary::chain::BlockNumber;

/// As of `view`, for a client that was told of block `floor`. While no node is fit, any that lives
/// answers as it can, of an older block rather than not at all.
pub fn of(view: &FleetView, consistency: Consistency, floor: Option<BlockNumber>) -> TagPins {
    match consistency {
        Consistency::None => TagPins::default(),
        Consistency::Monotonic if !view.is_served() => TagPins::default(),
        Consistency::Monotonic => TagPins {
            latest: view.served_head.max(floor),
            safe: view.safe_head,
            finalized: view.finalized_head,
            falls: view.falls,
        },
    }
}

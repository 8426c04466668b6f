//! What a node says when it is asked whether it is syncing.

use std::time::Duration;

use serde::Deserialize;

use crate::clock;
use crate::node::probed_head::ProbedHead;
use forebay_core::fleet::report::SyncReport;
use forebay_core::vocabulary::hex;

/// What a node says of its syncing: an object.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SyncingStatus {
    current_block: Option<String>,
    highest_block: Option<String>,
    tx_index_remaining_blocks: Option<String>,
    state_index_remaining: Option<String>,
}

impl SyncingStatus {
    /// `None`: it isn't syncing.
    pub(super) fn read(result: &str) -> Option<SyncingStatus> {
        let is_object = result.starts_with('{');
        is_object.then(|| serde_json::from_str(result).unwrap_or_default())
    }

    /// Beside a head that was told at the same time: one block may have come in between.
    pub(super) fn of(&self, head: &ProbedHead, has_state: bool) -> SyncReport {
        let number = |told: &Option<String>| told.as_deref().and_then(hex::quantity_in);
        let remains = |told| number(told).is_some_and(|blocks| blocks > 0);
        let current = number(&self.current_block);
        let is_highest = current >= number(&self.highest_block) && self.highest_block.is_some();
        let is_here =
            current.is_some_and(|at| (at..=at.saturating_add(1)).contains(&head.number.0));
        let now = clock::unix_millis() / 1000;
        SyncReport {
            is_at_head: is_highest && is_here,
            indexes: remains(&self.tx_index_remaining_blocks)
                || remains(&self.state_index_remaining),
            head_age: head
                .timestamp
                .map(|made| Duration::from_secs(now.saturating_sub(made))),
            has_state,
        }
    }
}

//! Answers that are kept: how they are shown, and how they are let go.

use serde::Serialize;

use crate::admin::error::AdminError;
use crate::admin::handlers::AdminCaller;
use crate::admin::requests::PurgeTarget;
use crate::call::context::CallState;
use crate::shared::answer_cache::Purge;
use forebay_core::call::cache::generations::LostAnswers;
use forebay_core::method;

/// Answers that are kept.
#[derive(Debug, Serialize)]
pub(super) struct CacheStatus {
    pub entries: usize,
    /// What they take, about, and the most that they may.
    pub bytes: u64,
    pub bytes_max: u64,
    /// Calls since the start whose answer was kept, and might have been.
    pub hits: u64,
    pub misses: u64,
}

impl CacheStatus {
    /// Of one chain; what is kept is of all.
    pub(super) fn of(state: &CallState) -> Option<CacheStatus> {
        let cache = state.cache.as_ref()?;
        let (hits, misses) = state.metrics.cache_counts();
        Some(CacheStatus {
            entries: cache.store.entries(),
            bytes: cache.store.bytes(),
            bytes_max: cache.store.bytes_max(),
            hits,
            misses,
        })
    }
}

/// Lets them go; says how many went.
///
/// # Errors
/// There is no cache, no such node or no such method.
pub(super) fn purge(
    state: &CallState,
    target: &PurgeTarget,
    caller: AdminCaller,
) -> Result<usize, AdminError> {
    let Some(cache) = &state.cache else {
        return Err(AdminError::Conflict(
            "no answers are kept: forebay.cache.memory is 0".into(),
        ));
    };
    let (purge, what) = match target {
        PurgeTarget::All => (Purge::All, "all".to_string()),
        PurgeTarget::Node(name) => {
            let snapshot = state.fleet.snapshot();
            let node = snapshot.view.nodes.iter().find(|node| *node.name == **name);
            let node = node.ok_or(AdminError::NoSuchNode)?;
            (Purge::Node(node.id), format!("those of node {name}"))
        }
        PurgeTarget::Method(name) => (Purge::Method(row_of(name)?), format!("those to {name}")),
    };
    // First, so that what is taken over from there meanwhile goes, too.
    if let Some(stored) = &cache.stored {
        stored.lose(&match target {
            PurgeTarget::All => LostAnswers::All,
            PurgeTarget::Node(name) => LostAnswers::Node(name.clone()),
            PurgeTarget::Method(name) => LostAnswers::Method(name.clone()),
        });
    }
    let gone = cache.purge(purge);
    let text = format!("{gone} kept answers were let go, {what}; by {caller}");
    log::info!("admin: {text}");
    state.fleet.journal.note_changed(None, text);
    Ok(gone)
}

fn row_of(name: &str) -> Result<u16, AdminError> {
    method::row_of(name).ok_or_else(|| AdminError::input("no such method in the table"))
}

//! What a registry may hold from before it was refused: nodes that lead back here, and URLs that show a
//! variable.

use std::net::SocketAddr;

use crate::config;
use crate::registry::{ItemOrigin, RegistryItem};
use forebay_core::vocabulary::node::{NodeSpec, NodeSpecError};
use forebay_core::vocabulary::target::{OwnAddresses, VariableScope, reference};

/// `specs` without those that lead to one of our `listeners` (they would be asked by us what we ask them), and a
/// sentence on each of these.
pub(super) fn apart_from_ours(
    specs: Vec<NodeSpec>,
    listeners: &[SocketAddr],
) -> (Vec<NodeSpec>, Vec<String>) {
    let ours = OwnAddresses {
        listeners,
        is_local: &config::is_local,
    };
    let (back, others): (Vec<_>, Vec<_>) = specs.into_iter().partition(|spec| ours.has(&spec.url));
    let told = back
        .iter()
        .map(|spec| format!("{}: {}", spec.name, NodeSpecError::Ours));
    (others, told.collect())
}

/// A sentence on a node that was added by command and whose URL shows a variable.
pub(super) fn shows_variable(item: &RegistryItem) -> Option<String> {
    let is_by_command = item.origin == ItemOrigin::Registry;
    let record = &item.record;
    let urls = [Some(&record.url), record.ws_url.as_ref()];
    let mut references = urls.into_iter().flatten().map(|url| reference(url));
    let shows = references.any(|it| matches!(it, VariableScope::Part | VariableScope::Host));
    let name = record.name.as_deref().unwrap_or("a node without a name");
    (is_by_command && shows).then(|| format!("{name}: {}", NodeSpecError::Hidden))
}

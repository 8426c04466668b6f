//! The names of nodes into addresses, all at once. A name that stops resolving keeps its last ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::node::resolver;
use crate::shared::node_clients::Upstream;

/// Resolves the names of `upstreams`, and says whether one has moved to a new address; `told`: those of which the log has said that they don't resolve.
pub(super) async fn resolve_names(
    upstreams: impl Iterator<Item = &Arc<Upstream>>,
    told: &mut BTreeSet<String>,
) -> bool {
    let mut has_moved = false;
    let lookups = upstreams.filter_map(|upstream| {
        let (host, port) = upstream.link.needs_resolving()?;
        Some(async move { (host, upstream, resolver::resolve(host, port).await) })
    });
    for (host, upstream, found) in futures_util::future::join_all(lookups).await {
        match found {
            Ok(addresses) if !addresses.is_empty() => {
                has_moved |= upstream.link.set_addresses(addresses);
                if told.remove(host) {
                    log::info!("{host} resolves again");
                }
            }
            Ok(_) => tell_unresolved(host, "no address", told),
            Err(why) => tell_unresolved(host, &why.to_string(), told),
        }
    }
    has_moved
}

fn tell_unresolved(host: &str, why: &str, told: &mut BTreeSet<String>) {
    if told.insert(host.to_string()) {
        log::warn!("{host} does not resolve ({why}); its last addresses stay");
    }
}

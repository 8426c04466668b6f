//! What is answered without a node, from what is known of the fleet.

use crate::call::plan::{Plan, PlanContext};
use crate::fleet::node_view::NodeView;
use crate::method::LocalMethod;
use crate::rpc::refusal::Refusal;
use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::hex;

/// What `web3_clientVersion` says.
const CLIENT_VERSION: &str = concat!("\"forebay/", env!("CARGO_PKG_VERSION"), "\"");

/// `None`: it isn't known here.
pub(super) fn answer<M>(local: LocalMethod, by: &PlanContext<'_, M>) -> Option<Plan> {
    let view = by.view;
    let known = match local {
        LocalMethod::ChainId => view.chain_id.map(|id| hex::quantity(id.0)),
        LocalMethod::BlockNumber => return block_number(by),
        LocalMethod::Syncing => view.is_served().then(|| "false".to_string()),
        LocalMethod::ClientVersion => Some(CLIENT_VERSION.to_string()),
        LocalMethod::Listening => Some("true".to_string()),
        LocalMethod::Accounts => Some("[]".to_string()),
        LocalMethod::Subscribe | LocalMethod::Unsubscribe if !by.has_socket => {
            return Some(Plan::Refuse(Refusal::NeedsSocket));
        }
        LocalMethod::Subscribe => return Some(Plan::Subscribe),
        LocalMethod::Unsubscribe => return Some(Plan::Unsubscribe),
        // It isn't always the chain id: the nodes know.
        LocalMethod::NetVersion => view.net_version.as_deref().map(quoted),
    };
    known.map(Plan::Answer)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The served head, as long as a node could answer for it. A request has one.
fn block_number<M>(by: &PlanContext<'_, M>) -> Option<Plan> {
    let view = by.view;
    let lives = || by.fails_open && view.nodes.iter().any(NodeView::is_last_resort);
    let BlockNumber(head) = by.pins.latest.or(view.served_head)?;
    Some(if view.is_served() || lives() {
        Plan::Answer(hex::quantity(head))
    } else {
        Plan::Refuse(Refusal::NoNode)
    })
}

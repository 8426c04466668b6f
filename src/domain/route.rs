//! A plan for one call. After it nothing is decided outside `domain`.

use super::chain::BlockNumber;
use super::fleet::{FleetView, NodeView};
use super::jsonrpc::Call;
use super::method::{Local, Row, Rules, Treatment};
use super::node::Rung;
use super::refusal::Refusal;

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Answer it here; the result as JSON.
    Answer(String),
    Refuse(Refusal),
    Ask(Treatment),
}

/// What `web3_clientVersion` says.
const CLIENT_VERSION: &str = concat!("\"forebay/", env!("CARGO_PKG_VERSION"), "\"");

/// Plans a call; also the row of its method, for the metrics.
pub fn plan(call: &Call<'_>, view: &FleetView, rules: &Rules, fails_open: bool) -> (Row, Plan) {
    let (row, treatment) = rules.look_up(&call.method);
    let plan = match treatment {
        Treatment::Denied => Plan::Refuse(Refusal::MethodNotAllowed),
        Treatment::Local(local) => answer(local, view, fails_open),
        Treatment::Read
        | Treatment::Heavy
        | Treatment::Broadcast
        | Treatment::Once
        | Treatment::Unknown => Plan::Ask(treatment),
    };
    (row, plan)
}

fn answer(local: Local, view: &FleetView, fails_open: bool) -> Plan {
    let known = match local {
        Local::ChainId => view.chain_id.map(|id| hex(id.0)),
        Local::BlockNumber => return block_number(view, fails_open),
        Local::Syncing => has_fit(view).then(|| "false".to_string()),
        Local::ClientVersion => Some(CLIENT_VERSION.to_string()),
        Local::Listening => Some("true".to_string()),
        Local::Accounts => Some("[]".to_string()),
        // It isn't always the chain id: the nodes know.
        Local::NetVersion => None,
    };
    known.map_or(Plan::Ask(Treatment::Read), Plan::Answer)
}

fn has_fit(view: &FleetView) -> bool {
    [Rung::Own, Rung::Leader, Rung::Fallback]
        .into_iter()
        .any(|rung| view.has_fit(rung))
}

/// The served head, as long as somebody could answer for it.
fn block_number(view: &FleetView, fails_open: bool) -> Plan {
    let lives = || fails_open && view.nodes.iter().any(NodeView::is_last_resort);
    match view.served_head {
        None => Plan::Ask(Treatment::Read),
        Some(BlockNumber(head)) if has_fit(view) || lives() => Plan::Answer(hex(head)),
        Some(_) => Plan::Refuse(Refusal::NoNode),
    }
}

fn hex(number: u64) -> String {
    format!("\"0x{number:x}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chain::ChainId;

    fn planned(method: &str, view: &FleetView) -> Plan {
        let call = Call {
            id: Some("1"),
            method: method.into(),
            params: None,
        };
        plan(&call, view, &Rules::new(vec![], vec![], vec![]), true).1
    }

    #[test]
    fn what_we_know_is_answered_here_and_what_we_do_not_is_asked() {
        let view = FleetView {
            chain_id: Some(ChainId(10)),
            ..FleetView::default()
        };
        assert_eq!(
            planned("eth_chainId", &view),
            Plan::Answer("\"0xa\"".into())
        );
        assert_eq!(
            planned("eth_chainId", &FleetView::default()),
            Plan::Ask(Treatment::Read)
        );
        assert_eq!(planned("eth_syncing", &view), Plan::Ask(Treatment::Read));
        assert_eq!(
            planned("eth_blockNumber", &view),
            Plan::Ask(Treatment::Read)
        );
        assert_eq!(planned("net_version", &view), Plan::Ask(Treatment::Read));
        assert_eq!(planned("eth_accounts", &view), Plan::Answer("[]".into()));
    }

    #[test]
    fn an_old_head_is_not_told_when_nobody_lives() {
        let view = FleetView {
            served_head: Some(BlockNumber(7)),
            ..FleetView::default()
        };
        assert_eq!(
            planned("eth_blockNumber", &view),
            Plan::Refuse(Refusal::NoNode)
        );
    }

    #[test]
    fn a_denied_method_is_refused_and_an_unknown_one_passed_on() {
        let view = FleetView::default();
        assert_eq!(
            planned("admin_peers", &view),
            Plan::Refuse(Refusal::MethodNotAllowed)
        );
        assert_eq!(planned("zks_foo", &view), Plan::Ask(Treatment::Unknown));
    }
}

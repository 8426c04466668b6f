//! What is kept is given before anything else is planned.

use std::time::Duration;

use super::*;
use crate::call::cache::CacheSecret;
use crate::call::tag_pins;
use crate::fleet::branch::PublishedChain;
use crate::fleet::tracker::Fleet;
use crate::method::block::Consistency;
use crate::rpc::whole_answer::WholeAnswer;
use crate::testing::{at, criteria, member};
use crate::vocabulary::chain::ChainId;
use crate::vocabulary::header::Header;
use crate::vocabulary::node::Role;

/// An answer to whatever may be kept.
struct OneAnswer;

fn kept() -> KeptAnswer {
    let bytes = bytes::Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#);
    KeptAnswer {
        row: 0,
        answer: WholeAnswer::reread(bytes).expect("it is an answer"),
        node: "1".into(),
        rung: Role::Own,
        news: None,
        age: Duration::ZERO,
    }
}

impl CallMemory for OneAnswer {
    fn admits(&self, _: AskedCall<'_>) -> bool {
        true
    }

    fn kept(&self, _: &CachePlan, _: &FleetView) -> Option<KeptAnswer> {
        Some(kept())
    }

    fn number_of(&self, _: BlockHash) -> Option<BlockNumber> {
        None
    }

    fn place_of(&self, _: TxHash) -> Option<BlockNumber> {
        None
    }

    fn holders(&self, _: SentTransactions) -> Vec<NodeId> {
        Vec::new()
    }
}

/// One node, whose head, 100, was told.
fn view() -> FleetView {
    let now = crate::testing::now();
    let mut fleet = Fleet::new(criteria());
    fleet.replace(vec![member(1)], now);
    fleet.hear_round(&[(NodeId(1), at(100))], now);
    let header = Header {
        hash: BlockHash([1; 32]),
        parent: BlockHash([0; 32]),
        number: BlockNumber(100),
        timestamp: None,
        bloom: None,
        json: bytes::Bytes::new(),
    };
    fleet.hear_told(PublishedChain::of([header.into()].iter()));
    FleetView {
        chain_id: Some(ChainId(1)),
        ..fleet.view()
    }
}

fn planned(method: &str, params: &str, cache: Option<&CacheRules>) -> Plan {
    let view = view();
    let by = PlanContext {
        view: &view,
        rules: &MethodRules::new(vec![], vec![], vec![]),
        pins: &tag_pins::of(&view, Consistency::Monotonic, None),
        fails_open: true,
        client: Client::Unknown,
        has_socket: false,
        cache,
        memory: &OneAnswer,
    };
    plan(&Call::new(Some("1"), method, Some(params)), &by).plan
}

#[test]
fn a_kept_answer_is_given_to_what_may_have_it_and_to_nothing_else() {
    let rules = CacheRules::new(CacheSecret::new([1, 2, 3, 4]), &[]);
    let give = Plan::Give(kept());
    for (method, params, is_given) in [
        ("eth_call", r#"[{},"latest"]"#, true),
        ("eth_getBlockByNumber", r#"["0x64",false]"#, true),
        ("eth_call", r#"[{},"pending"]"#, false),
        ("eth_getBlockByNumber", r#"["0x65",false]"#, false),
        ("eth_sendRawTransaction", r#"["0x"]"#, false),
        ("eth_gasPrice", "[]", false),
        ("eth_chainId", "[]", false),
        ("debug_unheard", r#"["0x64"]"#, false),
    ] {
        let found = planned(method, params, Some(&rules));
        assert_eq!(found == give, is_given, "{method} {params}: {found:?}");
        assert_ne!(planned(method, params, None), give, "there is no cache");
    }
}

#[test]
fn what_is_given_asks_no_node() {
    let give = Plan::Give(kept());
    assert!(give.forward().is_none() && give.kept().is_none());
}

//! What is kept is given before anything else is planned.

use std::cell::Cell;
use std::time::Duration;

use super::*;
use crate::call::cache::AskedCall;
use crate::call::cache::subject::CacheSubject;
use crate::call::cache::{CacheKey, CacheSecret};
use crate::call::tag_pins;
use crate::fleet::branch::PublishedChain;
use crate::method::block::Consistency;
use crate::rpc::whole_answer::WholeAnswer;
use crate::testing::{NoMemory, at, fleet_of, header, member};
use crate::vocabulary::chain::{BlockHash, ChainId};
use crate::vocabulary::node::Role;

/// An answer to whatever may be kept, if it is worth it to look for one.
#[derive(Default)]
struct OneAnswer {
    is_worth_it: bool,
    is_shared: bool,
    wants_fresh: bool,
    /// Calls that were noted.
    asked: Cell<u32>,
}

fn kept() -> KeptAnswer {
    let bytes = bytes::Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#);
    KeptAnswer {
        row: 0,
        answer: WholeAnswer::reread(bytes).expect("it is an answer"),
        node: "1".into(),
        role: Role::Own,
        news: None,
        age: Duration::ZERO,
    }
}

impl CallMemory for OneAnswer {
    fn note_asked(&self, _: AskedCall<'_>) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.is_worth_it
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }

    fn kept(&self, _: &CachePlan, _: &FleetView) -> Option<KeptAnswer> {
        Some(kept())
    }

    fn number_of(&self, block: BlockHash) -> Option<BlockNumber> {
        NoMemory.number_of(block)
    }

    fn place_of(&self, transaction: TxHash) -> Option<BlockNumber> {
        NoMemory.place_of(transaction)
    }

    fn holders(&self, of: SentTransactions) -> Vec<NodeId> {
        NoMemory.holders(of)
    }
}

/// One node, whose head, 100, was told.
fn view() -> FleetView {
    let now = crate::testing::now();
    let mut fleet = fleet_of([member(1)], now);
    fleet.hear_round(&[(NodeId(1), at(100))], now);
    let header = header(100, BlockHash([1; 32]), BlockHash([0; 32]));
    fleet.hear_told(PublishedChain::of([header.into()].iter()));
    FleetView {
        chain_id: Some(ChainId(1)),
        ..fleet.view()
    }
}

fn planned(memory: &OneAnswer, method: &str, params: &str, cache: Option<&CacheRules>) -> Plan {
    let view = view();
    let by = PlanContext {
        view: &view,
        rules: &MethodRules::new(vec![], vec![], vec![]),
        pins: &tag_pins::of(&view, Consistency::Monotonic, None),
        fails_open: true,
        client: Client::Unknown,
        has_socket: false,
        cache,
        wants_fresh: memory.wants_fresh,
        memory,
    };
    plan(&Call::new(Some("1"), method, Some(params)), &by).plan
}

fn rules() -> CacheRules {
    CacheRules::new(CacheSecret::new([1, 2, 3, 4]), &[])
}

#[test]
fn what_is_not_worth_it_is_neither_looked_for_nor_kept_but_for_what_shows_a_liar() {
    let memory = OneAnswer::default();
    let hash = format!("0x{}", "01".repeat(32));
    for (method, params) in [
        ("eth_call", r#"[{},"latest"]"#.to_string()),
        ("eth_getBlockByNumber", r#"["0x64",false]"#.into()),
        (
            "eth_getBalance",
            format!(r#"["0x1",{{"blockHash":"{hash}"}}]"#),
        ),
    ] {
        let plan = planned(&memory, method, &params, Some(&rules()));
        let keep = plan.forward().map(|forward| &forward.keep);
        assert!(
            matches!(keep, Some(KeepDecision::NotYet(_))),
            "{method}: {keep:?}"
        );
    }
    for (method, params) in [
        ("eth_getBlockByHash", format!(r#"["{hash}",false]"#)),
        ("eth_getLogs", format!(r#"[{{"blockHash":"{hash}"}}]"#)),
    ] {
        let plan = planned(&memory, method, &params, Some(&rules()));
        assert_eq!(plan, Plan::Give(kept()), "{method}");
    }
}

#[test]
fn what_others_may_have_kept_or_is_wanted_afresh_is_not_put_off() {
    for (is_shared, wants_fresh) in [(false, false), (true, false), (false, true), (true, true)] {
        let memory = OneAnswer {
            is_shared,
            wants_fresh,
            ..OneAnswer::default()
        };
        let plan = planned(&memory, "eth_call", r#"[{},"latest"]"#, Some(&rules()));
        assert_eq!(memory.asked.get(), 1, "it is noted all the same");
        assert_eq!(plan == Plan::Give(kept()), is_shared && !wants_fresh);
        let is_kept = plan.kept().is_some();
        assert_eq!(is_kept, wants_fresh, "what was kept is no answer to it");
    }
}

#[test]
fn a_kept_answer_is_given_to_what_may_have_it_and_to_nothing_else() {
    let rules = rules();
    let memory = OneAnswer {
        is_worth_it: true,
        ..OneAnswer::default()
    };
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
        let found = planned(&memory, method, params, Some(&rules));
        assert_eq!(found == give, is_given, "{method} {params}: {found:?}");
        assert_ne!(
            planned(&memory, method, params, None),
            give,
            "there is no cache"
        );
    }
}

#[test]
fn what_is_given_asks_no_node() {
    let give = Plan::Give(kept());
    assert!(give.forward().is_none() && give.kept().is_none());
}

#[test]
fn what_is_kept_is_found_however_it_is_written_and_nothing_else_is() {
    let view = view();
    let rules = rules();
    let key = |params: &str, kept: Option<CacheKey>| {
        let call = Call::new(Some("1"), "eth_call", Some(params));
        let (row, _) = MethodRules::new(vec![], vec![], vec![]).look_up("eth_call");
        let pins = tag_pins::of(&view, Consistency::Monotonic, None);
        let place = method::listed(row).unwrap().place;
        let refs = block::read(place, (call.params, &call.elements), &pins);
        let subject = CacheSubject::of((&call, row), &refs, &view, &rules).unwrap();
        let looked_for = Cell::new(0);
        let found = subject.find(&call, &rules, |plan| {
            looked_for.set(looked_for.get() + 1);
            Some(()).filter(|()| Some(plan.key) == kept)
        });
        let found = found.map_err(|decision| decision.plan().map(|plan| plan.key));
        (found, looked_for.get())
    };
    let (Err(Some(kept)), 1) = key(r#"[{"to":"0xab","data":"0x1f"},"latest"]"#, None) else {
        panic!("it is looked for once, and may be kept");
    };
    for (params, looks) in [
        (r#"[{"to":"0xab","data":"0x1f"},"0x64"]"#, 1),
        (r#"[{"data":"0x1f","to":"0xab"},"latest"]"#, 1),
        (r#"[{"to":"0xab","from":null,"data":"0x1f"},"latest"]"#, 2),
        (r#"[{"to":"0xAB","data":"0x1f"},"latest"]"#, 1),
        (r#"[{"to": "0xab", "data": "0x1f"}, "latest"]"#, 1),
        (r#"[{"to":"0xab","data":"0x1f"}]"#, 1),
    ] {
        assert_eq!(key(params, Some(kept)), (Ok(()), looks), "{params}");
    }
    for params in [
        r#"[{"to":"0xab","data":"0x1e"},"latest"]"#,
        r#"[{"to":"0xab"},"latest"]"#,
        r#"[{"to":"0xab","data":"0x1f"},"0x63"]"#,
    ] {
        assert!(key(params, Some(kept)).0.is_err(), "{params}");
    }
    let twice = key(
        r#"[{"to":"0xab","data":"0x1f","data":"0x1f"},"latest"]"#,
        Some(kept),
    );
    assert_eq!(twice, (Err(None), 1), "it can be read in two ways");
}

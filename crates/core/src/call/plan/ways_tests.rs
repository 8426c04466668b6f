//! The way of every method of the table, over HTTP and over a WebSocket, alone and in a batch, as
//! `ways.txt` writes it down.

use std::fmt::Write as _;

use super::*;
use crate::call::cache::AskedCall;
use crate::method::TABLE;
use crate::method::block::Consistency;
use crate::testing::{self, NoMemory};
use crate::vocabulary::chain::BlockHash;

/// The one node took a transaction, which is looked up here, from the one client.
struct OneTransaction;

impl CallMemory for OneTransaction {
    fn note_asked(&self, _: AskedCall<'_>) -> bool {
        true
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn kept(&self, _: &CachePlan, _: &FleetView) -> Option<KeptAnswer> {
        None
    }

    fn number_of(&self, _: BlockHash) -> Option<BlockNumber> {
        None
    }

    fn place_of(&self, _: TxHash) -> Option<BlockNumber> {
        None
    }

    fn holders(&self, of: SentTransactions) -> Vec<NodeId> {
        let is_it = match of {
            SentTransactions::WithHash(hash) => {
                Some(hash) == transaction::hash_asked(&hash_params())
            }
            SentTransactions::WithNonce(sender, nonce) => {
                (sender, nonce) == (Address([0x11; 20]), 5)
            }
            SentTransactions::Of(client) => client == the_client(),
        };
        if is_it { vec![NodeId(1)] } else { Vec::new() }
    }
}

fn the_client() -> Client {
    Client::At([192, 0, 2, 1].into())
}

fn hash_params() -> String {
    format!("[\"0x{}\"]", "ab".repeat(32))
}

/// What calls ask for.
fn params() -> Vec<(&'static str, Option<String>)> {
    let sender = format!("0x{}", "11".repeat(20));
    let filter = filter::wrap("eth_newFilter", "a", "\"0x1\"").unwrap();
    let written = |text: &str| Some(text.to_string());
    vec![
        ("nothing", None),
        ("a hash", Some(hash_params())),
        ("pending first", written(r#"["pending",false]"#)),
        ("pending second", Some(format!(r#"["{sender}","pending"]"#))),
        (
            "pending third",
            Some(format!(r#"["{sender}",[],"pending"]"#)),
        ),
        ("latest", written(r#"["latest",false]"#)),
        ("the next block", written(r#"["0x66",false]"#)),
        ("a far block", written(r#"["0xffffff",false]"#)),
        (
            "logs to the next block",
            written(r#"[{"fromBlock":"0x1","toBlock":"0x66"}]"#),
        ),
        (
            "logs backwards",
            written(r#"[{"fromBlock":"0x2","toBlock":"0x1"}]"#),
        ),
        ("a transaction", Some(format!(r#"[{{"from":"{sender}"}}]"#))),
        (
            "a transaction with its nonce",
            Some(format!(r#"[{{"from":"{sender}","nonce":"0x5"}}]"#)),
        ),
        (
            "a sender and a nonce",
            Some(format!(r#"["{sender}","0x5"]"#)),
        ),
        ("a filter", Some(format!("[{filter}]"))),
    ]
}

/// A fleet of one node, whose head is 101.
fn of_one() -> FleetView {
    let now = testing::now();
    // The filters that calls name are its.
    let mut fleet = testing::fleet_of([testing::called(1, "a")], now);
    for _ in 0..3 {
        fleet.hear_round(&[(NodeId(1), testing::at(101))], now);
    }
    fleet.view()
}

/// The way of a plan, for a call alone or in a batch.
fn way(plan: &Plan, is_in_batch: bool) -> String {
    let name = match plan {
        Plan::Answer(_) => "answer",
        Plan::Give(_) => "give",
        Plan::Refuse(_) => "refuse",
        Plan::Forward(_) => "forward",
        Plan::Share { .. } => "share",
        Plan::LookUp(..) => "look up",
        Plan::CountNonces(..) => "count nonces",
        Plan::FillNonce(..) => "fill nonce",
        Plan::Sticky(..) => "sticky",
        Plan::Broadcast => "broadcast",
        Plan::AwaitBlock(..) => "await block",
        Plan::Subscribe => "subscribe",
        Plan::Unsubscribe => "unsubscribe",
    };
    let is_rather = |it: &ForwardPlan| matches!(it.affinity, Affinity::Rather(_));
    let rather = plan.forward().is_some_and(is_rather);
    let together = is_in_batch && plan.together(false, false).is_some();
    let of = |is: bool, word| if is { word } else { "" };
    format!(
        "{}{name}{}",
        of(together, "together "),
        of(rather, " rather")
    )
}

fn ways<M: CallMemory>(
    call: &Call<'_>,
    (view, memory): (&FleetView, &M),
    consistency: Consistency,
) -> String {
    let rules = MethodRules::new(vec![], vec![], vec![]);
    let pins = crate::call::tag_pins::of(view, consistency, None);
    let way = |is_in_batch: bool, has_socket: bool| {
        let by = PlanContext {
            view,
            rules: &rules,
            pins: &pins,
            fails_open: true,
            client: the_client(),
            has_socket,
            cache: None,
            wants_fresh: false,
            memory,
        };
        way(&plan(call, &by).plan, is_in_batch)
    };
    let ways = [
        way(false, false),
        way(false, true),
        way(true, false),
        way(true, true),
    ];
    ways.join(" | ")
}

fn written() -> String {
    let (none, one) = (FleetView::default(), of_one());
    let mut text = String::new();
    let names = TABLE.iter().map(|row| row.name).chain(["zks_unknown"]);
    for name in names {
        for fleet in ["no node", "a node"] {
            let mut found: Vec<(String, Vec<&str>)> = Vec::new();
            for (kind, params) in params() {
                let call = Call::new(Some("1"), name, params.as_deref());
                let ways = match fleet {
                    "no node" => ways(&call, (&none, &NoMemory), Consistency::None),
                    _ => ways(&call, (&one, &OneTransaction), Consistency::Monotonic),
                };
                match found.iter_mut().find(|(known, _)| *known == ways) {
                    Some((_, kinds)) => kinds.push(kind),
                    None => found.push((ways, vec![kind])),
                }
            }
            for (ways, kinds) in found {
                let kinds = if kinds.len() == params().len() {
                    "anything".to_string()
                } else {
                    kinds.join(", ")
                };
                writeln!(text, "{name}, {fleet}, {kinds}: {ways}").unwrap();
            }
        }
    }
    text
}

#[test]
fn each_method_goes_the_way_that_is_written_down() {
    let (written, wanted) = (written(), include_str!("ways.txt"));
    for (line, wanted) in written.lines().zip(wanted.lines()) {
        assert_eq!(line, wanted);
    }
    assert_eq!(written.lines().count(), wanted.lines().count());
}

/// What is in flight may come out of the store that balancers share.
#[test]
fn a_call_for_a_fresh_answer_shares_none() {
    let view = of_one();
    let rules = MethodRules::new(vec![], vec![], vec![]);
    let pins = crate::call::tag_pins::of(&view, Consistency::Monotonic, None);
    let planned = |call: &Call<'_>, wants_fresh| {
        let by = PlanContext {
            view: &view,
            rules: &rules,
            pins: &pins,
            fails_open: true,
            client: the_client(),
            has_socket: true,
            cache: None,
            wants_fresh,
            memory: &OneTransaction,
        };
        plan(call, &by).plan
    };
    let mut shared = 0;
    for row in TABLE {
        for (kind, params) in params() {
            let call = Call::new(Some("1"), row.name, params.as_deref());
            let wanted = match planned(&call, false) {
                Plan::Share { forward, .. } => {
                    shared += 1;
                    Plan::Forward(forward)
                }
                other => other,
            };
            assert_eq!(planned(&call, true), wanted, "{} of {kind}", row.name);
        }
    }
    assert!(shared > 100, "{shared}");
}

//! What nodes say to a transaction, and what becomes of it.

use std::time::Duration;

use super::*;
use crate::domain::chain::BlockNumber;
use crate::domain::chance::Seeded;
use crate::domain::fleet::{Fleet, Member, Probe, Yardstick};
use crate::domain::health::Hysteresis;
use crate::domain::node::{Rung, Weight};

fn said(code: i64, message: &str) -> Word {
    let error = RpcError {
        code,
        message: message.into(),
        data: None,
    };
    word(verdict::of_error(&error, 200, None).class, Some(&error))
}

#[test]
fn the_words_of_pools_are_understood() {
    for (code, message, wanted) in [
        (-32000, "already known", Word::Known),
        (-32000, "known transaction: 0xabc", Word::Known),
        (-32010, "AlreadyKnown, already imported", Word::Known),
        (-32000, "nonce too low", Word::Spent),
        (
            -32003,
            "nonce too low: next nonce 5, tx nonce 1",
            Word::Spent,
        ),
        (-32602, "invalid params", Word::Refused(2)),
        (
            -32000,
            "rlp: element is larger than containing list",
            Word::Refused(3),
        ),
        (-32000, "transaction underpriced", Word::Refused(3)),
        (
            -32000,
            "replacement transaction underpriced",
            Word::Refused(3),
        ),
        (
            -32000,
            "insufficient funds for gas * price + value",
            Word::Refused(3),
        ),
        (-32000, "txpool is full", Word::Refused(2)),
        (
            -32601,
            "the method does not exist/is not available",
            Word::Refused(1),
        ),
        (-32000, "unknown transaction type", Word::Refused(2)),
        (429, "slow down", Word::Untaken),
        (-32002, "request timed out", Word::Silent),
        // EIP-7966: sent, and in no block within its time.
        (
            4,
            "The transaction was added to the mempool but wasn't processed",
            Word::Unmined,
        ),
    ] {
        assert_eq!(said(code, message), wanted, "{message}");
    }
    for (class, wanted) in [
        (Class::Ok, Word::Accepted),
        (Class::NoConnection, Word::Untaken),
        (Class::Throttled, Word::Untaken),
        (Class::Shut, Word::Untaken),
        (Class::Timeout, Word::Silent),
        (Class::Transport, Word::Silent),
        (Class::BadAnswer, Word::Silent),
    ] {
        assert_eq!(word(class, None), wanted, "{class:?}");
    }
}

#[test]
fn the_first_that_takes_it_decides_whatever_was_said_before() {
    for before in [Word::Refused(3), Word::Spent, Word::Silent, Word::Untaken] {
        let mut broadcast = Broadcast::new(Form::Hash, true);
        assert_ne!(broadcast.hear(before), Use::Deliver, "{before:?}");
        assert_eq!(broadcast.hear(Word::Accepted), Use::Deliver);
    }
    let mut broadcast = Broadcast::new(Form::Hash, true);
    assert_eq!(broadcast.hear(Word::Known), Use::DeliverHash);
}

#[test]
fn nothing_is_called_failed_before_it_was_looked_up() {
    for doubtful in [Word::Silent, Word::Spent] {
        let mut broadcast = Broadcast::new(Form::Hash, true);
        broadcast.hear(Word::Refused(3));
        broadcast.hear(doubtful);
        assert!(broadcast.is_in_doubt(), "{doubtful:?}");
        assert!(!broadcast.goes_on(), "{doubtful:?}");
    }
    let mut silent = Broadcast::new(Form::Hash, true);
    silent.hear(Word::Silent);
    assert!(silent.is_in_doubt() && silent.goes_on());
}

#[test]
fn when_all_refuse_the_error_that_says_most_is_told() {
    let mut broadcast = Broadcast::new(Form::Hash, true);
    assert_eq!(broadcast.hear(Word::Refused(1)), Use::Keep);
    assert_eq!(broadcast.hear(Word::Refused(3)), Use::Keep);
    assert_eq!(broadcast.hear(Word::Refused(3)), Use::Drop);
    assert_eq!(broadcast.hear(Word::Refused(2)), Use::Drop);
    assert!(!broadcast.is_in_doubt() && !broadcast.goes_on());
    for word in [Word::Untaken, Word::Refused(1)] {
        let mut unheard = Broadcast::new(Form::Hash, true);
        unheard.hear(word);
        assert!(!unheard.is_in_doubt());
        assert!(unheard.goes_on(), "the leader may take it: {word:?}");
    }
}

#[test]
fn who_waits_for_a_receipt_is_not_told_that_the_transaction_is_known() {
    let mut broadcast = Broadcast::new(Form::Receipt, true);
    assert_eq!(broadcast.hear(Word::Known), Use::Keep);
    assert!(broadcast.is_in_doubt());
    assert_eq!(broadcast.hear(Word::Accepted), Use::Deliver);
}

#[test]
fn a_node_that_waited_in_vain_outweighs_one_that_only_has_it_and_a_receipt_both() {
    for words in [[Word::Known, Word::Unmined], [Word::Unmined, Word::Known]] {
        let mut broadcast = Broadcast::new(Form::Receipt, true);
        let uses = words.map(|word| broadcast.hear(word));
        let kept = uses.map(|told| told == Use::Keep);
        assert!(
            kept[usize::from(words[0] == Word::Known)],
            "{words:?}: {uses:?}"
        );
        assert_eq!(broadcast.kept, Some(UNMINED_RANK));
        assert!(broadcast.is_in_doubt() && !broadcast.waits(), "{words:?}");
        assert_eq!(broadcast.hear(Word::Accepted), Use::Deliver);
    }
    let mut known = Broadcast::new(Form::Receipt, true);
    known.hear(Word::Known);
    known.hear(Word::Refused(3));
    assert!(known.waits());
    let mut other = Broadcast::new(Form::Hash, true);
    other.hear(Word::Unmined);
    assert!(!other.is_in_doubt() && !other.waits());
}

#[test]
fn a_receipt_is_waited_for_as_long_as_the_call_says() {
    for (params, millis) in [
        (r#"["0x01"]"#, 20_000),
        (r#"["0x01",0]"#, 20_000),
        (r#"["0x01",null]"#, 20_000),
        (r#"["0x01","0x0"]"#, 20_000),
        (r#"["0x01",1500]"#, 1_500),
        (r#"["0x01","0x1f4"]"#, 500),
        (r#"["0x01","1f4"]"#, 20_000),
        (r#"["0x01",-1]"#, 20_000),
        ("x", 20_000),
    ] {
        assert_eq!(sync_time(params), Duration::from_millis(millis), "{params}");
    }
}

#[test]
fn without_a_hash_there_is_nothing_to_look_up() {
    let mut broadcast = Broadcast::new(Form::Hash, false);
    assert_eq!(broadcast.hear(Word::Known), Use::Keep);
    assert!(!broadcast.is_in_doubt() && !broadcast.goes_on());
}

/// The leader 0, and own nodes of weight 1 from 1 on, all fit.
fn fleet(own: u32, now: Instant) -> Fleet {
    let mut fleet = Fleet::new(Yardstick {
        chain_id: None,
        block_time: Duration::from_secs(12),
        look: Duration::from_secs(5),
        lag_blocks_max: 10,
        hysteresis: Hysteresis { rise: 2, fall: 3 },
    });
    let member = |id: u32| Member {
        id: NodeId(id),
        name: format!("{id}").into(),
        rung: if id == 0 { Rung::Leader } else { Rung::Own },
        weight: Weight::ONE,
    };
    fleet.replace((0..=own).map(member).collect(), now);
    let good = Probe::Answered {
        head: BlockNumber(9),
        chain_id: None,
        syncing: false,
    };
    let probes: Vec<_> = (0..=own).map(|id| (NodeId(id), good)).collect();
    fleet.hear_round(&probes, now);
    fleet
}

#[test]
fn it_goes_to_the_own_fit_nodes_and_to_no_more_than_wanted() {
    let now = crate::clock::now();
    let mut fleet = fleet(20, now);
    let mut dice = Seeded::new(3);
    let mut asked = |fleet: &Fleet, nodes_max: usize, first: &[u32]| {
        let first: Vec<_> = first.iter().copied().map(NodeId).collect();
        let wish = Spread {
            nodes_max,
            method: "eth_sendRawTransaction",
            first: &first,
            passed: &[NodeId(1)],
        };
        spread(&fleet.view(), Ladder::Own, wish, now, &mut dice)
    };
    assert_eq!(asked(&fleet, 3, &[]).len(), 3);
    let all = asked(&fleet, usize::MAX, &[]);
    assert_eq!(all.len(), NODES_MAX);
    assert_eq!(asked(&fleet, 2, &[7, 11]).len(), 2);
    assert!(asked(&fleet, 2, &[7, 11]).contains(&NodeId(11)));
    let some = asked(&fleet, usize::MAX, &[0, 1]);
    assert!(!some.contains(&NodeId(0)), "not the leader");
    assert!(!some.contains(&NodeId(1)), "it was asked already");
    fleet.throttle(NodeId(7), None, now);
    assert!(!asked(&fleet, 2, &[7]).contains(&NodeId(7)), "it rests");
}

#[test]
fn who_lacks_the_method_is_passed_over_while_another_is_left() {
    let now = crate::clock::now();
    let view = fleet(3, now).view();
    let mut dice = Seeded::new(3);
    let mut asked = |method: &str, passed: &[NodeId]| {
        let wish = Spread {
            nodes_max: usize::MAX,
            method,
            first: &[],
            passed,
        };
        let mut nodes = spread(&view, Ladder::Own, wish, now, &mut dice);
        nodes.sort_unstable_by_key(|id| id.0);
        nodes
    };
    let ids = |ids: &[u32]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    view.nodes[1].learn_lack("eth_sendRawTransactionSync", now);
    let sync = "eth_sendRawTransactionSync";
    assert_eq!(asked(sync, &[]), ids(&[2, 3]));
    assert_eq!(asked("eth_sendRawTransaction", &[]), ids(&[1, 2, 3]));
    assert_eq!(asked(sync, &ids(&[2, 3])), ids(&[1]), "no other is left");
}

#[test]
fn without_a_word_of_any_node_the_refusal_says_why() {
    for (heard, wanted) in [
        (&[][..], Refusal::NoNode),
        (&[Class::Timeout, Class::Transport], Refusal::Timeout),
        (
            &[Class::Throttled, Class::NoConnection],
            Refusal::RateLimited { seconds: 1 },
        ),
        (&[Class::Transport], Refusal::BadAnswer),
        (&[Class::NoConnection, Class::Transport], Refusal::BadAnswer),
        (&[Class::NoConnection, Class::Shut], Refusal::Unserved),
    ] {
        assert_eq!(refusal(heard), wanted, "{heard:?}");
    }
}

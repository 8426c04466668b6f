//! What nodes say to a transaction, and what becomes of it.

use std::time::Duration;

use AttemptClass::{BadAnswer, NoConnection, Shut, Throttled, Timeout, Transport};
use BroadcastAction::{Deliver, DeliverHash, Drop, Keep};
use BroadcastReply::{Accepted, Known, Refused, Silent, Spent, Unmined, Untaken};

use super::*;

fn said(code: i64, message: &str) -> BroadcastReply {
    let error = RpcError {
        code,
        message: message.into(),
        data: None,
    };
    word(classify::of_error(&error, 200, None).class, Some(&error))
}

#[test]
fn the_words_of_pools_are_understood() {
    for (code, message, wanted) in [
        (-32000, "already known", Known),
        (-32000, "known transaction: 0xabc", Known),
        (-32010, "AlreadyKnown, already imported", Known),
        (-32000, "nonce too low", Spent),
        (-32003, "nonce too low: next nonce 5, tx nonce 1", Spent),
        (-32602, "invalid params", Refused(2)),
        (
            -32000,
            "rlp: element is larger than containing list",
            Refused(3),
        ),
        (-32000, "transaction underpriced", Refused(3)),
        (-32000, "replacement transaction underpriced", Refused(3)),
        (
            -32000,
            "insufficient funds for gas * price + value",
            Refused(3),
        ),
        (-32000, "txpool is full", Refused(2)),
        (
            -32601,
            "the method does not exist/is not available",
            Refused(1),
        ),
        (-32000, "unknown transaction type", Refused(2)),
        (429, "slow down", Untaken),
        (-32002, "request timed out", Silent),
        // EIP-7966: sent, and in no block within its time.
        (
            4,
            "The transaction was added to the mempool but wasn't processed",
            Unmined,
        ),
    ] {
        assert_eq!(said(code, message), wanted, "{message}");
    }
    for (class, wanted) in [
        (AttemptClass::Ok, Accepted),
        (NoConnection, Untaken),
        (Throttled, Untaken),
        (Shut, Untaken),
        (Timeout, Silent),
        (Transport, Silent),
        (BadAnswer, Silent),
    ] {
        assert_eq!(word(class, None), wanted, "{class:?}");
    }
}

#[test]
fn the_first_that_takes_it_decides_whatever_was_said_before() {
    for before in [Refused(3), Spent, Silent, Untaken] {
        let mut broadcast = Broadcast::new(BroadcastForm::Hash, true);
        assert_ne!(broadcast.hear(before), Deliver, "{before:?}");
        assert_eq!(broadcast.hear(Accepted), Deliver);
    }
    let mut broadcast = Broadcast::new(BroadcastForm::Hash, true);
    assert_eq!(broadcast.hear(Known), DeliverHash);
}

#[test]
fn nothing_is_called_failed_before_it_was_looked_up() {
    for doubtful in [Silent, Spent] {
        let mut broadcast = Broadcast::new(BroadcastForm::Hash, true);
        broadcast.hear(Refused(3));
        broadcast.hear(doubtful);
        assert!(broadcast.is_in_doubt(), "{doubtful:?}");
        assert!(!broadcast.goes_on(), "{doubtful:?}");
    }
    let mut silent = Broadcast::new(BroadcastForm::Hash, true);
    silent.hear(Silent);
    assert!(silent.is_in_doubt() && silent.goes_on());
}

#[test]
fn when_all_refuse_the_error_that_says_most_is_told() {
    let mut broadcast = Broadcast::new(BroadcastForm::Hash, true);
    assert_eq!(broadcast.hear(Refused(1)), Keep);
    assert_eq!(broadcast.hear(Refused(3)), Keep);
    assert_eq!(broadcast.hear(Refused(3)), Drop);
    assert_eq!(broadcast.hear(Refused(2)), Drop);
    assert!(!broadcast.is_in_doubt() && !broadcast.goes_on());
    for word in [Untaken, Refused(1)] {
        let mut unheard = Broadcast::new(BroadcastForm::Hash, true);
        unheard.hear(word);
        assert!(!unheard.is_in_doubt());
        assert!(unheard.goes_on(), "the leader may take it: {word:?}");
    }
}

#[test]
fn a_caller_that_waits_for_a_receipt_is_not_told_that_the_transaction_is_known() {
    let mut broadcast = Broadcast::new(BroadcastForm::Receipt, true);
    assert_eq!(broadcast.hear(Known), Keep);
    assert!(broadcast.is_in_doubt());
    assert_eq!(broadcast.hear(Accepted), Deliver);
}

#[test]
fn a_node_that_waited_in_vain_outweighs_one_that_only_has_it_and_a_receipt_both() {
    for words in [[Known, Unmined], [Unmined, Known]] {
        let mut broadcast = Broadcast::new(BroadcastForm::Receipt, true);
        let uses = words.map(|word| broadcast.hear(word));
        let kept = uses.map(|told| told == Keep);
        assert!(kept[usize::from(words[0] == Known)], "{words:?}: {uses:?}");
        assert_eq!(broadcast.kept, Some(UNMINED_RANK));
        assert!(broadcast.is_in_doubt() && !broadcast.waits(), "{words:?}");
        assert_eq!(broadcast.hear(Accepted), Deliver);
    }
    let mut known = Broadcast::new(BroadcastForm::Receipt, true);
    known.hear(Known);
    known.hear(Refused(3));
    assert!(known.waits());
    let mut other = Broadcast::new(BroadcastForm::Hash, true);
    other.hear(Unmined);
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
    let mut broadcast = Broadcast::new(BroadcastForm::Hash, false);
    assert_eq!(broadcast.hear(Known), Keep);
    assert!(!broadcast.is_in_doubt() && !broadcast.goes_on());
}

#[test]
fn without_a_word_of_any_node_the_refusal_says_why() {
    for (heard, wanted) in [
        (&[][..], Refusal::NoNode),
        (&[Timeout, Transport], Refusal::Timeout),
        (
            &[Throttled, NoConnection],
            Refusal::RateLimited { seconds: 1 },
        ),
        (&[Transport], Refusal::BadAnswer),
        (&[NoConnection, Transport], Refusal::BadAnswer),
        (&[NoConnection, Shut], Refusal::Unserved),
    ] {
        assert_eq!(refusal(heard), wanted, "{heard:?}");
    }
}

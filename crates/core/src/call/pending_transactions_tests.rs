//! What is remembered of transactions that wait for a block, and for how long.

use super::*;
use crate::rpc::transaction;
use crate::vocabulary::caps::TRANSACTION_BYTES;

const BLOCK_TIME: Duration = Duration::from_secs(12);
const ALICE: Address = Address([0xa1; 20]);
const BOB: Address = Address([0xb0; 20]);

const ROOMY: PoolBounds = PoolBounds {
    transactions: 65_536,
    raw_bytes: 8 << 20,
};

fn at(number: u64) -> Option<NetworkMark> {
    Some(NetworkMark(number))
}

fn hash(number: u64) -> TxHash {
    transaction::hash_of(&number.to_be_bytes())
}

fn signed(sender: Address, nonce: u64) -> Option<SignedTransaction> {
    Some(SignedTransaction {
        sender,
        nonce,
        chain_id: None,
    })
}

fn sent(number: u64, sender: Address, nonce: u64) -> AcceptedTransaction<'static> {
    AcceptedTransaction {
        hash: hash(number),
        signed: signed(sender, nonce),
        marked: None,
        raw: b"raw",
        network: at(1),
    }
}

fn pooled(now: Instant, nonces: &[u64]) -> PooledTransactions {
    let mut pooled = PooledTransactions::default();
    for nonce in nonces {
        pooled.take(&sent(*nonce, ALICE, *nonce), NodeId(1), ROOMY, now);
    }
    pooled
}

#[test]
fn the_next_nonce_goes_on_from_what_nodes_count_up_to_a_gap() {
    let now = crate::testing::now();
    let mut pooled = pooled(now, &[5, 6, 8]);
    pooled.take(&sent(100, ALICE, 6), NodeId(1), ROOMY, now);
    pooled.take(&sent(101, BOB, 7), NodeId(1), ROOMY, now);
    for (counted, wanted) in [(0, 0), (4, 4), (5, 7), (6, 7), (7, 7), (8, 9), (20, 20)] {
        assert_eq!(pooled.next_nonce(ALICE, counted, now), wanted, "{counted}");
    }
    pooled.counted(ALICE, 6);
    assert_eq!(pooled.next_nonce(ALICE, 5, now), 5, "5 is in a block");
    assert_eq!(pooled.next_nonce(ALICE, 6, now), 7);
    pooled.counted(ALICE, 9);
    assert!(!pooled.knows(ALICE), "with 6 both are gone that had it");
    assert!(pooled.knows(BOB));
    assert_eq!((pooled.raw_bytes, pooled.by_nonce.len()), (3, 1));
}

#[test]
fn it_is_forgotten_ten_minutes_after_it_was_first_taken_however_often_it_is_sent() {
    let start = crate::testing::now();
    let mut pooled = pooled(start, &[5]);
    let late = start + TIME_MAX;
    pooled.take(&sent(5, ALICE, 5), NodeId(2), ROOMY, late);
    assert_eq!(pooled.holders(hash(5), late), [NodeId(1), NodeId(2)]);
    assert_eq!(pooled.next_nonce(ALICE, 5, late), 6);
    let later = late + Duration::from_secs(1);
    assert_eq!(pooled.holders(hash(5), later), []);
    assert_eq!(pooled.next_nonce(ALICE, 5, later), 5);
    assert_eq!(pooled.waiting(hash(5), later), None);
    pooled.take(&sent(7, BOB, 7), NodeId(1), ROOMY, later);
    assert_eq!(pooled.entries.len(), 1);
}

#[test]
fn what_a_node_has_shown_and_shows_no_more_is_forgotten_after_two_looks() {
    let start = crate::testing::now();
    let (one, other) = (NodeId(1), NodeId(2));
    let looks = |pooled: &mut PooledTransactions, node, way, is_shown, seconds| {
        let now = start + Duration::from_secs(seconds);
        pooled.looked(hash(5), (node, way, is_shown), BLOCK_TIME, now);
        pooled.knows(ALICE)
    };
    use PoolEvidence::{ByCount, ByHash};
    let mut pooled = pooled(start, &[5]);
    for seconds in [0, 20, 40] {
        assert!(
            looks(&mut pooled, other, ByHash, false, seconds),
            "it never showed it"
        );
    }
    assert!(looks(&mut pooled, one, ByHash, true, 50));
    assert!(looks(&mut pooled, one, ByHash, false, 51));
    assert_eq!(pooled.missed_by(hash(5)), [one]);
    assert!(
        looks(&mut pooled, one, ByHash, false, 70),
        "it may count it still"
    );
    assert!(looks(&mut pooled, one, ByCount, true, 70), "it does");
    assert!(looks(&mut pooled, one, ByHash, false, 90));
    assert!(looks(&mut pooled, one, ByCount, false, 91));
    assert!(looks(&mut pooled, one, ByHash, true, 92), "it came back");
    assert_eq!(pooled.missed_by(hash(5)), []);
    assert!(looks(&mut pooled, one, ByCount, false, 110));
    assert!(looks(&mut pooled, one, ByHash, false, 111));
    assert!(looks(&mut pooled, one, ByHash, false, 122), "too soon");
    assert!(!looks(&mut pooled, one, ByHash, false, 123));
    assert_eq!(
        pooled.holders(hash(5), start),
        [one],
        "the node that took it is known on"
    );
}

#[test]
fn a_pending_count_shows_all_nonces_below_it() {
    let start = crate::testing::now();
    let mut pooled = pooled(start, &[5, 6]);
    let at = |seconds| start + Duration::from_secs(seconds);
    for (count, seconds, wanted) in [(7, 0, 7), (6, 1, 7), (6, 13, 7)] {
        pooled.counted_pending(ALICE, (NodeId(1), count), BLOCK_TIME, at(seconds));
        assert_eq!(pooled.next_nonce(ALICE, 5, at(seconds)), wanted);
    }
    for (seconds, wanted) in [(14, 7), (26, 6)] {
        let look = (NodeId(1), PoolEvidence::ByHash, false);
        pooled.looked(hash(6), look, BLOCK_TIME, at(seconds));
        assert_eq!(pooled.next_nonce(ALICE, 5, at(seconds)), wanted);
    }
}

#[test]
fn whose_nonce_blocks_have_is_known_until_it_is_forgotten() {
    let now = crate::testing::now();
    let mut pooled = pooled(now, &[5, 6]);
    assert_eq!(pooled.claim(hash(5), now), Some((ALICE, 5)));
    pooled.counted(ALICE, 6);
    assert_eq!(pooled.waiting(hash(5), now), None);
    assert_eq!(pooled.claim(hash(5), now), Some((ALICE, 5)));
    pooled.counted(ALICE, 6);
    assert_eq!(pooled.claim(hash(5), now), Some((ALICE, 5)), "told again");
    for number in [5, 6] {
        pooled.forget(hash(number));
        assert_eq!(pooled.claim(hash(number), now), None);
    }
    assert_eq!((pooled.raw_bytes, pooled.by_nonce.len()), (0, 0));
    let late = now + TIME_MAX + Duration::from_secs(1);
    pooled.take(&sent(7, ALICE, 7), NodeId(1), ROOMY, now);
    assert_eq!(pooled.claim(hash(7), late), None);
}

#[test]
fn an_address_takes_up_a_quarter_and_not_one_more() {
    let now = crate::testing::now();
    let bounds = PoolBounds {
        transactions: 8,
        ..ROOMY
    };
    let mut pooled = PooledTransactions::default();
    for number in 0..20 {
        pooled.take(&sent(number, ALICE, number), NodeId(1), bounds, now);
    }
    assert_eq!(pooled.entries.len(), 2);
    for number in 20..30 {
        let other = AcceptedTransaction {
            network: at(number),
            ..sent(number, BOB, number)
        };
        pooled.take(&other, NodeId(1), bounds, now);
    }
    assert_eq!(pooled.entries.len(), 8, "in all");
    assert_eq!(pooled.by_network.len(), 8, "the oldest went");
    assert_eq!(pooled.by_nonce.len(), 8);
    // There is less room from now on, as of a chain that others came beside.
    let bounds = PoolBounds {
        transactions: 3,
        ..ROOMY
    };
    let last = AcceptedTransaction {
        network: at(99),
        ..sent(99, BOB, 99)
    };
    pooled.take(&last, NodeId(1), bounds, now);
    assert_eq!((pooled.entries.len(), pooled.by_network.len()), (3, 3));
}

#[test]
fn one_takes_no_more_memory_than_is_counted_for_it() {
    let nodes = 4;
    let of_nodes = size_of::<NodeId>() + WAYS * size_of::<PoolSighting>();
    let indexed = size_of::<(Address, u64, TxHash)>() + size_of::<(Instant, TxHash)>();
    // A table that has just grown is half empty.
    let held = 2 * (size_of::<(TxHash, PoolEntry)>() + indexed) + nodes * of_nodes;
    assert!(held as u64 <= TRANSACTION_BYTES, "{held}");
}

fn of_length(number: u64, network: u64, raw: &[u8]) -> AcceptedTransaction<'_> {
    AcceptedTransaction {
        raw,
        network: at(network),
        ..sent(number, ALICE, number)
    }
}

#[test]
fn what_is_too_long_counts_but_cannot_be_shown() {
    let now = crate::testing::now();
    let mut pooled = PooledTransactions::default();
    let long = vec![0; RAW_BYTES_MAX + 1];
    for (number, raw) in [(0, &long[1..]), (1, &long)] {
        pooled.take(&of_length(number, 1, raw), NodeId(1), ROOMY, now);
    }
    let raw = |number| pooled.waiting(hash(number), now).unwrap().raw.is_some();
    assert_eq!((raw(0), raw(1)), (true, false));
    assert_eq!(pooled.next_nonce(ALICE, 0, now), 2);
}

#[test]
fn bytes_are_kept_up_to_their_bound_and_of_one_address_up_to_a_quarter_of_it() {
    let now = crate::testing::now();
    let bounds = PoolBounds {
        raw_bytes: 800,
        ..ROOMY
    };
    let raw = [0; 100];
    let mut pooled = PooledTransactions::default();
    let is_shown = |pooled: &PooledTransactions, number| {
        let waiting = pooled.waiting(hash(number), now);
        waiting.unwrap().raw.is_some()
    };
    for number in 0..12 {
        let network = number / 3;
        pooled.take(&of_length(number, network, &raw), NodeId(1), bounds, now);
        let is_third = number % 3 == 2;
        assert_eq!(is_shown(&pooled, number), !is_third, "{number}");
    }
    assert_eq!(pooled.raw_bytes, 800);
    pooled.take(&of_length(12, 12, &raw[99..]), NodeId(1), bounds, now);
    assert!(!is_shown(&pooled, 12), "not one byte more");
    assert_eq!(pooled.next_nonce(ALICE, 0, now), 13, "all of them count");
    // What ends makes room, for its address and for others.
    pooled.forget(hash(0));
    pooled.take(&of_length(13, 0, &raw), NodeId(1), bounds, now);
    assert!(is_shown(&pooled, 13));
    pooled.counted(ALICE, 100);
    assert_eq!(pooled.raw_bytes, 0);
    let is_free = |held: &PoolUse| held.raw_bytes == 0;
    assert!(pooled.by_network.values().all(is_free));
}

#[test]
fn what_another_balancer_tells_by_a_mark_counts_once_its_sender_is_known() {
    let now = crate::testing::now();
    let (mark, other) = (SenderMark(7), SenderMark(8));
    let told = |number, mark| AcceptedTransaction {
        signed: None,
        marked: Some((mark, number)),
        raw: &[],
        ..sent(number, ALICE, number)
    };
    let mut pooled = pooled(now, &[5]);
    for (number, mark) in [(6, mark), (7, mark), (8, other), (9, mark)] {
        pooled.take(&told(number, mark), NodeId(2), ROOMY, now);
    }
    assert_eq!(pooled.next_nonce(ALICE, 5, now), 6, "nobody knows whose");
    pooled.forget(hash(9));
    pooled.name(mark, ALICE);
    assert_eq!(pooled.next_nonce(ALICE, 5, now), 8, "8 is another's");
    assert_eq!(pooled.holders_of(ALICE, 6, now), [NodeId(2)]);
    assert_eq!(pooled.claim(hash(7), now), Some((ALICE, 7)));
    assert_eq!(pooled.claim(hash(9), now), None, "it was forgotten before");
    assert_eq!(pooled.waiting(hash(7), now).unwrap().raw, None);
    pooled.counted(ALICE, 8);
    assert!(!pooled.knows(ALICE));
    assert_eq!(pooled.by_mark.len(), 1);
    // What is signed needs no mark.
    let whole = AcceptedTransaction {
        marked: Some((mark, 20)),
        ..sent(20, BOB, 20)
    };
    pooled.take(&whole, NodeId(1), ROOMY, now);
    assert_eq!((pooled.by_mark.len(), pooled.knows(BOB)), (1, true));
    let late = now + TIME_MAX + Duration::from_secs(1);
    pooled.take(&sent(99, BOB, 99), NodeId(1), ROOMY, late);
    assert_eq!((pooled.by_mark.len(), pooled.by_nonce.len()), (0, 1));
}

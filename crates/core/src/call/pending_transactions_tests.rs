//! What is remembered of transactions that wait for a block, and for how long.

use super::*;
use crate::rpc::transaction;

const BLOCK_TIME: Duration = Duration::from_secs(12);
const ALICE: Address = Address([0xa1; 20]);
const BOB: Address = Address([0xb0; 20]);

fn at(number: u8) -> Option<IpAddr> {
    Some([10, 0, 0, number].into())
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
        raw: b"raw",
        network: at(1),
    }
}

fn pooled(now: Instant, nonces: &[u64]) -> PooledTransactions {
    let mut pooled = PooledTransactions::new(1000);
    for nonce in nonces {
        pooled.take(&sent(*nonce, ALICE, *nonce), NodeId(1), now);
    }
    pooled
}

#[test]
fn the_next_nonce_goes_on_from_what_nodes_count_up_to_a_gap() {
    let now = crate::testing::now();
    let mut pooled = pooled(now, &[5, 6, 8]);
    pooled.take(&sent(100, ALICE, 6), NodeId(1), now);
    pooled.take(&sent(101, BOB, 7), NodeId(1), now);
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
    pooled.take(&sent(5, ALICE, 5), NodeId(2), late);
    assert_eq!(pooled.holders(hash(5), late), [NodeId(1), NodeId(2)]);
    assert_eq!(pooled.next_nonce(ALICE, 5, late), 6);
    let later = late + Duration::from_secs(1);
    assert_eq!(pooled.holders(hash(5), later), []);
    assert_eq!(pooled.next_nonce(ALICE, 5, later), 5);
    assert_eq!(pooled.waiting(hash(5), later), None);
    pooled.take(&sent(7, BOB, 7), NodeId(1), later);
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
        "who took it is known on"
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
    pooled.take(&sent(7, ALICE, 7), NodeId(1), now);
    assert_eq!(pooled.claim(hash(7), late), None);
}

#[test]
fn an_address_takes_up_a_quarter_and_not_one_more() {
    let now = crate::testing::now();
    let mut pooled = PooledTransactions::new(8);
    for number in 0..20 {
        pooled.take(&sent(number, ALICE, number), NodeId(1), now);
    }
    assert_eq!(pooled.entries.len(), 2);
    for number in 20..30_u8 {
        let other = AcceptedTransaction {
            network: at(number),
            ..sent(number.into(), BOB, number.into())
        };
        pooled.take(&other, NodeId(1), now);
    }
    assert_eq!(pooled.entries.len(), 8, "in all");
    assert_eq!(pooled.by_network.len(), 8, "the oldest went");
    assert_eq!(pooled.by_nonce.len(), 8);
}

#[test]
fn what_is_too_long_counts_but_cannot_be_shown() {
    let now = crate::testing::now();
    let mut pooled = PooledTransactions::new(10_000);
    let long = vec![0; RAW_BYTES_MAX + 1];
    for (number, raw) in [(0, &long[1..]), (1, &long)] {
        let sent = AcceptedTransaction {
            raw,
            ..sent(number, ALICE, number)
        };
        pooled.take(&sent, NodeId(1), now);
    }
    let raw = |number| pooled.waiting(hash(number), now).unwrap().raw.is_some();
    assert_eq!((raw(0), raw(1)), (true, false));
    assert_eq!(pooled.next_nonce(ALICE, 0, now), 2);
    let fit = ALL_BYTES_MAX / RAW_BYTES_MAX;
    let mut pooled = PooledTransactions::new(10_000);
    for number in 0..=fit as u64 {
        let sent = AcceptedTransaction {
            raw: &long[1..],
            ..sent(number, ALICE, number)
        };
        pooled.take(&sent, NodeId(1), now);
    }
    assert_eq!(pooled.raw_bytes, ALL_BYTES_MAX);
    assert_eq!(pooled.next_nonce(ALICE, 0, now), fit as u64 + 1);
}

//! How much a node lets itself be asked for at once: what it refused as too wide is asked of others
//! first, for a while. Read without a lock, and only for calls that ask for a range.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use foldhash::fast::FixedState;

use crate::json::scanner;
use crate::rpc::classify::{AnnouncedLimit, LimitedQuantity};
use crate::vocabulary::block_ref::BlockRange;

/// How long a refusal is remembered.
pub const MEMORY: Duration = Duration::from_secs(600);
/// Refusals remembered for one node; the oldest gives way.
pub const LIMITS_MAX: usize = 64;

/// How much a call asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuerySize {
    /// Of its range; 0: not known.
    pub blocks: u64,
    /// Addresses, or topics at one position: whichever are more.
    pub addresses: u64,
    /// Of the addresses and topics.
    fingerprint: u64,
}

impl QuerySize {
    /// Of a call whose first parameter is a filter; `need`: the blocks that it speaks of.
    pub fn read(params: &str, need: Option<BlockRange>) -> QuerySize {
        let params = params.as_bytes();
        let mut breadth = QuerySize {
            blocks: need.map_or(0, |need| (need.to.0 - need.from.0).saturating_add(1)),
            ..QuerySize::default()
        };
        let Some(filter) = scanner::elements(params, 0).next() else {
            return breadth;
        };
        let mut hasher = FixedState::default().build_hasher();
        for (key, value) in scanner::members(params, filter.start) {
            match &params[key] {
                b"\"address\"" => breadth.see(params, value.start),
                b"\"topics\"" => {
                    for position in scanner::elements(params, value.start) {
                        breadth.see(params, position.start);
                    }
                }
                _ => continue,
            }
            params[value].hash(&mut hasher);
        }
        breadth.fingerprint = hasher.finish();
        breadth
    }

    /// A value, or an array of values, at `at`.
    fn see(&mut self, params: &[u8], at: usize) {
        let count = match params.get(at) {
            Some(b'[') => scanner::elements(params, at).count(),
            Some(_) | None => 1,
        };
        self.addresses = self.addresses.max(count as u64);
    }
}

/// What one node refused.
#[derive(Debug, Default)]
pub struct NodeLimits {
    known: ArcSwap<Vec<NodeLimit>>,
}

#[derive(Clone, Debug)]
struct NodeLimit {
    method: Arc<str>,
    bound: LimitBound,
    until: Instant,
}

/// What is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LimitBound {
    /// More blocks than these.
    Blocks(u64),
    Addresses(u64),
    /// Of these addresses and topics a range as wide as this, or wider.
    Results {
        fingerprint: u64,
        blocks: u64,
    },
}

impl LimitBound {
    /// What refuses `asked`; `None`: the number told doesn't.
    fn of(ceiling: AnnouncedLimit, asked: &QuerySize) -> Option<LimitBound> {
        // Without a number: whatever is as wide.
        let most = |asked: u64| ceiling.number.unwrap_or(asked.saturating_sub(1));
        let bound = match ceiling.on {
            LimitedQuantity::Blocks => LimitBound::Blocks(most(asked.blocks)),
            LimitedQuantity::Addresses => LimitBound::Addresses(most(asked.addresses)),
            LimitedQuantity::Results => LimitBound::Results {
                fingerprint: asked.fingerprint,
                blocks: asked.blocks,
            },
        };
        bound.refuses(asked).then_some(bound)
    }

    fn refuses(self, asked: &QuerySize) -> bool {
        match self {
            LimitBound::Blocks(most) => asked.blocks > most,
            LimitBound::Addresses(most) => asked.addresses > most,
            LimitBound::Results {
                fingerprint,
                blocks,
            } => asked.fingerprint == fingerprint && asked.blocks >= blocks,
        }
    }
}

impl NodeLimits {
    /// Whether the node is known to refuse a call of `method` that asks for so much.
    pub fn refuses(&self, method: &str, asked: &QuerySize, now: Instant) -> bool {
        let known = self.known.load();
        known.iter().any(|limit| {
            &*limit.method == method && now < limit.until && limit.bound.refuses(asked)
        })
    }

    /// The node refused a call of `method` that asked for so much.
    pub fn learn(&self, method: &str, ceiling: AnnouncedLimit, asked: &QuerySize, now: Instant) {
        let Some(bound) = LimitBound::of(ceiling, asked) else {
            return;
        };
        let limit = NodeLimit {
            method: method.into(),
            bound,
            until: now + MEMORY,
        };
        self.known.rcu(|known| {
            let is_same = |old: &NodeLimit| old.method == limit.method && old.bound == limit.bound;
            let others = known.iter().filter(|old| !is_same(old) && now < old.until);
            let mut next: Vec<_> = others.cloned().collect();
            if next.len() == LIMITS_MAX {
                next.remove(0);
            }
            next.push(limit.clone());
            next
        });
    }

    /// The node answered a call of `method` that asked for so much: nothing that refuses it holds.
    pub fn hear_well(&self, method: &str, asked: &QuerySize) {
        let is_wrong = |limit: &NodeLimit| &*limit.method == method && limit.bound.refuses(asked);
        if self.known.load().iter().any(is_wrong) {
            self.known.rcu(|known| {
                let others = known.iter().filter(|limit| !is_wrong(limit));
                others.cloned().collect::<Vec<_>>()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::classify::LimitedQuantity::{Addresses, Blocks, Results};
    use crate::vocabulary::block_ref::BlockData;
    use crate::vocabulary::chain::BlockNumber;

    const LOGS: &str = "eth_getLogs";

    fn query(blocks: u64, filter: &str) -> QuerySize {
        let need = BlockRange {
            from: BlockNumber(101),
            to: BlockNumber(100 + blocks),
            reads: BlockData::Receipts,
        };
        QuerySize::read(&format!("[{filter}]"), Some(need))
    }

    fn told(on: LimitedQuantity, number: Option<u64>) -> AnnouncedLimit {
        AnnouncedLimit { on, number }
    }

    fn learn(limits: &NodeLimits, told: AnnouncedLimit, asked: &QuerySize, now: Instant) {
        limits.learn(LOGS, told, asked, now);
    }

    #[test]
    fn a_filter_tells_how_much_is_asked_for() {
        let asked = |filter| query(5, filter);
        assert_eq!(asked("{}").blocks, 5);
        assert_eq!(asked(r#"{"address":"0xa"}"#).addresses, 1);
        assert_eq!(asked(r#"{"address":["0xa","0xb"]}"#).addresses, 2);
        let many = r#"{"address":"0xa","topics":[null,["0x1","0x2","0x3"]]}"#;
        assert_eq!(asked(many).addresses, 3);
        assert_ne!(asked(many), asked(r#"{"address":"0xa"}"#));
        let wider = query(9, many);
        assert_eq!(wider.fingerprint, asked(many).fingerprint);
        for odd in ["", "7", "null", "[", "{\"address\""] {
            assert_eq!(asked(odd).addresses, 0, "{odd}");
        }
        assert_eq!(QuerySize::read("", None).blocks, 0);
    }

    #[test]
    fn a_range_wider_than_the_number_told_is_refused_for_ten_minutes() {
        let now = crate::testing::now();
        let limits = NodeLimits::default();
        learn(&limits, told(Blocks, Some(1000)), &query(1000, "{}"), now);
        let refuses = |blocks, at| limits.refuses(LOGS, &query(blocks, "{}"), at);
        assert!(!refuses(5000, now), "what was asked is within the number");
        learn(&limits, told(Blocks, Some(1000)), &query(1001, "{}"), now);
        assert!(refuses(1001, now) && refuses(5000, now) && !refuses(1000, now));
        assert!(!limits.refuses("trace_filter", &query(5000, "{}"), now));
        assert!(refuses(1001, now + MEMORY - Duration::from_millis(1)));
        assert!(!refuses(1001, now + MEMORY));
        limits.hear_well(LOGS, &query(1000, "{}"));
        assert!(refuses(1001, now));
        limits.hear_well(LOGS, &query(1500, "{}"));
        assert!(!refuses(5000, now), "it took one as wide");
    }

    #[test]
    fn without_a_number_what_is_as_wide_is_refused() {
        let now = crate::testing::now();
        let limits = NodeLimits::default();
        learn(&limits, told(Blocks, None), &query(300, "{}"), now);
        let refuses = |blocks| limits.refuses(LOGS, &query(blocks, "{}"), now);
        assert!(refuses(300) && refuses(301) && !refuses(299));
    }

    #[test]
    fn many_addresses_are_refused_whatever_the_range() {
        let now = crate::testing::now();
        let limits = NodeLimits::default();
        let three = query(1, r#"{"address":["0x1","0x2","0x3"]}"#);
        learn(&limits, told(Addresses, Some(2)), &three, now);
        assert!(limits.refuses(LOGS, &three, now));
        let two = query(9000, r#"{"address":["0x1","0x2"]}"#);
        assert!(!limits.refuses(LOGS, &two, now));
    }

    #[test]
    fn too_many_results_are_of_these_addresses_and_a_range_as_wide() {
        let now = crate::testing::now();
        let limits = NodeLimits::default();
        let (a, b) = (r#"{"address":"0xa"}"#, r#"{"address":"0xb"}"#);
        learn(&limits, told(Results, Some(10_000)), &query(50, a), now);
        let refuses = |blocks, filter| limits.refuses(LOGS, &query(blocks, filter), now);
        assert!(refuses(50, a) && refuses(51, a));
        assert!(!refuses(49, a) && !refuses(5000, b));
    }

    #[test]
    fn the_oldest_refusal_gives_way() {
        let now = crate::testing::now();
        let limits = NodeLimits::default();
        for method in 0..=LIMITS_MAX {
            let ceiling = told(Blocks, Some(1));
            limits.learn(&format!("m{method}"), ceiling, &query(2, "{}"), now);
        }
        let refuses = |method: &str| limits.refuses(method, &query(2, "{}"), now);
        assert!(!refuses("m0") && refuses("m1") && refuses("m64"));
    }
}

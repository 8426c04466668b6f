//! What there is only so much of in the process, and how much of it each chain has.
//!
//! With one chain a look at it costs what a counter costs. With several, one that is within its reserve
//! looks at its own count alone; only one that wants more looks at all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use forebay_core::vocabulary::caps::Caps;
use forebay_core::vocabulary::shares::Division;

/// Work that goes on after its client was answered, at once; and the bytes that it holds.
pub const SENDS_MAX: u64 = 4_096;
pub const SENDS_BYTES_MAX: u64 = 256 << 20;

/// What is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Requests inside.
    Requests = 0,
    /// Bytes of their bodies and heads.
    Bodies = 1,
    /// Bytes of nodes' answers that are held whole.
    Answers = 2,
    /// Bytes of answers that wait for their clients.
    Unsent = 3,
    /// Clients' sockets.
    Sockets = 4,
    /// Work that goes on after its client was answered.
    Sends = 5,
    /// Bytes that it holds.
    SendsBytes = 6,
    /// Transactions that are remembered, in equal parts.
    Transactions = 7,
    /// Bytes of those that can be shown, likewise.
    TransactionBytes = 8,
    /// Clients' connections of which it is known for which chain they are.
    Connections = 9,
}

const KINDS: usize = 10;

/// What one chain has of each.
#[derive(Debug, Default)]
struct ChainUsage([AtomicU64; KINDS]);

impl ChainUsage {
    fn of(&self, what: Resource) -> &AtomicU64 {
        &self.0[what as usize]
    }
}

/// All of it.
#[derive(Debug)]
pub struct ProcessLimits {
    most: [AtomicU64; KINDS],
    /// Chains that share it.
    chains: AtomicU64,
    usages: ArcSwap<Vec<Arc<ChainUsage>>>,
    changing: Mutex<()>,
}

/// One chain's part. Dropped, when all that was taken has been given back, it leaves the others its reserve.
#[derive(Debug)]
pub struct ChainShare {
    limits: Arc<ProcessLimits>,
    usage: Arc<ChainUsage>,
}

impl ProcessLimits {
    pub fn new(caps: &Caps) -> Arc<ProcessLimits> {
        let most = [
            caps.requests as u64,
            caps.bodies as u64,
            caps.answers,
            caps.unsent,
            caps.sockets as u64,
            SENDS_MAX,
            SENDS_BYTES_MAX,
            caps.transactions as u64,
            caps.transaction_bytes as u64,
            caps.connections as u64,
        ];
        Arc::new(ProcessLimits {
            most: most.map(AtomicU64::new),
            chains: AtomicU64::new(0),
            usages: ArcSwap::default(),
            changing: Mutex::default(),
        })
    }

    /// A part for one more chain.
    pub fn share(self: &Arc<Self>) -> ChainShare {
        let usage = Arc::new(ChainUsage::default());
        self.change(|usages| usages.push(usage.clone()));
        self.chains.fetch_add(1, Ordering::SeqCst);
        ChainShare {
            limits: self.clone(),
            usage,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<ChainUsage>>)) {
        let _one = self.changing.lock();
        let mut usages = Vec::clone(&self.usages.load());
        change(&mut usages);
        self.usages.store(Arc::new(usages));
    }

    pub fn most(&self, of: Resource) -> u64 {
        self.most[of as usize].load(Ordering::Relaxed)
    }

    pub fn set_most(&self, of: Resource, most: u64) {
        self.most[of as usize].store(most, Ordering::Relaxed);
    }

    /// What all chains together have.
    #[cfg(test)]
    pub fn taken(&self, of: Resource) -> u64 {
        let usages = self.usages.load();
        let counts = usages.iter().map(|usage| usage.of(of));
        counts.map(|count| count.load(Ordering::SeqCst)).sum()
    }

    fn division(&self, most: u64) -> Division {
        Division {
            most,
            chains: self.chains.load(Ordering::Relaxed),
        }
    }
}

impl ChainShare {
    /// All that there is, for one chain alone.
    pub fn alone(caps: &Caps) -> ChainShare {
        ProcessLimits::new(caps).share()
    }

    /// What this chain has.
    pub fn own(&self, of: Resource) -> u64 {
        self.usage.of(of).load(Ordering::Relaxed)
    }

    pub fn limits(&self) -> &Arc<ProcessLimits> {
        &self.limits
    }

    /// What is this chain's of something that is shared out in equal parts.
    pub fn part(&self, of: Resource) -> usize {
        let chains = self.limits.chains.load(Ordering::Relaxed);
        usize::try_from(self.limits.most(of) / chains.max(1)).unwrap_or(usize::MAX)
    }

    /// Takes `amount`; `false` when it can't be had.
    pub fn take(&self, of: Resource, amount: u64) -> bool {
        self.take_within(of, amount, self.limits.most(of))
    }

    /// As [`ChainShare::take`], as if there were no more than `most`.
    pub fn take_within(&self, of: Resource, amount: u64, most: u64) -> bool {
        let count = self.usage.of(of);
        // Counted before it is looked: of several that take at once the last sees all the others.
        let before = count.fetch_add(amount, Ordering::SeqCst);
        let division = self.limits.division(most);
        let fits = before.saturating_add(amount) <= division.reserve()
            || (division.chains > 1 && amount <= self.left_beside(of, division, (before, amount)));
        if !fits {
            count.fetch_sub(amount, Ordering::SeqCst);
        }
        fits
    }

    /// What is left of the reserve for one that has `own`.
    pub fn left_of_reserve(&self, of: Resource, own: u64) -> u64 {
        let division = self.limits.division(self.limits.most(of));
        division.reserve().saturating_sub(own)
    }

    /// What is left in all for one that had `own` before it took `amount`.
    pub fn left_in_all(&self, of: Resource, own: u64, amount: u64) -> u64 {
        let division = self.limits.division(self.limits.most(of));
        match division.chains > 1 {
            true => self.left_beside(of, division, (own, amount)),
            false => division.reserve().saturating_sub(own),
        }
    }

    /// `before` is what it had, without `amount`, that is counted already.
    fn left_beside(&self, of: Resource, division: Division, (before, amount): (u64, u64)) -> u64 {
        let usages = self.limits.usages.load();
        let counts = usages.iter().map(|usage| usage.of(of));
        let beyond = counts.map(|count| division.beyond(count.load(Ordering::SeqCst)));
        let beyond: u64 = beyond.sum();
        let own = division.beyond(before.saturating_add(amount)) - division.beyond(before);
        division.left(before, beyond.saturating_sub(own))
    }

    /// Gives back what was taken.
    pub fn give(&self, of: Resource, amount: u64) {
        self.usage.of(of).fetch_sub(amount, Ordering::SeqCst);
    }

    #[cfg(test)]
    pub fn fill(&self, of: Resource, amount: u64) {
        self.usage.of(of).fetch_add(amount, Ordering::SeqCst);
    }
}

impl Drop for ChainShare {
    fn drop(&mut self) {
        self.limits.chains.fetch_sub(1, Ordering::SeqCst);
        let own = &self.usage;
        self.limits
            .change(|usages| usages.retain(|usage| !Arc::ptr_eq(usage, own)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: Resource = Resource::Requests;

    fn limits(most: usize) -> Arc<ProcessLimits> {
        ProcessLimits::new(&Caps {
            requests: most,
            ..Caps::ROOMY
        })
    }

    fn fill(share: &ChainShare) -> u64 {
        (0..10_000).map(|_| u64::from(share.take(OF, 1))).sum()
    }

    #[test]
    fn one_chain_has_all_and_not_one_more() {
        let share = limits(10).share();
        assert_eq!(fill(&share), 10);
        share.give(OF, 1);
        assert!(share.take(OF, 1) && !share.take(OF, 1));
    }

    #[test]
    fn beside_one_that_floods_another_finds_its_reserve() {
        let limits = limits(800);
        let shares: Vec<_> = (0..4).map(|_| limits.share()).collect();
        assert_eq!(fill(&shares[0]), 400);
        assert!(shares[1..].iter().all(|share| fill(share) >= 100));
        assert!(limits.taken(OF) <= 800);
    }

    #[test]
    fn what_a_chain_had_is_the_others_when_it_is_gone() {
        let limits = limits(800);
        let (one, other) = (limits.share(), limits.share());
        assert!(fill(&one) < 800);
        let own = one.own(OF);
        one.give(OF, own);
        drop(other);
        assert_eq!(fill(&one), 800);
    }

    #[test]
    fn what_is_shared_out_in_equal_parts_is_less_with_each_chain_more() {
        let limits = limits(1);
        let one = limits.share();
        assert_eq!(one.part(Resource::Transactions), 65_536);
        assert_eq!(one.part(Resource::TransactionBytes), 8 << 20);
        let others = [limits.share(), limits.share(), limits.share()];
        let parts = [&one, &others[0]].map(|share| share.part(Resource::TransactionBytes));
        assert_eq!(parts, [2 << 20; 2]);
        drop(others);
        assert_eq!(one.part(Resource::Transactions), 65_536);
    }

    #[test]
    fn many_at_once_never_take_more_than_there_is() {
        let limits = limits(1000);
        let shares: Vec<_> = (0..4).map(|_| limits.share()).collect();
        std::thread::scope(|scope| {
            for share in &shares {
                scope.spawn(|| fill(share));
            }
        });
        assert!(limits.taken(OF) <= 1000, "{}", limits.taken(OF));
    }
}

//! Why a node gets no calls, or fewer: the reasons, and all that is said of each, in one table.

/// Why a node gets no calls, or fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its head is further behind the reference than `lag_blocks_max`.
    Lagging,
    /// It doesn't answer probes.
    Silent,
    /// `eth_syncing` says so, and it isn't at the head of the chain.
    Syncing,
    /// It tells another chain's id.
    WrongChain,
    /// Its blocks are others than those that most nodes have.
    Forked,
    /// Its head went back, further behind the reference than `lag_blocks_max`.
    Rollback,
    /// Its head is block 0, while the reference is above: geth says so in snap sync.
    HeightZero,
    /// Its head stands still while another node's goes on.
    Stuck,
    /// Its calls failed time after time: it is benched.
    Faults,
    /// It asked for a rest, of a rate limit or of a quota.
    Throttled,
    /// It refuses connections.
    Refused,
    /// Its name has no address.
    Dns,
    /// No TLS session with it can be made.
    Tls,
    /// It doesn't let us in: HTTP 401 or 403, or words to that effect.
    Auth,
    /// What was paid for is used up, or not paid for.
    Quota,
    /// It asked for a rest before it ever told its head.
    RateLimited,
    /// What it answers isn't what was asked for, or isn't JSON-RPC at all.
    BadAnswer,
}

/// How many rounds with it put a node out, and what brings the node back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReasonKind {
    /// One round is enough.
    Certain,
    /// As [`ReasonKind::Certain`], and it stays out until an operator acts.
    Final,
    /// What a probe or calls met: several rounds.
    Met,
    /// What it says of itself: several rounds.
    Said,
}

/// One row.
struct ReasonRow {
    reason: Reason,
    /// The metrics' value.
    label: &'static str,
    kind: ReasonKind,
    /// As the second half of a sentence about the node.
    words: &'static str,
    /// The same for a column.
    short: &'static str,
    /// What has to happen before the node gets calls again.
    way_back: &'static str,
}

const fn row(
    reason: Reason,
    label: &'static str,
    kind: ReasonKind,
    [words, short, way_back]: [&'static str; 3],
) -> ReasonRow {
    ReasonRow {
        reason,
        label,
        kind,
        words,
        short,
        way_back,
    }
}

/// In the order of [`Reason`].
#[rustfmt::skip]
const TABLE: [ReasonRow; 17] = [
    row(Reason::Lagging, "lagging", ReasonKind::Certain, [
        "its head is too many blocks behind the reference",
        "is behind",
        "it returns by itself once it has caught up",
    ]),
    row(Reason::Silent, "silent", ReasonKind::Met, [
        "it does not answer probes",
        "does not answer",
        "it returns by itself once it answers; look whether it runs",
    ]),
    row(Reason::Syncing, "syncing", ReasonKind::Said, [
        "it says that it is still syncing",
        "is syncing",
        "it returns by itself once it has synced",
    ]),
    row(Reason::WrongChain, "wrong_chain", ReasonKind::Final, [
        "it is on another chain than the rest",
        "is on another chain",
        "correct its URL or the chain's id",
    ]),
    row(Reason::Forked, "forked", ReasonKind::Certain, [
        "its blocks are others than those that most nodes have (a fork)",
        "is on a fork",
        "it returns by itself once it has the blocks of the others",
    ]),
    row(Reason::Rollback, "rollback", ReasonKind::Certain, [
        "its head went back, too many blocks behind the reference",
        "fell back",
        "it returns by itself once it has caught up",
    ]),
    row(Reason::HeightZero, "height_zero", ReasonKind::Certain, [
        "its head is block 0, while the chain is further",
        "has no blocks yet",
        "it returns by itself once it has synced",
    ]),
    row(Reason::Stuck, "stuck", ReasonKind::Certain, [
        "its head stands still, while another node's goes on",
        "stands still",
        "it returns by itself once its head moves; look whether it has peers",
    ]),
    row(Reason::Faults, "faults", ReasonKind::Met, [
        "its calls failed time after time",
        "its calls failed",
        "it returns once its probes are good",
    ]),
    row(Reason::Throttled, "throttled", ReasonKind::Met, [
        "it asked to be left alone for a while (rate limit or quota)",
        "asked for a rest",
        "it returns by itself after its rest",
    ]),
    row(Reason::Refused, "refused", ReasonKind::Met, [
        "it refuses connections",
        "does not answer",
        "look whether it runs, and listens for more than its own machine",
    ]),
    row(Reason::Dns, "dns", ReasonKind::Met, [
        "its name does not resolve",
        "does not answer",
        "correct the name in its URL, or look at the resolver",
    ]),
    row(Reason::Tls, "tls", ReasonKind::Met, [
        "no TLS session with it can be made",
        "does not answer",
        "look at its certificate, its URL and `ca_file`",
    ]),
    row(Reason::Auth, "auth", ReasonKind::Met, [
        "it refuses us",
        "gives no good answer",
        "correct its key, its URL, or whom it lets in",
    ]),
    row(Reason::Quota, "quota", ReasonKind::Met, [
        "its quota is used up, or not paid for",
        "gives no good answer",
        "see to its plan",
    ]),
    row(Reason::RateLimited, "rate_limited", ReasonKind::Met, [
        "it limits our rate, and has not told its head yet",
        "asked for a rest",
        "it returns by itself after its rest",
    ]),
    row(Reason::BadAnswer, "bad_answer", ReasonKind::Met, [
        "its answers to probes are not good ones",
        "gives no good answer",
        "look at its URL, and at what stands in front of it",
    ]),
];

impl Reason {
    /// In the order of their declaration.
    pub const ALL: [Reason; TABLE.len()] = {
        let mut all = [Reason::Lagging; TABLE.len()];
        let mut at = 0;
        while at < TABLE.len() {
            // A row out of its place would be another reason's.
            assert!(TABLE[at].reason as usize == at);
            all[at] = TABLE[at].reason;
            at += 1;
        }
        all
    };

    fn about(self) -> &'static ReasonRow {
        &TABLE[self as usize]
    }

    /// The metrics' value.
    pub fn as_str(self) -> &'static str {
        self.about().label
    }

    /// Why a node is out, as the second half of a sentence about it.
    pub fn in_words(self) -> &'static str {
        self.about().words
    }

    /// The same in few words, for a column.
    pub fn in_short(self) -> &'static str {
        self.about().short
    }

    /// What has to happen before the node gets calls again.
    pub fn way_back(self) -> &'static str {
        self.about().way_back
    }

    /// Whether one bad round is enough.
    pub(crate) fn is_certain(self) -> bool {
        match self.about().kind {
            ReasonKind::Certain | ReasonKind::Final => true,
            ReasonKind::Met | ReasonKind::Said => false,
        }
    }

    /// Whether the node stays out until an operator acts; others may heal by themselves.
    pub fn is_final(self) -> bool {
        self.about().kind == ReasonKind::Final
    }

    /// Whether what the last probe met says more of it.
    pub fn is_met(self) -> bool {
        self.about().kind == ReasonKind::Met
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn one_round_is_enough_for_what_is_certain_and_a_probe_says_more_of_what_it_met() {
        let of = |is: fn(Reason) -> bool| {
            let those = Reason::ALL.into_iter().filter(|reason| is(*reason));
            those.map(Reason::as_str).collect::<Vec<_>>().join(" ")
        };
        let certain = "lagging wrong_chain forked rollback height_zero stuck";
        assert_eq!(of(Reason::is_certain), certain);
        assert_eq!(of(Reason::is_final), "wrong_chain");
        let met = "silent faults throttled refused dns tls auth quota rate_limited bad_answer";
        assert_eq!(of(Reason::is_met), met);
    }

    #[test]
    fn each_reason_has_a_label_and_words_of_its_own() {
        let of = |what: fn(Reason) -> &'static str| {
            let all: BTreeSet<_> = Reason::ALL.map(what).into();
            all.len()
        };
        assert_eq!(of(Reason::as_str), Reason::ALL.len());
        assert_eq!(of(Reason::in_words), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(!reason.in_short().is_empty() && !reason.way_back().is_empty());
            assert!(!reason.in_words().contains('\n'));
        }
    }
}

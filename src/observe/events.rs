//! What changed in the fleet, in plain words, for the log.

use std::time::Duration;

use log::Level;

use forebay_core::fleet::FleetChange;
use forebay_core::fleet::probe_failure::ProbeFailure;
use forebay_core::fleet::reference::{LeaderDoubt, ReferenceSource};
use forebay_core::fleet::standing::{HealthTransition, Reason};

/// One sentence on a change, and how loudly to say it.
pub fn sentence(change: &FleetChange) -> (Level, String) {
    match change {
        FleetChange::Node {
            name,
            transition,
            probe_failure,
        } => of_node(name, *transition, probe_failure.as_ref()),
        FleetChange::Reference { source, doubt } => of_reference(*source, *doubt),
        FleetChange::Fallback { on: true } => (
            Level::Warn,
            "no own node is fit: calls now go to the leader and the fallback nodes".to_string(),
        ),
        FleetChange::Fallback { on: false } => (
            Level::Info,
            "an own node is fit again: calls no longer go to the leader and the fallback nodes"
                .to_string(),
        ),
        FleetChange::BlockTime {
            block_time,
            setting,
            differs,
        } => of_block_time(*block_time, *setting, *differs),
    }
}

/// The kind of a change, in one word.
pub fn kind(change: &FleetChange) -> &'static str {
    match change {
        FleetChange::Node { transition, .. } => match transition {
            HealthTransition::Admitted => "admitted",
            HealthTransition::Left(_) => "left",
            HealthTransition::Returned => "returned",
            HealthTransition::Benched { .. } => "benched",
        },
        FleetChange::Reference { .. } => "reference",
        FleetChange::Fallback { on: true } => "fallback_on",
        FleetChange::Fallback { on: false } => "fallback_off",
        FleetChange::BlockTime { .. } => "pace",
    }
}

fn of_block_time(block_time: Duration, setting: Duration, differs: bool) -> (Level, String) {
    let (block_time, setting) = (block_time.as_secs_f64(), setting.as_secs_f64());
    if differs {
        let sentence = format!(
            "a block comes every {block_time:.1} s, and chain.block_time says {setting:.1} s: set it to \
             what the chain does"
        );
        (Level::Warn, sentence)
    } else {
        let sentence = format!("a block comes every {block_time:.1} s, as chain.block_time says");
        (Level::Info, sentence)
    }
}

fn of_node(
    name: &str,
    transition: HealthTransition,
    probe_failure: Option<&ProbeFailure>,
) -> (Level, String) {
    match transition {
        HealthTransition::Admitted => (Level::Info, format!("node {name} is fit and gets calls")),
        HealthTransition::Left(reason) => (
            level_of(reason),
            format!(
                "node {name} gets no more calls: {}; {}",
                reason_in_words(reason, probe_failure),
                reason.way_back()
            ),
        ),
        HealthTransition::Returned => (
            Level::Info,
            format!("node {name} is fit again and gets calls, few at first"),
        ),
        HealthTransition::Benched { rest } => (
            Level::Warn,
            format!(
                "node {name} gets no calls for {} s: {}; then {}",
                rest.as_secs(),
                Reason::Faults.in_words(),
                Reason::Faults.way_back()
            ),
        ),
    }
}

fn level_of(reason: Reason) -> Level {
    if reason.is_final() {
        Level::Error
    } else {
        Level::Warn
    }
}

/// Why a node is out, as the second half of a sentence about it; with what the last probe met, if that is
/// the reason.
pub fn reason_in_words(reason: Reason, probe_failure: Option<&ProbeFailure>) -> String {
    let words = reason.in_words();
    match probe_failure.filter(|probe_failure| probe_failure.reason == reason) {
        Some(probe_failure) => format!("{words}: {}", probe_failure.words),
        None => words.to_string(),
    }
}

/// `1 node`, `2 nodes`.
pub fn nodes_in_words(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} node{plural}")
}

/// `1 of 2 own nodes is fit`
pub fn fit_in_words(fit: usize, count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    let verb = if fit == 1 { "is" } else { "are" };
    format!("{fit} of {count} own node{plural} {verb} fit")
}

/// What nodes are compared with, as a noun, and what keeps the leader's head from being it.
pub fn reference_in_words(source: ReferenceSource, doubt: Option<LeaderDoubt>) -> String {
    let what = match source {
        ReferenceSource::Leader => "the leader's head",
        ReferenceSource::Quorum => "the head that the own nodes agree on",
        ReferenceSource::Held => "the last head that the leader was believed",
    };
    match doubt {
        Some(doubt) => format!("{what}: {}", doubt.as_str()),
        None => what.to_string(),
    }
}

fn of_reference(source: ReferenceSource, doubt: Option<LeaderDoubt>) -> (Level, String) {
    let level = match doubt {
        // To have no leader is a choice of the operator's, not trouble.
        None | Some(LeaderDoubt::NoLeader) => Level::Info,
        Some(
            LeaderDoubt::Silent
            | LeaderDoubt::Stuck
            | LeaderDoubt::Implausible
            | LeaderDoubt::Unfit,
        ) => Level::Warn,
    };
    let reference = reference_in_words(source, doubt);
    (level, format!("nodes are now compared with {reference}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use forebay_core::testing::assert_says;

    fn node(transition: HealthTransition) -> FleetChange {
        FleetChange::Node {
            name: "geth-1".into(),
            transition,
            probe_failure: None,
        }
    }

    #[test]
    fn each_change_is_told_in_plain_words() {
        let reference = |source, doubt| FleetChange::Reference { source, doubt };
        let rest = Duration::from_secs(90);
        for (change, level, wanted) in [
            (
                node(HealthTransition::Admitted),
                Level::Info,
                "node geth-1 is fit and gets calls",
            ),
            (
                node(HealthTransition::Left(Reason::Lagging)),
                Level::Warn,
                "node geth-1 gets no more calls: its head is too many blocks behind the reference; \
                 it returns by itself once it has caught up",
            ),
            (
                node(HealthTransition::Left(Reason::WrongChain)),
                Level::Error,
                "node geth-1 gets no more calls: it is on another chain than the rest; \
                 correct its URL or the chain's id",
            ),
            (
                node(HealthTransition::Returned),
                Level::Info,
                "node geth-1 is fit again and gets calls, few at first",
            ),
            (
                node(HealthTransition::Benched { rest }),
                Level::Warn,
                "node geth-1 gets no calls for 90 s: its calls failed time after time; \
                 then it returns once its probes are good",
            ),
            (
                reference(ReferenceSource::Leader, None),
                Level::Info,
                "nodes are now compared with the leader's head",
            ),
            (
                reference(ReferenceSource::Held, Some(LeaderDoubt::Silent)),
                Level::Warn,
                "nodes are now compared with the last head that the leader was believed: \
                 the leader is silent",
            ),
            (
                reference(ReferenceSource::Quorum, Some(LeaderDoubt::Stuck)),
                Level::Warn,
                "nodes are now compared with the head that the own nodes agree on: \
                 the leader is stuck",
            ),
            (
                reference(ReferenceSource::Quorum, Some(LeaderDoubt::NoLeader)),
                Level::Info,
                "nodes are now compared with the head that the own nodes agree on: \
                 no leader is set",
            ),
            (
                FleetChange::Fallback { on: true },
                Level::Warn,
                "no own node is fit: calls now go to the leader and the fallback nodes",
            ),
            (
                FleetChange::Fallback { on: false },
                Level::Info,
                "an own node is fit again: calls no longer go to the leader and the fallback nodes",
            ),
        ] {
            assert_eq!(sentence(&change), (level, wanted.to_string()));
        }
    }

    #[test]
    fn what_the_last_probe_met_is_told_where_it_is_the_reason() {
        let words = "HTTP 401, \"no such key\"".into();
        let probe_failure = ProbeFailure {
            reason: Reason::Auth,
            words,
        };
        let left = |reason| FleetChange::Node {
            name: "geth-1".into(),
            transition: HealthTransition::Left(reason),
            probe_failure: Some(probe_failure.clone()),
        };
        let (_, said) = sentence(&left(Reason::Auth));
        assert_says(
            &said,
            "it refuses us: HTTP 401, \"no such key\"; correct its key",
        );
        let (_, said) = sentence(&left(Reason::Lagging));
        assert!(!said.contains("401"), "{said}");
    }

    #[test]
    fn one_node_is_not_several() {
        let said = [0, 1, 2].map(nodes_in_words);
        assert_eq!(said, ["0 nodes", "1 node", "2 nodes"]);
        assert_eq!(fit_in_words(1, 1), "1 of 1 own node is fit");
        assert_eq!(fit_in_words(1, 2), "1 of 2 own nodes is fit");
        assert_eq!(fit_in_words(2, 2), "2 of 2 own nodes are fit");
    }

    #[test]
    fn a_node_that_left_is_told_with_the_reasons_words_and_its_way_back() {
        for reason in Reason::ALL {
            let (_, said) = sentence(&node(HealthTransition::Left(reason)));
            assert!(said.contains(reason.in_words()), "{said}");
            assert!(said.ends_with(reason.way_back()), "{said}");
        }
    }
}

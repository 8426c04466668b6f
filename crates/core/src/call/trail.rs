//! A call's trail: which nodes it was asked of and what came of each attempt, for a caller that wants to know.
//!
//! `geth-1;first;transport;12ms, geth-2;repeat;ok;34ms`. Whatever nodes are called, it is a valid
//! header: visible ASCII (RFC 9110 §5.5), but for the mark of what was left out.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::rpc::classify::AttemptClass;
use crate::vocabulary::tier::Tier;

/// The longest trail, in bytes.
pub const TRAIL_BYTES_MAX: usize = 4 << 10;
/// Steps that are kept; of the others the number is. More have no room in a trail.
const STEPS_MAX: usize = TRAIL_BYTES_MAX / SHORTEST.len();
const SHORTEST: &str = "a;first;ok;0ms, ";
/// The mark of what was left out takes this many bytes at most: `, …+` and a number.
const MARK_BYTES_MAX: usize = 26;

/// Of a call that failed: the nodes that failed at it, one after another, and at what.
pub type FailedAttempts = Option<Arc<[(Arc<str>, AttemptClass)]>>;

/// What an attempt was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptKind {
    /// The first one of a call, at an own node.
    First,
    /// After another node's failure.
    Repeat,
    /// After an answer that another node may know better.
    Confirm,
    /// Beside a node that is slow.
    Hedge,
    /// Of the leader or a fallback, as no own node would do.
    Fallback,
    /// Of a node that isn't fit, as no node is.
    LastResort,
    /// Of several nodes at once: a raw transaction.
    Broadcast,
    /// What is asked to answer another call: a receipt, a nonce.
    Lookup,
    /// Together with other calls of a batch.
    Batch,
    /// None of its own: what an identical call brought.
    Shared,
}

impl AttemptKind {
    /// Of an attempt on `tier`, after one that came to `last`.
    pub fn after(last: Option<AttemptClass>, tier: Tier) -> AttemptKind {
        match (tier, last) {
            (Tier::Fallback, _) => AttemptKind::Fallback,
            (Tier::LastResort, _) => AttemptKind::LastResort,
            (Tier::Own, None) => AttemptKind::First,
            (Tier::Own, Some(AttemptClass::Ok)) => AttemptKind::Confirm,
            (Tier::Own, Some(_)) => AttemptKind::Repeat,
        }
    }

    /// The word of the trail, in the header and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            AttemptKind::First => "first",
            AttemptKind::Repeat => "repeat",
            AttemptKind::Confirm => "confirm",
            AttemptKind::Hedge => "hedge",
            AttemptKind::Fallback => "fallback",
            AttemptKind::LastResort => "last_resort",
            AttemptKind::Broadcast => "broadcast",
            AttemptKind::Lookup => "lookup",
            AttemptKind::Batch => "batch",
            AttemptKind::Shared => "shared",
        }
    }
}

/// One attempt.
#[derive(Clone, Debug)]
struct TrailStep {
    node: Arc<str>,
    kind: AttemptKind,
    /// `None`: it is under way.
    ended: Option<(&'static str, Duration)>,
}

/// Attempts, in the order of their beginning.
#[derive(Clone, Debug, Default)]
pub struct AttemptTrail {
    steps: Vec<TrailStep>,
    /// Begun when there was no room to keep them.
    more: usize,
}

/// The place of an attempt in its trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailIndex(usize);

impl AttemptTrail {
    /// An attempt at the node of this name begins; its place is for [`AttemptTrail::end`].
    pub fn begin(&mut self, node: &Arc<str>, kind: AttemptKind) -> TrailIndex {
        let place = TrailIndex(self.steps.len() + self.more);
        if self.steps.len() < STEPS_MAX {
            self.steps.push(TrailStep {
                node: node.clone(),
                kind,
                ended: None,
            });
        } else {
            self.more += 1;
        }
        place
    }

    /// What it came to counts, the first time that it is said.
    pub fn end(&mut self, place: TrailIndex, outcome: &'static str, took: Duration) {
        if let Some(step) = self.steps.get_mut(place.0) {
            step.ended.get_or_insert((outcome, took));
        }
    }

    /// The value of the header; `local` where no node was asked.
    pub fn written(&self) -> String {
        let mut text = String::new();
        let written = self.steps.iter().take_while(|step| step.write(&mut text));
        let left = self.steps.len() - written.count() + self.more;
        if self.steps.is_empty() {
            text.push_str("local");
        } else if left > 0 {
            // Writing to a string can't fail.
            let _ = write!(text, ", …+{left}");
        }
        text
    }
}

impl TrailStep {
    /// Adds itself to `text`, if there is room for it.
    fn write(&self, text: &mut String) -> bool {
        let before = text.len();
        if before > 0 {
            text.push_str(", ");
        }
        // These divide steps and their parts.
        let is_plain = |letter: char| letter.is_ascii_graphic() && !";,".contains(letter);
        let name = self.node.chars();
        text.extend(name.map(|letter| if is_plain(letter) { letter } else { '?' }));
        let kind = self.kind.as_str();
        let _ = match self.ended {
            Some((outcome, took)) => write!(text, ";{kind};{outcome};{}ms", took.as_millis()),
            None => write!(text, ";{kind};pending"),
        };
        let fits = text.len() + MARK_BYTES_MAX <= TRAIL_BYTES_MAX;
        if !fits {
            text.truncate(before);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use AttemptKind::{Batch, Confirm, Fallback, First, Hedge, LastResort, Repeat};

    use super::*;

    /// Of a node's name, what it was asked for, and what came of it after so many milliseconds.
    type Attempted<'a> = (&'a str, AttemptKind, Option<(AttemptClass, u64)>);

    fn trail(steps: &[Attempted<'_>]) -> AttemptTrail {
        let mut trail = AttemptTrail::default();
        for (node, kind, ended) in steps {
            let place = trail.begin(&(*node).into(), *kind);
            if let Some((class, millis)) = ended {
                trail.end(place, class.outcome(), Duration::from_millis(*millis));
            }
        }
        trail
    }

    #[test]
    fn each_attempt_says_node_kind_outcome_and_time() {
        assert_eq!(AttemptTrail::default().written(), "local");
        let trail = trail(&[
            ("geth-1", First, Some((AttemptClass::NoConnection, 12))),
            ("10.0.0.2:8545", Repeat, None),
            ("geth-2", Hedge, Some((AttemptClass::Ok, 34))),
        ]);
        assert_eq!(
            trail.written(),
            "geth-1;first;transport;12ms, 10.0.0.2:8545;repeat;pending, geth-2;hedge;ok;34ms"
        );
    }

    #[test]
    fn an_attempt_ends_once() {
        let mut trail = AttemptTrail::default();
        let place = trail.begin(&"a".into(), First);
        trail.end(place, "ok", Duration::ZERO);
        trail.end(place, "cancelled", Duration::from_secs(1));
        assert_eq!(trail.written(), "a;first;ok;0ms");
    }

    #[test]
    fn what_has_no_room_is_counted() {
        for (name, attempts) in [("a", 10_000), ("n", STEPS_MAX), (&*"n".repeat(64), 1_000)] {
            let steps = vec![(name, Repeat, Some((AttemptClass::Ok, 1))); attempts];
            let text = trail(&steps).written();
            let length = text.len();
            assert!(length <= TRAIL_BYTES_MAX, "{length}");
            assert!(length > TRAIL_BYTES_MAX - 150, "{length}");
            let (shown, more) = text.rsplit_once(", …+").unwrap();
            let shown = shown.split(", ").count();
            assert_eq!(shown + more.parse::<usize>().unwrap(), attempts);
        }
    }

    #[test]
    fn as_many_as_have_room_are_shown_and_not_one_more() {
        let one = "aaaaa;batch;ok;1ms, ".len();
        let room = TRAIL_BYTES_MAX - MARK_BYTES_MAX + ", ".len();
        let steps = |count| vec![("aaaaa", Batch, Some((AttemptClass::Ok, 1))); count];
        assert!(!trail(&steps(room / one)).written().contains('…'));
        let text = trail(&steps(room / one + 1)).written();
        assert!(text.ends_with(", …+1"), "{text}");
    }

    #[test]
    fn whatever_a_node_is_called_the_header_is_a_valid_one() {
        let odd = "a\r\nset-cookie: b;c,d é…\u{7f}\0\t";
        let text = trail(&[(odd, First, Some((AttemptClass::Ok, 1)))]).written();
        assert_eq!(text, "a??set-cookie:?b?c?d??????;first;ok;1ms");
        let many = trail(&vec![(odd, First, None); 1_000]).written();
        assert!(http::HeaderValue::from_bytes(many.as_bytes()).is_ok());
    }

    #[test]
    fn the_kind_is_told_by_what_came_before() {
        for (last, tier, kind) in [
            (None, Tier::Own, First),
            (Some(AttemptClass::Timeout), Tier::Own, Repeat),
            (Some(AttemptClass::Ok), Tier::Own, Confirm),
            (None, Tier::Fallback, Fallback),
            (Some(AttemptClass::Ok), Tier::LastResort, LastResort),
        ] {
            assert_eq!(AttemptKind::after(last, tier), kind);
        }
    }
}

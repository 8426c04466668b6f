//! Which members of a block are no part of its header on this chain.
//!
//! Some chains' blocks have members that their `newHeads` don't: BSC's `milliTimestamp`. A client is to
//! be told the same whichever way we heard of a block; so what is beyond `newHeads` is learnt where both
//! forms of one block were seen, and left out from then on. A subscription keeps the shape of the first
//! head that it was told: what is beyond and was in that stays, where we heard of a block that has it.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::json::scanner;
use crate::vocabulary::header::Header;

/// Members that are remembered, and the longest name of one, in bytes.
const MEMBERS_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 64;
/// Ways to begin that are told apart; a subscription that begins in yet another keeps nothing that is beyond.
const BEGINNINGS_MAX: usize = 16;

/// How a subscription began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning(usize);

/// What was learnt.
#[derive(Debug, Default)]
pub struct HeaderShape {
    /// Members, in quotes, that sockets have told.
    told: BTreeSet<Bytes>,
    /// Members that blocks have beside them.
    beyond: BTreeSet<Bytes>,
    /// What sockets hadn't told of first heads, as they were shown.
    beginnings: Vec<BTreeSet<Bytes>>,
}

impl HeaderShape {
    /// One block as a socket `told` it, and as the node answered when asked for it.
    pub fn compare(&mut self, told: &Header, block: &Header) {
        for name in names(&told.json) {
            if self.told.len() < MEMBERS_MAX {
                self.told.insert(Bytes::copy_from_slice(name));
            }
        }
        self.beyond.retain(|name| !self.told.contains(name));
        for name in names(&block.json) {
            if self.beyond.len() < MEMBERS_MAX && !self.told.contains(name) {
                self.beyond.insert(Bytes::copy_from_slice(name));
            }
        }
    }

    /// How a subscription begins that is told `header` first: without what is known to be beyond.
    pub fn begin(&mut self, header: &Bytes) -> Beginning {
        let unproven = names(header)
            .filter(|name| !self.told.contains(*name) && !self.beyond.contains(*name))
            .take(MEMBERS_MAX);
        let unproven: BTreeSet<_> = unproven.map(Bytes::copy_from_slice).collect();
        let known = self.beginnings.iter().position(|it| *it == unproven);
        Beginning(known.unwrap_or_else(|| {
            if self.beginnings.len() < BEGINNINGS_MAX {
                self.beginnings.push(unproven);
                self.beginnings.len() - 1
            } else {
                BEGINNINGS_MAX
            }
        }))
    }

    /// The header as it is shown to a subscription that `began` so.
    pub fn cut(&self, header: &Bytes, began: Beginning) -> Bytes {
        let kept = self.beginnings.get(began.0);
        let leaves = |name: &[u8]| {
            self.beyond.contains(name) && !kept.is_some_and(|kept| kept.contains(name))
        };
        let mut found = scanner::members(header, 0);
        if self.beyond.is_empty() || !found.any(|(name, _)| leaves(&header[name])) {
            return header.clone();
        }
        scanner::without(header, leaves)
    }
}

fn names(header: &Bytes) -> impl Iterator<Item = &[u8]> {
    let names = scanner::members(header, 0).map(|(name, _)| &header[name]);
    names.filter(|name| name.len() <= NAME_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::chain::BlockHash;

    fn header(json: &'static str) -> Header {
        Header {
            json: Bytes::from_static(json.as_bytes()),
            ..crate::testing::header(1, BlockHash([1; 32]), BlockHash([0; 32]))
        }
    }

    const SHORT: &str = r#"{"number":"0x1","gas":"0x2"}"#;
    const LONG: &str = r#"{"number":"0x1","milli":"0x3","gas":"0x2"}"#;

    fn begin(shape: &mut HeaderShape, json: &'static str) -> Beginning {
        shape.begin(&Bytes::from_static(json.as_bytes()))
    }

    fn shown(shape: &HeaderShape, json: &'static str, began: Beginning) -> Bytes {
        shape.cut(&Bytes::from_static(json.as_bytes()), began)
    }

    #[test]
    fn a_subscription_keeps_the_shape_of_its_first_head_but_for_new_members() {
        let mut shape = HeaderShape::default();
        let began_long = begin(&mut shape, LONG);
        let began_short = begin(&mut shape, SHORT);
        assert_eq!(shown(&shape, LONG, began_short), LONG, "nothing is known");
        shape.compare(&header(SHORT), &header(LONG));
        let began_later = begin(&mut shape, LONG);
        let newer = r#"{"number":"0x1","gas":"0x2","new":"0x4"}"#;
        for (began, wanted) in [
            (began_long, LONG),
            (began_short, SHORT),
            (began_later, SHORT),
        ] {
            assert_eq!(shown(&shape, LONG, began), wanted);
            assert_eq!(shown(&shape, SHORT, began), SHORT);
            assert_eq!(shown(&shape, newer, began), newer);
        }
        assert_eq!(begin(&mut shape, SHORT), began_later, "all begin alike now");
    }

    #[test]
    fn a_member_that_any_socket_tells_stays() {
        let mut shape = HeaderShape::default();
        let began = begin(&mut shape, SHORT);
        shape.compare(&header(SHORT), &header(LONG));
        shape.compare(&header(LONG), &header(LONG));
        assert_eq!(shown(&shape, LONG, began), LONG);
        shape.compare(&header(SHORT), &header(LONG));
        assert_eq!(shown(&shape, LONG, began), LONG);
    }

    #[test]
    fn a_header_that_begins_in_one_way_too_many_keeps_nothing_that_is_beyond() {
        let mut shape = HeaderShape::default();
        let other = |at: usize| Bytes::from(format!("{{\"m{at}\":1}}"));
        let began: Vec<_> = (0..=BEGINNINGS_MAX)
            .map(|at| shape.begin(&other(at)))
            .collect();
        let both = |at: usize| Header {
            json: other(at),
            ..header(SHORT)
        };
        for at in [0, BEGINNINGS_MAX] {
            shape.compare(&header(SHORT), &both(at));
        }
        assert_eq!(shape.cut(&other(0), began[0]), other(0));
        assert_eq!(
            shape.cut(&other(BEGINNINGS_MAX), began[BEGINNINGS_MAX]),
            "{}"
        );
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let members = |from: usize| {
            let members = (from..from + MEMBERS_MAX + 1).map(|at| format!("\"m{at}\":1"));
            let json = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
            Header {
                json: Bytes::from(json),
                ..header(SHORT)
            }
        };
        let mut shape = HeaderShape::default();
        shape.compare(&members(0), &members(1000));
        assert_eq!(
            (shape.told.len(), shape.beyond.len()),
            (MEMBERS_MAX, MEMBERS_MAX)
        );
        let name = "n".repeat(NAME_BYTES_MAX);
        let long = Header {
            json: Bytes::from(format!("{{\"{name}\":1}}")),
            ..header(SHORT)
        };
        let mut shape = HeaderShape::default();
        shape.compare(&header(SHORT), &long);
        assert!(shape.beyond.is_empty());
    }
}

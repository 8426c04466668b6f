//! Which members of a block are no part of its header on this chain.
//!
//! Some chains' blocks have members that their `newHeads` don't: BSC's `milliTimestamp`. A client is to
//! be told the same whichever way we heard of a block; so what is beyond `newHeads` is learnt where both
//! forms of one block were seen, and left out from then on. A subscription that began before goes on
//! as it began.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::json::scanner;
use crate::vocabulary::header::Header;

/// Members that are remembered, and the longest name of one, in bytes.
const MEMBERS_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 64;

/// What was learnt.
#[derive(Debug, Default)]
pub struct HeaderShape {
    /// Members, in quotes, that sockets have told.
    told: BTreeSet<Bytes>,
    /// Members that blocks have beside them, and the turn of the block told last when that was learnt;
    /// in its order.
    beyond: Vec<(Bytes, u64)>,
}

impl HeaderShape {
    /// One block as a socket `told` it, and as the node answered when asked for it.
    pub fn compare(&mut self, told: &Header, block: &Header, turn: u64) {
        for name in names(told) {
            if self.told.len() < MEMBERS_MAX {
                self.told.insert(Bytes::copy_from_slice(name));
            }
        }
        self.beyond.retain(|(name, _)| !self.told.contains(name));
        for name in names(block) {
            let is_known = self.beyond.iter().any(|(known, _)| known == name);
            let is_full = self.beyond.len() >= MEMBERS_MAX;
            if !is_known && !is_full && !self.told.contains(name) {
                self.beyond.push((Bytes::copy_from_slice(name), turn));
            }
        }
    }

    /// How many of the members are left out for who began at turn `since`.
    pub fn cuts(&self, since: u64) -> usize {
        let learnt = self.beyond.iter();
        learnt.take_while(|(_, turn)| *turn <= since).count()
    }

    /// The header without the first `cuts` of the members.
    pub fn cut(&self, header: &Bytes, cuts: usize) -> Bytes {
        let beyond = self.beyond.get(..cuts).unwrap_or_default();
        let is_beyond = |name: &[u8]| beyond.iter().any(|(known, _)| known == name);
        let mut found = scanner::members(header, 0);
        if beyond.is_empty() || !found.any(|(name, _)| is_beyond(&header[name])) {
            return header.clone();
        }
        scanner::without(header, is_beyond)
    }
}

fn names(header: &Header) -> impl Iterator<Item = &[u8]> {
    let names = scanner::members(&header.json, 0).map(|(name, _)| &header.json[name]);
    names.filter(|name| name.len() <= NAME_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::chain::{BlockHash, BlockNumber};

    fn header(json: &'static str) -> Header {
        Header {
            hash: BlockHash([1; 32]),
            parent: BlockHash([0; 32]),
            number: BlockNumber(1),
            timestamp: None,
            bloom: None,
            json: Bytes::from_static(json.as_bytes()),
        }
    }

    const SHORT: &str = r#"{"number":"0x1","gas":"0x2"}"#;
    const LONG: &str = r#"{"number":"0x1","milli":"0x3","gas":"0x2"}"#;

    fn shown(shape: &HeaderShape, json: &'static str, since: u64) -> Bytes {
        shape.cut(&Bytes::from_static(json.as_bytes()), shape.cuts(since))
    }

    #[test]
    fn what_blocks_have_beyond_new_heads_is_left_out_for_who_begins_later() {
        let mut shape = HeaderShape::default();
        assert_eq!(shown(&shape, LONG, 9), LONG);
        shape.compare(&header(SHORT), &header(LONG), 5);
        assert_eq!(shown(&shape, LONG, 5), SHORT);
        assert_eq!(shown(&shape, LONG, 4), LONG, "it began with it");
        assert_eq!(shown(&shape, SHORT, 5), SHORT);
        let newer = r#"{"number":"0x1","gas":"0x2","new":"0x4"}"#;
        assert_eq!(shown(&shape, newer, 5), newer, "a new member is shown");
    }

    #[test]
    fn a_member_that_any_socket_tells_stays() {
        let mut shape = HeaderShape::default();
        shape.compare(&header(SHORT), &header(LONG), 5);
        shape.compare(&header(LONG), &header(LONG), 6);
        assert_eq!(shown(&shape, LONG, 7), LONG);
        shape.compare(&header(SHORT), &header(LONG), 8);
        assert_eq!(shown(&shape, LONG, 9), LONG);
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
        shape.compare(&members(0), &members(1000), 0);
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
        shape.compare(&header(SHORT), &long, 0);
        assert!(shape.beyond.is_empty());
    }
}

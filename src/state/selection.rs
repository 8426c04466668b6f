//! Our `BackendSelection`: by weight, then by load, as the fleet stands when a call asks.
//!
//! Pingora hands a selection nothing but a key of bytes: what a call needs is written into one.

use std::collections::BTreeSet;
use std::sync::Arc;

use pingora::lb::Backend;
use pingora::lb::selection::{BackendIter, BackendSelection};

use super::pool::{Present, id_of};
use crate::clock;
use crate::domain::block::{Caution, Need, Needs, Reads, Wish};
use crate::domain::chain::BlockNumber;
use crate::domain::lacks::METHOD_BYTES_MAX;
use crate::domain::node::NodeId;
use crate::domain::select::{self, Ladder};

/// Ladder, wish, reads, caution, from, to.
const HEAD_BYTES: usize = 4 + 8 + 8;

const LADDERS: [Ladder; 3] = [Ladder::Own, Ladder::Fallback, Ladder::LastResort];
const WISHES: [Wish; 3] = [Wish::Any, Wish::Freshest, Wish::Deepest];
const CAUTIONS: [Caution; 3] = [Caution::Whole, Caution::Trial, Caution::Whoever];
const READS: [Option<Reads>; 7] = [
    None,
    Some(Reads::Head),
    Some(Reads::Block),
    Some(Reads::State),
    Some(Reads::Proof),
    Some(Reads::Receipts),
    Some(Reads::Logs),
];

/// What a draw is about, as bytes.
#[derive(Clone, Debug)]
pub struct Key {
    bytes: [u8; HEAD_BYTES + METHOD_BYTES_MAX],
    length: usize,
}

impl Key {
    pub fn of(ladder: Ladder, needs: &Needs<'_>) -> Key {
        let method = needs.method.as_bytes();
        let method = if method.len() > METHOD_BYTES_MAX {
            &[]
        } else {
            method
        };
        let length = HEAD_BYTES + method.len();
        let mut bytes = [0; HEAD_BYTES + METHOD_BYTES_MAX];
        bytes[0] = place(&LADDERS, &ladder);
        bytes[1] = place(&WISHES, &needs.wish);
        bytes[2] = place(&READS, &needs.block.map(|need| need.reads));
        bytes[3] = place(&CAUTIONS, &needs.caution);
        if let Some(need) = needs.block {
            bytes[4..12].copy_from_slice(&need.from.0.to_be_bytes());
            bytes[12..HEAD_BYTES].copy_from_slice(&need.to.0.to_be_bytes());
        }
        bytes[HEAD_BYTES..length].copy_from_slice(method);
        Key { bytes, length }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// A key that was passed through as `bytes`. What isn't one asks for any own node.
    fn again(bytes: &[u8]) -> Key {
        let mut key = Key::of(Ladder::Own, &Needs::default());
        if (HEAD_BYTES..=HEAD_BYTES + METHOD_BYTES_MAX).contains(&bytes.len()) {
            key.bytes[..bytes.len()].copy_from_slice(bytes);
            key.length = bytes.len();
        }
        key
    }

    fn read(&self) -> (Ladder, Needs<'_>) {
        let at = |place: u8| usize::from(place);
        let number = |from: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&self.bytes[from..from + 8]);
            BlockNumber(u64::from_be_bytes(eight))
        };
        let reads = READS.get(at(self.bytes[2])).copied().flatten();
        let needs = Needs {
            block: reads.map(|reads| Need {
                from: number(4),
                to: number(12),
                reads,
            }),
            method: std::str::from_utf8(&self.bytes[HEAD_BYTES..self.length]).unwrap_or_default(),
            wish: WISHES.get(at(self.bytes[1])).copied().unwrap_or_default(),
            caution: CAUTIONS.get(at(self.bytes[3])).copied().unwrap_or_default(),
        };
        let ladder = LADDERS.get(at(self.bytes[0])).copied();
        (ladder.unwrap_or(Ladder::Own), needs)
    }
}

fn place<T: PartialEq>(list: &[T], value: &T) -> u8 {
    let found = list.iter().position(|listed| listed == value);
    found.and_then(|at| u8::try_from(at).ok()).unwrap_or(0)
}

/// The selection.
pub struct ByWeightAndLoad {
    /// By their ids.
    backends: Vec<(NodeId, Backend)>,
    present: Present,
}

impl ByWeightAndLoad {
    fn backend(&self, id: NodeId) -> Option<&Backend> {
        let known = &self.backends;
        let at = known.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        known.get(at).map(|(_, backend)| backend)
    }
}

impl BackendSelection for ByWeightAndLoad {
    type Iter = Draws;
    type Config = Present;

    fn build_with_config(backends: &BTreeSet<Backend>, present: &Present) -> Self {
        let known = backends
            .iter()
            .filter_map(|backend| Some((id_of(backend)?, backend.clone())));
        let mut backends: Vec<_> = known.collect();
        backends.sort_unstable_by_key(|(id, _)| *id);
        ByWeightAndLoad {
            backends,
            present: present.clone(),
        }
    }

    fn build(backends: &BTreeSet<Backend>) -> Self {
        ByWeightAndLoad::build_with_config(backends, &Present::default())
    }

    /// `key` is a [`Key`]'s.
    fn iter(self: &Arc<Self>, key: &[u8]) -> Draws {
        Draws {
            selection: self.clone(),
            key: Key::again(key),
            passed: Vec::new(),
            last: None,
        }
    }
}

/// One draw after another, never the same node twice.
pub struct Draws {
    selection: Arc<ByWeightAndLoad>,
    key: Key,
    /// Without the last one: most end with the first, and need no list.
    passed: Vec<NodeId>,
    last: Option<NodeId>,
}

impl BackendIter for Draws {
    fn next(&mut self) -> Option<&Backend> {
        let snapshot = self.selection.present.load();
        loop {
            self.passed.extend(self.last.take());
            let (ladder, needs) = self.key.read();
            let id = select::draw(
                &snapshot.view,
                ladder,
                &self.passed,
                &needs,
                clock::now(),
                &mut clock::roll,
            )?;
            self.last = Some(id);
            // A node that joined after this selection was built is in the next one.
            if self.selection.backend(id).is_some() {
                return self.selection.backend(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_carries_everything_that_a_call_needs() {
        for (ladder, caution) in LADDERS.into_iter().zip(CAUTIONS) {
            for wish in WISHES {
                for reads in READS {
                    let needs = Needs {
                        block: reads.map(|reads| Need {
                            from: BlockNumber(7),
                            to: BlockNumber(u64::MAX),
                            reads,
                        }),
                        method: "eth_call",
                        wish,
                        caution,
                    };
                    let key = Key::again(Key::of(ladder, &needs).bytes());
                    assert_eq!(key.read(), (ladder, needs));
                }
            }
        }
    }

    #[test]
    fn a_methods_name_fits_up_to_its_limit_and_other_bytes_ask_for_anybody() {
        for (length, wanted) in [
            (METHOD_BYTES_MAX, METHOD_BYTES_MAX),
            (METHOD_BYTES_MAX + 1, 0),
        ] {
            let name = "x".repeat(length);
            let needs = Needs {
                method: &name,
                ..Needs::default()
            };
            let key = Key::of(Ladder::Own, &needs);
            assert_eq!(key.read().1.method.len(), wanted);
        }
        for odd in [&b""[..], &[9; HEAD_BYTES], &[0; 200]] {
            assert_eq!(Key::again(odd).read(), (Ladder::Own, Needs::default()));
        }
    }
}

//! Which of the answers that balancers share are still to be given.
//!
//! All, those to a method and those of a node each have a generation, a number drawn anew whenever they are
//! let go. An entry bears those of the moment when it was kept, and is given while they are the same.

use std::collections::BTreeMap;

use crate::vocabulary::hex;

/// Generations that are known at once; with more nothing is shared until the store has forgotten them.
pub const GENERATIONS_MAX: usize = 4096;
const ALL: &str = "all";
const METHOD: &str = "method:";
const NODE: &str = "node:";
const STEADY: &str = "steady:";

/// Answers that are let go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostAnswers {
    /// All of them, whatever they are to.
    All,
    /// Those to calls of the method of this name.
    Method(String),
    /// All that a node has said.
    Node(String),
    /// What it has said without saying of which block, of what isn't final.
    Steady(String),
}

impl LostAnswers {
    /// What their generation is called in the store.
    pub fn name(&self) -> String {
        match self {
            LostAnswers::All => ALL.into(),
            LostAnswers::Method(method) => format!("{METHOD}{method}"),
            LostAnswers::Node(node) => format!("{NODE}{node}"),
            LostAnswers::Steady(node) => format!("{STEADY}{node}"),
        }
    }

    fn named(name: &str) -> Option<LostAnswers> {
        if name == ALL {
            return Some(LostAnswers::All);
        }
        let of = |prefix: &str| name.strip_prefix(prefix).map(str::to_string);
        of(METHOD)
            .map(LostAnswers::Method)
            .or_else(|| of(NODE).map(LostAnswers::Node))
            .or_else(|| of(STEADY).map(LostAnswers::Steady))
    }
}

/// The generations that an entry is of: of all, of its method, of its node, and of what that says of blocks
/// that it doesn't name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GenerationStamp(pub [u64; 4]);

/// All of them, as the store has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generations(BTreeMap<String, u64>);

impl Generations {
    /// What the store's first user draws, once in the life of the store's memory: where that is lost, nothing of
    /// before counts.
    pub const BASE: &str = "base";

    /// As the store has them. `None`: they can't be used, as there is no [base](Generations::BASE) among them.
    pub fn read<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<Generations> {
        let field = |(name, value)| read_field(name, value);
        let all: BTreeMap<_, _> = fields.filter_map(field).collect();
        all.contains_key(Generations::BASE)
            .then_some(Generations(all))
    }

    /// The stamp of a node's answer to `method`.
    pub fn stamp(&self, method: &str, node: &str, is_steady: bool) -> GenerationStamp {
        let of = |lost: LostAnswers| self.0.get(&lost.name()).copied().unwrap_or_default();
        let base = self.0.get(Generations::BASE).copied().unwrap_or_default();
        let steady = || of(LostAnswers::Steady(node.to_string()));
        GenerationStamp([
            // Both are drawn from so many that no two pairs of them meet.
            base.rotate_left(32) ^ of(LostAnswers::All),
            of(LostAnswers::Method(method.to_string())),
            of(LostAnswers::Node(node.to_string())),
            if is_steady { steady() } else { 0 },
        ])
    }

    /// These with another one of `lost`.
    #[must_use]
    pub fn with(mut self, lost: &str, generation: u64) -> Generations {
        self.0.insert(lost.to_string(), generation);
        self
    }

    /// What was let go between these and the later `after`.
    pub fn lost_until(&self, after: &Generations) -> Vec<LostAnswers> {
        let is_new = |(name, generation): &(&String, &u64)| self.0.get(*name) != Some(generation);
        let changed = after.0.iter().filter(is_new);
        changed
            .filter_map(|(name, _)| LostAnswers::named(name))
            .collect()
    }
}

/// As it stands in the store.
pub fn write_generation(generation: u64) -> String {
    format!("{generation:016x}")
}

fn read_field(name: &[u8], value: &[u8]) -> Option<(String, u64)> {
    let name = std::str::from_utf8(name).ok()?;
    let value = std::str::from_utf8(value).ok()?;
    let generation = hex::digits(value)?;
    Some((name.to_string(), generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(fields: &[(&str, &str)]) -> Option<Generations> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        Generations::read(fields.into_iter())
    }

    #[test]
    fn a_generation_with_a_sign_is_none() {
        assert!(known(&[("base", "a")]).is_some());
        assert!(known(&[("base", "+a")]).is_none());
    }

    #[test]
    fn an_entry_is_of_its_time_until_what_it_belongs_to_is_let_go() {
        let first = known(&[("base", "a")]).unwrap();
        let stamp = |known: &Generations, is_steady| known.stamp("eth_call", "a", is_steady);
        for (lost, is_over, is_over_if_steady) in [
            (LostAnswers::All, true, true),
            (LostAnswers::Method("eth_call".into()), true, true),
            (LostAnswers::Node("a".into()), true, true),
            (LostAnswers::Steady("a".into()), false, true),
            (LostAnswers::Method("eth_getCode".into()), false, false),
            (LostAnswers::Node("b".into()), false, false),
            (LostAnswers::Steady("b".into()), false, false),
        ] {
            let later = first.clone().with(&lost.name(), 7);
            for (is_steady, wanted) in [(false, is_over), (true, is_over_if_steady)] {
                let is_same = stamp(&first, is_steady) == stamp(&later, is_steady);
                assert_eq!(!is_same, wanted, "{lost:?} {is_steady}");
            }
            assert_eq!(first.lost_until(&later), std::slice::from_ref(&lost));
            assert!(later.lost_until(&later).is_empty());
            let again = later.clone().with(&lost.name(), 8);
            assert_eq!(later.lost_until(&again), [lost]);
        }
    }

    #[test]
    fn a_store_that_has_lost_its_memory_has_lost_its_answers_and_ours_stay() {
        let before = known(&[("base", "a"), ("all", "1"), ("node:a", "2")]).unwrap();
        let after = known(&[("base", "b")]).unwrap();
        for before in [&before, &known(&[("base", "a")]).unwrap()] {
            let of_both = [before, &after].map(|known| known.stamp("eth_call", "c", true));
            assert_ne!(of_both[0], of_both[1]);
        }
        assert!(before.lost_until(&after).is_empty());
        assert_eq!(known(&[("all", "1")]), None);
        assert_eq!(known(&[("base", "no number")]), None);
        assert_eq!(
            known(&[("base", "a"), ("all", "?")]),
            known(&[("base", "a")])
        );
    }
}

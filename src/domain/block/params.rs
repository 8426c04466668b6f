//! Block parameters, read in place and rewritten.
//!
//! Of a call that is changed every byte stays but for the block parameter itself; what can be read
//! in two ways is left as it is.

use std::borrow::Cow;
use std::ops::Range;

use super::super::chain::{BlockHash, BlockNumber};
use super::super::{hex, json};
use super::{Form, Hashed, Need, Pins, Place, Reads};

/// What a call says of blocks, with the tags pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearing {
    pub need: Option<Need>,
    /// A block that is named by its hash instead.
    pub hash: Option<Hashed>,
    /// A range whose end stands before its beginning, both written as numbers.
    pub is_reversed: bool,
    /// Reads what is pending, which is another thing from one moment to the next.
    pub is_pending: bool,
    pub edits: Edits,
}

/// Changes of the params that a call travels with: none, or up to two, in the order of their
/// places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits([Option<Edit>; 2]);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Edit {
    at: Range<usize>,
    with: String,
}

impl Edits {
    /// `text` stands at `at` as well.
    pub fn inserting(at: usize, text: String) -> Edits {
        let edit = Edit {
            at: at..at,
            with: text,
        };
        Edits::of(Some(edit), None)
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// `params` in pieces, as changed.
    pub fn pieces<'a>(&'a self, params: &'a str) -> [&'a [u8]; 5] {
        let text = params.as_bytes();
        let mut pieces: [&[u8]; 5] = [&[]; 5];
        let mut from = 0;
        for (edit, at) in self.0.iter().flatten().zip([0, 2]) {
            pieces[at] = text.get(from..edit.at.start).unwrap_or_default();
            pieces[at + 1] = edit.with.as_bytes();
            from = edit.at.end;
        }
        pieces[4] = text.get(from..).unwrap_or_default();
        pieces
    }

    fn of(first: Option<Edit>, second: Option<Edit>) -> Edits {
        let is_in_order = match (&first, &second) {
            (Some(first), Some(second)) => first.at.start <= second.at.start,
            (None, _) | (_, None) => true,
        };
        Edits(if is_in_order {
            [first, second]
        } else {
            [second, first]
        })
    }
}

/// A block as a call names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Number(BlockNumber),
    Latest,
    Safe,
    Finalized,
    Pending,
    Hash(BlockHash),
    /// Nothing at all, or nothing that we know.
    Other,
}

fn numbered(named: Named, pins: &Pins) -> Option<BlockNumber> {
    match named {
        Named::Number(number) => Some(number),
        Named::Latest => pins.latest,
        Named::Safe => pins.safe,
        Named::Finalized => pins.finalized,
        Named::Pending | Named::Hash(_) | Named::Other => None,
    }
}

/// A name, and where its number would be written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mention {
    named: Named,
    at: Range<usize>,
    /// What is written before and after the number.
    around: (&'static str, &'static str),
}

impl Mention {
    fn written(named: Named, at: Range<usize>) -> Mention {
        Mention {
            named,
            at,
            around: ("", ""),
        }
    }

    /// A tag becomes the number that it is pinned to.
    fn edit(&self, pins: &Pins) -> Option<Edit> {
        match self.named {
            Named::Number(_) | Named::Pending | Named::Hash(_) | Named::Other => None,
            Named::Latest | Named::Safe | Named::Finalized => {
                numbered(self.named, pins).map(|number| self.as_number(number))
            }
        }
    }

    fn as_number(&self, BlockNumber(number): BlockNumber) -> Edit {
        Edit {
            at: self.at.clone(),
            with: match self.around {
                ("", "") => hex::quantity(number),
                (before, after) => [before, &hex::quantity(number), after].concat(),
            },
        }
    }
}

/// Reads what `params` say at `place`.
pub fn read(place: Place, params: Option<&str>, pins: &Pins) -> Bearing {
    let params = params.unwrap_or_default().as_bytes();
    match place {
        Place::Nowhere => Bearing::default(),
        Place::At { index, reads, form } => {
            let pins = match form {
                Form::Given | Form::OrLatest => *pins,
                Form::Plain => Pins::default(),
            };
            read_one(params, index, form == Form::OrLatest)
                .map(|mention| one(&mention, reads, &pins))
                .unwrap_or_default()
        }
        Place::Hash { index, reads } => json::elements(params, 0)
            .nth(index)
            .map(|at| hashed(named(&params[at]), reads))
            .unwrap_or_default(),
        Place::Range {
            index,
            missing_is_latest,
            is_of_now,
        } => {
            if let Some(named) = read_filters_hash(params, index) {
                return hashed(named, Reads::Receipts);
            }
            let pins = if is_of_now { *pins } else { Pins::default() };
            let missing = if missing_is_latest {
                Named::Latest
            } else {
                Named::Other
            };
            read_range(params, index, missing)
                .map(|(from, to)| range(&from, &to, &pins))
                .unwrap_or_default()
        }
    }
}

/// Of one block, by its hash alone.
fn hashed(named: Named, reads: Reads) -> Bearing {
    let mut bearing = Bearing::default();
    if let Named::Hash(hash) = named {
        bearing.hash = Some(Hashed { hash, reads });
    }
    bearing
}

fn one(mention: &Mention, reads: Reads, pins: &Pins) -> Bearing {
    let need = numbered(mention.named, pins).map(|number| Need {
        from: number,
        to: number,
        reads,
    });
    Bearing {
        need,
        is_pending: mention.named == Named::Pending,
        edits: Edits::of(mention.edit(pins), None),
        ..hashed(mention.named, reads)
    }
}

fn range(from: &Mention, to: &Mention, pins: &Pins) -> Bearing {
    let (low, high) = (numbered(from.named, pins), numbered(to.named, pins));
    let is_written = |mention: &Mention| matches!(mention.named, Named::Number(_));
    let is_reversed = is_written(from) && is_written(to) && low > high;
    let need = low.or(high).map(|any| {
        let (low, high) = (low.unwrap_or(any), high.unwrap_or(any));
        Need {
            from: low.min(high),
            to: low.max(high),
            reads: Reads::Logs,
        }
    });
    // From a block that only some have, to the latest: for them that is the latest one, too.
    let pins = match low {
        Some(low)
            if to.named == Named::Latest && pins.latest.is_some_and(|latest| low > latest) =>
        {
            Pins {
                latest: Some(low),
                ..*pins
            }
        }
        Some(_) | None => *pins,
    };
    Bearing {
        need,
        hash: None,
        is_reversed,
        is_pending: [from, to].iter().any(|end| end.named == Named::Pending),
        edits: Edits::of(from.edit(&pins), to.edit(&pins)),
    }
}

fn read_one(params: &[u8], index: usize, may_be_missing: bool) -> Option<Mention> {
    let (mut count, mut end) = (0, 1);
    for element in json::elements(params, 0) {
        if count == index {
            return Some(named_at(params, element, may_be_missing));
        }
        count += 1;
        end = element.end;
    }
    let is_next = params.first() == Some(&b'[') && count == index;
    (is_next && may_be_missing).then_some(Mention {
        named: Named::Latest,
        at: end..end,
        around: if count > 0 { (",", "") } else { ("", "") },
    })
}

/// The block that one parameter names: text, a number, or an object (EIP-1898).
fn named_at(params: &[u8], at: Range<usize>, null_is_latest: bool) -> Mention {
    let value = &params[at.clone()];
    match value.first() {
        Some(b'{') => {
            let mut found = [const { None }; 2];
            let is_clear =
                find_members(params, at.start, &["blockNumber", "blockHash"], &mut found);
            match found {
                [Some(number), None] if is_clear => {
                    Mention::written(named(&params[number.clone()]), number)
                }
                [None, Some(hash)] if is_clear => {
                    let named = named(&params[hash]);
                    let is_hash = matches!(named, Named::Hash(_));
                    Mention::written(if is_hash { named } else { Named::Other }, at)
                }
                _ => Mention::written(Named::Other, at),
            }
        }
        Some(_) if value == b"null" && null_is_latest => Mention::written(Named::Latest, at),
        Some(_) | None => Mention::written(named(value), at),
    }
}

/// The block that a filter names by its hash alone.
fn read_filters_hash(params: &[u8], index: usize) -> Option<Named> {
    let filter = json::elements(params, 0).nth(index)?;
    if params.get(filter.start) != Some(&b'{') {
        return None;
    }
    let mut found = [const { None }; 3];
    let keys = ["fromBlock", "toBlock", "blockHash"];
    let is_clear = find_members(params, filter.start, &keys, &mut found);
    let [None, None, Some(hash)] = found else {
        return None;
    };
    is_clear.then(|| named(&params[hash]))
}

fn read_range(params: &[u8], index: usize, missing: Named) -> Option<(Mention, Mention)> {
    let filter = json::elements(params, 0).nth(index)?;
    if params.get(filter.start) != Some(&b'{') {
        return None;
    }
    let mut found = [const { None }; 3];
    let keys = ["fromBlock", "toBlock", "blockHash"];
    let is_clear = find_members(params, filter.start, &keys, &mut found);
    let [from, to, None] = found else { return None };
    let inside = filter.start + 1;
    let is_bare = params.get(json::skip_space(params, inside)) == Some(&b'}');
    let end = |found: Option<Range<usize>>, around| match found {
        Some(at) if &params[at.clone()] != b"null" => {
            Mention::written(named(&params[at.clone()]), at)
        }
        Some(at) => Mention::written(missing, at),
        None => Mention {
            named: missing,
            at: inside..inside,
            around,
        },
    };
    // An empty object lacks both.
    let after_to = if is_bare { "" } else { "," };
    let mentions = (
        end(from, ("\"fromBlock\":", ",")),
        end(to, ("\"toBlock\":", after_to)),
    );
    is_clear.then_some(mentions)
}

/// Finds the values of `keys` in the object at `at`; `false` if it can be read in two ways: by a
/// decoder that ignores case, or because a key stands twice.
fn find_members(text: &[u8], at: usize, keys: &[&str], found: &mut [Option<Range<usize>>]) -> bool {
    let mut is_clear = true;
    for (key, value) in json::members(text, at) {
        let key = &text[key.start + 1..key.end - 1];
        let is_plain = key.is_ascii() && !key.contains(&b'\\');
        let known = keys
            .iter()
            .position(|known| key.eq_ignore_ascii_case(known.as_bytes()));
        is_clear &= is_plain;
        let Some(slot) = known else { continue };
        is_clear &= key == keys[slot].as_bytes();
        is_clear &= found[slot].replace(value).is_none();
    }
    is_clear
}

/// A tag or a number, as written in JSON.
fn named(value: &[u8]) -> Named {
    let Some(text) = std::str::from_utf8(value).ok() else {
        return Named::Other;
    };
    let Some(inner) = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    else {
        return text.parse().map_or(Named::Other, number);
    };
    let inner = if inner.contains('\\') {
        serde_json::from_str(text).map_or(Cow::Borrowed(""), Cow::Owned)
    } else {
        Cow::Borrowed(inner)
    };
    match &*inner {
        "latest" => Named::Latest,
        "safe" => Named::Safe,
        "finalized" => Named::Finalized,
        "pending" => Named::Pending,
        "earliest" => number(0),
        other => {
            let digits = other
                .strip_prefix("0x")
                .or_else(|| other.strip_prefix("0X"));
            // `from_str_radix` takes a sign.
            let digits = digits.filter(|digits| !digits.starts_with('+'));
            let parsed = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            let hash = || BlockHash::read(other).map_or(Named::Other, Named::Hash);
            parsed.map_or_else(hash, number)
        }
    }
}

fn number(number: u64) -> Named {
    Named::Number(BlockNumber(number))
}

#[cfg(test)]
#[path = "params_tests.rs"]
mod tests;

//! What a call asks for, of which block, and the key of that.

use crate::call::cache::canonical::{BlockPlace, ParamsAsWritten};
use crate::call::cache::kept_block::KeptBlock;
use crate::call::cache::key::{self, CacheKey, CacheSecret, KeyHead};
use crate::fleet::view::FleetView;
use crate::method::block::{BlockParam, BlockParamForm, BlockRefs};
use crate::method::retention::{Retention, is_by_wall_clock};
use crate::method::{self, Method, MethodIndex};
use crate::rpc::envelope::Call;
use crate::rpc::transaction;
use crate::vocabulary::chain::BlockNumber;
use crate::vocabulary::glob;

/// What answers are kept by.
#[derive(Clone, Debug)]
pub struct CacheRules {
    secret: CacheSecret,
    /// Whether the answers to the method are never kept, for each row of the table; empty where that is none.
    excluded: Vec<bool>,
}

impl CacheRules {
    /// Keys are hashed with `secret`. `never`: methods whose answers are not kept, by name or glob.
    pub fn new(secret: CacheSecret, never: &[String]) -> CacheRules {
        let is_in = |name: &str| never.iter().any(|glob| glob::matches(glob, name));
        let excluded = match never.is_empty() {
            true => Vec::new(),
            false => method::TABLE.iter().map(|row| is_in(row.name)).collect(),
        };
        CacheRules { secret, excluded }
    }
}

/// How an answer is kept, and found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachePlan {
    /// What the answer is kept under.
    pub key: CacheKey,
    /// The row of the method in [`method::TABLE`].
    pub row: u16,
    /// What the row says of keeping; not [`Retention::Never`].
    pub retention: Retention,
    /// The block that the answer is of, as far as it is known before it.
    pub block: KeptBlock,
    /// Where a range of several blocks begins.
    pub from: Option<BlockNumber>,
    /// It was asked for by the block's own hash, where a node can take it for nothing else.
    pub is_by_hash: bool,
}

/// Whether the answer to a call is kept, when none kept before may be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepDecision {
    /// It may not be.
    Never,
    /// It may be, and isn't [worth it](crate::call::cache::recurrence). By the row of its method.
    NotYet(u16),
    /// It is, where it turns out to be one that may be.
    Keep(CachePlan),
}

impl KeepDecision {
    /// How it is kept, if it is.
    pub fn plan(&self) -> Option<&CachePlan> {
        match self {
            KeepDecision::Never | KeepDecision::NotYet(_) => None,
            KeepDecision::Keep(plan) => Some(plan),
        }
    }

    /// The row of the method of an answer that may be kept.
    pub fn row(&self) -> MethodIndex {
        match self {
            KeepDecision::Never => None,
            KeepDecision::NotYet(row) => Some(*row),
            KeepDecision::Keep(plan) => Some(plan.row),
        }
    }
}

/// A call as it is written, and what it speaks of.
#[derive(Clone, Copy, Debug, Hash)]
pub struct AskedCall<'a> {
    /// The row of its method in [`method::TABLE`].
    pub row: u16,
    /// Its block.
    pub block: &'a KeptBlock,
    /// Where a range of several blocks begins.
    pub from: Option<BlockNumber>,
    /// Its params, JSON.
    pub params: &'a str,
}

/// What a call whose answer may be kept asks for, before its params are brought to one form.
#[derive(Debug)]
pub(crate) struct CacheSubject {
    row: u16,
    method: &'static Method,
    block: KeptBlock,
    from: Option<BlockNumber>,
    chain: u64,
    era: u64,
    /// See [`CachePlan::is_by_hash`].
    pub(crate) is_by_hash: bool,
}

impl CacheSubject {
    /// Of a call whose params say this of blocks; `None`: its answer isn't kept.
    pub(crate) fn of(
        (call, row): (&Call<'_>, MethodIndex),
        refs: &BlockRefs,
        view: &FleetView,
        rules: &CacheRules,
    ) -> Option<CacheSubject> {
        let (row, method) = (row?, method::listed(row)?);
        let retention = method.retention;
        let is_excluded = rules.excluded.get(usize::from(row)) == Some(&true);
        if retention == Retention::Never || is_excluded || refs.is_pending || refs.is_reversed {
            return None;
        }
        let chain = view.chain_id.or(view.nodes_chain)?.0;
        if retention == Retention::State && is_by_wall_clock(chain) {
            return None;
        }
        let block = match retention {
            Retention::Never => return None,
            Retention::Transaction(_) => {
                call.params.and_then(transaction::hash_asked)?;
                KeptBlock::Named
            }
            Retention::Block(_) | Retention::Logs | Retention::State => of_refs(refs, view)?,
        };
        // What an abandoned block's state was, nodes forget.
        if retention == Retention::State && matches!(block, KeptBlock::Hashed(_)) {
            return None;
        }
        let from = refs
            .need
            .filter(|need| need.from < need.to)
            .map(|need| need.from);
        Some(CacheSubject {
            row,
            method,
            block,
            from,
            chain,
            era: view.told.era,
            // Where numbers are asked for, some nodes take a hash for one that begins with zeros (alloy).
            is_by_hash: refs.hash.is_some() && !matches!(method.place, BlockParam::At { .. }),
        })
    }

    /// The call asked for it, as it stands.
    pub(crate) fn as_asked<'a>(&'a self, call: &'a Call<'_>) -> AskedCall<'a> {
        AskedCall {
            row: self.row,
            block: &self.block,
            from: self.from,
            params: call.params(),
        }
    }

    /// What `kept` finds for `call`, else how its answer is kept. Whether its params are written in their canonical
    /// form, as most are, is only looked at where nothing is found by them as they are.
    pub(crate) fn find<T>(
        &self,
        call: &Call<'_>,
        rules: &CacheRules,
        kept: impl Fn(&CachePlan) -> Option<T>,
    ) -> Result<T, KeepDecision> {
        let (secret, place) = (&rules.secret, place(self.method));
        let head = KeyHead {
            chain: self.chain,
            era: self.era,
            row: self.row,
            block: &self.block,
            from: self.from,
        };
        if let Some(written) = ParamsAsWritten::of(call.params, &call.elements, place) {
            let plan = self.plan(key::of_written(secret, &head, &written));
            if let Some(found) = kept(&plan) {
                return Ok(found);
            }
            if written.are_canonical() {
                return Err(KeepDecision::Keep(plan));
            }
        }
        let key = key::of(secret, &head, call.params, place).ok_or(KeepDecision::Never)?;
        let plan = self.plan(key);
        kept(&plan).ok_or(KeepDecision::Keep(plan))
    }

    fn plan(&self, key: CacheKey) -> CachePlan {
        CachePlan {
            key,
            row: self.row,
            retention: self.method.retention,
            block: self.block,
            from: self.from,
            is_by_hash: self.is_by_hash,
        }
    }
}

/// The block that fixes what is asked for: of a range the last.
fn of_refs(refs: &BlockRefs, view: &FleetView) -> Option<KeptBlock> {
    if !refs.is_exact {
        return None;
    }
    if let Some(hashed) = refs.hash {
        let number = view.told.number_of(hashed.hash);
        return Some(match number {
            Some(number) => KeptBlock::Told(number, hashed.hash),
            None => KeptBlock::Hashed(hashed.hash),
        });
    }
    let number = refs.need?.to;
    match view.told.hash_at(number) {
        Some(hash) => Some(KeptBlock::Told(number, hash)),
        None if Some(number) <= view.finalized_head => Some(KeptBlock::Final(number)),
        None => None,
    }
}

pub(super) fn place(method: &Method) -> BlockPlace {
    match method.place {
        BlockParam::Nowhere => BlockPlace::Nowhere,
        BlockParam::At { index, form, .. } => BlockPlace::Element {
            index,
            may_lack: form == BlockParamForm::OrLatest,
        },
        BlockParam::Hash { index, .. } => BlockPlace::Element {
            index,
            may_lack: false,
        },
        BlockParam::Range { index, .. } => BlockPlace::Filter { index },
    }
}

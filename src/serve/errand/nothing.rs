//! Nothing was found where another node may know more.

use std::sync::{MutexGuard, PoisonError};

use super::{Aim, Errand};
use crate::clock;
use crate::domain::chain::BlockHash;
use crate::domain::confirmation::{Confirmers, Searched, Sought};
use crate::domain::depth::Holding;
use crate::domain::fleet::NodeView;
use crate::domain::journey::Use;
use crate::domain::transaction::TxHash;
use crate::domain::unindexed;
use crate::serve::engine::Engine;

/// What is looked for: a hash, whichever method asks for it, else the call itself.
#[derive(Clone, Copy, Debug, Hash)]
enum Name<'a> {
    Block(BlockHash),
    Transaction(TxHash),
    Call(&'a str, Option<&'a str>),
}

impl<'a> Errand<'a> {
    /// Hears that `said` found nothing. Who goes back further is asked next, unless he was within a block
    /// time and found nothing, either.
    pub(super) fn hear_nothing(&mut self, said: &NodeView) -> Use {
        let (engine, name) = (self.engine, self.name());
        if self.journey.digs(said.id) {
            searched(engine).note(name, clock::now());
        }
        let (holding, is_for_anyone) = (self.asking().holding, matches!(self.aim, Aim::Anyone));
        let is_sure = self.null_is_sure;
        self.journey.hear_null(|ladder, block, tried| {
            let sought = Sought {
                holding,
                block,
                ladder,
                tried,
            };
            if !is_for_anyone {
                return Confirmers::default();
            }
            let view = &engine.pool.snapshot().view;
            let mut found = engine.pool.confirmers(said, sought);
            if found.digger.is_some() && searched(engine).knows(name, view.pace, clock::now()) {
                found = Confirmers::default();
            }
            if holding == Holding::Transactions
                && !is_sure
                && let Some(builder) = unindexed::builder(view, tried)
            {
                found.ask_first(builder);
            }
            found
        })
    }

    fn name(&self) -> Name<'a> {
        let block = self.asking().hash.map(|hashed| Name::Block(hashed.hash));
        let transaction = || self.transaction().map(Name::Transaction);
        let call = self.call;
        let found = block.or_else(transaction);
        found.unwrap_or(Name::Call(&call.method, call.params))
    }
}

fn searched(engine: &Engine) -> MutexGuard<'_, Searched> {
    let searched = engine.searched.lock();
    searched.unwrap_or_else(PoisonError::into_inner)
}

//! How a row of the method table is written: what it is, and then what is said of it.

use crate::method::block::BlockParam;
use crate::method::block::BlockParamForm::{self, Given, OrLatest, Plain};
use crate::method::block::FutureBlockPolicy::{self, PassOn, Wait};
use crate::method::retention::{BlockNaming, Retention};
use crate::method::treatment::LocalMethod;
use crate::method::treatment::Treatment::{self, Broadcast, Denied, Heavy, Once, Read};
use crate::vocabulary::block_ref::{BlockData, LookupTarget};

/// One method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// As callers write it: `eth_call`. Rows are told apart by it, case included.
    pub name: &'static str,
    /// By the table alone; see [`MethodRules::look_up`].
    pub treatment: Treatment,
    /// Where its params name blocks.
    pub place: BlockParam,
    /// What becomes of a call for a block that no node has yet.
    pub beyond: FutureBlockPolicy,
    /// What it is once the operator opens it, where the table denies it.
    pub once_allowed: Treatment,
    /// Where a look-up finds what it is for.
    pub holding: LookupTarget,
    /// A `null` is asked about once more: another node may know what the first doesn't yet.
    pub asks_again_on_null: bool,
    /// No node that has what is asked for answers `null`.
    pub is_never_null: bool,
    /// A slow attempt may be joined by one on another node.
    pub may_be_hedged: bool,
    /// Equal calls at the same time may share one answer.
    pub may_be_shared: bool,
    /// What its answers are kept under.
    pub retention: Retention,
}

const fn method(name: &'static str, treatment: Treatment) -> Method {
    Method {
        name,
        treatment,
        place: BlockParam::Nowhere,
        beyond: PassOn,
        once_allowed: Once,
        holding: LookupTarget::Blocks,
        asks_again_on_null: false,
        is_never_null: false,
        may_be_hedged: false,
        may_be_shared: false,
        retention: Retention::Never,
    }
}

pub(super) const fn read(name: &'static str) -> Method {
    Method {
        may_be_hedged: true,
        may_be_shared: true,
        ..method(name, Read)
    }
}

/// A second attempt at a heavy call would double what it costs.
pub(super) const fn heavy(name: &'static str) -> Method {
    Method {
        may_be_shared: true,
        ..method(name, Heavy)
    }
}

pub(super) const fn local(name: &'static str, local: LocalMethod) -> Method {
    Method {
        may_be_hedged: true,
        may_be_shared: true,
        ..method(name, Treatment::Local(local))
    }
}

pub(super) const fn broadcast(name: &'static str) -> Method {
    method(name, Broadcast)
}

pub(super) const fn once(name: &'static str) -> Method {
    method(name, Once)
}

pub(super) const fn denied(name: &'static str) -> Method {
    method(name, Denied)
}

impl Method {
    const fn at(
        self,
        index: usize,
        reads: BlockData,
        form: BlockParamForm,
        beyond: FutureBlockPolicy,
    ) -> Method {
        Method {
            place: BlockParam::At { index, reads, form },
            beyond,
            ..self
        }
    }

    /// Asked to see a change that has just been made: an answer that was asked for a moment before
    /// won't do.
    pub(super) const fn apart(self) -> Method {
        Method {
            may_be_shared: false,
            ..self
        }
    }

    /// Reads the state of the block at `index`. Where it isn't the first parameter it may be left
    /// out.
    pub(super) const fn state(self, index: usize) -> Method {
        let form = if index > 0 { OrLatest } else { Given };
        self.at(index, BlockData::State, form, Wait)
    }

    /// Proves the state of the block at `index`, or of the latest.
    pub(super) const fn proof(self, index: usize) -> Method {
        self.at(index, BlockData::Proof, OrLatest, Wait)
    }

    /// Reads the state of the block at `index`; without one the method has a meaning of its own.
    pub(super) const fn given_state(self, index: usize) -> Method {
        self.at(index, BlockData::State, Given, Wait)
    }

    /// The block at `index` is a plain number, or left out.
    pub(super) const fn plain_block(self, index: usize) -> Method {
        self.at(index, BlockData::Block, Plain, PassOn)
    }

    /// Reads the block at `index`, which must be given.
    pub(super) const fn block(self, index: usize, beyond: FutureBlockPolicy) -> Method {
        self.at(index, BlockData::Block, Given, beyond)
    }

    /// Reads the block at `index`, or the latest.
    pub(super) const fn latest_block(self, index: usize) -> Method {
        self.at(index, BlockData::Block, OrLatest, PassOn)
    }

    /// Of the block whose hash is the first parameter.
    pub(super) const fn by_hash(self, reads: BlockData) -> Method {
        Method {
            place: BlockParam::Hash { index: 0, reads },
            ..self
        }
    }

    pub(super) const fn receipts(self, index: usize, beyond: FutureBlockPolicy) -> Method {
        let method = Method {
            holding: LookupTarget::Receipts,
            ..self
        };
        method.at(index, BlockData::Receipts, Given, beyond)
    }

    /// The first parameter is a filter of logs: what it leaves out means the latest block.
    pub(super) const fn logs(self, beyond: FutureBlockPolicy) -> Method {
        self.range(beyond, true)
    }

    /// The first parameter is a filter of traces: without a beginning Erigon and reth begin with
    /// the first block of all.
    pub(super) const fn traces(self, beyond: FutureBlockPolicy) -> Method {
        self.range(beyond, false)
    }

    /// One that is done once goes on with the chain.
    const fn range(self, beyond: FutureBlockPolicy, missing_is_latest: bool) -> Method {
        Method {
            place: BlockParam::Range {
                index: 0,
                missing_is_latest,
                is_of_now: matches!(self.treatment, Heavy),
            },
            beyond,
            ..self
        }
    }

    /// A look-up by a transaction's hash.
    pub(super) const fn by_transaction(self) -> Method {
        Method {
            holding: LookupTarget::Transactions,
            ..self
        }
    }

    /// Once an operator opens it, it reads and is heavy; else what is opened is done once.
    pub(super) const fn heavy_once_allowed(self) -> Method {
        Method {
            once_allowed: Heavy,
            ..self
        }
    }

    /// execution-apis `src/eth`: the schema of its result has no `null` (of blocks, transactions,
    /// receipts and uncles `notFound` is one).
    pub(super) const fn never_null(self) -> Method {
        Method {
            is_never_null: true,
            ..self
        }
    }

    pub(super) const fn or_null(self) -> Method {
        Method {
            asks_again_on_null: true,
            ..self
        }
    }

    const fn kept(self, retention: Retention) -> Method {
        Method { retention, ..self }
    }

    /// What it reads from a state is kept with the block.
    pub(super) const fn kept_state(self) -> Method {
        self.kept(Retention::State)
    }

    /// A block, or something in one, which says so.
    pub(super) const fn kept_block(self, naming: BlockNaming) -> Method {
        self.kept(Retention::Block(naming))
    }

    pub(super) const fn kept_logs(self) -> Method {
        self.kept(Retention::Logs)
    }

    /// What was asked by a transaction's hash is kept with its block.
    pub(super) const fn kept_transaction(self, naming: BlockNaming) -> Method {
        self.kept(Retention::Transaction(naming))
    }
}

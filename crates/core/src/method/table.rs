//! The rows of the method table: what the execution APIs name, and old names that all nodes know.

use super::Treatment::{self, Broadcast, Denied, Heavy, Once, Read};
use super::{Method, clients};
use crate::fleet::depth::LookupTarget;
use crate::method::LocalMethod;
use crate::method::LocalMethod::{
    Accounts, BlockNumber, ChainId, ClientVersion, Listening, NetVersion, Subscribe, Syncing,
    Unsubscribe,
};
use crate::method::block::FutureBlockPolicy::{self, Null, PassOn, Refuse};
use crate::method::block::{BlockData, BlockParam, BlockParamForm};

/// All rows.
pub const TABLE: &[Method] = &{
    let mut rows = [STANDARD[0]; STANDARD.len() + clients::ROWS.len()];
    let mut at = 0;
    while at < rows.len() {
        rows[at] = if at < STANDARD.len() {
            STANDARD[at]
        } else {
            clients::ROWS[at - STANDARD.len()]
        };
        at += 1;
    }
    rows
};

/// Sorted by name.
#[rustfmt::skip]
const STANDARD: &[Method] = &[
    denied("debug_getBadBlocks"),
    read("debug_getRawBlock").block(0, PassOn).or_null(),
    read("debug_getRawHeader").block(0, PassOn).or_null(),
    read("debug_getRawReceipts").receipts(0, PassOn),
    read("debug_getRawTransaction").or_null(),
    heavy("debug_storageRangeAt"),
    heavy("debug_traceBlock"),
    heavy("debug_traceBlockByHash").by_hash(BlockData::State),
    heavy("debug_traceBlockByNumber").state(0),
    heavy("debug_traceCall").state(1),
    heavy("debug_traceTransaction"),
    local("eth_accounts", Accounts),
    read("eth_baseFee"),
    read("eth_blobBaseFee").never_null(),
    local("eth_blockNumber", BlockNumber),
    read("eth_call").state(1).never_null(),
    read("eth_capabilities"),
    local("eth_chainId", ChainId),
    read("eth_coinbase"),
    // EIP-7910: the forks, as of now.
    read("eth_config"),
    read("eth_createAccessList").state(1).never_null(),
    read("eth_estimateGas").state(1).never_null(),
    read("eth_feeHistory").block(1, PassOn).never_null(),
    // It asks the pool for the sender's next nonce.
    read("eth_fillTransaction").apart(),
    read("eth_gasPrice").never_null(),
    read("eth_getBalance").state(1).never_null(),
    read("eth_getBlockAccessList").block(0, Null).or_null(),
    read("eth_getBlockByHash").by_hash(BlockData::Block).or_null(),
    read("eth_getBlockByNumber").block(0, Null).or_null(),
    read("eth_getBlockReceipts").receipts(0, Null).or_null(),
    read("eth_getBlockTransactionCountByHash").by_hash(BlockData::Block),
    read("eth_getBlockTransactionCountByNumber").block(0, Null),
    read("eth_getCode").state(1).never_null(),
    once("eth_getFilterChanges"),
    once("eth_getFilterLogs"),
    read("eth_getHeaderByHash").by_hash(BlockData::Block).or_null(),
    read("eth_getHeaderByNumber").block(0, Null).or_null(),
    heavy("eth_getLogs").logs(Refuse).never_null(),
    read("eth_getProof").proof(2).never_null(),
    read("eth_getStorageAt").state(2).never_null(),
    read("eth_getStorageValues").state(1),
    read("eth_getTransactionByBlockHashAndIndex").by_hash(BlockData::Block).or_null(),
    read("eth_getTransactionByBlockNumberAndIndex").block(0, Null).or_null(),
    read("eth_getTransactionByHash").or_null().by_transaction().apart(),
    read("eth_getTransactionCount").state(1).apart().never_null(),
    read("eth_getTransactionReceipt").or_null().by_transaction().apart(),
    read("eth_getUncleByBlockHashAndIndex").by_hash(BlockData::Block),
    read("eth_getUncleByBlockNumberAndIndex").block(0, Null),
    read("eth_getUncleCountByBlockHash").by_hash(BlockData::Block),
    read("eth_getUncleCountByBlockNumber").block(0, Null),
    read("eth_hashrate"),
    read("eth_maxPriorityFeePerGas").never_null(),
    read("eth_mining"),
    once("eth_newBlockFilter"),
    once("eth_newFilter").logs(PassOn),
    once("eth_newPendingTransactionFilter"),
    read("eth_protocolVersion"),
    broadcast("eth_sendRawTransaction"),
    broadcast("eth_sendRawTransactionConditional"),
    broadcast("eth_sendRawTransactionSync"),
    denied("eth_sendTransaction"),
    denied("eth_sign"),
    denied("eth_signTransaction"),
    denied("eth_signTypedData"),
    denied("eth_signTypedData_v4"),
    heavy("eth_simulateV1").state(1),
    once("eth_submitHashrate"),
    once("eth_submitWork"),
    local("eth_subscribe", Subscribe),
    local("eth_syncing", Syncing),
    once("eth_uninstallFilter"),
    local("eth_unsubscribe", Unsubscribe),
    local("net_listening", Listening),
    read("net_peerCount"),
    local("net_version", NetVersion),
    heavy("trace_block").state(0),
    heavy("trace_call").state(2),
    heavy("trace_callMany").state(1),
    heavy("trace_filter").traces(PassOn),
    heavy("trace_get"),
    heavy("trace_rawTransaction"),
    heavy("trace_replayBlockTransactions").state(0),
    heavy("trace_replayTransaction"),
    heavy("trace_transaction"),
    local("web3_clientVersion", ClientVersion),
    read("web3_sha3"),
];

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

const fn local(name: &'static str, local: LocalMethod) -> Method {
    Method {
        may_be_hedged: true,
        may_be_shared: true,
        ..method(name, Treatment::Local(local))
    }
}

const fn broadcast(name: &'static str) -> Method {
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
        let form = if index > 0 {
            BlockParamForm::OrLatest
        } else {
            BlockParamForm::Given
        };
        self.at(index, BlockData::State, form, FutureBlockPolicy::Wait)
    }

    /// Proves the state of the block at `index`, or of the latest.
    const fn proof(self, index: usize) -> Method {
        self.at(
            index,
            BlockData::Proof,
            BlockParamForm::OrLatest,
            FutureBlockPolicy::Wait,
        )
    }

    /// Reads the state of the block at `index`; without one the method has a meaning of its own.
    pub(super) const fn given_state(self, index: usize) -> Method {
        self.at(
            index,
            BlockData::State,
            BlockParamForm::Given,
            FutureBlockPolicy::Wait,
        )
    }

    /// The block at `index` is a plain number, or left out.
    pub(super) const fn plain_block(self, index: usize) -> Method {
        self.at(
            index,
            BlockData::Block,
            BlockParamForm::Plain,
            FutureBlockPolicy::PassOn,
        )
    }

    /// Reads the block at `index`, which must be given.
    pub(super) const fn block(self, index: usize, beyond: FutureBlockPolicy) -> Method {
        self.at(index, BlockData::Block, BlockParamForm::Given, beyond)
    }

    /// Reads the block at `index`, or the latest.
    pub(super) const fn latest_block(self, index: usize) -> Method {
        self.at(
            index,
            BlockData::Block,
            BlockParamForm::OrLatest,
            FutureBlockPolicy::PassOn,
        )
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
        method.at(index, BlockData::Receipts, BlockParamForm::Given, beyond)
    }

    /// The first parameter is a filter of logs: what it leaves out means the latest block.
    pub(super) const fn logs(self, beyond: FutureBlockPolicy) -> Method {
        self.range(beyond, true)
    }

    /// The first parameter is a filter of traces: without a beginning Erigon and reth begin with
    /// the first block of all.
    const fn traces(self, beyond: FutureBlockPolicy) -> Method {
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
    const fn never_null(self) -> Method {
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
}

//! The rows of the method table.

use super::super::block::Beyond::{self, Null, PassOn, Refuse};
use super::super::block::{Place, Reads};
use super::Local::{
    Accounts, BlockNumber, ChainId, ClientVersion, Listening, NetVersion, Subscribe, Syncing,
    Unsubscribe,
};
use super::Treatment::{self, Broadcast, Denied, Heavy, Once, Read};
use super::{Local, Method};

/// Sorted by name.
#[rustfmt::skip]
pub const TABLE: &[Method] = &[
    denied("debug_getBadBlocks"),
    read("debug_getRawBlock").block(0, PassOn),
    read("debug_getRawHeader").block(0, PassOn),
    read("debug_getRawReceipts").receipts(0, PassOn),
    read("debug_getRawTransaction"),
    heavy("debug_storageRangeAt"),
    heavy("debug_traceBlock"),
    heavy("debug_traceBlockByHash"),
    heavy("debug_traceBlockByNumber").state(0),
    heavy("debug_traceCall").state(1),
    heavy("debug_traceTransaction"),
    local("eth_accounts", Accounts),
    read("eth_blobBaseFee"),
    local("eth_blockNumber", BlockNumber),
    read("eth_call").state(1),
    read("eth_capabilities"),
    local("eth_chainId", ChainId),
    read("eth_coinbase"),
    read("eth_createAccessList").state(1),
    read("eth_estimateGas").state(1),
    read("eth_feeHistory").block(1, PassOn),
    read("eth_gasPrice"),
    read("eth_getBalance").state(1),
    read("eth_getBlockByHash").or_null(),
    read("eth_getBlockByNumber").block(0, Null).or_null(),
    read("eth_getBlockReceipts").receipts(0, Null).or_null(),
    read("eth_getBlockTransactionCountByHash"),
    read("eth_getBlockTransactionCountByNumber").block(0, Null),
    read("eth_getCode").state(1),
    once("eth_getFilterChanges"),
    once("eth_getFilterLogs"),
    heavy("eth_getLogs").logs(Refuse),
    read("eth_getProof").state(2),
    read("eth_getStorageAt").state(2),
    read("eth_getTransactionByBlockHashAndIndex").or_null(),
    read("eth_getTransactionByBlockNumberAndIndex").block(0, Null).or_null(),
    read("eth_getTransactionByHash").or_null().apart(),
    read("eth_getTransactionCount").state(1).apart(),
    read("eth_getTransactionReceipt").or_null(),
    read("eth_getUncleByBlockHashAndIndex"),
    read("eth_getUncleByBlockNumberAndIndex").block(0, Null),
    read("eth_getUncleCountByBlockHash"),
    read("eth_getUncleCountByBlockNumber").block(0, Null),
    read("eth_hashrate"),
    read("eth_maxPriorityFeePerGas"),
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
        place: Place::Nowhere,
        beyond: PassOn,
        asks_again_on_null: false,
        may_be_hedged: false,
        may_be_shared: false,
    }
}

const fn read(name: &'static str) -> Method {
    Method {
        may_be_hedged: true,
        may_be_shared: true,
        ..method(name, Read)
    }
}

/// A second attempt at a heavy call would double what it costs.
const fn heavy(name: &'static str) -> Method {
    Method {
        may_be_shared: true,
        ..method(name, Heavy)
    }
}

const fn local(name: &'static str, local: Local) -> Method {
    Method {
        may_be_hedged: true,
        may_be_shared: true,
        ..method(name, Treatment::Local(local))
    }
}

const fn broadcast(name: &'static str) -> Method {
    method(name, Broadcast)
}

const fn once(name: &'static str) -> Method {
    method(name, Once)
}

const fn denied(name: &'static str) -> Method {
    method(name, Denied)
}

impl Method {
    const fn at(self, index: usize, reads: Reads, may_be_missing: bool, beyond: Beyond) -> Method {
        Method {
            place: Place::At {
                index,
                reads,
                may_be_missing,
            },
            beyond,
            ..self
        }
    }

    /// Asked to see a change that has just been made: an answer that was asked for a moment before
    /// won't do.
    const fn apart(self) -> Method {
        Method {
            may_be_shared: false,
            ..self
        }
    }

    /// Reads the state of the block at `index`. Where it isn't the first parameter it may be left
    /// out.
    const fn state(self, index: usize) -> Method {
        self.at(index, Reads::State, index > 0, Beyond::Wait)
    }

    /// Reads the block at `index`, which must be given.
    const fn block(self, index: usize, beyond: Beyond) -> Method {
        self.at(index, Reads::Block, false, beyond)
    }

    const fn receipts(self, index: usize, beyond: Beyond) -> Method {
        self.at(index, Reads::Receipts, false, beyond)
    }

    /// The first parameter is a filter of logs: what it leaves out means the latest block.
    const fn logs(self, beyond: Beyond) -> Method {
        self.range(beyond, true)
    }

    /// The first parameter is a filter of traces: without a beginning Erigon and reth begin with
    /// the first block of all.
    const fn traces(self, beyond: Beyond) -> Method {
        self.range(beyond, false)
    }

    /// One that is done once goes on with the chain.
    const fn range(self, beyond: Beyond, missing_is_latest: bool) -> Method {
        Method {
            place: Place::Range {
                index: 0,
                missing_is_latest,
                is_of_now: matches!(self.treatment, Heavy),
            },
            beyond,
            ..self
        }
    }

    const fn or_null(self) -> Method {
        Method {
            asks_again_on_null: true,
            ..self
        }
    }
}

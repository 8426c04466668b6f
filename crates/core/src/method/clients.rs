//! Reads that single makes of node have beside the execution APIs, each under the source that
//! registers it.

use crate::method::block::FutureBlockPolicy::{Null, PassOn};
use crate::method::retention::BlockNaming::{Each, Itself};
use crate::method::row::{Method, denied, heavy, once, read};
use crate::vocabulary::block_ref::BlockData;

/// By source.
#[rustfmt::skip]
pub(super) const ROWS: &[Method] = &[
    // geth: internal/ethapi/api.go
    read("eth_getRawTransactionByBlockHashAndIndex").by_hash(BlockData::Block).or_null(),
    read("eth_getRawTransactionByBlockNumberAndIndex").block(0, Null).or_null(),
    read("eth_getRawTransactionByHash").or_null().by_transaction().apart(),
    // Of accounts that the node itself keeps.
    read("eth_pendingTransactions").apart(),
    // What it waits for it sends again, with another price, signed by the node.
    denied("eth_resend"),
    read("rpc_modules"),
    // geth: eth/api_debug.go, eth/tracers/api.go
    denied("debug_accountRange").heavy_once_allowed().state(0),
    denied("debug_dumpBlock").heavy_once_allowed().state(0),
    denied("debug_executionWitness").heavy_once_allowed().state(0),
    denied("debug_getModifiedAccountsByHash").heavy_once_allowed(),
    denied("debug_getModifiedAccountsByNumber").heavy_once_allowed().plain_block(0),
    denied("debug_intermediateRoots").heavy_once_allowed().state(0),
    heavy("debug_traceBadBlock"),
    // Of the machine that the node runs on.
    denied("debug_traceBlockFromFile"),

    // reth: crates/rpc/rpc-eth-api/src/core.rs, bundle.rs
    heavy("eth_callBundle"),
    heavy("eth_callMany").given_state(1),
    read("eth_getAccount").state(1).kept_state(),
    read("eth_getAccountInfo").state(1).kept_state(),
    read("eth_getBlockAccessListByBlockHash").by_hash(BlockData::Block).or_null(),
    read("eth_getBlockAccessListByBlockNumber").block(0, Null).or_null(),
    read("eth_getBlockAccessListRaw").block(0, Null).or_null(),
    read("eth_getTransactionBySenderAndNonce").or_null().apart(),
    read("eth_getWork").apart(),
    // reth: crates/rpc/rpc-api/src/debug.rs, reth.rs, trace.rs
    denied("debug_executionWitnessByBlockHash").heavy_once_allowed(),
    heavy("debug_traceCallMany").given_state(1),
    heavy("reth_getBalanceChangesInBlock").given_state(0),
    heavy("trace_blockOpcodeGas").given_state(0),
    heavy("trace_transactionOpcodeGas"),

    // Otterscan's, in Erigon, reth and Nethermind: rpc/jsonrpc/otterscan_api.go
    read("ots_getApiLevel"),
    read("ots_getBlockDetails").block(0, PassOn).or_null(),
    read("ots_getBlockDetailsByHash").by_hash(BlockData::Block).or_null(),
    read("ots_getBlockTransactions").block(0, PassOn),
    heavy("ots_getContractCreator"),
    read("ots_getHeaderByNumber").block(0, PassOn).or_null(),
    heavy("ots_getInternalOperations"),
    read("ots_getTransactionBySenderAndNonce").or_null().apart(),
    read("ots_getTransactionError"),
    read("ots_hasCode").state(1),
    heavy("ots_searchTransactionsAfter"),
    heavy("ots_searchTransactionsBefore"),
    heavy("ots_traceTransaction"),

    // Erigon: rpc/jsonrpc/erigon_api.go, overlay_api.go, parity_api.go
    read("erigon_blockNumber"),
    read("erigon_forks"),
    heavy("erigon_getBalanceChangesInBlock").given_state(0),
    read("erigon_getBlockByTimestamp").or_null(),
    read("erigon_getBlockReceiptsByBlockHash").by_hash(BlockData::Receipts).kept_block(Each),
    read("erigon_getHeaderByHash").by_hash(BlockData::Block).or_null().kept_block(Itself),
    read("erigon_getHeaderByNumber").block(0, Null).or_null().kept_block(Itself),
    heavy("erigon_getLatestLogs"),
    heavy("erigon_getLogs").logs(PassOn),
    read("erigon_getLogsByHash").by_hash(BlockData::Receipts),
    heavy("overlay_callConstructor"),
    heavy("overlay_getLogs"),
    heavy("parity_listStorageKeys"),

    // Nethermind: Nethermind.JsonRpc/Modules/{Parity,Proof,Trace}
    denied("parity_clearEngineSigner"),
    read("parity_enode"),
    read("parity_getBlockReceipts").receipts(0, Null).or_null().kept_block(Each),
    read("parity_netPeers"),
    read("parity_pendingTransactions").apart(),
    denied("parity_setEngineSigner"),
    denied("parity_setEngineSignerSecret"),
    heavy("proof_call").state(1),
    heavy("proof_getTransactionByHash"),
    heavy("proof_getTransactionReceipt"),
    heavy("trace_simulateV1").state(1),

    // Besu: ethereum/api/.../jsonrpc/RpcMethod.java
    denied("ibft_discardValidatorVote"),
    read("ibft_getPendingVotes"),
    read("ibft_getSignerMetrics"),
    read("ibft_getValidatorsByBlockHash").by_hash(BlockData::Block),
    read("ibft_getValidatorsByBlockNumber").block(0, PassOn),
    denied("ibft_proposeValidatorVote"),
    read("net_enode"),
    read("net_services"),
    denied("qbft_discardValidatorVote"),
    read("qbft_getPendingVotes"),
    read("qbft_getSignerMetrics"),
    read("qbft_getValidatorsByBlockHash").by_hash(BlockData::Block),
    read("qbft_getValidatorsByBlockNumber").block(0, PassOn),
    denied("qbft_proposeValidatorVote"),

    // AvalancheGo: graft/coreth/internal/ethapi/api_extra.go, api.coreth.go
    read("eth_callDetailed").state(1),
    read("eth_etherbase"),
    read("eth_getBadBlocks"),
    read("eth_getChainConfig"),
    read("eth_suggestPriceOptions"),

    // op-geth: internal/ethapi/api.go
    denied("debug_chainConfig").heavy_once_allowed(),

    // bsc: internal/ethapi/api.go, eth/filters/api.go
    read("eth_getBlobSidecarByTxHash").or_null(),
    read("eth_getBlobSidecars").block(0, Null).or_null(),
    read("eth_getBlockMevInfo").block(0, PassOn).or_null(),
    heavy("eth_getDiffAccounts").block(0, PassOn),
    heavy("eth_getDiffAccountsWithScope").block(0, PassOn),
    // Their number says how many validators are to have voted: it is no block.
    read("eth_getFinalizedBlock").or_null().apart(),
    read("eth_getFinalizedHeader").or_null().apart(),
    read("eth_getTransactionDataAndReceipt").or_null().by_transaction(),
    read("eth_getTransactionReceiptsByBlockNumber").receipts(0, Null).or_null().kept_block(Each),
    read("eth_getTransactionsByBlockNumber").block(0, Null).or_null(),
    read("eth_health").apart(),
    once("eth_newFinalizedHeaderFilter"),
    once("eth_newVotesFilter"),
    // bsc: consensus/parlia/api.go
    read("parlia_getFinalizedNumber").latest_block(0),
    read("parlia_getJustifiedNumber").latest_block(0),
    read("parlia_getSnapshot").latest_block(0),
    read("parlia_getSnapshotAtHash"),
    read("parlia_getTurnLength").latest_block(0),
    read("parlia_getValidators").latest_block(0),
    read("parlia_getValidatorsAtHash"),
];

//! Methods that single chains' nodes have beside Ethereum's, each under the source that registers it:
//! what reads may be repeated, shared, and routed by the block that it speaks of.

use crate::method::block::FutureBlockPolicy::{Null, PassOn};
use crate::method::row::{Method, broadcast, heavy, once, read};
use crate::vocabulary::block_ref::BlockData;

/// By source.
#[rustfmt::skip]
pub(super) const ROWS: &[Method] = &[
    // Arbitrum: nitro execution/gethexec/api.go, arbnode/api.go
    read("arb_checkPublisherHealth").apart(),
    read("arb_findBatchContainingBlock").plain_block(0),
    read("arb_getL1Confirmations").plain_block(0).apart(),
    read("arb_getRawBlockMetadata").plain_block(0),
    read("arb_latestValidated").apart(),
    read("arb_maintenanceStatus").apart(),
    heavy("arbdebug_pricingModel"),
    heavy("arbdebug_timeoutQueue").state(0),
    heavy("arbdebug_timeoutQueueHistory"),
    // Of blocks before Nitro, by the node that has them.
    heavy("arbtrace_block"),
    heavy("arbtrace_call"),
    heavy("arbtrace_callMany"),
    heavy("arbtrace_filter"),
    heavy("arbtrace_get"),
    heavy("arbtrace_replayBlockTransactions"),
    heavy("arbtrace_replayTransaction"),
    heavy("arbtrace_transaction"),

    // OP stack, and what is derived from it (Base, Celo): optimism op-node/node/api.go
    read("optimism_outputAtBlock").block(0, PassOn),
    read("optimism_rollupConfig"),
    read("optimism_syncStatus").apart(),
    read("optimism_version"),

    // Polygon: bor consensus/bor/api.go, internal/ethapi/bor_api.go
    read("bor_blockNumber").latest_block(0).apart(),
    read("bor_forks"),
    read("bor_getAuthor").latest_block(0),
    heavy("bor_getBalanceChangesInBlock").given_state(0),
    read("bor_getBlockByTimestamp").or_null(),
    read("bor_getBlockGasParams").block(0, PassOn),
    read("bor_getBlockReceiptsByBlockHash").by_hash(BlockData::Receipts).or_null(),
    read("bor_getCurrentProposer").apart(),
    read("bor_getCurrentValidators").apart(),
    read("bor_getHeaderByHash").by_hash(BlockData::Block),
    read("bor_getHeaderByNumber").block(0, PassOn),
    heavy("bor_getLatestLogs"),
    heavy("bor_getLogs").logs(PassOn),
    read("bor_getLogsByHash").by_hash(BlockData::Receipts).or_null(),
    heavy("bor_getRootHash").plain_block(1),
    read("bor_getSigners").latest_block(0),
    read("bor_getSignersAtHash").by_hash(BlockData::Block),
    read("bor_getSnapshot").latest_block(0),
    read("bor_getSnapshotAtHash").by_hash(BlockData::Block),
    read("bor_getSnapshotProposer").latest_block(0),
    read("bor_getSnapshotProposerSequence").latest_block(0),
    // A vote locks the range that it is for.
    once("bor_getVoteOnHash"),
    heavy("bor_getWitnessByBlockNumberOrHash").block(0, PassOn).or_null(),
    heavy("bor_getWitnessByHash").by_hash(BlockData::Block).or_null(),
    heavy("bor_getWitnessByNumber").block(0, PassOn).or_null(),
    broadcast("bor_sendRawTransactionConditional"),
    read("eth_getBorBlockReceipt").by_hash(BlockData::Receipts).or_null(),
    heavy("eth_getRootHash").plain_block(1),
    read("eth_getTransactionReceiptsByBlock").receipts(0, PassOn),
    once("eth_getVoteOnHash"),

    // zkSync: zksync-era core/lib/web3_decl/src/namespaces/zks.rs. Its blocks are plain numbers there, its
    // batches are no blocks.
    read("zks_L1BatchNumber").apart(),
    read("zks_L1ChainId"),
    read("zks_estimateFee"),
    read("zks_estimateGasL1ToL2"),
    read("zks_getAllAccountBalances"),
    read("zks_getBaseTokenL1Address"),
    read("zks_getBatchFeeInput"),
    read("zks_getBlockDetails").plain_block(0).or_null(),
    read("zks_getBridgeContracts"),
    read("zks_getBridgehubContract"),
    read("zks_getBytecodeByHash").or_null(),
    read("zks_getConfirmedTokens"),
    read("zks_getFeeParams"),
    read("zks_getL1BatchBlockRange").or_null(),
    read("zks_getL1BatchDetails").or_null(),
    read("zks_getL1GasPrice"),
    // `null` for as long as the batch isn't sealed: asked over and over.
    read("zks_getL2ToL1LogProof").apart(),
    read("zks_getL2ToL1MsgProof").plain_block(0).apart(),
    read("zks_getMainContract"),
    heavy("zks_getProof"),
    read("zks_getProtocolVersion"),
    read("zks_getRawBlockTransactions").plain_block(0),
    read("zks_getTestnetPaymaster"),
    read("zks_getTransactionDetails").or_null().by_transaction().apart(),

    // Filecoin: lotus node/rpc.go (the aliases)
    read("eth_getBlockReceiptsLimited").receipts(0, Null).or_null(),
    read("eth_getMessageCidByTransactionHash").or_null().by_transaction(),
    read("eth_getTransactionByHashLimited").or_null().by_transaction().apart(),
    read("eth_getTransactionHashByCid").or_null(),
    read("eth_getTransactionReceiptLimited").or_null().by_transaction().apart(),

    // Moonbeam: client/rpc/finality/src/lib.rs
    read("moon_getEthSyncBlockRange").apart(),
    read("moon_isBlockFinalized").apart(),
    read("moon_isTxFinalized").apart(),

    // Scroll: go-ethereum eth/api_scroll.go, eth/tracers/api_blocktrace.go. What was skipped, and what isn't
    // relayed, has a `null` that is meant.
    heavy("scroll_calculateRowConsumptionByBlockNumber").block(0, PassOn),
    read("scroll_estimateL1DataFee"),
    read("scroll_getBlockByHash").by_hash(BlockData::Block).or_null(),
    read("scroll_getBlockByNumber").block(0, Null).or_null(),
    heavy("scroll_getBlockTraceByNumberOrHash").state(0),
    read("scroll_getFirstQueueIndexNotInL2Block").by_hash(BlockData::Block),
    read("scroll_getL1MessageByIndex"),
    read("scroll_getL1SyncHeight").apart(),
    read("scroll_getLatestRelayedQueueIndex").apart(),
    read("scroll_getNumSkippedTransactions").apart(),
    read("scroll_getSkippedTransaction"),
    read("scroll_getSkippedTransactionHashes"),
    read("scroll_syncStatus").apart(),

    // Linea: linea-monorepo besu-plugins; its sequencer's list of what it left out
    read("linea_estimateGas"),
    read("linea_getProof").proof(2),
    read("linea_getTransactionExclusionStatusV1").apart(),
];

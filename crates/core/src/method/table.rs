//! The rows of the method table: what the execution APIs name, and old names that all nodes know.

use super::{chains, clients};
use crate::method::block::FutureBlockPolicy::{Null, PassOn, Refuse};
use crate::method::retention::BlockNaming::{Each, Inside, Itself, Unsaid};
use crate::method::row::{Method, broadcast, denied, heavy, local, once, read};
use crate::method::treatment::LocalMethod::{
    Accounts, BlockNumber, ChainId, ClientVersion, Listening, NetVersion, Subscribe, Syncing,
    Unsubscribe,
};
use crate::vocabulary::block_ref::BlockData;

/// All rows.
pub const TABLE: &[Method] = &{
    let mut rows = [STANDARD[0]; STANDARD.len() + clients::ROWS.len() + chains::ROWS.len()];
    let mut at = 0;
    let mut list = 0;
    let lists = [STANDARD, clients::ROWS, chains::ROWS];
    while list < lists.len() {
        let mut row = 0;
        while row < lists[list].len() {
            rows[at] = lists[list][row];
            at += 1;
            row += 1;
        }
        list += 1;
    }
    rows
};

/// Sorted by name.
#[rustfmt::skip]
const STANDARD: &[Method] = &[
    denied("debug_getBadBlocks"),
    read("debug_getRawBlock").block(0, PassOn).or_null().kept_block(Unsaid),
    read("debug_getRawHeader").block(0, PassOn).or_null().kept_block(Unsaid),
    read("debug_getRawReceipts").receipts(0, PassOn).kept_block(Unsaid),
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
    read("eth_call").state(1).never_null().kept_state(),
    read("eth_capabilities"),
    local("eth_chainId", ChainId),
    read("eth_coinbase"),
    // EIP-7910: the forks, as of now.
    read("eth_config"),
    read("eth_createAccessList").state(1).never_null().kept_state(),
    read("eth_estimateGas").state(1).never_null().kept_state(),
    read("eth_feeHistory").block(1, PassOn).never_null().kept_state(),
    // It asks the pool for the sender's next nonce.
    read("eth_fillTransaction").apart(),
    read("eth_gasPrice").never_null(),
    read("eth_getBalance").state(1).never_null().kept_state(),
    read("eth_getBlockAccessList").block(0, Null).or_null(),
    read("eth_getBlockByHash").by_hash(BlockData::Block).or_null().kept_block(Itself),
    read("eth_getBlockByNumber").block(0, Null).or_null().kept_block(Itself),
    read("eth_getBlockReceipts").receipts(0, Null).or_null().kept_block(Each),
    read("eth_getBlockTransactionCountByHash").by_hash(BlockData::Block).kept_block(Unsaid),
    read("eth_getBlockTransactionCountByNumber").block(0, Null).kept_block(Unsaid),
    read("eth_getCode").state(1).never_null().kept_state(),
    once("eth_getFilterChanges"),
    once("eth_getFilterLogs"),
    read("eth_getHeaderByHash").by_hash(BlockData::Block).or_null().kept_block(Itself),
    read("eth_getHeaderByNumber").block(0, Null).or_null().kept_block(Itself),
    heavy("eth_getLogs").logs(Refuse).never_null().kept_logs(),
    read("eth_getProof").proof(2).never_null().kept_state(),
    read("eth_getStorageAt").state(2).never_null().kept_state(),
    read("eth_getStorageValues").state(1).kept_state(),
    read("eth_getTransactionByBlockHashAndIndex").by_hash(BlockData::Block).or_null().kept_block(Inside),
    read("eth_getTransactionByBlockNumberAndIndex").block(0, Null).or_null().kept_block(Inside),
    read("eth_getTransactionByHash").or_null().by_transaction().apart().kept_transaction(Inside),
    read("eth_getTransactionCount").state(1).apart().never_null().kept_state(),
    read("eth_getTransactionReceipt").or_null().by_transaction().apart().kept_transaction(Inside),
    read("eth_getUncleByBlockHashAndIndex").by_hash(BlockData::Block).kept_block(Unsaid),
    read("eth_getUncleByBlockNumberAndIndex").block(0, Null).kept_block(Unsaid),
    read("eth_getUncleCountByBlockHash").by_hash(BlockData::Block).kept_block(Unsaid),
    read("eth_getUncleCountByBlockNumber").block(0, Null).kept_block(Unsaid),
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
    heavy("trace_block").state(0).kept_block(Each),
    heavy("trace_call").state(2),
    heavy("trace_callMany").state(1),
    heavy("trace_filter").traces(PassOn),
    heavy("trace_get"),
    heavy("trace_rawTransaction"),
    heavy("trace_replayBlockTransactions").state(0),
    heavy("trace_replayTransaction"),
    heavy("trace_transaction").kept_transaction(Each),
    local("web3_clientVersion", ClientVersion),
    read("web3_sha3"),
];

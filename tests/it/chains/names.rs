//! The method table beside what each of these nodes registers.

use forebay_core::method::{MethodRules, TABLE, Treatment};
use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::stage::Endpoint;

/// Names asked at once: some wait for a block, and there are hundreds.
const AT_ONCE: usize = 16;

/// Reads, and what is done once, that all of them know.
const COMMON: &str = "
    debug_getRawBlock debug_getRawHeader debug_getRawReceipts debug_getRawTransaction
    debug_traceBadBlock debug_traceBlock debug_traceBlockByHash
    debug_traceBlockByNumber debug_traceCall debug_traceTransaction
    eth_call eth_createAccessList eth_estimateGas eth_feeHistory eth_fillTransaction eth_gasPrice
    eth_getBalance eth_getBlockByHash eth_getBlockByNumber eth_getBlockReceipts
    eth_getBlockTransactionCountByHash eth_getBlockTransactionCountByNumber eth_getCode
    eth_getFilterChanges eth_getFilterLogs eth_getHeaderByHash eth_getHeaderByNumber eth_getLogs
    eth_getProof eth_getRawTransactionByBlockHashAndIndex
    eth_getRawTransactionByBlockNumberAndIndex eth_getRawTransactionByHash eth_getStorageAt
    eth_getTransactionByBlockHashAndIndex eth_getTransactionByBlockNumberAndIndex
    eth_getTransactionByHash eth_getTransactionCount eth_getTransactionReceipt
    eth_getUncleByBlockHashAndIndex eth_getUncleByBlockNumberAndIndex eth_getUncleCountByBlockHash
    eth_getUncleCountByBlockNumber eth_maxPriorityFeePerGas eth_newBlockFilter eth_newFilter
    eth_newPendingTransactionFilter eth_pendingTransactions eth_sendRawTransaction
    eth_uninstallFilter net_peerCount web3_sha3";

/// Beside those: op-geth v1.101702.3, internal/ethapi/api.go.
pub const OP_GETH: &str = "
    debug_storageRangeAt eth_blobBaseFee eth_config eth_getStorageValues eth_sendRawTransactionSync eth_simulateV1 rpc_modules";

/// bsc v1.7.8: internal/ethapi/api.go, eth/api.go, eth/filters/api.go, consensus/parlia/api.go.
pub const BSC: &str = "
    debug_storageRangeAt eth_blobBaseFee eth_coinbase eth_config eth_etherbase eth_getBlobSidecarByTxHash
    eth_getBlobSidecars eth_getBlockMevInfo eth_getDiffAccounts eth_getDiffAccountsWithScope
    eth_getFinalizedBlock eth_getFinalizedHeader eth_getTransactionDataAndReceipt
    eth_getTransactionReceiptsByBlockNumber eth_getTransactionsByBlockNumber eth_health eth_mining
    eth_newFinalizedHeaderFilter eth_newVotesFilter eth_sendRawTransactionConditional
    eth_sendRawTransactionSync eth_simulateV1 rpc_modules parlia_getFinalizedNumber
    parlia_getJustifiedNumber parlia_getSnapshot parlia_getSnapshotAtHash parlia_getTurnLength
    parlia_getValidators parlia_getValidatorsAtHash";

/// AvalancheGo v1.14.2: graft/coreth/internal/ethapi, eth.
pub const AVALANCHE: &str = "
    eth_baseFee eth_callDetailed eth_coinbase eth_etherbase eth_getBadBlocks eth_getChainConfig
    eth_suggestPriceOptions rpc_modules";

fn names(lists: [&'static str; 2]) -> impl Iterator<Item = &'static str> {
    lists.into_iter().flat_map(str::split_whitespace)
}

/// Asks the node each name of the table that is passed on. It knows what is common to these nodes and
/// its own, and nothing else.
pub async fn are_right(node: Endpoint, own: &'static str) {
    let passed_on = TABLE.iter().filter(|row| {
        matches!(
            row.treatment,
            Treatment::Read | Treatment::Heavy | Treatment::Once | Treatment::Broadcast
        )
    });
    let asking = passed_on.map(async |row| {
        let answer = node.ask(row.name, json!([])).await.unwrap();
        (row.name, answer["error"]["code"] != -32601)
    });
    let mut answers = stream::iter(asking).buffered(AT_ONCE);
    let (mut too_many, mut lacking, mut asked) = (Vec::new(), Vec::new(), 0);
    while let Some((name, is_known)) = answers.next().await {
        asked += 1;
        match (is_known, names([COMMON, own]).any(|known| known == name)) {
            (true, false) => too_many.push(name),
            (false, true) => lacking.push(name),
            (true, true) | (false, false) => {}
        }
    }
    assert_eq!((too_many, lacking), (vec![], vec![]), "known, not known");
    println!(
        "{asked} names asked, {} known",
        names([COMMON, own]).count()
    );
}

#[test]
fn the_table_has_every_read_that_these_nodes_register() {
    let rules = MethodRules::new(vec![], vec![], vec![]);
    for own in [OP_GETH, BSC, AVALANCHE] {
        for name in names([COMMON, own]) {
            let (row, treatment) = rules.look_up(name);
            assert!(row.is_some(), "{name}");
            assert_ne!(treatment, Treatment::Denied, "{name}");
        }
    }
}

//! The method table beside what the execution APIs name and what a real node answers.

use forebay_core::method::{MethodRules, TABLE, Treatment};
use serde_json::{Value, json};

use super::stage::Stage;
use crate::support::{EMITTER, PATIENCE, Rpc};

/// Whether a result is what it must be.
type IsRight<'a> = &'a dyn Fn(&Value) -> bool;

/// execution-apis as of November 2026: `src/eth`, `src/debug`, `src/trace`, `src/txpool`.
const EXECUTION_APIS: &str = "
    eth_accounts eth_baseFee eth_blobBaseFee eth_blockNumber eth_call eth_capabilities eth_chainId
    eth_coinbase eth_config eth_createAccessList eth_estimateGas eth_feeHistory eth_fillTransaction
    eth_gasPrice eth_getBalance eth_getBlockAccessList eth_getBlockByHash eth_getBlockByNumber
    eth_getBlockReceipts eth_getBlockTransactionCountByHash eth_getBlockTransactionCountByNumber
    eth_getCode eth_getFilterChanges eth_getFilterLogs eth_getHeaderByHash eth_getHeaderByNumber
    eth_getLogs eth_getProof eth_getStorageAt eth_getStorageValues
    eth_getTransactionByBlockHashAndIndex eth_getTransactionByBlockNumberAndIndex
    eth_getTransactionByHash eth_getTransactionCount eth_getTransactionReceipt
    eth_getUncleCountByBlockHash eth_getUncleCountByBlockNumber eth_maxPriorityFeePerGas
    eth_newBlockFilter eth_newFilter eth_newPendingTransactionFilter eth_sendRawTransaction
    eth_sendRawTransactionSync eth_sendTransaction eth_sign eth_signTransaction eth_simulateV1
    eth_subscribe eth_syncing eth_uninstallFilter eth_unsubscribe net_version
    debug_executionWitness debug_getBadBlocks debug_getRawBlock debug_getRawHeader
    debug_getRawReceipts debug_getRawTransaction debug_setHead debug_traceBlockByHash
    debug_traceBlockByNumber debug_traceCall debug_traceTransaction
    trace_block trace_call trace_callMany trace_filter trace_get trace_rawTransaction
    trace_replayBlockTransactions trace_replayTransaction trace_transaction
    txpool_content txpool_contentFrom txpool_inspect txpool_status";

/// What geth 1.17.10 registers beside them and only reads: internal/ethapi, eth, eth/filters,
/// eth/tracers, node.
const GETH: &str = "
    eth_getRawTransactionByBlockHashAndIndex eth_getRawTransactionByBlockNumberAndIndex
    eth_getRawTransactionByHash eth_getUncleByBlockHashAndIndex eth_getUncleByBlockNumberAndIndex
    eth_pendingTransactions net_listening net_peerCount rpc_modules web3_clientVersion web3_sha3
    debug_accountRange debug_dumpBlock debug_getModifiedAccountsByHash
    debug_getModifiedAccountsByNumber debug_intermediateRoots debug_storageRangeAt debug_traceBadBlock
    debug_traceBlock debug_traceBlockFromFile";

/// Named by the execution APIs, and not (or no more) known to geth 1.17.10.
const NOT_GETHS: &str = "eth_coinbase eth_getBlockAccessList trace_";

fn names(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split_whitespace()
}

/// Whether a node has the method, by what it says to a call without parameters.
async fn is_known_to(node: Rpc, method: &str) -> bool {
    let answer = node.ask(method, json!([]), PATIENCE).await.unwrap();
    answer["error"]["code"] != -32601
}

#[test]
fn the_table_has_every_name_of_the_execution_apis_and_every_read_of_geths() {
    let rules = MethodRules::new(vec![], vec![], vec![]);
    for method in names(EXECUTION_APIS).chain(names(GETH)) {
        let (_, treatment) = rules.look_up(method);
        assert_ne!(treatment, Treatment::Unknown, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_node_answers_to_the_names_that_the_table_says_are_its() {
    let mut stage = Stage::set(&[("a", &[])], "").await;
    let node = stage.chain.node("a").rpc;
    for method in names(EXECUTION_APIS).chain(names(GETH)) {
        // Over HTTP geth knows no subscriptions.
        if method.ends_with("subscribe") {
            continue;
        }
        let is_geths = !names(NOT_GETHS)
            .any(|name| method.starts_with(name) && (name.ends_with('_') || name == method));
        assert_eq!(is_known_to(node, method).await, is_geths, "{method}");
    }
    // A read that it knows and the lists above lack.
    let listed: Vec<_> = names(EXECUTION_APIS).chain(names(GETH)).collect();
    for row in TABLE {
        let reads = matches!(row.treatment, Treatment::Read | Treatment::Heavy);
        if reads && !listed.contains(&row.name) {
            assert!(!is_known_to(node, row.name).await, "{}", row.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_raw_transactions_and_storage_are_those_of_the_tip_though_a_node_lags() {
    let mut stage = Stage::set(&[("a", &[]), ("b", &[])], "").await;
    stage.chain.node("b").behind = 3;
    stage.chain.grow(6).await;
    let raw = stage.chain.signed(0, 5).await;
    let tip = stage.chain.mine(std::slice::from_ref(&raw)).await;
    stage.shows_the_tip().await;
    let at = format!("{:#x}", stage.chain.height());
    let one = format!("0x{:064x}", 1);
    let storage = json!([{EMITTER: [format!("0x{:064x}", 0)]}, at]);
    let answered: [(&str, Value, IsRight<'_>); 6] = [
        ("eth_getHeaderByNumber", json!([at]), &|header| {
            header["hash"] == *tip
        }),
        ("eth_getHeaderByNumber", json!(["latest"]), &|header| {
            header["hash"] == *tip
        }),
        ("eth_getHeaderByHash", json!([tip]), &|header| {
            header["hash"] == *tip
        }),
        (
            "eth_getRawTransactionByBlockNumberAndIndex",
            json!([at, "0x0"]),
            &|got| *got == *raw,
        ),
        ("eth_getStorageValues", storage, &|got| {
            got[EMITTER][0] == *one
        }),
        ("eth_config", json!([]), &|got| {
            got["current"]["chainId"] == "0x539"
        }),
    ];
    for (method, params, is_right) in answered {
        for _ in 0..20 {
            let answer = stage.balancer.ask(method, params.clone()).await;
            assert!(is_right(&answer["result"]), "{method} {params}: {answer}");
        }
    }
}

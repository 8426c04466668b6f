//! What clients and providers really send, and that every row of the table meets one of them.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const NO_DATA: Option<&str> = None;
const OLDER: Meaning = Meaning::Missing(MissingKind::Older);
const LOST: Meaning = Meaning::Missing(MissingKind::Lost);
const NEWER: Meaning = Meaning::Missing(MissingKind::Newer);
const UNSAID: Meaning = Meaning::Missing(MissingKind::Unsaid);
const QUOTA: Meaning = Meaning::Shut(Rejection::Quota);
const AUTH: Meaning = Meaning::Shut(Rejection::Auth);

type Message = (
    &'static str,
    u16,
    i64,
    &'static str,
    Option<&'static str>,
    Meaning,
);

/// Which node or provider says it, with which status, code, message and data, and what it means.
#[rustfmt::skip]
const MESSAGES: &[Message] = &[
    // Reverts and halts.
    ("geth", 200, 3, "execution reverted: rate limit exceeded", Some("\"0x08c379a0\""), Meaning::Execution),
    ("geth 1.9", 200, -32000, "execution reverted", NO_DATA, Meaning::Execution),
    ("reth", 200, 3, "execution reverted: header not found", NO_DATA, Meaning::Execution),
    ("Erigon", 200, 3, "execution reverted", Some("\"0x4e487b710000\""), Meaning::Execution),
    ("Besu", 200, -32000, "Execution reverted (daily request count exceeded)", NO_DATA, Meaning::Execution),
    ("Besu", 200, -32000, "Transaction processing could not be completed due to an exception", NO_DATA, Meaning::Execution),
    ("Besu", 200, -32000, "Execution halted: invalid jump destination", NO_DATA, Meaning::Execution),
    ("Nethermind", 200, -32015, "VM execution error.", Some("\"Reverted 0x08c379a000\""), Meaning::Execution),
    ("Nethermind", 200, -32015, "revert: invalid api key", NO_DATA, Meaning::Execution),
    ("Nethermind", 200, -32015, "BadInstruction", NO_DATA, Meaning::Execution),
    ("OpenEthereum", 200, -32015, "VM execution error.", Some("\"Bad instruction fd\""), Meaning::Execution),
    ("Ganache", 200, -32000, "VM Exception while processing transaction: revert too many requests", NO_DATA, Meaning::Execution),
    ("Hardhat", 200, -32603, "Error: VM Exception while processing transaction: reverted with reason string 'rate limit'", NO_DATA, Meaning::Execution),
    ("Hardhat", 200, -32603, "Error: Transaction reverted without a reason string", NO_DATA, Meaning::Execution),
    ("Hardhat", 200, -32603, "call failed: reverted with custom error 'Paused()'", NO_DATA, Meaning::Execution),
    ("anvil", 200, -32603, "EVM error InvalidFEOpcode", NO_DATA, Meaning::Execution),
    ("geth", 200, -32000, "out of gas", NO_DATA, Meaning::Execution),
    ("geth", 200, -32000, "invalid opcode: INVALID", NO_DATA, Meaning::Execution),
    ("geth", 200, -32000, "stack underflow (0 <=> 2)", NO_DATA, Meaning::Execution),
    ("geth", 200, -32000, "gas required exceeds allowance (30000000)", NO_DATA, Meaning::Execution),
    ("geth", 200, -32000, "Error: rate limit exceeded at step (<eval>:1:9(2))    in server-side tracer function 'step'", NO_DATA, Meaning::Execution),
    // The request.
    ("geth", 400, -32700, "parse error", NO_DATA, Meaning::Doubtful),
    ("Ganache", 400, -32700, "sender doesn't have enough funds to send tx", NO_DATA, Meaning::Doubtful),
    ("Ganache", 400, -32700, "VM Exception while processing transaction: revert", NO_DATA, Meaning::Execution),
    ("geth", 200, -32600, "invalid request", NO_DATA, Meaning::Doubtful),
    ("anvil", 200, -32602, "Block requested not found. Forked block number: 100", NO_DATA, Meaning::Doubtful),
    ("geth 1.8", 200, -32602, "too many arguments, want at most 2", NO_DATA, Meaning::Doubtful),
    ("Lotus", 500, 1, "mpool push: not enough funds: 10000000 < 2100000000", NO_DATA, Meaning::Doubtful),
    ("geth", 200, -32602, "invalid argument 0: json: cannot unmarshal string \"rate limit\" into Go value", NO_DATA, Meaning::Invalid),
    ("geth", 200, -32000, "invalid argument 1: hex string without 0x prefix", NO_DATA, Meaning::Invalid),
    ("geth", 200, -32000, "missing value for required argument 0", NO_DATA, Meaning::Invalid),
    ("Filecoin", 200, 12, "requested epoch was a null round (10)", NO_DATA, Meaning::Invalid),
    ("geth", 200, -32000, "rlp: value size exceeds available input length", NO_DATA, Meaning::Invalid),
    // The pool.
    ("geth", 200, 4, "The transaction was added to the transaction pool but wasn't processed in 20s", NO_DATA, Meaning::PoolRefusal),
    ("geth", 200, -32000, "already known", NO_DATA, Meaning::AlreadyKnown),
    ("reth", 200, -32003, "already known", NO_DATA, Meaning::AlreadyKnown),
    ("anvil", 200, -32003, "transaction already imported", NO_DATA, Meaning::AlreadyKnown),
    ("EthereumJS", 200, -32000, "0xab: this transaction is already in the TxPool", NO_DATA, Meaning::AlreadyKnown),
    ("geth 1.8", 200, -32000, "known transaction: 6f1c0d5c", NO_DATA, Meaning::AlreadyKnown),
    ("Besu", 200, -32000, "Known transaction", NO_DATA, Meaning::AlreadyKnown),
    ("OpenEthereum", 200, -32010, "Transaction with the same hash was already imported.", NO_DATA, Meaning::AlreadyKnown),
    ("Nethermind", 200, -32010, "AlreadyKnown", NO_DATA, Meaning::AlreadyKnown),
    ("Erigon", 200, -32000, "existing tx with same hash", NO_DATA, Meaning::AlreadyKnown),
    ("Evmos", 200, -32000, "tx already in mempool", NO_DATA, Meaning::AlreadyKnown),
    ("geth", 200, -32000, "nonce too low: next nonce 5, tx nonce 1", NO_DATA, Meaning::NonceTooLow),
    ("anvil", 200, -32003, "nonce too low", NO_DATA, Meaning::NonceTooLow),
    ("Besu", 200, -32001, "Nonce too low", NO_DATA, Meaning::NonceTooLow),
    ("OpenEthereum", 200, -32010, "Transaction nonce is too low. Try incrementing the nonce.", NO_DATA, Meaning::NonceTooLow),
    ("Nethermind", 200, -32010, "OldNonce, Current nonce: 5, nonce of rejected tx: 3.", NO_DATA, Meaning::NonceTooLow),
    ("geth", 200, -32000, "authority nonce too low", NO_DATA, Meaning::PoolRefusal),
    ("geth", 200, -32000, "replacement transaction underpriced", NO_DATA, Meaning::PoolRefusal),
    ("geth", 200, -32000, "insufficient funds for gas * price + value: balance 0, tx cost 21000", NO_DATA, Meaning::PoolRefusal),
    ("Nethermind", 200, -32010, "InsufficientFunds, Account balance: 0, cumulative cost: 21000", NO_DATA, Meaning::PoolRefusal),
    ("Nethermind", 200, -32010, "FeeTooLow, MaxFeePerGas too low.", NO_DATA, Meaning::PoolRefusal),
    ("Besu", 200, -32004, "Upfront cost exceeds account balance", NO_DATA, Meaning::PoolRefusal),
    ("Besu", 200, -32003, "Intrinsic gas exceeds gas limit", NO_DATA, Meaning::PoolRefusal),
    ("reth", 200, -32003, "gas uint64 overflow", NO_DATA, Meaning::PoolRefusal),
    ("Besu", 200, -32005, "Transaction gas limit exceeds block gas limit", NO_DATA, Meaning::PoolRefusal),
    ("Besu", 200, -32006, "Nonce too high", NO_DATA, Meaning::PoolRefusal),
    ("Besu", 200, -32009, "Gas price below current base fee", NO_DATA, Meaning::PoolRefusal),
    ("Besu", 200, -32007, "Sender account not authorized to send transactions", NO_DATA, Meaning::PoolRefusal),
    ("Besu", 200, -32002, "Invalid signature", NO_DATA, Meaning::PoolRefusal),
    ("Besu", 200, -32002, "Transaction pool not enabled. (Either txpool explicitly disabled, or node not yet in sync).", NO_DATA, Meaning::PoolRefusal),
    ("geth", 200, -32000, "err: max fee per gas less than block base fee: address 0xa, maxFeePerGas: 1, baseFee: 7", NO_DATA, Meaning::PoolRefusal),
    ("geth", 200, -32000, "tx fee (1.50 ether) exceeds the configured cap (1.00 ether)", NO_DATA, Meaning::PoolRefusal),
    ("geth", 200, -32000, "invalid sender", NO_DATA, Meaning::PoolRefusal),
    ("geth", 200, -32000, "transaction type not supported", NO_DATA, Meaning::PoolRefusal),
    // Ranges and sizes.
    ("execution-apis", 200, -32602, "block range extends beyond current head block", NO_DATA, Meaning::FutureRange),
    ("reth", 200, -32000, "block range extends beyond current head block: requested 0x2000, head 0x1000", NO_DATA, Meaning::FutureRange),
    ("execution-apis", 200, -32602, "invalid block range params", NO_DATA, Meaning::OddRange),
    ("BSC", 200, -32000, "invalid block range params", NO_DATA, Meaning::OddRange),
    ("geth", 200, -32000, "exceed maximum block range: 5000", NO_DATA, Meaning::Range),
    ("geth", 200, -32602, "exceed maximum block range: 5000", NO_DATA, Meaning::Range),
    ("geth", 200, -32000, "exceed max addresses or topics per search position", NO_DATA, Meaning::Range),
    ("reth", 200, -32602, "query exceeds max block range 100000", NO_DATA, Meaning::Range),
    ("reth", 200, -32000, "query exceeds max block range 100000", NO_DATA, Meaning::Range),
    ("Infura", 200, -32602, "query returned more than 10000 results", NO_DATA, Meaning::Range),
    ("Ankr", 200, -32600, "block range is too wide", NO_DATA, Meaning::Range),
    ("a gateway", 200, -32602, "block range too large, maximum 10000", NO_DATA, Meaning::Range),
    ("QuickNode", 200, -32602, "eth_getLogs is limited to a 5 range", NO_DATA, Meaning::Range),
    ("Besu", 200, -32602, "Requested range exceeds maximum RPC range limit", NO_DATA, Meaning::Range),
    ("Cosmos EVM", 200, -32000, "block count 2048 higher than 1024", NO_DATA, Meaning::Range),
    ("Cosmos EVM", 200, -32000, "maximum [from, to] blocks distance: 10000", NO_DATA, Meaning::Range),
    ("Avalanche", 200, -32000, "requested too many blocks from 100 to 5000, maximum is set to 2048", NO_DATA, Meaning::Range),
    ("dRPC", 200, -32000, "ranges over 10000 blocks are not supported on freetier, upgrade to paid tier", NO_DATA, Meaning::Range),
    ("a caller's text", 200, -32602, "unknown tag \"block range is too wide\"", NO_DATA, Meaning::Doubtful),
    ("jsonrpsee", 200, -32007, "Request is too big", Some("\"Exceeded max limit of 15728640\""), Meaning::RequestSize),
    ("jsonrpsee 0.16", 200, -32701, "Oversized request", NO_DATA, Meaning::RequestSize),
    ("jsonrpsee 0.16", 200, -32702, "Oversized response", NO_DATA, Meaning::ResponseSize),
    ("geth", 413, -32000, "content length too large (6291456>5242880)", NO_DATA, Meaning::RequestSize),
    ("a gateway", 413, -32000, "http: request body too large", NO_DATA, Meaning::RequestSize),
    ("nginx", 413, -32000, "Request Entity Too Large", NO_DATA, Meaning::RequestSize),
    ("Express", 413, -32000, "payload too large", NO_DATA, Meaning::RequestSize),
    ("jsonrpsee", 200, -32008, "Response is too big", Some("\"Exceeded max limit of 167772160\""), Meaning::ResponseSize),
    ("Infura", 200, -32005, "query returned more than 10000 results. Try with this block range [0x1, 0x2].", NO_DATA, Meaning::Range),
    ("Infura", 200, -32005, "query timeout exceeded", NO_DATA, Meaning::Range),
    ("Alchemy", 200, -32000, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range", NO_DATA, Meaning::Range),
    ("1RPC", 200, -32000, "response size should not greater than 2097152 bytes", NO_DATA, Meaning::Range),
    ("QuickNode", 413, -32614, "eth_getLogs is limited to a 10,000 range", NO_DATA, Meaning::Range),
    ("QuickNode", 413, -32000, "eth_getLogs and eth_newFilter are limited to a 10,000 blocks range", NO_DATA, Meaning::Range),
    ("QuickNode", 200, -32000, "eth_getLogs is limited to a 10,000 blocks range", NO_DATA, Meaning::Range),
    ("Besu", 200, -32005, "Requested range exceeds maximum RPC range limit", NO_DATA, Meaning::Range),
    ("Besu", 200, -32005, "Number of requests exceeds max batch size", NO_DATA, Meaning::Range),
    ("Ankr", 200, -32000, "block range is too wide", NO_DATA, Meaning::Range),
    ("BlockPI", 200, -32000, "the requested range is too large, max is 1024 blocks", NO_DATA, Meaning::Range),
    ("reth", 200, -32602, "query exceeds max results 20000, retry with the range 1-2", NO_DATA, Meaning::Range),
    ("a gateway of reth's", 200, -32000, "query exceeds max results 20000, retry with the range 1-2", NO_DATA, Meaning::Range),
    ("geth", 200, -32003, "response too large", NO_DATA, Meaning::ResponseSize),
    // Quota and billing.
    ("Alchemy", 429, 429, "Monthly capacity limit exceeded. Visit https://dashboard.alchemy.com/settings/billing to upgrade your scaling policy for continued service.", NO_DATA, QUOTA),
    ("Infura", 429, -32005, "daily request count exceeded, request rate limited", Some(r#"{"rate":{"allowed_rps":10,"backoff_seconds":30,"current_rps":25.3},"see":"https://infura.io/dashboard"}"#), QUOTA),
    ("BlockPI", 200, -32000, "Exceeded the quota usage", NO_DATA, QUOTA),
    ("BlockPI", 200, -32000, "the app has reached the quota of its package", NO_DATA, QUOTA),
    ("1RPC", 200, -32001, "You've reached the usage limit for your current plan. To continue with higher limits and uncapped access, please upgrade here", NO_DATA, QUOTA),
    ("dRPC", 200, -32000, "You've reached the free tier limit", NO_DATA, QUOTA),
    ("a gateway", 402, 402, "Payment Required", NO_DATA, QUOTA),
    ("a gateway", 402, -32000, "Payment Required", NO_DATA, QUOTA),
    ("QuickNode", 403, 403, "Endpoint disabled: past due payment", NO_DATA, QUOTA),
    ("Alchemy", 403, -32000, "You've hit your capacity limit", NO_DATA, QUOTA),
    ("Conduit", 403, -32000, "usage limit reached", NO_DATA, QUOTA),
    ("Conduit", 403, -32000, "spend limit reached", NO_DATA, QUOTA),
    ("a gateway", 403, -32000, "no payment method on file", NO_DATA, QUOTA),
    ("a gateway", 403, -32000, "see your billing page", NO_DATA, QUOTA),
    // Not let in.
    ("Alchemy", 401, -32600, "Must be authenticated!", NO_DATA, AUTH),
    ("Alchemy", 200, -32000, "Must be authenticated!", NO_DATA, AUTH),
    ("Chainnodes", 200, 401, "invalid api key", NO_DATA, AUTH),
    ("Alchemy", 200, -32000, "Invalid API key", NO_DATA, AUTH),
    ("Ankr", 200, -32000, "message: API key not found, trace_id: 4b1f", NO_DATA, AUTH),
    ("Ankr", 200, -32001, "Missing API key (x-ankr-api-key header or Bearer token).", NO_DATA, AUTH),
    ("Infura", 401, -32002, "invalid project id", NO_DATA, AUTH),
    ("Infura", 200, -32002, "project ID is required in the URL", NO_DATA, AUTH),
    ("Ankr", 200, -32000, "Unauthorized: You must authenticate your request with an API key.", NO_DATA, AUTH),
    ("Besu", 200, -40100, "Unauthorized", NO_DATA, AUTH),
    ("Alchemy", 200, -32000, "ETH_MAINNET is not enabled for this app. Visit the dashboard to enable the network.", NO_DATA, AUTH),
    ("Alchemy", 403, 403, "ETH_MAINNET is not enabled for this app.", NO_DATA, AUTH),
    // Rates.
    ("Infura", 200, -32005, "project ID request rate exceeded", Some(r#"{"rate":{"allowed_rps":1,"backoff_seconds":30,"current_rps":1.4}}"#), Meaning::Throttled),
    ("Infura", 200, -32000, "project ID request rate exceeded", NO_DATA, Meaning::Throttled),
    ("Infura", 200, -32000, "this request rate limited", NO_DATA, Meaning::Throttled),
    ("Alchemy", 429, 429, "Your app has exceeded its compute units per second capacity. If you have retries enabled, you can safely ignore this message.", NO_DATA, Meaning::Throttled),
    ("Alchemy", 200, -32000, "Your app has exceeded its compute units per second capacity.", NO_DATA, Meaning::Throttled),
    ("Alchemy", 200, -32000, "Your app has exceeded its concurrent requests capacity.", NO_DATA, Meaning::Throttled),
    ("QuickNode", 429, 429, "The requests per second (RPS) of your requests are higher than your plan allows.", NO_DATA, Meaning::Throttled),
    ("QuickNode", 200, -32007, "50/second request limit reached - reduce calls per second or upgrade your account at quicknode.com", NO_DATA, Meaning::Throttled),
    ("QuickNode", 200, -32009, "trace requests limited to 5/second", NO_DATA, Meaning::MethodThrottled),
    ("QuickNode", 200, -32009, "trace calls are slowed down", NO_DATA, Meaning::Throttled),
    ("Chainstack", 200, -32005, "You've exceeded the RPS limit available on the current plan.", NO_DATA, Meaning::Throttled),
    ("BSC", 200, -32005, "limit exceeded", NO_DATA, Meaning::MethodThrottled),
    ("BSC behind a gateway", 429, -32005, "limit exceeded", NO_DATA, Meaning::Throttled),
    ("dRPC", 200, -32000, "Too many requests", NO_DATA, Meaning::Throttled),
    ("proxyd", 200, -32016, "over rate limit", NO_DATA, Meaning::Throttled),
    ("proxyd", 200, -32012, "backend is over capacity", NO_DATA, Meaning::Throttled),
    ("Cloudflare", 200, -32000, "rate-limited due to unusually high global traffic", NO_DATA, Meaning::Throttled),
    ("BlockPI", 200, -32000, "public endpoint credits limited to 10000 per minute", NO_DATA, Meaning::Throttled),
    ("ZAN", 200, -32000, "You have reached the maximum CUPS limit", NO_DATA, Meaning::Throttled),
    // Not offered.
    ("geth", 200, -32601, "the method trace_block does not exist/is not available", NO_DATA, Meaning::Unsupported),
    ("geth behind a gateway", 200, -32000, "the method trace_block does not exist/is not available", NO_DATA, Meaning::Unsupported),
    ("Besu", 200, -32604, "Method not enabled", NO_DATA, Meaning::Unsupported),
    ("EIP-1474", 200, -32004, "Method not supported", NO_DATA, Meaning::Unsupported),
    ("Nethermind", 200, -32004, "eth_getWork", NO_DATA, Meaning::Unsupported),
    ("Alchemy", 200, -32000, "Unsupported method: trace_block. See available methods at https://docs.alchemy.com", NO_DATA, Meaning::Unsupported),
    ("a gateway", 200, -32000, "method eth_getProof is not available", NO_DATA, Meaning::Unsupported),
    ("Besu", 200, -32000, "method eth_getBlockReceipts not found", NO_DATA, Meaning::Unsupported),
    ("proxyd", 200, -32001, "rpc method is not whitelisted", NO_DATA, Meaning::Unsupported),
    ("Nethermind", 200, -32600, "The method 'trace_block' is found but the namespace 'Trace' is disabled for http://127.0.0.1:8545. Consider adding the namespace 'Trace' to JsonRpc.AdditionalRpcUrls", NO_DATA, Meaning::Unsupported),
    ("Cosmos EVM", 200, -32000, "pending logs are not supported", NO_DATA, Meaning::UnsupportedForm),
    // Without the block or its state.
    ("geth", 200, -32000, "request beyond head block: requested 5, head 3", NO_DATA, NEWER),
    ("Avalanche", 200, -32000, "cannot query unfinalized data", NO_DATA, NEWER),
    ("Avalanche", 200, -32000, "requested from block 20 after last accepted block 10", NO_DATA, NEWER),
    ("Klaytn", 200, -32000, "the block number is greater than latest", NO_DATA, NEWER),
    ("Filecoin", 200, 1, "requested a future epoch (beyond 'latest')", NO_DATA, NEWER),
    ("zkSync", 200, -32602, "Block with such an ID doesn't exist yet", NO_DATA, NEWER),
    ("zkSync", 200, -32602, "Block with such an ID is pruned; the first retained block is 100", NO_DATA, OLDER),
    ("Besu", 200, -32008, "Initial sync is still in progress", NO_DATA, NEWER),
    ("Erigon", 200, -32000, "block is not yet available", NO_DATA, NEWER),
    ("evmd", 200, -32000, "height 1000 must be less than or equal to the current blockchain height 990", NO_DATA, NEWER),
    ("evmd", 200, -32000, "cannot query with height in the future; please provide a valid height: invalid height", NO_DATA, NEWER),
    ("geth", 200, -32000, "missing trie node 5b3f (path ) state 0x5b3f is not available, not found", NO_DATA, LOST),
    ("geth", 200, -32000, "historical state 5b3f is not available", NO_DATA, LOST),
    ("geth", 200, -32000, "required historical state unavailable (reexec=128)", NO_DATA, OLDER),
    ("Erigon", 200, -32000, "old data not available due to pruning: requested block 6134861", NO_DATA, OLDER),
    ("geth", 200, 4444, "pruned history unavailable", NO_DATA, OLDER),
    ("Nethermind", 200, 4444, "Pruned history unavailable", NO_DATA, OLDER),
    ("geth", 200, -32000, "pruned history unavailable", NO_DATA, OLDER),
    ("reth", 200, -32603, "state at block #17000000 is pruned", NO_DATA, OLDER),
    ("reth", 200, -32602, "distance to target block exceeds maximum proof window", NO_DATA, OLDER),
    ("op-reth", 200, -32000, "distance to target block exceeds maximum proof window", NO_DATA, OLDER),
    ("Nethermind", 200, -32602, "Receipts for block 5 (0xab) are neither stored nor reproducible from state history.", NO_DATA, OLDER),
    ("a gateway", 200, -32602, "Archive requests require a personal token", NO_DATA, OLDER),
    ("op-geth", 200, -32000, "no historical RPC is available for this historical (pre-bedrock) execution request", NO_DATA, OLDER),
    ("BSC", 200, -32000, "proofs are available only for the 'latest' block", NO_DATA, OLDER),
    ("Klaytn", 200, -32000, "account changes purged", NO_DATA, OLDER),
    ("geth", 200, -32000, "header not found", NO_DATA, UNSAID),
    ("geth", 200, -32000, "header for hash not found", NO_DATA, UNSAID),
    ("geth", 200, -32000, "unknown block", NO_DATA, UNSAID),
    ("Besu", 200, -39001, "Unknown block", NO_DATA, UNSAID),
    ("reth", 200, -32001, "block not found: 0x5", NO_DATA, UNSAID),
    ("reth", 200, -32001, "unknown block or tx index", NO_DATA, UNSAID),
    ("EIP-1474", 200, -32001, "Resource not found", NO_DATA, UNSAID),
    ("reth", 200, -32603, "receipts not found", NO_DATA, UNSAID),
    ("geth", 200, -32000, "finalized block not found", NO_DATA, UNSAID),
    ("Nethermind", 200, -32000, "Could not find block 5", NO_DATA, UNSAID),
    ("Nethermind", 200, -32001, "0x5b3f could not be found", NO_DATA, UNSAID),
    ("geth", 200, -32000, "block #5 not found", NO_DATA, UNSAID),
    ("Nethermind", 200, -32002, "No state available for block 0x3f9e", NO_DATA, UNSAID),
    ("anvil", 200, -32000, "State not available for block", NO_DATA, UNSAID),
    ("geth", 200, -32000, "state is not available", NO_DATA, UNSAID),
    ("Besu", 200, -32000, "World state unavailable", NO_DATA, UNSAID),
    ("Besu", 200, -32000, "Transaction not found", NO_DATA, UNSAID),
    ("evmd", 200, -32000, "ethereum tx not found", NO_DATA, UNSAID),
    ("geth", 200, -32000, "transaction indexing is in progress", NO_DATA, Meaning::Missing(MissingKind::Unindexed)),
    ("Chainstack", 200, -32000, "Access to archival, debug, or trace data is not included in your current plan", NO_DATA, UNSAID),
    // Out of time.
    ("geth", 200, -32002, "request timed out", NO_DATA, Meaning::NodeTimeout),
    ("geth behind a gateway", 200, -32002, "the node took too long", NO_DATA, Meaning::NodeTimeout),
    ("geth", 200, -32000, "execution timeout", NO_DATA, Meaning::NodeTimeout),
    ("geth", 200, -32000, "execution aborted (timeout = 5s)", NO_DATA, Meaning::NodeTimeout),
    ("Erigon", 200, -32000, "context deadline exceeded", NO_DATA, Meaning::NodeTimeout),
    ("Besu", 200, -32603, "Timeout expired", NO_DATA, Meaning::NodeTimeout),
    ("proxyd", 200, -32015, "gateway timeout", NO_DATA, Meaning::NodeTimeout),
    // Says nothing.
    ("Ankr", 200, -32055, "No nodes available", NO_DATA, Meaning::Unknown),
    ("dRPC", 200, 19, "Temporary internal error. Please retry, trace-id: 1", NO_DATA, Meaning::Unknown),
    ("dRPC", 200, 1, "no available upstreams to process a request", NO_DATA, Meaning::Unknown),
    ("geth", 200, -32000, "method handler crashed", NO_DATA, Meaning::Unknown),
    ("geth", 200, -32603, "method handler crashed", NO_DATA, Meaning::Unknown),
    ("reth: text of a caller's tracer", 200, -32603, "rate limit exceeded", NO_DATA, Meaning::Unknown),
    ("reth: text of a caller's tracer", 200, -32603, "invalid api key", NO_DATA, Meaning::Unknown),
];

fn error<'a>(code: i64, message: &'a str, data: Option<&'a str>) -> RpcError<'a> {
    RpcError {
        code,
        message: message.into(),
        data,
    }
}

#[test]
fn real_messages_of_clients_and_providers_are_understood() {
    for (sender, status, code, message, data, wanted) in MESSAGES {
        let verdict = of_error(&error(*code, message, *data), *status, None);
        assert_eq!(verdict.meaning, Some(*wanted), "{sender}: {code} {message}");
        assert_eq!(verdict.class, wanted.class());
    }
}

#[test]
fn every_row_of_the_table_meets_a_real_message() {
    let mut met: HashSet<(Meaning, &str)> = HashSet::new();
    let mut codes = HashSet::new();
    for (_, _, code, message, _, _) in MESSAGES {
        codes.insert(*code);
        let text = lower(message);
        for groups in every_list() {
            let found = error_table::find(groups, &text);
            met.extend(found.map(|(meaning, sign)| (meaning, sign.0)));
        }
    }
    for (meaning, signs) in every_list().into_iter().flatten() {
        for (sign, source) in *signs {
            assert!(met.contains(&(*meaning, *sign)), "{sign}: {source}");
            assert!(!source.is_empty(), "{sign}");
            assert_eq!(*sign, sign.to_ascii_lowercase());
        }
    }
    for (row, _, source) in error_table::CODES {
        for code in *row {
            assert!(codes.contains(code), "{code}: {source}");
        }
        assert!(!source.is_empty());
    }
}

fn every_list() -> Vec<&'static [error_table::PatternGroup]> {
    let of_codes = error_table::CODES.iter().filter_map(|row| match row.1 {
        CodeReading::OneOf(lists, _) => Some(lists),
        CodeReading::Sure(_) | CodeReading::TextOr(_) | CodeReading::NeverBlames => None,
    });
    of_codes
        .flatten()
        .copied()
        .chain([error_table::TEXTS])
        .collect()
}

#[test]
fn each_code_is_read_in_one_way() {
    let codes: Vec<i64> = error_table::CODES
        .iter()
        .flat_map(|row| row.0)
        .copied()
        .collect();
    assert_eq!(codes.iter().collect::<HashSet<_>>().len(), codes.len());
}

#[test]
fn a_body_that_is_no_answer_tells_what_a_refusal_is_about() {
    for (status, body, wanted) in [
        (403, "<html>Your account is past due</html>", QUOTA),
        (403, "<html>Forbidden</html>", AUTH),
        (401, "message: API key not found, trace_id: 4b1f", AUTH),
        (402, "", QUOTA),
        (429, "Monthly capacity limit exceeded", QUOTA),
        (
            429,
            "your plan allows 25 requests a second",
            Meaning::Throttled,
        ),
        (413, "<html>too large</html>", Meaning::RequestSize),
        (504, "", Meaning::NodeTimeout),
    ] {
        let verdict = of_body(status, None, body.as_bytes()).unwrap();
        assert_eq!(verdict.meaning, Some(wanted), "{status} {body}");
    }
    assert_eq!(of_body(200, None, b"<html>"), None);
    let fault = of_body(502, None, b"rate limit").unwrap();
    assert_eq!(fault, AttemptClass::Transport.into());
    let odd = of_body(404, None, b"rate limit \xff").unwrap();
    assert_eq!(odd, AttemptClass::BadAnswer.into());
}

#[test]
fn what_is_missing_lies_beyond_the_head_or_below_the_depth() {
    let missing = |code, message| of_error(&error(code, message, None), 200, None).missing();
    assert_eq!(missing(4444, "x"), Some(MissingKind::Older));
    assert_eq!(
        missing(-32000, "header not found"),
        Some(MissingKind::Unsaid)
    );
    let beyond = "block range extends beyond current head block";
    let verdict = of_error(&error(-32602, beyond, None), 200, None);
    assert_eq!(
        verdict.class,
        AttemptClass::RpcError,
        "the semantics: final"
    );
    assert_eq!(
        verdict.missing(),
        Some(MissingKind::Newer),
        "and yet evidence"
    );
    assert_eq!(missing(3, "execution reverted: header not found"), None);
}

#[test]
fn refused_credentials_alarm_and_a_throttle_does_not() {
    let shut = |code, message, status| of_error(&error(code, message, None), status, None).shut();
    assert_eq!(shut(-32000, "x", 401), Some(Rejection::Auth));
    assert_eq!(shut(-32000, "x", 402), Some(Rejection::Quota));
    assert_eq!(shut(-32000, "x", 429), None);
    assert_eq!(shut(3, "execution reverted: invalid api key", 200), None);
    let unread = of_error(&error(-32000, "x", None), 401, Some(REST_MAX));
    assert_eq!(unread.rest, None, "its rest is ours to say");
}

/// All that any row looks for, and what a contract's author may think of.
fn reasons() -> impl Strategy<Value = String> {
    let signs: Vec<String> = every_list()
        .into_iter()
        .chain([error_table::BILLING, error_table::QUOTA_USED_UP])
        .flatten()
        .flat_map(|(_, signs)| {
            signs
                .iter()
                .map(|(sign, _)| sign.replace(['^', '…', '$'], ""))
        })
        .chain(MESSAGES.iter().map(|row| row.3.to_string()))
        .collect();
    let words = prop_oneof![prop::sample::select(signs), ".{0,12}"];
    prop::collection::vec(words, 0..6).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn no_revert_reason_changes_a_nodes_standing_or_a_calls_routing(
        reason in reasons(),
        way in prop::sample::select(vec![
            "execution reverted: ",
            "execution reverted ",
            "Execution reverted (",
            "VM Exception while processing transaction: revert ",
            "Error: VM Exception while processing transaction: reverted with reason string '",
            "revert: ",
            "call_many error in bundle 0 and transaction 1: execution reverted: ",
        ]),
        code in prop::sample::select(vec![3i64, -32000, -32015, -32603, -32005, -32002, -32001]),
        status in prop::sample::select(vec![200u16, 400, 429, 500]),
        data in prop::option::of("\"0x08c379a0[0-9a-f]{0,64}\""),
    ) {
        let message = format!("{way}{reason}");
        let error = error(code, &message, data.as_deref());
        let verdict = of_error(&error, status, None);
        prop_assert_eq!(verdict, Verdict::from(Meaning::Execution));
        prop_assert_eq!(verdict.class.elsewhere(), FailoverRule::Never);
        prop_assert_eq!(verdict.blame(), Blame::None);
        prop_assert_eq!((verdict.missing(), verdict.shut()), (None, None));
        prop_assert!(!is_already_known(&error) && !is_nonce_too_low(&error));
    }

    #[test]
    fn with_code_3_or_the_data_of_a_revert_the_text_does_not_matter(reason in reasons()) {
        for (code, data) in [(3, None), (-32000, Some("\"0x08c379a0\"")), (-32603, Some("\"0x4e487b71\""))] {
            let verdict = of_error(&error(code, &reason, data), 200, None);
            prop_assert_eq!(verdict, Verdict::from(Meaning::Execution));
        }
    }

    #[test]
    fn what_a_caller_writes_into_its_parameters_or_tracer_is_never_held_against_the_node(
        reason in reasons(),
    ) {
        for code in [-32602, -32603, -32700] {
            let verdict = of_error(&error(code, &reason, None), 200, None);
            prop_assert_eq!(verdict.blame(), Blame::None);
            prop_assert_eq!(verdict.shut(), None);
        }
    }
}

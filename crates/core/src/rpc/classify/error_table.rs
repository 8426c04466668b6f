//! What nodes and providers say, and what they mean by it: each row with where it stems from.
//!
//! A sign is in lower case. `^` holds it to the beginning, `$` to the end; `…` stands for any text
//! between.
//! The first row that matches wins, so the narrower ones stand first. `real_messages_tests.rs`
//! meets every row with a message that was really sent.
//!
//! The code that comes with a text decides which list is read (`by_code`):
//!
//! | code | lists |
//! | --- | --- |
//! | none of [`CODES`], or [`CodeReading::TextOr`] there | [`TEXTS`] |
//! | -32602 | [`IN_PARAMS`] |
//! | -32600 | [`AT_THE_DOOR`], then [`IN_PARAMS`] |
//! | 429, as a code or as the status of HTTP | [`QUOTA_USED_UP`] |
//! | 403, likewise | [`BILLING`] |
//! | [`CodeReading::NeverBlames`]: -32603, -32700 | [`TEXTS`], which never speak against the node then |
//! | [`CodeReading::Sure`] | none |
//!
//! A rate limit in words that name a method is that method's alone, and one of a method that comes with 429 or a
//! pause is the whole node's (`narrowed`).
//!
//! What says that a contract failed ([`EXECUTION`]) is looked for before all of them.

use super::meaning::Meaning;
use crate::rpc::classify::meaning::{MissingKind, Rejection};

/// A sign, and the file or page it stems from.
pub(super) type ErrorPattern = (&'static str, &'static str);

/// The signs of one meaning.
pub(super) type PatternGroup = (Meaning, &'static [ErrorPattern]);

/// How a code is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum CodeReading {
    /// It has one meaning.
    Sure(Meaning),
    /// Its text decides; else it means this.
    TextOr(Meaning),
    /// Its text decides, if it is one of these; else it means this.
    OneOf(&'static [&'static [PatternGroup]], Meaning),
    /// Nothing by itself; and its text never speaks against the node: a caller may have written it.
    NeverBlames,
}

/// Codes, how they are read, and where they stem from.
pub(super) type CodeRow = (&'static [i64], CodeReading, &'static str);

#[rustfmt::skip]
pub(super) const CODES: &[CodeRow] = &[
    (&[3], CodeReading::Sure(Meaning::Execution), "geth internal/ethapi/errors.go: revertError"),
    (&[4], CodeReading::TextOr(Meaning::PoolRefusal), "EIP-7966: sent, and in no block within its time"),
    (&[-32015], CodeReading::TextOr(Meaning::Execution), "Nethermind ErrorCodes.cs: ExecutionError"),
    // The envelope is ours, and right: Ganache says so of everything.
    (&[-32700], CodeReading::NeverBlames, "JSON-RPC 2.0 §5.1; ganache-core lib/httpServer.js"),
    (&[-32600], CodeReading::OneOf(&[AT_THE_DOOR, IN_PARAMS], Meaning::Doubtful), "JSON-RPC 2.0 §5.1"),
    (&[-32602], CodeReading::OneOf(&[IN_PARAMS], Meaning::Doubtful), "JSON-RPC 2.0 §5.1"),
    (&[-32603], CodeReading::NeverBlames, "JSON-RPC 2.0 §5.1; reth: InternalJsTracerError"),
    (&[-32601], CodeReading::Sure(Meaning::Unsupported), "JSON-RPC 2.0 §5.1"),
    (&[-32604], CodeReading::Sure(Meaning::Unsupported), "Besu RpcErrorType: METHOD_NOT_ENABLED"),
    // Besu: the sender can't pay.
    (&[-32004], CodeReading::TextOr(Meaning::Unsupported), "EIP-1474: method not supported"),
    // Besu: nonce too low; 1RPC: the plan's limit.
    (&[-32001], CodeReading::TextOr(Meaning::Missing(MissingKind::Unsaid)), "EIP-1474; reth: ResourceNotFound"),
    // Nethermind: no state; Besu: a wrong signature.
    (&[-32002], CodeReading::TextOr(Meaning::NodeTimeout), "geth rpc/errors.go: errcodeTimeout"),
    // geth: response too large; reth: already known.
    (&[-32003], CodeReading::TextOr(Meaning::PoolRefusal), "EIP-1474: transaction rejected"),
    (&[-32010], CodeReading::TextOr(Meaning::PoolRefusal), "OpenEthereum, Nethermind ErrorCodes.cs: TransactionRejected"),
    (&[-32614], CodeReading::Sure(Meaning::Range), "QuickNode: eth_getLogs is limited to a range"),
    // Besu: not allowed to send; priced too low.
    // jsonrpsee: a call that is too long.
    (&[-32007, -32009], CodeReading::TextOr(Meaning::Throttled), "QuickNode: error references"),
    // A range, a day's quota and a rate alike (Infura).
    (&[-32005], CodeReading::TextOr(Meaning::Throttled), "EIP-1474: limit exceeded"),
    (&[-32012, -32016], CodeReading::TextOr(Meaning::Throttled), "proxyd rpc.go: over capacity, over rate limit"),
    (&[429], CodeReading::OneOf(&[QUOTA_USED_UP], Meaning::Throttled), "QuickNode, Alchemy: the status as a code"),
    (&[402], CodeReading::Sure(Meaning::Shut(Rejection::Quota)), "the status as a code"),
    (&[401, -40100], CodeReading::Sure(Meaning::Shut(Rejection::Auth)), "Chainnodes; Besu RpcErrorType: UNAUTHORIZED"),
    (&[403], CodeReading::OneOf(&[BILLING], Meaning::Shut(Rejection::Auth)), "the status as a code"),
    (&[4444], CodeReading::Sure(Meaning::Missing(MissingKind::Older)), "EIP-4444; geth, reth, Nethermind"),
    (&[-39001], CodeReading::Sure(Meaning::Missing(MissingKind::Unsaid)), "Besu RpcErrorType: UNKNOWN_BLOCK"),
];

/// Under −32600, which nodes say of a call that they don't take at all.
#[rustfmt::skip]
const AT_THE_DOOR: &[PatternGroup] = &[
    (Meaning::Shut(Rejection::Auth), &[("^must be authenticated", "Alchemy")]),
    (Meaning::Unsupported, &[("^the method … namespace … is disabled", "Nethermind RpcModuleProvider.cs")]),
];

/// Under −32602 and −32600, where geth and others quote what the caller wrote: only whole beginnings.
#[rustfmt::skip]
const IN_PARAMS: &[PatternGroup] = &[
    (Meaning::Invalid, CALLERS),
    (Meaning::OddRange, ODD_RANGE),
    (Meaning::Range, &[
        ("^query exceeds max", "reth rpc-eth-types logs_utils: max results, max block range"),
        ("^exceed max", "geth eth/filters: addresses or topics, block range"),
        ("^query returned more than", "Infura"),
        ("^block range is too", "Ankr"),
        ("^block range too", "public gateways"),
        ("^eth_getlogs is limited to", "QuickNode"),
        ("^requested range", "Besu RpcErrorType: EXCEEDS_RPC_MAX_BLOCK_RANGE"),
    ]),
    (Meaning::FutureRange, &[
        ("^block range extends beyond current head block", "execution-apis tests/eth_getLogs/filter-error-future-block-range.io"),
    ]),
    (Meaning::Missing(MissingKind::Newer), &[
        ("^block with such an id doesn't exist yet", "zksync-era core/lib/web3_decl/src/error.rs"),
    ]),
    (Meaning::Missing(MissingKind::Older), &[
        ("^block with such an id is pruned", "zksync-era core/lib/web3_decl/src/error.rs"),
        ("^distance to target block exceeds maximum proof window", "reth rpc-eth-types error/mod.rs"),
        ("^receipts for block … neither stored nor reproducible", "Nethermind"),
        ("^archive requests require", "public gateways"),
    ]),
];

/// What no node takes, in words that stand before anything that a caller wrote.
#[rustfmt::skip]
const CALLERS: &[ErrorPattern] = &[
    ("^rlp:", "geth rlp/decode.go"),
    ("^invalid argument", "geth rpc/json.go"),
    ("^missing value for required argument", "geth rpc/json.go"),
    ("^requested epoch was a null round", "Filecoin: lotus api/api_errors.go; no node has a block of it"),
];

const ODD_RANGE: &[ErrorPattern] = &[(
    "^invalid block range params",
    "geth eth/filters; BSC also of a range that ends beyond its head",
)];

/// What was paid for is used up, whatever else is said.
pub(super) const QUOTA_USED_UP: &[PatternGroup] = &[(Meaning::Shut(Rejection::Quota), QUOTA)];

#[rustfmt::skip]
const QUOTA: &[ErrorPattern] = &[
    ("monthly capacity limit", "Alchemy, with HTTP 429"),
    ("daily request count exceeded", "Infura, −32005"),
    ("exceeded the quota", "BlockPI"),
    ("reached the quota", "BlockPI"),
    ("reached the usage limit", "1RPC, −32001"),
    ("reached the free tier", "dRPC"),
];

/// Where we aren't let in: it is about money.
#[rustfmt::skip]
pub(super) const BILLING: &[PatternGroup] = &[(Meaning::Shut(Rejection::Quota), QUOTA), (Meaning::Shut(Rejection::Quota), &[
    ("capacity limit", "Alchemy: 403, you've hit your capacity limit"),
    ("past due", "QuickNode: 403, endpoint disabled"),
    ("payment", "RFC 9110 §15.5.3"),
    ("billing", "Alchemy: …/settings/billing"),
    ("usage limit", "Conduit: 403, usage or spend limit reached"),
    ("spend limit", "Conduit: 403, usage or spend limit reached"),
])];

/// The EVM ran, or a caller's own tracer did: none of the rest of the text is the node's own.
#[rustfmt::skip]
pub(super) const EXECUTION: &[ErrorPattern] = &[
    ("execution reverted", "geth, reth, Erigon; Besu RpcErrorType: REVERT_ERROR"),
    ("^revert", "Nethermind, Ganache"),
    ("^vm execution error", "OpenEthereum, Nethermind"),
    ("vm exception", "Hardhat, Ganache"),
    ("reverted with", "Hardhat: with and without a reason"),
    ("evm error", "reth, anvil"),
    ("out of gas", "geth core/vm/errors.go"),
    ("invalid opcode", "geth core/vm/errors.go"),
    ("stack underflow", "geth core/vm/errors.go"),
    ("gas required exceeds allowance", "geth eth/gasestimator"),
    ("in server-side tracer function", "geth eth/tracers/js/goja.go: text of the caller's"),
    ("execution halted", "Besu RpcErrorType: EXECUTION_HALTED"),
    ("^transaction processing could not be completed", "Besu RpcErrorType: EXECUTION_HALTED"),
];

#[rustfmt::skip]
pub(super) const TEXTS: &[PatternGroup] = &[
    (Meaning::Execution, EXECUTION),
    (Meaning::PoolRefusal, &[("authority nonce too low", "geth core/txpool/errors.go")]),
    (Meaning::AlreadyKnown, &[
        ("already known", "geth core/txpool/errors.go, reth, Erigon"),
        ("^known transaction", "geth 1.8 core/tx_pool.go; Besu: ETH_SEND_TX_ALREADY_KNOWN"),
        ("already imported", "OpenEthereum"),
        ("already in mempool", "EthereumJS, Cosmos chains"),
        ("already in the txpool", "EthereumJS, −32602"),
        ("^alreadyknown", "Nethermind AcceptTxResult.cs"),
        ("existing tx with same hash", "Erigon txpoolcfg: DuplicateHash"),
    ]),
    (Meaning::NonceTooLow, &[
        ("nonce too low", "geth core/error.go, reth, Erigon, Besu"),
        ("nonce is too low", "OpenEthereum"),
        ("^oldnonce", "Nethermind AcceptTxResult.cs"),
    ]),
    (Meaning::PoolRefusal, &[
        ("underpriced", "geth core/txpool/errors.go"),
        ("insufficient funds", "geth core/error.go"),
        ("^insufficientfunds", "Nethermind AcceptTxResult.cs"),
        ("upfront cost exceeds", "Besu RpcErrorType, −32004"),
        ("intrinsic gas", "geth core/error.go; Besu, −32003"),
        ("exceeds block gas limit", "geth core/txpool/errors.go; Besu, −32005"),
        ("nonce too high", "geth core/error.go; Besu, −32006"),
        ("less than block base fee", "geth core/error.go"),
        ("gas price below", "Besu RpcErrorType, −32009"),
        ("exceeds the configured cap", "geth internal/ethapi: tx fee"),
        ("sender account not authorized", "Besu RpcErrorType, −32007"),
        ("invalid sender", "geth core/txpool/errors.go"),
        ("^invalid signature", "Besu RpcErrorType, −32002"),
        ("transaction type not supported", "geth core/types"),
        ("^transaction pool not enabled", "Besu RpcErrorType, −32002"),
    ]),
    (Meaning::FutureRange, &[("beyond current head block", "execution-apis eth_getLogs, sent with −32000")]),
    (Meaning::OddRange, ODD_RANGE),
    (Meaning::RequestSize, &[
        ("request is too big", "jsonrpsee types/src/error.rs, −32007"),
        ("^oversized request", "jsonrpsee before 0.17, −32701"),
        ("request body too large", "Go net/http MaxBytesReader"),
        ("request entity too large", "nginx, Express: RFC 9110 §15.5.14"),
        ("payload too large", "Express, body-parser"),
        ("content length too large", "geth rpc/http.go"),
    ]),
    (Meaning::ResponseSize, &[
        ("response is too big", "jsonrpsee types/src/error.rs, −32008"),
        ("^oversized response", "jsonrpsee before 0.17, −32702"),
        ("response too large", "geth rpc/errors.go, −32003"),
    ]),
    (Meaning::Range, &[
        ("query returned more than", "Infura, −32005"),
        ("query timeout exceeded", "Infura eth_getLogs: limit the query, −32005"),
        ("block range", "Alchemy, Ankr; geth eth/filters"),
        ("blocks range", "QuickNode"),
        ("range limit", "Besu RpcErrorType, −32005"),
        ("range is too large", "Ankr, BlockPI"),
        ("response size", "Alchemy, 1RPC"),
        ("is limited to a … range", "QuickNode"),
        ("query exceeds max", "reth rpc-eth-types logs_utils"),
        ("exceed max addresses or topics", "geth eth/filters: errExceedLogQueryLimit"),
        ("ranges over … blocks", "dRPC"),
        ("block count … higher than", "Cosmos EVM rpc/backend: feeHistory"),
        ("blocks distance", "Cosmos EVM rpc/backend: maximum [from, to] blocks distance"),
        ("requested too many blocks", "Avalanche coreth eth/filters: api-max-blocks-per-request"),
        ("max batch size", "Besu RpcErrorType, −32005"),
    ]),
    (Meaning::Invalid, CALLERS),
    (Meaning::Shut(Rejection::Quota), QUOTA),
    (Meaning::Shut(Rejection::Auth), &[
        ("invalid api key", "Chainnodes, Alchemy"),
        ("api key not found", "Ankr"),
        ("missing api key", "Ankr, −32001"),
        ("must be authenticated", "Alchemy"),
        ("invalid project id", "Infura"),
        ("project id is required", "Infura"),
        ("^unauthorized", "Ankr, eRPC"),
        ("is not enabled for this app", "Alchemy, with HTTP 403"),
    ]),
    (Meaning::MethodThrottled, &[
        ("^limit exceeded$", "BSC eth_getLogs: EIP-1474's own words, −32005"),
        ("requests limited to", "QuickNode, −32009: trace requests"),
    ]),
    (Meaning::Throttled, &[
        ("request rate exceeded", "Infura: project ID request rate exceeded"),
        ("too many requests", "dRPC, Chainstack"),
        ("rate limit", "proxyd, Ankr, public gateways"),
        ("rate-limit", "Cloudflare's gateway"),
        ("per second capacity", "Alchemy: compute units"),
        ("concurrent requests capacity", "Alchemy"),
        ("request limit reached", "QuickNode, −32007"),
        ("exceeded the rps limit", "Chainstack"),
        ("credits limited to", "BlockPI"),
        ("cups limit", "ZAN"),
    ]),
    (Meaning::Unsupported, &[
        ("method … does not exist", "geth rpc/errors.go"),
        ("method … not available", "geth rpc/errors.go; Nethermind"),
        ("method … not supported", "EIP-1474, Alchemy"),
        ("method … not found", "reth, Besu"),
        ("method … not whitelisted", "proxyd rpc.go"),
        ("unsupported method", "Alchemy"),
    ]),
    (Meaning::UnsupportedForm, &[("pending logs are not supported", "Cosmos EVM, geth eth/filters")]),
    (Meaning::Missing(MissingKind::Newer), &[
        ("request beyond head block", "geth eth/gasprice/feehistory.go"),
        ("cannot query unfinalized data", "Avalanche coreth"),
        ("after last accepted block", "Avalanche coreth"),
        ("greater than latest", "Filecoin, Klaytn"),
        ("requested a future epoch", "Filecoin: lotus node/impl/full/eth_utils.go"),
        ("initial sync is still in progress", "Besu RpcErrorType, −32008"),
        ("block is not yet available", "Erigon"),
        ("less than or equal to the current blockchain height", "CometBFT rpc/core/env.go"),
        ("height in the future", "Cosmos SDK baseapp: cannot query with height in the future"),
    ]),
    (Meaning::Missing(MissingKind::Lost), &[
        ("missing trie node", "geth trie/errors.go"),
        ("historical state … is not available", "geth core/state"),
    ]),
    (Meaning::Missing(MissingKind::Older), &[
        ("historical state", "geth eth/state_accessor.go: as far as it runs blocks again"),
        ("due to pruning", "Erigon state: PrunedError"),
        ("pruned", "geth, reth: pruned history unavailable, state at block is pruned"),
        ("maximum proof window", "reth rpc-eth-types error/mod.rs"),
        ("no historical rpc", "op-geth"),
        ("proofs are available only for", "BSC"),
        ("account changes purged", "Klaytn"),
    ]),
    (Meaning::Missing(MissingKind::Unindexed), &[
        ("transaction indexing is in progress", "geth rpc/errors: errcodeTxIndexing, internal/ethapi"),
    ]),
    (Meaning::Missing(MissingKind::Unsaid), &[
        ("header not found", "geth eth/api_backend.go"),
        ("header for hash not found", "geth eth/api_backend.go"),
        ("unknown block", "geth eth/filters; Besu: UNKNOWN_BLOCK"),
        ("block not found", "reth, Erigon, Besu; geth: finalized block not found"),
        ("could not find block", "Nethermind, OpenEthereum"),
        ("could not be found", "Nethermind"),
        ("block … not found", "geth eth/tracers, Erigon"),
        ("no state available", "Nethermind, −32002"),
        ("state not available", "anvil"),
        ("state is not available", "geth core/state"),
        ("world state unavailable", "Besu RpcErrorType: WORLD_STATE_UNAVAILABLE"),
        ("receipts not found", "reth rpc-eth-types error/mod.rs"),
        ("transaction not found", "geth eth/tracers, Besu"),
        ("tx not found", "Cosmos EVM: ethereum tx not found"),
        ("not included in your current plan", "Chainstack: archive, debug and trace data"),
    ]),
    (Meaning::NodeTimeout, &[
        ("execution timeout", "geth eth/tracers"),
        ("execution aborted (timeout", "geth eth_call, reth"),
        ("timed out", "geth rpc/errors.go, −32002"),
        ("context deadline exceeded", "geth, Erigon"),
        ("timeout expired", "Besu RpcErrorType, −32603"),
        ("gateway timeout", "proxyd rpc.go, −32015"),
    ]),
    (Meaning::Unknown, &[
        ("temporary internal error", "dRPC, code 19"),
        ("no available upstreams", "dRPC, code 1"),
        ("no nodes available", "Ankr, −32055"),
    ]),
];

/// The first of `groups` that `text`, in lower case, shows a sign of.
pub(super) fn find(groups: &[PatternGroup], text: &str) -> Option<(Meaning, ErrorPattern)> {
    let mut rows = groups
        .iter()
        .flat_map(|(meaning, signs)| signs.iter().map(|sign| (*meaning, *sign)));
    rows.find(|(_, (sign, _))| shows(text, sign))
}

fn shows(text: &str, sign: &str) -> bool {
    let (held, sign) = match sign.strip_prefix('^') {
        Some(sign) => (true, sign),
        None => (false, sign),
    };
    let (ends, sign) = match sign.strip_suffix('$') {
        Some(sign) => (true, sign),
        None => (false, sign),
    };
    let mut left = text;
    for (at, part) in sign.split('…').enumerate() {
        let part = part.trim_matches(' ');
        match left.find(part) {
            Some(found) if found == 0 || at > 0 || !held => left = &left[found + part.len()..],
            _ => return false,
        }
    }
    !ends || left.trim_end().is_empty()
}

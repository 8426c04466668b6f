//! What a pretend node says: JSON-RPC text in, JSON-RPC text out. No network here.
//!
//! Ids go back byte for byte; a batch is answered in its order; a call without an id gets none.

mod batch;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha3::{Digest, Keccak256};

use super::behaviour::{Behaviour, Fault};
use crate::behaviour::{AnswerShape, FakeRpcError};
use crate::chain::{FakeBlock, FakeChain};
use forebay_core::vocabulary::hex;

/// What was asked.
#[derive(Debug)]
pub(super) enum FakeRequest<'a> {
    One(FakeCall<'a>),
    Batch(Vec<FakeCall<'a>>),
    /// Not JSON-RPC.
    Unreadable,
}

#[derive(Debug, Deserialize)]
pub(super) struct FakeCall<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(default)]
    params: Value,
}

/// `"id": null` is an id; only a missing one is none.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl<'a> FakeRequest<'a> {
    pub(super) fn read(body: &'a [u8]) -> FakeRequest<'a> {
        if let Ok(calls) = serde_json::from_slice::<Vec<FakeCall>>(body) {
            return FakeRequest::Batch(calls);
        }
        match serde_json::from_slice::<FakeCall>(body) {
            Ok(call) => FakeRequest::One(call),
            Err(_) => FakeRequest::Unreadable,
        }
    }

    pub(super) fn is_batch(&self) -> bool {
        matches!(self, FakeRequest::Batch(_))
    }

    /// The methods asked for, in order.
    pub(super) fn methods(&self) -> Vec<String> {
        let calls = match self {
            FakeRequest::One(call) => std::slice::from_ref(call),
            FakeRequest::Batch(calls) => calls,
            FakeRequest::Unreadable => &[],
        };
        calls.iter().map(|call| call.method.to_string()).collect()
    }
}

/// One node at one moment.
pub(super) struct Responder<'a> {
    pub(super) chain: &'a FakeChain,
    pub(super) behaviour: &'a Behaviour,
    /// The fault that this request meets; those of the transport are not our matter.
    pub(super) fault: Option<&'a Fault>,
}

/// A result as JSON text, or an error.
enum FakeOutcome {
    Result(String),
    Error(FakeRpcError),
}

impl FakeOutcome {
    fn text(text: &str) -> FakeOutcome {
        FakeOutcome::Result(json!(text).to_string())
    }

    fn number(number: u64) -> FakeOutcome {
        FakeOutcome::text(&quantity(number))
    }

    fn error(code: i64, message: &str) -> FakeOutcome {
        FakeOutcome::Error(FakeRpcError {
            code,
            message: message.to_owned(),
            data: None,
        })
    }
}

impl Responder<'_> {
    /// The body of the answer; empty where only notifications were sent.
    pub(super) fn answer(&self, request: &FakeRequest) -> String {
        match request {
            FakeRequest::Unreadable => {
                let outcome = FakeOutcome::error(-32700, "parse error");
                self.envelope("null", outcome)
            }
            FakeRequest::One(call) => match self.fault {
                Some(Fault::ArrayForOne) => format!("[{}]", self.item(call).unwrap_or_default()),
                Some(Fault::Says { text, .. }) => {
                    text.replace("$id", call.id.map_or("null", |id| id.get()))
                }
                _ => self.item(call).unwrap_or_default(),
            },
            FakeRequest::Batch(calls) => self.batch(calls),
        }
    }

    fn item(&self, call: &FakeCall) -> Option<String> {
        let id = call.id?.get();
        Some(self.envelope(id, self.outcome(call)))
    }

    fn envelope(&self, id: &str, outcome: FakeOutcome) -> String {
        let AnswerShape {
            result_first,
            extra_members,
            ..
        } = self.behaviour.shape;
        let id = match self.fault {
            Some(Fault::MissingId) => String::new(),
            Some(Fault::WrongId) => r#""id":"of another call""#.to_owned(),
            _ => format!(r#""id":{id}"#),
        };
        let outcome = match (self.fault, outcome) {
            (Some(Fault::ResultAndError), FakeOutcome::Result(result)) => {
                format!(r#""result":{result},"error":{{"code":-32000,"message":"and yet"}}"#)
            }
            (_, FakeOutcome::Result(result)) => format!(r#""result":{result}"#),
            (_, FakeOutcome::Error(error)) => error.member(),
        };
        let extra = if extra_members {
            r#""usage":{"note":"a } and a ] in a \"string\"","units":[1,2]}"#
        } else {
            ""
        };
        let (first, second) = if result_first {
            (outcome, id)
        } else {
            (id, outcome)
        };
        let members = [r#""jsonrpc":"2.0""#, extra, &first, &second];
        let members: Vec<&str> = members
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect();
        format!("{{{}}}", members.join(","))
    }

    fn outcome(&self, call: &FakeCall) -> FakeOutcome {
        let method = call.method.as_ref();
        match self.fault {
            Some(Fault::RpcError {
                code,
                message,
                data,
            }) => {
                return FakeOutcome::Error(FakeRpcError {
                    code: *code,
                    message: message.clone(),
                    data: data.clone(),
                });
            }
            Some(Fault::HugeResult { bytes }) => {
                let filling = bytes.saturating_sub(2);
                return FakeOutcome::Result(format!("\"{}\"", "f".repeat(filling)));
            }
            _ => {}
        }
        if let Some(result) = self.behaviour.results.get(method) {
            return FakeOutcome::Result(result.clone());
        }
        if let Some(error) = self.behaviour.errors.get(method) {
            return FakeOutcome::Error(error.clone());
        }
        if let Some(fact) = self.fact(method, &call.params) {
            return fact;
        }
        if self.behaviour.missing_methods.contains(method) {
            return unknown(method);
        }
        self.honest(method, &call.params)
    }

    /// The latest fact that holds where the call looks; `None`: there is none.
    fn fact(&self, method: &str, params: &Value) -> Option<FakeOutcome> {
        let known = |height| self.behaviour.known(method, params[0].as_str(), height);
        let said = |height| Some(FakeOutcome::Result(known(height)?.to_owned()));
        match method {
            "eth_call" | "eth_getBalance" | "eth_getCode" | "eth_getTransactionCount" => {
                let said = said(self.position(&params[1]).unwrap_or_else(|| self.head()))?;
                Some(self.state(&params[1], || said))
            }
            // As clients do that say nothing of a range beyond their head.
            "eth_getLogs" => self
                .position(&params[0]["toBlock"])
                .and_then(|until| said(until.min(self.head()))),
            _ => said(self.head()),
        }
    }

    /// What an honest node of this chain would say.
    fn honest(&self, method: &str, params: &Value) -> FakeOutcome {
        match method {
            "web3_clientVersion" => FakeOutcome::text("Forebay/pretend-node"),
            "net_version" => FakeOutcome::text(&self.behaviour.chain_id.to_string()),
            "eth_chainId" => FakeOutcome::number(self.behaviour.chain_id),
            "eth_blockNumber" => FakeOutcome::number(self.head()),
            "eth_syncing" => self.syncing(),
            "eth_getBlockByNumber" => self.block_by_number(params),
            "eth_getBlockTransactionCountByNumber" => match self.position(&params[0]) {
                Some(number) if number <= self.head() => FakeOutcome::number(0),
                Some(_) | None => nothing(),
            },
            "eth_capabilities" if self.behaviour.tells_capabilities => self.capabilities(),
            "eth_gasPrice" => FakeOutcome::number(1_000_000_000),
            "eth_estimateGas" => FakeOutcome::number(21_000),
            "eth_sendRawTransaction" => FakeOutcome::text(&digest(&params[0])),
            "eth_getBalance" => self.state(&params[1], || {
                // The last digits of the address's digest: some amount, always the same.
                let digits = digest(&params[0]);
                hex::digits(&digits[52..]).map_or_else(nothing, FakeOutcome::number)
            }),
            "eth_getTransactionCount" => self.state(&params[1], || FakeOutcome::number(7)),
            "eth_getCode" => self.state(&params[1], || FakeOutcome::text("0x")),
            "eth_call" => self.state(&params[1], || echo(&params[0])),
            "eth_getLogs" => FakeOutcome::Result("[]".to_owned()),
            "eth_getTransactionByHash" | "eth_getTransactionReceipt" | "eth_getBlockByHash" => {
                nothing()
            }
            _ => unknown(method),
        }
    }

    fn head(&self) -> u64 {
        self.behaviour.head.on(self.chain.head())
    }

    fn syncing(&self) -> FakeOutcome {
        if !self.behaviour.syncing {
            return FakeOutcome::Result("false".to_owned());
        }
        let current = quantity(self.head());
        // One that is at the highest block builds an index, and is fit.
        let highest = quantity(self.chain.head().max(self.head() + 1));
        let progress = json!({
            "startingBlock": "0x0", "currentBlock": current, "highestBlock": highest,
        });
        FakeOutcome::Result(progress.to_string())
    }

    fn block_by_number(&self, params: &Value) -> FakeOutcome {
        let Some(number) = self.position(&params[0]) else {
            return FakeOutcome::error(-32602, "invalid argument 0: not a block number");
        };
        if number > self.head() {
            return nothing();
        }
        let block = self.chain.block(number, self.behaviour.forked_from);
        FakeOutcome::Result(header(&block).to_string())
    }

    /// As execution-apis has it (`src/eth/capabilities.yaml`).
    fn capabilities(&self) -> FakeOutcome {
        let whole = json!({"disabled": false, "oldestBlock": "0x0"});
        let state = json!({"disabled": false, "oldestBlock": quantity(self.oldest_state())});
        let head = self.chain.block(self.head(), self.behaviour.forked_from);
        let told = json!({
            "head": {"number": quantity(head.number), "hash": head.hash},
            "state": state, "stateproofs": state,
            "tx": whole, "logs": whole, "receipts": whole, "blocks": whole,
        });
        FakeOutcome::Result(told.to_string())
    }

    fn oldest_state(&self) -> u64 {
        let kept = self.behaviour.state_blocks;
        kept.map_or(0, |kept| (self.head() + 1).saturating_sub(kept))
    }

    /// State exists up to the head and back to where it is kept; beyond, geth's errors.
    fn state(&self, at: &Value, value: impl FnOnce() -> FakeOutcome) -> FakeOutcome {
        match self.position(at) {
            Some(number) if number > self.head() => FakeOutcome::error(-32000, "header not found"),
            Some(number) if number < self.oldest_state() => {
                let root = digest(&Value::Null).split_off(2);
                FakeOutcome::error(-32000, &format!("missing trie node {root} (path )"))
            }
            // EIP-1898 objects name blocks by hash, which we don't look up.
            Some(_) | None => value(),
        }
    }

    /// The number that a block parameter means; a missing one means the latest.
    fn position(&self, parameter: &Value) -> Option<u64> {
        match parameter.as_str() {
            None if parameter.is_null() => Some(self.head()),
            None => None,
            Some("latest" | "pending") => Some(self.head()),
            Some("safe") => Some(self.head().saturating_sub(32)),
            Some("finalized") => Some(self.head().saturating_sub(64)),
            Some("earliest") => Some(0),
            Some(text) => hex::quantity_in(text),
        }
    }
}

impl FakeRpcError {
    /// `"error":{…}`
    fn member(&self) -> String {
        let message = json!(self.message);
        let data = match &self.data {
            Some(data) => format!(r#","data":{data}"#),
            None => String::new(),
        };
        format!(
            r#""error":{{"code":{},"message":{message}{data}}}"#,
            self.code
        )
    }
}

fn unknown(method: &str) -> FakeOutcome {
    let message = format!("the method {method} does not exist/is not available");
    FakeOutcome::error(-32601, &message)
}

fn nothing() -> FakeOutcome {
    FakeOutcome::Result("null".to_owned())
}

/// The call data, as if the contract gave back what it was given.
fn echo(call: &Value) -> FakeOutcome {
    let data = call["input"].as_str().or_else(|| call["data"].as_str());
    FakeOutcome::text(data.unwrap_or("0x"))
}

/// Keccak-256 of the bytes that `value` writes in hexadecimal; of its text where it doesn't.
fn digest(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let bytes = hex::data_of_any(text);
    hex::data_text(&Keccak256::digest(
        bytes.unwrap_or_else(|| text.as_bytes().to_vec()),
    ))
}

fn quantity(number: u64) -> String {
    format!("{number:#x}")
}

/// A block as geth writes it, empty of transactions.
fn header(block: &FakeBlock) -> Value {
    let zeros = |bytes: usize| hex::data_text(&vec![0; bytes]);
    json!({
        "number": quantity(block.number),
        "hash": block.hash,
        "parentHash": block.parent_hash,
        "timestamp": quantity(block.timestamp),
        "nonce": zeros(8),
        "miner": zeros(20),
        "difficulty": "0x0",
        "extraData": "0x",
        "gasLimit": "0x1c9c380",
        "gasUsed": "0x0",
        "baseFeePerGas": "0x3b9aca00",
        "logsBloom": zeros(256),
        "mixHash": zeros(32),
        "sha3Uncles": zeros(32),
        "stateRoot": zeros(32),
        "receiptsRoot": zeros(32),
        "transactionsRoot": zeros(32),
        "size": "0x21c",
        "transactions": [],
        "uncles": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeHead;
    use crate::behaviour::FixedResult;

    fn say(behaviour: &Behaviour, body: &str) -> String {
        let chain = FakeChain::still(1, 100);
        let request = FakeRequest::read(body.as_bytes());
        let fault = behaviour.fault_for(&request.methods(), request.is_batch());
        let speaker = Responder {
            chain: &chain,
            behaviour,
            fault: fault.as_ref(),
        };
        speaker.answer(&request)
    }

    fn ask(behaviour: &Behaviour, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        serde_json::from_str(&say(behaviour, &body.to_string())).unwrap()
    }

    fn with(fault: Fault) -> Behaviour {
        Behaviour {
            fault: Some(fault),
            ..Behaviour::default()
        }
    }

    #[test]
    fn ids_go_back_byte_for_byte() {
        for id in [
            "1",
            "-0",
            "1e3",
            "9007199254740993",
            r#""a\u0041""#,
            "null",
            r#"{"x": [1]}"#,
        ] {
            let body = format!(r#"{{"id":{id},"method":"net_version"}}"#);
            let expected = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"1"}}"#);
            assert_eq!(say(&Behaviour::default(), &body), expected);
        }
    }

    #[test]
    fn a_batch_keeps_its_order_and_leaves_out_notifications() {
        let body = r#"[{"id":2,"method":"net_version"},{"method":"net_version"},{"id":1,"method":"eth_blockNumber"}]"#;
        let answer = say(&Behaviour::default(), body);
        assert_eq!(
            answer,
            r#"[{"jsonrpc":"2.0","id":2,"result":"1"},{"jsonrpc":"2.0","id":1,"result":"0x64"}]"#
        );
        assert_eq!(
            say(&Behaviour::default(), r#"{"method":"net_version"}"#),
            ""
        );
        assert_eq!(
            say(&Behaviour::default(), r#"[{"method":"net_version"}]"#),
            ""
        );
    }

    #[test]
    fn what_is_not_a_call_gets_an_error_with_a_null_id() {
        for (body, code) in [("{", -32700), ("[]", -32600), ("7", -32700)] {
            let answer: Value = serde_json::from_str(&say(&Behaviour::default(), body)).unwrap();
            assert_eq!(answer["error"]["code"], code, "{body}");
            assert!(answer["id"].is_null());
        }
    }

    #[test]
    fn blocks_exist_up_to_the_head_and_not_one_beyond() {
        let honest = Behaviour::default();
        let number = |at: &str| {
            let answer = ask(&honest, "eth_getBlockByNumber", json!([at, false]));
            answer["result"]["number"].clone()
        };
        assert_eq!(number("latest"), "0x64");
        assert_eq!(number("0x64"), "0x64");
        assert_eq!(number("0x65"), Value::Null);
        assert_eq!(number("earliest"), "0x0");
        assert_eq!(number("finalized"), "0x24");
        let bad = ask(&honest, "eth_getBlockByNumber", json!(["soon", false]));
        assert_eq!(bad["error"]["code"], -32602);
    }

    #[test]
    fn state_beyond_the_head_is_missing_as_geth_says_it() {
        let lagging = Behaviour {
            head: FakeHead::Behind(1),
            ..Behaviour::default()
        };
        let call = |at: &str| {
            let params = json!([{"to": "0x00", "data": "0xabcd"}, at]);
            ask(&lagging, "eth_call", params)
        };
        assert_eq!(call("0x63")["result"], "0xabcd");
        assert_eq!(call("0x64")["error"]["message"], "header not found");
    }

    #[test]
    fn a_fact_is_known_from_its_block_on() {
        let fact = |since, result: &str| FixedResult {
            method: "eth_getTransactionCount".to_owned(),
            of: None,
            since,
            result: result.to_owned(),
        };
        let behaviour = Behaviour {
            facts: vec![fact(0, "\"0x1\""), fact(99, "\"0x2\"")],
            ..Behaviour::default()
        };
        let count = |at: &str| ask(&behaviour, "eth_getTransactionCount", json!(["0x00", at]));
        assert_eq!(count("0x62")["result"], "0x1");
        assert_eq!(count("0x63")["result"], "0x2");
        assert_eq!(count("latest")["result"], "0x2");
        assert_eq!(count("0x65")["error"]["message"], "header not found");
    }

    #[test]
    fn state_that_is_no_longer_kept_is_missing_as_geth_says_it() {
        let pruned = Behaviour {
            state_blocks: Some(10),
            tells_capabilities: true,
            ..Behaviour::default()
        };
        let balance = |at: &str| ask(&pruned, "eth_getBalance", json!(["0x00", at]));
        assert!(balance("0x5b")["result"].is_string());
        let message = balance("0x5a")["error"]["message"].to_string();
        assert!(message.starts_with("\"missing trie node "), "{message}");
        let told = ask(&pruned, "eth_capabilities", json!([]));
        assert_eq!(told["result"]["state"]["oldestBlock"], "0x5b");
        assert_eq!(told["result"]["blocks"]["oldestBlock"], "0x0");
        let silent = ask(&Behaviour::default(), "eth_capabilities", json!([]));
        assert_eq!(silent["error"]["code"], -32601);
    }

    #[test]
    fn a_raw_transaction_is_answered_with_its_keccak_hash() {
        let answer = ask(
            &Behaviour::default(),
            "eth_sendRawTransaction",
            json!(["0x"]),
        );
        // The digest of no bytes, known from every account without code.
        let empty = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(answer["result"], empty);
    }

    #[test]
    fn an_unknown_and_a_missing_method_are_refused_alike() {
        let poor = Behaviour {
            missing_methods: ["eth_getLogs".to_owned()].into(),
            ..Behaviour::default()
        };
        for method in ["eth_capabilities", "eth_getLogs"] {
            let answer = ask(&poor, method, json!([]));
            assert_eq!(answer["error"]["code"], -32601, "{method}");
        }
    }

    #[test]
    fn a_syncing_node_answers_an_object_and_another_false() {
        let syncing = Behaviour {
            syncing: true,
            head: FakeHead::At(40),
            ..Behaviour::default()
        };
        let answer = ask(&syncing, "eth_syncing", json!([]));
        assert_eq!(answer["result"]["currentBlock"], "0x28");
        assert_eq!(answer["result"]["highestBlock"], "0x64");
        let answer = ask(&Behaviour::default(), "eth_syncing", json!([]));
        assert_eq!(answer["result"], false);
    }

    #[test]
    fn each_rude_envelope_is_rude_in_its_own_way() {
        let body = r#"{"id":5,"method":"net_version"}"#;
        let rude = |fault: Fault| say(&with(fault), body);
        assert_eq!(
            rude(Fault::WrongId),
            r#"{"jsonrpc":"2.0","id":"of another call","result":"1"}"#
        );
        assert_eq!(rude(Fault::MissingId), r#"{"jsonrpc":"2.0","result":"1"}"#);
        assert_eq!(
            rude(Fault::ArrayForOne),
            r#"[{"jsonrpc":"2.0","id":5,"result":"1"}]"#
        );
        assert_eq!(
            rude(Fault::ResultAndError),
            r#"{"jsonrpc":"2.0","id":5,"result":"1","error":{"code":-32000,"message":"and yet"}}"#
        );
        let batch = say(&with(Fault::ObjectForBatch), &format!("[{body}]"));
        assert!(batch.starts_with('{'), "{batch}");
    }

    #[test]
    fn an_error_is_said_with_its_code_message_and_data() {
        let fault = Fault::RpcError {
            code: 3,
            message: "execution \"reverted\"".to_owned(),
            data: Some(r#""0x08c379a0""#.to_owned()),
        };
        let answer = ask(&with(fault), "eth_call", json!([]));
        let expected =
            json!({"code": 3, "message": "execution \"reverted\"", "data": "0x08c379a0"});
        assert_eq!(answer["error"], expected);
    }

    #[test]
    fn a_huge_result_has_exactly_the_size_asked_for() {
        let answer = ask(&with(Fault::HugeResult { bytes: 1000 }), "x", json!([]));
        assert_eq!(answer["result"].to_string().len(), 1000);
    }

    #[test]
    fn odd_but_legal_shapes_still_parse() {
        let odd = Behaviour {
            shape: AnswerShape {
                result_first: true,
                extra_members: true,
                ..AnswerShape::default()
            },
            ..Behaviour::default()
        };
        let text = say(&odd, r#"{"id":5,"method":"net_version"}"#);
        assert!(text.ends_with(r#""result":"1","id":5}"#), "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["usage"]["units"], json!([1, 2]));
    }

    #[test]
    fn a_canned_result_stands_above_all_others() {
        let canned = Behaviour {
            results: [("eth_chainId".to_owned(), "null".to_owned())].into(),
            ..Behaviour::default()
        };
        let answer = ask(&canned, "eth_chainId", json!([]));
        assert!(answer.as_object().unwrap().contains_key("result"));
        assert!(answer["result"].is_null());
    }
}

//! What callers ask, each call different from all others, and what it must be answered.

use anyhow::bail;

use super::arguments::Arguments;

/// What is asked.
pub(crate) enum Kind {
    /// About 240 bytes each.
    Call,
    /// Always the same of them, but for its id.
    Same,
    /// Likewise, written as viem does: `data` before `to`, whose capitals are a checksum.
    SameAsViem,
    ChainId,
    /// With the params of an `eth_call`, which aren't read.
    PaddedChainId,
    /// So many of `Call` in one.
    Batch(u64),
    /// A single one that is as long as so many of `Call`.
    Long(u64),
    /// As `ChainId`, of a node that says the same to everything.
    Fixed(String),
}

impl Kind {
    pub(crate) fn read(arguments: &Arguments) -> anyhow::Result<Kind> {
        if let Some(text) = arguments.text("fixed") {
            return Ok(Kind::Fixed(text.to_owned()));
        }
        if let Some(calls) = arguments.get("batch")? {
            return Ok(Kind::Batch(calls));
        }
        if let Some(calls) = arguments.get("as-long-as")? {
            return Ok(Kind::Long(calls));
        }
        match arguments.text("method").unwrap_or("eth_call") {
            "eth_call" if arguments.text("same") == Some("as-viem") => Ok(Kind::SameAsViem),
            "eth_call" if arguments.text("same").is_some() => Ok(Kind::Same),
            "eth_call" => Ok(Kind::Call),
            "eth_chainId" if arguments.text("padded").is_some() => Ok(Kind::PaddedChainId),
            "eth_chainId" => Ok(Kind::ChainId),
            other => bail!("no answer to {other} is known"),
        }
    }

    pub(crate) fn body(&self, number: u64) -> String {
        match self {
            Kind::Call => call(number),
            Kind::Same => with_id(call(FIRST), number),
            Kind::SameAsViem => format!(
                r#"{{"jsonrpc":"2.0","id":{number},"method":"eth_call","params":[{{"data":"0x70a08231{FIRST:064x}","to":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"}},"latest"]}}"#
            ),
            Kind::ChainId | Kind::Fixed(_) => {
                format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"eth_chainId","params":[]}}"#)
            }
            Kind::PaddedChainId => call(number).replacen("eth_call", "eth_chainId", 1),
            Kind::Long(calls) => {
                call(number).replacen(r#""},"#, &format!(r#"{}"}},"#, noughts(*calls)), 1)
            }
            Kind::Batch(calls) => {
                let one = |at| call(number * calls + at);
                format!("[{}]", (0..*calls).map(one).collect::<Vec<_>>().join(","))
            }
        }
    }

    pub(crate) fn is_answer(&self, number: u64, body: &[u8]) -> bool {
        match self {
            Kind::Call => body == answer(number).as_bytes(),
            Kind::Same | Kind::SameAsViem => body == with_id(answer(FIRST), number).as_bytes(),
            Kind::Long(calls) => {
                let noughts = noughts(*calls);
                let more = &noughts[..noughts.len() / 2];
                body == answer(number)
                    .replacen(r#""}"#, &format!(r#"{more}"}}"#), 1)
                    .as_bytes()
            }
            Kind::ChainId | Kind::PaddedChainId => {
                body == format!(r#"{{"jsonrpc":"2.0","id":{number},"result":"0x1"}}"#).as_bytes()
            }
            Kind::Batch(calls) => {
                let one = |at| answer(number * calls + at);
                body == format!("[{}]", (0..*calls).map(one).collect::<Vec<_>>().join(","))
                    .as_bytes()
            }
            Kind::Fixed(text) => body == text.as_bytes(),
        }
    }
}

/// The number of the first call, unless others came before: `--after` so many.
pub(crate) const FIRST: u64 = 1_700_000_000_000;

/// A call or an answer of the first number, with the id of another.
fn with_id(text: String, number: u64) -> String {
    text.replacen(&format!("\"id\":{FIRST}"), &format!("\"id\":{number}"), 1)
}

/// What makes a call as long as so many.
fn noughts(calls: u64) -> String {
    "0".repeat(call(1).len() * usize::try_from(calls).unwrap_or(1).saturating_sub(1))
}

/// The balance of another holder each time.
fn call(number: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{number},"method":"eth_call","params":[{{"to":"0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48","data":"0x70a08231{number:064x}"}},"latest"]}}"#
    )
}

/// A node of ours gives back the word it was asked about.
fn answer(number: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{number},"result":"0x{number:064x}"}}"#)
}

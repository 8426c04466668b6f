//! An error as nodes write it, taken apart: also where it isn't in the shape that JSON-RPC has.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::RpcError;
use crate::json::grammar::RawString;
use crate::rpc::answer::AnswerFault;

#[derive(Deserialize)]
struct RawError<'a> {
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// For an error without a code that we can read.
const NO_CODE: i64 = -32000;
/// An error as written, taken apart; and whether it is in the shape that JSON-RPC has.
///
/// # Errors
/// It is none.
pub(crate) fn read_error(raw: &str) -> Result<(RpcError<'_>, bool), AnswerFault> {
    if raw.starts_with('"') {
        let error = RpcError {
            code: NO_CODE,
            message: text_of(raw).0,
            data: None,
        };
        return Ok((error, false));
    }
    if !raw.starts_with('{') {
        return Err(AnswerFault::NoOutcome);
    }
    let error: RawError = serde_json::from_str(raw).map_err(|_| AnswerFault::NoOutcome)?;
    let code = error.code.and_then(|code| number_of(code.get()));
    let message = error.message.map(|message| text_of(message.get()));
    let is_plain = matches!((code, &message), (Some((_, true)), Some((_, true))));
    let error = RpcError {
        code: code.map_or(NO_CODE, |(code, _)| code),
        message: message.map_or(Cow::Borrowed(""), |(message, _)| message),
        data: error.data.map(RawValue::get),
    };
    Ok((error, is_plain))
}

/// A number as written, and whether it is one; a string may hold it.
fn number_of(raw: &str) -> Option<(i64, bool)> {
    match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
        Some(inner) => Some((inner.trim().parse().ok()?, false)),
        None => {
            let number: serde_json::Number = serde_json::from_str(raw).ok()?;
            match number.as_i64() {
                Some(number) => Some((number, true)),
                // Written as 3.0, or larger than any code.
                None => whole(number.as_f64()?).map(|number| (number, false)),
            }
        }
    }
}

fn whole(number: f64) -> Option<i64> {
    let is_code = number.fract() == 0.0 && number.abs() < f64::from(i32::MAX);
    is_code.then_some(number as i64)
}

/// What some write where there is no error.
pub(super) fn is_no_error(raw: &str) -> bool {
    matches!(raw, "null" | "false" | "\"\"")
}

/// A text as written, and whether it is one: anything else is its own text, and `null` none.
fn text_of(raw: &str) -> (Cow<'_, str>, bool) {
    match RawString::of(raw).map(RawString::text) {
        Some(Some(text)) => (text, true),
        None if raw == "null" => (Cow::Borrowed(""), false),
        Some(None) | None => (Cow::Borrowed(raw), false),
    }
}

//! What went wrong between us and DynamoDB, and what to do about it.
//!
//! Nothing of the service's own words is shown: they may quote a request, signature and all.

use std::error::Error as _;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use thiserror::Error;

/// Why a request brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum DynamoError {
    /// A condition did not hold: another writer was quicker.
    #[error("others kept changing it at the same time; try again")]
    Conflict,
    /// A transaction was under way on it: nothing is known of the condition.
    #[error("others kept changing it at the same time; try again")]
    Crossed,
    #[error(
        "there is no such table; check `registry.table` and the region, or make it with \
         `forebay backends init`"
    )]
    NoTable,
    #[error("no region is known; set AWS_REGION")]
    NoRegion,
    #[error(
        "no credentials were found; give this task a role, or set AWS_PROFILE, or \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    NoCredentials,
    /// The service does not take the credentials; its code.
    #[error("the credentials are not accepted ({0}); renew them, and check the clock")]
    Rejected(String),
    #[error("access denied; the role needs this action on this table")]
    Denied,
    #[error("throttled; raise the table's capacity or make it on-demand")]
    Throttled,
    #[error("no answer in time")]
    TimedOut,
    #[error("no connection; check the network's way to DynamoDB, or `registry.endpoint`")]
    NoConnection,
    /// The answer broke off or was none.
    #[error("the answer can't be read")]
    Garbled,
    #[error("the endpoint doesn't know this operation")]
    Unknown,
    /// Anything else: the service's code.
    #[error("DynamoDB says {0}")]
    Other(String),
}

impl DynamoError {
    /// What the SDK's error of any operation means.
    pub(super) fn of<E: ProvideErrorMetadata, R>(why: &SdkError<E, R>) -> DynamoError {
        match why {
            SdkError::TimeoutError(_) => DynamoError::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => DynamoError::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_io() => DynamoError::NoConnection,
            SdkError::DispatchFailure(failure) => {
                let source = failure
                    .as_connector_error()
                    .and_then(|error| error.source());
                if is_of_credentials(source) {
                    DynamoError::NoCredentials
                } else {
                    DynamoError::NoConnection
                }
            }
            SdkError::ResponseError(_) => DynamoError::Garbled,
            SdkError::ServiceError(context) => of_code(context.err().code()),
            SdkError::ConstructionFailure(_) => {
                DynamoError::Other("a request can't be made".into())
            }
            _ => DynamoError::Other("an error of the SDK".into()),
        }
    }

    /// The same of a transaction, which is called off for one of several reasons.
    pub(super) fn of_transaction<R>(why: &SdkError<TransactWriteItemsError, R>) -> DynamoError {
        let called_off = why.as_service_error().and_then(|error| match error {
            TransactWriteItemsError::TransactionCanceledException(called_off) => Some(called_off),
            _ => None,
        });
        let Some(called_off) = called_off else {
            return DynamoError::of(why);
        };
        let codes = called_off.cancellation_reasons().iter();
        let codes: Vec<_> = codes.filter_map(|reason| reason.code()).collect();
        let is = |code: &&&str| matches!(**code, "ConditionalCheckFailed" | "TransactionConflict");
        match codes.iter().find(|code| **code != "None" && !is(code)) {
            Some(code) => of_code(Some(code)),
            None => DynamoError::Conflict,
        }
    }
}

/// The SDK tells a failed search for credentials as a connector's failure of another kind.
fn is_of_credentials(mut source: Option<&(dyn std::error::Error + 'static)>) -> bool {
    while let Some(error) = source {
        let text = error.to_string();
        if text.contains("credential") || text.contains("identity") {
            return true;
        }
        source = error.source();
    }
    false
}

fn of_code(code: Option<&str>) -> DynamoError {
    match code.unwrap_or("nothing that it explains") {
        "ConditionalCheckFailedException" => DynamoError::Conflict,
        "TransactionConflictException" | "TransactionInProgressException" => DynamoError::Crossed,
        "ResourceNotFoundException" => DynamoError::NoTable,
        "AccessDeniedException" | "AccessDenied" => DynamoError::Denied,
        "ProvisionedThroughputExceededException"
        | "ProvisionedThroughputExceeded"
        | "ThrottlingException"
        | "ThrottlingError"
        | "Throttling"
        | "RequestLimitExceeded"
        | "LimitExceededException" => DynamoError::Throttled,
        "UnknownOperationException" => DynamoError::Unknown,
        code @ ("UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException") => DynamoError::Rejected(code.to_string()),
        code => DynamoError::Other(code.chars().take(CODE_CHARS_MAX).collect()),
    }
}

/// Of a code that we don't know, so much is shown.
const CODE_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_met_a_transaction_was_not_refused_by_its_condition() {
        let met = of_code(Some("TransactionConflictException"));
        assert_eq!(met, DynamoError::Crossed);
        let refused = of_code(Some("ConditionalCheckFailedException"));
        assert_eq!(refused, DynamoError::Conflict);
    }

    #[test]
    fn a_code_is_told_by_what_to_do_about_it() {
        for (code, told) in [
            ("ResourceNotFoundException", "forebay backends init"),
            ("AccessDeniedException", "the role needs"),
            ("ProvisionedThroughputExceededException", "throttled"),
            ("ExpiredTokenException", "renew them"),
            ("InternalServerError", "DynamoDB says InternalServerError"),
        ] {
            let sentence = of_code(Some(code)).to_string();
            assert!(sentence.contains(told), "{sentence}");
        }
        let long = of_code(Some(&"x".repeat(1000))).to_string();
        assert!(long.len() < 120, "{long}");
        assert!(of_code(None).to_string().contains("nothing"));
    }
}

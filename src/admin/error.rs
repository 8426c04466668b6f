//! Every way the admin listener says no: a status, a code for programs, a sentence for people.

use std::fmt::Display;

use serde_json::json;

use crate::registry::RegistryError;

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminError {
    /// The request can be read in more than one way.
    Framing(&'static str),
    /// No `Host`, or more than one.
    HostMissing,
    /// A name that isn't ours: a foreign page may have let it point here.
    HostForeign,
    OriginForeign,
    TokenMissing,
    TokenWrong,
    /// Full URLs are for callers that show a token, and none is configured.
    RevealNeedsToken,
    NoSuchPage,
    /// With the methods that there are.
    MethodNotAllowed(&'static str),
    ContentType,
    BodyTooLarge {
        bytes_max: usize,
    },
    BodyTooSlow,
    Busy,
    /// The client's mistake, in words.
    Input(String),
    NoSuchNode,
    /// With the names of those that there are.
    NoSuchChain(String),
    /// What is there already stands against it, in words.
    Conflict(String),
    /// The registry can't be used, in words.
    RegistryOut(String),
}

impl AdminError {
    pub fn input(why: impl Display) -> AdminError {
        AdminError::Input(why.to_string())
    }

    pub fn status(&self) -> u16 {
        match self {
            AdminError::Framing(_) | AdminError::HostMissing | AdminError::Input(_) => 400,
            AdminError::TokenMissing | AdminError::TokenWrong => 401,
            AdminError::HostForeign | AdminError::OriginForeign | AdminError::RevealNeedsToken => {
                403
            }
            AdminError::NoSuchPage | AdminError::NoSuchNode | AdminError::NoSuchChain(_) => 404,
            AdminError::MethodNotAllowed(_) => 405,
            AdminError::BodyTooSlow => 408,
            AdminError::Conflict(_) => 409,
            AdminError::BodyTooLarge { .. } => 413,
            AdminError::ContentType => 415,
            AdminError::Busy | AdminError::RegistryOut(_) => 503,
        }
    }

    /// For programs; it never changes.
    pub fn code(&self) -> &'static str {
        match self {
            AdminError::Framing(_) => "framing",
            AdminError::HostMissing => "host_missing",
            AdminError::HostForeign => "host_foreign",
            AdminError::OriginForeign => "origin_foreign",
            AdminError::TokenMissing => "token_missing",
            AdminError::TokenWrong => "token_wrong",
            AdminError::RevealNeedsToken => "reveal_needs_token",
            AdminError::NoSuchPage => "no_such_page",
            AdminError::MethodNotAllowed(_) => "method_not_allowed",
            AdminError::ContentType => "content_type",
            AdminError::BodyTooLarge { .. } => "body_too_large",
            AdminError::BodyTooSlow => "body_too_slow",
            AdminError::Busy => "busy",
            AdminError::Input(_) => "bad_input",
            AdminError::NoSuchNode => "no_such_node",
            AdminError::NoSuchChain(_) => "no_such_chain",
            AdminError::Conflict(_) => "conflict",
            AdminError::RegistryOut(_) => "registry_out_of_reach",
        }
    }

    pub fn message(&self) -> String {
        match self {
            AdminError::Framing(why) => format!("the request is ambiguous: {why}"),
            AdminError::HostMissing => "exactly one `Host` is needed".into(),
            AdminError::HostForeign => {
                "this host name isn't ours: use localhost or an IP address, or \
                 add the name to `forebay.admin.hosts`"
                    .into()
            }
            AdminError::OriginForeign => "pages of another origin may not ask here".into(),
            AdminError::TokenMissing => "send `Authorization: Bearer TOKEN`".into(),
            AdminError::TokenWrong => "this isn't the token".into(),
            AdminError::RevealNeedsToken => {
                "full URLs are shown only to those who send a token; set \
                 `forebay.admin.token`"
                    .into()
            }
            AdminError::NoSuchPage => "there is nothing here; see /openapi.json".into(),
            AdminError::MethodNotAllowed(allowed) => format!("here only {allowed} will do"),
            AdminError::ContentType => "a body must be `application/json`".into(),
            AdminError::BodyTooLarge { bytes_max } => format!("the body is over {bytes_max} bytes"),
            AdminError::BodyTooSlow => "the body did not arrive in time".into(),
            AdminError::Busy => "too many requests at once; try again".into(),
            AdminError::NoSuchNode => "no such node in the registry".into(),
            AdminError::NoSuchChain(names) => format!("no such chain; there are: {names}"),
            AdminError::Input(why) | AdminError::Conflict(why) | AdminError::RegistryOut(why) => {
                why.clone()
            }
        }
    }

    pub fn body(&self) -> String {
        json!({ "error": { "code": self.code(), "message": self.message() } }).to_string()
    }
}

impl From<RegistryError> for AdminError {
    fn from(why: RegistryError) -> AdminError {
        match why {
            RegistryError::Unknown => AdminError::NoSuchNode,
            RegistryError::SecondLeader(name) => AdminError::Conflict(format!(
                "{name} leads already; PATCH /backends with `is_leader` takes the role over"
            )),
            RegistryError::Exists
            | RegistryError::NameTaken(_)
            | RegistryError::InFile(_)
            | RegistryError::OtherChain(_)
            | RegistryError::Damaged(_) => AdminError::Conflict(why.to_string()),
            RegistryError::Record(fault) => AdminError::input(fault),
            RegistryError::OutOfReach { .. } => AdminError::RegistryOut(why.to_string()),
        }
    }
}

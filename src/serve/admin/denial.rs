//! Every way the admin listener says no: a status, a code for programs, a sentence for people.

use std::fmt::Display;

use serde_json::json;

use crate::registry::RegistryError;

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The request can be read in more than one way.
    Framing(&'static str),
    /// No `Host`, or more than one.
    HostMissing,
    /// A name that isn't ours: a page of somebody else's may have let it point here.
    HostForeign,
    OriginForeign,
    TokenMissing,
    TokenWrong,
    /// Full URLs are for those who show a token, and none is configured.
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
    /// What is there already stands against it, in words.
    Conflict(String),
    /// The registry can't be used, in words.
    RegistryOut(String),
}

impl Denial {
    pub fn input(why: impl Display) -> Denial {
        Denial::Input(why.to_string())
    }

    pub fn status(&self) -> u16 {
        match self {
            Denial::Framing(_) | Denial::HostMissing | Denial::Input(_) => 400,
            Denial::TokenMissing | Denial::TokenWrong => 401,
            Denial::HostForeign | Denial::OriginForeign | Denial::RevealNeedsToken => 403,
            Denial::NoSuchPage | Denial::NoSuchNode => 404,
            Denial::MethodNotAllowed(_) => 405,
            Denial::BodyTooSlow => 408,
            Denial::Conflict(_) => 409,
            Denial::BodyTooLarge { .. } => 413,
            Denial::ContentType => 415,
            Denial::Busy | Denial::RegistryOut(_) => 503,
        }
    }

    /// For programs; it never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Denial::Framing(_) => "framing",
            Denial::HostMissing => "host_missing",
            Denial::HostForeign => "host_foreign",
            Denial::OriginForeign => "origin_foreign",
            Denial::TokenMissing => "token_missing",
            Denial::TokenWrong => "token_wrong",
            Denial::RevealNeedsToken => "reveal_needs_token",
            Denial::NoSuchPage => "no_such_page",
            Denial::MethodNotAllowed(_) => "method_not_allowed",
            Denial::ContentType => "content_type",
            Denial::BodyTooLarge { .. } => "body_too_large",
            Denial::BodyTooSlow => "body_too_slow",
            Denial::Busy => "busy",
            Denial::Input(_) => "bad_input",
            Denial::NoSuchNode => "no_such_node",
            Denial::Conflict(_) => "conflict",
            Denial::RegistryOut(_) => "registry_out_of_reach",
        }
    }

    pub fn message(&self) -> String {
        match self {
            Denial::Framing(why) => format!("the request is ambiguous: {why}"),
            Denial::HostMissing => "exactly one `Host` is needed".into(),
            Denial::HostForeign => "this host name isn't ours: use localhost or an IP address, or \
                 add the name to `forebay.admin.hosts`"
                .into(),
            Denial::OriginForeign => "pages of another origin may not ask here".into(),
            Denial::TokenMissing => "send `Authorization: Bearer TOKEN`".into(),
            Denial::TokenWrong => "this isn't the token".into(),
            Denial::RevealNeedsToken => "full URLs are shown only to those who send a token; set \
                 `forebay.admin.token`"
                .into(),
            Denial::NoSuchPage => "there is nothing here; see /openapi.json".into(),
            Denial::MethodNotAllowed(allowed) => format!("here only {allowed} will do"),
            Denial::ContentType => "a body must be `application/json`".into(),
            Denial::BodyTooLarge { bytes_max } => format!("the body is over {bytes_max} bytes"),
            Denial::BodyTooSlow => "the body did not arrive in time".into(),
            Denial::Busy => "too many requests at once; try again".into(),
            Denial::NoSuchNode => "no such node in the registry".into(),
            Denial::Input(why) | Denial::Conflict(why) | Denial::RegistryOut(why) => why.clone(),
        }
    }

    pub fn body(&self) -> String {
        json!({ "error": { "code": self.code(), "message": self.message() } }).to_string()
    }
}

impl From<RegistryError> for Denial {
    fn from(why: RegistryError) -> Denial {
        match why {
            RegistryError::Unknown => Denial::NoSuchNode,
            RegistryError::SecondLeader(name) => Denial::Conflict(format!(
                "{name} leads already; PATCH /backends with `is_leader` takes the role over"
            )),
            RegistryError::Exists
            | RegistryError::NameTaken(_)
            | RegistryError::InFile(_)
            | RegistryError::Damaged(_) => Denial::Conflict(why.to_string()),
            RegistryError::Record(fault) => Denial::input(fault),
            RegistryError::OutOfReach { .. } => Denial::RegistryOut(why.to_string()),
        }
    }
}

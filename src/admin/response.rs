//! What goes out of the admin listener, with headers that keep other sites out of its pages.

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use serde::Serialize;

use crate::admin::error::AdminError;
use crate::admin::routes::Asset;

const JSON: &str = "application/json";

/// Nothing from elsewhere, nothing inline, and no page may frame ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// On every answer.
const GUARDS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    // Node lists and the pages that show them are of the moment.
    (CACHE_CONTROL, "no-store"),
];

/// An answer before it is sent.
#[derive(Debug)]
pub(super) struct AdminResponse {
    pub status: u16,
    content_type: &'static str,
    pub body: Vec<u8>,
    extra: Option<(HeaderName, &'static str)>,
}

impl AdminResponse {
    pub(super) fn new(
        status: u16,
        content_type: &'static str,
        body: impl Into<Vec<u8>>,
    ) -> AdminResponse {
        AdminResponse {
            status,
            content_type,
            body: body.into(),
            extra: None,
        }
    }

    /// A value as JSON; ours always have one.
    pub(super) fn json(status: u16, value: &impl Serialize) -> AdminResponse {
        match serde_json::to_vec(value) {
            Ok(body) => AdminResponse::new(status, JSON, body),
            Err(why) => {
                log::error!("admin: an answer can't be written as JSON: {why}");
                AdminResponse::new(500, JSON, "{}")
            }
        }
    }

    pub(super) fn denied(why: &AdminError) -> AdminResponse {
        let extra = match why {
            AdminError::MethodNotAllowed(allowed) => Some((ALLOW, *allowed)),
            AdminError::TokenMissing | AdminError::TokenWrong => Some((WWW_AUTHENTICATE, "Bearer")),
            AdminError::Framing(_)
            | AdminError::HostMissing
            | AdminError::HostForeign
            | AdminError::OriginForeign
            | AdminError::RevealNeedsToken
            | AdminError::NoSuchPage
            | AdminError::ContentType
            | AdminError::BodyTooLarge { .. }
            | AdminError::BodyTooSlow
            | AdminError::Busy
            | AdminError::Input(_)
            | AdminError::NoSuchNode
            | AdminError::Conflict(_)
            | AdminError::NoSuchChain(_)
            | AdminError::RegistryOut(_) => None,
        };
        AdminResponse {
            extra,
            ..AdminResponse::new(why.status(), JSON, why.body())
        }
    }

    pub(super) fn asset(asset: Asset) -> AdminResponse {
        let (content_type, text) = match asset {
            Asset::Page => ("text/html; charset=utf-8", include_str!("page.html")),
            Asset::Style => ("text/css; charset=utf-8", include_str!("page.css")),
            Asset::Script => ("text/javascript; charset=utf-8", include_str!("page.js")),
            Asset::Icon => ("image/svg+xml", include_str!("icon.svg")),
        };
        AdminResponse::new(200, content_type, text)
    }

    pub(super) fn description() -> AdminResponse {
        AdminResponse::new(200, JSON, include_str!("openapi.json"))
    }

    /// # Errors
    /// None in practice: the status is one of ours.
    pub(super) fn head(&self) -> pingora::Result<ResponseHeader> {
        let mut head = ResponseHeader::build(self.status, Some(GUARDS.len() + 3))?;
        head.insert_header(CONTENT_TYPE, HeaderValue::from_static(self.content_type))?;
        head.insert_header(CONTENT_LENGTH, HeaderValue::from(self.body.len()))?;
        for (name, value) in GUARDS {
            head.insert_header(name, HeaderValue::from_static(value))?;
        }
        if let Some((name, value)) = &self.extra {
            head.insert_header(name, HeaderValue::from_static(value))?;
        }
        Ok(head)
    }
}

//! The names of an answer's headers, as each version of HTTP says them.

use http::header::{self, HeaderName};

use crate::call::answer::CacheUse;

/// A header's name.
#[derive(Debug)]
pub struct ResponseHeader {
    /// For HTTP/1.1.
    pub text: &'static str,
    /// For HTTP/2. Known beforehand: to read a name out of its text takes longer than to say the header.
    pub name: HeaderName,
}

const fn header(text: &'static str, name: HeaderName) -> ResponseHeader {
    ResponseHeader { text, name }
}

/// One of our own, whose name is the same by both.
const fn own(text: &'static str) -> ResponseHeader {
    header(text, HeaderName::from_static(text))
}

pub static CONTENT_TYPE: ResponseHeader = header("Content-Type", header::CONTENT_TYPE);
pub static CONTENT_ENCODING: ResponseHeader = header("Content-Encoding", header::CONTENT_ENCODING);
pub static RETRY_AFTER: ResponseHeader = header("Retry-After", header::RETRY_AFTER);
pub static ALLOW: ResponseHeader = header("Allow", header::ALLOW);
pub static ACCEPT_ENCODING: ResponseHeader = header("Accept-Encoding", header::ACCEPT_ENCODING);
pub static VARY: ResponseHeader = header("Vary", header::VARY);
pub static ALLOW_ORIGIN: ResponseHeader = header(
    "Access-Control-Allow-Origin",
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
);
pub static EXPOSE_HEADERS: ResponseHeader = header(
    "Access-Control-Expose-Headers",
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
);
pub static ALLOW_METHODS: ResponseHeader = header(
    "Access-Control-Allow-Methods",
    header::ACCESS_CONTROL_ALLOW_METHODS,
);
pub static ALLOW_HEADERS: ResponseHeader = header(
    "Access-Control-Allow-Headers",
    header::ACCESS_CONTROL_ALLOW_HEADERS,
);
pub static MAX_AGE: ResponseHeader =
    header("Access-Control-Max-Age", header::ACCESS_CONTROL_MAX_AGE);
pub static NODE: ResponseHeader = own("x-forebay-node");
pub static ATTEMPTS: ResponseHeader = own("x-forebay-attempts");
pub static CACHE: ResponseHeader = own("x-forebay-cache");
pub static TRAIL: ResponseHeader = own("x-forebay-trail");
pub static REQUEST_ID: ResponseHeader = own("x-request-id");

/// The whole line of [`CACHE`] by HTTP/1.1, as most answers have one.
pub fn cache_line(cached: CacheUse) -> &'static str {
    match cached {
        CacheUse::Pass => "x-forebay-cache: pass\r\n",
        CacheUse::Hit => "x-forebay-cache: hit\r\n",
        CacheUse::Miss => "x-forebay-cache: miss\r\n",
    }
}

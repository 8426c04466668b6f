//! What may hold a key isn't shown: all that stands behind the host of a URL, and what the environment holds.

use super::finding::shown;
use forebay_core::vocabulary::node::NodeSpecError;

/// In place of what isn't shown.
pub(super) const HIDDEN: &str = "(hidden)";

/// What stands before the path; a variable for all of it is shown as that.
pub(super) fn shown_url(written: &str) -> String {
    let is_variable = written.starts_with("${") && written.find('}') == Some(written.len() - 1);
    match is_variable && !has_default(written) {
        true => written.to_string(),
        false => before_path(written),
    }
}

/// Of a variable: it may be a key as well.
fn has_default(written: &str) -> bool {
    written.contains(":-")
}

pub(super) fn before_path(written: &str) -> String {
    let Some((scheme, rest)) = written.split_once("://") else {
        return HIDDEN.to_string();
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_plain = scheme.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_plain || host.contains('@') || has_default(host) {
        return HIDDEN.to_string();
    }
    let rest = if matches!(&rest[host.len()..], "" | "/") {
        ""
    } else {
        "/…"
    };
    format!("{scheme}://{host}{rest}")
}

/// A fault in words that show nothing of what the environment holds.
pub(super) fn harmless(why: &NodeSpecError) -> String {
    match why {
        NodeSpecError::UrlScheme(_, named) => format!("the scheme is not one of {named}"),
        NodeSpecError::Unset(name) => {
            format!("the environment variable {} is not set", shown(name))
        }
        NodeSpecError::Header(name) => {
            format!("the header `{}` can't be sent to a node", shown(name))
        }
        NodeSpecError::UrlEmpty
        | NodeSpecError::UrlTooLong
        | NodeSpecError::UrlMalformed(_)
        | NodeSpecError::UrlHost
        | NodeSpecError::UrlUser
        | NodeSpecError::Hidden
        | NodeSpecError::Metadata
        | NodeSpecError::Ours
        | NodeSpecError::Unclosed
        | NodeSpecError::Weight(_)
        | NodeSpecError::InFlightMax
        | NodeSpecError::Serves
        | NodeSpecError::ServesNothing
        | NodeSpecError::RecentBlocks
        | NodeSpecError::Name => why.to_string(),
    }
}

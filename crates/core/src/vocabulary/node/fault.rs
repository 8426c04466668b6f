//! What may be wrong with a node as it was written down.

use thiserror::Error;

use super::{
    InFlightMax, NAME_BYTES_MAX, RECENT_BLOCKS_MAX, SERVED_GLOBS_MAX, TEXT_BYTES_MAX, Weight,
};

/// Why a node's description can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NodeSpecError {
    #[error("the URL is empty")]
    UrlEmpty,
    #[error("the URL is longer than {TEXT_BYTES_MAX} bytes")]
    UrlTooLong,
    #[error("not a URL ({0}); write it like http://10.0.0.11:8545")]
    UrlMalformed(String),
    #[error("the scheme `{0}` is not one of {1}")]
    UrlScheme(String, &'static str),
    #[error("the URL has no host")]
    UrlHost,
    #[error("the URL has a user name or password; send them in `headers` instead")]
    UrlUser,
    #[error("the environment variable {0} is not set")]
    Unset(String),
    #[error("`${{` without its `}}`")]
    Unclosed,
    #[error("`in_flight_max` is `auto` or a number from 1 to {most}", most = InFlightMax::MOST)]
    InFlightMax,
    #[error(
        "`serves` is 1 to {SERVED_GLOBS_MAX} methods' names or globs, each with a `!` before it or without"
    )]
    Serves,
    #[error("what `serves` takes out leaves the node no method")]
    ServesNothing,
    #[error("`recent_blocks` is `all` or a number from 1 to {RECENT_BLOCKS_MAX}")]
    RecentBlocks,
    #[error("weight {0} is over {max}", max = Weight::MAX)]
    Weight(u64),
    #[error(
        "the name is empty, longer than {NAME_BYTES_MAX} bytes, or has characters other than letters, digits and . _ : -"
    )]
    Name,
    #[error("the header `{0}` can't be sent to a node")]
    Header(String),
    #[error("a variable stands for a part of what is before the URL's path, which all are shown")]
    Hidden,
    #[error("the URL is of the cloud's metadata service, which is no node")]
    Metadata,
    #[error("the URL is of one of our own listeners")]
    Ours,
}

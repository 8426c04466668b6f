//! What may be wrong with a node as it was written down.

use thiserror::Error;

use super::{
    InFlightMax, NAME_BYTES_MAX, RECENT_BLOCKS_MAX, SERVED_GLOBS_MAX, TEXT_BYTES_MAX, Weight,
};

/// Why a node's description can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NodeSpecError {
    /// Nothing is left of the URL once variables are put in.
    #[error("the URL is empty")]
    UrlEmpty,
    /// Over [`TEXT_BYTES_MAX`] once variables are put in.
    #[error("the URL is longer than {TEXT_BYTES_MAX} bytes")]
    UrlTooLong,
    /// It can't be parsed, for the reason that the `url` crate gives.
    #[error("not a URL ({0}); write it like http://10.0.0.11:8545")]
    UrlMalformed(String),
    /// Its scheme, and those that may stand there.
    #[error("the scheme `{0}` is not one of {1}")]
    UrlScheme(String, &'static str),
    /// It has no host, or port 0.
    #[error("the URL has no host, or the port 0")]
    UrlHost,
    /// It has a user name or a password before its host.
    #[error("the URL has a user name or password; send them in `headers` instead")]
    UrlUser,
    /// `${NAME}` without a default, of a variable that isn't set: its name.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// A `${` that no `}` follows.
    #[error("`${{` without its `}}`")]
    Unclosed,
    /// Neither `auto` nor a number in its range.
    #[error("`in_flight_max` is `auto` or a number from 1 to {most}", most = InFlightMax::MOST)]
    InFlightMax,
    /// No glob, too many of them, or one that can't be a method's name.
    #[error(
        "`serves` is 1 to {SERVED_GLOBS_MAX} methods' names or globs, each with a `!` before it or without"
    )]
    Serves,
    /// The globs with `!` take out all that the others let in.
    #[error("what `serves` takes out leaves the node no method")]
    ServesNothing,
    /// Neither `all` nor a number in its range.
    #[error("`recent_blocks` is `all` or a number from 1 to {RECENT_BLOCKS_MAX}")]
    RecentBlocks,
    /// The number that was given.
    #[error("weight {0} is over {max}", max = Weight::MAX)]
    Weight(u64),
    /// A name that can't be a metric label and a response header, or `local`, by which both name Forebay
    /// itself.
    #[error(
        "the name is empty, longer than {NAME_BYTES_MAX} bytes, has characters other than letters, digits and . _ : -, or is `local`"
    )]
    Name,
    /// The name of a header that HTTP doesn't allow, or that is ours to write, or whose value HTTP doesn't
    /// allow.
    #[error("the header `{0}` can't be sent to a node")]
    Header(String),
    /// A variable before the path that isn't the whole host or port: logs and metrics would show what it
    /// stands for.
    #[error("a variable stands for a part of what is before the URL's path, which all are shown")]
    Hidden,
    /// Its host is that of a cloud's metadata service, which hands out credentials.
    #[error("the URL is of the cloud's metadata service, which is no node")]
    Metadata,
    /// Calls to it would come back to us.
    #[error("the URL is of one of our own listeners")]
    Ours,
}

//! A downstream: a request and the way back for its answer, whatever version of HTTP it came by.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::client::request_head::RequestHead;
use crate::client::response::ClientResponse;
use crate::shared::admission::Admission;
use forebay_core::wire::cors::CorsPolicy;

/// The client is gone, or the rest of what it is sent can't be had: its connection breaks.
#[derive(Debug)]
pub struct ClientGone;

/// Why the rest of a body will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBodyError {
    Gone,
    /// Its framing is broken, and so the connection's.
    Malformed(&'static str),
    /// Not in time.
    Late,
}

/// One request, until it is answered.
pub trait Downstream: Send {
    fn head(&self) -> &RequestHead;

    /// Gives the request an id: its answer carries it.
    fn name(&mut self, request_id: String);

    /// After the answer the connection ends.
    fn close(&mut self);

    /// It is known for which chain it is: what it holds from now on counts as that chain's. `false`: the chain has
    /// as many connections as it may.
    fn settle(&mut self, admission: &Arc<Admission>) -> bool;

    /// Tells a client that waits for our word to send its body.
    fn send_continue(&mut self) -> impl Future<Output = Result<(), ClientGone>> + Send;

    /// The next piece of the body; `None` at its end.
    fn piece(
        &mut self,
        until: Instant,
    ) -> impl Future<Output = Result<Option<Bytes>, RequestBodyError>> + Send;

    /// Whether all of the body has been taken.
    fn has_ended(&mut self) -> bool;

    /// Returns when the client has left.
    fn left(&mut self) -> impl Future<Output = ClientGone> + Send;

    /// Sends the answer. When a node breaks off, so do we: an answer that is not whole must not
    /// look whole.
    fn send(
        &mut self,
        response: ClientResponse<'_>,
        origins: &CorsPolicy,
    ) -> impl Future<Output = Result<(), ClientGone>> + Send;

    /// The answer was sent before the body was read to its end: takes what still comes of it,
    /// within limits, unless the connection's end does so.
    fn let_go(&mut self) -> impl Future<Output = ()> + Send;
}

//! A client's socket from its opening to its end.
//!
//! Three things go on at once, in one task: messages are read and carried out, several at a time;
//! news are told; and the client is asked whether it is still there. The first that ends ends the
//! socket, and drops the calls that are on their way.
//!
//! A client that sends faster than its calls are answered is read no further once
//! [`WAITING_MAX`] of its messages wait: TCP holds it back. A message that has no place in the process
//! is answered at once and not kept: until the client has taken that no, it is read no further,
//! either.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop::unconstrained;
use tokio::time::{MissedTickBehavior, interval};

use crate::call::context::CallState;
use crate::call::request_context::RequestContext;
use crate::client::endpoint::FIRST_ROUND_TIME_MAX;
use crate::client::websocket::close::CloseReason;
use crate::client::websocket::connection::{ClientMessage, WebsocketConnection};
use crate::client::websocket::message::{ReceivedMessage, notification, refuse};
use crate::client::websocket::metered_stream::MeteredStream;
use crate::clock;
use crate::observe::metrics::MessageDirection;
use crate::shared::callers::Caller;
use crate::shared::listener::ClientSubscriptions;
use crate::shared::outbox::{OutboxItem, ServerClose};
use crate::shared::sockets::{SocketLimits, SocketPlace};
use forebay_core::rpc::refusal::Refusal;
use forebay_core::vocabulary::client::Client;
use forebay_core::vocabulary::rate_limit::TokenBucket;

/// Messages of one socket that are carried out at once.
pub const CALLS_MAX: usize = 32;
/// Messages of one socket that wait until others are answered.
pub const WAITING_MAX: usize = 64;
/// The bytes of those messages beyond which no further one is read.
pub const WAITING_BYTES_MAX: usize = 1 << 20;

/// The client at the other end.
pub struct Peer {
    pub place: SocketPlace,
    pub client: Client,
    /// For whatever is shared among callers.
    pub caller: Caller,
    /// As of the opening handshake.
    pub request_context: RequestContext,
}

/// One socket.
pub struct WebsocketSession<S> {
    wire: WebsocketConnection<S>,
    state: Arc<CallState>,
    listener: ClientSubscriptions,
    peer: Peer,
    /// As of its opening.
    limits: Arc<SocketLimits>,
    /// The client is not read, so that it can't be heard of.
    is_held_back: AtomicBool,
    /// It was so at some time since the last ping.
    was_held_back: AtomicBool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> WebsocketSession<S> {
    /// Over a stream whose opening handshake is done.
    pub async fn new(state: Arc<CallState>, stream: S, peer: Peer) -> WebsocketSession<S> {
        let metered = MeteredStream::new(stream, state.admission.clone());
        let limits = state.sockets.limits();
        let message_bytes_max = state.policy.load().body_bytes_max;
        WebsocketSession {
            wire: WebsocketConnection::new(metered, message_bytes_max).await,
            listener: ClientSubscriptions::new(
                &state.hub,
                &state.admission,
                &state.metrics,
                (peer.client, limits.each.subscriptions_max),
            ),
            limits,
            state,
            peer,
            is_held_back: AtomicBool::new(false),
            was_held_back: AtomicBool::new(false),
        }
    }

    /// Serves the client until one of both goes.
    pub async fn run(self) {
        let counted = self.state.metrics.begin_socket();
        let ending = self.go_on().await;
        log::debug!("a socket ends: {ending:?}");
        self.state.metrics.socket_ended(ending.metric());
        // On the heap: what an end takes isn't held before.
        Box::pin(self.end(ending)).await;
        drop(counted);
    }

    async fn go_on(&self) -> CloseReason {
        // Each goes on when it was woken itself: news are told without a look at what the client says. And a client
        // that says all that Tokio has time for in a turn holds up neither its news nor its end.
        let works = [
            self.listen().boxed(),
            unconstrained(self.tell()).boxed(),
            unconstrained(self.watch()).boxed(),
        ];
        let ending = FuturesUnordered::from_iter(works).next().await;
        ending.unwrap_or(CloseReason::Broken)
    }

    async fn end(self, ending: CloseReason) {
        let WebsocketSession {
            wire,
            listener,
            peer,
            ..
        } = self;
        drop(listener);
        wire.close(&ending).await;
        drop(peer);
    }

    /// Reads messages and carries them out.
    async fn listen(&self) -> CloseReason {
        let mut bucket = TokenBucket::new(self.limits.each.messages_per_second, clock::now());
        let mut leaving = self.state.sockets.leaving();
        let mut waiting = MessageQueue::default();
        let mut calls: FuturesUnordered<BoxFuture<'_, Result<MessageOutcome, CloseReason>>> =
            FuturesUnordered::new();
        let mut refuses = false;
        loop {
            while calls.len() < CALLS_MAX
                && let Some(arrived) = waiting.take()
            {
                calls.push(self.answer(arrived).boxed());
            }
            let is_leaving = *leaving.borrow_and_update();
            if is_leaving && calls.is_empty() {
                return CloseReason::Closed(ServerClose::Leaving);
            }
            let may_read = !is_leaving && !refuses && waiting.has_room();
            self.is_held_back.store(!may_read, Ordering::Relaxed);
            self.was_held_back.fetch_or(!may_read, Ordering::Relaxed);
            tokio::select! {
                said = self.wire.next(), if may_read => match said {
                    Ok(said) => match self.admit(said, &mut bucket) {
                        Ok(arrived) => waiting.put(arrived),
                        Err(no) => {
                            refuses = true;
                            calls.push(self.refuse(no).boxed());
                        }
                    },
                    Err(ending) => return ending,
                },
                Some(done) = calls.next() => match done {
                    Ok(MessageOutcome::Answered) => {}
                    Ok(MessageOutcome::Refused) => refuses = false,
                    Err(ending) => return ending,
                },
                _ = leaving.changed(), if !is_leaving => {}
            }
        }
    }

    /// A place for what the client said; or the no that it gets instead.
    fn admit(
        &self,
        said: ClientMessage,
        bucket: &mut TokenBucket,
    ) -> Result<ReceivedMessage<'_>, Vec<Bytes>> {
        let now = clock::now();
        let state = &self.state;
        state.metrics.socket_message(MessageDirection::Received);
        let permit = if bucket.take(now) {
            let permit = state.admission.enter(self.peer.caller);
            permit
                .and_then(|mut permit| permit.hold(said.payload.len()).then_some(permit))
                .ok_or(Refusal::OverCapacity)
        } else {
            Err(Refusal::TooManyMessages)
        };
        match permit {
            Ok(permit) => Ok(ReceivedMessage {
                payload: said.payload,
                at: now,
                client: self.peer.client,
                request_context: &self.peer.request_context,
                permit,
            }),
            Err(why) => {
                let request_context = self.peer.request_context.next(now);
                Err(refuse(&said.payload, &why, state, &request_context))
            }
        }
    }

    async fn answer(&self, arrived: ReceivedMessage<'_>) -> Result<MessageOutcome, CloseReason> {
        self.state.fleet.begin(FIRST_ROUND_TIME_MAX).await;
        let say = async |pieces: Vec<Bytes>| {
            let bytes = pieces.iter().map(Bytes::len).sum();
            let unsent = self.state.admission.unsent(self.peer.caller, bytes);
            let _unsent = unsent.ok_or(CloseReason::OverCapacity)?;
            self.say(pieces).await
        };
        let said = arrived.answer(&self.state, &self.listener, say).await;
        said.unwrap_or(Ok(())).map(|()| MessageOutcome::Answered)
    }

    /// Says no, which takes room itself; where there is none even for that, the socket ends.
    async fn refuse(&self, no: Vec<Bytes>) -> Result<MessageOutcome, CloseReason> {
        let bytes = no.iter().map(Bytes::len).sum();
        let load = self
            .state
            .admission
            .load(bytes)
            .ok_or(CloseReason::OverCapacity)?;
        if !no.is_empty() {
            self.say(no).await?;
        }
        drop(load);
        Ok(MessageOutcome::Refused)
    }

    async fn say(&self, pieces: Vec<Bytes>) -> Result<(), CloseReason> {
        let line = self.wire.line().await;
        self.state.metrics.socket_message(MessageDirection::Sent);
        line.say(pieces).await
    }

    /// Tells news as they come.
    async fn tell(&self) -> CloseReason {
        loop {
            let (subscription, result) = match self.listener.outbox.next().await {
                OutboxItem::Begun(subscription) => {
                    self.listener.answered(subscription).await;
                    continue;
                }
                OutboxItem::Close(closing) => return CloseReason::Closed(closing),
                OutboxItem::News {
                    subscription,
                    result,
                } => (subscription, result),
            };
            let line = self.wire.line().await;
            if !self.listener.has(subscription) {
                // It was ended in between.
                continue;
            }
            self.state.metrics.socket_message(MessageDirection::Sent);
            if let Err(ending) = line.say(notification(&subscription, result)).await {
                return ending;
            }
        }
    }

    /// Pings. A client that is not heard of from one ping to the next is gone, and one whose message
    /// lasts from one to the next has taken too long.
    async fn watch(&self) -> CloseReason {
        let mut ticks = interval(self.limits.each.ping_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut pinged_at = None;
        loop {
            ticks.tick().await;
            // One that is held back all the time tells nothing anew.
            let is_held_back = self.is_held_back.load(Ordering::Relaxed);
            let was_held_back = self.was_held_back.swap(is_held_back, Ordering::Relaxed);
            if let Some(pinged_at) = pinged_at.filter(|_| !was_held_back) {
                if self.wire.heard_at() < pinged_at {
                    return CloseReason::Silent;
                }
                if self
                    .wire
                    .began_at()
                    .is_some_and(|began_at| began_at < pinged_at)
                {
                    return CloseReason::Unfinished;
                }
            }
            pinged_at = Some(clock::now());
            if let Err(ending) = self.wire.ping().await {
                return ending;
            }
        }
    }
}

/// What became of a message.
enum MessageOutcome {
    Answered,
    /// It had no place in the process, and its client has taken the no.
    Refused,
}

/// Messages that wait for their turn.
#[derive(Default)]
struct MessageQueue<'a> {
    arrived: VecDeque<ReceivedMessage<'a>>,
    bytes: usize,
}

impl<'a> MessageQueue<'a> {
    fn put(&mut self, arrived: ReceivedMessage<'a>) {
        self.bytes += arrived.payload.len();
        self.arrived.push_back(arrived);
    }

    fn take(&mut self) -> Option<ReceivedMessage<'a>> {
        let arrived = self.arrived.pop_front()?;
        self.bytes -= arrived.payload.len();
        Some(arrived)
    }

    fn has_room(&self) -> bool {
        self.arrived.len() < WAITING_MAX && self.bytes < WAITING_BYTES_MAX
    }
}

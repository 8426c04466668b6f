//! One node's socket: opened, listened to, replaced when it is lost or silent.

mod heads;
mod state;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep_until;

use self::state::{SocketFailure, SocketState};
use crate::background::feeds::sockets::messages::{SocketCommand, TopicReport};
use crate::background::feeds::sockets::subscriptions::{
    CallPurpose, ID_BYTES_MAX, InvalidId, Subscriptions,
};
use crate::background::feeds::sockets::{SocketContext, SocketRegistration};
use crate::background::pacing::or_never;
use crate::clock;
use crate::node::socket::{SocketFault, SocketMessage, UpstreamSocket};
use crate::shared::node_clients::Upstream;
use forebay_core::feed::takeover::{FeedSource, TopicEvent, TopicRequest};
use forebay_core::fleet::staleness::SocketStaleness;
use forebay_core::rpc::url_mask;
use forebay_core::vocabulary::chance::Dice;

/// From one attempt to the next: doubling, from the first to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_LAST: Duration = Duration::from_secs(15);
/// A node that has a socket and no heads to tell is called again after this long.
const PAUSE_NO_HEADS: Duration = Duration::from_secs(600);
/// A socket that lived so long is opened again after the first pause.
const LIVED_LONG: Duration = Duration::from_secs(60);
/// A sign of life is asked for this often, and must come within twice that.
const PING_EVERY: Duration = Duration::from_secs(30);

/// A longer error of a node's, in bytes, is not passed on: it refuses without a word.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// A socket to one node.
pub(super) struct NodeSocket {
    exchange: Arc<SocketContext>,
    upstream: Arc<Upstream>,
    /// It was said that it can't be opened.
    is_told: bool,
    /// The node's errors don't say to which call they are the answer.
    is_serial: bool,
}

impl NodeSocket {
    pub(super) fn new(exchange: Arc<SocketContext>, upstream: Arc<Upstream>) -> NodeSocket {
        NodeSocket {
            exchange,
            upstream,
            is_told: false,
            is_serial: false,
        }
    }

    /// Opens the socket, again and again; ends when the node turns out to have none.
    pub(super) async fn run(mut self) {
        let mut pause = PAUSE_FIRST;
        loop {
            let begun = clock::now();
            let end = self.live().await;
            if self.is_final(&end) {
                return;
            }
            if clock::now().saturating_duration_since(begun) >= LIVED_LONG {
                pause = PAUSE_FIRST;
            }
            if matches!(end, SocketFailure::NoHeads) {
                pause = PAUSE_NO_HEADS;
            }
            let chance = (&mut clock::roll as &mut dyn FnMut() -> u64).fraction();
            tokio::time::sleep(pause.mul_f64(0.75 + 0.5 * chance)).await;
            pause = match end {
                SocketFailure::NoHeads => PAUSE_FIRST,
                SocketFailure::Fault(_) | SocketFailure::Stale => (pause * 2).min(PAUSE_LAST),
            };
        }
    }

    /// Tells of it once, and not again before a socket stood.
    fn is_final(&mut self, end: &SocketFailure) -> bool {
        let name = &self.upstream.spec.name;
        let is_asked_for = self.upstream.spec.ws_url.is_some();
        let was_told = std::mem::replace(&mut self.is_told, true);
        match end {
            SocketFailure::Fault(fault) if fault.is_refusal() && !is_asked_for => {
                log::debug!("{name} has no WebSocket on its HTTP port: {fault}");
                true
            }
            SocketFailure::NoHeads if !was_told => {
                log::info!("{name} tells no heads over its WebSocket: it is polled alone");
                false
            }
            SocketFailure::Fault(fault) if !was_told => {
                log::info!(
                    "no WebSocket to {name}: {fault}; it is tried again, and polled meanwhile"
                );
                false
            }
            SocketFailure::Stale if !was_told => {
                log::info!("the WebSocket to {name} is silent while others move: it is replaced");
                false
            }
            SocketFailure::Fault(_) | SocketFailure::Stale | SocketFailure::NoHeads => false,
        }
    }

    async fn live(&mut self) -> SocketFailure {
        let spec = &self.upstream.spec;
        let url = spec.ws_url.as_ref().unwrap_or(&spec.url).reveal();
        let opened = UpstreamSocket::open(&self.exchange.resources.connector, spec, url).await;
        let mut live = match opened {
            Ok(socket) => {
                let node = self.upstream.id;
                let epoch = self.exchange.epochs.fetch_add(1, Ordering::Relaxed);
                let subscriptions = Subscriptions::new(self.is_serial);
                SocketState::new(
                    socket,
                    FeedSource { node, epoch },
                    subscriptions,
                    self.exchange.told(),
                )
            }
            Err(fault) => return SocketFailure::Fault(fault),
        };
        let end = self.listen(&mut live).await;
        // What its node held in memory may have gone with it.
        if matches!(end, SocketFailure::Fault(_)) {
            self.exchange.resources.fleet.doubt_depth(self.upstream.id);
        }
        self.close(live, &end).await;
        end
    }

    async fn listen(&mut self, live: &mut SocketState) -> SocketFailure {
        live.subscriptions.want(CallPurpose::Heads);
        let look = (self
            .exchange
            .resources
            .settings
            .say(|it| it.chain.block_time)
            / 2)
        .clamp(Duration::from_millis(100), PING_EVERY);
        let mut looks = tokio::time::interval(look);
        let mut pings = tokio::time::interval(PING_EVERY);
        loop {
            if let Err(fault) = send(live).await {
                return SocketFailure::Fault(fault);
            }
            let due = live.subscriptions.due().map(|due| sleep_until(due.into()));
            let done = tokio::select! {
                heard = live.socket.hear() => match heard {
                    Ok(heard) => self.hear(live, heard).await,
                    Err(fault) => Err(SocketFailure::Fault(fault)),
                },
                command = next_command(&mut live.place) => self.obey(live, command).await,
                answer = or_never(live.block_query.as_mut().map(|query| &mut query.answer)) => {
                    self.compare(live, answer).await;
                    Ok(())
                }
                () = or_never(due) => Ok(()),
                _ = looks.tick() => self.look(live),
                _ = pings.tick() => live.socket.ping().await.map_err(SocketFailure::Fault),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Silent for long while others move, or not even alive.
    fn look(&self, live: &mut SocketState) -> Result<(), SocketFailure> {
        let now = clock::now();
        let block_time = self
            .exchange
            .resources
            .settings
            .say(|it| it.chain.block_time);
        let told = self.exchange.told();
        if live.staleness.is_stale(told, block_time, now) {
            return Err(SocketFailure::Stale);
        }
        if now.saturating_duration_since(live.heard_at) > PING_EVERY * 2 {
            return Err(SocketFailure::Fault(SocketFault::Timeout));
        }
        Ok(())
    }

    async fn hear(
        &mut self,
        live: &mut SocketState,
        heard: SocketMessage,
    ) -> Result<(), SocketFailure> {
        live.heard_at = clock::now();
        match heard {
            SocketMessage::Nothing => {}
            SocketMessage::Answer { id, outcome } => {
                if let Some(asked) = live.subscriptions.answered(id) {
                    self.answered(live, asked, outcome).await?;
                }
            }
            SocketMessage::Unnamed(error) => {
                let asked = live.subscriptions.unnamed(clock::now());
                self.is_serial = live.subscriptions.is_serial();
                if let Some(asked) = asked {
                    self.answered(live, asked, Err(error)).await?;
                }
            }
            SocketMessage::News {
                subscription,
                result,
            } => match live.subscriptions.told(&subscription) {
                Some(None) => self.head(live, &result).await,
                Some(Some(request)) => {
                    let request = request.clone();
                    self.say(live.source, request, TopicEvent::News(result))
                        .await;
                }
                None => {}
            },
        }
        Ok(())
    }

    async fn answered(
        &mut self,
        live: &mut SocketState,
        asked: CallPurpose,
        outcome: Result<Bytes, Bytes>,
    ) -> Result<(), SocketFailure> {
        match (asked, outcome) {
            (CallPurpose::Heads, Ok(id)) => self.begin(live, &id),
            (CallPurpose::Heads, Err(_)) => Err(SocketFailure::NoHeads),
            (CallPurpose::Topic(request), Ok(id)) => self.take(live, request, &id).await,
            (CallPurpose::Topic(request), Err(error)) => {
                let what = if error.len() > ERROR_BYTES_MAX {
                    TopicEvent::Useless
                } else {
                    TopicEvent::Refused(url_mask::without_urls(self.upstream.redacted(error)))
                };
                self.say(live.source, request, what).await;
                Ok(())
            }
            (CallPurpose::Dropped, Ok(id)) if id.len() > ID_BYTES_MAX => {
                Err(SocketFailure::Fault(SocketFault::Protocol))
            }
            (CallPurpose::Dropped, Ok(id)) => {
                let id = String::from_utf8_lossy(&id);
                if live.subscriptions.told(&id).is_none() {
                    live.subscriptions
                        .want(CallPurpose::GivenUp(id.into_owned()));
                }
                Ok(())
            }
            (CallPurpose::GivenUp(_), _) | (CallPurpose::Dropped, Err(_)) => Ok(()),
        }
    }

    async fn obey(
        &self,
        live: &mut SocketState,
        command: SocketCommand,
    ) -> Result<(), SocketFailure> {
        match command {
            SocketCommand::Subscribe(request) if live.subscriptions.is_full() => {
                self.say(live.source, request, TopicEvent::Full).await;
            }
            SocketCommand::Subscribe(request) => {
                live.subscriptions.want(CallPurpose::Topic(request))
            }
            SocketCommand::Unsubscribe(request) => {
                live.subscriptions.drop_request(&request);
                self.count(live);
            }
        }
        Ok(())
    }

    /// The node tells heads from now on: the socket is open.
    fn begin(&mut self, live: &mut SocketState, id: &Bytes) -> Result<(), SocketFailure> {
        live.subscriptions
            .take(id, None)
            .map_err(|_| SocketFailure::NoHeads)?;
        self.count(live);
        live.staleness = SocketStaleness::new(self.exchange.told());
        self.is_told = false;
        live.place = Some(SocketRegistration::take(&self.exchange, live.source));
        Ok(())
    }

    /// The node tells a topic from now on; unless its id for it is none: then another is asked.
    async fn take(
        &self,
        live: &mut SocketState,
        request: TopicRequest,
        id: &Bytes,
    ) -> Result<(), SocketFailure> {
        let taken = live.subscriptions.take(id, Some(request.clone()));
        let what = match taken {
            Ok(()) => TopicEvent::Taken,
            Err(why) => {
                let name = &self.upstream.spec.name;
                log::debug!("{name}: a subscription's id is of no use: {why:?}");
                TopicEvent::Useless
            }
        };
        self.count(live);
        self.say(live.source, request, what).await;
        match taken {
            // Giving this one up would end the one before it.
            Ok(()) | Err(InvalidId::Taken) => Ok(()),
            // It can't be given up without saying it.
            Err(InvalidId::TooLong) => Err(SocketFailure::Fault(SocketFault::Protocol)),
        }
    }

    async fn say(&self, source: FeedSource, request: TopicRequest, what: TopicEvent) {
        let room = match &what {
            TopicEvent::News(said) | TopicEvent::Refused(said) => {
                self.exchange.room(said.len()).await
            }
            TopicEvent::Taken | TopicEvent::Full | TopicEvent::Useless | TopicEvent::Lost(_) => {
                None
            }
        };
        let said = TopicReport {
            source,
            request,
            what,
            room,
        };
        drop(self.exchange.said.send(said).await);
    }

    fn count(&self, live: &SocketState) {
        let name = &self.upstream.spec.name;
        let metrics = &self.exchange.resources.metrics;
        metrics.show_upstream_subscriptions(name, live.subscriptions.len());
    }

    async fn close(&mut self, mut live: SocketState, end: &SocketFailure) {
        let name = &self.upstream.spec.name;
        self.exchange
            .resources
            .metrics
            .show_upstream_subscriptions(name, 0);
        let unheeded = live
            .place
            .as_mut()
            .map(SocketRegistration::close)
            .unwrap_or_default();
        let lost = live.subscriptions.into_requests().chain(unheeded);
        for request in lost {
            self.say(live.source, request, TopicEvent::Lost(end.loss()))
                .await;
        }
        // Not before all is said: a relay that finds the socket gone asks for no reason.
        drop(live.place);
        // What it said of its head may be old news: it is asked again soon.
        self.exchange.resources.fleet.hurry();
    }
}

async fn next_command(place: &mut Option<SocketRegistration>) -> SocketCommand {
    if let Some(place) = place
        && let Some(command) = place.commands.recv().await
    {
        return command;
    }
    std::future::pending().await
}

/// Asks the node for all that it may be asked for now.
async fn send(live: &mut SocketState) -> Result<(), SocketFault> {
    while let Some(what) = live.subscriptions.next(clock::now()) {
        let Some((method, params)) = what.call() else {
            continue;
        };
        // What can't be sent is lost with the socket.
        let call = live.socket.next_call();
        live.subscriptions.ask(call, what, clock::now());
        live.socket.call(method, &params).await?;
    }
    Ok(())
}

//! One node's line: opened, listened to, replaced when it is lost or silent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::ledger::{Asked, BadId, ID_BYTES_MAX, Ledger};
use super::words::{Loss, Order, Said, What};
use super::{Exchange, Place, Teller, Wish};
use crate::clock;
use crate::domain::chance::Dice;
use crate::domain::header::Header;
use crate::domain::silence::Silence;
use crate::state::upstreams::Upstream;
use crate::upstream::socket::{Heard, Socket, SocketFault};

/// From one attempt to the next: doubling, from the first to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_LAST: Duration = Duration::from_secs(15);
/// A node that has a socket and no heads to tell is called again after this long.
const PAUSE_NO_HEADS: Duration = Duration::from_secs(600);
/// A line that lived so long is opened again after the first pause.
const LIVED_LONG: Duration = Duration::from_secs(60);
/// A sign of life is asked for this often, and must come within twice that.
const PING_EVERY: Duration = Duration::from_secs(30);

/// A longer error of a node's, in bytes, is not passed on: it refuses without a word.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// A line to one node.
pub struct Line {
    exchange: Arc<Exchange>,
    upstream: Arc<Upstream>,
    /// It was said that it can't be opened.
    is_told: bool,
}

/// An open line.
struct Live {
    socket: Socket,
    teller: Teller,
    /// Since it is open to orders.
    place: Option<Place>,
    ledger: Ledger,
    /// What the node is being asked for: lost if that can't be sent.
    unsent: Option<Wish>,
    /// When the node was last heard.
    heard_at: Instant,
    silence: Silence,
}

/// Why a line ended.
enum End {
    Fault(SocketFault),
    Stale,
    /// It has no heads to tell.
    NoHeads,
}

impl End {
    fn loss(&self) -> Loss {
        match self {
            End::Fault(_) | End::NoHeads => Loss::Broken,
            End::Stale => Loss::Stale,
        }
    }
}

impl Line {
    pub fn new(exchange: Arc<Exchange>, upstream: Arc<Upstream>) -> Line {
        Line {
            exchange,
            upstream,
            is_told: false,
        }
    }

    /// Opens the line, again and again; ends when the node turns out to have no socket.
    pub async fn run(mut self) {
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
            if matches!(end, End::NoHeads) {
                pause = PAUSE_NO_HEADS;
            }
            let chance = (&mut clock::roll as &mut dyn FnMut() -> u64).fraction();
            tokio::time::sleep(pause.mul_f64(0.75 + 0.5 * chance)).await;
            pause = match end {
                End::NoHeads => PAUSE_FIRST,
                End::Fault(_) | End::Stale => (pause * 2).min(PAUSE_LAST),
            };
        }
    }

    /// Tells of it once, and not again before a line stood.
    fn is_final(&mut self, end: &End) -> bool {
        let name = &self.upstream.spec.name;
        let is_asked_for = self.upstream.spec.ws_url.is_some();
        let was_told = std::mem::replace(&mut self.is_told, true);
        match end {
            End::Fault(fault) if fault.is_refusal() && !is_asked_for => {
                log::debug!("{name} has no WebSocket on its HTTP port: {fault}");
                true
            }
            End::NoHeads if !was_told => {
                log::info!("{name} tells no heads over its WebSocket: it is polled alone");
                false
            }
            End::Fault(fault) if !was_told => {
                log::info!(
                    "no WebSocket to {name}: {fault}; it is tried again, and polled meanwhile"
                );
                false
            }
            End::Stale if !was_told => {
                log::info!("the WebSocket to {name} is silent while others move: it is replaced");
                false
            }
            End::Fault(_) | End::Stale | End::NoHeads => false,
        }
    }

    async fn live(&mut self) -> End {
        let spec = &self.upstream.spec;
        let url = spec.ws_url.as_ref().unwrap_or(&spec.url).reveal();
        let opened = Socket::open(&self.exchange.connector, spec, url).await;
        let mut live = match opened {
            Ok(socket) => {
                let node = self.upstream.id;
                let epoch = self.exchange.epochs.fetch_add(1, Ordering::Relaxed);
                Live::new(socket, Teller { node, epoch }, self.exchange.told())
            }
            Err(fault) => return End::Fault(fault),
        };
        let end = self.listen(&mut live).await;
        self.close(live, &end).await;
        end
    }

    async fn listen(&mut self, live: &mut Live) -> End {
        match live.socket.call("eth_subscribe", r#"["newHeads"]"#).await {
            Ok(id) => live.ledger.ask(id, Asked::Heads),
            Err(fault) => return End::Fault(fault),
        };
        let look = (self.exchange.regimen.say(|regimen| regimen.block_time) / 2)
            .clamp(Duration::from_millis(100), PING_EVERY);
        let mut looks = tokio::time::interval(look);
        let mut pings = tokio::time::interval(PING_EVERY);
        loop {
            let done = tokio::select! {
                heard = live.socket.hear() => match heard {
                    Ok(heard) => self.hear(live, heard).await,
                    Err(fault) => Err(End::Fault(fault)),
                },
                order = next_order(&mut live.place) => self.obey(live, order).await,
                _ = looks.tick() => self.look(live),
                _ = pings.tick() => live.socket.ping().await.map_err(End::Fault),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Silent for long while others move, or not even alive.
    fn look(&self, live: &mut Live) -> Result<(), End> {
        let now = clock::now();
        let block_time = self.exchange.regimen.say(|regimen| regimen.block_time);
        let told = self.exchange.told();
        if live.silence.is_stale(told, block_time, now) {
            return Err(End::Stale);
        }
        if now.saturating_duration_since(live.heard_at) > PING_EVERY * 2 {
            return Err(End::Fault(SocketFault::Timeout));
        }
        Ok(())
    }

    async fn hear(&mut self, live: &mut Live, heard: Heard) -> Result<(), End> {
        live.heard_at = clock::now();
        match heard {
            Heard::Nothing => {}
            Heard::Answer { id, outcome } => match (live.ledger.answered(id), outcome) {
                (Some(Asked::Heads), Ok(id)) => self.begin(live, &id)?,
                (Some(Asked::Heads), Err(_)) => return Err(End::NoHeads),
                (Some(Asked::Topic(wish)), Ok(id)) => self.take(live, wish, &id).await?,
                (Some(Asked::Topic(wish)), Err(error)) => {
                    let what = if error.len() > ERROR_BYTES_MAX {
                        What::Useless
                    } else {
                        What::Refused(self.upstream.redacted(error))
                    };
                    self.say(live.teller, wish, what).await;
                }
                (Some(Asked::Dropped), Ok(id)) if id.len() > ID_BYTES_MAX => {
                    return Err(End::Fault(SocketFault::Protocol));
                }
                (Some(Asked::Dropped), Ok(id)) => {
                    let id = String::from_utf8_lossy(&id);
                    if live.ledger.told(&id).is_none() {
                        give_up(live, &id).await?;
                    }
                }
                // Of an `eth_unsubscribe`, or refused when nobody wants it.
                (Some(Asked::Dropped), Err(_)) | (None, _) => {}
            },
            Heard::News {
                subscription,
                result,
            } => match live.ledger.told(&subscription) {
                Some(None) => self.head(live, &result).await,
                Some(Some(wish)) => {
                    let wish = wish.clone();
                    self.say(live.teller, wish, What::News(result)).await;
                }
                None => {}
            },
        }
        Ok(())
    }

    async fn obey(&self, live: &mut Live, order: Order) -> Result<(), End> {
        match order {
            Order::Subscribe(wish) if live.ledger.is_full() => {
                self.say(live.teller, wish, What::Full).await;
            }
            Order::Subscribe(wish) => {
                let params = wish.topic.params();
                live.unsent = Some(wish);
                let call = live.socket.call("eth_subscribe", &params).await;
                let call = call.map_err(End::Fault)?;
                if let Some(wish) = live.unsent.take() {
                    live.ledger.ask(call, Asked::Topic(wish));
                }
            }
            Order::Unsubscribe(wish) => {
                if let Some(id) = live.ledger.drop_wish(&wish) {
                    give_up(live, &id).await?;
                }
                self.count(live);
            }
        }
        Ok(())
    }

    /// The node tells heads from now on: the line is open.
    fn begin(&mut self, live: &mut Live, id: &Bytes) -> Result<(), End> {
        live.ledger.take(id, None).map_err(|_| End::NoHeads)?;
        self.count(live);
        live.silence = Silence::new(self.exchange.told());
        self.is_told = false;
        live.place = Some(Place::take(&self.exchange, live.teller));
        Ok(())
    }

    /// The node tells a topic from now on; unless its id for it is none: then another is asked.
    async fn take(&self, live: &mut Live, wish: Wish, id: &Bytes) -> Result<(), End> {
        let taken = live.ledger.take(id, Some(wish.clone()));
        let what = match taken {
            Ok(()) => What::Taken,
            Err(why) => {
                let name = &self.upstream.spec.name;
                log::debug!("{name}: a subscription's id is of no use: {why:?}");
                What::Useless
            }
        };
        self.count(live);
        self.say(live.teller, wish, what).await;
        match taken {
            // Giving this one up would end the one before it.
            Ok(()) | Err(BadId::Taken) => Ok(()),
            // It can't be given up without saying it.
            Err(BadId::TooLong) => Err(End::Fault(SocketFault::Protocol)),
        }
    }

    async fn head(&self, live: &mut Live, result: &Bytes) {
        let header = std::str::from_utf8(result).ok().and_then(Header::read);
        let Some(header) = header else { return };
        live.silence.broken(header.number.0);
        let id = self.upstream.id;
        self.exchange.pool.hear_head(id, &header).await;
        // An error says that nobody follows heads any more: the process ends.
        drop(self.exchange.heads.send((id, header)).await);
    }

    async fn say(&self, teller: Teller, wish: Wish, what: What) {
        let room = match &what {
            What::News(said) | What::Refused(said) => self.exchange.room(said.len()).await,
            What::Taken | What::Full | What::Useless | What::Lost(_) => None,
        };
        let said = Said {
            teller,
            wish,
            what,
            room,
        };
        drop(self.exchange.said.send(said).await);
    }

    fn count(&self, live: &Live) {
        let name = &self.upstream.spec.name;
        let metrics = &self.exchange.metrics;
        metrics.show_upstream_subscriptions(name, live.ledger.len());
    }

    async fn close(&mut self, mut live: Live, end: &End) {
        let name = &self.upstream.spec.name;
        self.exchange.metrics.show_upstream_subscriptions(name, 0);
        let unheeded = live.place.as_mut().map(Place::close).unwrap_or_default();
        let lost = live.ledger.into_wishes().chain(live.unsent).chain(unheeded);
        for wish in lost {
            self.say(live.teller, wish, What::Lost(end.loss())).await;
        }
        // Not before all is said: who finds the line gone asks for no reason.
        drop(live.place);
        // What it said of its head may be old news: it is asked again soon.
        self.exchange.pool.hurry();
    }
}

impl Live {
    fn new(socket: Socket, teller: Teller, told: u64) -> Live {
        let now = clock::now();
        Live {
            socket,
            teller,
            place: None,
            ledger: Ledger::default(),
            unsent: None,
            heard_at: now,
            silence: Silence::new(told),
        }
    }
}

async fn next_order(place: &mut Option<Place>) -> Order {
    if let Some(place) = place
        && let Some(order) = place.orders.recv().await
    {
        return order;
    }
    std::future::pending().await
}

async fn give_up(live: &mut Live, id: &str) -> Result<(), End> {
    let params = format!("[{id}]");
    let given_up = live.socket.call("eth_unsubscribe", &params).await;
    given_up.map(drop).map_err(End::Fault)
}

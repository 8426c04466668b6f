//! One node's line: opened, listened to, replaced when it is lost or silent.

mod heads;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::heads::{Asking, next_answer};
use super::ledger::{Asked, BadId, ID_BYTES_MAX, Ledger};
use super::words::{Loss, Order, Said, What};
use super::{Exchange, Place, Teller, Wish};
use crate::clock;
use crate::domain::chance::Dice;
use crate::domain::mask;
use crate::domain::silence::Silence;
use crate::domain::tidings::Tidings;
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
    /// The node's errors don't say to which call they are the answer.
    is_serial: bool,
}

/// An open line.
struct Live {
    socket: Socket,
    teller: Teller,
    /// Since it is open to orders.
    place: Option<Place>,
    ledger: Ledger,
    /// When the node was last heard.
    heard_at: Instant,
    silence: Silence,
    tidings: Tidings,
    /// The node is asked for the block that a head hints at, or will be.
    asking: Option<Asking>,
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
            is_serial: false,
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
            // What its node held in memory may have gone with it.
            if matches!(end, End::Fault(_)) {
                self.exchange.pool.doubt_depth(self.upstream.id);
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
                let ledger = Ledger::new(self.is_serial);
                Live::new(socket, Teller { node, epoch }, ledger, self.exchange.told())
            }
            Err(fault) => return End::Fault(fault),
        };
        let end = self.listen(&mut live).await;
        self.close(live, &end).await;
        end
    }

    async fn listen(&mut self, live: &mut Live) -> End {
        live.ledger.want(Asked::Heads);
        let look = (self.exchange.regimen.say(|regimen| regimen.block_time) / 2)
            .clamp(Duration::from_millis(100), PING_EVERY);
        let mut looks = tokio::time::interval(look);
        let mut pings = tokio::time::interval(PING_EVERY);
        loop {
            if let Err(fault) = send(live).await {
                return End::Fault(fault);
            }
            let done = tokio::select! {
                heard = live.socket.hear() => match heard {
                    Ok(heard) => self.hear(live, heard).await,
                    Err(fault) => Err(End::Fault(fault)),
                },
                order = next_order(&mut live.place) => self.obey(live, order).await,
                (number, block) = next_answer(&mut live.asking) => {
                    self.compare(live, number, block).await;
                    Ok(())
                }
                () = next_due(live.ledger.due()) => Ok(()),
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
            Heard::Answer { id, outcome } => {
                if let Some(asked) = live.ledger.answered(id) {
                    self.answered(live, asked, outcome).await?;
                }
            }
            Heard::Unnamed(error) => {
                let asked = live.ledger.unnamed(clock::now());
                self.is_serial = live.ledger.is_serial();
                if let Some(asked) = asked {
                    self.answered(live, asked, Err(error)).await?;
                }
            }
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

    async fn answered(
        &mut self,
        live: &mut Live,
        asked: Asked,
        outcome: Result<Bytes, Bytes>,
    ) -> Result<(), End> {
        match (asked, outcome) {
            (Asked::Heads, Ok(id)) => self.begin(live, &id),
            (Asked::Heads, Err(_)) => Err(End::NoHeads),
            (Asked::Topic(wish), Ok(id)) => self.take(live, wish, &id).await,
            (Asked::Topic(wish), Err(error)) => {
                let what = if error.len() > ERROR_BYTES_MAX {
                    What::Useless
                } else {
                    What::Refused(mask::without_urls(self.upstream.redacted(error)))
                };
                self.say(live.teller, wish, what).await;
                Ok(())
            }
            (Asked::Dropped, Ok(id)) if id.len() > ID_BYTES_MAX => {
                Err(End::Fault(SocketFault::Protocol))
            }
            (Asked::Dropped, Ok(id)) => {
                let id = String::from_utf8_lossy(&id);
                if live.ledger.told(&id).is_none() {
                    live.ledger.want(Asked::GivenUp(id.into_owned()));
                }
                Ok(())
            }
            (Asked::GivenUp(_), _) | (Asked::Dropped, Err(_)) => Ok(()),
        }
    }

    async fn obey(&self, live: &mut Live, order: Order) -> Result<(), End> {
        match order {
            Order::Subscribe(wish) if live.ledger.is_full() => {
                self.say(live.teller, wish, What::Full).await;
            }
            Order::Subscribe(wish) => live.ledger.want(Asked::Topic(wish)),
            Order::Unsubscribe(wish) => {
                live.ledger.drop_wish(&wish);
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
        let lost = live.ledger.into_wishes().chain(unheeded);
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
    fn new(socket: Socket, teller: Teller, ledger: Ledger, told: u64) -> Live {
        let now = clock::now();
        Live {
            socket,
            teller,
            place: None,
            ledger,
            heard_at: now,
            silence: Silence::new(told),
            tidings: Tidings::default(),
            asking: None,
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

async fn next_due(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Asks the node for all that it may be asked for now.
async fn send(live: &mut Live) -> Result<(), SocketFault> {
    while let Some(what) = live.ledger.next(clock::now()) {
        let Some((method, params)) = what.call() else {
            continue;
        };
        // What can't be sent is lost with the line.
        let call = live.socket.next_call();
        live.ledger.ask(call, what, clock::now());
        live.socket.call(method, &params).await?;
    }
    Ok(())
}

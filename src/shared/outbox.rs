//! What a client is still to be told: a bounded queue; putting into it never waits.
//!
//! The payloads are shared among all clients that are told the same. A client that doesn't take its news in
//! time is slow: what it was still to be told is dropped, and it is told that it must go.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use forebay_core::feed::subscription::SubscriptionId;
use forebay_core::vocabulary::client::Client;

/// The most news that wait for one client.
pub const NEWS_MAX: usize = 8192;
/// The most bytes of news that wait for one client, beside a single longer one: that alone makes
/// no client slow, nor does what comes just before or after it. They are shared with other clients, as a rule.
pub const BYTES_MAX: usize = 8 << 20;

/// News that an idle queue keeps room for.
const IDLE_ROOM: usize = 16;

/// Why a client's socket is closed from our side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerClose {
    /// It didn't take its news in time.
    Slow,
    /// What it missed can't be brought any more: why.
    Gap(&'static str),
    /// This process ends.
    Leaving,
}

impl ServerClose {
    /// The close code of RFC 6455 and its registry.
    pub fn code(&self) -> u16 {
        match self {
            ServerClose::Slow => 1013,
            // Not 1001 at the end: after that web3.js stays away, and web3.py ends without a word.
            ServerClose::Gap(_) | ServerClose::Leaving => 1012,
        }
    }

    /// The close reason: at most 123 bytes.
    pub fn reason(&self) -> &'static str {
        match self {
            ServerClose::Slow => "too slow: news are waiting for longer than there is room",
            ServerClose::Gap(why) => why,
            ServerClose::Leaving => "this server is going away, connect again",
        }
    }
}

/// One thing for a client's socket to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboxItem {
    /// The subscription stands: its answer is due, before any of its news.
    Begun(SubscriptionId),
    /// `result` of an `eth_subscription` notification, as JSON.
    News {
        subscription: SubscriptionId,
        result: Bytes,
    },
    /// The last thing: it is said again for as long as it is asked for.
    Close(ServerClose),
}

/// How much waits for one client at most.
#[derive(Clone, Copy, Debug)]
pub struct OutboxLimits {
    pub news_max: usize,
    pub bytes_max: usize,
}

impl Default for OutboxLimits {
    fn default() -> OutboxLimits {
        OutboxLimits {
            news_max: NEWS_MAX,
            bytes_max: BYTES_MAX,
        }
    }
}

/// A client's queue. One writer takes from it.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The client that takes from it.
    pub client: Client,
    limits: OutboxLimits,
    queue: Mutex<OutboxQueue>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct OutboxQueue {
    waiting: VecDeque<OutboxItem>,
    /// Of what waits, but for a single news that is longer than the room.
    bytes: usize,
    has_long: bool,
    closing: Option<ServerClose>,
}

impl Outbox {
    #[cfg(test)]
    pub fn new(limits: OutboxLimits) -> Outbox {
        Outbox {
            limits,
            ..Outbox::default()
        }
    }

    pub fn of(client: Client) -> Outbox {
        Outbox {
            client,
            ..Outbox::default()
        }
    }

    /// The subscription stands.
    pub fn begin(&self, subscription: SubscriptionId) {
        self.put(OutboxItem::Begun(subscription), 0);
    }

    /// Queues news, or finds that the client is slow.
    pub fn tell(&self, subscription: SubscriptionId, result: &Bytes) {
        let news = OutboxItem::News {
            subscription,
            result: result.clone(),
        };
        self.put(news, result.len());
    }

    fn put(&self, told: OutboxItem, bytes: usize) {
        let mut queue = self.queue.lock();
        if queue.closing.is_some() {
            return;
        }
        let is_long = bytes > self.limits.bytes_max;
        let has_room = match is_long {
            true => !queue.has_long,
            false => queue.bytes + bytes <= self.limits.bytes_max,
        };
        if has_room && queue.waiting.len() < self.limits.news_max {
            queue.waiting.push_back(told);
            queue.has_long |= is_long;
            queue.bytes += if is_long { 0 } else { bytes };
        } else {
            *queue = OutboxQueue {
                closing: Some(ServerClose::Slow),
                ..OutboxQueue::default()
            };
        }
        drop(queue);
        self.bell.notify_one();
    }

    /// What waits is still told, then that the socket closes. The first reason stands.
    pub fn close(&self, closing: ServerClose) {
        self.queue.lock().closing.get_or_insert(closing);
        self.bell.notify_one();
    }

    /// Whether its socket is about to close.
    #[cfg(test)]
    pub fn is_closing(&self) -> bool {
        self.queue.lock().closing.is_some()
    }

    /// The next thing to write; waits for it. May be dropped halfway: nothing is lost.
    pub async fn next(&self) -> OutboxItem {
        loop {
            if let Some(told) = self.take() {
                return told;
            }
            self.bell.notified().await;
        }
    }

    /// The next thing to write, if there is one now.
    pub fn take(&self) -> Option<OutboxItem> {
        let mut queue = self.queue.lock();
        let Some(told) = queue.waiting.pop_front() else {
            // Room for a burst is given back.
            queue.waiting.shrink_to(IDLE_ROOM);
            return queue.closing.clone().map(OutboxItem::Close);
        };
        match &told {
            OutboxItem::News { result, .. } if result.len() > self.limits.bytes_max => {
                queue.has_long = false;
            }
            OutboxItem::News { result, .. } => queue.bytes -= result.len(),
            OutboxItem::Begun(_) | OutboxItem::Close(_) => {}
        }
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow() -> [OutboxItem; 1] {
        [OutboxItem::Close(ServerClose::Slow)]
    }

    fn id(number: u64) -> SubscriptionId {
        SubscriptionId::read(&format!("0x{number:x}")).unwrap()
    }

    fn told(outbox: &Outbox) -> Vec<OutboxItem> {
        let mut told = Vec::new();
        while let Some(next) = outbox.take() {
            let is_last = matches!(next, OutboxItem::Close(_));
            told.push(next);
            if is_last {
                break;
            }
        }
        told
    }

    fn small() -> Outbox {
        Outbox::new(OutboxLimits {
            news_max: 3,
            bytes_max: 10,
        })
    }

    #[test]
    fn news_come_in_order_and_a_full_queue_tells_a_slow_client_to_go() {
        let news = Bytes::from_static(b"12345");
        let outbox = small();
        outbox.begin(id(1));
        outbox.tell(id(1), &news);
        outbox.tell(id(1), &news);
        assert_eq!(told(&outbox).len(), 3, "three news and ten bytes have room");
        for _ in 0..3 {
            outbox.tell(id(1), &Bytes::new());
        }
        assert!(!outbox.is_closing());
        outbox.tell(id(1), &Bytes::new());
        assert_eq!(told(&outbox), slow(), "news");
        let outbox = small();
        outbox.tell(id(1), &news);
        outbox.tell(id(1), &Bytes::from_static(b"123456"));
        outbox.tell(id(1), &Bytes::new());
        assert_eq!(told(&outbox), slow(), "bytes");
    }

    #[test]
    fn one_news_that_is_longer_than_the_room_waits_beside_what_has_room() {
        let (long, full) = (
            Bytes::from_static(b"12345678901"),
            Bytes::from_static(b"1234567890"),
        );
        for news in [[&full, &long], [&long, &full]] {
            let outbox = small();
            for news in news {
                outbox.tell(id(1), news);
            }
            assert!(!outbox.is_closing());
            outbox.tell(id(1), &Bytes::from_static(b"1"));
            assert_eq!(told(&outbox), slow(), "one past it");
        }
        let outbox = small();
        for _ in 0..2 {
            outbox.tell(id(1), &long);
            assert_eq!(told(&outbox).len(), 1);
        }
        outbox.tell(id(1), &long);
        outbox.tell(id(1), &long);
        assert_eq!(told(&outbox), slow(), "two of them");
    }

    #[test]
    fn what_waits_is_told_before_the_close_and_the_first_reason_stands() {
        let outbox = small();
        outbox.begin(id(7));
        outbox.close(ServerClose::Gap("lost"));
        outbox.close(ServerClose::Leaving);
        outbox.tell(id(7), &Bytes::new());
        let last = OutboxItem::Close(ServerClose::Gap("lost"));
        assert_eq!(told(&outbox), [OutboxItem::Begun(id(7)), last.clone()]);
        assert_eq!(told(&outbox), [last]);
    }

    #[tokio::test]
    async fn the_writer_is_woken() {
        let outbox = std::sync::Arc::new(small());
        let writer = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.next().await }
        });
        tokio::task::yield_now().await;
        outbox.begin(id(1));
        assert_eq!(writer.await.unwrap(), OutboxItem::Begun(id(1)));
    }
}

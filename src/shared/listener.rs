//! What a socket listens to: its subscriptions under our own ids, which stay for its life.
//!
//! The answer to `eth_subscribe` goes out before the first of the news, and none goes out after the
//! answer to `eth_unsubscribe`.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock;
use crate::observe::metrics::{ChainMetrics, GaugeGuard};
use crate::shared::admission::Admission;
use crate::shared::hub::Hub;
use crate::shared::outbox::Outbox;
use forebay_core::feed::subscription::{SubscriptionFailure, SubscriptionId, Topic};
use forebay_core::rpc::envelope::Call;
use forebay_core::rpc::refusal::Refusal;
use forebay_core::vocabulary::client::Client;

/// One client's subscriptions.
pub struct ClientSubscriptions {
    hub: Arc<Hub>,
    admission: Arc<Admission>,
    metrics: Arc<ChainMetrics>,
    pub outbox: Arc<Outbox>,
    subscriptions_max: usize,
    subscriptions: Mutex<HashMap<SubscriptionId, Subscription>>,
    /// Rung when an answer has gone out, or a subscription has ended.
    bell: Notify,
}

/// One subscription, wanted or held.
#[derive(Debug)]
struct Subscription {
    is_answered: bool,
    _counted: GaugeGuard,
}

/// One request's way to subscribe: what it asked for is answered when the request is.
pub struct SubscriptionBatch<'a> {
    pub listener: &'a ClientSubscriptions,
    fresh: Mutex<Vec<SubscriptionId>>,
}

impl ClientSubscriptions {
    pub fn new(
        hub: &Arc<Hub>,
        admission: &Arc<Admission>,
        metrics: &Arc<ChainMetrics>,
        (client, subscriptions_max): (Client, usize),
    ) -> ClientSubscriptions {
        ClientSubscriptions {
            hub: hub.clone(),
            admission: admission.clone(),
            metrics: metrics.clone(),
            outbox: Arc::new(Outbox::of(client)),
            subscriptions_max,
            subscriptions: Mutex::default(),
            bell: Notify::new(),
        }
    }

    /// For one request.
    pub fn subscriber(&self) -> SubscriptionBatch<'_> {
        SubscriptionBatch {
            listener: self,
            fresh: Mutex::default(),
        }
    }

    /// Whether the client has this subscription now.
    pub fn has(&self, id: SubscriptionId) -> bool {
        self.subscriptions.lock().contains_key(&id)
    }

    /// Waits until the client knows of a subscription, or has ended it.
    pub async fn answered(&self, id: SubscriptionId) {
        loop {
            let rung = self.bell.notified();
            let waits = |subscription: &Subscription| !subscription.is_answered;
            if !self.subscriptions.lock().get(&id).is_some_and(waits) {
                return;
            }
            rung.await;
        }
    }

    /// Ends the subscription that the params of `eth_unsubscribe` name.
    ///
    /// # Errors
    /// There is no such subscription, or the params name none.
    pub fn unsubscribe(&self, call: &Call<'_>) -> Result<(), Refusal> {
        let params: Vec<String> = serde_json::from_str(call.params())
            .map_err(|_| Refusal::InvalidParams("the param must be a subscription's id"))?;
        let [id] = &params[..] else {
            return Err(Refusal::InvalidParams("one param is wanted: the id"));
        };
        let id = SubscriptionId::read(id).ok_or(Refusal::SubscriptionNotFound)?;
        let was_there = self.hub.unsubscribe(id, &self.outbox);
        self.forget(id);
        was_there.then_some(()).ok_or(Refusal::SubscriptionNotFound)
    }

    /// Takes a place for one more.
    fn admit(&self, topic: &Topic) -> Result<SubscriptionId, Refusal> {
        if self.admission.ends_connections() {
            return Err(Refusal::Leaving);
        }
        let mut subscriptions = self.subscriptions.lock();
        if subscriptions.len() >= self.subscriptions_max {
            let subscriptions_max = self.subscriptions_max;
            return Err(Refusal::TooManySubscriptions { subscriptions_max });
        }
        let id = SubscriptionId::draw(&mut clock::roll);
        let subscription = Subscription {
            is_answered: false,
            _counted: self.metrics.begin_subscription(topic.kind()),
        };
        subscriptions.insert(id, subscription);
        Ok(id)
    }

    fn forget(&self, id: SubscriptionId) {
        self.subscriptions.lock().remove(&id);
        self.bell.notify_waiters();
    }
}

impl Drop for ClientSubscriptions {
    fn drop(&mut self) {
        self.hub.leave(&self.outbox);
    }
}

impl SubscriptionBatch<'_> {
    /// Carries `eth_subscribe` out.
    ///
    /// # Errors
    /// There is nothing to subscribe to.
    pub async fn subscribe(&self, call: &Call<'_>) -> Result<SubscriptionId, SubscriptionFailure> {
        let refused = SubscriptionFailure::Refused;
        if call.id.is_none() {
            // The client would never know the subscription's id.
            return Err(refused(Refusal::InvalidRequest(
                "a subscription needs an id",
            )));
        }
        let topic = Topic::read(call.params).map_err(refused)?;
        let listener = self.listener;
        let id = listener.admit(&topic).map_err(refused)?;
        let wanted = PendingSubscription {
            listener,
            id: Some(id),
        };
        listener.hub.subscribe(topic, id, &listener.outbox).await?;
        wanted.keep();
        self.fresh.lock().push(id);
        Ok(id)
    }

    /// The request's answer has gone out.
    pub fn are_answered(&self) {
        let fresh = std::mem::take(&mut *self.fresh.lock());
        if fresh.is_empty() {
            return;
        }
        let mut subscriptions = self.listener.subscriptions.lock();
        for id in fresh {
            if let Some(subscription) = subscriptions.get_mut(&id) {
                subscription.is_answered = true;
            }
        }
        drop(subscriptions);
        self.listener.bell.notify_waiters();
    }
}

/// A subscription that is asked for; forgotten when nothing comes of it.
struct PendingSubscription<'a> {
    listener: &'a ClientSubscriptions,
    id: Option<SubscriptionId>,
}

impl PendingSubscription<'_> {
    fn keep(mut self) {
        self.id = None;
    }
}

impl Drop for PendingSubscription<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.listener.forget(id);
        }
    }
}

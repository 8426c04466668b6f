//! The questions of one probe to its node, few at a time: each that is asked beside others takes a connection,
//! which then idles until the next round, and holds memory here and at the node.
//!
//! They take their slots in the order in which they come, so what matters most is asked first. One that hangs
//! keeps its slot until its time is over, and the others go on in the other.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::node::access::QueryClients;
use crate::node::rpc::{RpcFailure, RpcQuery, ask};
use forebay_core::vocabulary::node::NodeSpec;

/// As many as every probe has, its head and whether it syncs: only what is asked seldom waits.
pub(super) const QUESTIONS_AT_ONCE: usize = 2;

/// To one node.
pub(super) struct ProbeQuestions<'a> {
    query_clients: Arc<QueryClients>,
    node: &'a NodeSpec,
    slots: Semaphore,
}

/// Its holder may ask, one question after the other.
pub(super) struct QuestionSlot<'a> {
    questions: &'a ProbeQuestions<'a>,
    /// `None` never is: the slots don't end.
    _permit: Option<SemaphorePermit<'a>>,
}

impl<'a> ProbeQuestions<'a> {
    pub(super) fn new(query_clients: Arc<QueryClients>, node: &'a NodeSpec) -> ProbeQuestions<'a> {
        ProbeQuestions {
            query_clients,
            node,
            slots: Semaphore::new(QUESTIONS_AT_ONCE),
        }
    }

    pub(super) async fn slot(&'a self) -> QuestionSlot<'a> {
        QuestionSlot {
            questions: self,
            _permit: self.slots.acquire().await.ok(),
        }
    }

    /// Waits for a slot, and asks.
    pub(super) async fn ask<T>(&self, question: &RpcQuery<'_, T>) -> Result<T, RpcFailure> {
        self.slot().await.ask(question).await
    }
}

impl QuestionSlot<'_> {
    pub(super) async fn ask<T>(&self, question: &RpcQuery<'_, T>) -> Result<T, RpcFailure> {
        let answer = ask(&self.questions.query_clients, self.questions.node, question).await;
        // The connection is given back by a task of its own: unless that runs first, the next question
        // opens another.
        tokio::task::yield_now().await;
        answer
    }
}

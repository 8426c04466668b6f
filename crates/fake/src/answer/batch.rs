//! A batch, answered call by call or refused.

use crate::answer::{FakeCall, FakeOutcome, Responder};
use crate::behaviour::Fault;

impl Responder<'_> {
    pub(super) fn batch(&self, calls: &[FakeCall]) -> String {
        if calls.is_empty() {
            return self.envelope("null", FakeOutcome::error(-32600, "empty batch"));
        }
        if self.fault == Some(&Fault::ObjectForBatch) {
            return self.envelope("null", FakeOutcome::error(-32005, "batch refused"));
        }
        let mut items: Vec<String> = calls.iter().filter_map(|call| self.item(call)).collect();
        if items.is_empty() {
            return String::new();
        }
        match self.fault {
            Some(Fault::FirstForBatch) => {
                let id = calls.iter().find_map(|call| call.id);
                let refusal = FakeOutcome::error(-32600, "batch too large");
                items = vec![self.envelope(id.map_or("null", |id| id.get()), refusal)];
            }
            Some(Fault::AnswersTwice) => items.extend(items.first().cloned()),
            Some(Fault::AnswersTooFew) => drop(items.pop()),
            Some(_) | None => {}
        }
        if self.behaviour.shape.backwards {
            items.reverse();
        }
        format!("[{}]", items.join(","))
    }
}

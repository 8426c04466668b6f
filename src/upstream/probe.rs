//! stub
use crate::domain::{fleet::Probe, health::Reason, node::NodeSpec};
use std::time::Duration;
#[derive(Clone, Copy)]
pub struct Ask {
    pub chain_id: bool,
}
pub struct Probed {
    pub probe: Probe,
    pub took: Duration,
    pub why: Option<String>,
    pub failure: Option<Reason>,
}
impl Probed {
    pub fn knows_chain_id(&self) -> bool {
        matches!(
            self.probe,
            Probe::Answered {
                chain_id: Some(_),
                ..
            }
        )
    }
}
pub struct Prober;
impl Prober {
    pub fn new() -> anyhow::Result<Prober> {
        Ok(Prober)
    }
    pub async fn probe(&self, _s: &NodeSpec, _a: Ask, _t: Duration) -> Probed {
        Probed {
            probe: Probe::Failed,
            took: Duration::ZERO,
            why: None,
            failure: None,
        }
    }
}

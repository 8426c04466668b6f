//! What calls are held to, as the settings say it. It may change while calls are under way: each
//! keeps the one it began with.

use crate::config::settings::{NoneFitPolicy, Settings};
use forebay_core::call::cache::CacheRules;
use forebay_core::call::tag_pins;
use forebay_core::fleet::view::FleetView;
use forebay_core::method::block::TagPins;
use forebay_core::method::{CallTimeouts, LimitsByMethod, MethodRules};
use forebay_core::vocabulary::chain::BlockNumber;
use forebay_core::wire::cors::CorsPolicy;
use forebay_core::wire::forwarded::TrustedProxies;

/// What the settings say, and what is made of them beforehand.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The chain's own.
    pub settings: Settings,
    /// `calls.body_bytes_max`, where there is room for so many.
    pub body_bytes_max: usize,
    /// What holds for single methods rather than [`Policy::settings`].
    pub by_method: LimitsByMethod,
    pub rules: MethodRules,
    pub origins: CorsPolicy,
    /// The proxies whose word on a client's address is believed.
    pub proxies: TrustedProxies,
    /// By what answers are kept; `None`: none is.
    pub cache: Option<CacheRules>,
}

impl Policy {
    /// How long calls may take, as a rule.
    pub fn usual_times(&self) -> CallTimeouts {
        let calls = &self.settings.calls;
        CallTimeouts {
            deadline: calls.deadline,
            attempt: calls.attempt,
            heavy: calls.heavy,
        }
    }

    /// How long calls of `method` may take.
    pub fn times(&self, method: &str) -> CallTimeouts {
        let times = self.usual_times();
        let own = self.by_method.of(method);
        own.map_or(times, |own| own.times(times))
    }

    /// After how many times its node's slow time a read is asked of another, too; `None`: never.
    pub fn hedge(&self, method: &str) -> Option<f64> {
        let own = self.by_method.of(method).and_then(|own| own.hedge);
        own.unwrap_or(self.settings.calls.hedge)
    }

    /// Whether nodes that are not fit are asked when no other is left.
    pub fn fails_open(&self) -> bool {
        self.settings.calls.when_none_fit == NoneFitPolicy::FailOpen
    }

    /// What tags stand for, as of `view`, for a client that was told of block `floor`.
    pub fn pins(&self, view: &FleetView, floor: Option<BlockNumber>) -> TagPins {
        tag_pins::of(view, self.settings.consistency, floor)
    }
}

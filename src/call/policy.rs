//! What calls are held to, as the settings say it. It may change while calls are under way: each
//! keeps the one it began with.

use ipnet::IpNet;

use forebay_core::call::cache::CacheRules;
use forebay_core::call::tag_pins;
use forebay_core::fleet::view::FleetView;
use forebay_core::method::block::{Consistency, TagPins};
use forebay_core::method::{CallTimeouts, LimitsByMethod, MethodRules};
use forebay_core::vocabulary::chain::BlockNumber;
use forebay_core::wire::cors::CorsPolicy;
use forebay_core::wire::forwarded::TrustedProxies;

/// All of it.
#[derive(Clone, Debug)]
pub struct Policy {
    pub limits: Limits,
    /// What holds for single methods rather than [`Policy::limits`].
    pub by_method: LimitsByMethod,
    pub rules: MethodRules,
    pub origins: CorsPolicy,
    /// The proxies whose word on a client's address is believed.
    pub proxies: TrustedProxies,
    /// The networks whose calls are told what became of their attempts, where they ask.
    pub trail_for: Vec<IpNet>,
    /// By what answers are kept; `None`: none is.
    pub cache: Option<CacheRules>,
    /// Whether a client that wants a fresh answer gets one.
    pub heeds_no_cache: bool,
    /// The share of calls that get a line in the log; `None`: no call does.
    pub log_calls: Option<f64>,
}

/// The numbers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub times: CallTimeouts,
    pub attempts_max: u32,
    /// Nodes that a raw transaction is sent to at once.
    pub broadcast: usize,
    /// The share of calls that the leader is asked for although no node is known to have what they ask for.
    pub leader_share: f64,
    /// After how many times its node's slow time a read is asked of another, too; `None`: never.
    pub hedge: Option<f64>,
    pub body_bytes_max: usize,
    pub batch_calls_max: usize,
    pub answer_bytes_max: u64,
    /// Whether nodes that are not fit are asked when no other is left.
    pub fails_open: bool,
    pub consistency: Consistency,
}

impl Policy {
    /// How long calls of `method` may take.
    pub fn times(&self, method: &str) -> CallTimeouts {
        let times = self.limits.times;
        let own = self.by_method.of(method);
        own.map_or(times, |own| own.times(times))
    }

    /// See [`Limits::hedge`].
    pub fn hedge(&self, method: &str) -> Option<f64> {
        let own = self.by_method.of(method).and_then(|own| own.hedge);
        own.unwrap_or(self.limits.hedge)
    }

    /// What tags stand for, as of `view`, for a client that was told of block `floor`.
    pub fn pins(&self, view: &FleetView, floor: Option<BlockNumber>) -> TagPins {
        tag_pins::of(view, self.limits.consistency, floor)
    }
}

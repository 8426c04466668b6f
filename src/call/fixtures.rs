//! A chain's calls without nodes, for unit tests.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::call::context::CallState;
use crate::call::lookups::Lookups;
use crate::call::policy::Policy;
use crate::clock;
use crate::config::settings::{CallSettings, Consistency, Settings};
use crate::observe::metrics::ChainMetrics;
use crate::shared::fleet_state::FleetState;
use crate::shared::sockets::{SocketCounter, SocketLimits};
use forebay_core::call::retry_budget::{BudgetRates, RetryBudget};
use forebay_core::fleet::HealthCriteria;
use forebay_core::fleet::tracker::Fleet;
use forebay_core::method::{LimitsByMethod, MethodRules};
use forebay_core::testing;
use forebay_core::vocabulary::chain::ChainName;
use forebay_core::wire::cors::CorsPolicy;
use forebay_core::wire::forwarded::TrustedProxies;

pub const BODY_BYTES_MAX: usize = 64 << 10;

/// A chain of this name, with little time and no node.
pub fn state_of(name: &ChainName) -> Arc<CallState> {
    state_with(
        name,
        SocketLimits {
            sockets_max: 1,
            sockets_max_per_address: 1,
            each: Settings::default().sockets,
        },
    )
}

/// The same, whose sockets are held to these limits.
pub fn state_with(name: &ChainName, limits: SocketLimits) -> Arc<CallState> {
    let second = Duration::from_secs(1);
    let fleet = Fleet::new(HealthCriteria {
        block_time: second,
        ..testing::quick_criteria()
    });
    let mut settings = Settings {
        consistency: Consistency::None,
        ..Settings::default()
    };
    settings.calls = CallSettings {
        deadline: second,
        attempt: second,
        heavy: second,
        attempts_max: 1,
        broadcast: 1,
        answer_bytes_max: 1 << 20,
        ..settings.calls
    };
    let policy = Policy {
        origins: CorsPolicy::new(vec!["*".to_string()]),
        proxies: TrustedProxies::new(vec![]),
        cache: None,
        by_method: LimitsByMethod::default(),
        rules: MethodRules::new(vec![], vec![], vec![]),
        settings,
        body_bytes_max: BODY_BYTES_MAX,
    };
    let rates = BudgetRates {
        per_call: 0.0,
        per_second: 0.0,
        burst: 0.0,
    };
    let fleet = Arc::new(FleetState::new(fleet).called(name));
    let (admission, recent_writes, background_sends) =
        (Arc::default(), Arc::default(), Arc::default());
    Arc::new(CallState {
        lookups: Arc::new(Lookups::new(
            &fleet,
            &admission,
            &background_sends,
            &recent_writes,
        )),
        fleet,
        policy: ArcSwap::from_pointee(policy),
        budget: RetryBudget::new(rates, clock::now()),
        metrics: ChainMetrics::alone(),
        admission,
        singleflight: Default::default(),
        cache: None,
        recent_writes,
        background_sends,
        disputes: Default::default(),
        searched: Default::default(),
        leader_share: Default::default(),
        hub: Arc::default(),
        sockets: Arc::new(SocketCounter::new(limits)),
    })
}

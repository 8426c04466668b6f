//! What the settings mean for each room: one function for each, at the start and whenever the
//! configuration is read again.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use crate::admin::AdminAuth;
use crate::call::policy::Policy;
use crate::config::settings::Settings;
use crate::observe::metrics::ProcessBounds;
use crate::shared::answer_cache::{AnswerCache, AnswerStore};
use crate::shared::sockets::SocketLimits;
use crate::shared::stored_answers::StoredAnswers;
use forebay_core::call::cache::CacheSecret;
use forebay_core::method::{LimitsByMethod, MethodRules};
use forebay_core::vocabulary::caps::Caps;
use forebay_core::wire::cors::CorsPolicy;
use forebay_core::wire::forwarded::TrustedProxies;

/// What calls are held to.
pub(super) fn policy(settings: &Settings, caps: &Caps, cache: Option<&AnswerCache>) -> Policy {
    let methods = settings.methods.clone();
    Policy {
        settings: settings.clone(),
        body_bytes_max: settings.calls.body_bytes_max.min(caps.body_max()),
        by_method: LimitsByMethod::new(
            (settings.calls.by_method.iter()).map(|(name, limits)| (name.clone(), *limits)),
        ),
        rules: MethodRules::new(methods.allow, methods.deny, methods.heavy)
            .with_reads(methods.reads),
        origins: CorsPolicy::new(settings.cors.origins.clone())
            .with_headers(&settings.cors.headers),
        proxies: TrustedProxies::new(settings.listen.trusted_proxies.clone()),
        cache: cache.map(|cache| cache.rules(&settings.cache.never)),
    }
}

/// What this machine is called.
pub(super) static MACHINE: LazyLock<String> = LazyLock::new(|| {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "a machine without a name".to_string(),
        name => name.to_string(),
    }
});

/// Which clients may use the admin listener.
pub(super) fn admin_auth(settings: &Settings) -> AdminAuth {
    let admin = &settings.admin;
    AdminAuth::new(admin.token.as_ref(), admin.hosts.clone())
}

/// What clients' sockets are held to.
pub(super) fn socket_limits(settings: &Settings, caps: &Caps) -> SocketLimits {
    SocketLimits {
        sockets_max: settings.sockets.sockets_max.min(caps.sockets),
        sockets_max_per_address: settings.sockets_max_per_address(caps.sockets),
        each: settings.sockets.clone(),
    }
}

/// What alerts on the process compare with.
pub(super) fn process_bounds(settings: &Settings, caps: &Caps) -> ProcessBounds {
    ProcessBounds {
        requests_max: caps.requests,
        request_bytes_max: caps.bodies,
        answer_bytes_max: caps.answers,
        sockets_max: settings.sockets.sockets_max,
    }
}

/// Where answers are kept, if any are.
pub(super) fn cache(caps: &Caps) -> Option<Arc<AnswerStore>> {
    (caps.cache > 0).then(|| Arc::new(AnswerStore::new(caps.cache)))
}

/// A chain's part of it. `stored`: what it shares with other balancers.
pub(super) fn chain_cache(
    store: Option<&Arc<AnswerStore>>,
    stored: Option<Arc<StoredAnswers>>,
) -> Option<Arc<AnswerCache>> {
    let random = RandomState::new();
    let secret = CacheSecret::new([0_u8, 1, 2, 3].map(|part| random.hash_one(part)));
    let seeds = (secret, random.hash_one(4_u8));
    Some(Arc::new(AnswerCache::of(store?.clone(), seeds, stored)))
}

//! What a configuration that was read again changes: what of it holds from now on, and what waits
//! for a restart.
//!
//! The part that can hold does, whatever else has changed: an operator who tightens a limit in an
//! emergency must not be told to restart first because of another line. What waits keeps its
//! former value, so that what is in force is always one whole of settings that fit together.
//!
//! Each group is taken apart field by field: a new setting doesn't compile until it is said here
//! what becomes of it.

use std::collections::BTreeSet;

use pingora::server::configuration::ServerConf;
use serde_json::{Map, Value as Json};

use super::registry::ROUNDS_A_LEASE;
use super::settings::{RegistryKind, Settings};
use crate::config::settings::{
    AdminSettings, CallSettings, ChainSettings, CloudWatchSettings, CorsSettings, HealthSettings,
    LimitSettings, ListenSettings, LogSettings, MethodSettings, OtlpSettings, RegistrySettings,
    ShutdownSettings, SocketSettings,
};

/// The difference between the settings in force and others.
#[derive(Clone, Debug)]
pub struct SettingsChange {
    /// The keys whose new values hold from now on.
    pub applied: Vec<String>,
    /// The keys that keep their former values until a restart.
    pub waiting: Vec<String>,
    /// What is in force from now on.
    pub settings: Settings,
}

/// Compares `wanted` with `running`, what is in force.
pub fn weigh(running: &Settings, wanted: Settings) -> SettingsChange {
    let mut scale = ChangeClassifier::default();
    let mut settings = wanted;
    scale.all(running, &mut settings);
    SettingsChange {
        applied: scale.applied,
        waiting: scale.waiting,
        settings,
    }
}

/// Pingora's own keys with their values. It reads them once.
#[derive(Clone, Debug)]
pub struct ServerKeys(Map<String, Json>);

impl ServerKeys {
    pub fn of(conf: &ServerConf) -> ServerKeys {
        match serde_json::to_value(conf) {
            Ok(Json::Object(members)) => ServerKeys(members),
            Ok(_) | Err(_) => ServerKeys(Map::new()),
        }
    }

    /// The keys that have other values in `other`.
    pub fn differences(&self, other: &ServerKeys) -> Vec<String> {
        let keys: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let differs = |key: &&&String| self.0.get(**key) != other.0.get(**key);
        keys.iter()
            .filter(differs)
            .map(ToString::to_string)
            .collect()
    }
}

#[derive(Default)]
struct ChangeClassifier {
    applied: Vec<String>,
    waiting: Vec<String>,
}

impl ChangeClassifier {
    /// Holds from now on.
    fn applies<T: PartialEq>(&mut self, key: &str, running: &T, wanted: &T) {
        if running != wanted {
            self.applied.push(format!("forebay.{key}"));
        }
    }

    /// Waits for a restart: what is in force stays so.
    fn waits<T: PartialEq + Clone>(&mut self, key: &str, running: &T, wanted: &mut T) {
        if running != wanted {
            self.waiting.push(format!("forebay.{key}"));
            wanted.clone_from(running);
        }
    }

    fn all(&mut self, running: &Settings, wanted: &mut Settings) {
        let Settings {
            chain,
            listen,
            registry,
            nodes,
            health,
            calls,
            consistency,
            methods,
            admin,
            cors,
            cloudwatch,
            log,
            sockets,
            otlp,
            shutdown,
            limits,
        } = wanted;
        self.chain(&running.chain, chain);
        self.listen(&running.listen, listen);
        self.registry(&running.registry, registry);
        self.applies("nodes", &running.nodes, nodes);
        self.health(&running.health, health, registry);
        self.calls(&running.calls, calls);
        self.applies("consistency", &running.consistency, consistency);
        self.methods(&running.methods, methods);
        self.admin(&running.admin, admin, listen);
        let CorsSettings { origins, headers } = cors;
        self.applies("cors.origins", &running.cors.origins, origins);
        self.applies("cors.headers", &running.cors.headers, headers);
        self.cloudwatch(running.cloudwatch.as_ref(), cloudwatch.as_ref());
        let LogSettings { calls } = log;
        self.applies("log.calls", &running.log.calls, calls);
        self.sockets(&running.sockets, sockets);
        self.otlp(running.otlp.as_ref(), otlp);
        self.shutdown(&running.shutdown, shutdown);
        let LimitSettings { memory } = limits;
        self.waits("limits.memory", &running.limits.memory, memory);
    }

    /// Open sockets keep what they began with.
    fn sockets(&mut self, running: &SocketSettings, wanted: &SocketSettings) {
        let SocketSettings {
            sockets_max,
            per_address_max,
            subscriptions_max,
            messages_per_second,
            ping_interval,
        } = wanted;
        self.applies("sockets.sockets_max", &running.sockets_max, sockets_max);
        let key = "sockets.per_address_max";
        self.applies(key, &running.per_address_max, per_address_max);
        let key = "sockets.subscriptions_max";
        self.applies(key, &running.subscriptions_max, subscriptions_max);
        let key = "sockets.messages_per_second";
        self.applies(key, &running.messages_per_second, messages_per_second);
        let key = "sockets.ping_interval";
        self.applies(key, &running.ping_interval, ping_interval);
    }

    fn chain(&mut self, running: &ChainSettings, wanted: &mut ChainSettings) {
        let ChainSettings { id, block_time } = wanted;
        // All that is known of heads is known of this chain.
        self.waits("chain.id", &running.id, id);
        self.applies("chain.block_time", &running.block_time, block_time);
    }

    fn listen(&mut self, running: &ListenSettings, wanted: &mut ListenSettings) {
        let ListenSettings {
            http,
            https,
            metrics,
            admin,
            trusted_proxies,
            compression,
            trail_for,
        } = wanted;
        self.waits("listen.http", &running.http, http);
        self.waits("listen.https", &running.https, https);
        self.waits("listen.metrics", &running.metrics, metrics);
        self.waits("listen.admin", &running.admin, admin);
        self.waits("listen.compression", &running.compression, compression);
        let proxies = (&running.trusted_proxies, trusted_proxies);
        self.applies("listen.trusted_proxies", proxies.0, proxies.1);
        self.applies("listen.trail_for", &running.trail_for, trail_for);
    }

    fn registry(&mut self, running: &RegistrySettings, wanted: &mut RegistrySettings) {
        let RegistrySettings {
            kind,
            path,
            table,
            endpoint,
            lease,
            share_leader,
            refresh,
            last_list,
        } = wanted;
        self.waits("registry.kind", &running.kind, kind);
        self.waits("registry.path", &running.path, path);
        self.waits("registry.table", &running.table, table);
        self.waits("registry.endpoint", &running.endpoint, endpoint);
        match kind {
            RegistryKind::Dynamo => self.waits("registry.lease", &running.lease, lease),
            // It has none; left out, it follows `health.interval`.
            RegistryKind::Embedded => {}
        }
        self.waits("registry.share_leader", &running.share_leader, share_leader);
        self.applies("registry.refresh", &running.refresh, refresh);
        self.waits("registry.last_list", &running.last_list, last_list);
    }

    fn health(
        &mut self,
        running: &HealthSettings,
        wanted: &mut HealthSettings,
        registry: &RegistrySettings,
    ) {
        let has_lease = registry.kind == RegistryKind::Dynamo;
        let is_too_slow = has_lease && registry.lease < wanted.interval * ROUNDS_A_LEASE;
        let HealthSettings {
            interval,
            leader_interval,
            timeout,
            lag_blocks_max,
            rise,
            fall,
            heeds_syncing,
            sockets,
        } = wanted;
        self.applies("health.sockets", &running.sockets, sockets);
        let times = [
            ("health.interval", running.interval, interval),
            (
                "health.leader_interval",
                running.leader_interval,
                leader_interval,
            ),
            ("health.timeout", running.timeout, timeout),
        ];
        for (key, running, wanted) in times {
            // The three only fit together, and the lease that is in force must fit them.
            if is_too_slow {
                self.waits(key, &running, wanted);
            } else {
                self.applies(key, &running, wanted);
            }
        }
        self.applies(
            "health.lag_blocks_max",
            &running.lag_blocks_max,
            lag_blocks_max,
        );
        self.applies("health.rise", &running.rise, rise);
        self.applies("health.fall", &running.fall, fall);
        let (before, after) = (&running.heeds_syncing, heeds_syncing);
        self.applies("health.syncing", before, after);
    }

    fn calls(&mut self, running: &CallSettings, wanted: &CallSettings) {
        let CallSettings {
            deadline,
            attempt,
            heavy,
            retry_budget,
            hedge,
            queue,
            broadcast,
            leader_share,
            attempts_max,
            body_bytes_max,
            batch_calls_max,
            answer_bytes_max,
            when_none_fit,
        } = wanted;
        self.applies("calls.deadline", &running.deadline, deadline);
        self.applies("calls.attempt", &running.attempt, attempt);
        self.applies("calls.heavy", &running.heavy, heavy);
        self.applies("calls.retry_budget", &running.retry_budget, retry_budget);
        self.applies("calls.hedge", &running.hedge, hedge);
        self.applies("calls.queue", &running.queue, queue);
        self.applies("calls.broadcast", &running.broadcast, broadcast);
        self.applies("calls.leader_share", &running.leader_share, leader_share);
        self.applies("calls.attempts_max", &running.attempts_max, attempts_max);
        let (before, after) = (&running.body_bytes_max, body_bytes_max);
        self.applies("calls.body_bytes_max", before, after);
        let (before, after) = (&running.batch_calls_max, batch_calls_max);
        self.applies("calls.batch_calls_max", before, after);
        let (before, after) = (&running.answer_bytes_max, answer_bytes_max);
        self.applies("calls.answer_bytes_max", before, after);
        self.applies("calls.when_none_fit", &running.when_none_fit, when_none_fit);
    }

    fn methods(&mut self, running: &MethodSettings, wanted: &MethodSettings) {
        let MethodSettings {
            allow,
            deny,
            heavy,
            reads,
        } = wanted;
        self.applies("methods.allow", &running.allow, allow);
        self.applies("methods.deny", &running.deny, deny);
        self.applies("methods.heavy", &running.heavy, heavy);
        self.applies("methods.reads", &running.reads, reads);
    }

    /// `listen`: what is in force.
    fn admin(
        &mut self,
        running: &AdminSettings,
        wanted: &mut AdminSettings,
        listen: &ListenSettings,
    ) {
        let AdminSettings { token, hosts } = wanted;
        // The file may take the token away because it moves the listener to loopback, too: that
        // waits, and until then everybody could change the nodes.
        if token.is_none() && listen.is_admin_exposed() {
            self.waits("admin.token", &running.token, token);
        } else {
            self.applies("admin.token", &running.token, token);
        }
        self.applies("admin.hosts", &running.hosts, hosts);
    }

    fn cloudwatch(
        &mut self,
        running: Option<&CloudWatchSettings>,
        wanted: Option<&CloudWatchSettings>,
    ) {
        let (Some(running), Some(wanted)) = (running, wanted) else {
            self.applies("cloudwatch", &running, &wanted);
            return;
        };
        let CloudWatchSettings {
            namespace,
            service,
            interval,
        } = wanted;
        self.applies("cloudwatch.namespace", &running.namespace, namespace);
        self.applies("cloudwatch.service", &running.service, service);
        self.applies("cloudwatch.interval", &running.interval, interval);
    }

    fn otlp(&mut self, running: Option<&OtlpSettings>, wanted: &mut Option<OtlpSettings>) {
        let (Some(running), Some(wanted)) = (running, &mut *wanted) else {
            self.waits("otlp", &running.cloned(), wanted);
            return;
        };
        let OtlpSettings {
            endpoint,
            headers,
            service,
            share,
        } = wanted;
        self.waits("otlp.endpoint", &running.endpoint, endpoint);
        self.waits("otlp.headers", &running.headers, headers);
        self.waits("otlp.service", &running.service, service);
        self.applies("otlp.share", &running.share, share);
    }

    fn shutdown(&mut self, running: &ShutdownSettings, wanted: &ShutdownSettings) {
        let ShutdownSettings { lame_duck, drain } = wanted;
        self.applies("shutdown.lame_duck", &running.lame_duck, lame_duck);
        self.applies("shutdown.drain", &running.drain, drain);
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;

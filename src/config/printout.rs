//! The whole configuration as it is taken, defaults and all, for `forebay check --print`. Secrets are
//! hidden: all that stands behind the host of a URL, tokens, and the values of headers.
//!
//! Each group is taken apart field by field: a new setting doesn't compile until it is said here how it is
//! shown.

use std::path::Path;
use std::time::Duration;

use pingora::server::configuration::ServerConf;
use serde_json::{Map, Value as Json, json};

use super::finding::Findings;
use super::quantity::{duration_text, size_text};
use super::settings::{Consistency, RegistryKind, Settings};
use super::{server, yaml};
use crate::config::settings::{
    AdminSettings, CallSettings, ChainSettings, CloudWatchSettings, CorsSettings, HealthSettings,
    HttpsListener, LimitSettings, ListenSettings, LogSettings, MethodSettings, NoneFitPolicy,
    OtlpSettings, RegistrySettings, RetryBudgetSettings, ShutdownSettings, SocketSettings,
};
use crate::config::yaml_writer;
use forebay_core::call::broadcast::NODES_MAX;
use forebay_core::vocabulary::node::{NodeRecord, Role};

/// In place of what isn't shown.
const HIDDEN: &str = "(hidden)";

/// The file's keys with their values, as they would be written.
pub(super) fn tree(settings: &Settings, pingora: &ServerConf) -> Json {
    let mut all = pingoras(pingora);
    all.insert(server::FOREBAY.to_string(), ours(settings));
    Json::Object(all)
}

/// The same as text.
pub fn text(settings: &Settings, pingora: &ServerConf) -> String {
    let mut text = String::new();
    yaml_writer::write(&tree(settings, pingora), 0, &mut text);
    text
}

fn pingoras(pingora: &ServerConf) -> Map<String, Json> {
    let findings = Findings::default();
    match yaml::parse(&pingora.to_yaml(), &findings).map(|root| server::plain(&root)) {
        Some(Json::Object(entries)) => entries,
        Some(_) | None => Map::new(),
    }
}

fn ours(settings: &Settings) -> Json {
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
    } = settings;
    let ChainSettings { id, block_time } = chain;
    let MethodSettings {
        allow,
        deny,
        heavy,
        reads,
    } = methods;
    let AdminSettings { token, hosts } = admin;
    let CorsSettings { origins, headers } = cors;
    let LogSettings { calls: logged } = log;
    let ShutdownSettings { lame_duck, drain } = shutdown;
    let LimitSettings { memory } = limits;
    json!({
        "chain": { "id": id, "block_time": time(*block_time) },
        "listen": listeners(listen),
        "registry": registry_of(registry),
        "nodes": nodes.iter().map(node).collect::<Vec<_>>(),
        "health": health_of(health),
        "calls": calls_of(calls),
        "consistency": match consistency {
            Consistency::Monotonic => "monotonic",
            Consistency::None => "none",
        },
        "methods": { "allow": allow, "deny": deny, "heavy": heavy, "reads": reads },
        "admin": { "token": token.as_ref().map(|_| HIDDEN), "hosts": hosts },
        "cors": { "origins": origins, "headers": headers },
        "cloudwatch": cloudwatch.as_ref().map(cloudwatch_of),
        "log": { "calls": logged.map_or(json!("off"), Json::from) },
        "sockets": sockets_of(sockets),
        "otlp": otlp.as_ref().map(otlp_of),
        "shutdown": { "lame_duck": time(*lame_duck), "drain": time(*drain) },
        "limits": { "memory": memory.map(size_text) },
    })
}

fn time(duration: Duration) -> String {
    duration_text(duration)
}

fn listeners(listen: &ListenSettings) -> Json {
    let ListenSettings {
        http,
        https,
        metrics,
        admin,
        trusted_proxies,
        trail_for,
        compression,
    } = listen;
    let or_off = |address: &Option<std::net::SocketAddr>| {
        address.map_or("off".to_string(), |address| address.to_string())
    };
    let https = https.iter().map(|https| {
        let HttpsListener {
            address,
            certificate,
            key,
            h2,
        } = https;
        json!({ "address": address.to_string(), "certificate": shown_path(certificate), "key": shown_path(key), "h2": h2 })
    });
    json!({
        "http": http.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "https": https.collect::<Vec<_>>(),
        "metrics": or_off(metrics),
        "admin": or_off(admin),
        "trusted_proxies": trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "trail_for": trail_for.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "compression": on_off(*compression),
    })
}

/// A folder's name may be no text.
fn shown_path(path: &Path) -> String {
    path.display().to_string()
}

fn on_off(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

fn registry_of(registry: &RegistrySettings) -> Json {
    let RegistrySettings {
        kind,
        path,
        table,
        endpoint,
        lease,
        share_leader,
        refresh,
        last_list,
    } = registry;
    json!({
        "kind": match kind {
            RegistryKind::Embedded => "embedded",
            RegistryKind::Dynamo => "dynamodb",
        },
        "path": shown_path(path),
        "table": table,
        "endpoint": endpoint,
        "lease": time(*lease),
        "share_leader": share_leader,
        "refresh": time(*refresh),
        "last_list": shown_path(last_list),
    })
}

/// URLs stand with their variables, which say nothing; but a key may be written out.
fn node(record: &NodeRecord) -> Json {
    let NodeRecord {
        url,
        ws_url,
        name,
        weight,
        rung,
        in_flight_max,
        headers,
    } = record;
    let headers = headers.keys().map(|name| (name.clone(), json!(HIDDEN)));
    json!({
        "url": shown_url(url),
        "ws_url": ws_url.as_deref().map(shown_url),
        "name": name,
        "weight": weight.get(),
        "leader": *rung == Role::Leader,
        "fallback": *rung == Role::Fallback,
        "in_flight_max": in_flight_max,
        "headers": headers.collect::<Map<_, _>>(),
    })
}

/// What stands before the path; a variable for all of it is shown as that.
fn shown_url(written: &str) -> String {
    let is_variable = written.starts_with("${") && written.find('}') == Some(written.len() - 1);
    match is_variable && !has_default(written) {
        true => written.to_string(),
        false => before_path(written),
    }
}

/// Of a variable: it may be a key as well.
fn has_default(written: &str) -> bool {
    written.contains(":-")
}

fn before_path(written: &str) -> String {
    let Some((scheme, rest)) = written.split_once("://") else {
        return HIDDEN.to_string();
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_plain = scheme.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_plain || host.contains('@') || has_default(host) {
        return HIDDEN.to_string();
    }
    let rest = if matches!(&rest[host.len()..], "" | "/") {
        ""
    } else {
        "/…"
    };
    format!("{scheme}://{host}{rest}")
}

fn health_of(health: &HealthSettings) -> Json {
    let HealthSettings {
        interval,
        leader_interval,
        timeout,
        lag_blocks_max,
        rise,
        fall,
        heeds_syncing,
        sockets,
    } = health;
    json!({
        "interval": time(*interval),
        "leader_interval": time(*leader_interval),
        "timeout": time(*timeout),
        "lag_blocks_max": lag_blocks_max,
        "rise": rise,
        "fall": fall,
        "syncing": if *heeds_syncing { "heed" } else { "ignore" },
        "sockets": sockets,
    })
}

fn calls_of(calls: &CallSettings) -> Json {
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
    } = calls;
    let RetryBudgetSettings {
        per_call,
        per_second,
        burst,
    } = retry_budget;
    let body_bytes_max = u64::try_from(*body_bytes_max).unwrap_or(u64::MAX);
    json!({
        "deadline": time(*deadline),
        "attempt": time(*attempt),
        "heavy": time(*heavy),
        "retry_budget": { "per_call": per_call, "per_second": per_second, "burst": burst },
        "hedge": hedge.map_or(json!("off"), Json::from),
        "queue": time(*queue),
        "broadcast": if *broadcast == NODES_MAX { json!("all") } else { json!(broadcast) },
        "leader_share": leader_share,
        "attempts_max": attempts_max,
        "body_bytes_max": size_text(body_bytes_max),
        "batch_calls_max": batch_calls_max,
        "answer_bytes_max": size_text(*answer_bytes_max),
        "when_none_fit": match when_none_fit {
            NoneFitPolicy::FailOpen => "fail_open",
            NoneFitPolicy::Refuse => "refuse",
        },
    })
}

fn cloudwatch_of(cloudwatch: &CloudWatchSettings) -> Json {
    let CloudWatchSettings {
        namespace,
        service,
        interval,
    } = cloudwatch;
    json!({ "namespace": namespace, "service": service, "interval": time(*interval) })
}

fn sockets_of(sockets: &SocketSettings) -> Json {
    let SocketSettings {
        sockets_max,
        per_address_max,
        subscriptions_max,
        messages_per_second,
        ping_interval,
    } = sockets;
    json!({
        "sockets_max": sockets_max,
        "per_address_max": per_address_max,
        "subscriptions_max": subscriptions_max,
        "messages_per_second": messages_per_second,
        "ping_interval": time(*ping_interval),
    })
}

fn otlp_of(otlp: &OtlpSettings) -> Json {
    let OtlpSettings {
        endpoint,
        headers,
        service,
        share,
    } = otlp;
    let headers = headers
        .iter()
        .map(|(name, _)| (name.clone(), json!(HIDDEN)));
    json!({
        "endpoint": before_path(endpoint.reveal()),
        "headers": headers.collect::<Map<_, _>>(),
        "service": service,
        "share": share,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read;
    use crate::config::tests::{FULL, reading};

    #[test]
    fn what_is_printed_can_be_read_again_and_means_the_same() {
        for text in ["", FULL] {
            let first = reading(text);
            let (settings, pingora) = (first.settings.unwrap(), first.pingora.unwrap());
            let printed = super::text(&settings, &pingora);
            let again = read(&printed, &|name| (name != "NUMBER").then(|| "x".repeat(20)));
            let Some(again) = again.settings else {
                panic!("{:#?}\n{printed}", again.findings);
            };
            let bare = |settings: &Settings| {
                let mut settings = settings.clone();
                settings.nodes.clear();
                settings.admin.token = None;
                settings.otlp = None;
                format!("{settings:#?}")
            };
            assert_eq!(bare(&again), bare(&settings));
            assert_eq!(again.nodes.len(), settings.nodes.len());
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let text = "
version: 1
threads: 1
forebay:
  nodes:
    - { url: \"https://a.example/v3/s3cret\", leader: true, headers: { x-key: s3cret } }
    - { url: \"https://b.example?key=s3cret\", ws_url: \"wss://b.example/s3cret\" }
    - { url: \"${KEY_URL}\", name: c }
    - { url: \"${KEY_URL_2:-http://d.example/s3cret}\", name: d }
    - { url: \"http://${HOST}/s3cret\", name: e }
  admin: { token: s3crets3crets3cret }
";
        let reading = read(text, &|name| match name {
            "KEY_URL" => Some("http://c.example/s3cret".to_string()),
            "HOST" => Some("e.example".to_string()),
            _ => None,
        });
        let settings = reading
            .settings
            .unwrap_or_else(|| panic!("{:#?}", reading.findings));
        let printed = super::text(&settings, &reading.pingora.unwrap());
        assert!(!printed.contains("s3cret"), "{printed}");
        for shown in [
            "https://a.example/…",
            "wss://b.example/…",
            "${KEY_URL}",
            "x-key",
        ] {
            assert!(printed.contains(shown), "{shown}: {printed}");
        }
    }
}

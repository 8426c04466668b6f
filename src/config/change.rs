//! What a configuration that was read again changes: what of it holds from now on, and what waits
//! for a restart.
//!
//! The part that can hold does, whatever else has changed: an operator who tightens a limit in an
//! emergency must not be told to restart first because of another line. What waits keeps its
//! former value, so that what is in force is always one whole of settings that fit together.

use std::collections::BTreeSet;

use pingora::server::configuration::ServerConf;
use serde_json::{Map, Value as Json};

use super::chain_change;
use super::setting::Fate;
use super::settings::{Settings, table};

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
    let mut change = SettingsChange {
        applied: Vec::new(),
        waiting: Vec::new(),
        settings: wanted.clone(),
    };
    for setting in table() {
        if !setting.value.differs(running, &wanted) {
            continue;
        }
        let told = match setting.when.fate(running, &wanted) {
            Fate::Untold => continue,
            Fate::Applies => &mut change.applied,
            Fate::Waits => {
                setting.value.keep(running, &mut change.settings);
                &mut change.waiting
            }
        };
        let key = setting.told_key();
        if told.last() != Some(&key) {
            told.push(key);
        }
    }
    let told = [&change.applied[..], &change.waiting].concat();
    let chains = chain_change::weigh(running, &mut change.settings, &told);
    change.applied.extend(chains.applied);
    change.waiting.extend(chains.waiting);
    change
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

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;

//! The whole configuration as it is taken, defaults and all, for `forebay check --print`. Secrets are
//! hidden: all that stands behind the host of a URL, tokens, and the values of headers.

use pingora::server::configuration::ServerConf;
use serde_json::{Map, Value as Json};

use super::finding::Findings;
use super::settings::{Settings, table};
use super::{chain_printout, server, yaml, yaml_writer};

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
    let mut tree = Json::Object(Map::new());
    for setting in table() {
        if let Some(value) = setting.value.shown(settings) {
            *setting
                .key
                .split('.')
                .fold(&mut tree, |at, key| &mut at[key]) = value;
        }
    }
    chain_printout::of_all(tree, settings)
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

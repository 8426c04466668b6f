//! Who serves though the registry has lost them: the running balancer knows, where one is reached.

use std::time::Duration;

use super::health::reachable;
use crate::config::settings::Settings;
use crate::registry::item_json::ItemJson;

const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the balancer at the configuration's own admin listener; where none answers there is none.
pub async fn ask(settings: &Settings) -> Vec<ItemJson> {
    let answered = answer(settings).await.unwrap_or_default();
    answered
        .into_iter()
        .filter(|item| item.is_leftover)
        .collect()
}

async fn answer(settings: &Settings) -> Option<Vec<ItemJson>> {
    let address = reachable(settings.listen.admin?);
    crate::node::install_tls();
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .ok()?;
    // Its URLs are of use to somebody who may read the registry; without a token they stay hidden.
    let token = settings.admin.token.as_ref();
    let reveal = if token.is_some() { "?reveal=true" } else { "" };
    let mut request = client.get(format!("http://{address}/backends{reveal}"));
    if let Some(token) = token {
        request = request.bearer_auth(token.reveal());
    }
    let answer = request.send().await.ok()?;
    let body = answer.bytes().await.ok()?;
    serde_json::from_slice(&body).ok()
}

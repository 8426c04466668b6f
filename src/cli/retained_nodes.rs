//! Nodes that serve though the registry has lost them: the running balancer knows, where one is reached.

use std::time::Duration;

use super::health::{client, reachable};
use crate::config::settings::Settings;
use crate::registry::item_json::ItemJson;
use forebay_core::vocabulary::chain::ChainName;

const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the balancer at the configuration's own admin listener for those of `chain` (`None`: of the default
/// one); where none answers there is none.
pub(super) async fn ask(settings: &Settings, chain: Option<&ChainName>) -> Vec<ItemJson> {
    let answered = answer(settings, chain).await.unwrap_or_default();
    answered
        .into_iter()
        .filter(|item| item.is_leftover)
        .collect()
}

async fn answer(settings: &Settings, chain: Option<&ChainName>) -> Option<Vec<ItemJson>> {
    let address = reachable(settings.listen.admin?);
    let client = client(PATIENCE).build().ok()?;
    // Its URLs are of use to a user who may read the registry; without a token they stay hidden.
    let token = settings.admin.token.as_ref();
    let reveal = token.map(|_| "reveal=true".to_string());
    let chain = chain.map(|chain| format!("chain={chain}"));
    let query = reveal
        .into_iter()
        .chain(chain)
        .collect::<Vec<_>>()
        .join("&");
    let mut request = client.get(format!("http://{address}/backends?{query}"));
    if let Some(token) = token {
        request = request.bearer_auth(token.reveal());
    }
    let answer = request.send().await.ok()?;
    let body = answer.bytes().await.ok()?;
    serde_json::from_slice(&body).ok()
}

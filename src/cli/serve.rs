//! `forebay serve`: the balancer, in the foreground.

use std::path::Path;

use super::Failure;
use crate::app::{App, Source};

pub fn run(path: &Path, is_upgrade: bool) -> Result<(), Failure> {
    let (settings, conf, bytes) = super::configuration(path)?;
    let source = Source::new(path, bytes, &conf);
    let addresses: Vec<_> = settings
        .listen
        .http
        .iter()
        .map(|address| format!("http://{address}"))
        .chain(
            settings
                .listen
                .https
                .iter()
                .map(|https| format!("https://{}", https.address)),
        )
        .collect();
    let (metrics, admin) = (settings.listen.metrics, settings.listen.admin);
    let app = App::new(settings, conf, Some(source), is_upgrade)
        .map_err(|why| Failure::out_of_reach(format!("{why:#}")))?;
    log::info!(
        "forebay {} listens on {}",
        env!("CARGO_PKG_VERSION"),
        addresses.join(", ")
    );
    if let Some(metrics) = metrics {
        log::info!("metrics are at http://{metrics}/metrics");
    }
    if let Some(admin) = admin {
        log::info!("the status page and the admin API are at http://{admin}/");
    }
    app.run();
    Ok(())
}

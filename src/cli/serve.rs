//! `forebay serve`: the balancer, in the foreground.

use std::path::Path;

use super::Failure;
use crate::app::{App, Source};

pub fn run(path: &Path, is_upgrade: bool) -> Result<(), Failure> {
    let (settings, conf, bytes) = super::configuration(path)?;
    let unfit = super::certificate_findings(&bytes, &settings);
    if !unfit.is_empty() {
        super::tell(path, &unfit);
        return Err(Failure::refused("the configuration has mistakes"));
    }
    let source = Source::new(path, bytes, &conf);
    let app = App::new(settings, conf, Some(source), is_upgrade)
        .map_err(|why| Failure::out_of_reach(format!("{why:#}")))?;
    app.run();
    Ok(())
}

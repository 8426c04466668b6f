//! `forebay serve`: the balancer, in the foreground.

use std::path::Path;

use super::Failure;
use crate::app::{App, Source};

pub fn run(path: &Path, is_upgrade: bool) -> Result<(), Failure> {
    let (settings, conf, bytes) = super::configuration(path)?;
    super::refuse_unfit(path, &bytes, &settings)?;
    let source = Source::new(path, bytes, &conf);
    let app = App::new(settings, conf, Some(source), is_upgrade)
        .map_err(|why| Failure::out_of_reach(format!("{why:#}")))?;
    app.run();
    Ok(())
}

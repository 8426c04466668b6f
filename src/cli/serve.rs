//! `forebay serve`: the balancer, in the foreground.

use std::path::Path;

use crate::app::{App, ConfigFile};
use crate::cli::error::CommandError;

pub fn run(path: &Path, is_upgrade: bool) -> Result<(), CommandError> {
    let (settings, conf, bytes) = super::setup::configuration(path)?;
    super::setup::refuse_unfit(path, &bytes, &settings)?;
    let source = ConfigFile::new(path, bytes, &conf);
    let app = App::new(settings, conf, Some(source), is_upgrade)
        .map_err(|why| CommandError::out_of_reach(format!("{why:#}")))?;
    app.run();
    Ok(())
}

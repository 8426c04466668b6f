//! stub
use crate::{config::settings::Settings, domain::node::NodeSpec};
pub async fn run(
    _n: &[NodeSpec],
    _r: &[String],
    _s: &Settings,
    _j: bool,
    _o: &mut dyn std::io::Write,
) -> std::io::Result<()> {
    Ok(())
}

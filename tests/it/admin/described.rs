//! The API held to its own description, by a tester that makes its requests from it.

use std::process::Command;

use super::{SECRET, TOKEN, scene};
use crate::support;

/// Requests of one kind for each operation.
const EXAMPLES_MAX: &str = "15";

#[tokio::test]
async fn the_api_keeps_to_its_description() {
    let scene = scene(&[1, 1]).await;
    let program = support::in_repository(".parts/venv/bin/schemathesis");
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = Command::new(program);
    command
        .current_dir(folder.path())
        .arg("run")
        .arg(format!(
            "http://{}/openapi.json",
            scene.balancer.admin.address
        ))
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        // What is a URL is more than a pattern says, so that fitting data may be refused.
        .args([
            "--checks",
            "all",
            "--exclude-checks",
            "positive_data_acceptance",
        ])
        .args(["--max-examples", EXAMPLES_MAX, "--seed", "1", "--no-color"])
        .args(["--generation-deterministic", "--request-timeout", "20"]);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{complaints}");
    assert!(printed.contains("Tested: 11"), "{printed}");
    for text in [
        scene.balancer.process.printed(),
        scene.balancer.metrics().await,
    ] {
        assert!(!text.contains(SECRET) && !text.contains(TOKEN), "{text}");
    }
}

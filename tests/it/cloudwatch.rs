//! What CloudWatch reads on the running balancer's standard output.

use serde_json::Value;

use crate::support::{Pretend, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_tells_of_its_fleet_once_a_minute_and_of_no_secret() {
    let more = "  cloudwatch: { service: forebay-test }\n";
    let scene = Pretend::set(&[1, 1], more).await;
    let told = || told(&scene.balancer.process.printed());
    soon("the fleet and two nodes are told of", async || {
        told().len() >= 3
    })
    .await;
    let lines = told();
    assert_eq!(lines.len(), 3, "once a minute: {lines:?}");
    assert_eq!(lines[0]["FallbackInUse"], 0);
    assert!(lines[0]["HealthyNodes"].is_number());
    for (line, name) in lines[1..].iter().zip(["a", "b"]) {
        assert_eq!(line["Service"], "forebay-test");
        assert_eq!(line["Node"], name);
        assert_eq!(line["BlockNumber"], 100);
        assert_eq!(line["DifferenceToLeader"], 0);
        assert!(line["ProbeTime"].as_f64() > Some(0.0), "{line}");
    }
    scene.keeps_its_secrets().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_that_was_not_asked_tells_cloudwatch_nothing() {
    let scene = Pretend::set(&[1], "").await;
    scene.is_well().await;
    assert!(told(&scene.balancer.process.printed()).is_empty());
}

/// The lines in the Embedded Metric Format.
fn told(printed: &str) -> Vec<Value> {
    let lines = printed
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let of_metrics = lines.filter(|line: &Value| line.get("_aws").is_some());
    of_metrics.collect()
}

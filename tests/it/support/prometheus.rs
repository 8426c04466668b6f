//! A real Prometheus that scrapes one balancer, several times a second, and heeds our rules.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, Process, Rpc, free_port, http, in_repository, part, soon};

/// A running server; killed on drop.
pub struct Prometheus {
    rpc: Rpc,
    process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes `metrics` as the job `forebay`; it is ready when this returns.
    pub async fn start(metrics: SocketAddr) -> Prometheus {
        let folder = TempDir::new().unwrap();
        let rules = in_repository("dashboards/prometheus/rules.yml");
        let configuration = folder.path().join("prometheus.yml");
        let yaml = format!(
            "global: {{ scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 500ms }}\n\
             rule_files: [\"{}\"]\n\
             scrape_configs:\n  - job_name: forebay\n    static_configs: [{{ targets: [\"{metrics}\"] }}]\n",
            rules.display()
        );
        fs::write(&configuration, yaml).unwrap();
        let rpc = Rpc::on_port(free_port());
        let mut command = Command::new(part("prometheus"));
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={}", rpc.address));
        let mut prometheus = Prometheus {
            rpc,
            process: Process::start("prometheus", command, folder.path()),
            _folder: folder,
        };
        soon("prometheus is ready", async || {
            assert!(prometheus.process.is_running(), "prometheus has ended");
            let ready = http::get(rpc.address, "/-/ready", PATIENCE).await;
            ready.is_ok_and(|ready| ready.status == 200)
        })
        .await;
        prometheus
    }

    /// The values of what `expression` finds now; panics when it is no PromQL.
    pub async fn query(&self, expression: &str) -> Vec<f64> {
        let encoded: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let data = self.api(&format!("query?query={encoded}")).await;
        let samples = data["result"].as_array().cloned().unwrap_or_default();
        let value = |sample: &Value| sample["value"][1].as_str()?.parse().ok();
        samples.iter().filter_map(value).collect()
    }

    /// All names of series that it has seen.
    pub async fn names(&self) -> Vec<String> {
        let data = self.api("label/__name__/values").await;
        serde_json::from_value(data).unwrap()
    }

    /// All rules, each as the server tells of it.
    pub async fn rules(&self) -> Vec<Value> {
        let data = self.api("rules").await;
        let groups = data["groups"].as_array().cloned().unwrap_or_default();
        let rules = |group: &Value| group["rules"].as_array().cloned().unwrap_or_default();
        groups.iter().flat_map(rules).collect()
    }

    async fn api(&self, path: &str) -> Value {
        let answer = http::get(self.rpc.address, &format!("/api/v1/{path}"), PATIENCE).await;
        let mut answer = answer.unwrap_or_else(|why| panic!("{path}: {why}")).json();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }
}

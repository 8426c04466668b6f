//! The built binary, serving.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::http::{self, Answer};
use super::{PATIENCE, Process, Rpc, free_port, soon};

/// A running `forebay serve`; killed on drop.
#[derive(Debug)]
pub struct Balancer {
    /// The endpoint for clients.
    pub rpc: Rpc,
    pub metrics: Rpc,
    pub admin: Rpc,
    pub process: Process,
    configuration: PathBuf,
    folder: TempDir,
}

impl Balancer {
    /// Serves with the configuration `yaml` and the variables `env`, and waits until `GET /health`
    /// is 200. In `yaml`, `@HTTP@`, `@METRICS@` and `@ADMIN@` become addresses on free ports, and
    /// `@FOLDER@` a folder that lives as long as the balancer.
    pub async fn start(yaml: &str, env: &[(&str, &str)]) -> Balancer {
        let mut balancer = Balancer::start_unready(yaml, env).await;
        balancer.until("the balancer is ready", Some(200)).await;
        balancer
    }

    /// As [`Balancer::start`], with this beginning of the configuration and one node.
    pub async fn before(beginning: &str, name: &str, url: &str) -> Balancer {
        let node = format!("  nodes:\n    - {{ url: \"{url}\", name: {name} }}\n");
        Balancer::start(&format!("{beginning}{node}"), &[]).await
    }

    /// As [`Balancer::start`], but waits only until `GET /health` is answered at all.
    pub async fn start_unready(yaml: &str, env: &[(&str, &str)]) -> Balancer {
        let folder = TempDir::new().unwrap();
        let [rpc, metrics, admin] = [0; 3].map(|_| Rpc::on_port(free_port()));
        let yaml = yaml
            .replace("@HTTP@", &rpc.address.to_string())
            .replace("@METRICS@", &metrics.address.to_string())
            .replace("@ADMIN@", &admin.address.to_string())
            .replace("@FOLDER@", folder.path().to_str().unwrap());
        let configuration = folder.path().join("pingora.yaml");
        fs::write(&configuration, yaml).unwrap();
        let mut command = forebay(&["serve"], &configuration, folder.path());
        command.envs(env.iter().copied());
        let mut balancer = Balancer {
            rpc,
            metrics,
            admin,
            process: Process::start("forebay", command, folder.path()),
            configuration,
            folder,
        };
        balancer.until("the balancer answers", None).await;
        balancer
    }

    async fn until(&mut self, what: &str, status: Option<u16>) {
        let address = self.rpc.address;
        soon(what, async || {
            assert!(self.process.is_running(), "forebay has ended");
            let health = http::get(address, "/health", Duration::from_secs(2)).await;
            health.is_ok_and(|health| status.is_none_or(|status| health.status == status))
        })
        .await;
    }

    /// Serves again with the same configuration, once the process has ended.
    pub async fn start_again(&mut self) {
        let command = self.command(&["serve"]);
        self.process = Process::start("forebay", command, self.folder.path());
        self.until("the balancer is ready again", Some(200)).await;
    }

    /// Starts a new process that takes the sockets over, and tells the present one to hand them
    /// over. The old process, which ends by itself, is returned.
    pub fn upgrade(&mut self) -> Process {
        let command = self.command(&["serve", "--upgrade"]);
        let new = Process::start("forebay", command, self.folder.path());
        let old = std::mem::replace(&mut self.process, new);
        old.signal(Signal::QUIT);
        old
    }

    /// Takes the node of this name out of the configuration, where it is a line.
    pub fn takes_out(&self, node: &str) {
        let text = fs::read_to_string(&self.configuration).unwrap();
        let is_other = |line: &&str| {
            let named = [format!("name: {node} "), format!("name: {node},")];
            !named.iter().any(|named| line.contains(named))
        };
        let others: String = text
            .lines()
            .filter(is_other)
            .flat_map(|line| [line, "\n"])
            .collect();
        assert_ne!(others, text, "no such node");
        fs::write(&self.configuration, others).unwrap();
    }

    pub fn url(&self) -> String {
        self.rpc.url()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The binary with other arguments and this balancer's configuration: `["backends", "list"]`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        forebay(arguments, &self.configuration, self.folder.path())
    }

    /// What such a command says on both streams; it does what it is told.
    #[track_caller]
    pub fn obeys(&self, arguments: &[&str]) -> String {
        self.ends(arguments, 0)
    }

    /// The same, where it ends with this code.
    #[track_caller]
    pub fn ends(&self, arguments: &[&str], code: i32) -> String {
        let (said, ended) = said(&mut self.command(arguments));
        assert_eq!(ended, Some(code), "{arguments:?}: {said}");
        said
    }

    /// Waits until the log has these words.
    pub async fn logs(&self, words: &str) {
        soon(words, async || self.process.printed().contains(words)).await;
    }

    /// What the endpoint answers to a GET.
    pub async fn get(&self, path: &str) -> Answer {
        let answer = http::get(self.rpc.address, path, PATIENCE).await;
        answer.unwrap_or_else(|why| panic!("{path}: {why}"))
    }

    /// What the endpoint answers to a JSON body.
    pub async fn post(&self, body: &str) -> Answer {
        self.post_with("/", &[], body).await
    }

    /// As [`Balancer::post`], at `path` and with more headers.
    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = [&[("content-type", "application/json")], headers].concat();
        let answer = http::post_with(self.rpc.address, path, &headers, body, PATIENCE).await;
        answer.unwrap_or_else(|why| panic!("{path}: {body}: {why}"))
    }

    /// The JSON answer to one call.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.rpc.ask(method, params, PATIENCE).await;
        answer.unwrap_or_else(|why| panic!("{method}: {why}"))
    }

    /// All metrics, as Prometheus reads them.
    pub async fn metrics(&self) -> String {
        let answer = http::get(self.metrics.address, "/metrics", PATIENCE).await;
        answer
            .unwrap_or_else(|why| panic!("no metrics: {why}"))
            .text()
    }

    /// The sum over the series of this name that have these labels; `None` if there is none.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        sum(&self.metrics().await, name, labels)
    }

    /// Waits for so many rounds of a node from now on.
    pub async fn rounds_pass(&self, node: &str, rounds: u32) {
        let labels = [("node", node)];
        let probes = async || {
            let name = "forebay_probe_duration_seconds_count";
            self.metric(name, &labels).await.unwrap_or(0.0)
        };
        let wanted = probes().await + f64::from(rounds);
        soon("rounds pass", async || probes().await >= wanted).await;
    }

    /// Waits until a node is healthy (1) or not (0).
    pub async fn node_becomes(&self, node: &str, healthy: f64) {
        self.becomes("forebay_node_healthy", &[("node", node)], healthy)
            .await;
    }

    /// Waits until this metric is `wanted`.
    pub async fn becomes(&self, name: &str, labels: &[(&str, &str)], wanted: f64) {
        let what = format!("{name} is {wanted} ({labels:?})");
        soon(&what, async || {
            self.metric(name, labels).await == Some(wanted)
        })
        .await;
    }
}

/// What `command` says on both streams, and its exit code.
pub fn said(command: &mut Command) -> (String, Option<i32>) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.code())
}

/// `FOREBAY` names another build, or what starts it.
fn forebay(arguments: &[&str], configuration: &Path, folder: &Path) -> Command {
    let program = std::env::var_os("FOREBAY");
    let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_forebay").into());
    let mut command = Command::new(program);
    command.args(arguments).arg("-c").arg(configuration);
    command.current_dir(folder);
    command
}

/// The sum of the samples `name{…}` whose labels hold all of `labels`.
pub fn sum(exposition: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let wanted: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}=\"{value}\""))
        .collect();
    let values = exposition.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, rest) = series.split_once('{').unwrap_or((series, ""));
        // `,` before each, so that `node="a"` isn't found in `other_node="a"`.
        let rest = format!(",{rest}");
        let fits = wanted.iter().all(|pair| rest.contains(&format!(",{pair}")));
        if found == name && fits {
            value.parse::<f64>().ok()
        } else {
            None
        }
    });
    values.reduce(|sum, value| sum + value)
}

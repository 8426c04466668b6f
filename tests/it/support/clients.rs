//! Real clients: each script in `tests/clients/` does what a user of that library does.

use std::process::Command;

use super::{Anvil, Balancer, QUICK, in_repository};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Viem,
    /// On several chains: what follows the URL are their names.
    ViemOnSeveral,
    Ethers,
    Web3Py,
    Cast,
    /// Over a socket, as what follows.
    ViemSocket,
    EthersSocket,
    Web3JsSocket,
    Web3PySocket,
    ChromiumSocket,
}

impl Client {
    /// Balance, deployment, call, transaction and receipt, batch, all against `url`; panics with
    /// what the client printed when anything went wrong.
    pub async fn works_with(self, url: &str) {
        self.works_with_all(&[url]).await;
    }

    /// As [`Client::works_with`], against several at once.
    pub async fn works_with_all(self, urls: &[&str]) {
        let mut command = self.command();
        command.args(urls);
        // On a thread of its own, so that servers inside the test go on.
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        let fine = output.status.success() && printed.lines().last() == Some("ok");
        assert!(fine, "{self:?} with {urls:?}: {printed}{complaints}");
    }

    /// As [`Client::works_with`], through a balancer before two URLs of one mining node: state is one
    /// whichever is asked, and to us there are two nodes. Both of them serve.
    pub async fn works_through_us(self, scheme: &str) -> (Anvil, Balancer) {
        let anvil = Anvil::start(&["--chain-id", "1"]).await;
        let url = anvil.url();
        let yaml = format!(
            "{QUICK}  nodes:\n    - {{ url: \"{url}/?one\", name: one }}\n    - {{ url: \"{url}/?two\", name: two }}\n"
        );
        let balancer = Balancer::start(&yaml, &[]).await;
        self.works_with(&balancer.url().replace("http", scheme))
            .await;
        for node in [("node", "one"), ("node", "two")] {
            let served = balancer.metric("forebay_attempts_total", &[node]).await;
            assert!(served > Some(0.0), "{node:?} served too");
        }
        (anvil, balancer)
    }

    fn command(self) -> Command {
        let script = |name: &str| in_repository("tests/clients").join(name);
        let run = |program: &str, name: &str| {
            let mut command = Command::new(program);
            command.arg(script(name));
            command
        };
        let python = in_repository(".parts/venv/bin/python");
        match self {
            Client::Viem => run("node", "viem.mjs"),
            Client::ViemOnSeveral => run("node", "several_chains.mjs"),
            Client::Ethers => run("node", "ethers.mjs"),
            Client::Web3Py => run(&python.to_string_lossy(), "web3_py.py"),
            Client::Cast => run("bash", "cast.sh"),
            Client::ViemSocket => run("node", "sockets/viem.mjs"),
            Client::EthersSocket => run("node", "sockets/ethers.mjs"),
            Client::Web3JsSocket => run("node", "sockets/web3_js.mjs"),
            Client::ChromiumSocket => run("node", "sockets/chromium.mjs"),
            Client::Web3PySocket => run(&python.to_string_lossy(), "sockets/web3_py.py"),
        }
    }
}

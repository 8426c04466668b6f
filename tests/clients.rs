//! Real clients, through the balancer: what works against a node works here.

mod support;

use support::{Anvil, Balancer, Client, QUICK};

/// Two URLs of one mining node, so that state is one whichever is asked, and two nodes to us.
async fn works(client: Client) {
    let anvil = Anvil::start(&["--chain-id", "1"]).await;
    let url = anvil.url();
    let yaml = format!(
        "{QUICK}  nodes:\n    - {{ url: \"{url}/?one\", name: one }}\n    - {{ url: \"{url}/?two\", name: two }}\n"
    );
    let balancer = Balancer::start(&yaml, &[]).await;
    client.works_with(&balancer.url()).await;
    for node in ["one", "two"] {
        let served = balancer
            .metric("forebay_attempts_total", &[("node", node)])
            .await;
        assert!(served > Some(0.0), "{node} served too");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viem_works() {
    works(Client::Viem).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ethers_works() {
    works(Client::Ethers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web3_py_works() {
    works(Client::Web3Py).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cast_works() {
    works(Client::Cast).await;
}

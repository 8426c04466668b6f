//! Real nodes of five chains behind one balancer, and a real client with five definitions of chains.

use std::fs;

use serde_json::json;

use crate::support::{Anvil, Balancer, Client, Heard, Listener, PATIENCE, soon};

const CHAINS: [(&str, u64); 5] = [
    ("ethereum", 1),
    ("base", 8453),
    ("optimism", 10),
    ("gnosis", 100),
    ("sepolia", 11_155_111),
];
const BEGINNING: &str = "\
version: 1
threads: 2
forebay:
  listen: { http: [\"@HTTP@\"], metrics: \"@METRICS@\" }
  registry: { path: \"@FOLDER@/forebay.db\", refresh: 300ms, last_list: \"@FOLDER@/last-list.json\" }
  health: { interval: 400ms, timeout: 350ms }
  shutdown: { lame_duck: 300ms, drain: 5s }
  chains:
";

fn line(name: &str, id: u64, anvil: &Anvil) -> String {
    let url = anvil.url();
    format!("    {name}: {{ id: {id}, block_time: 1s, nodes: [{{ url: \"{url}\", name: a }}] }}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viem_works_on_five_chains_at_once_and_goes_on_when_others_die_and_go() {
    let mut anvils = Vec::new();
    let mut yaml = BEGINNING.to_string();
    for (name, id) in CHAINS {
        let anvil = Anvil::start(&["--chain-id", &id.to_string()]).await;
        yaml += &line(name, id, &anvil);
        anvils.push(anvil);
    }
    let balancer = Balancer::start(&yaml, &[]).await;
    let (url, address) = (balancer.url(), balancer.rpc.address);
    let names: Vec<&str> = CHAINS.iter().map(|(name, _)| *name).collect();
    let all = [&[url.as_str()], &names[..]].concat();
    Client::ViemOnSeveral.works_with_all(&all).await;

    let mut listeners = Vec::new();
    for (name, _) in CHAINS {
        let mut listener = Listener::open_at(address, &format!("/{name}")).await;
        let id = listener.subscribe(json!(["newHeads"])).await;
        listeners.push((listener, id));
    }
    // One chain's only node dies, and one chain goes.
    anvils[3].process.kill();
    let file = balancer.folder().join("pingora.yaml");
    let before = fs::read_to_string(&file).unwrap();
    let others = before.lines().filter(|line| !line.contains("sepolia:"));
    fs::write(&file, others.collect::<Vec<_>>().join("\n")).unwrap();
    soon("sepolia is gone and gnosis down", async || {
        let sepolia = balancer.get("/sepolia/health").await;
        let gnosis = balancer.get("/gnosis/health").await;
        sepolia.status == 404 && gnosis.text().contains("degraded")
    })
    .await;
    for ((listener, id), anvil) in listeners.iter_mut().zip(&anvils).take(3) {
        anvil.mine(1).await;
        let told = listener.next_within(PATIENCE).await;
        assert!(
            matches!(&told, Some(Heard::News(of, _)) if of == id),
            "{told:?}"
        );
    }
    let closed = listeners[4].0.next_within(PATIENCE).await;
    assert!(matches!(closed, Some(Heard::Closed(1012, _))), "{closed:?}");
    let three = [&[url.as_str()], &names[..3]].concat();
    Client::ViemOnSeveral.works_with_all(&three).await;
    assert_eq!(balancer.get("/health").await.status, 200);
}

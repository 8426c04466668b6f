//! Health on real nodes: which node is fit, why, and when that changes.

use std::time::Duration;

use crate::support::{Balancer, Geth, Pretend, QUICK, Scene, eventually, soon};
use serde_json::json;

async fn reason(scene: &Scene, node: &str) -> String {
    let metrics = scene.balancer.metrics().await;
    let is_shown = |line: &&str| {
        line.starts_with("forebay_node_state{")
            && line.contains(&format!("node=\"{node}\""))
            && line.ends_with(" 1")
    };
    metrics
        .lines()
        .find(is_shown)
        .unwrap_or_default()
        .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_blocks_behind_stays_eleven_leaves_and_catching_up_returns() {
    let scene = Scene::set(&[1, 1], "").await;
    scene.mine_everywhere(20).await;
    scene.leader.mine(10).await;
    scene.own[0].mine(10).await;
    let b = [("node", "b")];
    scene
        .balancer
        .becomes("forebay_node_lag_blocks", &b, 10.0)
        .await;
    scene.rounds_pass(4).await;
    let healthy = scene.balancer.metric("forebay_node_healthy", &b).await;
    assert_eq!(healthy, Some(1.0));
    scene.leader.mine(1).await;
    scene.own[0].mine(1).await;
    let mined_at = forebay::clock::now();
    scene.becomes("b", 0.0).await;
    println!("left {:?} after the eleventh block", mined_at.elapsed());
    assert!(reason(&scene, "b").await.contains("reason=\"lagging\""));
    scene.own[1].mine(11).await;
    scene.becomes("b", 1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_chain_never_serves_not_even_when_it_is_alone() {
    let mut scene = Scene::set(&[1, 1], "").await;
    scene.own[1].set_chain_id(5).await;
    // Its id is asked again every few minutes; a new balancer asks at once.
    scene.own[0].process.kill();
    scene.leader.process.kill();
    let balancer = Balancer::before(
        &QUICK.replace("chain: {", "chain: { id: 1, "),
        "stranger",
        &scene.own[1].url(),
    )
    .await;
    let answer = balancer
        .post(r#"{"jsonrpc":"2.0","id":1,"method":"eth_gasPrice"}"#)
        .await;
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].as_i64()),
        (503, Some(-32011))
    );
    assert!(balancer.metrics().await.contains("reason=\"wrong_chain\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_behind_fail_open_to_the_freshest_or_refuse_as_configured() {
    for (more, status) in [("", 200), ("  calls: { when_none_fit: refuse }\n", 503)] {
        let mut scene = Scene::set(&[1, 1], more).await;
        scene.mine_everywhere(5).await;
        scene.rounds_pass(2).await;
        scene.leader.mine(8).await;
        scene.rounds_pass(6).await;
        scene.leader.mine(8).await;
        scene.own[1].mine(1).await;
        scene.becomes("a", 0.0).await;
        scene.becomes("b", 0.0).await;
        scene.leader.process.kill();
        scene.becomes("leader", 0.0).await;
        let answer = scene
            .balancer
            .post(r#"{"jsonrpc":"2.0","id":1,"method":"eth_gasPrice"}"#)
            .await;
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 200 {
            assert_eq!(answer.node(), "b", "the freshest");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_geth_is_probed_and_serves() {
    let geth = Geth::start(1).await;
    let balancer = Balancer::before(QUICK, "geth", &geth.url()).await;
    let served = balancer.ask("eth_gasPrice", json!([])).await;
    assert!(served["result"].is_string(), "{served}");
    assert_eq!(
        balancer.ask("eth_chainId", json!([])).await["result"],
        "0x539"
    );
    eventually(
        "its blocks are followed",
        Duration::from_secs(20),
        async || {
            balancer
                .metric("forebay_node_block_number", &[("node", "geth")])
                .await
                > Some(2.0)
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_on_a_fork_leaves_and_one_that_met_a_short_reorg_stays() {
    let mut scene = Scene::set(&[1, 1], "").await;
    scene.mine_everywhere(20).await;
    let forks = async || scene.balancer.metric("forebay_forks", &[]).await;
    soon("all agree", async || forks().await == Some(1.0)).await;
    scene.own[1].reorganise(1).await;
    scene.rounds_pass(8).await;
    assert_eq!(forks().await, Some(1.0));
    let b = [("node", "b")];
    let healthy = scene.balancer.metric("forebay_node_healthy", &b).await;
    assert_eq!(healthy, Some(1.0));
    scene.own[1].reorganise(10).await;
    let forked_at = forebay::clock::now();
    scene.becomes("b", 0.0).await;
    println!("left {:?} after the fork", forked_at.elapsed());
    assert!(reason(&scene, "b").await.contains("reason=\"forked\""));
    assert_eq!(forks().await, Some(2.0));
    // Its chain anew, with the blocks of the others.
    scene.own[1].restart().await;
    scene.own[1].tick_evenly().await;
    scene.own[1].mine(20).await;
    scene.becomes("b", 1.0).await;
    assert_eq!(forks().await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_served_head_goes_back_where_all_nodes_lost_blocks_and_not_for_one() {
    let scene = Scene::set(&[1, 1], "").await;
    let served = async || {
        let answer = scene.balancer.ask("eth_blockNumber", json!([])).await;
        answer["result"].as_str().map(str::to_string)
    };
    scene.mine_everywhere(20).await;
    let is = |number: &'static str| Some(number.to_string());
    soon("20 is served", async || served().await == is("0x14")).await;
    scene.own[1].roll_back(3).await;
    scene.rounds_pass(8).await;
    assert_eq!(served().await, is("0x14"));
    scene.leader.roll_back(3).await;
    scene.own[0].roll_back(3).await;
    soon("17 is served", async || served().await == is("0x11")).await;
    for node in ["a", "b", "leader"] {
        scene.becomes(node, 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_back_a_real_geths_state_goes_is_found_out() {
    let geth = Geth::start(0).await;
    geth.grow_to(300).await;
    let balancer = Balancer::before(QUICK, "geth", &geth.url()).await;
    let head = geth.rpc.number("eth_blockNumber").await;
    let oldest = async |what: &str| {
        let name = format!("forebay_node_oldest_{what}_number");
        balancer.metric(&name, &[("node", "geth")]).await
    };
    // It keeps 128 blocks' state, and is taken for a few less.
    let (first, last) = ((head - 127) as f64, (head - 112) as f64);
    soon("its state is sounded", async || {
        let found = oldest("state_block").await;
        found.is_some_and(|found| found >= first && found <= last)
    })
    .await;
    soon("its blocks are sounded", async || {
        oldest("block").await == Some(0.0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_learns_to_say_what_it_has_is_asked_again() {
    let pretend = Pretend::set(&[1], "").await;
    let node = &pretend.nodes[0];
    soon("it is asked", async || {
        node.calls_of("eth_capabilities") > 0
    })
    .await;
    node.change(|behaviour| {
        behaviour.tells_capabilities = true;
        behaviour.state_blocks = Some(10);
    });
    let name = "forebay_node_oldest_state_block_number";
    pretend.becomes("a", name, &[], 91.0).await;
    pretend.chain.advance(5);
    pretend.becomes("a", name, &[], 96.0).await;
}

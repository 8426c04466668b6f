//! The parts of a test's scene do what they promise: real nodes, pretend nodes, clients.

use std::time::Duration;

use forebay_fake::FakeChain;
use serde_json::json;

use crate::support::{
    Answer, Anvil, Client, Geth, Rpc, eventually, free_port, part, pretend_node, soon, sum,
};

const SOON: Duration = Duration::from_millis(500);

#[tokio::test]
async fn anvil_mines_rolls_back_reorganises_and_changes_its_chain_id() {
    let anvil = Anvil::start(&["--chain-id", "1"]).await;
    anvil.mine(20).await;
    assert_eq!(anvil.head().await, 20);
    anvil.roll_back(5).await;
    assert_eq!(anvil.head().await, 15);

    let hash = async || {
        let block = anvil
            .rpc
            .call("eth_getBlockByNumber", json!(["latest", false]));
        block.await["hash"].clone()
    };
    let before = hash().await;
    anvil.reorganise(1).await;
    assert_eq!(anvil.head().await, 15);
    assert_ne!(hash().await, before);

    anvil.set_chain_id(5).await;
    assert_eq!(anvil.rpc.number("eth_chainId").await, 5);
}

#[tokio::test]
async fn a_paused_anvil_takes_connections_and_says_nothing_until_it_is_resumed() {
    let anvil = Anvil::start(&[]).await;
    anvil.process.pause();
    let silence = anvil.rpc.ask("eth_chainId", json!([]), SOON).await;
    assert_eq!(silence.unwrap_err(), "no answer within 500ms");
    anvil.process.resume();
    assert_eq!(anvil.rpc.number("eth_chainId").await, 31_337);
}

#[tokio::test]
async fn a_killed_anvil_is_gone_and_comes_back_on_its_port() {
    let mut anvil = Anvil::start(&[]).await;
    let port = anvil.port();
    anvil.mine(3).await;
    anvil.process.kill();
    assert!(anvil.rpc.ask("eth_chainId", json!([]), SOON).await.is_err());
    anvil.restart().await;
    assert_eq!((anvil.head().await, anvil.port()), (0, port));
}

#[tokio::test]
async fn geth_answers_on_its_own_chain_and_grows() {
    let geth = Geth::start(1).await;
    assert_eq!(geth.rpc.call("net_version", json!([])).await, "1337");
    soon("geth has made two blocks", async || {
        geth.rpc.number("eth_blockNumber").await >= 2
    })
    .await;
}

#[tokio::test]
async fn a_pretend_node_and_anvil_write_blocks_with_the_same_members() {
    let anvil = Anvil::start(&["--chain-id", "1"]).await;
    let chain = FakeChain::still(1, 100);
    let fake = pretend_node(&chain).await;
    let latest = json!(["latest", false]);
    let real = anvil.rpc.call("eth_getBlockByNumber", latest.clone()).await;
    let pretended = Rpc::on_port(fake.port())
        .call("eth_getBlockByNumber", latest)
        .await;
    for member in pretended.as_object().expect("a block").keys() {
        assert!(real.get(member).is_some(), "anvil has no {member}");
    }
}

#[tokio::test]
async fn viem_works_with_anvil() {
    let anvil = Anvil::start(&["--chain-id", "1"]).await;
    Client::Viem.works_with(&anvil.url()).await;
}

#[tokio::test]
async fn ethers_works_with_anvil() {
    let anvil = Anvil::start(&["--chain-id", "1"]).await;
    Client::Ethers.works_with(&anvil.url()).await;
}

#[tokio::test]
async fn web3_py_works_with_anvil() {
    let anvil = Anvil::start(&["--chain-id", "1"]).await;
    Client::Web3Py.works_with(&anvil.url()).await;
}

#[tokio::test]
async fn cast_works_with_anvil() {
    let anvil = Anvil::start(&["--chain-id", "1"]).await;
    Client::Cast.works_with(&anvil.url()).await;
}

#[tokio::test]
async fn a_client_without_a_node_fails_the_test() {
    let url = Rpc::on_port(free_port()).url();
    let attempt = tokio::spawn(async move { Client::Viem.works_with(&url).await });
    assert!(attempt.await.is_err());
}

#[tokio::test]
async fn eventually_looks_again_and_gives_up_with_what_it_waited_for() {
    let mut looks = 0;
    soon("the third look", async || {
        looks += 1;
        looks == 3
    })
    .await;
    assert_eq!(looks, 3);

    let never = tokio::spawn(async {
        eventually("pigs fly", Duration::from_millis(50), async || false).await;
    });
    let panic = never.await.expect_err("it gives up").into_panic();
    let message = panic.downcast_ref::<String>().expect("a sentence");
    assert_eq!(message, "not within 50ms: pigs fly");
}

#[tokio::test]
async fn a_look_that_hangs_does_not_outlast_the_deadline() {
    let hung = tokio::spawn(async {
        let hang = async || std::future::pending::<bool>().await;
        eventually("an answer", Duration::from_millis(50), hang).await;
    });
    assert!(hung.await.is_err());
}

#[test]
fn ports_are_not_given_twice_in_a_row() {
    assert_ne!(free_port(), free_port());
}

#[test]
fn an_answer_is_taken_apart_and_a_cut_one_is_told() {
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    let answer = Answer::parse(chunked).expect("a whole answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "abc"));
    for length in 0..chunked.len() - 2 {
        assert!(Answer::parse(&chunked[..length]).is_err(), "{length}");
    }
    let short = b"HTTP/1.1 503 X\r\nContent-Length: 3\r\n\r\nab";
    assert_eq!(Answer::parse(short), Err("the body is cut off".to_owned()));
}

#[test]
fn a_metric_is_summed_over_the_series_that_carry_its_labels() {
    let text = "# TYPE calls counter\n\
                calls{node=\"a\",outcome=\"ok\"} 2\n\
                calls{node=\"b\",outcome=\"ok\"} 3\n\
                calls{other_node=\"b\"} 9\n\
                calls_more 7\n\
                up 1\n";
    let sum = |name, labels: &[(&str, &str)]| sum(text, name, labels);
    assert_eq!(sum("calls", &[("outcome", "ok")]), Some(5.0));
    assert_eq!(sum("calls", &[("node", "b")]), Some(3.0));
    assert_eq!(sum("up", &[]), Some(1.0));
    assert_eq!(sum("down", &[]), None);
}

#[test]
fn every_part_is_there() {
    for name in ["anvil", "cast", "geth", "geth-1.17"] {
        assert!(part(name).exists());
    }
}

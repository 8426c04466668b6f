//! Subscriptions of a socket, and news that its client doesn't take.

use super::*;

#[tokio::test]
async fn a_subscription_is_answered_before_its_news_and_quiet_after_its_end() {
    let mut scene = Scene::set().await;
    scene.client.send(Message::text(SUBSCRIBE)).await.unwrap();
    let told = || {
        scene
            .state
            .hub
            .tell(&Topic::NewHeads, &Bytes::from_static(b"{\"n\":1}"))
    };
    while told() == 0 {
        tokio::task::yield_now().await;
    }
    let answer = scene.next().await;
    assert_eq!(answer["id"], "s");
    let id = answer["result"].clone();
    assert!(id.as_str().unwrap().starts_with("0x"));
    let news = scene.next().await;
    assert_eq!(news["method"], "eth_subscription");
    assert_eq!(news["params"]["subscription"], id);
    assert_eq!(news["params"]["result"]["n"], 1);
    let end = format!(r#"{{"jsonrpc":"2.0","id":2,"method":"eth_unsubscribe","params":[{id}]}}"#);
    assert_eq!(scene.ask(Message::text(&end)).await["result"], true);
    assert_eq!(
        scene
            .state
            .hub
            .tell(&Topic::NewHeads, &Bytes::from_static(b"{}")),
        0
    );
    let again = scene.ask(Message::text(&end)).await;
    assert_eq!(again["error"]["message"], "subscription not found");
    assert_eq!(
        scene.metric("subscriptions{chain=\"main\",kind=\"newHeads\"}"),
        0.0
    );
}

#[tokio::test]
async fn a_socket_has_so_many_subscriptions_and_leaves_none_behind() {
    let mut scene = Scene::set().await;
    for _ in 0..SUBSCRIPTIONS_MAX {
        let answer = scene.ask(Message::text(SUBSCRIBE)).await;
        assert!(answer["result"].is_string());
    }
    let refused = scene.ask(Message::text(SUBSCRIBE)).await;
    assert_eq!(
        (&refused["error"]["code"], &refused["id"]),
        (&(-32016).into(), &"s".into())
    );
    assert_eq!(
        scene.metric("subscriptions{chain=\"main\",kind=\"newHeads\"}"),
        3.0
    );
    let batch = format!("[{}]", SUBSCRIBE.replace("newHeads", "nonsense\",\"more"));
    assert_eq!(
        scene.ask(Message::text(batch)).await[0]["error"]["code"],
        -32016
    );
    let Scene { client, socket, .. } = scene;
    drop(client);
    let state = socket.await.unwrap();
    assert!(state.hub.topics().is_empty());
    assert_eq!(state.sockets.open(), 0);
}

#[tokio::test]
async fn a_lame_duck_takes_no_new_subscriptions_and_goes_on_with_the_old() {
    let mut scene = Scene::set().await;
    scene.ask(Message::text(SUBSCRIBE)).await;
    scene.state.admission.process().close();
    let refused = scene.ask(Message::text(SUBSCRIBE)).await;
    assert_eq!(refused["error"]["code"], -32012);
    assert_eq!(scene.ask(Message::text(VERSION)).await["id"], 1);
    scene
        .state
        .hub
        .tell(&Topic::NewHeads, &Bytes::from_static(b"{}"));
    assert_eq!(scene.next().await["method"], "eth_subscription");
    scene.state.sockets.leave();
    assert_eq!(scene.closed().await, 1012);
    scene.socket.await.unwrap();
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_closed_as_slow_and_others_are_told_all_the_same() {
    tokio::time::pause();
    let mut slow = Scene::set().await;
    let mut quick = slow.another().await;
    for scene in [&mut slow, &mut quick] {
        scene.ask(Message::text(SUBSCRIBE)).await;
    }
    let news = Bytes::from(format!("\"{}\"", "x".repeat(PIPE_BYTES - 2)));
    let bytes_before = quick.state.admission.bytes();
    for _ in 0..outbox::NEWS_MAX.min(outbox::BYTES_MAX / PIPE_BYTES) + 10 {
        let told = quick.state.hub.tell(&Topic::NewHeads, &news);
        assert!(told >= 1);
        assert_eq!(quick.next().await["method"], "eth_subscription");
    }
    assert_eq!(quick.state.admission.bytes(), bytes_before);
    assert_eq!(slow.closed().await, 1013);
    assert_eq!(
        quick.metric("sockets_closed_total{chain=\"main\",reason=\"slow\"}"),
        1.0
    );
    assert_eq!(quick.ask(Message::text(VERSION)).await["id"], 1);
}

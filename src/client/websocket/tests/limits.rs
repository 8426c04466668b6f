//! What a socket is held to: the pace, and room in the process.

use super::*;
use forebay_core::vocabulary::caps::Caps;

#[tokio::test]
async fn too_many_messages_a_second_are_refused_each_with_its_id() {
    let mut scene = Scene::with(|settings| settings.messages_per_second = 2).await;
    let batch = format!("[{VERSION},{}]", VERSION.replace("1,", "2,"));
    for message in [VERSION, VERSION, &batch] {
        scene.client.send(Message::text(message)).await.unwrap();
    }
    assert_eq!(scene.next().await["id"], 1);
    assert_eq!(scene.next().await["id"], 1);
    let refused = scene.next().await;
    for (at, id) in [(0, 1), (1, 2)] {
        assert_eq!(refused[at]["id"], id);
        assert_eq!(refused[at]["error"]["code"], -32016);
    }
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answers_is_read_no_further() {
    tokio::time::pause();
    let mut scene = Scene::with(|settings| settings.messages_per_second = 100_000).await;
    let mut sent = 0;
    let sending = async {
        loop {
            let sending = scene.client.send(Message::text(VERSION));
            if timeout(Duration::from_secs(1), sending).await.is_err() {
                return;
            }
            sent += 1;
        }
    };
    sending.await;
    let pipes = 2 * PIPE_BYTES / VERSION.len();
    let most = WAITING_MAX + CALLS_MAX + pipes + PIPE_BYTES / 50;
    assert!(sent > WAITING_MAX && sent < most, "{sent} of {most}");
    assert!(scene.state.admission.requests() <= WAITING_MAX + CALLS_MAX);
    for _ in 0..sent {
        assert_eq!(scene.next().await["id"], 1, "it takes them at last");
    }
}

#[tokio::test]
async fn what_is_refused_is_not_kept_and_no_more_is_read_before_the_no_is_taken() {
    tokio::time::pause();
    let mut scene = Scene::with(|settings| settings.messages_per_second = 1).await;
    // The answer to a call with so long an id is more than the stream holds.
    let long_id = "i".repeat(2 * PIPE_BYTES);
    let call = VERSION.replace("1,", &format!("\"{long_id}\","));
    let long = format!("{call}{}", " ".repeat(BODY_BYTES_MAX - call.len()));
    let mut sent = 0;
    loop {
        let sending = scene.client.send(Message::text(long.clone()));
        if timeout(Duration::from_secs(1), sending).await.is_err() {
            break;
        }
        sent += 1;
        assert!(sent <= 3, "the served one, the refused one, and no more");
    }
    let held = BODY_BYTES_MAX + 3 * PIPE_BYTES;
    let bytes = scene.state.admission.bytes();
    assert!(bytes <= held, "{bytes} of {held}");
    let served = scene.next().await;
    assert!(served["result"].is_string() && served["id"] == long_id.as_str());
    let refused = scene.next().await;
    assert_eq!(refused["error"]["code"], -32016);
    assert_eq!(refused["id"], long_id.as_str());
}

#[tokio::test]
async fn a_full_process_refuses_a_message_and_the_socket_stays() {
    let mut scene = Scene::set().await;
    let state = scene.state.clone();
    let inside: Vec<_> =
        std::iter::from_fn(|| state.admission.enter(state.admission.caller(None))).collect();
    let refused = scene.ask(Message::text(VERSION)).await;
    let code = Refusal::OverCapacity.code();
    assert_eq!(
        (&refused["id"], &refused["error"]["code"]),
        (&1.into(), &code.into())
    );
    drop(inside);
    assert!(scene.ask(Message::text(VERSION)).await["result"].is_string());
    assert_eq!(
        (state.admission.requests(), state.admission.bytes()),
        (0, 0)
    );
}

#[tokio::test]
async fn where_not_even_a_no_has_room_the_socket_ends() {
    let mut scene = Scene::set().await;
    let state = scene.state.clone();
    let _inside: Vec<_> =
        std::iter::from_fn(|| state.admission.enter(state.admission.caller(None))).collect();
    // Enough for the message with its frame, and less than the no to it takes.
    let room = VERSION.len() + 14;
    state.admission.fill(Caps::ROOMY.bodies - room);
    scene.client.send(Message::text(VERSION)).await.unwrap();
    assert_eq!(scene.closed().await, 1013);
    assert_eq!(
        scene.metric("sockets_closed_total{chain=\"main\",reason=\"over_capacity\"}"),
        1.0
    );
}

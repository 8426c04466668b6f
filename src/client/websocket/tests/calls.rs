//! Calls over a socket, and their answers.

use super::*;

#[tokio::test]
async fn calls_are_answered_with_their_ids_whether_text_or_binary() {
    let mut scene = Scene::set().await;
    let answer = scene.ask(Message::text(VERSION)).await;
    assert_eq!(answer["id"], 1);
    assert!(answer["result"].as_str().unwrap().starts_with("forebay/"));
    let binary = Message::binary(VERSION.replace("1,", "\"b\","));
    assert_eq!(scene.ask(binary).await["id"], "b");
    let batch = format!("[{VERSION},7]");
    let answers = scene.ask(Message::text(batch)).await;
    assert_eq!(answers[0]["id"], 1);
    assert_eq!(answers[1]["error"]["code"], -32600);
    for (sent, code) in [("{", -32700), ("", -32700), ("[]", -32600), ("7", -32600)] {
        let answer = scene.ask(Message::text(sent)).await;
        assert_eq!(answer["error"]["code"], code, "{sent}");
        assert!(answer["id"].is_null());
    }
    assert_eq!(
        scene.ask(Message::text(VERSION)).await["id"],
        1,
        "it is still open"
    );
}

#[tokio::test]
async fn a_message_of_the_longest_length_is_read() {
    let mut scene = Scene::set().await;
    let longest = format!("{VERSION}{}", " ".repeat(BODY_BYTES_MAX - VERSION.len()));
    assert_eq!(scene.ask(Message::text(longest)).await["id"], 1);
}

#[tokio::test]
async fn a_long_answer_comes_in_frames_of_bounded_length() {
    let (mut raw, _socket) = Scene::raw().await;
    let calls = vec![VERSION; 500].join(",");
    let request = format!("[{calls}]");
    raw.write_all(&frame(0x81, request.as_bytes()))
        .await
        .unwrap();
    let mut whole = Vec::new();
    let mut heads = Vec::new();
    loop {
        let (head, payload) = read_frame(&mut raw).await;
        assert!(payload.len() <= FRAME_BYTES_MAX);
        whole.extend_from_slice(&payload);
        heads.push(head);
        if head & 0x80 != 0 {
            break;
        }
    }
    assert!(heads.len() > 1 && heads[0] == 0x01, "{heads:x?}");
    assert!(heads[1..heads.len() - 1].iter().all(|head| *head == 0x00));
    assert_eq!(heads.last(), Some(&0x80));
    let answers: Vec<serde_json::Value> = serde_json::from_slice(&whole).unwrap();
    assert_eq!(answers.len(), 500);
}

//! RFC 6455 in small: fragments, control frames, closes, and clients that break the rules.

use super::*;

#[tokio::test]
async fn fragments_with_a_ping_in_between_are_one_message() {
    let (mut raw, socket) = Scene::raw().await;
    let (start, end) = VERSION.as_bytes().split_at(10);
    raw.write_all(&frame(0x01, start)).await.unwrap();
    raw.write_all(&frame(0x89, b"hello")).await.unwrap();
    assert_eq!(read_frame(&mut raw).await, (0x8a, b"hello".to_vec()));
    raw.write_all(&frame(0x00, b"")).await.unwrap();
    raw.write_all(&frame(0x80, end)).await.unwrap();
    let (head, answer) = read_frame(&mut raw).await;
    assert_eq!(head, 0x81);
    assert!(String::from_utf8(answer).unwrap().contains("forebay/"));
    drop(raw);
    socket.await.unwrap();
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_told_how_and_closed() {
    let unmasked = [&[0x81, VERSION.len() as u8][..], VERSION.as_bytes()].concat();
    let mut oversized = vec![0x81, 0xff];
    oversized.extend_from_slice(&(BODY_BYTES_MAX as u64 + 1).to_be_bytes());
    oversized.extend_from_slice(&[0; 4]);
    let half = vec![b' '; BODY_BYTES_MAX / 2 + 1];
    let in_two = [frame(0x01, &half), frame(0x80, &half)].concat();
    for (sent, code) in [
        (unmasked, 1002),
        (oversized, 1009),
        (in_two, 1009),
        (frame(0x81, b"\"\xff\""), 1007),
        (frame(0x80, b"{}"), 1002),
        (frame(0x83, b"{}"), 1002),
        (frame(0xc1, b"{}"), 1002),
        (frame(0x89, &[0; 126]), 1002),
        (frame(0x09, b""), 1002),
        (frame(0x88, b"\x03"), 1002),
    ] {
        let (mut raw, socket) = Scene::raw().await;
        let sending = raw.write_all(&sent);
        let _ = timeout(Duration::from_secs(5), sending).await;
        let (head, payload) = read_frame(&mut raw).await;
        assert_eq!(head, 0x88, "{code}");
        let told = u16::from_be_bytes([payload[0], payload[1]]);
        assert_eq!(told, code, "{:x?}", &sent[..sent.len().min(20)]);
        drop(raw);
        socket.await.unwrap();
    }
}

#[tokio::test]
async fn a_clients_close_is_answered_with_its_code_and_everything_is_given_back() {
    let (mut raw, socket) = Scene::raw().await;
    raw.write_all(&frame(0x88, b"\x03\xe8bye")).await.unwrap();
    assert_eq!(read_frame(&mut raw).await, (0x88, b"\x03\xe8bye".to_vec()));
    let mut rest = Vec::new();
    raw.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    let state = socket.await.unwrap();
    assert_eq!(
        (
            state.sockets.open(),
            state.admission.requests(),
            state.admission.bytes()
        ),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn a_client_is_pinged_and_without_a_pong_it_is_gone_within_two_pings() {
    tokio::time::pause();
    let (mut raw, socket) = Scene::raw().await;
    let began = tokio::time::sleep(Duration::ZERO).deadline();
    assert_eq!(read_frame(&mut raw).await, (0x89, Vec::new()));
    assert_eq!(seconds_since(began), 30);
    raw.write_all(&frame(0x8a, b"")).await.unwrap();
    assert_eq!(read_frame(&mut raw).await, (0x89, Vec::new()), "it lives");
    let mut rest = Vec::new();
    raw.read_to_end(&mut rest).await.unwrap();
    assert_eq!(seconds_since(began), 90);
    let state = socket.await.unwrap();
    let text = state.metrics.text();
    assert!(text.contains("forebay_sockets_closed_total{chain=\"main\",reason=\"silent\"} 1"));
}

#[tokio::test]
async fn a_message_whose_end_does_not_come_is_given_up() {
    tokio::time::pause();
    let (mut raw, socket) = Scene::raw().await;
    raw.write_all(&frame(0x01, b"{")).await.unwrap();
    for _ in 0..5 {
        let (head, payload) = read_frame(&mut raw).await;
        match head {
            0x89 => raw.write_all(&frame(0x8a, b"")).await.unwrap(),
            0x88 => {
                assert_eq!(payload[..2], 1008u16.to_be_bytes());
                drop(raw);
                let state = socket.await.unwrap();
                assert_eq!(state.admission.bytes(), 0);
                return;
            }
            other => panic!("{other:x}"),
        }
    }
    panic!("it is still open");
}

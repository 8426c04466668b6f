//! What a node answered: what matters of its head, and its body by pieces.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::connection::is_hang_up;
use super::fault::BodyFault;
use crate::clock;
use crate::node::body::BodyReader;
use crate::node::connection::NodeConnection;
use crate::node::idle_pool::IdlePool;
use crate::node::response_head::ResponseHead;
use forebay_core::wire::coding::{Coding, Decompressor};

/// The most that is read at once, in bytes.
pub const PIECE_BYTES_MAX: usize = 64 * 1024;

/// The answer to one request. Dropped it closes the connection, unless that was [kept](Reply::keep).
pub struct NodeResponse {
    /// 200 to 599.
    pub status: u16,
    /// How long the node asks us to rest.
    pub retry_after: Option<Duration>,
    /// `None` when the body has failed, or the connection was kept.
    connection: Option<NodeConnection>,
    body: BodyReader,
    /// Where the node packed it, although we asked for it as it is: rare, so on the heap.
    unpacker: Option<Box<Decompressor>>,
    keeps: bool,
    idle_pool: Arc<IdlePool>,
}

/// A body, read as far as it was wanted.
#[derive(Debug, PartialEq, Eq)]
pub enum BufferedBody {
    Whole(Bytes),
    /// The start, longer than was wanted; the rest, if any, comes by [`NodeResponse::chunk`].
    More(Bytes),
}

impl NodeResponse {
    pub(super) fn new(
        head: &ResponseHead,
        connection: NodeConnection,
        idle_pool: Arc<IdlePool>,
    ) -> NodeResponse {
        if let Some(coding) = head.coding {
            return NodeResponse::packed(head, coding, connection, idle_pool);
        }
        NodeResponse {
            status: head.status,
            retry_after: head.retry_after,
            connection: Some(connection),
            body: BodyReader::new(head.framing),
            unpacker: None,
            keeps: head.keeps,
            idle_pool,
        }
    }

    /// Its reader gets it unpacked, and counts what is unpacked.
    #[cold]
    fn packed(
        head: &ResponseHead,
        coding: Coding,
        connection: NodeConnection,
        idle_pool: Arc<IdlePool>,
    ) -> NodeResponse {
        let plain = ResponseHead {
            coding: None,
            ..head.clone()
        };
        let reply = NodeResponse::new(&plain, connection, idle_pool);
        NodeResponse {
            unpacker: Decompressor::new(coding).map(Box::new),
            ..reply
        }
    }

    /// What is still to come of the body, in bytes, where the head says it: of one that is packed it doesn't.
    pub fn bytes_left(&self) -> Option<u64> {
        self.body.left().filter(|_| self.unpacker.is_none())
    }

    /// It was the answer to what was asked, to its end: the connection goes back to its pool, if it
    /// may be used again. One that brought the answer to something else may bring another.
    pub fn keep(&mut self) {
        if self.keeps
            && self.body.is_ended()
            && self
                .unpacker
                .as_ref()
                .is_none_or(|unpacker| unpacker.end().is_ok())
            && let Some(connection) = self.connection.take()
        {
            self.idle_pool.put(connection, clock::now());
        }
    }

    /// The next piece of the body, never empty, as it came or unpacked; `None` at its end. May be
    /// dropped and called again.
    ///
    /// # Errors
    /// The body can't be had to its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyFault> {
        match self.unpacker {
            None => self.chunk_as_it_came().await,
            Some(_) => Box::pin(self.chunk_unpacked()).await,
        }
    }

    async fn chunk_unpacked(&mut self) -> Result<Option<Bytes>, BodyFault> {
        while let Some(unpacker) = &mut self.unpacker {
            let given = unpacker.give();
            if given.is_err() {
                self.connection = None;
            }
            if let Some(piece) = given? {
                return Ok(Some(piece));
            }
            let fed = self.chunk_as_it_came().await?;
            match (&mut self.unpacker, fed) {
                (Some(unpacker), Some(piece)) => unpacker.feed(piece),
                (Some(unpacker), None) => return Ok(unpacker.end().map(|()| None)?),
                (None, _) => {}
            }
        }
        Ok(None)
    }

    async fn chunk_as_it_came(&mut self) -> Result<Option<Bytes>, BodyFault> {
        loop {
            if let Some(piece) = self.take()? {
                return Ok(Some(piece));
            }
            if self.body.is_ended() {
                return Ok(None);
            }
            let wanted = self.body.left().unwrap_or(PIECE_BYTES_MAX as u64);
            self.read(wanted).await?;
        }
    }

    /// Reads the whole body if it is at most `limit` bytes long, else a little more than `limit`
    /// of it (up to [`PIECE_BYTES_MAX`] more). Meant for the start of a body.
    ///
    /// # Errors
    /// The body can't be had so far.
    pub async fn read_up_to(&mut self, limit: usize) -> Result<BufferedBody, BodyFault> {
        if self.unpacker.is_none() {
            self.gather_in_place(limit).await?;
        }
        let Some(first) = self.chunk().await? else {
            return Ok(BufferedBody::Whole(Bytes::new()));
        };
        if first.len() > limit {
            return Ok(BufferedBody::More(first));
        }
        if self.body.is_ended() && self.unpacker.is_none() {
            return Ok(BufferedBody::Whole(first));
        }
        self.read_on_up_to(first, limit).await
    }

    /// As [`NodeResponse::read_up_to`], where `first` was read of the body already.
    ///
    /// # Errors
    /// The body can't be had so far.
    pub async fn read_on_up_to(
        &mut self,
        first: Bytes,
        limit: usize,
    ) -> Result<BufferedBody, BodyFault> {
        if first.len() > limit {
            return Ok(BufferedBody::More(first));
        }
        let mut gathered = BytesMut::from(first);
        while let Some(piece) = self.chunk().await? {
            gathered.extend_from_slice(&piece);
            if gathered.len() > limit {
                return Ok(BufferedBody::More(gathered.freeze()));
            }
        }
        Ok(BufferedBody::Whole(gathered.freeze()))
    }

    /// Of a body of known length, reads on until it or more than `limit` of it is in the
    /// connection's buffer: it then comes in one piece, uncopied.
    async fn gather_in_place(&mut self, limit: usize) -> Result<(), BodyFault> {
        let wanted = self
            .body
            .left()
            .unwrap_or(0)
            .min((limit as u64).saturating_add(1));
        while let Some(connection) = &self.connection {
            let missing = wanted.saturating_sub(connection.buffer.len() as u64);
            if missing == 0 {
                break;
            }
            self.read(missing).await?;
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Option<Bytes>, BodyFault> {
        let Some(connection) = &mut self.connection else {
            return Ok(None);
        };
        let taken = self.body.take(&mut connection.buffer);
        if taken.is_err() {
            self.connection = None;
        }
        Ok(taken?)
    }

    /// Reads once, about `wanted` bytes at most. Whatever fails closes the connection.
    async fn read(&mut self, wanted: u64) -> Result<(), BodyFault> {
        let Some(connection) = &mut self.connection else {
            return Err(BodyFault::Truncated);
        };
        let bytes = usize::try_from(wanted).map_or(PIECE_BYTES_MAX, |it| it.min(PIECE_BYTES_MAX));
        let fault = match connection.read(bytes).await {
            Ok(0) if self.body.close() => {
                self.connection = None;
                return Ok(());
            }
            Ok(0) => BodyFault::Truncated,
            Ok(_) => return Ok(()),
            Err(fault) if is_hang_up(&fault) => BodyFault::Truncated,
            Err(fault) => BodyFault::Io(fault.to_string()),
        };
        self.connection = None;
        Err(fault)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::node::client::{NodeClient, ReuseRule};
    use crate::node::fixtures::ScriptLine::{Close, Hear, Pause};
    use crate::node::fixtures::{OK, ScriptLine, ScriptedNode, say, within};

    async fn reply(script: Vec<ScriptLine>) -> (NodeResponse, NodeClient, ScriptedNode) {
        let stage = ScriptedNode::play(vec![[vec![Hear], script].concat()]).await;
        let link = stage.link();
        let reply = within(link.send(&[b"{}"], ReuseRule::Any, None))
            .await
            .unwrap();
        (reply, link, stage)
    }

    async fn rest(reply: &mut NodeResponse) -> Result<Vec<u8>, BodyFault> {
        let mut body = Vec::new();
        while let Some(piece) = within(reply.chunk()).await? {
            assert!(!piece.is_empty());
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn sized(bytes: usize) -> ScriptLine {
        let body = "x".repeat(bytes);
        say(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n{body}"
        ))
    }

    fn chunked(text: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{text}")
    }

    #[tokio::test]
    async fn a_body_of_known_length_comes_whole_up_to_the_limit_and_not_one_past() {
        for (bytes, whole) in [(0, true), (70_000, true), (70_001, false), (200_000, false)] {
            let (mut reply, link, _stage) = reply(vec![sized(bytes)]).await;
            assert_eq!(reply.bytes_left(), Some(bytes as u64));
            match within(reply.read_up_to(70_000)).await.unwrap() {
                BufferedBody::Whole(body) => assert!(whole && body.len() == bytes),
                BufferedBody::More(start) => {
                    assert!(!whole && (70_001..=70_000 + PIECE_BYTES_MAX).contains(&start.len()));
                    let rest = rest(&mut reply).await.unwrap();
                    assert_eq!(start.len() + rest.len(), bytes);
                }
            }
            reply.keep();
            assert_eq!(link.idle(), 1);
        }
    }

    #[tokio::test]
    async fn a_chunked_body_comes_whole_up_to_the_limit_and_not_one_past() {
        let lines = |bytes: usize| {
            let (first, second) = ("x".repeat(bytes / 2), "y".repeat(bytes - bytes / 2));
            let first = chunked(&format!("{:x}\r\n{first}", bytes / 2));
            let second = format!("\r\n{:X};e\r\n{second}\r\n", bytes - bytes / 2);
            let pause = Pause;
            vec![
                say(&first),
                pause.clone(),
                say(&second),
                pause,
                say("0\r\n\r\n"),
            ]
        };
        for (bytes, whole) in [(100, true), (101, false)] {
            let (mut reply, link, _stage) = reply(lines(bytes)).await;
            match within(reply.read_up_to(100)).await.unwrap() {
                BufferedBody::Whole(body) => assert!(whole && body.len() == bytes),
                BufferedBody::More(start) => {
                    assert!(!whole && start.len() == bytes);
                    assert!(rest(&mut reply).await.unwrap().is_empty());
                }
            }
            reply.keep();
            assert_eq!(link.idle(), 1);
        }
    }

    #[tokio::test]
    async fn a_big_body_streams_through_in_pieces() {
        let bytes = 10 << 20;
        let (mut reply, link, _stage) = reply(vec![sized(bytes)]).await;
        let mut total = 0;
        while let Some(piece) = within(reply.chunk()).await.unwrap() {
            assert!(piece.len() <= 2 * PIECE_BYTES_MAX);
            total += piece.len();
        }
        reply.keep();
        assert_eq!((total, link.idle()), (bytes, 1));
    }

    #[tokio::test]
    async fn every_body_that_ends_early_is_told_from_a_whole_one() {
        let short = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
        let texts = [
            short.to_string(),
            chunked("5\r\nhalf"),
            chunked("4\r\nhalf"),
            chunked("4\r\nhalf\r\n"),
            chunked("4\r\nhalf\r\n0\r\n"),
            chunked("4\r\nhalf\r\n0\r\n\r"),
        ];
        for text in texts {
            let (mut reply, link, _stage) = reply(vec![say(&text), Close]).await;
            assert_eq!(
                rest(&mut reply).await,
                Err(BodyFault::Truncated),
                "{text:?}"
            );
            // Asked again it still has not ended well.
            assert_eq!(within(reply.chunk()).await, Err(BodyFault::Truncated));
            assert_eq!(link.idle(), 0);
            let (mut reply, ..) = self::reply(vec![say(&text), Close]).await;
            assert!(within(reply.read_up_to(100)).await.is_err(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_broken_coding_ends_the_connection() {
        let (mut reply, link, stage) = reply(vec![say(&chunked("4\r\nhalfway"))]).await;
        assert_eq!(within(reply.chunk()).await, Ok(Some(Bytes::from("half"))));
        let why = "bad line end in the chunked coding";
        assert_eq!(within(reply.chunk()).await, Err(BodyFault::Malformed(why)));
        stage.one_ended().await;
        assert_eq!(link.idle(), 0);
    }

    #[tokio::test]
    async fn an_unframed_body_ends_with_its_connection() {
        let lines = vec![
            say("HTTP/1.1 200 OK\r\n\r\nto "),
            Pause,
            say("the end"),
            Close,
        ];
        let (mut reply, link, _stage) = reply(lines).await;
        let body = within(reply.read_up_to(100)).await.unwrap();
        assert_eq!(body, BufferedBody::Whole(Bytes::from("to the end")));
        assert_eq!(link.idle(), 0);
    }

    #[tokio::test]
    async fn the_connection_is_free_once_all_is_read_and_found_good() {
        for text in [OK.to_string(), chunked("2\r\nok\r\n0\r\n\r\n")] {
            let (mut reply, link, _stage) = reply(vec![say(&text)]).await;
            reply.keep();
            assert_eq!(link.idle(), 0, "it is not read yet");
            assert_eq!(within(reply.chunk()).await, Ok(Some(Bytes::from("ok"))));
            reply.keep();
            assert_eq!(link.idle(), 1);
        }
        let text = "HTTP/1.1 204 No Content\r\n\r\n";
        let (mut reply, link, _stage) = reply(vec![say(text)]).await;
        assert_eq!(within(reply.chunk()).await, Ok(None));
        reply.keep();
        assert_eq!(link.idle(), 1);
    }

    fn packed(coding: &str, text: &[u8]) -> Vec<u8> {
        let body: Vec<u8> = match coding {
            "zstd" => zstd::encode_all(text, 1).unwrap(),
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            _ => text.to_vec(),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Encoding: {coding}\r\n\r\n"
        );
        [head.as_bytes(), &body].concat()
    }

    #[tokio::test]
    async fn a_packed_body_is_read_as_if_it_were_not_and_counts_unpacked() {
        for coding in ["gzip", "zstd", "identity"] {
            for (bytes, whole) in [
                (0, true),
                (2, true),
                (70_000, true),
                (70_001, false),
                (3 << 20, false),
            ] {
                let line = ScriptLine::Say(packed(coding, &vec![b'x'; bytes]));
                let (mut reply, link, _stage) = reply(vec![line]).await;
                match within(reply.read_up_to(70_000)).await.unwrap() {
                    BufferedBody::Whole(body) => {
                        assert!(whole && body.len() == bytes, "{coding} {bytes}")
                    }
                    BufferedBody::More(start) => {
                        assert!(
                            !whole
                                && (70_001..=70_000 + 2 * PIECE_BYTES_MAX).contains(&start.len())
                        );
                        let rest = rest(&mut reply).await.unwrap();
                        assert_eq!(start.len() + rest.len(), bytes, "{coding}");
                    }
                }
                reply.keep();
                assert_eq!(link.idle(), 1, "{coding} {bytes}");
            }
        }
    }

    #[tokio::test]
    async fn a_packed_body_that_is_cut_or_goes_on_is_a_fault_and_ends_the_connection() {
        let whole = String::from("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n");
        let body = packed("gzip", b"{}");
        let body = &body[body.len() - 22..];
        assert!(body.starts_with(&[0x1f, 0x8b]));
        let surplus = [body, b"x"].concat();
        for wrong in [&body[..body.len() - 1], &surplus, b"{}"] {
            let head = format!("{whole}Content-Length: {}\r\n\r\n", wrong.len());
            let line = ScriptLine::Say([head.as_bytes(), wrong].concat());
            let (mut reply, link, _stage) = reply(vec![line]).await;
            let read = within(reply.read_up_to(100)).await;
            assert!(matches!(read, Err(BodyFault::Malformed(_))), "{read:?}");
            reply.keep();
            assert_eq!(link.idle(), 0);
        }
    }

    #[tokio::test]
    async fn a_connection_that_brought_an_answer_to_something_else_is_closed() {
        let (mut reply, link, stage) = reply(vec![say(OK)]).await;
        within(reply.read_up_to(10)).await.unwrap();
        drop(reply);
        stage.one_ended().await;
        assert_eq!(link.idle(), 0);
    }

    #[tokio::test]
    async fn a_reply_dropped_halfway_closes_its_connection() {
        let (reply, link, stage) = reply(vec![sized(300)]).await;
        drop(reply);
        stage.one_ended().await;
        assert_eq!(link.idle(), 0);
    }

    #[tokio::test]
    async fn a_wish_to_rest_is_passed_on() {
        let text = "HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n";
        let (reply, ..) = reply(vec![say(text)]).await;
        assert_eq!(
            (reply.status, reply.retry_after),
            (429, Some(Duration::from_secs(3)))
        );
    }
}

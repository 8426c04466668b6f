//! What goes out: a head and its body, in one write where they fit.

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;

use crate::client::body_stream::BodyStream;
use crate::client::downstream::{ClientGone, Downstream};
use crate::client::endpoint::WRITE_TIME_MAX;
use crate::client::http1::session::Http1Session;
use crate::client::request_head::RequestHead;
use crate::client::response::{ClientResponse, ResponseBody};
use crate::client::response_header;
use crate::clock;
use forebay_core::wire::cors::CorsPolicy;

/// A body up to this many bytes is written together with its head.
const TOGETHER_BYTES_MAX: usize = 64 << 10;
/// The most that a client is given at once: it has a time for each.
const PART_BYTES_MAX: usize = 256 << 10;

impl Http1Session<'_> {
    pub(super) async fn answer(
        &mut self,
        response: ClientResponse<'_>,
        origins: &CorsPolicy,
    ) -> Result<(), ClientGone> {
        self.keeps &= !self.endpoint.entry.ends_connections();
        self.output.clear();
        write_head(&mut self.output, &response, &self.head, origins, self.keeps);
        if self.head.is_for_head || !response.may_have_body() {
            return self.flush().await;
        }
        let fits = |bytes: usize| bytes <= TOGETHER_BYTES_MAX;
        match response.body {
            ResponseBody::Text(text) if fits(text.len()) => {
                self.output.extend_from_slice(text.as_bytes());
                self.flush().await
            }
            ResponseBody::Whole(answer, id) if fits(answer.bytes()) => {
                answer.write_to(id, &mut self.output);
                drop(answer);
                self.flush().await
            }
            rest => Box::pin(self.answer_long(rest)).await,
        }
    }

    async fn answer_long(&mut self, body: ResponseBody<'_>) -> Result<(), ClientGone> {
        match body {
            ResponseBody::Text(text) => self.piece_out(text.as_bytes()).await,
            ResponseBody::Pieces(pieces) => {
                for piece in pieces {
                    self.piece_out(&piece).await?;
                }
                self.flush().await
            }
            ResponseBody::Whole(answer, id) => match answer.around_id() {
                Some((before, after)) => {
                    drop(answer);
                    self.piece_out(&before).await?;
                    self.output.extend_from_slice(id.as_bytes());
                    self.piece_out(&after).await
                }
                None => {
                    answer.write_to(id, &mut self.output);
                    self.flush().await
                }
            },
            ResponseBody::Flow(flow) => self.stream(flow).await,
        }
    }

    /// In chunks (RFC 9112 §7.1).
    async fn stream(&mut self, mut flow: BodyStream<'_>) -> Result<(), ClientGone> {
        loop {
            let piece = tokio::select! {
                biased;
                piece = flow.next() => piece.map_err(|_| ClientGone)?,
                gone = self.left() => return Err(gone),
            };
            let Some(piece) = piece else { break };
            self.chunk(&piece).await?;
        }
        self.output.extend_from_slice(b"0\r\n\r\n");
        self.flush().await
    }

    async fn chunk(&mut self, piece: &Bytes) -> Result<(), ClientGone> {
        let size = format!("{:x}\r\n", piece.len());
        self.output.extend_from_slice(size.as_bytes());
        self.piece_out(piece).await?;
        // It goes with the next one.
        self.output.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Writes what there is to write, and `piece` after it, uncopied.
    async fn piece_out(&mut self, piece: &[u8]) -> Result<(), ClientGone> {
        let mut parts = piece.chunks(PART_BYTES_MAX);
        let mut all = (&self.output[..]).chain(parts.next().unwrap_or_default());
        let written = self.stream.write_all_buf(&mut all);
        let written = self.timer.within(WRITE_TIME_MAX, written).await;
        written.map_err(|_| ClientGone)?.map_err(|_| ClientGone)?;
        self.output.clear();
        for part in parts {
            let written = self.stream.write_all(part);
            let written = self.timer.within(WRITE_TIME_MAX, written).await;
            written.map_err(|_| ClientGone)?.map_err(|_| ClientGone)?;
        }
        self.flush().await
    }

    /// Writes what there is to write.
    pub(super) async fn flush(&mut self) -> Result<(), ClientGone> {
        let (stream, output) = (&mut self.stream, &self.output);
        let writing = async {
            stream.write_all(output).await?;
            stream.flush().await
        };
        let written = self.timer.within(WRITE_TIME_MAX, writing).await;
        self.output.clear();
        written.map_err(|_| ClientGone)?.map_err(|_| ClientGone)
    }
}

fn write_head(
    out: &mut Vec<u8>,
    response: &ClientResponse<'_>,
    head: &RequestHead,
    origins: &CorsPolicy,
    keeps: bool,
) {
    let mut number = itoa::Buffer::new();
    let status = response.status;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(number.format(status).as_bytes());
    out.push(b' ');
    let reason = http::StatusCode::from_u16(status).ok();
    let reason = reason.and_then(|status| status.canonical_reason());
    out.extend_from_slice(reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    if let Some(cached) = response.cached {
        out.extend_from_slice(response_header::cache_line(cached).as_bytes());
    }
    let mut line = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    response.each_but_cached(head, origins, |header, value| line(header.text, value));
    if response.may_have_body() {
        match response.body.bytes() {
            Some(length) => line("Content-Length", number.format(length).as_bytes()),
            None => line("Transfer-Encoding", b"chunked"),
        }
    }
    clock::http_date(|date| line("Date", date));
    let is_to_upgrade = status == 426;
    if is_to_upgrade {
        // RFC 9110 §15.5.22, and `Connection` with it (§7.8).
        line("Upgrade", b"websocket");
    }
    let connection: &[u8] = match (is_to_upgrade, keeps) {
        (false, true) => b"keep-alive",
        (false, false) => b"close",
        (true, true) => b"Upgrade, keep-alive",
        (true, false) => b"Upgrade, close",
    };
    line("Connection", connection);
    out.extend_from_slice(b"\r\n");
}

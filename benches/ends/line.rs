//! A caller's connection, by HTTP/1.1, HTTP/2 or WebSocket, in the clear or by TLS.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::ClientConfig;

use super::arguments::Arguments;
use super::http::{Came, Inbox};
use super::http2;
use super::poll::connect;
use super::stream::{Stream, toward_servers};
use super::websocket::{self, Frame, From};

/// How a server is called.
pub(crate) struct Manner {
    to: String,
    path: String,
    speech: Speech,
    tls: Option<Arc<ClientConfig>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speech {
    Http1,
    Http2,
    Websocket,
}

impl Manner {
    pub(crate) fn read(arguments: &Arguments) -> anyhow::Result<Manner> {
        let speech = match arguments.text("by").unwrap_or("http1") {
            "http1" => Speech::Http1,
            "http2" => Speech::Http2,
            "websocket" => Speech::Websocket,
            other => bail!("no line speaks {other}"),
        };
        let protocol: &[u8] = match speech {
            Speech::Http2 => b"h2",
            Speech::Http1 | Speech::Websocket => b"http/1.1",
        };
        let trusted = arguments.text("trusted");
        Ok(Manner {
            to: arguments.need("to")?,
            path: arguments.text("path").unwrap_or("/").to_owned(),
            speech,
            tls: trusted
                .map(|trusted| toward_servers(trusted, protocol))
                .transpose()?,
        })
    }
}

/// An answer.
pub(crate) struct Heard {
    /// Of the call, as [`Line::send`] said it.
    pub id: u32,
    pub status: u16,
    pub body: Vec<u8>,
}

pub(crate) struct Line {
    pub stream: Stream,
    inbox: Inbox,
    talk: Talk,
    /// Written with the next call.
    outbox: Vec<u8>,
}

/// What is under way. Of HTTP/1.1 and WebSocket it is one call at a time.
enum Talk {
    Http1 { head: String },
    Http2(http2::Caller),
    Websocket,
}

impl Line {
    pub(crate) fn open(manner: &Manner) -> anyhow::Result<Line> {
        let Manner { to, path, .. } = manner;
        let socket = connect(to).with_context(|| format!("connecting to {to}"))?;
        let mut line = Line {
            stream: Stream::to_server(socket, manner.tls.as_ref())?,
            inbox: Inbox::default(),
            talk: Talk::Websocket,
            outbox: Vec::new(),
        };
        line.talk = match manner.speech {
            Speech::Http1 => Talk::Http1 {
                head: format!(
                    "POST {path} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: ends\r\nAccept: */*\r\n\
                     Content-Type: application/json\r\nContent-Length: "
                ),
            },
            Speech::Http2 => {
                let is_tls = manner.tls.is_some();
                Talk::Http2(http2::Caller::new(to, path, is_tls, &mut line.outbox))
            }
            Speech::Websocket => {
                line.upgrade(to, path)?;
                Talk::Websocket
            }
        };
        Ok(line)
    }

    /// Waits for the server's yes.
    fn upgrade(&mut self, to: &str, path: &str) -> anyhow::Result<()> {
        self.stream.socket().set_nonblocking(false)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte)?;
            answer.extend_from_slice(&byte);
        }
        if !answer.starts_with(b"HTTP/1.1 101") {
            bail!("no WebSocket: {}", String::from_utf8_lossy(&answer));
        }
        Ok(self.stream.socket().set_nonblocking(true)?)
    }

    /// Makes a call, and says by which number its answer is known.
    pub(crate) fn send(&mut self, body: &str) -> io::Result<u32> {
        let out = &mut self.outbox;
        let id = match &mut self.talk {
            Talk::Http1 { head } => {
                write!(out, "{head}{}\r\n\r\n{body}", body.len())?;
                0
            }
            Talk::Http2(caller) => caller.request(body.as_bytes(), out)?,
            Talk::Websocket => {
                websocket::text(body.as_bytes(), &From::Caller, out);
                0
            }
        };
        self.write()?;
        Ok(id)
    }

    /// What was sent fits the socket's buffer, as what came before was answered.
    fn write(&mut self) -> io::Result<()> {
        if !self.outbox.is_empty() {
            self.stream.write_all(&self.outbox)?;
            self.outbox.clear();
        }
        Ok(())
    }

    /// Reads once, and gives the answers that are there.
    pub(crate) fn hear(&mut self) -> anyhow::Result<Vec<Heard>> {
        let came = self.inbox.read(&mut self.stream);
        match came.context("reading an answer")? {
            Came::Nothing => return Ok(Vec::new()),
            Came::Closed => bail!("a connection was closed"),
            Came::Message => {}
        }
        let mut answers = Vec::new();
        while let Some((length, heard)) = self.first()? {
            answers.extend(heard);
            self.inbox.drop_first(length);
        }
        self.write()?;
        Ok(answers)
    }

    /// The length of what came first, and the answer in it.
    fn first(&mut self) -> io::Result<Option<(usize, Option<Heard>)>> {
        let answer = |status, body| Heard {
            id: 0,
            status,
            body,
        };
        match &mut self.talk {
            Talk::Http1 { .. } => Ok(self.inbox.answer()?.map(|message| {
                let heard = answer(message.status, message.body.to_vec());
                (message.length, Some(heard))
            })),
            Talk::Http2(caller) => caller.take(self.inbox.held(), &mut self.outbox),
            Talk::Websocket => {
                let Some((frame, length)) = websocket::first(self.inbox.held())? else {
                    return Ok(None);
                };
                let heard = match frame {
                    Frame::Text(payload) => Some(answer(200, payload)),
                    Frame::Ping(payload) => {
                        websocket::pong(&payload, &From::Caller, &mut self.outbox);
                        None
                    }
                    Frame::Pong => None,
                };
                Ok(Some((length, heard)))
            }
        }
    }
}

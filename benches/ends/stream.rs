//! A connection in the clear or by TLS, toward a server or toward a client.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use anyhow::Context as _;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, Connection, HandshakeKind, RootCertStore, ServerConfig,
    ServerConnection,
};

/// What the certificates of a measurement are for.
const NAME: &str = "localhost";

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

pub(crate) struct Tls {
    socket: TcpStream,
    session: Connection,
}

/// X25519 and one cipher, so that the other end does the same.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    })
}

/// TLS 1.3 with a server that shows the certificate in the file `trusted`. No session is ever resumed.
pub(crate) fn toward_servers(trusted: &str, protocol: &[u8]) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).context("--trusted")?)?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
}

pub(crate) fn toward_clients(certificate: &str, key: &str) -> anyhow::Result<Arc<ServerConfig>> {
    let chain = vec![CertificateDer::from_pem_file(certificate).context("--certificate")?];
    let key = PrivateKeyDer::from_pem_file(key).context("--key")?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

impl Stream {
    pub(crate) fn to_server(
        socket: TcpStream,
        tls: Option<&Arc<ClientConfig>>,
    ) -> anyhow::Result<Stream> {
        let Some(config) = tls else {
            return Ok(Stream::Plain(socket));
        };
        let session = ClientConnection::new(config.clone(), ServerName::try_from(NAME)?)?.into();
        Ok(Stream::Tls(Box::new(Tls { socket, session })))
    }

    pub(crate) fn to_client(
        socket: TcpStream,
        tls: Option<&Arc<ServerConfig>>,
    ) -> io::Result<Stream> {
        let Some(config) = tls else {
            return Ok(Stream::Plain(socket));
        };
        let session = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        let session = session.into();
        Ok(Stream::Tls(Box::new(Tls { socket, session })))
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &tls.socket,
        }
    }

    /// Whether the handshake was a full one, and how many tickets came since.
    pub(crate) fn handshake(&self) -> (bool, u32) {
        match self {
            Stream::Plain(_) => (false, 0),
            Stream::Tls(tls) => {
                let is_full = tls.session.handshake_kind() == Some(HandshakeKind::Full);
                let tickets = match &tls.session {
                    Connection::Client(client) => client.tls13_tickets_received(),
                    Connection::Server(_) => 0,
                };
                (is_full, tickets)
            }
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let tls = match self {
            Stream::Plain(socket) => return socket.read(into),
            Stream::Tls(tls) => tls,
        };
        loop {
            match tls.session.reader().read(into) {
                Err(why) if why.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            if tls.session.read_tls(&mut tls.socket)? == 0 {
                return Ok(0);
            }
            let state = tls.session.process_new_packets();
            state.map_err(io::Error::other)?;
            tls.push()?;
        }
    }
}

impl Write for Stream {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let tls = match self {
            Stream::Plain(socket) => return socket.write(piece),
            Stream::Tls(tls) => tls,
        };
        // What is written before the handshake is over is held until then.
        let took = tls.session.writer().write(piece)?;
        tls.push()?;
        Ok(took)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Tls {
    /// Messages are small, and fit the socket's buffer.
    fn push(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => {
                    return Err(io::Error::other("too much for a socket by TLS"));
                }
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }
}

//! An authority that signs certificates, and clients that trust it.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// When its certificates end, unless a test wants otherwise.
const END: (i32, u8, u8) = (2040, 1, 1);

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Authority {
        let mut wanted = CertificateParams::default();
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Authority(CertifiedIssuer::self_signed(wanted, key).unwrap())
    }

    /// A certificate for `name` and its key, in PEM.
    pub fn signs(&self, name: &str) -> (String, String) {
        self.signs_until(name, END)
    }

    pub fn signs_until(&self, name: &str, end: (i32, u8, u8)) -> (String, String) {
        let mut wanted = CertificateParams::new([name.to_string()]).unwrap();
        wanted.not_after = rcgen::date_time_ymd(end.0, end.1, end.2);
        let key = KeyPair::generate().unwrap();
        let made = wanted.signed_by(&key, &self.0).unwrap();
        (made.pem(), key.serialize_pem())
    }

    /// In seconds since 1970.
    pub fn not_after(&self) -> f64 {
        let (year, month, day) = END;
        rcgen::date_time_ymd(year, month, day).unix_timestamp() as f64
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn client(&self) -> TlsClient {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        TlsClient(Arc::new(roots))
    }
}

/// A client that trusts one authority alone.
#[derive(Clone)]
pub struct TlsClient(Arc<rustls::RootCertStore>);

impl TlsClient {
    /// A connection to `localhost` that offers `alpn`; each with a handshake of its own.
    pub async fn connect(
        &self,
        port: u16,
        alpn: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.0.clone())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    /// The certificate that a new connection is shown.
    pub async fn shown(&self, port: u16) -> Vec<u8> {
        let stream = self.connect(port, &[]).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        shown[0].to_vec()
    }
}

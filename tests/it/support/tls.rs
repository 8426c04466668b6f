//! Stands before a node and speaks TLS in its stead, with a certificate that it has made itself.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::listening::Listening;

pub struct TlsDoor {
    listening: Listening,
    /// Of `localhost`, in PEM.
    pub certificate: String,
}

impl TlsDoor {
    pub async fn before(node: SocketAddr) -> TlsDoor {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listening = Listening::serving(move |client| {
            let acceptor = acceptor.clone();
            async move {
                // A client that doesn't trust it goes.
                let mut client = acceptor.accept(client).await?;
                let mut node = TcpStream::connect(node).await?;
                tokio::io::copy_bidirectional(&mut client, &mut node).await
            }
        });
        TlsDoor {
            listening: listening.await,
            certificate: made.cert.pem(),
        }
    }

    /// Where it is, by the name that it has a certificate for.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.listening.address.port())
    }
}

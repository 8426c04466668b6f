//! Stands before a node and speaks TLS in its stead, with a certificate that it has made itself.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub struct TlsDoor {
    port: u16,
    /// Of `localhost`, in PEM.
    pub certificate: String,
    task: JoinHandle<()>,
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
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Whichever side ends it, it is over; and a client that doesn't trust it goes.
                    let mut client = acceptor.accept(client).await?;
                    let mut node = TcpStream::connect(node).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut node).await
                });
            }
        });
        TlsDoor {
            port,
            certificate: made.cert.pem(),
            task,
        }
    }

    /// Where it is, by the name that it has a certificate for.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.port)
    }
}

impl Drop for TlsDoor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

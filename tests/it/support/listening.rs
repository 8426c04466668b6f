//! A listener of this process: each connection is served apart. Once it is dropped, it takes no more.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub struct Listening {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listening {
    /// On a free port. What comes of a connection is of no interest: whichever side ends it, it is over.
    pub async fn serving<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Listening
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client));
            }
        });
        Listening { address, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

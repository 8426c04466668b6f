//! Stands before a server and passes bytes on, until the way is cut: then what is sent goes nowhere, as in a
//! network that is split.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub struct TcpGate {
    pub address: SocketAddr,
    is_cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl TcpGate {
    pub async fn before(server: SocketAddr) -> TcpGate {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_cut, cut) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, cut.clone()));
            }
        });
        TcpGate {
            address,
            is_cut,
            task,
        }
    }

    /// Both ends are kept, and hear nothing.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// What was cut breaks now; new connections pass.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

impl Drop for TcpGate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, mut cut: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    tokio::select! {
        _ = cut.wait_for(|is_cut| *is_cut) => {}
        _ = copy_bidirectional(&mut client, &mut server) => return,
    }
    // An error says that the test is over.
    let _ = cut.wait_for(|is_cut| !*is_cut).await;
}

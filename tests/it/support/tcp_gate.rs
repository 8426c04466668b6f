//! Stands before a server and passes bytes on, until the way is cut: then what is sent goes nowhere, as in a
//! network that is split.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::listening::Listening;

pub struct TcpGate {
    pub listening: Listening,
    is_cut: watch::Sender<bool>,
}

impl TcpGate {
    pub async fn before(server: SocketAddr) -> TcpGate {
        let (is_cut, cut) = watch::channel(false);
        let listening = Listening::serving(move |client| pass(client, server, cut.clone()));
        TcpGate {
            listening: listening.await,
            is_cut,
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

//! What follows from `forebay.listen`.

use std::net::SocketAddr;

use super::settings::ListenSettings;

impl ListenSettings {
    /// All of them.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let https = self.https.iter().map(|https| https.address);
        let clients = self.http.iter().copied().chain(https);
        clients.chain(self.metrics).chain(self.admin).collect()
    }

    /// Whether others than this machine can reach the admin listener.
    pub fn is_admin_exposed(&self) -> bool {
        self.admin
            .is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }
}

//! Opens streams: TCP and TLS by Pingora, addresses in turn by us.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::connectors::TransportConnector;
use pingora::protocols::Stream;
use pingora::{Error, ErrorType};

use super::access::{CONNECT_TIME_MAX, NodeAccess, peer};
use super::addresses::{NodeAddresses, NodeNames};
use super::fault::SendFault;
use crate::clock;
use crate::node::connection::NodeConnection;

/// Opens connections for all links. One per process.
pub struct Connector {
    transport: TransportConnector,
    names: Arc<NodeNames>,
}

impl Connector {
    /// Reaches nodes by `access`.
    pub fn new(access: &NodeAccess) -> Connector {
        Connector {
            transport: access.transport(),
            names: access.names().clone(),
        }
    }

    pub(super) fn names(&self) -> &NodeNames {
        &self.names
    }

    /// Opens a stream to one of `addresses`, by TLS if `tls_name` is given, for what isn't HTTP.
    pub(super) async fn open_stream(
        &self,
        addresses: Vec<SocketAddr>,
        tls_name: Option<&str>,
    ) -> Result<Stream, SendFault> {
        self.open_some(&NodeAddresses::new(addresses), tls_name)
            .await
    }

    /// Opens a connection to one of `addresses`, by TLS if `tls_name` is given.
    pub(super) async fn open(
        &self,
        addresses: &NodeAddresses,
        tls_name: Option<&str>,
    ) -> Result<NodeConnection, SendFault> {
        let stream = self.open_some(addresses, tls_name).await?;
        Ok(NodeConnection::new(stream, clock::now()))
    }

    async fn open_some(
        &self,
        addresses: &NodeAddresses,
        tls_name: Option<&str>,
    ) -> Result<Stream, SendFault> {
        let turns = addresses.turns();
        let deadline = clock::now() + CONNECT_TIME_MAX;
        let mut fault = SendFault::NoAddress;
        for (turn, (place, address)) in turns.iter().enumerate() {
            let share = share(deadline, clock::now(), turn + 1 == turns.len());
            match self.open_at(*address, tls_name, share).await {
                Ok(stream) => {
                    addresses.found_good(*place);
                    return Ok(stream);
                }
                Err(why) => fault = why,
            }
        }
        addresses.found_none_good();
        Err(fault)
    }

    async fn open_at(
        &self,
        address: SocketAddr,
        tls_name: Option<&str>,
        time_max: Duration,
    ) -> Result<Stream, SendFault> {
        if tls_name == Some("") {
            // Pingora takes an empty name for leave to skip verification.
            return Err(SendFault::Tls("no name to verify".to_string()));
        }
        let peer = peer(address, tls_name, time_max);
        let opened = self.transport.new_stream(&peer).await;
        opened.map_err(|error| fault_of(&error))
    }
}

/// An address that stays silent must not use up the time of those after it: each but the last
/// gets half of what is left.
fn share(deadline: Instant, now: Instant, is_last: bool) -> Duration {
    let left = deadline.saturating_duration_since(now);
    if is_last { left } else { left / 2 }
}

fn fault_of(error: &Error) -> SendFault {
    // Its chain names the address and the host: that much of a URL may be shown.
    let text = error.to_string().trim_start().to_string();
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => SendFault::ConnectTimeout,
        ErrorType::TLSHandshakeFailure
        | ErrorType::TLSWantX509Lookup
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError => SendFault::Tls(text),
        _ => SendFault::Connect(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_silent_addresses_add_up_to_the_whole_limit() {
        let start = clock::now();
        let deadline = start + CONNECT_TIME_MAX;
        let first = share(deadline, start, false);
        assert_eq!(first, CONNECT_TIME_MAX / 2);
        assert_eq!(share(deadline, start + first, true), CONNECT_TIME_MAX / 2);
        assert_eq!(share(deadline, deadline + first, true), Duration::ZERO);
    }
}

//! Opens streams: TCP and TLS by Pingora, addresses in turn by us.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::{Stream, TcpKeepalive};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{PemObject, SectionKind};
use thiserror::Error;

use super::fault::SendFault;
use crate::clock;
use crate::node::connection::NodeConnection;

/// The longest that a connection may take to open, TLS and all addresses included.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// What the system holds for us of an answer that we don't take, as its client doesn't: left to
/// itself it grows to megabytes, and with many such the system drops others' packets. It makes twice as
/// much of it (socket(7)).
pub const RECEIVE_BUFFER_BYTES: usize = 256 << 10;
/// The most addresses tried for one connection.
pub const ADDRESSES_TRIED_MAX: usize = 4;

/// What of Pingora's own settings keeps connections from being opened at all.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ConnectorError {
    #[error("`{0}` under client_bind_to_… is not an IP address")]
    Bind(String),
    #[error("ca_file: {0}")]
    CaFile(String),
}

/// Opens connections for all links. One per process.
pub struct Connector {
    transport: TransportConnector,
}

impl Connector {
    /// Takes from Pingora's settings where to bind, whom to trust and where to offload.
    ///
    /// # Errors
    /// Settings over which Pingora itself would panic.
    pub fn new(conf: &ServerConf) -> Result<Connector, ConnectorError> {
        let bound = conf.client_bind_to_ipv4.iter();
        for address in bound.chain(&conf.client_bind_to_ipv6) {
            if address.parse::<IpAddr>().is_err() {
                return Err(ConnectorError::Bind(address.clone()));
            }
        }
        if let Some(path) = &conf.ca_file {
            check_ca_file(path).map_err(ConnectorError::CaFile)?;
        }
        let options = ConnectorOptions::from_server_conf(conf);
        Ok(Connector {
            transport: TransportConnector::new(Some(options)),
        })
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
        let list = addresses.list.load_full();
        let first = addresses.first.load(Ordering::Relaxed);
        let tries = list.len().min(ADDRESSES_TRIED_MAX);
        let deadline = clock::now() + CONNECT_TIME_MAX;
        let mut fault = SendFault::NoAddress;
        for turn in 0..tries {
            let index = (first + turn) % list.len();
            let share = share(deadline, clock::now(), turn + 1 == tries);
            match self.open_at(list[index], tls_name, share).await {
                Ok(stream) => {
                    addresses.first.store(index, Ordering::Relaxed);
                    return Ok(stream);
                }
                Err(why) => fault = why,
            }
        }
        // Let those that this call had no time for go first next time.
        let next = (first + tries) % list.len().max(1);
        addresses.first.store(next, Ordering::Relaxed);
        Err(fault)
    }

    async fn open_at(
        &self,
        address: SocketAddr,
        tls_name: Option<&str>,
        time_max: Duration,
    ) -> Result<Stream, SendFault> {
        let name = tls_name.unwrap_or_default();
        if tls_name == Some("") {
            // Pingora takes an empty name for leave to skip verification.
            return Err(SendFault::Tls("no name to verify".to_string()));
        }
        let mut peer = HttpPeer::new(address, tls_name.is_some(), name.to_string());
        peer.options.total_connection_timeout = Some(time_max);
        peer.options.tcp_recv_buf = Some(RECEIVE_BUFFER_BYTES);
        peer.options.tcp_keepalive = Some(TcpKeepalive {
            idle: Duration::from_secs(30),
            interval: Duration::from_secs(10),
            count: 3,
            #[cfg(target_os = "linux")]
            user_timeout: Duration::ZERO,
        });
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

fn check_ca_file(path: &str) -> Result<(), String> {
    let sections = <(SectionKind, Vec<u8>)>::pem_file_iter(path).map_err(|why| why.to_string())?;
    let mut store = RootCertStore::empty();
    for section in sections {
        let (kind, content) = section.map_err(|why| why.to_string())?;
        if kind != SectionKind::Certificate {
            return Err("holds something other than certificates".to_string());
        }
        let added = store.add(CertificateDer::from(content));
        added.map_err(|why| why.to_string())?;
    }
    Ok(())
}

/// Where a node is: its addresses, and which of them to try first.
pub(super) struct NodeAddresses {
    list: ArcSwap<Vec<SocketAddr>>,
    first: AtomicUsize,
}

impl NodeAddresses {
    pub(super) fn new(addresses: Vec<SocketAddr>) -> NodeAddresses {
        NodeAddresses {
            list: ArcSwap::from_pointee(addresses),
            first: AtomicUsize::new(0),
        }
    }

    /// Takes `addresses` over, unless it is empty. The one that was good goes first if it is
    /// still among them. Says whether they are others than before.
    pub(super) fn set(&self, addresses: Vec<SocketAddr>) -> bool {
        let before = self.list.load_full();
        if addresses.is_empty() || addresses == *before {
            return false;
        }
        let is_new = addresses.iter().any(|address| !before.contains(address));
        let good = before.get(self.first.load(Ordering::Relaxed));
        let first = addresses.iter().position(|address| Some(address) == good);
        self.list.store(addresses.into());
        self.first.store(first.unwrap_or(0), Ordering::Relaxed);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn order(addresses: &NodeAddresses) -> (Vec<u16>, usize) {
        let list = addresses.list.load_full();
        let ports = list.iter().map(SocketAddr::port).collect();
        (ports, addresses.first.load(Ordering::Relaxed))
    }

    #[test]
    fn an_empty_list_keeps_the_last_addresses() {
        let addresses = NodeAddresses::new(vec![address(1)]);
        addresses.set(vec![]);
        assert_eq!(order(&addresses), (vec![1], 0));
    }

    #[test]
    fn the_good_address_stays_first_in_a_new_list() {
        let addresses = NodeAddresses::new(vec![address(1), address(2)]);
        addresses.first.store(1, Ordering::Relaxed);
        addresses.set(vec![address(3), address(4), address(2)]);
        assert_eq!(order(&addresses), (vec![3, 4, 2], 2));
        addresses.set(vec![address(5)]);
        assert_eq!(order(&addresses), (vec![5], 0));
    }

    #[test]
    fn the_shares_of_silent_addresses_add_up_to_the_whole_limit() {
        let start = clock::now();
        let deadline = start + CONNECT_TIME_MAX;
        let first = share(deadline, start, false);
        assert_eq!(first, CONNECT_TIME_MAX / 2);
        assert_eq!(share(deadline, start + first, true), CONNECT_TIME_MAX / 2);
        assert_eq!(share(deadline, deadline + first, true), Duration::ZERO);
    }

    #[test]
    fn settings_over_which_pingora_would_panic_are_refused() {
        let mut conf = ServerConf {
            client_bind_to_ipv4: vec!["here".to_string()],
            ..ServerConf::default()
        };
        let fault = Connector::new(&conf).err();
        assert_eq!(fault, Some(ConnectorError::Bind("here".to_string())));
        conf.client_bind_to_ipv4.clear();
        conf.ca_file = Some("/nonexistent/ca.pem".to_string());
        let fault = Connector::new(&conf).err();
        assert!(matches!(fault, Some(ConnectorError::CaFile(_))));
    }
}

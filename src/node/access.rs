//! How nodes are reached, set here and nowhere else: which certificates to trust, where to come from, where names
//! lead, how long a connection may take, and what every request to a node says of us.
//!
//! Calls and sockets go over streams of Pingora's (`connector`), questions aside over reqwest (`rpc`).
//! A node that one of them reaches the others reach, too.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::TcpKeepalive;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, ClientBuilder, redirect};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{PemObject, SectionKind};
use thiserror::Error;
use url::{Host, Url};

use super::addresses::NodeNames;
use forebay_core::vocabulary::node::NodeSpec;

/// The longest that a connection may take to open, TLS and all addresses included.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// What the system holds for us of an answer that we don't take, as its client doesn't: left to
/// itself it grows to megabytes, and with many such the system drops others' packets. It makes twice as
/// much of it (socket(7)).
pub const RECEIVE_BUFFER_BYTES: usize = 256 << 10;
/// What every request says that isn't told otherwise by a node's own headers.
const AGENT: &str = "forebay";
/// A connection that says nothing is asked for a sign of life after the first, again after the second, so many
/// times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);
/// Unused connections kept for one host, of questions. Several nodes may share a host.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// An unused connection is closed after this long: before geth closes it, at 120 s.
const IDLE_MAX: Duration = Duration::from_secs(100);

/// What of Pingora's own settings keeps nodes from being reached at all.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum AccessError {
    #[error("`{0}` under client_bind_to_… is not an IP address")]
    Bind(String),
    #[error("ca_file: {0}")]
    CaFile(String),
}

/// How nodes are reached. One per process, as what is known of names is.
pub struct NodeAccess {
    options: ConnectorOptions,
    /// `None`: those that the system trusts.
    trusted: Option<Vec<Certificate>>,
    /// Where questions come from, to each family's addresses. Of several the first: a client of reqwest's has
    /// one.
    bound_v4: Option<IpAddr>,
    bound_v6: Option<IpAddr>,
    names: Arc<NodeNames>,
}

impl NodeAccess {
    /// Takes from Pingora's settings where to bind, which certificates to trust and where to offload.
    ///
    /// # Errors
    /// Settings over which Pingora itself would panic.
    pub fn new(conf: &ServerConf) -> Result<NodeAccess, AccessError> {
        let parse = |address: &String| {
            let parsed = address.parse::<IpAddr>();
            parsed.map_err(|_| AccessError::Bind(address.clone()))
        };
        let bound = |list: &[String]| list.iter().map(parse).collect::<Result<Vec<_>, _>>();
        let bound_v4 = bound(&conf.client_bind_to_ipv4)?;
        let bound_v6 = bound(&conf.client_bind_to_ipv6)?;
        let trusted = conf.ca_file.as_deref().map(trusted);
        Ok(NodeAccess {
            trusted: trusted.transpose().map_err(AccessError::CaFile)?,
            options: ConnectorOptions::from_server_conf(conf),
            bound_v4: bound_v4.first().copied(),
            bound_v6: bound_v6.first().copied(),
            names: Arc::default(),
        })
    }

    #[cfg(test)]
    pub fn plain() -> Arc<NodeAccess> {
        Arc::new(NodeAccess::new(&ServerConf::default()).unwrap())
    }

    pub(super) fn names(&self) -> &Arc<NodeNames> {
        &self.names
    }

    pub(super) fn transport(&self) -> TransportConnector {
        TransportConnector::new(Some(self.options.clone()))
    }

    /// The clients for questions. Where the system has no certificates at all, nodes on `http` can still be
    /// asked; each answer over `https` is then a failure.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub(super) fn query_clients(&self) -> Result<QueryClients, reqwest::Error> {
        super::install_tls();
        let is_bound = self.bound_v4.is_some() || self.bound_v6.is_some();
        let ipv4 = self.client(self.bound_v4)?;
        Ok(QueryClients {
            ipv6: is_bound.then(|| self.client(self.bound_v6)).transpose()?,
            ipv4,
            names: self.names.clone(),
        })
    }

    fn client(&self, from: Option<IpAddr>) -> Result<Client, reqwest::Error> {
        let builder = || self.builder().local_address(from);
        if let Some(trusted) = &self.trusted {
            return builder().tls_certs_only(trusted.clone()).build();
        }
        builder().build().or_else(|why| {
            log::warn!("nodes on https can't be asked for their heads: {why:?}");
            builder().tls_certs_only([]).build()
        })
    }

    /// It follows no redirect and heeds no proxy of the environment: calls don't, either.
    fn builder(&self) -> ClientBuilder {
        let (after, again, times) = KEEPALIVE;
        Client::builder()
            .dns_resolver(SharedNames(self.names.clone()))
            .connect_timeout(CONNECT_TIME_MAX)
            .tcp_keepalive(after)
            .tcp_keepalive_interval(again)
            .tcp_keepalive_retries(times)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .pool_idle_timeout(IDLE_MAX)
    }
}

/// For a stream to `address`, by TLS if `tls_name` is given, that may take `time_max` to open.
pub(super) fn peer(address: SocketAddr, tls_name: Option<&str>, time_max: Duration) -> HttpPeer {
    let name = tls_name.unwrap_or_default();
    let mut peer = HttpPeer::new(address, tls_name.is_some(), name.to_string());
    let (idle, interval, times) = KEEPALIVE;
    peer.options.total_connection_timeout = Some(time_max);
    peer.options.tcp_recv_buf = Some(RECEIVE_BUFFER_BYTES);
    peer.options.tcp_keepalive = Some(TcpKeepalive {
        idle,
        interval,
        count: times as usize,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::ZERO,
    });
    peer
}

/// What a request to `spec` says beside what frames it; the operator's words replace ours.
pub(super) fn headers(spec: &NodeSpec) -> impl Iterator<Item = (&str, &str)> {
    let ours = [("accept", "application/json")].into_iter();
    let ours = ours.filter(|(name, _)| !spec.headers.iter().any(|(own, _)| own == name));
    ours.chain(socket_headers(spec))
}

/// The same of a WebSocket's handshake, which asks for no document.
pub(super) fn socket_headers(spec: &NodeSpec) -> impl Iterator<Item = (&str, &str)> {
    let ours = [("user-agent", AGENT)].into_iter();
    let ours = ours.filter(|(name, _)| !spec.headers.iter().any(|(own, _)| own == name));
    let own = spec.headers.iter();
    ours.chain(own.map(|(name, value)| (&**name, value.reveal())))
}

/// The host of `url` as names and certificates write it, and its port.
pub(super) fn host_of(url: &Url) -> Option<(String, u16)> {
    let host = match url.host()? {
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => ip.to_string(),
        Host::Domain(name) => name.to_string(),
    };
    Some((host, url.port_or_known_default().unwrap_or(80)))
}

/// The clients for questions, by the family in which a node is reached.
pub struct QueryClients {
    ipv4: Client,
    /// Where it matters by which family a node is reached: a client that is bound reaches one alone.
    ipv6: Option<Client>,
    names: Arc<NodeNames>,
}

impl QueryClients {
    /// The client by which `spec` is asked, and the one for where that doesn't get through, if it has addresses of
    /// both families.
    pub(super) async fn toward(&self, spec: &NodeSpec) -> (&Client, Option<&Client>) {
        let (Some(ipv6), Some((host, port))) = (&self.ipv6, host_of(spec.url.reveal())) else {
            return (&self.ipv4, None);
        };
        let addresses = self.names.addresses(&host, port).await.unwrap_or_default();
        let are_mixed = addresses
            .windows(2)
            .any(|pair| pair[0].is_ipv4() != pair[1].is_ipv4());
        let (first, other) = match addresses.first() {
            Some(SocketAddr::V6(_)) => (ipv6, &self.ipv4),
            Some(SocketAddr::V4(_)) | None => (&self.ipv4, ipv6),
        };
        (first, are_mixed.then_some(other))
    }
}

/// For reqwest, which puts the port in itself.
struct SharedNames(Arc<NodeNames>);

impl Resolve for SharedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.0.clone();
        Box::pin(async move {
            let found = names.addresses(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn trusted(path: &str) -> Result<Vec<Certificate>, String> {
    let sections = <(SectionKind, Vec<u8>)>::pem_file_iter(path).map_err(|why| why.to_string())?;
    let mut store = RootCertStore::empty();
    let mut trusted = Vec::new();
    for section in sections {
        let (kind, content) = section.map_err(|why| why.to_string())?;
        if kind != SectionKind::Certificate {
            return Err("holds something other than certificates".to_string());
        }
        trusted.push(Certificate::from_der(&content).map_err(|why| why.to_string())?);
        let added = store.add(CertificateDer::from(content));
        added.map_err(|why| why.to_string())?;
    }
    Ok(trusted)
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;

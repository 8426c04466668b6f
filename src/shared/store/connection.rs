//! The way to the store: to one server, or to a cluster where the server says that it is part of one.

use std::time::Duration;

use redis::aio::{ConnectionLike as _, MultiplexedConnection, PubSub};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo as _, RedisResult,
    TlsCertificates, Value,
};

use super::{StoreConfig, StoreError};

/// The longest that connecting takes.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(1);
/// A question that nothing waits for any more is given up then.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What connects to the store.
pub(super) struct StoreClient {
    single: Client,
    cluster: Option<ClusterClient>,
}

/// A connection, over which many ask at once.
#[derive(Clone)]
pub(super) enum StoreConnection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl StoreClient {
    pub(super) fn new(config: &StoreConfig) -> Result<StoreClient, StoreError> {
        let info = config.url.reveal().into_connection_info();
        let info = info.map_err(|_| StoreError::Url("it is no redis:// or rediss:// URL"))?;
        let unfit = |_| StoreError::Url("its certificates or its address can't be used");
        let root = config.ca_file.as_ref().map(std::fs::read).transpose()?;
        let is_tls = config.url.reveal().starts_with("rediss:");
        let trusted = root.filter(|_| is_tls).map(|root| TlsCertificates {
            client_tls: None,
            root_cert: Some(root),
        });
        let single = match &trusted {
            Some(trusted) => Client::build_with_tls(info.clone(), trusted.clone()),
            None => Client::open(info.clone()),
        };
        Ok(StoreClient {
            single: single.map_err(unfit)?,
            cluster: cluster(info, trusted).ok(),
        })
    }

    pub(super) async fn connect(&self) -> RedisResult<StoreConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        let connecting = self
            .single
            .get_multiplexed_async_connection_with_config(&config);
        let mut single = connecting.await?;
        let mut question = redis::cmd("CLUSTER");
        question.arg("INFO");
        // A server of its own refuses this.
        let said = single.req_packed_command(&question).await;
        let is_cluster = said.and_then(Value::extract_error).is_ok();
        match self.cluster.as_ref().filter(|_| is_cluster) {
            Some(cluster) => Ok(StoreConnection::Cluster(
                cluster.get_async_connection().await?,
            )),
            None => Ok(StoreConnection::Single(single)),
        }
    }

    /// A connection to listen over. In a cluster any server tells what was said to any other.
    pub(super) async fn listen(&self) -> RedisResult<PubSub> {
        self.single.get_async_pubsub().await
    }
}

fn cluster(info: ConnectionInfo, trusted: Option<TlsCertificates>) -> RedisResult<ClusterClient> {
    let builder = ClusterClientBuilder::new([info])
        .connection_timeout(CONNECT_MAX)
        .response_timeout(ANSWER_MAX)
        .retries(1);
    match trusted {
        Some(trusted) => builder.certs(trusted).build(),
        None => builder.build(),
    }
}

impl StoreConnection {
    pub(super) async fn ask(&self, command: &Cmd) -> RedisResult<Value> {
        let said = match self {
            StoreConnection::Single(single) => single.clone().req_packed_command(command).await,
            StoreConnection::Cluster(cluster) => cluster.clone().req_packed_command(command).await,
        };
        said?.extract_error()
    }
}

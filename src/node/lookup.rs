//! Asking a node for a block that a subscription needs: its header, or its logs.

use std::sync::Arc;
use std::time::Duration;

use super::probe::{Prober, within};
use super::probed_head::BLOCK_BYTES_MAX;
use crate::node::rpc::{RpcFailure, RpcQuery, ask};
use forebay_core::feed::log_match::BlockLogs;
use forebay_core::vocabulary::chain::{BlockHash, BlockNumber};
use forebay_core::vocabulary::header::Header;
use forebay_core::vocabulary::node::NodeSpec;

/// The longest answer with a block's logs that is read, in bytes.
pub const LOGS_BYTES_MAX: usize = 32 << 20;

impl Prober {
    /// The header of the block `hash`; `None` where the node doesn't have it. It takes no longer than
    /// `timeout`.
    ///
    /// # Errors
    /// See [`RpcFailure`].
    pub async fn header(
        &self,
        spec: &NodeSpec,
        hash: BlockHash,
        timeout: Duration,
    ) -> Result<Option<Arc<Header>>, RpcFailure> {
        let params = format!(r#"["{hash}",false]"#);
        let asked = self.block(spec, "eth_getBlockByHash", &params, timeout);
        let header = asked.await?;
        Ok(header.filter(|header| header.hash == hash))
    }

    /// The header of the block that the node has under `number`; `None` where it has none. It takes no
    /// longer than `timeout`.
    ///
    /// # Errors
    /// See [`RpcFailure`].
    pub async fn header_at(
        &self,
        spec: &NodeSpec,
        number: BlockNumber,
        timeout: Duration,
    ) -> Result<Option<Arc<Header>>, RpcFailure> {
        let params = format!(r#"["{:#x}",false]"#, number.0);
        self.block(spec, "eth_getBlockByNumber", &params, timeout)
            .await
    }

    async fn block(
        &self,
        spec: &NodeSpec,
        method: &'static str,
        params: &str,
        timeout: Duration,
    ) -> Result<Option<Arc<Header>>, RpcFailure> {
        let question = RpcQuery {
            method,
            params,
            answer_bytes_max: BLOCK_BYTES_MAX,
            read: |result| Ok(Header::read(result)),
        };
        within(timeout, ask(&self.query_clients(), spec, &question)).await
    }

    /// All logs of the block `hash`. It takes no longer than `timeout`.
    ///
    /// # Errors
    /// See [`RpcFailure`]; a node that doesn't have the block says so by an error, as a rule.
    pub async fn logs(
        &self,
        spec: &NodeSpec,
        hash: BlockHash,
        timeout: Duration,
    ) -> Result<BlockLogs, RpcFailure> {
        let params = format!(r#"[{{"blockHash":"{hash}"}}]"#);
        let question = RpcQuery {
            method: "eth_getLogs",
            params: &params,
            answer_bytes_max: LOGS_BYTES_MAX,
            read: |result| Ok(result.to_string()),
        };
        let result = within(timeout, ask(&self.query_clients(), spec, &question)).await?;
        BlockLogs::read(&result, hash).ok_or(RpcFailure::BadAnswer(
            "answered other than the block's logs",
        ))
    }
}

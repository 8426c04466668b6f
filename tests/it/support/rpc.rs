//! JSON-RPC to one endpoint, for arranging a scene: what goes wrong here fails the test.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::{PATIENCE, http};
use forebay_core::vocabulary::hex;

/// An endpoint on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Rpc {
    pub address: SocketAddr,
}

impl Rpc {
    pub fn on_port(port: u16) -> Rpc {
        Rpc {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    pub fn url(self) -> String {
        format!("http://{}", self.address)
    }

    /// The whole answer to one call.
    ///
    /// # Errors
    /// When none comes within `deadline`, or it is cut off.
    pub async fn ask(
        self,
        method: &str,
        params: Value,
        deadline: Duration,
    ) -> Result<Value, String> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = http::post(self.address, &call.to_string(), deadline).await?;
        serde_json::from_slice(&answer.body).map_err(|error| error.to_string())
    }

    /// The result of one call.
    pub async fn call(self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params, PATIENCE).await;
        let mut answer = answer.unwrap_or_else(|why| panic!("{method}: {why}"));
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// The number that `method` answers in hexadecimal.
    pub async fn number(self, method: &str) -> u64 {
        let result = self.call(method, json!([])).await;
        number(&result)
    }

    /// Whether it answers at all, soon.
    pub async fn answers(self) -> bool {
        let soon = Duration::from_secs(2);
        self.ask("eth_blockNumber", json!([]), soon).await.is_ok()
    }
}

/// The number that a QUANTITY says; `None`: it is none.
pub fn read_quantity(value: &Value) -> Option<u64> {
    hex::quantity_in(value.as_str()?)
}

/// The same, of what must be one.
pub fn number(value: &Value) -> u64 {
    read_quantity(value).unwrap_or_else(|| panic!("{value} is no quantity"))
}

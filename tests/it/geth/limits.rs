//! geth's own limits, and what becomes of a call that meets one.

use serde_json::json;

use super::stage::Stage;
use crate::support::PATIENCE;

/// Runs until it is stopped: `JUMPDEST`, `PUSH1 0`, `JUMP`.
const ENDLESS: &str = "0x5b600056";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_never_ends_is_run_once_and_ends_with_geths_own_word() {
    let no_gas_limit: &[&str] = &["--rpc.gascap=0"];
    let stage = Stage::set(&[("a", no_gas_limit), ("b", no_gas_limit)], "").await;
    let to = "0x00000000000000000000000000000000000e4d1e";
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "eth_call",
        "params": [{"to": to, "gas": "0xffffffffffff"}, "latest", {to: {"code": ENDLESS}}],
    });
    let began_at = forebay::clock::now();
    let answer = stage.balancer.post(&call.to_string()).await;
    let took = began_at.elapsed();
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains("execution aborted (timeout"), "{message}");
    assert_eq!(answer.header("x-forebay-attempts"), None, "once");
    println!("geth's word came after {took:?}");
    assert!(took < PATIENCE);
    for name in ["a", "b"] {
        stage.becomes(name, 1.0).await;
    }
}

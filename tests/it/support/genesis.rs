//! The genesis of a chain of tests, and the accounts in it.

use serde_json::{Value, json};

/// Logs its calldata, the first word as topic, and counts in slot 0.
pub const EMITTER: &str = "0x00000000000000000000000000000000000000e0";
/// Never ends.
pub const LOOPER: &str = "0x00000000000000000000000000000000000000e1";
/// Reverts with `Error("no")`.
pub const REVERTER: &str = "0x00000000000000000000000000000000000000e2";
/// Gives as many zero bytes as its first word says.
pub const LARGE: &str = "0x00000000000000000000000000000000000000e3";
/// Gets 1 gwei with each block: else an old state could be the present one, which is never missing.
pub const SAVER: &str = "0x00000000000000000000000000000000000000dd";
/// Rich from the genesis on; the wallet signs for it. anvil's first account.
pub const RICH: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";

/// All forks up to Osaka from the first block on.
pub fn genesis(born_at: u64) -> Value {
    let mut config = json!({"chainId": 1337, "terminalTotalDifficulty": 0});
    let by_block =
        "homestead eip150 eip155 eip158 byzantium constantinople petersburg istanbul berlin london";
    for fork in by_block.split(' ') {
        config[format!("{fork}Block")] = json!(0);
    }
    for fork in ["shanghai", "cancun", "prague", "osaka"] {
        config[format!("{fork}Time")] = json!(0);
    }
    let blobs = |target, fraction| json!({"target": target, "max": target + 3, "baseFeeUpdateFraction": fraction});
    config["blobSchedule"] = json!({
        "cancun": blobs(3, 3_338_477), "prague": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716},
        "osaka": blobs(6, 5_007_716),
    });
    let code = |code: &str| json!({"balance": "0x0", "code": code});
    json!({
        "config": config, "difficulty": "0x0", "gasLimit": "0x3938700", "extraData": "0x",
        "timestamp": format!("{born_at:#x}"), "baseFeePerGas": "0x3b9aca00",
        "alloc": {
            (RICH): {"balance": "0x21e19e0c9bab2400000"},
            (EMITTER): code("0x366000600037600160005401600055600035366000a160005460005260206000f3"),
            (LOOPER): code("0x5b600056"),
            (REVERTER): code("0x6308c379a060e01b60005260206004526002602452616e6f60f01b60445260646000fd"),
            (LARGE): code("0x6000356000f3"),
            // In the place of the contracts that each block calls at its end: never a request.
            "0x00000961ef480eb55e80d19ad83579a64c007002": code("0x00"),
            "0x0000bbddc7ce488642fb579f8b00f3a590007251": code("0x00"),
        },
    })
}

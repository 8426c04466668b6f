#!/usr/bin/env bash
# anvil 1.7.1, npm @foundry-rs/anvil: eth_feeHistory for a block that isn't mined yet is a success.
#
# A freshly started anvil stands at block 0. Asked for the fees of one block up to block 80 it names
# block 80 as the oldest, with a base fee and no gas used ratio; asked for the balance at block 80 it
# refuses (-32602, BlockOutOfRangeError), and block 80 itself is null. geth 1.17.10 refuses the same
# question: "request beyond head block". And a count of 0 blocks is answered with one block's fees.
#
# So the answer to eth_feeHistory says nothing of whether the node has the block.
set -euo pipefail

folder=$(mktemp -d)
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @foundry-rs/anvil@1.7.1 >&2
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil --port "$port" --no-mining --silent &
anvil=$!
trap 'kill $anvil; rm -rf "$folder"' EXIT

ask() { # ask METHOD PARAMS
    curl --silent --max-time 5 --retry 20 --retry-connrefused --retry-delay 1 \
        --header 'content-type: application/json' \
        --data "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"$1\",\"params\":$2}" "http://127.0.0.1:$port"
}

expect() { # expect WHAT ANSWER PATTERN
    printf '%s: %s\n' "$1" "$2"
    grep --quiet --extended-regexp "$3" <<<"$2" || { echo "no longer so: expected $3"; exit 1; }
}

expect 'the head' "$(ask eth_blockNumber '[]')" '"result":"0x0"'
expect 'block 80' "$(ask eth_getBlockByNumber '["0x50",false]')" '"result":null'
expect 'a balance at block 80' \
    "$(ask eth_getBalance '["0x0000000000000000000000000000000000000000","0x50"]')" '"code":-32602.*BlockOutOfRange'
expect 'the fees up to block 80' "$(ask eth_feeHistory '["0x1","0x50",[]]')" \
    '"baseFeePerGas":\["0x[0-9a-f]+"\],"gasUsedRatio":\[\].*"oldestBlock":"0x50"'
expect 'the fees of no blocks' "$(ask eth_feeHistory '["0x0","latest",[]]')" '"gasUsedRatio":\[0.0\]'
echo 'as described'

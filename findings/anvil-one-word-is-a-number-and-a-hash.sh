#!/usr/bin/env bash
# anvil 1.7.1, npm @foundry-rs/anvil: 64 digits are a block's number to one method, and a block's hash to another.
#
# Where a method takes a number or a tag (eth_getBlockByNumber, eth_getBlockTransactionCountByNumber), 0x and 64
# digits, zeros in front, are the number: block 1 is found by them. Where it takes any block (eth_getBalance,
# eth_getBlockReceipts) the same word is a hash, which no block has: an error, or null.
#
# So what such a word means can't be told without the method, and the answer to the first is no lie of the node's.
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

word=$(printf '"0x%064x"' 1)
nobody='"0x0000000000000000000000000000000000000000"'
expect 'a block is mined' "$(ask evm_mine '[]')" '"result":"0x0"'
expect 'the block by number' "$(ask eth_getBlockByNumber "[$word,false]")" '"number":"0x1"'
expect 'its transactions by number' "$(ask eth_getBlockTransactionCountByNumber "[$word]")" '"result":"0x0"'
expect 'its receipts' "$(ask eth_getBlockReceipts "[$word]")" '"result":null'
expect 'a balance there' "$(ask eth_getBalance "[$nobody,$word]")" '"code":-32001.*Resource not found'
expect 'a balance at 0x1' "$(ask eth_getBalance "[$nobody,\"0x1\"]")" '"result":"0x0"'
echo 'as described'

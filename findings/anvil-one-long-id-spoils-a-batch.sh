#!/usr/bin/env bash
# anvil 1.7.1, npm @foundry-rs/anvil: one id beyond 2^63 - 1 and a whole batch is refused.
#
# JSON-RPC allows any number as an id, and servers written in Go, Rust or JavaScript hand a whole one back, at
# worst rounded. anvil keeps ids as signed 64 bits: 9223372036854775807 comes back as it was sent, the
# next one is an "Invalid request" with id null. In a batch it isn't the member that fails: all members
# are answered by that one object, no array, so a client that waits for ids 1 and 2 hears of neither.
#
# Ids that are random 64 bits fail half the time, with batches of ten nearly always; ids of a
# counter never do. Whoever makes ids for a node should stay below 2^63.
set -euo pipefail

folder=$(mktemp -d)
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @foundry-rs/anvil@1.7.1 >&2
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil --port "$port" --chain-id 1 --no-mining --silent &
anvil=$!
trap 'kill $anvil; rm -rf "$folder"' EXIT

ask() { # ask BODY
    curl --silent --max-time 5 --retry 20 --retry-connrefused --retry-delay 1 \
        --header 'content-type: application/json' --data "$1" "http://127.0.0.1:$port"
}

call() { # call ID
    printf '{"jsonrpc":"2.0","id":%s,"method":"eth_chainId","params":[]}' "$1"
}

expect() { # expect WHAT FOUND EXPECTED
    printf '%s: %s\n' "$1" "$2"
    [ "$2" = "$3" ] || { echo "no longer so: it was $3"; exit 1; }
}

refused='{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request"}}'
expect 'the last good id' "$(ask "$(call 9223372036854775807)")" \
    '{"jsonrpc":"2.0","id":9223372036854775807,"result":"0x1"}'
expect 'the next one' "$(ask "$(call 9223372036854775808)")" "$refused"
expect 'one of three in a batch' \
    "$(ask "[$(call 1),$(call 9223372036854775808),$(call 2)]")" "$refused"

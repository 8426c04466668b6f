#!/usr/bin/env bash
# ganache 7.9.2, npm ganache: whatever has no code of its own is a parse error, -32700.
#
# A method that it lacks (elsewhere -32601), a block beyond its head (-32000 or -32602), a filter that is gone or
# a transaction nobody knows (-32000): all come back with the code that JSON-RPC has for text which isn't JSON,
# in a HTTP 200 and with the call's id. The words are geth's ("header not found", "filter not found", "does not
# exist/is not available"), so here the words tell what happened and the code doesn't. A revert has a code of
# its own (-32000). Beside code and message stands a stack, with the names of the server's files.
#
# So who goes by codes takes such an answer for a fault of the envelope: won't learn that the method is
# missing, won't ask a node that has the block, won't make the filter anew (viem does so on -32000).
set -euo pipefail

folder=$(mktemp -d)
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts ganache@7.9.2 >&2
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
node node_modules/ganache/dist/node/cli.js --server.host 127.0.0.1 --server.port "$port" --chain.chainId 1 \
    --logging.quiet >/dev/null 2>&1 &
ganache=$!
trap 'kill $ganache; rm -rf "$folder"' EXIT

ask() { # ask METHOD PARAMS: the status, and of the answer id, code, whether there is a stack, and the words
    curl --silent --max-time 5 --retry 60 --retry-connrefused --retry-delay 1 --write-out '\n%{http_code}' \
        --header 'content-type: application/json' \
        --data "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"$1\",\"params\":$2}" "http://127.0.0.1:$port" | python3 -c '
import json, sys
body, status = sys.stdin.read().rsplit("\n", 1)
answer = json.loads(body)
error = answer.get("error", {})
stack = "a stack" if "stack" in error else "no stack"
print(status, answer["id"], error.get("code"), stack, error.get("message"))'
}

expect() { # expect WHAT FOUND PATTERN
    printf '%s: %s\n' "$1" "$2"
    grep --quiet --extended-regexp "^$3" <<<"$2" || { echo "no longer so: expected $3"; exit 1; }
}

nobody='"0x0000000000000000000000000000000000000000"'
expect 'a method that it lacks' "$(ask eth_getBlockReceipts '["latest"]')" \
    '200 7 -32700 a stack .*does not exist/is not available'
expect 'a balance beyond its head' "$(ask eth_getBalance "[$nobody,\"0x5000\"]")" '200 7 -32700 a stack header not found'
expect 'a filter that it has not' "$(ask eth_getFilterChanges '["0x99"]')" '200 7 -32700 a stack filter not found'
expect 'a trace of an unknown transaction' "$(ask debug_traceTransaction "[\"0x$(printf '11%.0s' {1..32})\"]")" \
    '200 7 -32700 a stack Unknown transaction'
expect 'a revert' "$(ask eth_call '[{"data":"0x60006000fd"},"latest"]')" '200 7 -32000 a stack VM Exception'
echo 'as described'

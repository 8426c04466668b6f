#!/usr/bin/env bash
# web3.py 8.0.0, PyPI web3, with anvil 1.7.1, npm @foundry-rs/anvil: the cache of answers asks more than none.
#
# With cache_allowed_requests, which is off by default, it keeps a block or a transaction only where it is old
# enough: not above the "finalized" block on chain 1, an hour old on a chain that it doesn't know. What it finds
# out for one answer it doesn't keep for the next: on chain 1 it asks for the chain's id and for the finalized
# block after each answer, elsewhere for the block that it was just given. So near the head, where nothing is
# kept, three times the same block are 9 requests on chain 1 and 6 on another, where they are 3 without
# a cache; three times the same mined transaction are 12, 6 and 3. A final block is asked for once.
#
# And of a pending transaction, whose block is null, it asks for the block null,
#     {"method": "eth_getBlockByNumber", "params": [null, false]}
# which no node has to understand (anvil: -32602); the caller gets the transaction, the log an error.
#
# So the nearer to the head such a client works the more it asks, most of it eth_chainId, "finalized" and blocks
# asked for twice, and its share of errors is that of its pending transactions.
set -euo pipefail

folder=$(mktemp -d)
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @foundry-rs/anvil@1.7.1 >&2
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check web3==8.0.0 >&2
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
anvil=node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil
known=$(free) unknown=$(free)
"$anvil" --port "$known" --chain-id 1 --no-mining --silent &
first=$!
"$anvil" --port "$unknown" --chain-id 31337 --no-mining --silent &
second=$!
trap 'kill $first $second; rm -rf "$folder"' EXIT
for port in "$known" "$unknown"; do
    curl --silent --output /dev/null --max-time 5 --retry 20 --retry-connrefused --retry-delay 1 \
        --header 'content-type: application/json' \
        --data '{"jsonrpc":"2.0","id":1,"method":"anvil_mine","params":["0x5"]}' "http://127.0.0.1:$port"
done

cat >count.py <<'END'
"""Says what goes to the node while each thing is asked for three times."""
import logging
import sys
from collections import Counter

from web3 import HTTPProvider, Web3

url, cache = sys.argv[1], sys.argv[2] == "cache"
logging.disable()
sent = []


class Recorder(HTTPProvider):
    def encode_rpc_request(self, method, params):
        first = params[0] if method == "eth_getBlockByNumber" else None
        sent.append(f"block {first}" if method == "eth_getBlockByNumber" else method.removeprefix("eth_"))
        return super().encode_rpc_request(method, params)


node = Web3(Recorder(url, cache_allowed_requests=cache))
wallet = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
price = int(1e10) + cache  # another transaction with than without
pending = node.provider.make_request(
    "eth_sendTransaction", [{"from": wallet, "to": wallet, "gasPrice": hex(price)}]
)["result"]


def three_times(what, ask):
    sent.clear()
    for _ in range(3):
        ask()
    print(f"{what}: " + ", ".join(f"{n} {name}" for name, n in sorted(Counter(sent).items())))


three_times("block 2", lambda: node.eth.get_block(2))
three_times("block 0", lambda: node.eth.get_block(0))
three_times("pending", lambda: node.eth.get_transaction(pending))
node.provider.make_request("evm_mine", [])
three_times("mined", lambda: node.eth.get_transaction(pending))
END

expect() { # expect WHAT FOUND EXPECTED
    printf '%s\n%s\n' "-- $1" "$2"
    [ "$2" = "$3" ] || { printf 'no longer so: it was\n%s\n' "$3"; exit 1; }
}

count() { python/bin/python count.py "http://127.0.0.1:$1" "$2"; }
without='block 2: 3 block 0x2
block 0: 3 block 0x0
pending: 3 getTransactionByHash
mined: 3 getTransactionByHash'
expect 'chain 1, no cache' "$(count "$known" none)" "$without"
expect 'another chain, no cache' "$(count "$unknown" none)" "$without"
expect 'chain 1, cache' "$(count "$known" cache)" 'block 2: 3 block 0x2, 3 block finalized, 3 chainId
block 0: 1 block 0x0, 1 block finalized, 1 chainId
pending: 3 block None, 3 chainId, 3 getTransactionByHash
mined: 3 block 0x7, 3 block finalized, 3 chainId, 3 getTransactionByHash'
expect 'another chain, cache' "$(count "$unknown" cache)" 'block 2: 6 block 0x2, 1 chainId
block 0: 6 block 0x0
pending: 3 block None, 3 getTransactionByHash
mined: 3 block 0x7, 3 getTransactionByHash'
refused=$(curl --silent --max-time 5 --header 'content-type: application/json' \
    --data '{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":[null,false]}' "http://127.0.0.1:$known")
printf 'block null: %s\n' "$refused"
grep --quiet '"code":-32602' <<<"$refused" || { echo 'no longer so: it was -32602'; exit 1; }
echo 'as described'

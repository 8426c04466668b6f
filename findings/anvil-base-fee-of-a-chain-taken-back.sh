#!/usr/bin/env bash
# anvil 1.7.1, npm @foundry-rs/anvil: the base fee goes on from a chain that was taken back.
#
# Blocks without transactions lower the base fee by an eighth each, and it is the parent that says
# what an eighth is (EIP-1559). anvil computes the next block's fee from the newest block that it
# has ever mined: after anvil_reorg, anvil_rollback and evm_revert the first new block carries the
# fee that would have followed the blocks that are gone. Five empty blocks, then a reorg of three:
# block 3 had 765,625,000 wei and has 512,908,936, an eighth less than what block 5 had.
# evm_revert promises the state of the snapshot; the fee of the next block isn't part of it.
#
# So headers of a development chain don't prove their parent by the fee, and a story that compares
# fees, costs or balances before and after a reorg sees them change without any transaction.
set -euo pipefail

folder=$(mktemp -d)
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @foundry-rs/anvil@1.7.1 >&2
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil --port "$port" --no-mining --silent &
anvil=$!
trap 'kill $anvil; rm -rf "$folder"' EXIT

ask() { # ask METHOD PARAMS
    curl --silent --fail --max-time 5 --retry 20 --retry-connrefused --retry-delay 1 \
        --header 'content-type: application/json' \
        --data "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"$1\",\"params\":$2}" "http://127.0.0.1:$port"
}

fee() { # fee BLOCK: its base fee in wei
    ask eth_getBlockByNumber "[\"$1\",false]" |
        python3 -c 'import json, sys; print(int(json.load(sys.stdin)["result"]["baseFeePerGas"], 16))'
}

expect() { # expect WHAT FOUND EXPECTED
    printf '%s: %s\n' "$1" "$2"
    [ "$2" = "$3" ] || { echo "no longer so: it was $3"; exit 1; }
}

ask anvil_mine '["0x5"]' >/dev/null
expect 'block 2' "$(fee 0x2)" 875000000
expect 'block 3' "$(fee 0x3)" 765625000
expect 'block 5' "$(fee 0x5)" 586181641
ask anvil_reorg '[3,[]]' >/dev/null
expect 'block 2 after a reorg of three blocks' "$(fee 0x2)" 875000000
expect 'block 3, an eighth less than block 5 had' "$(fee 0x3)" 512908936

snapshot=$(ask evm_snapshot '[]' | grep -o '"0x[0-9a-f]*"')
newest=$(fee 0x5)
ask anvil_mine '["0x3"]' >/dev/null
gone=$(fee 0x8)
ask evm_revert "[$snapshot]" >/dev/null
ask evm_mine '[]' >/dev/null
expect 'block 5 after evm_revert' "$(fee 0x5)" "$newest"
expect 'block 6, an eighth less than block 8 had' "$(fee 0x6)" $((gone - gone / 8))
echo 'as described'

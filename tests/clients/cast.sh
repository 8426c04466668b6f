#!/usr/bin/env bash
# What an operator with cast does, against the endpoint given: cast.sh URL
# Prints `ok` last and exits with 0; anything else is a failure. The node must be anvil.
set -euo pipefail

url=$1
cast=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.parts/bin/cast
# anvil's first account, known to everyone.
key=0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80
account=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
other=0x00000000000000000000000000000000000000dd
# Answers 42 to every call: PUSH 42, MSTORE, RETURN, behind a constructor that copies it.
forty_two=0x600a600c600039600a6000f3602a60005260206000f3

export ETH_RPC_URL=$url
run() { timeout 60 "$cast" "$@"; }

expect() { # expect WHAT WANTED GOT
    [ "$2" = "$3" ] || { echo "$1: wanted $2, got $3" >&2; exit 1; }
}

# One member of a JSON text on stdin, by node, which the tests need anyway.
member() { node -e 'const text = require("fs").readFileSync(0); console.log(JSON.parse(text)[process.argv[1]])' "$1"; }

[ "$(run balance "$account")" != 0 ]

receipt=$(run send --json --private-key "$key" --create "$forty_two")
contract=$(member contractAddress <<<"$receipt")
answer=$(run call "$contract")
expect "the contract's answer" 42 "$((answer))"

before=$(run balance "$other")
receipt=$(run send --json --private-key "$key" "$other" --value 7)
expect "the receipt's status" 0x1 "$(member status <<<"$receipt")"
expect "the balance" "$((before + 7))" "$(run balance "$other")"

# cast sends no batches of its own: one by hand, whose order must be kept.
batch='[{"jsonrpc":"2.0","id":"b","method":"eth_chainId"},{"jsonrpc":"2.0","id":7,"method":"eth_getBalance","params":["'$other'","latest"]}]'
answers=$(curl --silent --show-error --fail --max-time 20 -H 'content-type: application/json' -d "$batch" "$url")
expect "the batch's ids and balance" "b 7 $((before + 7))" "$(node -e '
    const [first, second] = JSON.parse(require("fs").readFileSync(0))
    console.log(first.id, second.id, Number(second.result))' <<<"$answers")"
echo ok

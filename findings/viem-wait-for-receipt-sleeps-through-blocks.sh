#!/usr/bin/env bash
# viem 2.57.20, npm viem, with anvil 1.7.1, npm @foundry-rs/anvil: a wait for a receipt sleeps through blocks.
#
# waitForTransactionReceipt says of itself that it asks for the receipt at each block. It does while the node
# knows the transaction. While the node doesn't, it asks for the transaction alone, in pauses that double from
# 0.2 s to 6.4 s, and whatever new blocks its polling sees (every 0.1 s here) are passed over until the pauses
# end. So a transaction that the node hears of 1.9 s after the wait began is reported at 3 s, and one of 7 s at
# 12.6 s, some 17 blocks of 0.3 s after the one that has it: the lateness grows with the wait, not with the
# time of a block. eth_getTransactionReceipt is asked twice in all: at first, and at last.
# checkReplacement: false, which isn't about time at all, takes the pauses away: the receipt is there with the
# next block.
#
# So who hands out a hash before the node has it (a relay, a private pool, a node a little behind the others)
# makes this client late by up to as much again.
set -euo pipefail

folder=$(mktemp -d)
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts viem@2.57.20 @foundry-rs/anvil@1.7.1 >&2
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil --port "$port" --chain-id 1 --block-time 0.3 --silent &
anvil=$!
trap 'kill $anvil; rm -rf "$folder"' EXIT
curl --silent --output /dev/null --max-time 5 --retry 20 --retry-connrefused --retry-delay 1 "http://127.0.0.1:$port"

cat >late.mjs <<'END'
// The transaction is signed at once, and reaches the node SECONDS after the wait's first look for it. Prints how
// long after that look the wait ended, how many blocks after the transaction's, and what was asked meanwhile.
import { createPublicClient, http, keccak256 } from 'viem'
import { mnemonicToAccount } from 'viem/accounts'
import { mainnet } from 'viem/chains'

const [url, nonce, seconds, checkReplacement] = process.argv.slice(2)
const look = checkReplacement === 'true' ? 'eth_getTransactionByHash' : 'eth_getTransactionReceipt'
const asked = {}
let began
const waiting = createPublicClient({
  chain: mainnet,
  pollingInterval: 100,
  transport: http(url, {
    onFetchRequest: (_, { body }) => {
      const { method } = JSON.parse(body)
      asked[method] = (asked[method] ?? 0) + 1
      if (method !== look || began) return
      began = Date.now()
      setTimeout(() => sending.sendRawTransaction({ serializedTransaction }), Number(seconds) * 1000)
    },
  }),
})
const sending = createPublicClient({ chain: mainnet, cacheTime: 0, transport: http(url) })
const account = mnemonicToAccount('test test test test test test test test test test test junk')
const serializedTransaction = await account.signTransaction({
  chainId: 1, type: 'eip1559', nonce: Number(nonce), to: account.address, gas: 21000n,
  maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 1n,
})
const hash = keccak256(serializedTransaction)
const { blockNumber } = await waiting.waitForTransactionReceipt({ hash, checkReplacement: checkReplacement === 'true' })
const took = (Date.now() - began) / 1000
const blocks = (await sending.getBlockNumber()) - blockNumber
console.log(`${took.toFixed(1)} ${blocks} ${asked.eth_getTransactionReceipt} ${asked.eth_getTransactionByHash ?? 0}`)
END

expect() { # expect WHAT FOUND TEST: TEST is about seconds, blocks, receipts (asked for), transactions (asked for)
    local seconds blocks receipts transactions
    read -r seconds blocks receipts transactions <<<"$2"
    printf '%s: known at %s s, %s blocks after it was mined; asked for the receipt %s times, for the transaction %s\n' \
        "$1" "$seconds" "$blocks" "$receipts" "$transactions"
    python3 -c "seconds, blocks, receipts, transactions = $seconds, $blocks, $receipts, $transactions; assert $3" 2>/dev/null ||
        { echo "no longer so: expected $3"; exit 1; }
}

url="http://127.0.0.1:$port"
expect 'sent after 1.9 s' "$(node late.mjs "$url" 0 1.9 true)" \
    '2.9 < seconds < 4 and blocks >= 1 and receipts == 2 and transactions == 5'
expect 'sent after 7 s' "$(node late.mjs "$url" 1 7 true)" \
    '12 < seconds < 14 and blocks >= 12 and receipts == 2 and transactions == 7'
expect 'sent after 7 s, without checkReplacement' "$(node late.mjs "$url" 2 7 false)" \
    'seconds < 9 and blocks <= 3 and receipts > 10 and transactions == 0'
echo 'as described'

// What a dApp with ethers 6 does over a socket: node ethers.mjs WS-URL
// Prints `ok` last and exits with 0; anything else is a failure. The node must be anvil that mines
// with each transaction.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../../.parts/package.json', import.meta.url))
const { Wallet, WebSocketProvider, parseEther } = require('ethers')

// anvil's first account, known to everyone.
const KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'
const OTHER = '0x00000000000000000000000000000000000000d2'

setTimeout(() => { console.error('no end in 60 s'); process.exit(1) }, 60_000).unref()

const provider = new WebSocketProvider(process.argv[2], undefined, { cacheTimeout: -1 })
const wallet = new Wallet(KEY, provider)
assert((await provider.getBalance(wallet.address)) > parseEther('1'))

const heads = []
await provider.on('block', (number) => heads.push(number))
const sent = await wallet.sendTransaction({ to: OTHER, value: 7n })
const receipt = await sent.wait()
assert.equal(receipt.status, 1)
assert.equal(await provider.getBalance(OTHER), 7n)
while (!heads.includes(receipt.blockNumber)) await new Promise((done) => setTimeout(done, 50))

const many = await Promise.all(
  Array.from({ length: 60 }, () => provider.send('eth_getBalance', [OTHER, 'latest'])),
)
assert(many.every((balance) => BigInt(balance) === 7n))

const ids = await Promise.all([1, 2].map(() => provider.send('eth_subscribe', ['newHeads'])))
assert.notEqual(ids[0], ids[1])
for (const id of ids) assert.equal(await provider.send('eth_unsubscribe', [id]), true)
await assert.rejects(provider.send('eth_unsubscribe', ids.slice(0, 1)), /subscription not found/)
await provider.destroy()
console.log('ok')
process.exit(0)

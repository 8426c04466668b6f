// What a dApp with web3.js 4 does over a socket: node web3_js.mjs WS-URL
// Prints `ok` last and exits with 0; anything else is a failure. The node must be anvil that mines
// with each transaction.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../../.parts/package.json', import.meta.url))
const { Web3, WebSocketProvider } = require('web3')

// anvil's first account, known to everyone.
const KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'
const OTHER = '0x00000000000000000000000000000000000000d3'

setTimeout(() => { console.error('no end in 60 s'); process.exit(1) }, 60_000).unref()

const provider = new WebSocketProvider(process.argv[2], {}, { autoReconnect: false })
const web3 = new Web3(provider)
const account = web3.eth.accounts.wallet.add(KEY)[0]
assert((await web3.eth.getBalance(account.address)) > 0n)

const heads = []
const subscription = await web3.eth.subscribe('newBlockHeaders')
subscription.on('data', (head) => heads.push(BigInt(head.number)))
const receipt = await web3.eth.sendTransaction({
  from: account.address, to: OTHER, value: 7n, gas: 21_000n,
})
assert.equal(receipt.status, 1n)
assert.equal(await web3.eth.getBalance(OTHER), 7n)
while (!heads.includes(receipt.blockNumber)) await new Promise((done) => setTimeout(done, 50))
await subscription.unsubscribe()

const many = await Promise.all(Array.from({ length: 60 }, () => web3.eth.getBalance(OTHER)))
assert(many.every((balance) => balance === 7n))

// Its batch is one message.
const batch = new web3.BatchRequest()
const number = batch.add({ method: 'eth_blockNumber', params: [] })
const balance = batch.add({ method: 'eth_getBalance', params: [OTHER, 'latest'] })
await batch.execute({ timeout: 20_000 })
assert.equal(BigInt(await balance), 7n)
assert(BigInt(await number) >= receipt.blockNumber)
console.log('ok')
process.exit(0)

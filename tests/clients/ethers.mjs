// What a dApp with ethers 6 does, against the endpoint given: node ethers.mjs URL
// Prints `ok` last and exits with 0; anything else is a failure. The node must be anvil.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../.parts/package.json', import.meta.url))
const { JsonRpcProvider, Wallet, parseEther } = require('ethers')

// anvil's first account, known to everyone.
const KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'
const OTHER = '0x00000000000000000000000000000000000000bb'
// Answers 42 to every call: PUSH 42, MSTORE, RETURN, behind a constructor that copies it.
const FORTY_TWO = '0x600a600c600039600a6000f3602a60005260206000f3'

// ethers asks for ever when nobody answers.
setTimeout(() => { console.error('no end in 60 s'); process.exit(1) }, 60_000).unref()

// Without a cache, or a nonce or balance of 250 ms ago may be used again.
const provider = new JsonRpcProvider(process.argv[2], undefined, { cacheTimeout: -1, polling: true })
provider.pollingInterval = 100
const wallet = new Wallet(KEY, provider)

assert((await provider.getBalance(wallet.address)) > parseEther('1'))

const deployment = await (await wallet.sendTransaction({ data: FORTY_TWO })).wait()
assert.equal(deployment.status, 1)
assert.equal(BigInt(await provider.call({ to: deployment.contractAddress })), 42n)

const before = await provider.getBalance(OTHER)
const sent = await wallet.sendTransaction({ to: OTHER, value: 7n })
const receipt = await sent.wait()
assert.equal(receipt.status, 1)
assert.equal(receipt.hash, sent.hash)
assert.equal(await provider.getBalance(OTHER), before + 7n)

// ethers puts what is asked within 10 ms into one batch.
const batches = []
provider.on('debug', ({ action, payload }) => {
  if (action === 'sendRpcPayload' && Array.isArray(payload)) batches.push(payload.length)
})
const [number, network, balance, block] = await Promise.all([
  provider.getBlockNumber(),
  provider.send('eth_chainId', []),
  provider.getBalance(OTHER),
  provider.getBlock(receipt.blockNumber),
])
assert(number >= receipt.blockNumber)
assert.equal(BigInt(network), (await provider.getNetwork()).chainId)
assert.equal(balance, before + 7n)
assert.equal(block.hash, receipt.blockHash)
assert(batches.some((calls) => calls >= 4), `no batch of four among ${batches}`)
provider.destroy()
console.log('ok')
process.exit(0)

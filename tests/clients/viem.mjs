// What a dApp with viem does, against the endpoint given: node viem.mjs URL
// Prints `ok` last and exits with 0; anything else is a failure. The node must be anvil.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../.parts/package.json', import.meta.url))
const { createPublicClient, createWalletClient, http, parseEther } = require('viem')
const { privateKeyToAccount } = require('viem/accounts')
const { foundry } = require('viem/chains')

// anvil's first account, known to everyone.
const KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'
const OTHER = '0x00000000000000000000000000000000000000aa'
// Answers 42 to every call: PUSH 42, MSTORE, RETURN, behind a constructor that copies it.
const FORTY_TWO = '0x600a600c600039600a6000f3602a60005260206000f3'

setTimeout(() => { console.error('no end in 60 s'); process.exit(1) }, 60_000).unref()

const url = process.argv[2]
const plain = http(url, { retryCount: 0 })
const id = await createPublicClient({ transport: plain }).getChainId()
const chain = { ...foundry, id }
const reader = createPublicClient({ chain, transport: plain, pollingInterval: 100 })
const account = privateKeyToAccount(KEY)
const wallet = createWalletClient({ account, chain, transport: plain })

assert((await reader.getBalance({ address: account.address })) > parseEther('1'))

const deployed = await wallet.deployContract({ abi: [], bytecode: FORTY_TWO })
const deployment = await reader.waitForTransactionReceipt({ hash: deployed })
assert.equal(deployment.status, 'success')
const answer = await reader.call({ to: deployment.contractAddress })
assert.equal(BigInt(answer.data), 42n)

const before = await reader.getBalance({ address: OTHER })
const hash = await wallet.sendTransaction({ to: OTHER, value: 7n })
const receipt = await reader.waitForTransactionReceipt({ hash })
assert.equal(receipt.status, 'success')
assert.equal(receipt.transactionHash, hash)
assert.equal(await reader.getBalance({ address: OTHER }), before + 7n)

// These leave in one tick, and so in one batch.
const batching = createPublicClient({ chain, transport: http(url, { batch: true, retryCount: 0 }) })
const [number, again, balance, block] = await Promise.all([
  batching.getBlockNumber(),
  batching.getChainId(),
  batching.getBalance({ address: OTHER }),
  batching.getBlock({ blockNumber: receipt.blockNumber }),
])
assert(number >= receipt.blockNumber)
assert.equal(again, id)
assert.equal(balance, before + 7n)
assert.equal(block.hash, receipt.blockHash)
console.log('ok')

// What a dApp with viem does over a socket: node viem.mjs WS-URL
// Prints `ok` last and exits with 0; anything else is a failure. The node must be anvil that mines
// with each transaction.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../../.parts/package.json', import.meta.url))
const { createPublicClient, createWalletClient, parseEther, webSocket } = require('viem')
const { privateKeyToAccount } = require('viem/accounts')
const { foundry } = require('viem/chains')

// anvil's first account, known to everyone.
const KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'
const OTHER = '0x00000000000000000000000000000000000000d1'
// Answers 42, and 100 KB of zeros after it: PUSH 42, MSTORE, RETURN, behind a constructor.
const LONG = '0x600c600c600039600c6000f3602a600052620186a06000f3'

setTimeout(() => { console.error('no end in 60 s'); process.exit(1) }, 60_000).unref()

const transport = webSocket(process.argv[2], { retryCount: 0, reconnect: false })
const chain = { ...foundry, id: await createPublicClient({ transport }).getChainId() }
const reader = createPublicClient({ chain, transport, pollingInterval: 100 })
const account = privateKeyToAccount(KEY)
const wallet = createWalletClient({ account, chain, transport })

assert((await reader.getBalance({ address: account.address })) > parseEther('1'))

const heads = []
const stop = reader.watchBlocks({ onBlock: (block) => heads.push(block.number) })
const contract = await reader.waitForTransactionReceipt({
  hash: await wallet.deployContract({ abi: [], bytecode: LONG }),
})
const long = await reader.call({ to: contract.contractAddress })
assert.equal(long.data.length, 2 + 2 * 100_000)
assert.equal(BigInt(long.data.slice(0, 66)), 42n)

// All at once.
const many = await Promise.all(
  Array.from({ length: 60 }, (_, at) =>
    at % 2 ? reader.getChainId() : reader.getBalance({ address: OTHER, blockTag: 'latest' })),
)
assert(many.every((value, at) => (at % 2 ? value === chain.id : value === 0n)))

const hash = await wallet.sendTransaction({ to: OTHER, value: 7n })
const receipt = await reader.waitForTransactionReceipt({ hash })
assert.equal(receipt.status, 'success')
while (!heads.includes(receipt.blockNumber)) await new Promise((done) => setTimeout(done, 50))
stop()
await assert.rejects(reader.request({ method: 'eth_sendTransaction', params: [{}] }))
console.log('ok')
process.exit(0)

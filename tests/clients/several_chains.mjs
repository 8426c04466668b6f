// What a dApp on several chains does with viem's own definitions of them: node several_chains.mjs URL NAME…
// Each chain is asked at URL/NAME over HTTP and at its id over a socket, all of them at once. Prints `ok` last
// and exits with 0; anything else is a failure. The nodes must be anvils that mine with each transaction.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../.parts/package.json', import.meta.url))
const { createPublicClient, createWalletClient, http, parseEther, webSocket } = require('viem')
const { privateKeyToAccount } = require('viem/accounts')
const chains = require('viem/chains')

const DEFINITIONS = {
  ethereum: chains.mainnet,
  base: chains.base,
  optimism: chains.optimism,
  gnosis: chains.gnosis,
  sepolia: chains.sepolia,
}
// anvil's first account, known to everyone.
const KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'
const OTHER = '0x00000000000000000000000000000000000000d1'

setTimeout(() => { console.error('no end in 60 s'); process.exit(1) }, 60_000).unref()

const [url, ...names] = process.argv.slice(2)
const account = privateKeyToAccount(KEY)

async function use(name) {
  const chain = DEFINITIONS[name]
  const transport = http(`${url}/${name}`, { retryCount: 0 })
  const reader = createPublicClient({ chain, transport, pollingInterval: 100 })
  const wallet = createWalletClient({ account, chain, transport })
  const socket = webSocket(`${url.replace('http', 'ws')}/${chain.id}`, { retryCount: 0, reconnect: false })
  const listener = createPublicClient({ chain, transport: socket })
  assert.equal(await reader.getChainId(), chain.id)
  assert.equal(await listener.getChainId(), chain.id)

  const heads = []
  const stop = listener.watchBlockNumber({ onBlockNumber: (number) => heads.push(number) })
  const before = await reader.getBalance({ address: OTHER })
  const hash = await wallet.sendTransaction({
    to: OTHER,
    value: BigInt(chain.id),
    maxFeePerGas: parseEther('0.00000001'),
    maxPriorityFeePerGas: 1n,
    gas: 21_000n,
  })
  const receipt = await reader.waitForTransactionReceipt({ hash })
  assert.equal(receipt.status, 'success')
  assert.equal((await reader.getBalance({ address: OTHER })) - before, BigInt(chain.id))
  while (!heads.includes(receipt.blockNumber)) await new Promise((done) => setTimeout(done, 50))
  stop()
}

await Promise.all(names.map(use))
console.log('ok')
process.exit(0)

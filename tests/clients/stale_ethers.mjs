// As stale_viem.mjs, with ethers 6: node stale_ethers.mjs URL ROUNDS KEY
import { createRequire } from 'node:module'
import { COUNTER, CountedTruth } from './stale.mjs'

const require = createRequire(new URL('../../.parts/package.json', import.meta.url))
const { JsonRpcProvider, Network, Wallet } = require('ethers')

const [url, rounds, key] = process.argv.slice(2)
const options = { cacheTimeout: -1, polling: true, batchMaxCount: 1, staticNetwork: Network.from(1) }
const provider = new JsonRpcProvider(url, 1, options)
const wallet = new Wallet(key, provider)
const fees = { gasLimit: 200_000n, maxFeePerGas: 20_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n }

await new CountedTruth({
  nonce: (tag) => provider.getTransactionCount(wallet.address, tag),
  send: async (to, data, nonce) => (await wallet.sendTransaction({ to, data, nonce, ...fees })).hash,
  receipt: async (hash) => {
    const receipt = await provider.getTransactionReceipt(hash)
    return receipt && { block: receipt.blockNumber, contract: receipt.contractAddress }
  },
  transaction: (hash) => provider.getTransaction(hash),
  head: () => provider.getBlockNumber(),
  block: (number) => provider.getBlock(number),
  call: async (to) => Number(await provider.call({ to })),
  logs: async (address, block) =>
    (await provider.getLogs({ address, fromBlock: block, toBlock: block })).length,
}).run(COUNTER, Number(rounds))
provider.destroy()

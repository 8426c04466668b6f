// Sends, waits for the receipt and looks at what it changed, over and over:
//   node stale_viem.mjs URL ROUNDS KEY
// Prints how many calls were made and which answers were older than what had been shown before.
import { createRequire } from 'node:module'
import { COUNTER, CountedTruth } from './stale.mjs'

const require = createRequire(new URL('../../.parts/package.json', import.meta.url))
const { createPublicClient, createWalletClient, http } = require('viem')
const { privateKeyToAccount } = require('viem/accounts')
const { mainnet } = require('viem/chains')

const [url, rounds, key] = process.argv.slice(2)
const transport = http(url, { retryCount: 0 })
const reader = createPublicClient({ chain: mainnet, transport, cacheTime: 0 })
const account = privateKeyToAccount(key)
const wallet = createWalletClient({ account, chain: mainnet, transport })
const fees = { gas: 200_000n, maxFeePerGas: 20_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n }

const absent = (error) => { if (/NotFound/.test(error.name)) return null; throw error }
await new CountedTruth({
  nonce: (tag) => reader.getTransactionCount({ address: account.address, blockTag: tag }),
  send: (to, data, nonce) => wallet.sendTransaction({ to: to ?? undefined, data, nonce, ...fees }),
  receipt: async (hash) => {
    const receipt = await reader.getTransactionReceipt({ hash }).catch(absent)
    return receipt && { block: Number(receipt.blockNumber), contract: receipt.contractAddress }
  },
  transaction: (hash) => reader.getTransaction({ hash }).catch(absent),
  head: async () => Number(await reader.getBlockNumber({ cacheTime: 0 })),
  block: (number) => reader.getBlock({ blockNumber: BigInt(number) }).catch(absent),
  call: async (to) => Number((await reader.call({ to })).data),
  logs: async (address, block) => {
    const at = BigInt(block)
    return (await reader.getLogs({ address, fromBlock: at, toBlock: at })).length
  },
}).run(COUNTER, Number(rounds))

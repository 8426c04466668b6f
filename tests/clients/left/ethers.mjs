// As viem.mjs, with ethers 6.
import { createRequire } from 'node:module'
import { witness } from './witness.mjs'

const require = createRequire(new URL('../../../.parts/package.json', import.meta.url))
const { Network, WebSocketProvider } = require('ethers')

const options = { staticNetwork: Network.from(1) }
const provider = new WebSocketProvider(process.argv[2], 1, options)
await witness({
  subscribe: (heard) => provider.on('block', heard),
  ask: () => provider.send('eth_chainId', []),
})

// As viem.mjs, with web3.js 4.
import { createRequire } from 'node:module'
import { witness } from './witness.mjs'

const require = createRequire(new URL('../../../.parts/package.json', import.meta.url))
const { Web3, WebSocketProvider } = require('web3')

const web3 = new Web3(new WebSocketProvider(process.argv[2]))
await witness({
  subscribe: async (heard) => (await web3.eth.subscribe('newBlockHeaders')).on('data', heard),
  ask: () => web3.eth.getChainId(),
  // Whether the socket is there before anything is asked again.
  isConnected: () => web3.currentProvider.getStatus() === 'connected',
})

// Subscribes with viem, and says what becomes of it when the server leaves and another comes:
//   node viem.mjs WS-URL
// Prints `ready`, and last what it saw.
import { createRequire } from 'node:module'
import { witness } from './witness.mjs'

const require = createRequire(new URL('../../../.parts/package.json', import.meta.url))
const { createPublicClient, webSocket } = require('viem')

const client = createPublicClient({ transport: webSocket(process.argv[2]) })
await witness({
  subscribe: (heard) => client.watchBlockNumber({ onBlockNumber: heard, onError: (error) => console.error(error.message) }),
  ask: () => client.getChainId(),
})

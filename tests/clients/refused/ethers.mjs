// One read with ethers 6, against an endpoint that refuses: node ethers.mjs URL SECONDS
// It asks again for minutes: after so many seconds it is stopped.
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../../.parts/package.json', import.meta.url))
const { JsonRpcProvider, Network } = require('ethers')

setTimeout(() => { console.log('still asking'); process.exit(0) }, Number(process.argv[3]) * 1000)
// It knows its chain, and doesn't ask for it beside each call.
const provider = new JsonRpcProvider(process.argv[2], 1, { staticNetwork: Network.from(1) })
const asked = provider.getBalance('0x00000000000000000000000000000000000000aa')
console.log(await asked.then(() => 'ANSWERED', (error) => error.shortMessage ?? error.message))
process.exit(0)

// One read with web3.js 4 as it comes, against an endpoint that refuses: node web3_js.mjs URL
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../../.parts/package.json', import.meta.url))
const { Web3 } = require('web3')

setTimeout(() => process.exit(1), 60_000).unref()
const asked = new Web3(process.argv[2]).eth.getBalance('0x00000000000000000000000000000000000000aa')
console.log(await asked.then(() => 'ANSWERED', (error) => error.message))
process.exit(0)

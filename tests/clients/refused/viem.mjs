// One read with viem as it comes, against an endpoint that refuses: node viem.mjs URL
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../../.parts/package.json', import.meta.url))
const { createPublicClient, http } = require('viem')

setTimeout(() => process.exit(1), 60_000).unref()
const client = createPublicClient({ transport: http(process.argv[2]) })
const asked = client.getBalance({ address: '0x00000000000000000000000000000000000000aa' })
console.log(await asked.then(() => 'ANSWERED', (error) => error.details ?? error.message))

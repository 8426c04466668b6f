// What a page in Chromium does over sockets: node chromium.mjs WS-URL WSS-URL PAGE-URL
// Prints `ok` last and exits with 0; anything else is a failure. The page comes from PAGE-URL, and
// that is the one origin that may call; nobody knows who signed the certificate.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(new URL('../../../.parts/package.json', import.meta.url))
const { chromium } = require('playwright-core')
const [ws, wss, home] = process.argv.slice(2)

setTimeout(() => { console.error('no end in 60 s'); process.exit(1) }, 60_000).unref()

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run',
    '--disable-component-update', '--disable-sync', '--ignore-certificate-errors',
  ],
})
const page = await browser.newPage()

// What a call over a new socket is answered with; or the code that the socket is closed with.
const ask = (url) => page.evaluate((url) => new Promise((done) => {
  const socket = new WebSocket(url)
  const call = { jsonrpc: '2.0', id: 1, method: 'eth_chainId' }
  socket.onopen = () => socket.send(JSON.stringify(call))
  socket.onmessage = ({ data }) => { done(JSON.parse(data).result); socket.close(1000, 'bye') }
  socket.onclose = ({ code }) => done(code)
}), url)

await page.goto(home)
assert.equal(await ask(ws), '0x1')
assert.equal(await ask(wss), '0x1')
await page.goto('data:text/html,hello')
assert.equal(await ask(ws), 1006, 'a page from nowhere may not call')
await browser.close()
console.log('ok')

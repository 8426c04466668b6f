// What a client may expect once it has seen a receipt; counts what it is told instead.

// Called with data: adds one to a number and logs; called without: answers the number.
export const COUNTER =
  '0x601f600c600039601f6000f3' +
  '36600f5760005460005260206000f35b60005460010160005560006000a000'

const PATIENCE_MS = 20_000
const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

export class CountedTruth {
  constructor(library) {
    this.library = library
    this.calls = 0
    this.stale = {}
    this.head = 0
    this.first = null
    this.times = []
  }

  // One call, whose answer must be `good`; an error is none.
  async expect(what, ask, good) {
    this.calls += 1
    let said
    const began = performance.now()
    try {
      said = await ask()
    } catch (error) {
      said = error
    }
    this.times.push(performance.now() - began)
    if (!(said instanceof Error) && good(said)) return
    this.stale[what] = (this.stale[what] ?? 0) + 1
    const told = said instanceof Error ? (said.shortMessage ?? said.message) : JSON.stringify(said, (_, v) => typeof v === 'bigint' ? Number(v) : v)
    this.first ??= `${what}: ${told}`.slice(0, 300)
  }

  // No node is stale for not having a receipt yet.
  async mined(hash) {
    const deadline = Date.now() + PATIENCE_MS
    while (Date.now() < deadline) {
      const receipt = await this.library.receipt(hash).catch(() => null)
      if (receipt) return receipt
      await sleep(10)
    }
    throw new Error(`no receipt of ${hash}`)
  }

  async run(counter, rounds) {
    const { library } = this
    let nonce = await library.nonce('latest')
    const deployed = await this.mined(await library.send(null, counter, nonce++))
    for (let round = 1; round <= rounds; round++) {
      await this.expect('nonce before', () => library.nonce('pending'), (said) => said === nonce)
      const hash = await library.send(deployed.contract, '0x01', nonce++)
      const receipt = await this.mined(hash)
      this.head = Math.max(this.head, receipt.block)
      await this.look(hash, receipt.block, deployed.contract, nonce, round)
    }
    const { calls, stale, first } = this
    const times = this.times.sort((one, other) => one - other)
    const [p50, p99] = [0.5, 0.99].map((part) => Number(times[Math.floor(times.length * part)].toFixed(1)))
    console.log(JSON.stringify({ calls, stale, p50, p99, first }))
  }

  async look(hash, block, contract, nonce, round) {
    const { library } = this
    const is = (wanted) => (said) => said === wanted
    await this.expect('receipt', () => library.receipt(hash), (said) => said?.block === block)
    await this.expect('nonce', () => library.nonce('latest'), is(nonce))
    await this.expect('call', () => library.call(contract), is(round))
    await this.expect('logs', () => library.logs(contract, block), is(1))
    await this.expect('head', () => library.head(), (said) => {
      const fine = said >= this.head
      this.head = Math.max(this.head, said)
      return fine
    })
    await this.expect('block', () => library.block(block), (said) => said != null)
    await this.expect('transaction', () => library.transaction(hash), (said) => said != null)
    await this.expect('call again', () => library.call(contract), is(round))
    await this.expect('pending nonce', () => library.nonce('pending'), is(nonce))
  }
}

// Watches a client whose server leaves: does its subscription go on, do its calls?

// The next server is there within a second or two; the slowest client comes back after 5.
const PATIENCE_MS = 12_000
const ASK_MS = 4_000
const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

// What was thrown and not caught ends no witness.
for (const what of ['uncaughtException', 'unhandledRejection']) process.on(what, (error) => console.error(what, error?.message))
setTimeout(() => { console.log('no end'); process.exit(1) }, 60_000).unref()

async function answers(ask) {
  const asked = Promise.resolve().then(ask).then(() => 'answered', () => 'refused')
  return Promise.race([asked, sleep(ASK_MS).then(() => 'hangs')])
}

export async function witness({ subscribe, ask, isConnected }) {
  let heads = 0
  await subscribe(() => { heads += 1 })
  while (heads === 0) await sleep(20)
  console.log('ready')
  // The test says when the server has left and the next one is there.
  await new Promise((done) => process.stdin.once('data', done))
  const before = heads
  const deadline = Date.now() + PATIENCE_MS
  while (heads === before && Date.now() < deadline) await sleep(50)
  const connected = isConnected?.() ?? true
  const calls = await answers(ask)
  const socket = heads > before ? 'subscribes again' : connected && calls === 'answered' ? 'connects again' : calls === 'hangs' ? 'calls hang' : 'stays away'
  console.log(socket)
  process.exit(0)
}

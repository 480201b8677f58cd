/** A worker that lives and does nothing any more: its event loop is blocked. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callRaw, type RawResult } from '../../../test/provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { createKey } from './support/create-key.ts'
import { expectVerified } from './support/receipts.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'
import { openLines } from './support/worker-lines.ts'

const workers = 2
const program = fileURLToPath(new URL('support/blocking-gateway.ts', import.meta.url))
// Under way for 15 s: longer than a machine stands still.
const stream = createChatBody({ model: 'loopback-slow-800', stream: true })
/** Longer than the healthy one may stand still. */
const workerTimeoutMs = 12_000
const echo = createChatBody({ model: 'loopback-echo', stream: false })

let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider()
  const { url: baseUrl, caFile } = provider
  const models = [{ id: '*', priceAtomic: '10' }]
  gateway = await startGateway({
    program,
    nodeFlags: ['--conditions=source'],
    limits: { workerTimeoutMs },
    config: {
      workers,
      payment: { apiKeys: { asset: 'credits' } },
      upstreams: [{ name: 'loopback', baseUrl, caFile, models }],
    },
  })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

function pidOf(slot: number): number {
  const found = gateway
    .stderr()
    .matchAll(new RegExp(`"worker":${slot},"pid":([0-9]+),"msg":"a worker serves"`, 'g'))
  return Number(Array.from(found).at(-1)?.[1])
}

/** Posts a stream; `begun` resolves with its first bytes. */
function begin(headers: Readonly<Record<string, string>>): {
  readonly begun: Promise<void>
  readonly answer: Promise<RawResult>
} {
  const { promise: begun, resolve } = Promise.withResolvers<void>()
  const leaveWhen = (): boolean => {
    resolve()
    return false
  }
  return { begun, answer: postChat(gateway.url, stream, { headers, leaveWhen }) }
}

test('a worker whose event loop is blocked is ended and replaced, and what it had reserved is free again', async () => {
  const running = 20
  const keys = join(gateway.folder, 'data', 'api-keys.db')
  const headers = createKey(keys, { budgetAtomic: 10n * BigInt(running) }, 'tight')
  const streams = Array.from({ length: running }, () => begin(headers))
  await Promise.all(streams.map(({ begun }) => begun))
  const [blocked, healthy] = [pidOf(0), pidOf(1)]
  process.kill(blocked, 'SIGUSR2')
  await gateway.logged('a worker does not answer and is ended')
  expect(gateway.stderr()).toContain(
    `"worker":0,"pid":${blocked},"timeoutMs":${workerTimeoutMs},"msg":"a worker does not answer and is ended"`,
  )
  await gateway.logged('a worker serves', workers + 1)
  expect([pidOf(0) === blocked, pidOf(1)]).toEqual([false, healthy])
  const answers = await Promise.all(streams.map(({ answer }) => answer))
  const cut = answers.filter(({ failure }) => failure !== null)
  const whole = answers.filter(({ failure }) => failure === null)
  expect([cut.length > 0, whole.length > 0]).toEqual([true, true])
  for (const answer of whole) await expectVerified(gateway.url, answer, stream)
  // All of the budget was reserved: what was cut cost nothing.
  const more = await Promise.all(
    Array.from({ length: cut.length + 1 }, () => postChat(gateway.url, echo, { headers })),
  )
  expect(more.filter(({ status }) => status === 200)).toHaveLength(cut.length)
  expect((await callRaw({ url: `${gateway.url}/readyz` })).status).toBe(200)
  for (const line of await openLines(gateway.url, workers)) line.close()
})

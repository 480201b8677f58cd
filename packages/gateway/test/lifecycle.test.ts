import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { parseBundle } from '@countersign/protocol'
import { fromBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { parseKeyset, type Keyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { callRaw, type RawResult } from '../../../test/provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { beginStream, events } from './support/chat-events.ts'
import { expectVerified, type FetchedReceipt } from './support/receipts.ts'
import { startRecordingUpstream } from './support/recording-upstream.ts'
import {
  disposeGateway,
  startGateway,
  type GatewayOptions,
  type RunningGateway,
} from './support/start-gateway.ts'

let provider: TlsLoopbackProvider

beforeAll(async () => {
  provider = await startLoopbackProvider()
})

afterAll(async () => {
  await provider.stop()
})

async function start(options: GatewayOptions = {}): Promise<RunningGateway> {
  const gateway = await startGateway({ provider, ...options })
  onTestFinished(async () => disposeGateway(gateway))
  return gateway
}

/** Posts a call; `begun` resolves with the first bytes of its body. */
function begin(
  origin: string,
  body: Uint8Array,
): { readonly begun: Promise<void>; readonly answer: Promise<RawResult> } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const leaveWhen = (): boolean => {
    resolve()
    return false
  }
  return { begun: promise, answer: postChat(origin, body, { leaveWhen }) }
}

function keysetOf({ bundle }: FetchedReceipt): Keyset & { readonly digest: string } {
  const { payload } = parseStatement(parseBundle(bundle).keyset)
  if (payload.type !== 'keyset') throw new Error('no keyset')
  return { ...parseKeyset(payload.document), digest: toHex(payload.keysetDigest) }
}

test('lets live streams end when it is asked to stop, keeps their receipts, and chains its keysets', async () => {
  const first = await start()
  const body = createChatBody({ model: 'loopback-slow-40', stream: true })
  const calls = [begin(first.url, body), begin(first.url, body)]
  await Promise.all(calls.map(async ({ begun }) => begun))
  first.terminate()
  // A terminal that closes behind the one who stopped it: unheard, this signal kills.
  await first.logged('gateway is stopping')
  first.reload({ provider })
  const answers = await Promise.all(calls.map(async ({ answer }) => answer))
  for (const answer of answers) {
    expect(answer).toMatchObject({ status: 200, failure: null })
    expect(answer.trailers['x-receipt-statement']).toMatch(/^[A-Za-z0-9_-]+$/)
  }
  expect(await first.ended).toEqual({ code: 0, signal: null })
  expect((await callRaw({ url: `${first.url}/healthz` })).failure).toBe('ECONNREFUSED')

  const second = await start({ folder: first.folder })
  const kept = await Promise.all(
    answers.map(async (answer) => expectVerified(second.url, answer, body)),
  )
  for (const [index, { statement }] of kept.entries()) {
    expect(answers[index]?.trailers['x-receipt-statement']).toBe(statement)
  }
  const answer = await postChat(second.url, body)
  const fresh = keysetOf(await expectVerified(second.url, answer, body))
  const [old] = kept.map(keysetOf)
  expect(old?.previousKeysetDigest).toBeUndefined()
  expect(toHex(fresh.previousKeysetDigest ?? new Uint8Array(0))).toBe(old?.digest)
  expect(toHex(fresh.configDigest)).toBe(toHex(old?.configDigest ?? new Uint8Array(0)))
})

test('signs calls that outlast its patience as timeouts of its own, never as aborts of the caller', async () => {
  const first = await start({ limits: { drainTimeoutMs: 100 } })
  const stream = createChatBody({ model: 'hostile-stall', stream: true })
  const whole = createChatBody({ model: 'loopback-slow-60000', stream: false })
  await provider.reset()
  const streaming = begin(first.url, stream)
  const waiting = postChat(first.url, whole)
  await streaming.begun
  while ((await provider.log()).length < 2);
  first.terminate()
  const cut = await streaming.answer
  expect(cut.status).toBe(200)
  expect(cut.failure).not.toBeNull()
  const refused = await waiting
  expect(refused.status).toBe(504)
  expect(await first.ended).toEqual({ code: 0, signal: null })

  const second = await start({ folder: first.folder })
  for (const [answer, body] of [
    [cut, stream],
    [refused, whole],
  ] as const) {
    const { claims } = await expectVerified(second.url, answer, body)
    expect(claims['outcome']).toMatchObject({ state: 'timeout', error: 'shutdown' })
  }
})

test('takes no further call on a connection that is still open, and says so with a signed refusal', async () => {
  // The stream that keeps the process alive ends when the test says so.
  const release = Promise.withResolvers<void>()
  const upstream = await startRecordingUpstream(async (response) => {
    beginStream(response)
    response.write(events[0])
    await release.promise
    response.end(events.slice(1).join(''))
  })
  onTestFinished(() => upstream.stop())
  const { url: baseUrl, caFile } = provider
  const gateway = await start({
    config: {
      upstreams: [
        { name: 'held', baseUrl: upstream.url, models: [{ id: 'held', priceAtomic: '1' }] },
        { name: 'loopback', baseUrl, caFile, models: [{ id: '*', priceAtomic: '1' }] },
      ],
    },
    limits: { drainTimeoutMs: 120_000 },
  })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => {
    agent.destroy()
  })
  // The second call waits for the connection of the first.
  const body = createChatBody({ model: 'loopback-slow-20', stream: true })
  const first = request(`${gateway.url}/v1/chat/completions`, { agent, method: 'POST' }).end(body)
  const second = request(`${gateway.url}/v1/chat/completions`, { agent, method: 'POST' }).end(body)
  const [stream] = await once(first, 'response')
  // Keeps the process alive meanwhile.
  const other = begin(gateway.url, createChatBody({ model: 'held', stream: true }))
  await Promise.all([once(stream, 'data'), other.begun])
  gateway.terminate()
  await once(stream.resume(), 'end')
  expect(stream.trailers['x-receipt-statement']).toMatch(/^[A-Za-z0-9_-]+$/)
  const [refused] = await once(second, 'response')
  expect(refused.statusCode).toBe(503)
  expect(refused.headers).toMatchObject({ connection: 'close', 'retry-after': '1' })
  const pieces: Buffer[] = []
  refused.on('data', (piece: Buffer) => pieces.push(piece))
  await once(refused, 'end')
  expect(JSON.parse(Buffer.concat(pieces).toString())).toMatchObject({ code: 'shutting-down' })
  const { payload } = parseStatement(
    fromBase64url(refused.headers['x-receipt-statement']) ?? Buffer.alloc(0),
  )
  expect(payload).toMatchObject({ type: 'refusal', charge: { amountAtomic: 0n } })
  release.resolve()
  expect((await other.answer).failure).toBeNull()
  expect(await gateway.ended).toEqual({ code: 0, signal: null })
})

test('ends at once when nothing is under way, also with idle connections and its parent still there', async () => {
  // What it would wait for otherwise is far away, also for a machine that stands still.
  const gateway = await start({ limits: { drainTimeoutMs: 600_000 } })
  await postChat(gateway.url, createChatBody({ model: 'loopback-echo', stream: false }))
  const startMs = performance.now()
  expect(await gateway.stop()).toEqual({ code: 0, signal: null })
  expect(performance.now() - startMs).toBeLessThan(60_000)
})

test('has the receipts of finished calls after kill -9, and goes on under a new keyset', async () => {
  const first = await start()
  const body = createChatBody({ model: 'loopback-echo', stream: true })
  const finished = await Promise.all(
    Array.from({ length: 20 }, async () => postChat(first.url, body)),
  )
  const before = await Promise.all(
    finished.map(async (answer) => expectVerified(first.url, answer, body)),
  )
  // What is readable over HTTP may still wait for the disk: the file has it within one flush.
  const ids = finished.map(({ headers }) => String(headers['x-receipt-id']))
  const database = new DatabaseSync(join(first.folder, 'data', 'receipts.db'), { readOnly: true })
  const count = database.prepare('SELECT count(*) AS n FROM receipt')
  while (Number(count.get()?.['n']) < ids.length);
  database.close()
  const streaming = begin(first.url, createChatBody({ model: 'hostile-stall', stream: true }))
  await streaming.begun
  expect(await first.kill()).toEqual({ code: null, signal: 'SIGKILL' })
  const cut = await streaming.answer
  expect(cut.failure).not.toBeNull()

  const second = await start({ folder: first.folder })
  const after = await Promise.all(
    finished.map(async (answer) => expectVerified(second.url, answer, body)),
  )
  expect(after.map(({ statement }) => statement)).toEqual(before.map(({ statement }) => statement))
  // The call that died with the process has no statement, and none is invented.
  const lost = String(cut.headers['x-receipt-id'])
  expect((await callRaw({ url: `${second.url}/v1/receipts/${lost}` })).status).toBe(404)
  const answer = await postChat(second.url, body)
  const receipt = await expectVerified(second.url, answer, body)
  expect(receipt.payload.sequence).toBe(1)
  const [old] = before.map(keysetOf)
  expect(toHex(keysetOf(receipt).previousKeysetDigest ?? new Uint8Array(0))).toBe(old?.digest)
})

test('keeps no claims and gives no id when receipts are switched off', async () => {
  const gateway = await start({ receipts: { enabled: false } })
  for (const [model, stream] of [
    ['loopback-echo', true],
    ['loopback-echo', false],
    ['hostile-reset', false],
  ] as const) {
    const answer = await postChat(gateway.url, createChatBody({ model, stream }))
    const names = Object.keys({ ...answer.headers, ...answer.trailers })
    expect(names.filter((name) => name.startsWith('x-receipt'))).toEqual([])
    expect(answer.headers.trailer).toBeUndefined()
  }
  const malformed = await postChat(gateway.url, 'no JSON')
  expect(malformed.status).toBe(400)
  expect(malformed.headers['x-receipt-id']).toBeUndefined()
})

test('says where it listens on one line of standard output, and that it is ready', async () => {
  const gateway = await start()
  expect(gateway.url).toMatch(/^http:\/\/127\.0\.0\.1:[0-9]+$/)
  const ready = await callRaw({ url: `${gateway.url}/readyz` })
  expect(ready.status).toBe(200)
  expect(JSON.parse(ready.body.toString())).toEqual({ status: 'ready' })
})

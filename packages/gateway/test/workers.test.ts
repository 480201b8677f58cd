/** Several workers behind one primary: real processes, killed and reloaded while they serve. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { parseBundle } from '@countersign/protocol'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { parseKeyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { callRaw, type RawResult } from '../../../test/provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { createKey } from './support/create-key.ts'
import { expectVerified, fetchReceipt, receiptOf, type FetchedReceipt } from './support/receipts.ts'
import {
  createGatewayFolder,
  disposeGateway,
  startGateway,
  type GatewayOptions,
  type RunningGateway,
} from './support/start-gateway.ts'

const serves = 'a worker serves'
const workers = 2
const priceAtomic = '10'
const echo = createChatBody({ model: 'loopback-echo', stream: false })
const echoStream = createChatBody({ model: 'loopback-echo', stream: true })
const slowStream = createChatBody({ model: 'loopback-slow-60', stream: true })
const slowerStream = createChatBody({ model: 'loopback-slow-250', stream: true })
/** Under way for 15 s: longer than a machine stands still. */
const slowestStream = createChatBody({ model: 'loopback-slow-800', stream: true })
const stalled = createChatBody({ model: 'hostile-stall', stream: true })
const secret = 'a key that no worker needs'
type Headers = Readonly<Record<string, string>>

let provider: TlsLoopbackProvider
let gateway: RunningGateway
let headers: Headers

function options(price = priceAtomic): GatewayOptions {
  const { url: baseUrl, caFile } = provider
  return {
    config: {
      workers,
      payment: { apiKeys: { asset: 'credits' } },
      upstreams: [{ name: 'loopback', baseUrl, caFile, models: [{ id: '*', priceAtomic: price }] }],
    },
  }
}

beforeAll(async () => {
  provider = await startLoopbackProvider()
  const environment = { COUNTERSIGN_SETTLEMENT_KEY: secret }
  gateway = await startGateway({ ...options(), environment, folder: createGatewayFolder() })
  headers = newKey()
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

function newKey(changes: Parameters<typeof createKey>[1] = {}, name = 'test'): Headers {
  return createKey(join(gateway.folder, 'data', 'api-keys.db'), changes, name)
}

function chargedOf(name: string): bigint {
  const store = openApiKeyStore(join(gateway.folder, 'data', 'api-keys.db'))
  try {
    return store.list().find((entry) => entry.name === name)?.chargedAtomic ?? -1n
  } finally {
    store.close()
  }
}

/** Posts a stream; `begun` resolves with its first bytes. */
function begin(
  sent: Headers = headers,
  url: string = gateway.url,
  body: Buffer = slowStream,
  leaveSignal = new AbortController().signal,
): {
  readonly begun: Promise<void>
  readonly answer: Promise<RawResult>
} {
  const { promise: begun, resolve } = Promise.withResolvers<void>()
  const leaveWhen = (): boolean => {
    resolve()
    return false
  }
  return { begun, answer: postChat(url, body, { headers: sent, leaveWhen, leaveSignal }) }
}

function keysetOf({ bundle }: FetchedReceipt): {
  readonly digest: string
  readonly previous: string
  readonly config: string
} {
  const { payload } = parseStatement(parseBundle(bundle).keyset)
  if (payload.type !== 'keyset') throw new Error('no keyset')
  const { previousKeysetDigest, configDigest } = parseKeyset(payload.document)
  const previous = toHex(previousKeysetDigest ?? new Uint8Array(0))
  return { digest: toHex(payload.keysetDigest), previous, config: toHex(configDigest) }
}

/** Processes of workers that have served, the latest last. */
function pidsOf(slot: number): readonly number[] {
  const found = gateway.stderr().matchAll(new RegExp(`"worker":${slot},"pid":([0-9]+)`, 'g'))
  return Array.from(found, ([, pid]) => Number(pid))
}

/** Calls by `/metrics`: by their counter, and by the times that were taken. */
async function countedCalls(): Promise<readonly number[]> {
  const { body } = await callRaw({ url: `${gateway.url}/metrics` })
  const sumOf = (name: string): number =>
    Array.from(
      body.toString().matchAll(new RegExp(`^${name}\\{[^}]*\\} ([0-9]+)$`, 'gm')),
      ([, n]) => Number(n),
    ).reduce((all, n) => all + n, 0)
  return [sumOf('countersign_calls_total'), sumOf('countersign_call_duration_seconds_count')]
}

/** The sequences of receipts under each keyset, in ascending order. */
function sequencesOf(receipts: readonly FetchedReceipt[]): ReadonlyMap<string, readonly number[]> {
  const found = new Map<string, number[]>()
  for (const receipt of receipts) {
    const { digest } = keysetOf(receipt)
    const { sequence } = receipt.payload
    found.set(
      digest,
      [...(found.get(digest) ?? []), sequence].toSorted((a, b) => a - b),
    )
  }
  return found
}

/** A receipt of each worker: the kernel draws lots for connections, so that none of 64 calls meets one of them at 2^-63. */
async function callBoth(): Promise<readonly FetchedReceipt[]> {
  const byKeyset = new Map<string, FetchedReceipt>()
  for (let round = 0; byKeyset.size < workers && round < 16; round++) {
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => postChat(gateway.url, echo, { headers })),
    )
    for (const answer of answers) {
      const receipt = await expectVerified(gateway.url, answer, echo)
      byKeyset.set(keysetOf(receipt).digest, receipt)
    }
  }
  expect(byKeyset.size).toBe(workers)
  return [...byKeyset.values()]
}

test('both workers serve, each under its own key and one sequence without a gap, in one chain of keysets', async () => {
  const bodies = Array.from({ length: 24 }, (_, index) => (index % 2 === 0 ? echo : echoStream))
  const answers = await Promise.all(bodies.map((body) => postChat(gateway.url, body, { headers })))
  const receipts = await Promise.all(
    answers.map((answer, index) => expectVerified(gateway.url, answer, bodies[index] ?? echo)),
  )
  const sequences = sequencesOf(receipts)
  expect(sequences.size).toBe(workers)
  for (const [, found] of sequences) {
    expect(found).toEqual(Array.from({ length: found.length }, (_, index) => index + 1))
  }
  const keysets = receipts.map(keysetOf)
  const first = keysets.find(({ previous }) => previous === '')
  const second = keysets.find(({ previous }) => previous !== '')
  expect(second?.previous).toBe(first?.digest)
  // Who has its answer may be counted a moment later.
  await expect.poll(countedCalls).toEqual([bodies.length, bodies.length])
})

test('every worker has every receipt: at once, refused ones too, and those of calls that still run', async () => {
  const answer = await postChat(gateway.url, echo, { headers })
  const refused = await postChat(gateway.url, 'no JSON', { headers })
  for (const { headers: sent } of [answer, refused]) {
    const { id, token } = receiptOf(sent)
    const found = await Promise.all(
      Array.from({ length: 12 }, () => fetchReceipt(gateway.url, id, token)),
    )
    expect(new Set(found.map(({ statement }) => statement)).size).toBe(1)
  }
  const url = `${gateway.url}/v1/chat/completions`
  const running = await fetch(url, { method: 'POST', headers, body: slowStream })
  const { id, token } = receiptOf(Object.fromEntries(running.headers))
  const waited = await Promise.all(
    Array.from({ length: 12 }, () => fetchReceipt(gateway.url, id, token, 60)),
  )
  const body = Buffer.from(await running.arrayBuffer())
  const sent = { headers: Object.fromEntries(running.headers), body }
  const { statement } = await expectVerified(gateway.url, sent, slowStream)
  expect(new Set(waited.map((receipt) => receipt.statement))).toEqual(new Set([statement]))
})

test('one name buys one call, whichever workers are asked', async () => {
  const body = createChatBody({ model: 'loopback-slow-20', stream: false, prompt: 'named' })
  const named = { ...newKey({}, 'named'), 'idempotency-key': 'one-call-and-no-other' }
  await provider.reset()
  const raced = await Promise.all(
    Array.from({ length: 8 }, () => postChat(gateway.url, body, { headers: named })),
  )
  const statuses = raced.map(({ status }) => status)
  expect(statuses).toContain(200)
  expect(statuses.filter((status) => status !== 200 && status !== 409)).toEqual([])
  const again = await Promise.all(
    Array.from({ length: 12 }, () => postChat(gateway.url, body, { headers: named })),
  )
  const served = [...raced.filter(({ status }) => status === 200), ...again]
  expect(new Set(served.map(({ headers: sent }) => sent['x-receipt-id'])).size).toBe(1)
  expect(await provider.log()).toHaveLength(1)
  expect(chargedOf('named')).toBe(BigInt(priceAtomic))
})

test('budgets and limits are of the key, not of a worker', async () => {
  const poor = newKey({ budgetAtomic: 50n }, 'poor')
  const spent = await Promise.all(
    Array.from({ length: 12 }, () => postChat(gateway.url, echo, { headers: poor })),
  )
  expect(spent.filter(({ status }) => status === 200)).toHaveLength(5)
  expect(chargedOf('poor')).toBe(50n)

  const single = newKey({ concurrentCalls: 1 }, 'single')
  const leaving = new AbortController()
  const running = begin(single, gateway.url, stalled, leaving.signal)
  await running.begun
  const others = await Promise.all(
    Array.from({ length: workers }, () => postChat(gateway.url, echo, { headers: single })),
  )
  expect(others.map(({ status }) => status)).toEqual([429, 429])
  leaving.abort()
  const { id } = receiptOf((await running.answer).headers)
  await fetchReceipt(gateway.url, id, null, 60)
  expect((await postChat(gateway.url, echo, { headers: single })).status).toBe(200)
})

test.skipIf(process.platform !== 'linux')('no worker has the settlement key (Linux: /proc)', () => {
  expect(readFileSync(`/proc/${gateway.pid}/environ`, 'latin1')).toContain(secret)
  for (const slot of [0, 1]) {
    const environment = readFileSync(`/proc/${pidsOf(slot).at(-1)}/environ`, 'latin1')
    expect(environment).toContain('NODE_UNIQUE_ID')
    expect(environment).not.toContain(secret)
  }
})

test('a reload reaches both workers before it is announced, and calls under way end as they began', async () => {
  const [before] = await callBoth()
  const streams = Array.from({ length: 4 }, () => begin())
  await Promise.all(streams.map(({ begun }) => begun))
  gateway.reload(options('11'))
  await gateway.logged('configuration was reloaded')
  const after = await callBoth()
  for (const receipt of after) {
    expect(receipt.payload.charge.amountAtomic).toBe(11n)
    expect(keysetOf(receipt).config).not.toBe(before && keysetOf(before).config)
  }
  expect(new Set(after.map((receipt) => keysetOf(receipt).digest)).size).toBe(workers)
  const old = await Promise.all(
    streams.map(async ({ answer }) => expectVerified(gateway.url, await answer, slowStream)),
  )
  for (const { payload, claims } of old) {
    expect(payload.charge.amountAtomic).toBe(10n)
    expect(claims['outcome']).toMatchObject({ state: 'complete' })
  }
  gateway.reload({ config: { ...options('12').config, workers: 3 } })
  await gateway.logged('configuration was not reloaded')
  expect(gateway.stderr()).toContain('workers cannot change')
})

test('a worker that is killed is replaced under a new key, and what it had reserved is free again', async () => {
  const earlier = await callBoth()
  const running = 20
  const tight = newKey({ budgetAtomic: 11n * BigInt(running) }, 'tight')
  const streams = Array.from({ length: running }, () => begin(tight, gateway.url, slowestStream))
  await Promise.all(streams.map(({ begun }) => begun))
  const [callsBefore = 0, timesBefore = 0] = await countedCalls()
  expect(callsBefore).toBeGreaterThan(0)
  process.kill(pidsOf(0).at(-1) ?? 0, 'SIGKILL')
  await gateway.logged(serves, workers + 1)
  const answers = await Promise.all(streams.map(({ answer }) => answer))
  const cut = answers.filter(({ failure }) => failure !== null)
  const whole = answers.filter(({ failure }) => failure === null)
  expect(cut.length).toBeGreaterThan(0)
  expect(whole.length).toBeGreaterThan(0)
  for (const answer of whole) await expectVerified(gateway.url, answer, slowestStream)
  expect((await callRaw({ url: `${gateway.url}/readyz` })).status).toBe(200)
  const [calls = 0, times = 0] = await countedCalls()
  expect([calls >= callsBefore + whole.length, times >= timesBefore]).toEqual([true, true])
  // All of the budget was reserved: what was cut cost nothing.
  const more = await Promise.all(
    Array.from({ length: cut.length + 1 }, () => postChat(gateway.url, echo, { headers: tight })),
  )
  expect(more.filter(({ status }) => status === 200)).toHaveLength(cut.length)

  const known = new Set(earlier.map((receipt) => keysetOf(receipt).digest))
  const later = await callBoth()
  const fresh = later.filter((receipt) => !known.has(keysetOf(receipt).digest))
  expect(fresh).toHaveLength(1)
  // The chain goes on from the newest keyset of all.
  expect(known).toContain(fresh[0] && keysetOf(fresh[0]).previous)
})

test('a worker that dies during a reload is replaced once, by the new configuration', async () => {
  const [first = 0, second = 0] = [0, 1].map((slot) => pidsOf(slot).at(-1))
  const started = pidsOf(0).length + pidsOf(1).length
  for (const pid of [first, second]) process.kill(pid, 'SIGSTOP')
  gateway.reload(options('13'))
  // Once for the reload before this one, once for this one.
  await gateway.logged('a configuration is handed to the workers', 2)
  process.kill(second, 'SIGKILL')
  await gateway.logged('a worker has ended', 2)
  process.kill(first, 'SIGCONT')
  await gateway.logged('configuration was reloaded', 2)
  await gateway.logged(serves, started + 1)
  for (const { payload } of await callBoth()) expect(payload.charge.amountAtomic).toBe(13n)
  expect(pidsOf(0).length + pidsOf(1).length).toBe(started + 1)
  expect((await callRaw({ url: `${gateway.url}/readyz` })).status).toBe(200)
})

/** Has the next keyset refused, and no other. */
function refuseOneKeyset(folder: string): void {
  const database = new DatabaseSync(join(folder, 'data', 'receipts.db'))
  database.exec(`CREATE TABLE refused (number INTEGER);
    CREATE TRIGGER refuse_one BEFORE INSERT ON keyset BEGIN
      INSERT INTO refused VALUES (1);
      SELECT raise(FAIL, 'refused') WHERE (SELECT count(*) FROM refused) = 1;
    END`)
  database.close()
}

test('a worker that cannot follow a reload ends its calls, also when the gateway stops', async () => {
  const own = await startGateway({ ...options(), folder: createGatewayFolder() })
  onTestFinished(() => disposeGateway(own))
  const sent = createKey(join(own.folder, 'data', 'api-keys.db'), {}, 'own')
  const streams = Array.from({ length: 12 }, () => begin(sent, own.url, slowerStream))
  await Promise.all(streams.map(({ begun }) => begun))
  refuseOneKeyset(own.folder)
  own.reload(options('11'))
  await own.logged('a worker cannot follow and is replaced')
  own.terminate()
  for (const { answer } of streams) {
    const { failure, trailers } = await answer
    expect(failure).toBeNull()
    expect(trailers['x-receipt-statement']).toMatch(/^[A-Za-z0-9_-]+$/)
  }
  expect(await own.ended).toEqual({ code: 0, signal: null })
})

test('stops without losing a stream, and nobody serves when the primary was killed', async () => {
  const streams = Array.from({ length: 4 }, () => begin())
  await Promise.all(streams.map(({ begun }) => begun))
  gateway.terminate()
  for (const { answer } of streams) {
    const { failure, trailers } = await answer
    expect(failure).toBeNull()
    expect(trailers['x-receipt-statement']).toMatch(/^[A-Za-z0-9_-]+$/)
  }
  expect(await gateway.ended).toEqual({ code: 0, signal: null })
  expect((await callRaw({ url: `${gateway.url}/healthz` })).failure).toBe('ECONNREFUSED')

  const second = await startGateway({ ...options(), folder: gateway.folder })
  onTestFinished(async () => {
    await second.stop()
  })
  expect((await postChat(second.url, echo, { headers })).status).toBe(200)
  // Resolves when standard error is closed: every worker holds it.
  expect(await second.kill()).toEqual({ code: null, signal: 'SIGKILL' })
  expect((await callRaw({ url: `${second.url}/healthz` })).failure).toBe('ECONNREFUSED')
})

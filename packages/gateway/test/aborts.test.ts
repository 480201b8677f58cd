import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { splitEvents } from '@countersign/protocol/receipt/event-chain'
import { callRaw, type RawResult } from '../../../test/provider/raw-client.ts'
import type { LoggedRequest } from '../../../test/provider/request-log.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { createChatBody, postChat, sha256Hex } from './support/chat-call.ts'
import { beginStream, events } from './support/chat-events.ts'
import {
  expectVerified,
  fetchReceipt,
  judge,
  receiptOf,
  type FetchedReceipt,
} from './support/receipts.ts'
import { startRecordingUpstream } from './support/recording-upstream.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider()
  gateway = await startGateway({ provider, connections: 32 })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

beforeEach(async () => {
  await provider.reset()
})

function nowMs(): number {
  return performance.timeOrigin + performance.now()
}

/** Waits, by asking, until the provider has logged what the test needs. */
async function untilLogged(
  isReady: (log: readonly LoggedRequest[]) => boolean,
): Promise<readonly LoggedRequest[]> {
  for (;;) {
    const log = await provider.log()
    if (isReady(log)) return log
  }
}

/** The part of a body that the verifier can prove: its whole events. */
function wholeEvents(body: Uint8Array): Uint8Array {
  const { rest } = splitEvents(body)
  return body.subarray(0, body.length - rest.length)
}

async function expectPrefix(
  answer: RawResult,
  body: Uint8Array,
  origin = gateway.url,
): Promise<FetchedReceipt> {
  const held = { response: wholeEvents(answer.body), responseIsPrefix: true }
  return expectVerified(origin, answer, body, held)
}

/** The sequence number that a call gets now: it counts every statement before it. */
async function nextSequence(origin = gateway.url): Promise<number> {
  const answer = await postChat(origin, 'no JSON')
  const { id, token } = receiptOf(answer.headers)
  return (await fetchReceipt(origin, id, token)).payload.sequence
}

test('stops the provider within 100 ms when the caller leaves in the middle of a stream', async () => {
  const delaysMs: number[] = []
  for (let round = 0; round < 7; round++) {
    await provider.reset()
    const body = createChatBody({ model: 'hostile-stall', stream: true })
    let leftAtMs = 0
    const answer = await postChat(gateway.url, body, {
      leaveWhen: () => {
        leftAtMs = nowMs()
        return true
      },
    })
    const [entry] = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
    if (entry?.end.kind !== 'aborted-by-client') throw new Error(`ended as ${entry?.end.kind}`)
    delaysMs.push(entry.startedAtMs + entry.end.afterMs - leftAtMs)
    const { claims, payload } = await expectPrefix(answer, body)
    expect(payload.charge.amountAtomic).toBe(0n)
    expect(claims).toMatchObject({
      outcome: { state: 'aborted-by-client', error: null },
      response: { status: 200, transform: 'identity' },
    })
  }
  // The machine may be busy: a wait of ours would be in all seven.
  expect(Math.min(...delaysMs)).toBeLessThan(100)
})

test('signs one statement for each caller who leaves, at whatever event that is', async () => {
  // Each call is sent as many events as its caller takes, and then none: who is late has not had more.
  const left: Promise<void>[] = []
  const upstream = await startRecordingUpstream((response, _, index) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    left.push(promise)
    response.once('close', resolve)
    beginStream(response)
    response.write(events.slice(0, index + 1).join(''))
  })
  const relay = await startGateway({ provider: upstream })
  const body = createChatBody({ model: 'm', stream: true })
  const before = await nextSequence(relay.url)
  for (let index = 0; index < events.length; index++) {
    const end = events.slice(0, index + 1).join('').length
    const answer = await postChat(relay.url, body, { leaveWhen: (bytes) => bytes >= end })
    expect(answer.body.length).toBe(end)
    const { claims } = await expectPrefix(answer, body, relay.url)
    // Who leaves after the last event has had the whole answer.
    const state = index === events.length - 1 ? 'complete' : 'aborted-by-client'
    expect(claims['outcome']).toMatchObject({ state })
    await left[index]
  }
  expect(left).toHaveLength(events.length)
  expect(await nextSequence(relay.url)).toBe(before + events.length + 1)
  await disposeGateway(relay)
  await upstream.stop()
})

test.each([true, false])(
  'signs one statement when the caller leaves before the head, stream %s',
  async (stream) => {
    const before = await nextSequence()
    const controller = new AbortController()
    const answer = postChat(
      gateway.url,
      createChatBody({ model: 'hostile-stall-headers', stream }),
      {
        leaveSignal: controller.signal,
      },
    )
    await untilLogged((log) => log.length === 1)
    controller.abort()
    expect(await answer).toMatchObject({ status: null, failure: 'ABORT_ERR' })
    const [entry] = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
    expect(entry?.end.kind).toBe('aborted-by-client')
    expect(await nextSequence()).toBe(before + 2)
  },
)

test('signs one statement when the caller leaves in the middle of a JSON answer', async () => {
  const before = await nextSequence()
  const controller = new AbortController()
  const body = createChatBody({ model: 'hostile-stall', stream: false })
  const answer = postChat(gateway.url, body, { leaveSignal: controller.signal })
  await untilLogged(([entry]) => (entry?.bytesWritten ?? 0) > 0)
  controller.abort()
  expect((await answer).status).toBeNull()
  const [entry] = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  expect(entry?.end.kind).toBe('aborted-by-client')
  expect(await nextSequence()).toBe(before + 2)
})

test('signs one refusal when the caller leaves in the middle of the request', async () => {
  const before = await nextSequence()
  const body = createChatBody({ model: 'loopback-echo', stream: true })
  const answer = await postChat(gateway.url, body, {
    headers: { 'content-length': String(body.length + 10) },
    leaveOnceSent: true,
  })
  expect(answer.status).toBeNull()
  for (;;) {
    const metrics = await callRaw({ url: `${gateway.url}/metrics` })
    if (/^countersign_refusals_total\{code="client-gone"\} 1$/m.test(metrics.body.toString())) break
  }
  expect(await nextSequence()).toBe(before + 2)
  expect(await provider.log()).toEqual([])
})

test('takes a caller who closes only its sending side for one who left', async () => {
  const before = await nextSequence()
  const body = createChatBody({ model: 'hostile-stall', stream: true })
  const { hostname, port } = new URL(gateway.url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      resolve()
    })
  })
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n`,
  )
  socket.write(body)
  socket.once('data', () => socket.end())
  await closed
  const [entry] = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  expect(entry?.end.kind).toBe('aborted-by-client')
  expect(await nextSequence()).toBe(before + 2)
})

function residentBytes(): number {
  const status = readFileSync(`/proc/${gateway.pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+([0-9]+) kB$/m.exec(status)?.[1]) * 1024
}

const isLinux = process.platform === 'linux'

test.skipIf(!isLinux)(
  `pauses the provider for slow readers and piles nothing up for them${isLinux ? '' : ' (skipped: no /proc)'}`,
  async () => {
    const readers = 8
    const body = createChatBody({ model: 'hostile-many-events-100000', stream: true })
    const before = residentBytes()
    const controller = new AbortController()
    const never = Promise.withResolvers<void>()
    const more = { holdUntil: never.promise, leaveSignal: controller.signal }
    const answers = Array.from({ length: readers }, async () => postChat(gateway.url, body, more))
    const log = await untilLogged(
      (all) => all.length === readers && all.every(({ waitingForReader }) => waitingForReader),
    )
    const grownBytes = residentBytes() - before
    const writtenBytes = log.map(({ bytesWritten }) => bytesWritten)
    // Each answer has more than 20 MB; what left the provider fills socket buffers only.
    expect(Math.max(...writtenBytes)).toBeLessThan(15_000_000)
    expect(grownBytes).toBeLessThan(60_000_000)
    controller.abort()
    await Promise.all(answers)
    const ended = await provider.log({ waitUntilIdleMs: 60_000, atLeast: readers })
    expect(ended.map(({ end }) => end.kind)).toEqual(Array(readers).fill('aborted-by-client'))
  },
)

test('gives a slow reader the whole stream when it goes on reading', async () => {
  const body = createChatBody({ model: 'hostile-many-events', stream: true })
  const resume = Promise.withResolvers<void>()
  const answer = postChat(gateway.url, body, { holdUntil: resume.promise })
  await untilLogged(([entry]) => entry?.waitingForReader === true)
  resume.resolve()
  const received = await answer
  expect(received.failure).toBeNull()
  const [entry] = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  expect(sha256Hex(received.body)).toBe(entry?.responseSha256)
  const { claims, bundle } = await expectVerified(gateway.url, received, body)
  expect(claims['stream']).toMatchObject({ events: 20_002 })
  // The bundle has the digests of all events: every prefix is proven.
  const receipt = await fetchReceipt(
    gateway.url,
    receiptOf(received.headers).id,
    receiptOf(received.headers).token,
  )
  expect(receipt.bundle).toEqual(bundle)
  const verdict = await judge(receipt, {
    response: wholeEvents(received.body),
    responseIsPrefix: true,
  })
  expect(verdict.verdict).toBe('valid')
  expect(gateway.stderr()).not.toContain('Warning')
})

test('says so when a stream had more events than a bundle carries: no prefix can be proven', async () => {
  const body = createChatBody({ model: 'hostile-many-events-33000', stream: true })
  const received = await postChat(gateway.url, body)
  const receipt = await expectVerified(gateway.url, received, body)
  const prefix = wholeEvents(received.body.subarray(0, 10_000))
  const verdict = await judge(receipt, { response: prefix, responseIsPrefix: true })
  expect(verdict.checks).toContainEqual(
    expect.objectContaining({ id: 'response-bytes', code: 'response-prefix-unprovable' }),
  )
})

test('frees the connections of callers who left while the provider was paused', async () => {
  const narrow = await startGateway({ provider, connections: 2 })
  for (let round = 0; round < 3; round++) {
    await provider.reset()
    const controller = new AbortController()
    const body = createChatBody({ model: 'hostile-many-events', stream: true })
    const never = Promise.withResolvers<void>()
    const more = { holdUntil: never.promise, leaveSignal: controller.signal }
    const answers = [postChat(narrow.url, body, more), postChat(narrow.url, body, more)]
    await untilLogged((log) => log.length === 2 && log.every((entry) => entry.waitingForReader))
    controller.abort()
    await Promise.all(answers)
  }
  const good = await postChat(narrow.url, createChatBody({ model: 'loopback-echo', stream: true }))
  expect(good).toMatchObject({ status: 200, failure: null })
  await disposeGateway(narrow)
})

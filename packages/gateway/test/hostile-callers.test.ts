import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callRaw } from '../../../test/provider/raw-client.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { sendRaw } from './support/raw-socket.ts'
import { fetchReceipt, receiptOf, type FetchedReceipt } from './support/receipts.ts'
import {
  startScriptedUpstream,
  type Script,
  type ScriptedUpstream,
} from './support/scripted-upstream.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

const stream = { 'content-type': 'text/event-stream' }
const done = 'data: [DONE]\n\n'
const event = `data: {"model":"m","x":"${'x'.repeat(60_000)}"}\n\n`
const scripts = new Map<string, Script>([
  // More than the sockets between here and the caller hold.
  ['long', (response) => response.writeHead(200, stream).end(event.repeat(400) + done)],
  ['line-ends', (response) => response.writeHead(200, stream).end('\n'.repeat(1_500_000) + done)],
  [
    'line-ends-at-once',
    (response) => {
      response.writeHead(200, stream).end('\n'.repeat(1_050_000) + done)
      // Gateway and upstream are one process here: what the sockets hold is read in one turn.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
    },
  ],
  ['fails', (response) => response.writeHead(200, stream).write('data: {"error":{"code":1}}\n\n')],
])

let upstream: ScriptedUpstream
let gateway: RunningGateway

beforeAll(async () => {
  upstream = await startScriptedUpstream(scripts)
  gateway = await startGateway({ provider: upstream })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await upstream.stop()
})

/** Reads nothing after the head, and gives the receipt of the call as soon as there is one. */
async function stopReading(origin: string): Promise<FetchedReceipt> {
  const body = createChatBody({ model: 'long', stream: true })
  const response = await fetch(`${origin}/v1/chat/completions`, { method: 'POST', body })
  const { id, token } = receiptOf(Object.fromEntries(response.headers))
  const receipt = await fetchReceipt(origin, id, token, 60)
  await response.body?.cancel()
  return receipt
}

test('a caller who stops reading has left, and pays, when either time is over', async () => {
  // The upstream is this process, which may stand still: that alone must not take so long.
  const times = [{ totalTimeoutMs: 14_000 }, { idleTimeoutMs: 12_000 }]
  const ends = times.map(async (limits) => {
    const hurried = await startGateway({ provider: upstream, limits })
    const { claims } = await stopReading(hurried.url)
    expect(claims['outcome']).toMatchObject({ state: 'aborted-by-client', error: null })
    await disposeGateway(hurried)
  })
  await Promise.all(ends)
})

test('request bodies are held up to a sum, and the memory comes back', async () => {
  const limits = { maxRequestBytes: 60_000, maxHeldRequestBytes: 100_000 }
  const small = await startGateway({ provider: upstream, limits })
  const { hostname, port } = new URL(small.url)
  const sender = connect(Number(port), hostname).on('error', () => undefined)
  sender.write('POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n')
  sender.write(Buffer.alloc(59_999, 0x20))
  const untilHeld = async (bytes: number): Promise<void> => {
    while ((await readMetric(small.url, 'countersign_request_held_bytes')) !== bytes);
  }
  await untilHeld(59_999)
  const refused = await postChat(small.url, Buffer.alloc(50_000, 0x20))
  expect(refused).toMatchObject({ status: 503, failure: null })
  expect(JSON.parse(refused.body.toString())).toMatchObject({ code: 'overloaded' })
  expect((await postChat(small.url, Buffer.alloc(40_000, 0x20))).status).toBe(400)
  sender.destroy()
  await untilHeld(0)
  expect((await postChat(small.url, Buffer.alloc(50_000, 0x20))).status).toBe(400)
  await disposeGateway(small)
})

test.each([
  ['', 'line-ends'],
  [', also when its end comes before they are counted', 'line-ends-at-once'],
])('a stream of line ends is cut before its events keep the gateway busy%s', async (_, model) => {
  const body = createChatBody({ model, stream: true })
  const answer = await postChat(gateway.url, body)
  expect(answer.failure).not.toBeNull()
  const { id, token } = receiptOf(answer.headers)
  const { claims } = await fetchReceipt(gateway.url, id, token, 60)
  expect(claims['outcome']).toMatchObject({ state: 'upstream-error', error: 'answer-malformed' })
})

const path = 'POST /v1/chat/completions HTTP/1.1\r\n'

test.each([
  ['bytes that are no HTTP', 'no HTTP\r\n\r\n', 400, 'request-malformed'],
  [
    'two lengths',
    `${path}host: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n`,
    400,
    'request-malformed',
  ],
  [
    'an unknown expectation',
    `${path}host: x\r\nexpect: tea\r\nconnection: close\r\n\r\n`,
    400,
    'request-malformed',
  ],
  [
    '20 KB of headers',
    `${path}host: x\r\nx-long: ${'x'.repeat(20_000)}\r\n\r\n`,
    431,
    'headers-too-large',
  ],
])('answers %s with an error of its own form', async (_, bytes, status, code) => {
  const answer = await sendRaw(gateway.url, Buffer.from(bytes))
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  expect(head).toContain(`content-length: ${body.length}`)
  expect(JSON.parse(body)).toMatchObject({ status, code, error: { code } })
})

test('puts no error into the middle of an answer when bytes follow that are no HTTP', async () => {
  const chat = createChatBody({ model: 'fails', stream: true })
  const head = `${path}host: x\r\ncontent-length: ${chat.length}\r\n\r\n`
  const { hostname, port } = new URL(gateway.url)
  const socket = connect(Number(port), hostname).on('error', () => undefined)
  let text = ''
  socket.on('data', (piece) => {
    if (text === '') socket.write('no HTTP\r\n\r\n')
    text += String(piece)
  })
  socket.write(Buffer.concat([Buffer.from(head), chat]))
  await once(socket, 'close')
  expect(text).toMatch(/^HTTP\/1\.1 200 /)
  expect(text).not.toContain('HTTP/1.1 400')
})

test('an error of the provider stays one when the caller leaves at once', async () => {
  const body = createChatBody({ model: 'fails', stream: true })
  const answer = await postChat(gateway.url, body, { leaveWhen: () => true })
  const { id, token } = receiptOf(answer.headers)
  const { claims } = await fetchReceipt(gateway.url, id, token, 60)
  expect(claims['outcome']).toMatchObject({ state: 'upstream-error', error: 'error-in-stream' })
})

async function readMetric(origin: string, name: string): Promise<number> {
  const { body } = await callRaw({ url: `${origin}/metrics` })
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(body.toString())?.[1])
}

test('a body in chunks of one byte takes hardly more memory than its bytes', async () => {
  const before = await readMetric(gateway.url, 'countersign_resident_memory_bytes')
  const { hostname, port } = new URL(gateway.url)
  const socket = connect(Number(port), hostname).on('error', () => undefined)
  socket.write(
    'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n',
  )
  const chunks = Buffer.from('1\r\n \r\n'.repeat(100_000))
  for (let part = 0; part < 15; part++) {
    if (!socket.write(chunks)) await once(socket, 'drain')
  }
  socket.write('0\r\n\r\n')
  const [answer] = await once(socket, 'data')
  socket.destroy()
  expect(String(answer)).toMatch(/^HTTP\/1\.1 400 /)
  const grown = (await readMetric(gateway.url, 'countersign_resident_memory_bytes')) - before
  // The rest is garbage. As a list of pieces it took more than 500 MB.
  expect(grown).toBeLessThan(250_000_000)
})

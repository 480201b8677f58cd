import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import type { LoggedRequest } from '../../../test/provider/request-log.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { sendRaw } from './support/raw-socket.ts'
import { expectVerified } from './support/receipts.ts'
import { startScriptedUpstream } from './support/scripted-upstream.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

const operatorKey = 'sk-operator-0123456789'
const connections = 2

let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider({ apiKey: operatorKey })
  const upstream = {
    name: 'loopback',
    baseUrl: provider.url,
    caFile: provider.caFile,
    apiKeyEnv: 'LOOPBACK_KEY',
    connections,
    models: [{ id: '*', priceAtomic: '1' }],
  }
  gateway = await startGateway({
    config: { upstreams: [upstream] },
    environment: { LOOPBACK_KEY: operatorKey },
  })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

beforeEach(async () => {
  await provider.reset()
})

const body = createChatBody({ model: 'loopback-echo', stream: false })

async function readEntry(): Promise<LoggedRequest> {
  const [entry, ...others] = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  expect(others).toEqual([])
  if (entry === undefined) throw new Error('Nothing was logged.')
  return entry
}

/** Posts the body with these header lines over a raw socket and gives the response as text. */
async function postWithLines(lines: readonly string[], more: Uint8Array = body): Promise<string> {
  const head = [
    'POST /v1/chat/completions HTTP/1.1',
    'host: gateway.example',
    `content-length: ${body.length}`,
    'connection: close',
    ...lines,
  ]
  const request = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), more])
  return sendRaw(gateway.url, request)
}

const allowed = {
  'content-type': 'application/json; charset=utf-8',
  accept: 'application/json, */*;q=0.5',
  'openai-beta': 'assistants=v2',
}

test('sends the allowed headers up and sets its own', async () => {
  const answer = await postChat(gateway.url, body, { headers: allowed })
  expect(answer.status).toBe(200)
  const { headers } = await readEntry()
  expect(headers).toEqual({
    ...allowed,
    host: new URL(provider.url).host,
    connection: 'keep-alive',
    'content-length': String(body.length),
    'accept-encoding': 'identity',
    'user-agent': 'countersign-gateway',
    authorization: `Bearer ${operatorKey}`,
  })
  await expectVerified(gateway.url, answer, body)
})

const dropped = [
  'idempotency-key: abc-1-0123456789-defgh',
  'authorization: Bearer sk-caller',
  'x-api-key: sk-caller',
  'x-goog-api-key: sk-caller',
  'proxy-authorization: Basic YTpi',
  'proxy-connection: keep-alive',
  'te: trailers',
  'trailer: x-late',
  'cookie: session=1',
  'origin: https://app.example',
  'referer: https://app.example/',
  'forwarded: for=1.2.3.4',
  'x-forwarded-for: 1.2.3.4',
  'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  'x-stainless-lang: js',
  'openai-organization: org-caller',
  'openai-project: proj-caller',
  'payment-signature: e30=',
  'x-payment: e30=',
  'x-receipt-nonce: AAAA',
  'x-receipt-token: mine',
  'x-receipt-anything: mine',
  'settlement-overrides: {}',
  'accept-encoding: gzip, br',
  'user-agent: caller/1.0',
]

test('sends nothing else up: credentials, cookies, payments, hop-by-hop and tracing end here', async () => {
  const answer = await postWithLines(dropped)
  expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  const { headers, rawHeaders } = await readEntry()
  expect(Object.keys(headers).toSorted()).toEqual([
    'accept-encoding',
    'authorization',
    'connection',
    'content-length',
    'host',
    'user-agent',
  ])
  const values = rawHeaders.map(([, value]) => value).join('\n')
  expect(values).not.toMatch(/caller|mine|gzip|AAAA|e30=/)
})

function echo(response: ServerResponse): void {
  response.writeHead(400, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ error: { message: 'bad', headers: response.req.headers } }))
}

test('an error in which a provider shows what it was sent does not reach callers', async () => {
  const upstream = await startScriptedUpstream(new Map([['m', echo]]))
  onTestFinished(() => upstream.stop())
  const models = [{ id: 'm', priceAtomic: '1' }]
  const config = {
    upstreams: [{ name: 'echo', baseUrl: upstream.url, apiKeyEnv: 'LOOPBACK_KEY', models }],
  }
  const environment = { LOOPBACK_KEY: operatorKey }
  const other = await startGateway({ config, environment })
  onTestFinished(() => disposeGateway(other))
  const answer = await postChat(other.url, createChatBody({ model: 'm', stream: false }))
  expect(answer.status).toBe(502)
  expect(answer.body.toString()).toContain('upstream-credentials')
  expect(answer.body.toString() + other.stderr()).not.toContain(operatorKey)
})

test('sends one Authorization up, its own, when the caller sends two', async () => {
  const answer = await postWithLines(['authorization: Bearer a', 'Authorization: Bearer b'])
  expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  const { rawHeaders } = await readEntry()
  const sent = rawHeaders.filter(([name]) => name.toLowerCase() === 'authorization')
  expect(sent).toEqual([['authorization', `Bearer ${operatorKey}`]])
})

test('sends a value with bytes above ASCII up unchanged', async () => {
  const answer = await postWithLines(['openai-beta: caf\u00e9=\u00ff'])
  expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  expect((await readEntry()).headers['openai-beta']).toBe('caf\u00e9=\u00ff')
})

const down = [
  'set-cookie',
  'server',
  'openai-organization',
  'openai-project',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-tokens',
  'strict-transport-security',
  'alt-svc',
  'x-content-type-options',
  'payment-response',
  'payment-required',
  'settlement-overrides',
  'x-receipt-access-token',
]

test.each([true, false])(
  'lets no provider speak for the gateway or for its operator, stream %s',
  async (stream) => {
    const chat = createChatBody({ model: 'hostile-header-injection', stream })
    const answer = await postChat(gateway.url, chat)
    expect(answer.status).toBe(200)
    expect(JSON.stringify([answer.headers, answer.trailers])).not.toContain('forged')
    for (const name of down) expect(answer.headers[name], name).toBeUndefined()
    expect(answer.headers['x-request-id']).toMatch(/^req_/)
    expect(answer.headers['openai-processing-ms']).toMatch(/^[0-9]+$/)
    expect(answer.headers['openai-version']).toBe('2020-10-01')
    expect(answer.headers['cache-control']).toContain('no-store')
    await expectVerified(gateway.url, answer, chat)
  },
)

test('passes the provider’s advice on retries and drops its rate limits', async () => {
  const chat = createChatBody({ model: 'hostile-status-429', stream: false })
  const { status, headers } = await postChat(gateway.url, chat)
  expect(status).toBe(429)
  expect(headers).toMatchObject({
    'retry-after': '2',
    'retry-after-ms': '1500',
    'x-should-retry': 'true',
  })
  expect(headers['x-ratelimit-remaining-requests']).toBeUndefined()
})

test('replaces trailers of the provider by its own', async () => {
  const chat = createChatBody({ model: 'hostile-trailers', stream: true })
  const answer = await postChat(gateway.url, chat)
  expect(Object.keys(answer.trailers)).toEqual(['x-receipt-statement'])
  expect(answer.headers.trailer).toBe('x-receipt-statement')
  const { statement } = await expectVerified(gateway.url, answer, chat)
  expect(answer.trailers['x-receipt-statement']).toBe(statement)
})

// Each of these would take one slot of an undici pool for ever, were it passed on.
const traps: readonly (readonly string[])[] = [
  ['transfer-encoding: chunked'],
  ['transfer-encoding: gzip, chunked'],
  ['expect: 100-continue'],
  ['expect: something-else'],
  ['keep-alive: timeout=5'],
  ['upgrade: websocket', 'connection: upgrade'],
  ['upgrade: h2c', 'http2-settings: AAMAAABkAAQAAP__'],
  ['openai-beta: a\rx-smuggled: 1'],
  ['openai-beta: a\nx-smuggled: 1'],
  ['openai-beta: a\u0000b'],
  ['openai-beta: a\u007fb'],
  ['accept: \u0001'],
  ['idempotency-key: a\u001fb'],
  ['content-length: 5'],
  ['connection: keep-alive, openai-beta', 'openai-beta: x'],
]

test('serves a good call at once after many requests that poison a connection pool', async () => {
  const rounds = Math.ceil((10 * connections) / traps.length) + 1
  let sent = 0
  for (let round = 0; round < rounds; round++) {
    const answers = await Promise.all(traps.map((lines) => postWithLines(lines)))
    for (const answer of answers) expect(answer).toMatch(/^(?:HTTP\/1\.1 [1-5][0-9]{2} |$)/)
    sent += answers.length
  }
  expect(sent).toBeGreaterThanOrEqual(10 * connections)
  const startMs = performance.now()
  const good = await Promise.all(
    Array.from({ length: 2 * connections }, async () => postChat(gateway.url, body)),
  )
  // A slot that is blocked stays blocked until the time limit for the whole call.
  expect(performance.now() - startMs).toBeLessThan(60_000)
  expect(good.map(({ status }) => status)).toEqual(good.map(() => 200))
  const log = await provider.log({ waitUntilIdleMs: 60_000, atLeast: good.length })
  for (const { rawHeaders } of log) {
    expect(rawHeaders.map(([name]) => name.toLowerCase())).not.toContain('x-smuggled')
  }
})

test('answers in the same words over HTTP/1.0, which knows no trailers', async () => {
  for (const stream of [true, false]) {
    const chat = createChatBody({ model: 'loopback-echo', stream })
    const head = `POST /v1/chat/completions HTTP/1.0\r\ncontent-length: ${chat.length}\r\n\r\n`
    const text = await sendRaw(gateway.url, Buffer.concat([Buffer.from(head), chat]))
    const [answerHead = '', ...rest] = text.split('\r\n\r\n')
    expect(answerHead).toMatch(/^HTTP\/1\.1 200 /)
    const header = (name: string): string | undefined =>
      new RegExp(`^${name}: (.*)$`, 'im').exec(answerHead)?.[1]
    const answer = {
      status: 200,
      headers: {
        'x-receipt-id': header('x-receipt-id') ?? '',
        'x-receipt-token': header('x-receipt-token') ?? '',
      },
      trailers: {},
      informationalStatuses: [],
      pieces: [],
      body: Buffer.from(rest.join('\r\n\r\n'), 'latin1'),
      failure: null,
    }
    await expectVerified(gateway.url, answer, chat)
  }
})

test('keeps a connection in step after a refused body that it did not read', async () => {
  const { hostname, port } = new URL(gateway.url)
  const socket = connect(Number(port), hostname)
  const answers = new Promise<string>((resolve, reject) => {
    let text = ''
    socket.setEncoding('latin1').on('data', (piece) => {
      text += String(piece)
    })
    socket.once('close', () => {
      resolve(text)
    })
    socket.once('error', reject)
  })
  const inner = `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body.toString()}`
  const outer = `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-encoding: gzip\r\ncontent-length: ${inner.length}\r\n\r\n${inner}`
  socket.write(outer)
  socket.end()
  expect((await answers).match(/HTTP\/1\.1 /g)).toHaveLength(1)
  expect(await provider.log()).toEqual([])
})

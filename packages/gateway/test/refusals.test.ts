import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { fromBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { callRaw, type RawCall } from '../../../test/provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { sendRaw } from './support/raw-socket.ts'
import { expectVerified, fetchReceipt, judge, receiptOf } from './support/receipts.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

const maxRequestBytes = 65_536

let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider()
  const { url: baseUrl, caFile } = provider
  const models = [{ id: 'loopback-echo', priceAtomic: '5' }]
  gateway = await startGateway({
    limits: { maxRequestBytes },
    config: { upstreams: [{ name: 'loopback', baseUrl, caFile, models }] },
  })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

beforeEach(async () => {
  await provider.reset()
})

const messages = '"messages":[{"role":"user","content":"hi"}]'
const chat = createChatBody({ model: 'loopback-echo', stream: false })
const withModel = (model: string): string => `{"model":${JSON.stringify(model)},${messages}}`
const nested = (open: string, close: string, depth: number): string =>
  `{"model":"loopback-echo",${messages},"x":${open.repeat(depth)}1${close.repeat(depth)}}`

type Refusal = {
  readonly what: string
  readonly body: string | Uint8Array
  readonly status: number
  readonly code: string
  readonly more?: Partial<RawCall>
}

const malformed = (what: string, body: string | Uint8Array): Refusal => ({
  what,
  body,
  status: 400,
  code: 'request-malformed',
})

const refusals: readonly Refusal[] = [
  malformed('an empty body', ''),
  malformed('text', 'no JSON'),
  malformed('an array', `[${withModel('loopback-echo')}]`),
  malformed('a string', '"loopback-echo"'),
  malformed('two objects', `${withModel('loopback-echo')}{}`),
  malformed('an object that does not end', withModel('loopback-echo').slice(0, -1)),
  malformed('a comma too many', `{"model":"loopback-echo",${messages},}`),
  malformed('a byte order mark', `\u{feff}${withModel('loopback-echo')}`),
  malformed('UTF-16', Buffer.from(withModel('loopback-echo'), 'utf16le')),
  malformed(
    'a byte that is not UTF-8',
    Buffer.concat([chat.subarray(0, -3), Buffer.from([0xff]), chat.subarray(-3)]),
  ),
  malformed(
    'an encoded surrogate',
    Buffer.from(withModel('loopback-echo').replace('hi', '\u00ed\u00a0\u0080'), 'latin1'),
  ),
  malformed('10,000 arrays in one another', nested('[', ']', 10_000)),
  malformed('10,000 objects in one another', nested('{"a":', '}', 5_000)),
  malformed('a model twice', `{"model":"loopback-echo","model":"other",${messages}}`),
  malformed(
    'a model twice, once escaped',
    `{"model":"loopback-echo","mod\\u0065l":"other",${messages}}`,
  ),
  malformed(
    'a stream flag twice',
    `{"model":"loopback-echo","stream":false,"stream":true,${messages}}`,
  ),
  malformed('any other member twice', `{"n":1,"model":"loopback-echo","n":100,${messages}}`),
  malformed('capitals', `{"model":"loopback-echo","MODEL":"b",${messages}}`),
  malformed('a long s', `{"model":"loopback-echo","\u017ftream":true,${messages}}`),
  malformed(
    'a stream flag that is a text',
    `{"model":"loopback-echo","stream":"true",${messages}}`,
  ),
  malformed('a stream flag that is a number', `{"model":"loopback-echo","stream":1,${messages}}`),
  malformed('no model', `{${messages}}`),
  malformed('a model that is null', `{"model":null,${messages}}`),
  malformed('a model that is an object', `{"model":{"id":"a"},${messages}}`),
  ...[
    '',
    '../x',
    'a/../b',
    'a?b',
    'a#b',
    'a%2e',
    'a b',
    'a\nb',
    'a\\b',
    'a\u0000',
    'ä',
    'x'.repeat(129),
  ].map((model) => malformed(`the model ${JSON.stringify(model.slice(0, 9))}`, withModel(model))),
  { what: 'an unknown model', body: withModel('other'), status: 404, code: 'model-not-found' },
  { what: 'the model *', body: withModel('*'), status: 400, code: 'request-malformed' },
  {
    what: 'a compressed body',
    body: chat,
    status: 415,
    code: 'body-encoded',
    more: { headers: { 'content-encoding': 'gzip' } },
  },
  ...['', '=', 'AA==', 'A', 'a b', '+/==', 'AB', 'A'.repeat(88)].map((nonce) => ({
    ...malformed(`the nonce ${JSON.stringify(nonce.slice(0, 9))}`, chat),
    more: { headers: { 'x-receipt-nonce': nonce } },
  })),
  // A provider that decodes as it is told would read other members than the gateway.
  ...['utf-7', 'UTF-16', 'shift_jis', "utf-8''", 'utf-8; charset=utf-7'].map((charset) => ({
    ...malformed(`the charset ${charset}`, chat),
    more: { headers: { 'content-type': `application/json; charset=${charset}` } },
  })),
  {
    ...malformed(
      'another charset',
      createChatBody({ model: 'loopback-echo', stream: false, prompt: 'é' }),
    ),
    more: { headers: { 'content-type': 'application/json; charset=ISO-8859-1' } },
  },
  ...['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'].map((method) => ({
    what: `the method ${method}`,
    body: method === 'GET' ? '' : chat,
    status: 405,
    code: 'method-not-allowed',
    more: { method, headers: { 'content-length': method === 'GET' ? '0' : String(chat.length) } },
  })),
]

test.each(refusals)(
  'refuses $what with $status $code, signed and free',
  async ({ body, status, code, more }) => {
    const answer = await postChat(gateway.url, body, more)
    expect(answer).toMatchObject({ status, failure: null })
    const isPaymentFree = { scheme: 'none', amountAtomic: 0n }
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'x-should-retry': 'false',
    })
    expect(JSON.parse(answer.body.toString())).toEqual({
      error: {
        message: expect.stringMatching(/./),
        type: 'invalid_request_error',
        param: null,
        code,
      },
      type: `urn:countersign:error:${code}`,
      title: expect.stringMatching(/./),
      status,
      detail: expect.stringMatching(/./),
      code,
      hint: expect.stringMatching(/./),
    })
    const { payload, claims, statement } = await expectVerified(gateway.url, answer, body)
    expect(payload).toMatchObject({ type: 'refusal', charge: isPaymentFree })
    expect(answer.headers['x-receipt-statement']).toBe(statement)
    expect(claims).toMatchObject({
      refusal: { code, status },
      response: { transform: 'gateway-error' },
    })
    expect(await provider.log()).toEqual([])
  },
)

test('states no body of a refusal of HEAD, because none is returned', async () => {
  const answer = await postChat(gateway.url, '', { method: 'HEAD' })
  expect(answer).toMatchObject({ status: 405, failure: null })
  expect(answer.body).toHaveLength(0)
  const { claims } = await expectVerified(gateway.url, answer, '')
  expect(claims['request']).toMatchObject({ method: 'HEAD' })
  expect(claims['response']).toMatchObject({ bytes: 0, status: 405 })
})

test('refuses a body over the limit, whether its length is declared or not', async () => {
  const big = Buffer.alloc(maxRequestBytes + 1, 0x20)
  for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
    const answer = await postChat(gateway.url, big, { headers })
    expect(answer).toMatchObject({ status: 413, failure: null })
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'body-too-large' })
    const { id, token } = receiptOf(answer.headers)
    const { claims, payload, ...rest } = await fetchReceipt(gateway.url, id, token)
    const verdict = await judge({ claims, payload, ...rest }, { response: answer.body })
    expect(verdict.verdict).toBe('valid')
    expect(payload.type).toBe('refusal')
    // What was not read is not stated.
    expect(claims['request']).not.toMatchObject({ bytes: big.length })
  }
  const huge = Buffer.alloc(30_000_000, 0x20)
  expect((await postChat(gateway.url, huge)).status).toBe(413)
  expect(
    (await postChat(gateway.url, huge, { headers: { 'transfer-encoding': 'chunked' } })).status,
  ).toBe(413)
})

test.each([
  'application/json; charset=utf-8',
  'text/plain;charset="UTF-8"',
  'application/json;a=b',
  // ASCII is the same in it.
  'application/json; charset=ISO-8859-1',
])('takes a body of the type %s', async (type) => {
  const answer = await postChat(gateway.url, chat, { headers: { 'content-type': type } })
  expect(answer.status).toBe(200)
})

test('takes a body of exactly the limit', async () => {
  const body = Buffer.concat([chat, Buffer.alloc(maxRequestBytes - chat.length, 0x20)])
  const answer = await postChat(gateway.url, body)
  expect(answer.status).toBe(200)
  await expectVerified(gateway.url, answer, body)
})

test('takes a nesting that providers take, and longest names', async () => {
  const model = `{"model":"loopback-echo",${messages},"x":${'['.repeat(200)}${']'.repeat(200)}}`
  expect((await postChat(gateway.url, model)).status).toBe(200)
})

test('signs the nonce of a caller', async () => {
  const nonce = Buffer.from('a nonce of the caller')
  const headers = { 'x-receipt-nonce': nonce.toString('base64url') }
  const answer = await postChat(gateway.url, chat, { headers })
  const receipt = await expectVerified(gateway.url, answer, chat, { response: answer.body, nonce })
  expect(Buffer.from(receipt.payload.nonce ?? [])).toEqual(nonce)
  const refused = await postChat(gateway.url, 'no JSON', { headers })
  await expectVerified(gateway.url, refused, 'no JSON', { response: refused.body, nonce })
})

const others: readonly (readonly [
  method: string,
  path: string,
  status: number,
  code: string,
  detail: RegExp,
])[] = [
  ['POST', '/v1/v1/chat/completions', 404, 'path-not-found', /\/v1 twice/],
  ['GET', '/v1/v1/models', 404, 'path-not-found', /\/v1 twice/],
  ['POST', '/chat/completions', 404, 'path-not-found', /./],
  ['POST', '/v1/chat/completions/', 404, 'path-not-found', /./],
  ['POST', '/v1/Chat/Completions', 404, 'path-not-found', /./],
  ['GET', '/', 404, 'path-not-found', /./],
  ['GET', '/favicon.ico', 404, 'path-not-found', /./],
  ['POST', '/v1/models', 405, 'method-not-allowed', /./],
  ['DELETE', '/v1/receipts/00000000000000000000000000000000', 405, 'method-not-allowed', /./],
  ['POST', '/metrics', 405, 'method-not-allowed', /./],
]

test.each(others)('answers %s %s with %i %s', async (method, path, status, code, detail) => {
  const answer = await callRaw({ url: `${gateway.url}${path}`, method, body: '' })
  expect(answer.status).toBe(status)
  expect(JSON.parse(answer.body.toString())).toMatchObject({
    code,
    detail: expect.stringMatching(detail),
    error: { code, type: 'invalid_request_error' },
  })
  if (status === 405) expect(answer.headers.allow).toBe('GET')
})

test('names the one method of the chat path', async () => {
  const answer = await callRaw({ url: `${gateway.url}/v1/chat/completions` })
  expect(answer.headers.allow).toBe('POST')
})

test('refuses targets in absolute form and queries: neither is forwarded', async () => {
  const head = `host: a\r\nconnection: close\r\ncontent-length: ${chat.length}\r\n\r\n`
  const absolute = `POST http://provider.example/v1/chat/completions HTTP/1.1\r\n${head}`
  expect(await sendRaw(gateway.url, Buffer.concat([Buffer.from(absolute), chat]))).toMatch(
    /^HTTP\/1\.1 404 /,
  )
  const query = await callRaw({
    url: `${gateway.url}/v1/chat/completions?key=secret`,
    method: 'POST',
    body: chat,
  })
  expect(query.status).toBe(400)
  await expectVerified(gateway.url, query, chat)
  expect(await provider.log()).toEqual([])
})

test.each(['//a/metrics', '/a/../metrics', '/./metrics', String.raw`/\a/metrics`, '/%2e/metrics'])(
  'a path has one way to be written: %s is none for /metrics',
  async (path) => {
    const request = `GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`
    const answer = await sendRaw(gateway.url, Buffer.from(request))
    expect(answer).toMatch(/^HTTP\/1\.1 404 /)
    expect(answer).toContain('"code":"path-not-found"')
  },
)

test('answers pipelined requests in their order, each with its own receipt', async () => {
  const prompts = ['first', 'second', 'third']
  const parts = prompts.map((prompt, index) => {
    const body = createChatBody({ model: 'loopback-echo', stream: index === 1, prompt })
    const close = index === prompts.length - 1 ? 'connection: close\r\n' : ''
    return `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n${close}content-length: ${body.length}\r\n\r\n${body.toString()}`
  })
  const text = await sendRaw(gateway.url, Buffer.from(parts.join('')))
  expect(text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3)
  expect(new Set(text.match(/x-receipt-id: [0-9a-f]{32}/g)).size).toBe(3)
  const places = prompts.map((prompt) => text.indexOf(` ${prompt}`))
  expect(places).not.toContain(-1)
  expect(places).toEqual(places.toSorted((a, b) => a - b))
})

test('refuses calls beyond the number that it takes at a time, and says when to try again', async () => {
  const { url: baseUrl, caFile } = provider
  const busy = await startGateway({ provider: { url: baseUrl, caFile }, limits: { maxCalls: 1 } })
  const controller = new AbortController()
  const stalled = createChatBody({ model: 'hostile-stall', stream: true })
  const { promise, resolve } = Promise.withResolvers<void>()
  const running = postChat(busy.url, stalled, {
    leaveSignal: controller.signal,
    leaveWhen: () => {
      resolve()
      return false
    },
  })
  await promise
  const answer = await postChat(busy.url, chat)
  expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
  expect(answer.headers['x-should-retry']).toBeUndefined()
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'overloaded' })
  controller.abort()
  await running
  await disposeGateway(busy)
})

test('signs the refusal of a POST to a path that is not there', async () => {
  const response = await fetch(`${gateway.url}/v1/nothing?beta=true`, {
    method: 'POST',
    body: '{}',
  })
  expect(response.status).toBe(404)
  const statement = fromBase64url(response.headers.get('x-receipt-statement') ?? '')
  const { payload } = parseStatement(statement ?? new Uint8Array(0))
  expect(payload).toMatchObject({ type: 'refusal', charge: { amountAtomic: 0n } })
  expect(response.headers.get('x-receipt-id')).toBe(toHex(payload.id))
})

import { afterAll, beforeAll, expect, test } from 'vitest'
import { callRaw, type RawResult } from '../../../test/provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { createChatBody } from './support/chat-call.ts'
import { expectVerified } from './support/receipts.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'
import { createWireCall, sendWireCall } from './support/wire-calls.ts'

let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider()
  const { url, caFile } = provider
  const of = (name: string, kind: string, baseUrl: string): object => ({
    name,
    kind,
    baseUrl,
    caFile,
    models: [{ id: `${name}-model`, priceAtomic: '12' }],
  })
  gateway = await startGateway({
    config: {
      payment: { apiKeys: { asset: 'credits' } },
      upstreams: [
        of('first', 'openai', url),
        of('second', 'anthropic', url),
        of('third', 'google', url.replace(/v1$/, 'v1beta')),
        of('fourth', 'xai', url),
      ],
    },
  })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

const price = { amount: '12', per: 'call' }

async function get(path: string, headers: Record<string, string> = {}): Promise<unknown> {
  const answer = await callRaw({ url: gateway.url + path, headers })
  expect(answer.status).toBe(200)
  return JSON.parse(answer.body.toString())
}

test('lists models with prices in the form of each wire, and only those of the wire', async () => {
  const model = { object: 'model', created: 0, price }
  expect(await get('/v1/models')).toEqual({
    object: 'list',
    data: [
      { id: 'first-model', owned_by: 'first', ...model },
      { id: 'fourth-model', owned_by: 'fourth', ...model },
    ],
  })
  expect(await get('/v1/models', { 'anthropic-version': '2023-06-01' })).toEqual({
    data: [
      {
        type: 'model',
        id: 'second-model',
        display_name: 'second-model',
        created_at: '1970-01-01T00:00:00Z',
        price,
      },
    ],
    has_more: false,
    first_id: 'second-model',
    last_id: 'second-model',
  })
  expect(await get('/v1beta/models')).toMatchObject({
    models: [{ name: 'models/third-model', displayName: 'third-model', price }],
  })
})

function bodyOf({ body }: RawResult): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(body.toString())
  if (typeof value !== 'object' || value === null) throw new Error('no object')
  return Object.fromEntries(Object.entries(value))
}

const message = expect.stringMatching(/./)

const refusals = [
  ['chat', 'nothing', 404, { error: { type: 'invalid_request_error', code: 'model-not-found' } }],
  [
    'chat',
    'first-model',
    401,
    { error: { type: 'authentication_error', code: 'api-key-invalid' } },
  ],
  ['messages', 'nothing', 404, { type: 'error', error: { type: 'not_found_error', message } }],
  ['messages', 'second-model', 401, { type: 'error', error: { type: 'authentication_error' } }],
  ['messages', 'a b', 400, { type: 'error', error: { type: 'invalid_request_error' } }],
  ['generate', 'nothing', 404, { error: { code: 404, status: 'NOT_FOUND', message } }],
  [
    'generate',
    'third-model',
    401,
    {
      error: {
        code: 401,
        status: 'UNAUTHENTICATED',
        details: [{ reason: 'API_KEY_INVALID', domain: 'countersign' }],
      },
    },
  ],
] as const

test.each(refusals)(
  'refuses on the wire of %s the model %s with %i in the form of its errors',
  async (wire, model, status, expected) => {
    const call = createWireCall(wire, model)
    const answer = await sendWireCall(gateway.url, call)
    expect(answer.status).toBe(status)
    expect(bodyOf(answer)).toMatchObject({
      ...expected,
      status,
      title: message,
      detail: message,
      hint: message,
    })
    const { payload } = await expectVerified(gateway.url, answer, call.body)
    expect(payload.type).toBe('refusal')
  },
)

test('says on which paths a model is served when it is asked for on others', async () => {
  const pairs = [
    ['chat', 'second-model', '/v1/messages'],
    ['messages', 'first-model', '/v1/chat/completions'],
    ['generate', 'fourth-model', '/v1/chat/completions'],
    ['chat', 'third-model', ':generateContent'],
  ] as const
  for (const [wire, model, path] of pairs) {
    const answer = await sendWireCall(gateway.url, createWireCall(wire, model))
    expect(answer.status).toBe(404)
    expect(String(bodyOf(answer)['detail'])).toContain(path)
  }
})

const version = { 'anthropic-version': '2023-06-01' }

test('describes one model as its list does, in the form of each wire', async () => {
  const lists = [
    ['/v1/models', {}, 'data', 'first-model', 'first-model'],
    ['/v1/models', {}, 'data', 'fourth-model', 'fourth%2Dmodel'],
    ['/v1/models', version, 'data', 'second-model', 'second-model'],
    ['/v1beta/models', {}, 'models', 'third-model', 'third-model'],
  ] as const
  for (const [path, headers, member, id, written] of lists) {
    const list = await get(path, headers)
    const described = await get(`${path}/${written}`, headers)
    expect(JSON.stringify(described)).toContain(id)
    expect(list).toMatchObject({ [member]: expect.arrayContaining([described]) })
  }
})

test('only reads models', async () => {
  const url = `${gateway.url}/v1/models/first-model`
  const answer = await callRaw({ url, method: 'DELETE' })
  expect([answer.status, answer.headers.allow]).toEqual([405, 'GET'])
})

test.each([
  ['/v1/models/second-model', {}, { error: { code: 'model-not-found', param: null } }],
  ['/v1/models/first-model', version, { type: 'error', error: { type: 'not_found_error' } }],
  ['/v1/models/%', version, { type: 'error' }],
  ['/v1/models/*', {}, { code: 'model-not-found' }],
  ['/v1/models/a%2F..%2Fb', {}, { code: 'model-not-found' }],
  ['/v1/models/__proto__', {}, { code: 'model-not-found' }],
  ['/v1beta/models/first-model', {}, { error: { code: 404, status: 'NOT_FOUND' } }],
])('answers %s %j with 404 in the form of its wire', async (path, headers, expected) => {
  const answer = await callRaw({ url: gateway.url + path, headers })
  expect(answer.status).toBe(404)
  expect(bodyOf(answer)).toMatchObject(expected)
})

const unknown = [
  ['/v1/v1/chat/completions', /\/v1 twice/],
  ['/v1beta/v1beta/models/m:generateContent', /\/v1beta twice/],
  ['/v1beta/v1/models', /ends before the version/],
  ['/v1/files', /All callers share/],
  ['/v1/vector_stores/vs_1/search', /All callers share/],
  ['/v1/conversations', /All callers share/],
  ['/v1beta/cachedContents', /All callers share/],
  ['/v1/messages/batches', /./],
  ['/v1beta/models/m:deleteEverything', /./],
  ['/v1beta/models/a..b:generateContent', /./],
] as const

test.each(['/v1/models/a..b:generateContent', '/v1/models/m:deleteEverything'])(
  'takes %s for the name of a model, which can be read alone',
  async (path) => {
    const answer = await callRaw({ url: gateway.url + path, method: 'POST', body: '{}' })
    expect(answer.status).toBe(405)
    expect(answer.headers['allow']).toBe('GET')
  },
)

test.each(unknown)('answers 404 with a hint at %s', async (path, detail) => {
  for (const method of ['POST', 'GET']) {
    const answer = await callRaw({
      url: gateway.url + path,
      method,
      body: method === 'POST' ? '{}' : '',
    })
    if (method === 'GET' && answer.status === 405) continue
    expect(answer.status).toBe(404)
    const { hint, detail: said } = bodyOf(answer)
    expect(said).toMatch(detail)
    expect(hint).toMatch(/Base URLs|name|own/)
  }
})

test('takes the queries that a wire needs, whole, and no other', async () => {
  const refused = [
    ['/v1/chat/completions?beta=true', 'request-malformed'],
    ['/v1/messages?beta=true&x=1', 'request-malformed'],
    ['/v1/messages?beta=false', 'request-malformed'],
    ['/v1beta/models/third-model:generateContent?alt=sse', 'request-malformed'],
    ['/v1beta/models/third-model:streamGenerateContent?alt=media', 'request-malformed'],
    ['/v1beta/models/third-model:streamGenerateContent?alt=sse&key=AIza', 'credential-in-query'],
    ['/v1beta/models/third-model:generateContent?key=AIza', 'credential-in-query'],
    ['/v1/messages?api_key=1', 'credential-in-query'],
  ] as const
  for (const [path, code] of refused) {
    const model = path.startsWith('/v1beta') ? 'third-model' : 'second-model'
    const body = createChatBody({ model, stream: false })
    const answer = await callRaw({ url: gateway.url + path, method: 'POST', body })
    expect(answer.status, path).toBe(400)
    expect(bodyOf(answer)['code'], path).toBe(code)
    const { claims } = await expectVerified(gateway.url, answer, body)
    expect(JSON.stringify(claims)).not.toContain('AIza')
  }
  expect(await provider.log()).toEqual([])
})

test('names the methods of a path', async () => {
  const paths = [
    ['/v1/messages', 'GET', 'POST'],
    ['/v1beta/models/m:countTokens', 'DELETE', 'POST'],
    ['/v1/models/first-model', 'POST', 'GET'],
    ['/v1beta/models/third-model', 'POST', 'GET'],
    ['/v1/responses/resp_1', 'PATCH', 'GET, DELETE'],
    ['/v1/responses/resp_1/cancel', 'GET', 'POST'],
  ] as const
  for (const [path, method, allow] of paths) {
    const answer = await callRaw({ url: gateway.url + path, method })
    expect(answer, path).toMatchObject({ status: 405, headers: { allow } })
    await expectVerified(gateway.url, answer, '')
  }
})

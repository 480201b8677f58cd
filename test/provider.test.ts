import { createHash } from 'node:crypto'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { behaviours } from './provider/behaviours.ts'
import { callRaw } from './provider/raw-client.ts'
import { startLoopbackProvider, startPlainLoopbackProvider } from './provider/start.ts'
import type { TlsLoopbackProvider } from './provider/start.ts'

const apiKey = 'sk-loopback-0123456789abcdef'
const question = 'Why is the sky blue? Grüße 😀'
const answerText = `This is the loopback provider: no model ran. You asked: ${question}`
const messages = [{ role: 'user' as const, content: question }]
const weatherTool = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' } },
      required: ['city', 'days'],
    },
  },
}

let provider: TlsLoopbackProvider
let openai: OpenAI
const defaultAuthorities = getCACertificates('default')

beforeAll(async () => {
  provider = await startLoopbackProvider({ apiKey, models: ['house-model'] })
  setDefaultCACertificates([...defaultAuthorities, provider.caPem])
  openai = new OpenAI({ apiKey, baseURL: provider.url, maxRetries: 0 })
})

afterAll(async () => {
  setDefaultCACertificates(defaultAuthorities)
  await provider.stop()
})

beforeEach(async () => {
  await provider.reset()
})

function withoutTime(body: Buffer): string {
  return body.toString().replaceAll(/"created":\d+/g, '"created":0')
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

async function post(body: string | Uint8Array, headers: Record<string, string> = {}) {
  return callRaw({
    url: `${provider.url}/chat/completions`,
    caPem: provider.caPem,
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', ...headers },
    body,
  })
}

test('answers the openai client in JSON and says that no model ran', async () => {
  const completion = await openai.chat.completions.create({ model: 'loopback-echo', messages })
  expect(completion.object).toBe('chat.completion')
  expect(completion.id).toMatch(/^chatcmpl-[\w-]{29}$/)
  expect(completion.model).toBe('loopback-echo')
  expect(completion.choices).toHaveLength(1)
  expect(completion.choices[0]?.message.content).toBe(answerText)
  expect(completion.choices[0]?.finish_reason).toBe('stop')
  // Nine words of ours before the question, whose seven words plus three make the prompt.
  expect(completion.usage).toMatchObject({
    prompt_tokens: 10,
    completion_tokens: 17,
    total_tokens: 27,
  })
})

test('streams the same text to the openai client, word by word, without usage', async () => {
  const stream = await openai.chat.completions.create({
    model: 'loopback-echo',
    messages,
    stream: true,
  })
  const chunks = await collect(stream)
  const texts = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '')
  expect(texts.join('')).toBe(answerText)
  expect(texts.filter((text) => text !== '')).toHaveLength(17)
  expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1)
  expect(chunks.every((chunk) => chunk.object === 'chat.completion.chunk')).toBe(true)
  expect(chunks.every((chunk) => !('usage' in chunk))).toBe(true)
  expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop')
})

test('honours include_usage: null on each chunk and the numbers on a last one', async () => {
  const stream = await openai.chat.completions.create({
    model: 'loopback-echo',
    messages,
    stream: true,
    stream_options: { include_usage: true },
  })
  const chunks = await collect(stream)
  expect(chunks.length).toBeGreaterThan(17)
  expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true)
  expect(chunks.at(-1)?.choices).toEqual([])
  expect(chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: 10, completion_tokens: 17 })
})

test.each(['max_tokens', 'max_completion_tokens'])(
  'stops at %s in JSON and in a stream',
  async (name) => {
    const request = { model: 'loopback-echo', messages, [name]: 4 }
    const completion = await openai.chat.completions.create({ ...request, stream: false })
    expect(completion.choices[0]?.message.content).toBe('This is the loopback')
    expect(completion.choices[0]?.finish_reason).toBe('length')
    expect(completion.usage?.completion_tokens).toBe(4)
    const stream = await openai.chat.completions.create({ ...request, stream: true })
    const chunks = await collect(stream)
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')
    expect(text).toBe('This is the loopback')
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('length')
  },
)

test('calls the first tool when a call is required', async () => {
  const completion = await openai.chat.completions.create({
    model: 'loopback-echo',
    messages,
    tools: [weatherTool],
    tool_choice: 'required',
  })
  const choice = completion.choices[0]
  expect(choice?.finish_reason).toBe('tool_calls')
  expect(choice?.message.content).toBeNull()
  expect(choice?.message.tool_calls).toHaveLength(1)
  expect(choice?.message.tool_calls?.[0]).toMatchObject({
    type: 'function',
    function: { name: 'get_weather', arguments: JSON.stringify({ city: question, days: 1 }) },
  })
})

test('streams a tool call when the prompt says "call tool"', async () => {
  const runner = openai.chat.completions.stream({
    model: 'loopback-echo',
    messages: [{ role: 'user', content: 'Please call tool now' }],
    tools: [weatherTool],
  })
  const completion = await runner.finalChatCompletion()
  const call = completion.choices[0]?.message.tool_calls?.[0]
  expect(completion.choices[0]?.finish_reason).toBe('tool_calls')
  expect(call).toMatchObject({ function: { name: 'get_weather' } })
  expect(call?.id).toMatch(/^call_[0-9a-f]{24}$/)
})

test('speaks instead of calling when tools are offered and nobody asks for a call', async () => {
  const request = { model: 'loopback-echo', messages, tools: [weatherTool] }
  const completion = await openai.chat.completions.create(request)
  expect(completion.choices[0]?.message.tool_calls).toBeUndefined()
  expect(completion.choices[0]?.message.content).toBe(answerText)
})

test('lists its models, the extra ones included, and answers for them', async () => {
  const models = await collect(openai.models.list())
  const ids = models.map((model) => model.id)
  expect(ids).toEqual([...behaviours.keys(), 'house-model'])
  const completion = await openai.chat.completions.create({ model: 'house-model', messages })
  expect(completion.model).toBe('house-model')
  expect(completion.choices[0]?.message.content).toBe(answerText)
})

test('gives equal ids and text to equal requests and a request id of its own to each', async () => {
  const body = JSON.stringify({ model: 'loopback-echo', messages, stream: true })
  const [first, second] = [await post(body), await post(body)]
  expect(withoutTime(first.body)).toBe(withoutTime(second.body))
  expect(first.headers['x-request-id']).toMatch(/^req_[0-9a-f]{32}$/)
  expect(first.headers['x-request-id']).not.toBe(second.headers['x-request-id'])
})

test('frames a stream as one data line per event and ends with [DONE]', async () => {
  const result = await post(JSON.stringify({ model: 'loopback-echo', messages, stream: true }))
  const text = result.body.toString()
  expect(result.headers['content-type']).toBe('text/event-stream; charset=utf-8')
  expect(text.endsWith('\n\ndata: [DONE]\n\n')).toBe(true)
  const events = text.split('\n\n').slice(0, -1)
  expect(events.length).toBe(20)
  expect(events.every((event) => event.startsWith('data: ') && !event.includes('\n'))).toBe(true)
})

test('sends the headers that a gateway keeps and those that it must strip', async () => {
  const { headers } = await post(JSON.stringify({ model: 'loopback-echo', messages }))
  for (const name of ['x-request-id', 'openai-processing-ms', 'openai-version']) {
    expect(headers[name], name).toMatch(/./)
  }
  for (const name of [
    'server',
    'openai-organization',
    'x-ratelimit-remaining-requests',
    'strict-transport-security',
    'alt-svc',
  ]) {
    expect(headers[name], name).toMatch(/./)
  }
  expect(headers['set-cookie']).toHaveLength(2)
})

test.each([undefined, 'Bearer sk-wrong-key-that-is-secret', `Basic ${apiKey}`])(
  'refuses the authorization %s with 401',
  async (authorization) => {
    const headers = authorization === undefined ? {} : { authorization }
    const target = { url: `${provider.url}/models`, caPem: provider.caPem, headers }
    const result = await callRaw(target)
    expect(result.status).toBe(401)
    expect(JSON.parse(result.body.toString())).toMatchObject({
      error: { type: 'invalid_request_error', code: 'invalid_api_key' },
    })
  },
)

test.each([
  ['not JSON', 'nonsense', null],
  ['an array', '[]', null],
  ['invalid UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), null],
  ['a BOM', '\u{feff}{"model":"loopback-echo","messages":[{}]}', null],
  ['no model', JSON.stringify({ messages }), 'model'],
  ['no messages', JSON.stringify({ model: 'loopback-echo' }), 'messages'],
  ['n of 2', JSON.stringify({ model: 'loopback-echo', messages, n: 2 }), 'n'],
  [
    'a token limit of 0',
    JSON.stringify({ model: 'loopback-echo', messages, max_tokens: 0 }),
    'max_tokens',
  ],
  [
    'a textual limit',
    JSON.stringify({ model: 'loopback-echo', messages, max_tokens: '9' }),
    'max_tokens',
  ],
])('refuses a body with %s', async (_, body, param) => {
  const result = await post(body)
  expect(result.status).toBe(400)
  expect(JSON.parse(result.body.toString())).toMatchObject({
    error: { type: 'invalid_request_error', param },
  })
})

test.each(['unknown', 'hostile-status-200', 'hostile-status-4000', 'loopback-slow-x', 'replay:'])(
  'does not know the model %s',
  async (model) => {
    const result = await post(JSON.stringify({ model, messages }))
    expect(result.status).toBe(404)
    expect(result.body.toString()).toContain('model_not_found')
  },
)

test.each(['/v1/v1/chat/completions', '/chat/completions', '/v1/files'])(
  'does not serve %s',
  async (path) => {
    const headers = { authorization: `Bearer ${apiKey}` }
    const url = new URL(path, provider.url).href
    const result = await callRaw({
      url,
      caPem: provider.caPem,
      method: 'POST',
      headers,
      body: '{}',
    })
    expect(result.status).toBe(404)
    expect(result.body.toString()).toContain(`Invalid URL (POST ${path})`)
  },
)

test('logs the exact request, the response hash and the connection', async () => {
  const body = JSON.stringify({ model: 'loopback-echo', messages }, null, 3)
  const result = await post(body, { 'X-Mixed-Case': 'Value', cookie: 'a=b' })
  await post(body)
  const log = await provider.log({ waitUntilIdleMs: 60_000 })
  expect(log).toHaveLength(2)
  const [first, second] = log
  expect(first).toMatchObject({
    sequence: 1,
    method: 'POST',
    path: '/v1/chat/completions',
    status: 200,
    bodySha256: createHash('sha256').update(body).digest('hex'),
    bodyBase64: Buffer.from(body).toString('base64'),
    bytesWritten: result.body.length,
    responseSha256: createHash('sha256').update(result.body).digest('hex'),
    waitingForReader: false,
    end: { kind: 'complete' },
  })
  expect(first?.headers['x-mixed-case']).toBe('Value')
  expect(first?.rawHeaders).toContainEqual(['X-Mixed-Case', 'Value'])
  expect(second?.connection).not.toBe(first?.connection)
  expect(Math.abs((first?.startedAtMs ?? 0) - Date.now())).toBeLessThan(60_000)
})

test('logs when a client leaves in the middle of a stream', async () => {
  const body = JSON.stringify({ model: 'loopback-slow-20000', messages, stream: true })
  const result = await callRaw({
    url: `${provider.url}/chat/completions`,
    caPem: provider.caPem,
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}` },
    body,
    leaveWhen: (bytesSoFar) => bytesSoFar > 0,
  })
  expect(result.failure).not.toBeNull()
  const [entry] = await provider.log({ waitUntilIdleMs: 60_000 })
  expect(entry?.end.kind).toBe('aborted-by-client')
  expect(entry?.bytesWritten).toBeGreaterThan(0)
  expect(entry?.bytesWritten).toBeLessThan(2000)
})

test('logs when a client leaves before its request body is complete', async () => {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-length': '1000' }
  const url = `${provider.url}/chat/completions`
  const leaving = callRaw({
    url,
    caPem: provider.caPem,
    method: 'POST',
    headers,
    body: '{"model":',
    leaveOnceSent: true,
  })
  expect((await leaving).failure).not.toBeNull()
  const [entry] = await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })
  expect(entry?.end.kind).toBe('aborted-by-client')
  expect(entry?.status).toBeNull()
})

test('waits between the events of a slow stream', async () => {
  await post(JSON.stringify({ model: 'loopback-slow-20', messages, stream: true }))
  const [entry] = await provider.log({ waitUntilIdleMs: 60_000 })
  const end = entry?.end
  // 20 events of 20 ms; a timer may fire a millisecond early.
  expect(end?.kind === 'complete' && end.afterMs).toBeGreaterThan(20 * 19)
})

test('serves plain HTTP, keeps the last 1,000 requests and forgets them on reset', async () => {
  const plain = await startPlainLoopbackProvider()
  try {
    expect(plain.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/)
    for (let batch = 0; batch < 11; batch++) {
      const calls = Array.from({ length: 92 }, async () => callRaw({ url: `${plain.url}/models` }))
      const results = await Promise.all(calls)
      expect(results.every((result) => result.status === 200)).toBe(true)
    }
    const log = await plain.log({ waitUntilIdleMs: 60_000 })
    expect(log).toHaveLength(1000)
    expect(log[0]?.sequence).toBe(13)
    expect(log.at(-1)?.sequence).toBe(1012)
    await plain.reset()
    expect(await plain.log()).toEqual([])
  } finally {
    await plain.stop()
  }
})

test('reports why it could not start', async () => {
  const { port } = new URL(provider.url)
  const starting = startLoopbackProvider({ port: Number.parseInt(port, 10) })
  await expect(starting).rejects.toThrow('EADDRINUSE')
})

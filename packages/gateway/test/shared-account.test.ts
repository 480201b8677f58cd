import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import { callRaw, type RawResult } from '../../../test/provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { expectVerified, receiptOf } from './support/receipts.ts'
import {
  createGatewayFolder,
  disposeGateway,
  startGateway,
  type GatewayOptions,
  type RunningGateway,
} from './support/start-gateway.ts'
import { createWireCall, everyUpstream, sendWireCall } from './support/wire-calls.ts'

const folder = createGatewayFolder()

let provider: TlsLoopbackProvider
let options: GatewayOptions
let gateway: RunningGateway
let alice: Readonly<Record<string, string>>
let bob: Readonly<Record<string, string>>

beforeAll(async () => {
  provider = await startLoopbackProvider()
  options = {
    folder,
    config: {
      payment: { apiKeys: { asset: 'credits' } },
      upstreams: everyUpstream(provider),
    },
  }
  gateway = await startGateway(options)
  const store = openApiKeyStore(join(folder, 'data', 'api-keys.db'))
  const createKey = (name: string): string => store.create(name, 1_000_000n, 1).secret
  alice = { authorization: `Bearer ${createKey('alice')}` }
  bob = { authorization: `Bearer ${createKey('bob')}` }
  store.close()
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

beforeEach(async () => {
  await provider.reset()
})

type Json = Readonly<Record<string, unknown>>

function jsonOf({ body }: RawResult): Json {
  const value: unknown = JSON.parse(body.toString())
  if (typeof value !== 'object' || value === null) throw new Error('no object')
  return Object.fromEntries(Object.entries(value))
}

async function respond(
  headers: Readonly<Record<string, string>>,
  more: object,
): Promise<RawResult> {
  const call = createWireCall('responses', 'loopback-echo', more)
  return sendWireCall(gateway.url, call, { headers })
}

async function createResponse(stream: boolean): Promise<{ id: string; token: string }> {
  const answer = await respond(alice, { stream })
  expect(answer.status).toBe(200)
  const [id = ''] = /resp_[0-9a-f]+/.exec(answer.body.toString()) ?? []
  expect(id).not.toBe('')
  return { id, token: receiptOf(answer.headers).token }
}

async function callStored(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<RawResult> {
  return callRaw({ url: `${gateway.url}/v1/responses/${path}`, method, headers })
}

const notFound = { code: 'reference-not-found', status: 404 }

test.each([true, false])(
  'gives a stored response to its payer, and 404 to everybody else: stream %s',
  async (stream) => {
    const { id, token } = await createResponse(stream)
    await provider.reset()
    const unknown = await callStored('GET', 'resp_nobody', alice)
    for (const headers of [bob, {}, { 'x-receipt-token': 'a'.repeat(43) }]) {
      for (const [method, path] of [
        ['GET', id],
        ['DELETE', id],
        ['POST', `${id}/cancel`],
        ['GET', `${id}/input_items`],
      ] as const) {
        const answer = await callStored(method, path, headers)
        expect(answer.status).toBe(404)
        expect(jsonOf(answer)).toMatchObject(notFound)
        // What is another's reads like what is not there.
        expect(answer.body).toEqual(unknown.body)
        await expectVerified(gateway.url, answer, '')
      }
    }
    expect(await provider.log()).toEqual([])
    for (const headers of [alice, { 'x-receipt-token': token }]) {
      const answer = await callStored('GET', id, headers)
      expect(answer.status).toBe(200)
      expect(jsonOf(answer)).toMatchObject({ id, object: 'response' })
      const { claims, payload } = await expectVerified(gateway.url, answer, '')
      expect(payload.charge).toEqual({ scheme: 'none', amountAtomic: 0n })
      expect(claims).toMatchObject({
        request: { method: 'GET', path: `/v1/responses/${id}`, bytes: 0 },
        model: { requested: 'loopback-echo' },
        outcome: { state: 'complete' },
      })
    }
    const items = await callStored('GET', `${id}/input_items?limit=2&order=asc`, alice)
    expect(jsonOf(items)).toMatchObject({ object: 'list' })
    expect((await provider.log()).at(-1)?.path).toBe(
      `/v1/responses/${id}/input_items?limit=2&order=asc`,
    )
    expect((await callStored('POST', `${id}/cancel`, alice)).status).toBe(400)
    expect(jsonOf(await callStored('DELETE', id, alice))).toMatchObject({ id, deleted: true })
    expect((await callStored('GET', id, alice)).status).toBe(404)
  },
)

test('continues a response for its payer only, and charges nobody else', async () => {
  const { id, token } = await createResponse(true)
  for (const more of [{}, { input: [{ type: 'item_reference', id: id.replace('resp', 'msg') }] }]) {
    await provider.reset()
    const reference = 'input' in more ? more : { previous_response_id: id }
    const stolen = await respond(bob, reference)
    expect(stolen.status).toBe(404)
    expect(jsonOf(stolen)).toMatchObject(notFound)
    expect(await provider.log()).toEqual([])
    expect((await respond(alice, reference)).status).toBe(200)
    expect((await respond({ ...bob, 'x-receipt-token': token }, reference)).status).toBe(200)
  }
})

test('knows the owner of a response after a restart, and after kill -9', async () => {
  const { id } = await createResponse(false)
  await gateway.kill()
  gateway = await startGateway(options)
  expect((await callStored('GET', id, bob)).status).toBe(404)
  expect((await callStored('GET', id, alice)).status).toBe(200)
  expect((await respond(alice, { previous_response_id: id })).status).toBe(200)
})

test('does not take an echo of the request for an id of the provider', async () => {
  const id = 'resp_victim0123456789'
  const echo = { metadata: { id, container_id: id }, instructions: `"id":"${id}"` }
  expect((await respond(alice, { ...echo, stream: true })).status).toBe(200)
  expect((await respond(alice, echo)).status).toBe(200)
  expect((await callStored('GET', id, alice)).status).toBe(404)
  expect((await respond(alice, { previous_response_id: id })).status).toBe(404)
})

const parts = (...content: readonly object[]): object => ({ messages: [{ role: 'user', content }] })
const contents = (...all: readonly object[]): object => ({
  contents: [{ role: 'user', parts: all }],
})

const refused: readonly (readonly [what: string, wire: string, more: object])[] = [
  ['a call in the background', 'responses', { background: true }],
  ['a chat that is answered later', 'chat', { deferred: true }],
  ['a conversation', 'responses', { conversation: 'conv_1' }],
  ['a conversation object', 'responses', { conversation: { id: 'conv_1' } }],
  ['a stored prompt', 'responses', { prompt: { id: 'pmpt_1' } }],
  [
    'a file',
    'responses',
    { input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'file-1' }] }] },
  ],
  [
    'an image that is a file',
    'responses',
    { input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'file-1' }] }] },
  ],
  ['a vector store', 'responses', { tools: [{ type: 'file_search', vector_store_ids: ['vs_1'] }] }],
  [
    'files in a container',
    'responses',
    { tools: [{ type: 'code_interpreter', container: { type: 'auto', file_ids: ['file-1'] } }] },
  ],
  ['a file in a chat', 'chat', parts({ type: 'file', file: { file_id: 'file-1' } })],
  [
    'an earlier spoken answer',
    'chat',
    { messages: [{ role: 'assistant', audio: { id: 'audio_1' } }] },
  ],
  [
    'a file in a message',
    'messages',
    parts({ type: 'document', source: { type: 'file', file_id: 'file_1' } }),
  ],
  ['a file in a count', 'count-tokens', parts({ type: 'container_upload', file_id: 'file_1' })],
  ['cached content', 'generate', { cachedContent: 'cachedContents/1' }],
  ['cached content by its other name', 'stream-generate', { cached_content: 'cachedContents/1' }],
  [
    'an uploaded file',
    'generate',
    contents({ fileData: { fileUri: 'https://generativelanguage.googleapis.com/v1beta/files/1' } }),
  ],
  [
    'an uploaded file by its other name',
    'generate',
    contents({ file_data: { file_uri: 'files/1' } }),
  ],
  ['a bucket', 'generate', contents({ fileData: { fileUri: 'gs://bucket/1' } })],
  [
    'a search store',
    'generate',
    { tools: [{ fileSearch: { fileSearchStoreNames: ['fileSearchStores/1'] } }] },
  ],
]

test.each(refused)('refuses %s, and says why', async (_, wire, more) => {
  const call = createWireCall(wire, 'loopback-echo', more)
  const answer = await sendWireCall(gateway.url, call, { headers: alice })
  expect(answer.status).toBe(400)
  const { code, detail } = jsonOf(answer)
  expect(code).toBe('shared-account')
  expect(detail).toMatch(/account of the operator|outlives/)
  const { payload } = await expectVerified(gateway.url, answer, call.body)
  expect(payload.type).toBe('refusal')
  expect(await provider.log()).toEqual([])
})

const unowned: readonly (readonly [what: string, wire: string, more: object])[] = [
  ['a container', 'responses', { tools: [{ type: 'code_interpreter', container: 'cntr_1' }] }],
  [
    'the container of a call',
    'responses',
    { input: [{ type: 'code_interpreter_call', container_id: 'cntr_1' }] },
  ],
  [
    'a shell in a container',
    'responses',
    {
      tools: [
        { type: 'shell', environment: { type: 'container_reference', container_id: 'cntr_1' } },
      ],
    },
  ],
  ['reasoning by its id', 'responses', { input: [{ type: 'reasoning', id: 'rs_1', summary: [] }] }],
  ['an item without a type', 'responses', { input: [{ id: 'msg_1' }] }],
  ['an image by its id', 'responses', { input: [{ type: 'image_generation_call', id: 'ig_1' }] }],
  [
    'an approval',
    'responses',
    { input: [{ type: 'mcp_approval_response', approval_request_id: 'mcpr_1' }] },
  ],
  ['a container of messages', 'messages', { container: 'container_1' }],
  ['a container of messages as an object', 'messages', { container: { id: 'container_1' } }],
]

test.each(unowned)('does not find %s that this payer did not get here', async (_, wire, more) => {
  const call = createWireCall(wire, 'loopback-echo', more)
  const answer = await sendWireCall(gateway.url, call, { headers: alice })
  expect(jsonOf(answer)).toMatchObject(notFound)
  expect(await provider.log()).toEqual([])
})

test('is not deceived by escapes, doubles and spaces', async () => {
  const bodies = [
    '{"model":"loopback-echo","input":"x","b\\u0061ckground":true}',
    '{"model":"loopback-echo","input":"x", "background" : true}',
    '{"model":"loopback-echo","input":[{"role":"user","content":[{"type":"input_file","file\\u005fid":"file-1"}]}]}',
    '{"model":"loopback-echo","input":[{"role":"user","content":[{"file_id":{},"file_id":"file-1"}]}]}',
    '{"model":"loopback-echo","input":"x","metadata":1,"tools":[{"file_ids":[ "file-1" ]}]}',
  ]
  for (const body of bodies) {
    const call = { path: '/v1/responses', body: Buffer.from(body), headers: alice }
    const answer = await sendWireCall(gateway.url, call)
    expect(jsonOf(answer), body).toMatchObject({ code: 'shared-account' })
  }
  const items = [
    '{"type":"message","type":"item_reference","id":"msg_1"}',
    // What our reader of items does not take, a provider may.
    `{"type":"item_reference","id":"msg_1","x":0.${'0'.repeat(70)}}`,
    '{"type":"item_reference","id":"msg_1","x":NaN}',
  ]
  for (const item of items) {
    const body = Buffer.from(`{"model":"loopback-echo","input":[${item}]}`)
    const answer = await sendWireCall(gateway.url, { path: '/v1/responses', body, headers: alice })
    expect(jsonOf(answer), item).toMatchObject({ code: 'request-malformed' })
  }
  for (const item of ['{"type":null,"role":"user","id":"msg_1"}', '{"role":"user","id":"msg_1"}']) {
    const body = Buffer.from(`{"model":"loopback-echo","input":[${item}]}`)
    const answer = await sendWireCall(gateway.url, { path: '/v1/responses', body, headers: alice })
    expect(jsonOf(answer), item).toMatchObject({ code: 'reference-not-found' })
  }
  expect(await provider.log()).toEqual([])
})

const harmless: readonly (readonly [what: string, wire: string, more: object])[] = [
  [
    'nothing in the background',
    'responses',
    { background: false, conversation: null, prompt: null },
  ],
  [
    'a container of its own',
    'responses',
    { tools: [{ type: 'code_interpreter', container: { type: 'auto', file_ids: [] } }] },
  ],
  [
    'a tool with a parameter of that name',
    'chat',
    {
      tools: [
        {
          type: 'function',
          function: {
            name: 'f',
            parameters: {
              properties: { file_id: { type: 'string', enum: ['a'] }, x: { file_id: 'a' } },
            },
          },
        },
      ],
    },
  ],
  ['metadata of that name', 'responses', { metadata: { file_id: 'mine', container: 'x' } }],
  [
    'the name in a text',
    'chat',
    parts({ type: 'text', text: '"file_id":"file-1","background":true' }),
  ],
  [
    'a spoken answer',
    'chat',
    { modalities: ['text', 'audio'], audio: { voice: 'alloy', format: 'wav' } },
  ],
  [
    'the input of a tool',
    'messages',
    {
      messages: [
        {
          role: 'assistant',
          content: [{ type: 'tool_use', id: 't', name: 'f', input: { file_id: 'mine' } }],
        },
        { role: 'user', content: 'x' },
      ],
    },
  ],
  [
    'the arguments of a tool',
    'generate',
    contents({ functionCall: { name: 'f', args: { fileUri: 'files/mine' } } }, { text: 'x' }),
  ],
  [
    'a film on the web',
    'generate',
    contents({ fileData: { fileUri: 'https://www.youtube.com/watch?v=1' } }, { text: 'x' }),
  ],
  [
    'an earlier message with its id',
    'responses',
    { input: [{ type: 'message', role: 'user', id: 'msg_1', content: 'x' }] },
  ],
]

test.each(harmless)('lets %s pass', async (_, wire, more) => {
  const call = createWireCall(wire, 'loopback-echo', more)
  const answer = await sendWireCall(gateway.url, call, { headers: alice })
  expect(answer.status, answer.body.toString()).toBe(200)
  const log = await provider.log()
  expect(log.map(({ bodyBase64 }) => bodyBase64)).toEqual([call.body.toString('base64')])
})

test('finds what it looks for anywhere in a long body', async () => {
  for (const before of [1_048_500, 1_048_560, 1_048_576, 2_097_100]) {
    const more = { user: 'x'.repeat(before), background: true }
    const answer = await respond(alice, more)
    expect(jsonOf(answer), String(before)).toMatchObject({ code: 'shared-account' })
  }
})

import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createSignedStream } from '../../src/profiles/open-gradient-answer.ts'
import { hashText } from '../../src/profiles/open-gradient-hash.ts'
import { createOpenGradientSigner } from '../../src/profiles/open-gradient-signer.ts'
import { callRaw, type RawResult } from '../../../../test/provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../../test/provider/start.ts'
import {
  isSignedBy,
  openGradientHeaders,
  postOpenGradient,
  readLastFrame,
} from '../support/open-gradient-client.ts'
import { expectVerified, judge } from '../support/receipts.ts'
import { disposeGateway, startGateway, type RunningGateway } from '../support/start-gateway.ts'
import { createWireCall, everyUpstream, sendWireCall } from '../support/wire-calls.ts'

const answerText = 'This is the loopback provider: no model ran. You asked: Why?'
const tools = [
  {
    type: 'function',
    function: {
      name: 'f',
      parameters: { type: 'object', properties: { a: { type: 'number' } }, required: ['a'] },
    },
  },
]

let provider: TlsLoopbackProvider
let gateway: RunningGateway
let plain: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider()
  const upstreams = everyUpstream(provider)
  gateway = await startGateway({ config: { upstreams, profiles: { openGradient: {} } } })
  plain = await startGateway({ config: { upstreams } })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await disposeGateway(plain)
  await provider.stop()
})

beforeEach(async () => {
  await provider.reset()
})

/** The request as the TypeScript SDK builds it. */
function createBody(more: object = {}): string {
  const messages = [{ role: 'user', content: 'Why?' }]
  return JSON.stringify({
    model: 'loopback-echo',
    messages,
    max_tokens: 100,
    temperature: 0,
    ...more,
  })
}

const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** What the receipt says, and that the upstream's bytes are the answer without what was added. */
async function expectAdded(answer: RawResult, body: string, without: string): Promise<void> {
  const { claims } = await expectVerified(gateway.url, answer, body)
  expect(claims['response']).toMatchObject({
    transform: 'opengradient/1',
    bytes: answer.body.length,
    sha256: sha256(answer.body),
  })
  expect(claims['upstream-response']).toMatchObject({ sha256: sha256(without) })
  expect(claims['forwarded']).toMatchObject({ transform: 'identity', sha256: sha256(body) })
}

test('a whole answer has the five members, and its own bytes beside them', async () => {
  const body = createBody()
  const answer = await postOpenGradient(gateway.url, '/v1/chat/completions', body)
  const text = answer.body.toString()
  const members: Record<string, unknown> = JSON.parse(text)
  expect(members['choices']).toMatchObject([{ message: { content: answerText } }])
  expect(members['tee_timestamp']).toBeTypeOf('number')
  expect(await isSignedBy(gateway.url, body, answerText, members)).toBe(true)
  expect(await isSignedBy(gateway.url, body, `${answerText} `, members)).toBe(false)
  expect(await isSignedBy(gateway.url, createBody({ stop: 'x' }), answerText, members)).toBe(false)
  const added = text.slice(text.indexOf(',"tee_signature"'), text.lastIndexOf('}'))
  await expectAdded(answer, body, text.replace(added, ''))
})

test('a stream keeps its events and has one more before [DONE]', async () => {
  const body = createBody({ stream: true, stream_options: { include_usage: true } })
  const answer = await postOpenGradient(gateway.url, '/v1/chat/completions', body)
  const text = answer.body.toString()
  const last = readLastFrame(text)
  expect(last).toMatchObject({
    choices: [{ delta: {}, index: 0, finish_reason: 'stop' }],
    model: 'loopback-echo',
    usage: { total_tokens: expect.any(Number) },
  })
  expect(await isSignedBy(gateway.url, body, answerText, last)).toBe(true)
  expect(answer.trailers['x-receipt-statement']).toBeDefined()
  await expectAdded(answer, body, text.replace(/data: [^\n]+tee_signature[^\n]+\n\n/, ''))
})

test.each([false, true])('calls of tools are covered, streamed: %s', async (stream) => {
  const body = createBody({ tools, tool_choice: 'required', ...(stream ? { stream } : {}) })
  const answer = await postOpenGradient(gateway.url, '/v1/chat/completions', body)
  const text = answer.body.toString()
  const members: Record<string, unknown> = stream ? readLastFrame(text) : JSON.parse(text)
  const [, id = ''] = /"(call_[^"]+)"/.exec(text) ?? []
  const call = String.raw`[{"function": {"arguments": "{\"a\":1}", "name": "f"}, "id": "${id}", "type": "function"}]`
  expect(members['choices']).toMatchObject([{ finish_reason: 'tool_calls' }])
  expect(await isSignedBy(gateway.url, body, call, members)).toBe(true)
})

test('a completion has its text twice: as the wire says, and as the SDK reads it', async () => {
  const body = '{"model":"loopback-echo","prompt":"Why?","max_tokens":100,"temperature":0}'
  const answer = await postOpenGradient(gateway.url, '/v1/completions', body)
  const members: Record<string, unknown> = JSON.parse(answer.body.toString())
  expect(members).toMatchObject({ completion: answerText, choices: [{ text: answerText }] })
  expect(await isSignedBy(gateway.url, body, answerText, members)).toBe(true)
  await expectVerified(gateway.url, answer, body)
})

test('its signature says less than a receipt: what it leaves out can be changed', async () => {
  const body = createBody()
  const answer = await postOpenGradient(gateway.url, '/v1/chat/completions', body)
  const receipt = await expectVerified(gateway.url, answer, body)
  const text = answer.body.toString()
  const changes = [
    text.replace('"model": "loopback-echo"', '"model": "loopback-best"'),
    text.replace(/"total_tokens": \d+/, '"total_tokens": 9'),
    text.replace('"finish_reason": "stop"', '"finish_reason": "length"'),
    text.replace('"refusal": null', '"tool_calls": [{"id": "evil"}]'),
  ]
  for (const changed of changes) {
    expect(changed).not.toBe(text)
    expect(await isSignedBy(gateway.url, body, answerText, JSON.parse(changed))).toBe(true)
    const { verdict } = await judge(receipt, { response: Buffer.from(changed) })
    expect(verdict).toBe('invalid')
  }
})

test('nobody else gets other bytes: without the header, on other wires, and switched off', async () => {
  const body = createBody()
  const headers = { 'content-type': 'application/json' }
  const url = `${gateway.url}/v1/chat/completions`
  const answers = [
    await callRaw({ url, method: 'POST', headers, body }),
    await sendWireCall(gateway.url, createWireCall('messages', 'loopback-echo'), {
      headers: { 'x-settlement-type': 'batch' },
    }),
    await postOpenGradient(plain.url, '/v1/chat/completions', body),
  ]
  for (const answer of answers) {
    expect(answer.status).toBe(200)
    expect(answer.body.toString()).not.toContain('tee_')
  }
  for (const path of ['/signing-key', '/enclave/attestation', '/health']) {
    expect(await callRaw({ url: plain.url + path })).toMatchObject({ status: 404 })
  }
})

test('what failed or broke off is not signed', async () => {
  for (const [model, stream] of [
    ['hostile-status-500', false],
    ['hostile-error-in-stream', false],
    ['hostile-error-in-stream', true],
    ['hostile-eof', true],
    ['hostile-malformed-sse', true],
  ] as const) {
    const body = createBody({ model, stream })
    const answer = await postOpenGradient(gateway.url, '/v1/chat/completions', body)
    expect(answer.body.toString(), model).not.toContain('tee_')
    await expectVerified(gateway.url, answer, body)
  }
})

test('however a stream is cut into pieces, what is returned is the same as its receipt says', async () => {
  const body = createBody({ model: 'hostile-split', stream: true })
  const answer = await postOpenGradient(gateway.url, '/v1/chat/completions', body)
  const text = answer.body.toString()
  expect(text.match(/tee_signature/g)).toHaveLength(1)
  await expectAdded(answer, body, text.replace(/data: [^\n]+tee_signature[^\n]+\n\n/, ''))
})

test('who leaves early has an unsigned prefix, and a receipt of exactly that', async () => {
  const body = createBody({ model: 'loopback-slow-20000', stream: true })
  const answer = await callRaw({
    url: `${gateway.url}/v1/chat/completions`,
    method: 'POST',
    headers: openGradientHeaders,
    body,
    leaveWhen: (bytes) => bytes > 0,
  })
  const whole = answer.body.subarray(0, answer.body.lastIndexOf('\n\n') + 2)
  const held = { response: whole, responseIsPrefix: true }
  const { claims } = await expectVerified(gateway.url, answer, body, held)
  expect(claims).toMatchObject({
    outcome: { state: 'aborted-by-client' },
    response: { transform: 'opengradient/1' },
  })
  expect(answer.body.toString()).not.toContain('tee_')
})

test('a request that cannot be hashed is refused before anything is sent', async () => {
  const body = createBody({ messages: [{ role: 'critic', content: 'x' }] })
  const answer = await postOpenGradient(gateway.url, '/v1/chat/completions', body)
  expect(answer.status).toBe(400)
  expect(answer.body.toString()).toContain('role')
  await expectVerified(gateway.url, answer, body)
  expect(await provider.log()).toEqual([])
})

test('the key is attested for a nonce of 20 bytes', async () => {
  const nonce = '0123456789abcdef0123456789abcdef01234567'
  const key: Record<string, unknown> = JSON.parse(
    (await callRaw({ url: `${gateway.url}/signing-key` })).body.toString(),
  )
  expect(key).toMatchObject({ enclave_info: { platform: 'simulated' }, measurements: null })
  const url = `${gateway.url}/enclave/attestation?nonce=`
  const answer = await callRaw({ url: url + nonce })
  expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'text/plain' } })
  const der = Buffer.from(String(key['public_key']).replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
  const expected = createHash('sha512')
    .update('countersign/opengradient/v1')
    .update(Buffer.from(nonce, 'hex'))
    .update(der)
    .digest()
  const evidence = Buffer.from(answer.body.toString(), 'base64')
  expect(evidence.includes(expected)).toBe(true)
  for (const wrong of ['', '00', `${nonce}00`, nonce.toUpperCase()]) {
    expect(await callRaw({ url: url + wrong })).toMatchObject({ status: 400 })
  }
  expect(await callRaw({ url: `${gateway.url}/health` })).toMatchObject({ status: 200 })
})

function chunk(index: number, content: string): string {
  const choices = [{ index, delta: { content }, finish_reason: null }]
  return `data: ${JSON.stringify({ choices })}\n\n`
}

test('of several choices in a stream the first one is signed', () => {
  const signer = createOpenGradientSigner()
  const requestHash = new Uint8Array(32)
  const stream = createSignedStream({ wire: 'openai-chat', signer, requestHash, nowMs: Date.now })
  const sent = `${chunk(0, 'a')}${chunk(1, 'x')}${chunk(0, 'b')}data: [DONE]\n\n`
  const returned = Buffer.concat(stream.push(Buffer.from(sent))).toString()
  const outputHash = Buffer.from(hashText('ab')).toString('hex')
  expect(readLastFrame(returned)).toMatchObject({ tee_output_hash: outputHash })
})

import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { defaultPolicy, productionPolicy, verify } from '@countersign/protocol'
import { createReportData } from '@countersign/protocol/attestation/report-data'
import { appraiseSimulatedEvidence } from '@countersign/protocol/attestation/simulated'
import { fromBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { judgeEs256 } from '@countersign/protocol/crypto/es256'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { parseKeyset } from '@countersign/protocol/receipt/keyset'
import { encodePayload } from '@countersign/protocol/receipt/payload'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { callRaw, type RawCall, type RawResult } from '../../../test/provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { expectVerified, judge, readReceipt, receiptOf } from './support/receipts.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider()
  gateway = await startGateway({ provider })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

async function get(path: string, more: Partial<RawCall> = {}): Promise<RawResult> {
  return callRaw({ url: `${gateway.url}${path}`, ...more })
}

const stream = createChatBody({ model: 'loopback-echo', stream: true })
const whole = createChatBody({ model: 'loopback-echo', stream: false })

test('gives the holder of the token every claim, by either header', async () => {
  const answer = await postChat(gateway.url, stream)
  const { id, token } = receiptOf(answer.headers)
  const receipt = await expectVerified(gateway.url, answer, stream)
  expect(Object.keys(receipt.claims)).toHaveLength(receipt.payload.claimsCount)
  const byHeader = await get(`/v1/receipts/${id}`, { headers: { 'x-receipt-token': token } })
  expect(byHeader.headers).toMatchObject({
    'content-type': 'application/json',
    'cache-control': 'no-store',
  })
  expect(byHeader.body).toEqual(Buffer.from(receipt.bundle))
})

test('gives everybody else the statement with every claim withheld, which the default policy calls incomplete', async () => {
  const answer = await postChat(gateway.url, stream)
  const { id, token } = receiptOf(answer.headers)
  const other = receiptOf((await postChat(gateway.url, stream)).headers).token
  const strangers: readonly Readonly<Record<string, string>>[] = [
    {},
    { authorization: `Bearer ${other}` },
    { 'x-receipt-token': other },
    { 'x-receipt-token': token.slice(1) },
    { 'x-receipt-token': token.toUpperCase() },
    { authorization: token },
    { authorization: `Basic ${token}` },
    { 'x-receipt-token': other, authorization: `Bearer ${token}` },
  ]
  for (const headers of strangers) {
    const { status, body } = await get(`/v1/receipts/${id}`, { headers })
    expect(status).toBe(200)
    const receipt = readReceipt(body)
    expect(receipt.claims).toEqual({})
    expect(body.toString()).not.toContain('"events"')
    const verdict = await judge(receipt, {})
    expect(verdict.verdict).toBe('incomplete')
    expect(verdict.checks.filter(({ status: outcome }) => outcome === 'failed')).toEqual([])
  }
})

test('is refused by the production policy, because its attestation is simulated', async () => {
  const answer = await postChat(gateway.url, whole)
  const { bundle } = await expectVerified(gateway.url, answer, whole)
  const verdict = await verify(bundle, productionPolicy, Date.now())
  expect(verdict.verdict).toBe('invalid')
  expect(verdict.checks).toContainEqual(
    expect.objectContaining({ id: 'evidence-accepted', code: 'evidence-kind-refused' }),
  )
})

test('carries the statement of the bundle in a header of a whole answer and in a trailer of a stream', async () => {
  const json = await postChat(gateway.url, whole)
  const { statement } = await expectVerified(gateway.url, json, whole)
  expect(json.headers['x-receipt-statement']).toBe(statement)
  const sse = await postChat(gateway.url, stream)
  const streamed = await expectVerified(gateway.url, sse, stream)
  expect(sse.headers['x-receipt-statement']).toBeUndefined()
  expect(sse.trailers['x-receipt-statement']).toBe(streamed.statement)
  expect(sse.body.toString()).not.toMatch(/receipt|countersign/)
  // A trailer over 16 KiB breaks every Node client (spec/receipt.md RC6.2).
  expect(streamed.statement.length).toBeLessThan(4096)
})

/** Begins a streamed call and resolves with the id and token in its head; nothing of it is kept. */
async function beginStream(
  body: Uint8Array,
): Promise<{ readonly id: string; readonly token: string; readonly leave: () => void }> {
  return new Promise((resolve, reject) => {
    const call = request(`${gateway.url}/v1/chat/completions`, { method: 'POST', agent: false })
    call.once('response', (response) => {
      call.on('error', () => undefined)
      response.on('error', () => undefined).resume()
      const leave = (): void => {
        call.destroy()
      }
      resolve({ ...receiptOf(response.headers), leave })
    })
    call.once('error', reject).end(body)
  })
}

test('has no receipt of a running stream, and has it for whoever waits for the end', async () => {
  const body = createChatBody({ model: 'hostile-stall', stream: true })
  const { id, token, leave } = await beginStream(body)
  const headers = { authorization: `Bearer ${token}` }
  const early = await get(`/v1/receipts/${id}`, { headers })
  const waiting = [
    get(`/v1/receipts/${id}?wait=59`, { headers }),
    get(`/v1/receipts/${id}?wait=60`),
  ] as const
  leave()
  const [patient, stranger] = await Promise.all(waiting)
  expect([early.status, patient.status, stranger.status]).toEqual([404, 200, 200])
  const verdict = await verify(patient.body, defaultPolicy, Date.now(), { request: body })
  expect(verdict.verdict).toBe('valid')
  expect(readReceipt(stranger.body).claims).toEqual({})
})

test('announces no terms where there is no operator', async () => {
  const answer = await fetch(`${gateway.url}/v1/terms`)
  expect([answer.status, await answer.text()]).toEqual([
    404,
    expect.stringContaining('path-not-found'),
  ])
  expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200)
})

test('waits no longer than it was asked to', async () => {
  const body = createChatBody({ model: 'hostile-stall', stream: true })
  const { id, leave } = await beginStream(body)
  const startMs = performance.now()
  expect((await get(`/v1/receipts/${id}?wait=1`)).status).toBe(404)
  const waitedMs = performance.now() - startMs
  expect(waitedMs).toBeGreaterThan(900)
  expect(waitedMs).toBeLessThan(45_000)
  leave()
  expect((await get(`/v1/receipts/${id}?wait=60`)).status).toBe(200)
})

test.each([
  ['0'.repeat(32), 404, 'receipt-not-found'],
  ['0'.repeat(31), 400, 'request-malformed'],
  ['A'.repeat(32), 400, 'request-malformed'],
  ['', 400, 'request-malformed'],
  ['%2e%2e%2f', 400, 'request-malformed'],
  [`${'0'.repeat(32)}/x`, 400, 'request-malformed'],
  [`${'0'.repeat(32)}?wait=61`, 400, 'request-malformed'],
  [`${'0'.repeat(32)}?wait=-1`, 400, 'request-malformed'],
  [`${'0'.repeat(32)}?wait=1e1`, 400, 'request-malformed'],
  [`${'0'.repeat(32)}?wait=`, 400, 'request-malformed'],
])('answers a request for the receipt %s with %i %s', async (id, status, code) => {
  const answer = await get(`/v1/receipts/${id}`)
  expect(answer.status).toBe(status)
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code, error: { code } })
})

test('numbers and chains its statements without gaps over 100 calls at a time', async () => {
  const calls = Array.from({ length: 100 }, (_, index) => {
    if (index % 10 === 0) return 'no JSON'
    return createChatBody({ model: 'loopback-echo', stream: index % 2 === 0, prompt: `${index}` })
  })
  const answers = await Promise.all(calls.map(async (body) => postChat(gateway.url, body)))
  const receipts = await Promise.all(
    answers.map(async (answer, index) => expectVerified(gateway.url, answer, calls[index] ?? '')),
  )
  const payloads = receipts
    .map(({ payload }) => payload)
    .toSorted((a, b) => a.sequence - b.sequence)
  const first = payloads[0]?.sequence ?? 0
  expect(payloads.map(({ sequence }) => sequence)).toEqual(
    payloads.map((_, index) => first + index),
  )
  for (const [index, { previous }] of payloads.entries()) {
    const before = payloads[index - 1]
    if (before !== undefined) expect(toHex(previous)).toBe(toHex(sha256(encodePayload(before))))
  }
  expect(new Set(payloads.map(({ id }) => toHex(id))).size).toBe(100)
  expect(payloads.filter(({ type }) => type === 'refusal')).toHaveLength(10)
})

function bytesOf(value: unknown, ...path: readonly string[]): Uint8Array {
  let found: unknown = value
  for (const name of path) {
    found = typeof found === 'object' && found !== null ? Reflect.get(found, name) : undefined
  }
  const bytes = typeof found === 'string' ? fromBase64url(found) : undefined
  if (bytes === undefined) throw new Error(`no bytes at ${path.join('.')}`)
  return bytes
}

test('attests its keys freshly for a nonce, and confirms that it holds them', async () => {
  const nonce = randomBytes(32)
  const answer = await get(`/v1/attestation?nonce=${nonce.toString('hex')}`)
  expect(answer.status).toBe(200)
  const document: unknown = JSON.parse(answer.body.toString())
  const { payload } = parseStatement(bytesOf(document, 'keyset'))
  if (payload.type !== 'keyset') throw new Error('no keyset')
  const { receiptKey, buildDigest } = parseKeyset(payload.document)
  expect(bytesOf(document, 'evidence', 'nonce')).toEqual(Uint8Array.from(nonce))
  const quote = await appraiseSimulatedEvidence(bytesOf(document, 'evidence', 'data'))
  expect(toHex(quote.reportData)).toBe(toHex(createReportData(payload.keysetDigest, nonce)))
  expect(toHex(quote.measurement)).toBe(toHex(buildDigest))
  const confirmed = Buffer.concat([
    Buffer.from('countersign/key-confirmation/v1'),
    payload.keysetDigest,
    nonce,
  ])
  expect(
    await judgeEs256(receiptKey, confirmed, bytesOf(document, 'confirmations', 'receipt')),
  ).toBeUndefined()
  const receipt = await expectVerified(gateway.url, await postChat(gateway.url, whole), whole)
  expect(toHex(receipt.payload.keysetDigest)).toBe(toHex(payload.keysetDigest))
})

test.each([
  '',
  '?nonce=',
  '?nonce=00',
  `?nonce=${'0'.repeat(63)}`,
  `?nonce=${'A'.repeat(64)}`,
  `?nonce=${'0'.repeat(66)}`,
  `?nonce=${'0'.repeat(64)}&share=`,
  `?nonce=${'0'.repeat(64)}&share=${'0'.repeat(63)}`,
  `?nonce=${'0'.repeat(64)}&share=${'0'.repeat(64)}`,
])('refuses the nonce of /v1/attestation%s', async (query) => {
  const answer = await get(`/v1/attestation${query}`)
  expect(answer.status).toBe(400)
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'request-malformed' })
})

test('lists its models, and says that it lives and is ready', async () => {
  const models = await get('/v1/models')
  expect(JSON.parse(models.body.toString())).toEqual({
    object: 'list',
    data: [{ id: '*', object: 'model', created: 0, owned_by: 'loopback', price: null }],
  })
  for (const [path, status] of [
    ['/healthz', 'ok'],
    ['/readyz', 'ready'],
  ] as const) {
    const answer = await get(path)
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body.toString())).toEqual({ status })
    expect((await get(path, { method: 'HEAD' })).body).toHaveLength(0)
  }
})

test('counts calls and refusals in the exposition format, with no label from a caller', async () => {
  const canary = 'canary-7f3a'
  const headers = { 'user-agent': canary, 'openai-beta': canary, 'x-receipt-nonce': canary }
  await postChat(gateway.url, createChatBody({ model: canary, stream: true, prompt: canary }), {
    headers,
  })
  await get(`/${canary}`)
  const { body, headers: sent } = await get('/metrics')
  expect(sent['content-type']).toMatch(/^text\/plain; version=/)
  const text = body.toString()
  expect(text).not.toContain(canary)
  expect(text.endsWith('\n')).toBe(true)
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(samples.length).toBeGreaterThan(10)
  const sample = /^[a-z_]+(?:\{[a-z]+="[^"\\\n]*"(?:,[a-z]+="[^"\\\n]*")*\})? [0-9.e+-]+$/
  for (const line of samples) expect(line).toMatch(sample)
  expect(text).toMatch(/^countersign_calls_total\{.*,state="complete"\} [0-9]+$/m)
  expect(text).toMatch(/^countersign_refusals_total\{code="request-malformed"\} [0-9]+$/m)
  expect(text).toMatch(/^countersign_calls_pending [0-9]+$/m)
  for (const name of new Set(samples.map((line) => line.replace(/[{ ].*/, '')))) {
    expect(text).toContain(`# TYPE ${name.replace(/_(?:bucket|sum|count)$/, '')} `)
  }
})

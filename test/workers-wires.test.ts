/** Translation and the profile of OpenGradient with several workers: any of them answers for a call that another made. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { replayTranslation } from '../packages/client/src/cli/replay-translation.ts'
import {
  isSignedByKey,
  openGradientHeaders,
  readLastFrame,
  type SigningKey,
} from '../packages/gateway/test/support/open-gradient-client.ts'
import { readReceipt, receiptOf } from '../packages/gateway/test/support/receipts.ts'
import {
  createGatewayFolder,
  disposeGateway,
  startGateway,
  type RunningGateway,
} from '../packages/gateway/test/support/start-gateway.ts'
import {
  translatedConfig,
  translatedModels,
} from '../packages/gateway/test/support/translated-models.ts'
import { openLines, type WorkerLine } from '../packages/gateway/test/support/worker-lines.ts'
import type { RawResult } from './provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from './provider/start.ts'

const workers = 2
const parameters = { type: 'object', properties: { a: { type: 'number' } }, required: ['a'] }
const chatTools = {
  tools: [{ type: 'function', function: { name: 'f', parameters } }],
  tool_choice: 'required',
}
const messagesTools = {
  tools: [{ name: 'f', input_schema: parameters }],
  tool_choice: { type: 'any' },
}
const folder = mkdtempSync(join(tmpdir(), 'countersign-wires-'))

let provider: TlsLoopbackProvider
let translating: RunningGateway
let profiled: RunningGateway
let lines: readonly WorkerLine[]
const opened: WorkerLine[] = []

beforeAll(async () => {
  provider = await startLoopbackProvider({ models: Object.values(translatedModels) })
  const config = { ...translatedConfig(new URL(provider.url).origin, provider.caFile), workers }
  const profiles = { openGradient: {} }
  profiled = await startGateway({ config: { ...config, profiles } })
  // Translation comes with a reload: all workers open the file of kept bytes at that moment.
  const kept = createGatewayFolder()
  translating = await startGateway({ provider, config: { workers }, folder: kept })
  translating.reload({ config })
  await translating.logged('configuration was reloaded')
  lines = await open(translating)
})

afterAll(async () => {
  for (const line of opened) line.close()
  await disposeGateway(translating)
  await disposeGateway(profiled)
  await provider.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function open({ url }: RunningGateway): Promise<readonly WorkerLine[]> {
  const found = await openLines(url, workers)
  opened.push(...found)
  return found
}

function lineAt(index: number): WorkerLine {
  const line = lines[index % workers]
  if (line === undefined) throw new Error('no line')
  return line
}

const json = { 'content-type': 'application/json' }

function post(line: WorkerLine, path: string, body: string, headers = {}): Promise<RawResult> {
  return line.call(path, { method: 'POST', headers: { ...json, ...headers }, body })
}

function createBody(model: string, more: object): string {
  return JSON.stringify({
    model,
    max_tokens: 99,
    messages: [{ role: 'user', content: 'Why?' }],
    ...more,
  })
}

const sha256 = (bytes: Uint8Array | string): string =>
  createHash('sha256').update(bytes).digest('hex')

const file = (name: string, bytes: Uint8Array | string): string => {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}

test.each([
  [0, '/v1/chat/completions', 'claude', chatTools],
  [1, '/v1/chat/completions', 'claude', { ...chatTools, stream: true }],
  [0, '/v1/messages', 'gpt', { ...messagesTools, stream: true }],
  [1, '/v1/chat/completions', 'gemini', { stream: true }],
])(
  'what worker %s translated at %s for %s is replayed with the bytes that the other one gives',
  async (index, path, model, more) => {
    const [maker, other] = [lineAt(index), lineAt(index + 1)]
    const request = createBody(model, more)
    const answer = await post(maker, path, request)
    expect(answer.status, answer.body.toString()).toBe(200)
    if ('tools' in more) expect(answer.body.toString()).toMatch(/tool_calls|tool_use/)
    const { id, token } = receiptOf(answer.headers)
    const headers = { 'x-receipt-token': token }
    // At once: nothing waits for what is not there yet.
    const kept = await other.call(`/v1/receipts/${id}/upstream-response`, { headers })
    expect(kept.status, kept.body.toString()).toBe(200)
    const bundle = (await other.call(`/v1/receipts/${id}?wait=60`, { headers })).body
    const { payload, claims } = readReceipt(bundle)
    expect(toHex(payload.keysetDigest)).toBe(maker.keyset)
    expect(claims).toMatchObject({
      request: { sha256: sha256(request) },
      forwarded: { sha256: expect.any(String) },
      'upstream-response': { sha256: sha256(kept.body) },
      response: { sha256: sha256(answer.body) },
      translation: { name: expect.any(String) },
    })
    const files = {
      request: file('request', request),
      upstreamResponse: file('upstream', kept.body),
      upstreamBytes: kept.body,
    }
    const checks = await replayTranslation(bundle, files, { PATH: process.env['PATH'] })
    expect(checks.map(({ status }) => status)).toEqual(Array.from({ length: 4 }, () => 'passed'))
    const stranger = { headers: { 'x-receipt-token': `${token.slice(0, -1)}_` } }
    const refused = await other.call(`/v1/receipts/${id}/upstream-response`, stranger)
    expect(refused.status).toBe(404)
  },
)

test('a translated call with a name is made once, and both workers give its answer', async () => {
  await provider.reset()
  const request = createBody('claude', chatTools)
  const named = { 'idempotency-key': 'translated-once-only' }
  const answers = [
    await post(lineAt(0), '/v1/chat/completions', request, named),
    await post(lineAt(1), '/v1/chat/completions', request, named),
    await post(lineAt(0), '/v1/chat/completions', request, named),
  ]
  expect(answers.map(({ status, body }) => (status === 200 ? 200 : body.toString()))).toEqual([
    200, 200, 200,
  ])
  expect(new Set(answers.map(({ body }) => body.toString())).size).toBe(1)
  expect(new Set(answers.map(({ headers }) => headers['x-receipt-id'])).size).toBe(1)
  expect(await provider.log()).toHaveLength(1)
})

async function keyOf(line: WorkerLine): Promise<SigningKey> {
  return JSON.parse((await line.call('/signing-key')).body.toString())
}

/** The report data that evidence for the profile's key has. */
function reportDataOf({ public_key: pem }: SigningKey, nonce: string): Buffer {
  const der = Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
  const hash = createHash('sha512').update('countersign/opengradient/v1')
  return hash.update(Buffer.from(nonce, 'hex')).update(der).digest()
}

const toolOutput = /"(call_[^"]+)"/

/** What the profile hashes of an answer that calls the tool. */
function outputOf(answer: string): string {
  const [, id = ''] = toolOutput.exec(answer) ?? []
  return String.raw`[{"function": {"arguments": "{\"a\":1}", "name": "f"}, "id": "${id}", "type": "function"}]`
}

async function expectSigned(line: WorkerLine, key: SigningKey, stream: boolean): Promise<void> {
  const request = createBody('gpt', { ...chatTools, ...(stream ? { stream } : {}) })
  const answer = await post(line, '/v1/chat/completions', request, openGradientHeaders)
  const text = answer.body.toString()
  expect(answer.status, text).toBe(200)
  const members: Record<string, unknown> = stream ? readLastFrame(text) : JSON.parse(text)
  expect(isSignedByKey(key, request, outputOf(text), members)).toBe(true)
  expect(isSignedByKey(key, request, `${outputOf(text)} `, members)).toBe(false)
}

test('a client that has the profile key of one worker verifies what another one signs', async () => {
  const found = await open(profiled)
  const keys = await Promise.all(found.map(keyOf))
  const [key] = keys
  if (key === undefined) throw new Error('no key')
  for (const { public_key: pem, tee_id: id } of keys) {
    expect([pem, id]).toEqual([key.public_key, key.tee_id])
  }
  const nonce = '0123456789abcdef0123456789abcdef01234567'
  for (const line of found) {
    const answer = await line.call(`/enclave/attestation?nonce=${nonce}`)
    const evidence = Buffer.from(answer.body.toString(), 'base64')
    expect(evidence.includes(reportDataOf(key, nonce))).toBe(true)
    for (const stream of [false, true]) await expectSigned(line, key, stream)
  }
})

test('a worker that takes the place of another one signs with the same profile key', async () => {
  const [line] = await open(profiled)
  if (line === undefined) throw new Error('no line')
  const key = await keyOf(line)
  const pids = profiled.stderr().matchAll(/"worker":0,"pid":([0-9]+)/g)
  const [, pid] = Array.from(pids).at(-1) ?? []
  process.kill(Number(pid), 'SIGKILL')
  await profiled.logged('a worker serves', workers + 1)
  for (const each of await open(profiled)) {
    expect(await keyOf(each)).toMatchObject({ public_key: key.public_key, tee_id: key.tee_id })
    await expectSigned(each, key, false)
  }
})

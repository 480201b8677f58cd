import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeCbor, isCborMap } from '@countersign/protocol/bytes/cbor-encode'
import { parseClaim } from '@countersign/protocol/receipt/claims'
import { encodeBundle, parseBundle } from '@countersign/protocol/verify/bundle'
import {
  replayTranslation,
  type ReplayCheck,
} from '../packages/client/src/cli/replay-translation.ts'
import { runCliProcess } from '../packages/client/test/kit/run-cli-process.ts'
import { fetchReceipt } from '../packages/gateway/test/support/receipts.ts'
import {
  disposeGateway,
  startGateway,
  type RunningGateway,
} from '../packages/gateway/test/support/start-gateway.ts'
import {
  translatedConfig,
  translatedModels,
} from '../packages/gateway/test/support/translated-models.ts'
import { callRaw } from './provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from './provider/start.ts'

const messages = [{ role: 'user', content: 'Why?' }]
const folder = mkdtempSync(join(tmpdir(), 'countersign-replay-'))
const file = (name: string): string => join(folder, name)
const environment = { PATH: process.env['PATH'] }

let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider({ models: Object.values(translatedModels) })
  const config = translatedConfig(new URL(provider.url).origin, provider.caFile)
  gateway = await startGateway({ config })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
  rmSync(folder, { recursive: true, force: true })
})

type Kept = { readonly bundle: Uint8Array; readonly upstream: Buffer; readonly response: Buffer }

/** Makes one call and keeps everything of it in files. */
async function keepCall(path: string, body: object, leaveAfter?: number): Promise<Kept> {
  const request = JSON.stringify({ max_tokens: 99, messages, ...body })
  const answer = await callRaw({
    url: `${gateway.url}${path}`,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: request,
    ...(leaveAfter === undefined ? {} : { leaveWhen: (bytes) => bytes > leaveAfter }),
  })
  const id = String(answer.headers['x-receipt-id'])
  const token = String(answer.headers['x-receipt-token'])
  const { bundle } = await fetchReceipt(gateway.url, id, token, 60)
  const kept = await callRaw({
    url: `${gateway.url}/v1/receipts/${id}/upstream-response`,
    headers: { 'x-receipt-token': token },
  })
  expect(kept.status, kept.body.toString()).toBe(200)
  writeFileSync(file('bundle'), bundle)
  writeFileSync(file('request'), request)
  writeFileSync(file('upstream'), kept.body)
  writeFileSync(file('response'), answer.body)
  return { bundle, upstream: kept.body, response: answer.body }
}

async function replayFiles(
  bundle: Uint8Array,
  upstreamBytes: Uint8Array,
): Promise<readonly ReplayCheck[]> {
  writeFileSync(file('upstream'), upstreamBytes)
  const files = { request: file('request'), upstreamResponse: file('upstream'), upstreamBytes }
  return replayTranslation(bundle, files, environment)
}

function statuses(checks: readonly ReplayCheck[]): Readonly<Record<string, string>> {
  return Object.fromEntries(checks.map(({ id, status }) => [id, status]))
}

const allPassed = {
  'upstream-bytes': 'passed',
  adapter: 'passed',
  forwarded: 'passed',
  returned: 'passed',
}

test.each([
  ['/v1/chat/completions', 'claude', false],
  ['/v1/messages', 'gpt', true],
])('the command line replays a call at %s of %s, stream: %s', async (path, model, stream) => {
  const { response } = await keepCall(path, { model, stream })
  const args = ['--request', file('request'), '--upstream-response', file('upstream')]
  const common = ['verify', file('bundle'), '--replay', ...args]
  const whole = await runCliProcess([...common, '--response', file('response')])
  expect(whole.code, whole.out + whole.err).toBe(0)
  expect(whole.out).toContain('replay of the translation')
  if (model !== 'claude') return
  response[10] = (response[10] ?? 0) ^ 1
  writeFileSync(file('turned'), response)
  const turned = await runCliProcess([...common, '--response', file('turned'), '--json'])
  expect(turned.code).toBe(1)
  expect(JSON.parse(turned.out)).toMatchObject({ verdict: 'invalid' })
})

test('a replay finds one byte turned in any of the four bodies', async () => {
  const { bundle, upstream } = await keepCall('/v1/chat/completions', { model: 'claude' })
  expect(statuses(await replayFiles(bundle, upstream))).toEqual(allPassed)
  const turned = Buffer.from(upstream)
  turned[turned.length >> 1] = (turned[turned.length >> 1] ?? 0) ^ 1
  expect(statuses(await replayFiles(bundle, turned))).toEqual({
    'upstream-bytes': 'failed',
    adapter: 'not-checked',
    forwarded: 'not-checked',
    returned: 'not-checked',
  })
  const forwarded = turnHash(bundle, 'forwarded')
  expect(statuses(await replayFiles(forwarded, upstream))).toEqual({
    ...allPassed,
    forwarded: 'failed',
  })
  const returned = turnHash(bundle, 'response')
  expect(statuses(await replayFiles(returned, upstream))).toEqual({
    ...allPassed,
    returned: 'failed',
  })
  writeFileSync(file('request'), JSON.stringify({ model: 'claude', max_tokens: 98, messages }))
  expect(statuses(await replayFiles(bundle, upstream))).toEqual({
    ...allPassed,
    forwarded: 'failed',
  })
  writeFileSync(file('request'), JSON.stringify({ model: 'claude', seed: 1, messages }))
  const [, , refused] = await replayFiles(bundle, upstream)
  expect(refused).toMatchObject({ status: 'failed', detail: expect.stringContaining('"seed"') })
})

test('a stream of Gemini is replayed', async () => {
  const { bundle, upstream } = await keepCall('/v1/chat/completions', {
    model: 'gemini',
    stream: true,
  })
  expect(statuses(await replayFiles(bundle, upstream))).toEqual(allPassed)
})

test('another adapter that writes other bytes proves nothing against a receipt', async () => {
  const { bundle, upstream } = await keepCall('/v1/messages', { model: 'gpt' })
  const other = turnHash(bundle, 'translation')
  expect(statuses(await replayFiles(other, upstream))).toEqual({
    ...allPassed,
    adapter: 'not-checked',
  })
  expect(statuses(await replayFiles(turnHash(other, 'response'), upstream))).toMatchObject({
    returned: 'not-checked',
  })
})

test.each([
  ['slow', 'was cut off with it'],
  ['drained', 'was read to its end'],
])('the beginning that a caller who left has had is replayed: %s, %s', async (model) => {
  const call = { model, stream: true }
  const { bundle, upstream, response } = await keepCall('/v1/chat/completions', call, 400)
  expect(response.length).toBeGreaterThan(400)
  expect(upstream.includes('message_stop')).toBe(model === 'drained')
  expect(statuses(await replayFiles(bundle, upstream))).toEqual(allPassed)
})

test('an error of the provider is replayed, and a native call has no translation', async () => {
  const failing = { model: 'failing' }
  const { bundle, upstream } = await keepCall('/v1/chat/completions', failing)
  expect(statuses(await replayFiles(bundle, upstream))).toEqual(allPassed)
  const native = await callRaw({
    url: `${gateway.url}/v1/messages`,
    method: 'POST',
    headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
    body: JSON.stringify({ model: 'claude', max_tokens: 9, messages }),
  })
  const id = String(native.headers['x-receipt-id'])
  const receipt = await fetchReceipt(gateway.url, id, String(native.headers['x-receipt-token']), 60)
  expect(Object.values(statuses(await replayFiles(receipt.bundle, upstream)))).toEqual(
    Array.from({ length: 4 }, () => 'not-checked'),
  )
})

test('the options of a replay belong together', async () => {
  const alone = await runCliProcess(['verify', file('bundle'), '--replay'])
  expect(alone.code).toBe(64)
})

/** The same bundle with one bit of a hash turned in a claim: no statement stands for it any more. */
function turnHash(bytes: Uint8Array, claimName: string): Uint8Array {
  const bundle = parseBundle(bytes)
  const claims = bundle.claims.map((entry) => {
    if (entry.kind !== 'claim') return entry
    const { name, value } = parseClaim(entry.bytes)
    if (name !== claimName || !isCborMap(value)) return entry
    const member = value.has('digest') ? 'digest' : 'sha256'
    const turned = new Map(value)
    const hash = value.get(member)
    if (!(hash instanceof Uint8Array)) throw new Error(`${claimName} has no hash`)
    turned.set(member, hash.with(0, (hash[0] ?? 0) ^ 1))
    return { ...entry, bytes: encodeCbor([new Uint8Array(32), name, turned]) }
  })
  return encodeBundle({ ...bundle, claims })
}

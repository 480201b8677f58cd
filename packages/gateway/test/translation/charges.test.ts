import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callRaw, type RawResult } from '../../../../test/provider/raw-client.ts'
import { repositoryRoot } from '../../../../test/tools/source-tree.ts'
import { openApiKeyStore } from '../../src/payment/api-key-store.ts'
import { chatMessage, claudeMessage, geminiAnswer } from '../support/provider-answers.ts'
import { startQueuedUpstream, type QueuedUpstream } from '../support/queued-upstream.ts'
import { expectVerified, type FetchedReceipt } from '../support/receipts.ts'
import {
  createGatewayFolder,
  disposeGateway,
  startGateway,
  type RunningGateway,
} from '../support/start-gateway.ts'
import { translatedConfig } from '../support/translated-models.ts'

const messages = [{ role: 'user', content: 'Why?' }]
const text = [{ type: 'text', text: 'So.' }]
const chatPath = '/v1/chat/completions'

let upstream: QueuedUpstream
let gateway: RunningGateway
let secret: string

beforeAll(async () => {
  upstream = await startQueuedUpstream()
  const folder = createGatewayFolder()
  const { upstreams, models } = translatedConfig(upstream.origin)
  const route = { kind: 'anthropic', baseUrl: `${upstream.origin}/v1` }
  const price = { perCallAtomic: '5' }
  const other = { upstream: 'anthropic', provider: 'anthropic', upstreamModel: 'claude-sonnet-4-5' }
  gateway = await startGateway({
    folder,
    config: {
      payment: { apiKeys: { asset: 'credits' } },
      upstreams: [...toList(upstreams), { name: 'second', ...route }],
      models: [
        ...toList(models),
        { ...other, name: 'native', price },
        {
          ...other,
          name: 'twofold',
          translate: true,
          price,
          routes: [{ upstream: 'second', weight: 0 }],
        },
      ],
    },
  })
  const store = openApiKeyStore(join(folder, 'data', 'api-keys.db'))
  secret = store.create('test', 1_000_000_000n, 1).secret
  store.close()
})

afterAll(async () => {
  await disposeGateway(gateway)
  await upstream.stop()
})

async function post(path: string, body: object, key = secret): Promise<RawResult> {
  return callRaw({
    url: `${gateway.url}${path}`,
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': key },
    body: JSON.stringify(body),
  })
}

async function receive(path: string, body: object): Promise<FetchedReceipt> {
  const answer = await post(path, body)
  expect(answer.status, answer.body.toString()).toBe(200)
  return expectVerified(gateway.url, answer, JSON.stringify(body))
}

// 5 for the call, 2 for a token of the input, 3 for one of the output.
test.each([
  ['claude', chatPath, claudeMessage(text), 5n + 9n * 2n + 5n * 3n],
  ['gemini', chatPath, geminiAnswer([{ text: 'So.' }]), 5n + 7n * 2n + 8n * 3n],
  ['gpt', '/v1/messages', chatMessage({ content: 'So.' }), 5n + 7n * 2n + 5n * 3n],
])(
  '%s is charged by its own sheet and the provider’s own figures',
  async (model, path, answer, amount) => {
    upstream.queue({ body: answer })
    const { payload, claims } = await receive(path, { model, max_tokens: 50, messages })
    expect(payload.charge).toMatchObject({ scheme: 'api-key', amountAtomic: amount })
    const forwarded = Buffer.byteLength(upstream.seen[0]?.body ?? '')
    const authorised = 5 + (forwarded + 2048) * 2 + 50 * 3
    expect(claims['metering']).toMatchObject({
      authorised: authorised.toString(16).padStart(4, '0'),
    })
  },
)

test('what cannot be translated is refused before a key is looked at', async () => {
  upstream.queue()
  const refused = await post(chatPath, { model: 'claude', messages, seed: 1 }, 'unknown')
  expect(refused.status).toBe(400)
  const unpaid = await post(chatPath, { model: 'claude', max_tokens: 9, messages }, 'unknown')
  expect(unpaid.status).toBe(401)
  expect(upstream.seen).toEqual([])
})

test('a model that is not to be translated is not', async () => {
  const answer = await post(chatPath, { model: 'native', messages })
  expect(answer.status).toBe(404)
  expect(answer.body.toString()).toContain('This model is served at /v1/messages.')
})

test('a translated call goes to the next route with the same bytes', async () => {
  upstream.queue({ status: 503, body: '{}' }, { body: claudeMessage(text) })
  const { claims } = await receive(chatPath, { model: 'twofold', max_tokens: 50, messages })
  expect(claims['attempts']).toMatchObject({ count: 2, upstream: 'second' })
  const [first, second] = upstream.seen
  expect(second?.body).toBe(first?.body)
  expect(second?.headers['anthropic-version']).toBe('2023-06-01')
})

test('no gateway of xAI translates', async () => {
  const model = { name: 'grok', upstream: 'xai', provider: 'xai', translate: true }
  const config = {
    upstreams: [{ name: 'xai', kind: 'xai', baseUrl: upstream.origin }],
    models: [{ ...model, price: { perCallAtomic: '1' } }],
  }
  await expect(startGateway({ config })).rejects.toThrow('xai is not translated')
})

test('the SDK is imported by one file, and by that only when it is asked to', () => {
  const sources = join(repositoryRoot, 'packages/gateway/src')
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  expect(files.length).toBeGreaterThan(100)
  const importing = files.filter((name) => {
    const code = readFileSync(join(sources, name), 'utf8')
    const named = code.replace(/import type \{[^}]*\} from '[^']*'/g, '')
    return /from '@ai-sdk\/|from '[^']*\/(?:translator|sdk)\.ts'/.test(named)
  })
  expect(importing.map((name) => name.replaceAll('\\', '/')).toSorted()).toEqual([
    'replay/replay-program.ts',
    'translation/translate-answer.ts',
    'translation/translate-request.ts',
    'translation/translator.ts',
  ])
})

function toList(value: unknown): readonly object[] {
  if (!Array.isArray(value)) throw new Error('no list')
  return value.filter((item) => typeof item === 'object')
}

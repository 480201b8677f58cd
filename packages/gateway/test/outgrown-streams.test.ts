/** A stream that the gateway ends because it is larger than its bounds is not for nothing (spec/payment.md PA14.6). */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { beginStream, chunk } from './support/chat-events.ts'
import { createKey } from './support/create-key.ts'
import { expectVerified, type FetchedReceipt } from './support/receipts.ts'
import { startRecordingUpstream, type RecordingUpstream } from './support/recording-upstream.ts'
import {
  createGatewayFolder,
  disposeGateway,
  startGateway,
  type RunningGateway,
} from './support/start-gateway.ts'

// Several reads of a socket: some of them are returned before the one that is too much.
const maxResponseBytes = 262_144
const folder = createGatewayFolder()
const keysFile = join(folder, 'data', 'api-keys.db')
const words = 500

const logprobs = 'x'.repeat(2000)
let upstream: RecordingUpstream
let gateway: RunningGateway
let headers: Readonly<Record<string, string>>

beforeAll(async () => {
  upstream = await startRecordingUpstream((response) => {
    beginStream(response)
    // What a caller asks for with every word makes each event larger.
    for (let word = 0; word < words; word++) response.write(chunk('hello ', { logprobs }))
    response.end()
  })
  const model = { upstream: 'a', provider: 'openai' }
  const byUse = { perCallAtomic: '1', perMillionAtomic: { input: '1000000', output: '1000000' } }
  gateway = await startGateway({
    folder,
    limits: { maxResponseBytes },
    config: {
      payment: { apiKeys: { asset: 'credits' } },
      upstreams: [{ name: 'a', baseUrl: upstream.url, addUsage: false }],
      models: [
        {
          ...model,
          name: 'metered',
          price: byUse,
          limits: { contextTokens: 5000, maxOutputTokens: 1000, hidesReasoning: false },
        },
        { ...model, name: 'flat', price: { perCallAtomic: '9' } },
      ],
    },
  })
  headers = createKey(keysFile)
})

afterAll(async () => {
  await disposeGateway(gateway)
  await upstream.stop()
})

async function outgrow(name: string): Promise<FetchedReceipt> {
  const body = createChatBody({ model: name, stream: true })
  const answer = await postChat(gateway.url, body, { headers })
  expect(answer.status).toBe(200)
  expect(answer.failure).not.toBeNull()
  const receipt = await expectVerified(gateway.url, answer, body)
  expect(receipt.claims).toMatchObject({
    outcome: { state: 'upstream-error', error: 'answer-malformed' },
  })
  return receipt
}

function chargedAtomic(): bigint {
  const store = openApiKeyStore(keysFile)
  const [key] = store.list()
  store.close()
  return key?.chargedAtomic ?? 0n
}

test('what was returned of it is charged where use is metered', async () => {
  const { claims, payload } = await outgrow('metered')
  const { counts, source } = Object(claims['metering'])
  expect(source).toBe('estimated')
  // One token for each word that came; not all of them did.
  expect(counts.output).toBeGreaterThan(20)
  expect(counts.output).toBeLessThan(words)
  expect(payload.charge.amountAtomic).toBe(BigInt(1 + counts.input + counts.output))
  expect(chargedAtomic()).toBe(payload.charge.amountAtomic)
})

test('a call at a fixed price that failed costs nothing, as its receipt says', async () => {
  const before = chargedAtomic()
  const { claims, payload } = await outgrow('flat')
  expect(claims).not.toHaveProperty('metering')
  expect(payload.charge.amountAtomic).toBe(0n)
  expect(chargedAtomic()).toBe(before)
})

import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import type { Gateway } from '../src/call/gateway.ts'
import { loadConfig } from '../src/config/load-config.ts'
import { closeGateway, createGateway } from '../src/create-gateway.ts'
import { createGatewayServer } from '../src/http/server.ts'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { createConfig, createGatewayFolder } from './support/start-gateway.ts'

let provider: TlsLoopbackProvider

beforeAll(async () => {
  provider = await startLoopbackProvider()
})

afterAll(async () => {
  await provider.stop()
})

type FaultyGateway = {
  readonly url: string
  readonly authorization: string
  /** What the key was charged so far. */
  charged(): bigint | undefined
}

/** A gateway that callers pay by key, with one of its parts made to fail. */
async function startFaulty(
  break_: (sound: Gateway) => Gateway,
  models: readonly object[] = [],
): Promise<FaultyGateway> {
  const folder = createGatewayFolder()
  const file = join(folder, 'countersign.config.json')
  writeFileSync(
    file,
    JSON.stringify(
      createConfig({ provider, config: { payment: { apiKeys: { asset: 'USD' } }, models } }),
    ),
  )
  const loaded = loadConfig(file)
  const sound = await createGateway(loaded, {}, pino({ level: 'silent' }))
  const keys = openApiKeyStore(join(loaded.config.dataDir, 'api-keys.db'))
  const { secret } = keys.create('test', 1_000_000n, Date.now())
  const broken = break_(sound)
  const server = createGatewayServer(
    () => broken,
    () => true,
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
    await closeGateway(sound)
    keys.close()
    rmSync(folder, { recursive: true })
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    authorization: `Bearer ${secret}`,
    charged: () => keys.list().find(({ name }) => name === 'test')?.chargedAtomic,
  }
}

const fail = (): never => {
  throw new Error('planted')
}

for (const stream of [false, true]) {
  const body = createChatBody({ model: 'loopback-echo', stream })
  const kind = stream ? 'a stream' : 'an answer'

  test(`when the receipt of ${kind} cannot be signed, nothing says that the paid call was free`, async () => {
    const gateway = await startFaulty((sound) => ({
      ...sound,
      epochs: { ...sound.epochs, sign: fail },
    }))
    const answer = await postChat(gateway.url, body, {
      headers: { authorization: gateway.authorization },
    })
    if (stream) {
      // The head and the events have left: only the end of the body can say that something is wrong.
      expect(answer.failure).not.toBeNull()
    } else {
      const { status, headers, body: error } = answer
      expect(status).toBe(500)
      expect(error.toString()).toContain('receipt-failed')
      expect(error.toString()).not.toContain('nothing was charged')
      expect(headers).not.toHaveProperty('x-receipt-statement')
      expect(headers).not.toHaveProperty('x-receipt-id')
    }
    await expect.poll(() => gateway.charged()).toBe(10_000n)
  })

  test(`when ${kind} was delivered and cannot be kept, it has one statement`, async () => {
    const statements: string[] = []
    const gateway = await startFaulty((sound) => ({
      ...sound,
      answers: { ...sound.answers, put: fail },
      receipts: {
        ...sound.receipts,
        put: (receipt) => {
          statements.push(receipt.id)
          sound.receipts.put(receipt)
        },
        putTransient: fail,
      },
    }))
    const { status } = await postChat(gateway.url, body, {
      headers: { authorization: gateway.authorization },
    })
    expect(status).toBe(200)
    expect(statements).toHaveLength(1)
    await expect.poll(() => gateway.charged()).toBe(10_000n)
  })

  const end = stream ? 'it is paid for and unsigned' : 'the call is refused and costs nothing'
  test(`when the claims of ${kind} cannot be made, ${end}`, async () => {
    const refusals: string[] = []
    let drawn = 0
    const gateway = await startFaulty((sound) => ({
      ...sound,
      random: (length) => (length > 48 && drawn++ === 0 ? fail() : sound.random(length)),
      receipts: {
        ...sound.receipts,
        putTransient: (refusal) => {
          refusals.push(refusal.id)
          sound.receipts.putTransient(refusal)
        },
      },
    }))
    const answer = await postChat(gateway.url, body, {
      headers: { authorization: gateway.authorization },
    })
    if (stream) expect(answer.failure).not.toBeNull()
    else {
      expect(answer.status).toBe(500)
      expect(answer.headers).toHaveProperty('x-receipt-statement')
    }
    await expect.poll(() => gateway.charged()).toBe(stream ? 10_000n : 0n)
    expect(refusals).toHaveLength(stream ? 0 : 1)
  })
}

test('what a stream used and no claim can say is not charged to a key that pays by use', async () => {
  const byUse = {
    name: 'by-use',
    upstream: 'loopback',
    provider: 'openai',
    upstreamModel: 'loopback-echo',
    price: { perMillionAtomic: { input: '1000000', output: '2000000' } },
    limits: { contextTokens: 4000, maxOutputTokens: 500 },
  }
  let drawn = 0
  const gateway = await startFaulty(
    (sound) => ({
      ...sound,
      random: (length) => (length > 48 && drawn++ === 0 ? fail() : sound.random(length)),
    }),
    [byUse],
  )
  const ask = (): ReturnType<typeof postChat> =>
    postChat(gateway.url, createChatBody({ model: 'by-use', stream: true }), {
      headers: { authorization: gateway.authorization },
    })
  expect((await ask()).failure).not.toBeNull()
  expect((await ask()).failure).toBeNull()
  // The second one alone: the first would have cost the most that it could have.
  await expect.poll(() => gateway.charged()).toBeGreaterThan(0n)
  expect(gateway.charged()).toBeLessThan(1000n)
})

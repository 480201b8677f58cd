import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { parseBundle } from '@countersign/protocol'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import { parseKeyset, type Keyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { callRaw, type RawResult } from '../../../test/provider/raw-client.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from '../../../test/provider/start.ts'
import { parseConfig } from '../src/config/load-config.ts'
import { refuseFixedChange } from '../src/config/refuse-fixed-change.ts'
import { openApiKeyStore } from '../src/payment/api-key-store.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { beginStream, events } from './support/chat-events.ts'
import { expectVerified, type FetchedReceipt } from './support/receipts.ts'
import { startRecordingUpstream } from './support/recording-upstream.ts'
import {
  createConfig,
  createGatewayFolder,
  disposeGateway,
  runToEnd,
  startGateway,
  type GatewayOptions,
  type RunningGateway,
} from './support/start-gateway.ts'

const done = 'configuration was reloaded'
const refused = 'configuration was not reloaded'

let provider: TlsLoopbackProvider

beforeAll(async () => {
  provider = await startLoopbackProvider()
})

afterAll(async () => {
  await provider.stop()
})

/** One upstream with these models at these prices. */
function offering(prices: Readonly<Record<string, string>>, config: object = {}): GatewayOptions {
  const { url: baseUrl, caFile } = provider
  const models = Object.entries(prices).map(([id, priceAtomic]) => ({ id, priceAtomic }))
  return {
    config: {
      payment: { apiKeys: { asset: 'credits' } },
      upstreams: [{ name: 'loopback', baseUrl, caFile, models }],
      ...config,
    },
  }
}

function toList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

async function start(options: GatewayOptions): Promise<RunningGateway> {
  const gateway = await startGateway({ ...options, folder: createGatewayFolder() })
  onTestFinished(async () => disposeGateway(gateway))
  return gateway
}

function createKey({ folder }: RunningGateway): Readonly<Record<string, string>> {
  const store = openApiKeyStore(join(folder, 'data', 'api-keys.db'))
  const { secret } = store.create('test', 1_000_000n, 1)
  store.close()
  return { 'x-api-key': secret }
}

function keysetOf({ bundle }: FetchedReceipt): Keyset & { readonly digest: string } {
  const { payload } = parseStatement(parseBundle(bundle).keyset)
  if (payload.type !== 'keyset') throw new Error('no keyset')
  return { ...parseKeyset(payload.document), digest: toHex(payload.keysetDigest) }
}

async function listed(origin: string): Promise<readonly string[]> {
  const answer = await callRaw({ url: `${origin}/v1/models` })
  const { data } = { data: [], ...Object(JSON.parse(answer.body.toString())) }
  return data.map(({ id }: { readonly id: string }) => id)
}

test('gives new calls the new prices and keyset, and lets streams under way end as they began', async () => {
  const slow = 'held'
  // Streams that end when the test says so.
  const release = Promise.withResolvers<void>()
  const upstream = await startRecordingUpstream(async (response) => {
    beginStream(response)
    response.write(events[0])
    await release.promise
    response.end(events.slice(1).join(''))
  })
  onTestFinished(() => upstream.stop())
  const offeringBoth = (
    priceAtomic: string,
    prices: Readonly<Record<string, string>>,
  ): GatewayOptions => {
    const { config } = offering(prices)
    const held = { name: 'held', baseUrl: upstream.url, models: [{ id: slow, priceAtomic }] }
    return { config: { ...config, upstreams: [held, ...toList(config?.['upstreams'])] } }
  }
  const gateway = await start(offeringBoth('10', { 'loopback-echo': '20', 'loopback-gone': '1' }))
  const headers = createKey(gateway)
  const body = createChatBody({ model: slow, stream: true })
  const streams = Array.from({ length: 4 }, () => {
    const { promise: begun, resolve } = Promise.withResolvers<void>()
    const leaveWhen = (): boolean => {
      resolve()
      return false
    }
    return { begun, answer: postChat(gateway.url, body, { headers, leaveWhen }) }
  })
  await Promise.all(streams.map(async ({ begun }) => begun))
  let hasEnded = false
  const collect = async (): Promise<readonly RawResult[]> => {
    const ended = await Promise.all(streams.map(async ({ answer }) => answer))
    hasEnded = true
    return ended
  }
  const answers = collect()
  gateway.reload(offeringBoth('11', { 'loopback-echo': '21', 'loopback-new': '30' }))
  await gateway.logged(done)
  expect(hasEnded).toBe(false)
  expect(await listed(gateway.url)).toEqual([slow, 'loopback-echo', 'loopback-new'])
  const newBody = createChatBody({ model: 'loopback-echo', stream: true })
  const newAnswer = await postChat(gateway.url, newBody, { headers })
  const gone = createChatBody({ model: 'loopback-gone', stream: false })
  expect((await postChat(gateway.url, gone, { headers })).status).toBe(404)
  release.resolve()

  const fresh = await expectVerified(gateway.url, newAnswer, newBody)
  const old = await Promise.all(
    (await answers).map(async (answer) => expectVerified(gateway.url, answer, body)),
  )
  const keyset = keysetOf(fresh)
  expect(fresh.payload.charge.amountAtomic).toBe(21n)
  for (const receipt of old) {
    expect(receipt.claims['outcome']).toMatchObject({ state: 'complete' })
    expect(receipt.payload.charge.amountAtomic).toBe(10n)
    expect(receipt.claims['price']).not.toEqual(fresh.claims['price'])
    expect(keysetOf(receipt).digest).toBe(toHex(keyset.previousKeysetDigest ?? new Uint8Array(0)))
  }
  const file = join(gateway.folder, 'countersign.config.json')
  const { stdout } = await runToEnd(['--check-config', file])
  expect(JSON.parse(stdout)).toMatchObject({ digest: toHex(keyset.configDigest) })
})

test('refuses what cannot be used or cannot change, says so, and goes on as before', async () => {
  const before = offering({ 'loopback-echo': '20' })
  const gateway = await start(before)
  const headers = createKey(gateway)
  const body = createChatBody({ model: 'loopback-echo', stream: false })
  const call = async (): Promise<FetchedReceipt> =>
    expectVerified(gateway.url, await postChat(gateway.url, body, { headers }), body)
  const first = keysetOf(await call())
  const broken: readonly (readonly [GatewayOptions, string])[] = [
    [offering({ 'loopback-echo': '-1' }), 'a whole number of atomic units'],
    [offering({ 'loopback-echo': '1' }, { dataDir: 'other' }), 'dataDir cannot change'],
    [offering({ 'loopback-echo': '1' }, { listen: { port: 1 } }), 'listen cannot change'],
    [
      offering({ 'loopback-echo': '1' }, { issuer: 'b', payment: 'none' }),
      'issuer, payment cannot change',
    ],
    [
      offering(
        {},
        {
          models: [
            { name: 'a', upstream: 'absent', provider: 'openai', price: { perCallAtomic: '1' } },
          ],
        },
      ),
      'no upstream absent',
    ],
  ]
  for (const [index, [options, why]] of broken.entries()) {
    gateway.reload(options)
    await gateway.logged(refused, index + 1)
    expect(gateway.stderr()).toContain(why)
  }
  const file = join(gateway.folder, 'countersign.config.json')
  writeFileSync(file, '{')
  process.kill(gateway.pid, 'SIGHUP')
  await gateway.logged(refused, broken.length + 1)
  expect(await listed(gateway.url)).toEqual(['loopback-echo'])
  const still = await call()
  expect(keysetOf(still).digest).toBe(first.digest)
  expect(still.payload.charge.amountAtomic).toBe(20n)
  const metrics = await callRaw({ url: `${gateway.url}/metrics` })
  expect(metrics.body.toString()).toContain('countersign_reloads_total{result="refused"} 6')

  gateway.reload(before)
  await gateway.logged(done)
  const renewed = keysetOf(await call())
  expect(toHex(renewed.previousKeysetDigest ?? new Uint8Array(0))).toBe(first.digest)
  expect(toHex(renewed.configDigest)).toBe(toHex(first.configDigest))
  expect(await gateway.stop()).toEqual({ code: 0, signal: null })
})

test('ends while calls of an old configuration are under way', async () => {
  const prices = { 'loopback-slow-20': '1' }
  const gateway = await start(offering(prices))
  const headers = createKey(gateway)
  const { promise: begun, resolve } = Promise.withResolvers<void>()
  const body = createChatBody({ model: 'loopback-slow-20', stream: true })
  const leaveWhen = (): boolean => {
    resolve()
    return false
  }
  const answer = postChat(gateway.url, body, { headers, leaveWhen })
  await begun
  gateway.reload(offering({ 'loopback-echo': '2' }))
  await gateway.logged(done)
  expect(await gateway.stop()).toEqual({ code: 0, signal: null })
  expect(await answer).toMatchObject({ status: 200, failure: null })
})

test('never reloads what a TPM has measured, alone or among several sources', () => {
  const tpm = { kind: 'tpm' }
  for (const attestation of [tpm, { kind: 'several', sources: [{ kind: 'tsm' }, tpm] }]) {
    const text = JSON.stringify({ ...createConfig({ provider }), attestation })
    const { config } = parseConfig(text, '/etc/countersign')
    expect(() => {
      refuseFixedChange(config, config)
    }).toThrow('measured by the TPM')
  }
})

test('uses connections on that a reload does not change, and closes the others', async () => {
  const sockets: Socket[] = []
  const server = createServer((request, response) => {
    request.resume().once('end', () => {
      response.writeHead(500, { 'content-type': 'application/json' }).end('{}')
    })
  })
  server.on('connection', (socket) => sockets.push(socket))
  // Idle connections end by the gateway alone.
  server.keepAliveTimeout = 0
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const offer = (priceAtomic: string, more: object = {}): GatewayOptions => {
    const upstream = { name: 'one', baseUrl: `http://127.0.0.1:${port}/v1`, ...more }
    return { config: { upstreams: [{ ...upstream, models: [{ id: 'm', priceAtomic }] }] } }
  }
  const gateway = await start(offer('1'))
  const call = async (): Promise<void> => {
    const { status } = await postChat(gateway.url, createChatBody({ model: 'm', stream: false }))
    expect(status).toBe(500)
  }
  await call()
  expect(sockets).toHaveLength(1)
  for (const [index, price] of ['2', '3'].entries()) {
    gateway.reload(offer(price))
    await gateway.logged(done, index + 1)
    await call()
    expect(sockets).toHaveLength(1)
  }
  // A configuration that is refused gives back what it took.
  gateway.reload(offer('4', { apiKeyEnv: 'MISSING_KEY' }))
  await gateway.logged(refused)
  await call()
  expect(sockets).toHaveLength(1)
  const [first] = sockets
  const closed = first === undefined ? undefined : once(first, 'close')
  gateway.reload(offer('5', { connections: 3 }))
  await gateway.logged(done, 3)
  await call()
  await closed
  expect(sockets).toHaveLength(2)
  expect(await gateway.stop()).toEqual({ code: 0, signal: null })
})

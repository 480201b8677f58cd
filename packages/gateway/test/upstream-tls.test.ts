import { createHash, type X509Certificate } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import { connect } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  startLoopbackProvider,
  startPlainLoopbackProvider,
  type LoopbackProvider,
  type TlsLoopbackProvider,
} from '../../../test/provider/start.ts'
import { createChatBody, postChat } from './support/chat-call.ts'
import { expectVerified } from './support/receipts.ts'
import { disposeGateway, startGateway, type RunningGateway } from './support/start-gateway.ts'

let providers: Readonly<Record<'good' | 'old' | 'expired' | 'misnamed', TlsLoopbackProvider>>
let plain: LoopbackProvider
let blackHole: Server
let gateway: RunningGateway

beforeAll(async () => {
  const [good, old, expired, misnamed] = await Promise.all([
    startLoopbackProvider(),
    startLoopbackProvider({ tlsMax: '1.2' }),
    startLoopbackProvider({ certExpired: true }),
    startLoopbackProvider({ certNames: ['other.example'] }),
  ])
  providers = { good, old, expired, misnamed }
  plain = await startPlainLoopbackProvider()
  // Accepts connections and says nothing: a handshake that never ends.
  blackHole = createServer((socket) => socket.resume().on('error', () => undefined))
  blackHole.listen(0, '127.0.0.1')
  await once(blackHole, 'listening')
  const upstream = (name: string, provider: TlsLoopbackProvider, caFile: string): unknown => ({
    name,
    baseUrl: provider.url,
    caFile,
    models: models(name),
  })
  const address = blackHole.address()
  const silentPort = typeof address === 'object' && address !== null ? address.port : 0
  gateway = await startGateway({
    config: {
      upstreams: [
        { name: 'good', baseUrl: good.url, caFile: good.caFile, models: models('*') },
        upstream('old', old, old.caFile),
        upstream('expired', expired, expired.caFile),
        upstream('misnamed', misnamed, misnamed.caFile),
        upstream('stranger', good, old.caFile),
        { name: 'plain', baseUrl: plain.url, models: models('loopback-echo') },
        { name: 'refused', baseUrl: 'https://127.0.0.1:1/v1', models: models('refused') },
        {
          name: 'silent',
          baseUrl: `https://127.0.0.1:${silentPort}/v1`,
          models: models('silent'),
          // Its own alone: a handshake with a busy process takes time.
          timeouts: { connectMs: 500 },
        },
        { name: 'nowhere', baseUrl: 'https://provider.invalid/v1', models: models('nowhere') },
      ],
    },
  })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await Promise.all([plain, ...Object.values(providers)].map(async (provider) => provider.stop()))
  blackHole.close()
})

function models(id: string): unknown {
  return [{ id, priceAtomic: '1' }]
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** What a TLS client of our own sees of a provider. */
async function readEvidence({ url, caPem }: TlsLoopbackProvider): Promise<unknown> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), ca: caPem })
  await once(socket, 'secureConnect')
  const leaf = socket.getPeerX509Certificate()
  const version = socket.getProtocol()
  socket.destroy()
  if (leaf === undefined) throw new Error('no certificate')
  const chain: string[] = []
  for (
    let one: X509Certificate | undefined = leaf;
    one !== undefined;
    one = one.issuerCertificate
  ) {
    chain.push(sha256(one.raw))
  }
  const spki = sha256(leaf.publicKey.export({ type: 'spki', format: 'der' }))
  return { chain, spki, version }
}

test('states the certificate of the provider on the first call and on later ones of each socket', async () => {
  const { good } = providers
  await good.reset()
  const expected = {
    host: new URL(good.url).host,
    requestId: expect.stringMatching(/^req_/),
    tls: await readEvidence(good),
  }
  expect(expected.tls).toMatchObject({ version: 'TLSv1.3' })
  const quick = createChatBody({ model: 'loopback-slow-1', stream: true })
  const slow = createChatBody({ model: 'loopback-slow-100', stream: true })
  for (const bodies of [[quick], [quick], [slow, slow], [quick, slow]]) {
    const answers = await Promise.all(bodies.map(async (body) => postChat(gateway.url, body)))
    for (const [index, answer] of answers.entries()) {
      const { claims } = await expectVerified(gateway.url, answer, bodies[index] ?? '')
      expect(claims['upstream']).toEqual(expected)
    }
  }
  const log = await good.log({ waitUntilIdleMs: 60_000, atLeast: 6 })
  const sockets = log.map(({ connection }) => connection)
  expect(sockets).toHaveLength(6)
  // Idle connections end after some seconds: how many there are depends on the pauses.
  const opened = new Set(sockets).size
  expect(opened).toBeGreaterThan(1)
  expect(opened).toBeLessThan(6)
})

test('states the version of a session with TLS 1.2', async () => {
  const body = createChatBody({ model: 'old', stream: false })
  const answer = await postChat(gateway.url, body)
  const { claims } = await expectVerified(gateway.url, answer, body)
  expect(claims['upstream']).toMatchObject({ tls: await readEvidence(providers.old) })
  expect(claims['upstream']).toMatchObject({ tls: { version: 'TLSv1.2' } })
})

test('states no TLS for a provider over plain HTTP', async () => {
  const body = createChatBody({ model: 'loopback-echo', stream: true })
  const answer = await postChat(gateway.url, body)
  expect(answer.status).toBe(200)
  const { claims } = await expectVerified(gateway.url, answer, body)
  expect(claims['upstream']).toMatchObject({ host: new URL(plain.url).host, tls: null })
})

const unreachable: readonly (readonly [what: string, model: string])[] = [
  ['whose certificate has expired', 'expired'],
  ['whose certificate has another name', 'misnamed'],
  ['whose authority is not the one configured', 'stranger'],
  ['that refuses connections', 'refused'],
  ['whose name does not resolve', 'nowhere'],
]

test.each(unreachable)('sends nothing to a provider %s, and signs that', async (_, model) => {
  const body = createChatBody({ model, stream: true })
  const answer = await postChat(gateway.url, body)
  expect(answer).toMatchObject({ status: 502, failure: null })
  expect(JSON.parse(answer.body.toString())).toMatchObject({
    error: { code: 'upstream-unreachable', type: 'api_error' },
  })
  const { claims, payload } = await expectVerified(gateway.url, answer, body)
  expect(payload).toMatchObject({ type: 'receipt', charge: { amountAtomic: 0n } })
  expect(claims).toMatchObject({
    outcome: { state: 'upstream-error', error: 'unreachable', finish: null },
    response: { status: 502, transform: 'gateway-error' },
    upstream: { tls: null, requestId: null },
    'upstream-response': { bytes: 0, status: null },
    usage: { source: 'none' },
  })
})

test('gives up a handshake that does not end, and signs that', async () => {
  const body = createChatBody({ model: 'silent', stream: false })
  const answer = await postChat(gateway.url, body)
  expect(answer.status).toBe(504)
  const { claims } = await expectVerified(gateway.url, answer, body)
  expect(claims).toMatchObject({ outcome: { state: 'timeout', error: 'timeout' } })
})

test('has sent no request to a provider that it does not trust', async () => {
  for (const provider of [providers.expired, providers.misnamed]) {
    expect(await provider.log()).toEqual([])
  }
})

/** What callers who check keys see of a gateway with several workers. */
import { request } from 'node:https'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { countersignFetch } from '@countersign/client'
import { createAttestedFetch } from '@countersign/client/attested-fetch'
import { createSealedFetch } from '@countersign/client/sealed-fetch'
import { fromBase64url, toHex } from '@countersign/protocol/bytes/text-encoding'
import { parseKeyset, type Keyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { parseBundle } from '@countersign/protocol/verify/bundle'
import { createChatBody } from '../packages/gateway/test/support/chat-call.ts'
import {
  disposeGateway,
  startGateway,
  type RunningGateway,
} from '../packages/gateway/test/support/start-gateway.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from './provider/start.ts'

// The kernel draws lots for connections: all of them meet one worker at 2^-23.
const calls = 24
let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider({})
  gateway = await startGateway({
    provider,
    program: fileURLToPath(
      new URL('../packages/gateway/test/support/clock-gateway.ts', import.meta.url),
    ),
    nodeFlags: ['--conditions=source'],
    config: { workers: 2, listen: { port: 0, tls: { names: ['127.0.0.1'] } } },
  })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

const call = (stream: boolean): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: createChatBody({ model: 'loopback-echo', stream }).toString(),
})

test('every worker ends TLS with the attested key, and opens what is sealed whoever was asked for evidence', async () => {
  const origins: string[] = []
  const attested = createAttestedFetch({ onAttestation: (_, origin) => origins.push(origin) })
  const sealedTo = new Set<string>()
  const sealed = createSealedFetch({
    fetch: attested,
    onAttestation: ({ keyset }) => sealedTo.add(toHex(keyset?.hpkeKey ?? new Uint8Array(0))),
  })
  const sdk = countersignFetch({ baseUrl: `${gateway.url}/v1`, fetch: sealed })
  try {
    // All at once: each has a connection of its own.
    const keysets = await Promise.all(
      Array.from({ length: calls }, async (_, index) => {
        const answer = await sdk(`${gateway.url}/v1/chat/completions`, call(index % 2 === 0))
        expect(answer.status).toBe(200)
        await answer.text()
        const { verdict, bundle } = await sdk.receiptOf(answer)
        expect(verdict).toMatchObject({ verdict: 'valid' })
        const { payload } = parseStatement(parseBundle(bundle).statement)
        return toHex(payload.keysetDigest)
      }),
    )
    expect(new Set(keysets).size).toBe(2)
    expect(sealedTo.size).toBe(1)
    expect(origins.length).toBeGreaterThan(0)
  } finally {
    attested.close()
  }
})

test('a sealed call that was recorded is made by no other worker either', async () => {
  const attested = createAttestedFetch()
  const recorded: (readonly [string, RequestInit])[] = []
  const sealed = createSealedFetch({
    fetch: async (url, init) => {
      if (url.endsWith('/v1/sealed')) recorded.push([url, init])
      return await attested(url, init)
    },
  })
  try {
    expect((await sealed(`${gateway.url}/v1/models`, {})).status).toBe(200)
    const [first] = recorded
    if (first === undefined) throw new Error('nothing was recorded')
    const again = await Promise.all(
      Array.from({ length: calls }, async () => (await attested(...first)).text()),
    )
    for (const text of again) expect(text).toContain('sealed-replayed')
  } finally {
    attested.close()
  }
})

/** The keyset of whichever worker answers a new connection. Who asks so proves nothing to itself. */
async function askKeyset(): Promise<Keyset & { readonly digest: string }> {
  const path = `${gateway.url}/v1/attestation?nonce=${'00'.repeat(32)}`
  const body = await new Promise<string>((resolve, reject) => {
    const sent = request(path, { agent: false, rejectUnauthorized: false }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      answer.once('end', () => resolve(text))
      answer.once('error', reject)
    })
    sent.once('error', reject)
    sent.end()
  })
  const { keyset }: { readonly keyset: string } = JSON.parse(body)
  const { payload } = parseStatement(fromBase64url(keyset) ?? new Uint8Array(0))
  if (payload.type !== 'keyset') throw new Error('no keyset')
  return { ...parseKeyset(payload.document), digest: toHex(payload.keysetDigest) }
}

const laterNow = (): number => Date.now() + 13 * 3_600_000
const tlsOf = ({ tlsSpki }: Keyset): string => toHex(tlsSpki ?? new Uint8Array(0))

test('after half a day both workers offer renewed keys, and who attests at one connects to the other', async () => {
  const before = await askKeyset()
  const workers = gateway.stderr().matchAll(/"pid":([0-9]+),"msg":"a worker serves"/g)
  const pids = [gateway.pid, ...Array.from(workers, ([, pid]) => Number(pid))]
  expect(pids).toHaveLength(3)
  for (const pid of pids) process.kill(pid, 'SIGUSR2')
  await gateway.logged('the clock has moved', pids.length)
  // Whoever is asked renews in the background; who was about to when it was told to renews twice.
  const renewed = new Map<string, string>()
  const learn = async (): Promise<void> => {
    const keyset = await askKeyset()
    if (tlsOf(keyset) !== tlsOf(before)) renewed.set(keyset.digest, tlsOf(keyset))
  }
  const endMs = performance.now() + 60_000
  while (renewed.size < 2 && performance.now() < endMs) await learn()
  expect(renewed.size).toBeGreaterThanOrEqual(2)
  const met = new Set<string>()
  const attested = createAttestedFetch({ now: laterNow })
  try {
    // One attestation, many connections.
    await Promise.all(
      Array.from({ length: calls }, async () => {
        const answer = await attested(`${gateway.url}/v1/chat/completions`, call(false))
        expect(answer.status).toBe(200)
        const statement = fromBase64url(answer.headers.get('x-receipt-statement') ?? '')
        const { payload } = parseStatement(statement ?? new Uint8Array(0))
        met.add(toHex(payload.keysetDigest))
      }),
    )
  } finally {
    attested.close()
  }
  for (let asked = 0; asked < calls; asked++) await learn()
  expect(new Set(renewed.values()).size).toBe(1)
  expect(met.size).toBeGreaterThanOrEqual(2)
  expect([...renewed.keys()]).toEqual(expect.arrayContaining([...met]))
})

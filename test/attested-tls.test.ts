/** TLS that ends in the gateway, and a client that believes evidence instead of authorities. */
import { once } from 'node:events'
import { createServer as createTcpServer, connect as connectTcp, type Server } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { countersignFetch, ClientError } from '@countersign/client'
import { createAttestedFetch, type AttestedFetch } from '@countersign/client/attested-fetch'
import { createKeysetAttester } from '@countersign/client/keyset-attester'
import { createSealedFetch } from '@countersign/client/sealed-fetch'
import { defaultPolicy } from '@countersign/protocol/verify/policy'
import { productionPolicy } from '@countersign/protocol/verify/policy'
import type { AttestationVerdict } from '@countersign/protocol/verify/verify-attestation'
import { runCliProcess } from '../packages/client/test/kit/run-cli-process.ts'
import { createChatBody } from '../packages/gateway/test/support/chat-call.ts'
import {
  disposeGateway,
  startGateway,
  type RunningGateway,
} from '../packages/gateway/test/support/start-gateway.ts'
import { createCertificateAuthority, issueServerCertificate } from './provider/certificate.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from './provider/start.ts'

let provider: TlsLoopbackProvider
let gateway: RunningGateway
const toClose: { close(): unknown }[] = []

beforeAll(async () => {
  provider = await startLoopbackProvider({})
  gateway = await start(0)
})

afterEach(() => {
  for (const each of toClose.splice(0)) each.close()
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

async function start(port: number): Promise<RunningGateway> {
  return await startGateway({
    provider,
    config: { listen: { port, tls: { names: ['127.0.0.1', 'gateway.example'] } } },
  })
}

function attested(options: Parameters<typeof createAttestedFetch>[0] = {}): AttestedFetch {
  const fetch = createAttestedFetch(options)
  toClose.push(fetch)
  return fetch
}

const call = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: createChatBody({
    model: 'loopback-echo',
    stream: true,
    prompt: 'a secret prompt',
  }).toString(),
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return error instanceof ClientError ? error.code : `no refusal: ${String(error)}`
}

/** Listens on a free port of loopback. */
async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  toClose.push(server)
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `https://127.0.0.1:${String(address.port)}`
}

/** Ends TLS with a certificate of its own, opens TLS to the gateway, and reads everything that passes. */
async function startInTheMiddle(): Promise<{ readonly url: string; readonly seen: () => string }> {
  const authority = createCertificateAuthority({ nowMs: Date.now() })
  const { certificatePem, privateKeyPem } = issueServerCertificate(authority, ['127.0.0.1'])
  let seen = ''
  const server = createTlsServer({ cert: certificatePem, key: privateKeyPem }, (inner) => {
    const outer = connectTls({ ...addressOf(gateway), rejectUnauthorized: false })
    inner.on('data', (bytes: Buffer) => {
      seen += bytes.toString('latin1')
    })
    for (const socket of [inner, outer]) socket.on('error', () => undefined)
    inner.pipe(outer).pipe(inner)
  })
  return { url: await listen(server), seen: () => seen }
}

function addressOf({ url }: RunningGateway): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port) }
}

test('a call over an attested connection streams, and its receipt verifies', async () => {
  const verdicts: AttestationVerdict[] = []
  const fetch = attested({ onAttestation: (verdict) => verdicts.push(verdict) })
  const sdk = countersignFetch({ baseUrl: `${gateway.url}/v1`, fetch })
  expect(gateway.url).toMatch(/^https:/)
  const response = await sdk(`${gateway.url}/v1/chat/completions`, call)
  expect(response.status).toBe(200)
  expect(await response.text()).toContain('data: ')
  const { verdict } = await sdk.receiptOf(response)
  expect(verdict).toMatchObject({ verdict: 'valid', level: 'L1-SIMULATED' })
  expect(verdicts).toHaveLength(1)
  const confirmed = verdicts[0]?.checks
    .filter(({ status }) => status === 'passed')
    .map(({ id }) => id)
  expect(confirmed).toEqual(
    expect.arrayContaining(['confirm-receipt', 'confirm-tls', 'confirm-hpke']),
  )
})

/** A verifier that knows no kind of evidence. */
const knowsNothing = async (): Promise<undefined> => undefined

test('who asks something of hardware sends nothing to SIMULATED keys, unless the policy takes them', async () => {
  const asked = { judgeEvidence: knowsNothing }
  const models = `${gateway.url}/v1/models`
  const carrier = attested()
  expect(await codeOf(attested(asked)(models, {}))).toBe('attestation-refused')
  const sealed = createSealedFetch({ ...asked, fetch: carrier })
  expect(await codeOf(sealed(models, {}))).toBe('attestation-refused')
  const attester = createKeysetAttester({ ...asked, fetch: carrier })
  expect(await codeOf(attester(gateway.url, () => true))).toBe('attestation-refused')
  const sdk = countersignFetch({ baseUrl: `${gateway.url}/v1`, fetch: carrier, ...asked })
  const response = await sdk(`${gateway.url}/v1/chat/completions`, call)
  await response.text()
  const { verdict } = await sdk.receiptOf(response)
  expect(verdict).toMatchObject({ verdict: 'invalid', policy: 'production' })
  const willing = attested({ ...asked, policy: defaultPolicy })
  expect((await willing(models, {})).status).toBe(200)
})

test('no authority vouches for the gateway: a stock client refuses it', async () => {
  const error: unknown = await fetch(`${gateway.url}/v1/models`).catch((cause: unknown) => cause)
  expect(error).toMatchObject({ cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } })
})

test('somebody in the middle with another certificate is refused, and sees nothing of a call', async () => {
  const middle = await startInTheMiddle()
  const fetch = attested()
  expect(await codeOf(fetch(`${middle.url}/v1/chat/completions`, call))).toBe(
    'tls-key-not-attested',
  )
  expect(middle.seen()).toContain('GET /v1/attestation?nonce=')
  expect(middle.seen()).not.toContain('secret prompt')
})

test('somebody who passes on the attestation and steps in afterwards is refused', async () => {
  const middle = await startInTheMiddle()
  let connections = 0
  const switching = createTcpServer((socket) => {
    connections += 1
    // The first connection waits for its attestation, which is made over the second: only that one goes through.
    const target = connections === 2 ? addressOf(gateway) : toAddress(middle.url)
    const onward = connectTcp(target)
    for (const each of [socket, onward]) each.on('error', () => undefined)
    socket.pipe(onward).pipe(socket)
  })
  const url = await listen(switching)
  expect(await codeOf(attested()(`${url}/v1/chat/completions`, call))).toBe('tls-key-not-attested')
  expect(connections).toBe(2)
  expect(middle.seen()).toBe('')
})

function toAddress(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port) }
}

test('an attestation that the policy does not take opens no connection', async () => {
  const fetch = attested({ policy: productionPolicy })
  const refused = fetch(`${gateway.url}/v1/chat/completions`, call)
  expect(await codeOf(refused)).toBe('attestation-refused')
  await expect(refused).rejects.toThrow('evidence-kind-refused')
})

test('a gateway without TLS of its own, behind a terminator, cannot be pinned', async () => {
  const plain = await startGateway({ provider })
  const authority = createCertificateAuthority({ nowMs: Date.now() })
  const { certificatePem, privateKeyPem } = issueServerCertificate(authority, ['127.0.0.1'])
  const terminator = createTlsServer({ cert: certificatePem, key: privateKeyPem }, (inner) => {
    const outer = connectTcp(addressOf(plain))
    for (const socket of [inner, outer]) socket.on('error', () => undefined)
    inner.pipe(outer).pipe(inner)
  })
  const url = await listen(terminator)
  expect(await codeOf(attested()(`${url}/v1/models`, {}))).toBe('tls-key-not-attested')
  await disposeGateway(plain)
})

test('new keys on the same port are attested anew, and nothing else answers', async () => {
  const first = await start(0)
  const { port } = addressOf(first)
  const verdicts: AttestationVerdict[] = []
  const fetch = attested({ onAttestation: (verdict) => verdicts.push(verdict) })
  const url = `${first.url}/v1/models`
  expect((await fetch(url, {})).status).toBe(200)
  await disposeGateway(first)
  const second = await start(port)
  const again = await fetch(url, {})
  expect(again.status).toBe(200)
  await again.arrayBuffer()
  expect(verdicts).toHaveLength(2)
  expect(verdicts[0]?.keyset?.tlsSpki).not.toEqual(verdicts[1]?.keyset?.tlsSpki)
  await disposeGateway(second)
  expect(await codeOf(fetch(url, {}))).toBe('gateway-unreachable')
})

test('a plain URL is refused by name, and a call that was left is not made', async () => {
  const fetch = attested()
  expect(await codeOf(fetch('http://127.0.0.1:1/v1/models', {}))).toBe('options-invalid')
  const left = new AbortController()
  left.abort()
  await expect(fetch(`${gateway.url}/v1/models`, { signal: left.signal })).rejects.toThrow('abort')
})

test('the command line speaks to attested keys only', async () => {
  const run = async (
    url: string,
  ): Promise<{ readonly code: number | null; readonly err: string }> =>
    await runCliProcess(
      [
        'call',
        '--attested',
        '--base-url',
        `${url}/v1`,
        '--model',
        'loopback-echo',
        '--out',
        out,
        'Hi',
      ],
      { COUNTERSIGN_API_KEY: 'unused' },
    )
  const out = join(gateway.folder, 'answer.countersign.json')
  const good = await run(gateway.url)
  expect(good.err).toContain('valid'.toUpperCase())
  expect(good.code).toBe(0)
  const middle = await startInTheMiddle()
  const bad = await run(middle.url)
  expect(bad.err).toContain('tls-key-not-attested')
  expect(bad.code).toBe(69)
})

test('a stream that breaks off ends in no orderly close of an HTTP/1.0 caller', async () => {
  const body = createChatBody({ model: 'hostile-reset', stream: true })
  const socket = connectTls({ ...addressOf(gateway), rejectUnauthorized: false })
  const seen: string[] = []
  socket.on('data', (bytes: Buffer) => seen.push(bytes.toString('latin1')))
  for (const event of ['end', 'error']) socket.on(event, () => seen.push(event))
  socket.write(`POST /v1/chat/completions HTTP/1.0\r\ncontent-length: ${body.length}\r\n\r\n`)
  socket.write(body)
  await new Promise((resolve) => socket.once('close', resolve))
  const answer = seen.join('')
  expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  // Neither chunks nor a length say where the body ends: an orderly close would be its end.
  expect(seen.at(-1)).toBe('error')
  // The process lives.
  const sdk = countersignFetch({ baseUrl: `${gateway.url}/v1`, fetch: attested() })
  const response = await sdk(`${gateway.url}/v1/chat/completions`, call)
  await response.text()
  expect((await sdk.receiptOf(response)).verdict.verdict).toBe('valid')
})

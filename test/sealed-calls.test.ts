/** Sealed calls through a relay that records and changes what it likes (spec/sealed.md). */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { countersignFetch, ClientError } from '@countersign/client'
import { createSealedFetch } from '@countersign/client/sealed-fetch'
import { isCborMap } from '@countersign/protocol/bytes/cbor-encode'
import { parseClaim } from '@countersign/protocol/receipt/claims'
import { encodeFrame } from '@countersign/protocol/sealed/chunk-frames'
import { parseBundle } from '@countersign/protocol/verify/bundle'
import { productionPolicy } from '@countersign/protocol/verify/policy'
import type { AttestationVerdict } from '@countersign/protocol/verify/verify-attestation'
import { runCliProcess } from '../packages/client/test/kit/run-cli-process.ts'
import { createChatBody } from '../packages/gateway/test/support/chat-call.ts'
import {
  disposeGateway,
  startGateway,
  type RunningGateway,
} from '../packages/gateway/test/support/start-gateway.ts'
import {
  startScriptedUpstream,
  type Script,
} from '../packages/gateway/test/support/scripted-upstream.ts'
import { startLoopbackProvider, type TlsLoopbackProvider } from './provider/start.ts'
import { cut, joinChunks, startRelay } from './sealed/relay.ts'

let provider: TlsLoopbackProvider
let gateway: RunningGateway

beforeAll(async () => {
  provider = await startLoopbackProvider({})
  gateway = await startGateway({ provider })
})

afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
})

const call = (stream: boolean, model = 'loopback-echo'): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', 'x-secret-header': 'secret header' },
  body: createChatBody({ model, stream, prompt: 'a secret prompt' }).toString(),
})

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return error instanceof ClientError
    ? `${error.code} ${error.message}`
    : `no refusal: ${String(error)}`
}

test.each([true, false])(
  'a relay sees nothing of a call and its receipt (stream: %s)',
  async (stream) => {
    const relay = await startRelay(gateway.url)
    const verdicts: AttestationVerdict[] = []
    const sdk = countersignFetch({
      baseUrl: `${relay.url}/v1`,
      apiKey: 'cs-secret-key',
      fetch: createSealedFetch({ onAttestation: (verdict) => verdicts.push(verdict) }),
    })
    const response = await sdk(`${relay.url}/v1/chat/completions`, call(stream))
    expect(response.status).toBe(200)
    const text = await response.text()
    expect(text).toContain(stream ? ' secret' : 'secret prompt')
    const receipt = await sdk.receiptOf(response)
    expect(receipt.verdict).toMatchObject({ verdict: 'valid', level: 'L1-SIMULATED' })
    expect(sealedClaimOf(receipt.bundle)).toBe('x25519-sha256-aes128gcm')
    expect(verdicts).toHaveLength(1)
    const seen = relay.seen()
    expect(relay.bodies.length).toBeGreaterThanOrEqual(2)
    expect(seen).toContain('/v1/sealed')
    for (const secret of ['secret', 'chat/completions', 'loopback-echo', receipt.id, 'data: ']) {
      expect(seen, secret).not.toContain(secret)
    }
  },
)

function sealedClaimOf(bundle: Uint8Array): unknown {
  const claims = parseBundle(bundle).claims.flatMap((entry) =>
    entry.kind === 'claim' ? [parseClaim(entry.bytes)] : [],
  )
  const value = claims.find(({ name }) => name === 'sealed')?.value
  return isCborMap(value) ? value.get('suite') : undefined
}

test('an open call does not say that it was sealed, and a refused sealed one does', async () => {
  const open = countersignFetch({ baseUrl: `${gateway.url}/v1` })
  const answered = await open(`${gateway.url}/v1/chat/completions`, call(false))
  await answered.text()
  expect(sealedClaimOf((await open.receiptOf(answered)).bundle)).toBeUndefined()
  const sealed = countersignFetch({ baseUrl: `${gateway.url}/v1`, fetch: createSealedFetch() })
  const refused = await sealed(`${gateway.url}/v1/chat/completions`, { method: 'POST', body: '{' })
  expect(refused.status).toBe(400)
  await refused.text()
  expect(sealedClaimOf((await sealed.receiptOf(refused)).bundle)).toBe('x25519-sha256-aes128gcm')
})

const changedAnswers: readonly (readonly [string, (body: Buffer) => Buffer])[] = [
  [
    'cut before its last chunk',
    (body) => {
      const { nonce, chunks } = cut(body)
      return Buffer.concat([nonce, ...chunks.map(encodeFrame)])
    },
  ],
  ['cut by one byte', (body) => body.subarray(0, -1)],
  [
    'ended early by a chunk that is called the last',
    (body) => {
      const { nonce, chunks } = cut(body)
      return joinChunks({
        nonce,
        chunks: chunks.slice(0, -1),
        last: chunks.at(-1) ?? Buffer.alloc(0),
      })
    },
  ],
  [
    'with two chunks in the other order',
    (body) => {
      const {
        nonce,
        chunks: [first, second, ...rest],
        last,
      } = cut(body)
      if (first === undefined || second === undefined) throw new Error('too short')
      return joinChunks({ nonce, chunks: [second, first, ...rest], last })
    },
  ],
  [
    'with a chunk twice',
    (body) => {
      const { nonce, chunks, last } = cut(body)
      return joinChunks({ nonce, chunks: [...chunks, ...chunks.slice(-1)], last })
    },
  ],
  [
    'with one chunk missing',
    (body) => {
      const { nonce, chunks, last } = cut(body)
      return joinChunks({ nonce, chunks: chunks.filter((_, index) => index !== 1), last })
    },
  ],
  [
    'with one bit turned',
    (body) => {
      const turned = Buffer.from(body)
      turned[body.length - 20] = (turned[body.length - 20] ?? 0) ^ 1
      return turned
    },
  ],
  ['with bytes after its end', (body) => Buffer.concat([body, Buffer.from([0])])],
  ['with another nonce', (body) => joinChunks({ ...cut(body), nonce: Buffer.alloc(16) })],
  ['that is empty', () => Buffer.alloc(0)],
]

test.each(changedAnswers)('an answer %s is refused', async (_, response) => {
  const relay = await startRelay(gateway.url, { response })
  const fetch = createSealedFetch()
  const answered = fetch(`${relay.url}/v1/chat/completions`, call(true)).then((answer) =>
    answer.text(),
  )
  expect(await codeOf(answered)).toContain('sealed-answer-broken')
})

test('the answer of another call is refused', async () => {
  const kept: Buffer[] = []
  const relay = await startRelay(gateway.url, {
    response: (body) => {
      kept.push(body)
      return kept[0] ?? body
    },
  })
  const fetch = createSealedFetch()
  const ask = async (): Promise<string> =>
    (await fetch(`${relay.url}/v1/chat/completions`, call(false))).text()
  expect(await ask()).toContain('secret prompt')
  expect(await codeOf(ask())).toContain('sealed-answer-broken')
})

const turnedAt =
  (at: number) =>
  (body: Buffer): Buffer => {
    const turned = Buffer.from(body)
    const place = at < 0 ? body.length + at : at
    turned[place] = (turned[place] ?? 0) ^ 1
    return turned
  }
const changedRequests: readonly (readonly [string, string, (body: Buffer) => Buffer])[] = [
  ['cut by one byte', 'sealed-malformed', (body) => body.subarray(0, -1)],
  ['cut to its head', 'sealed-malformed', (body) => body.subarray(0, 39)],
  ['of no bytes', 'sealed-malformed', () => Buffer.alloc(0)],
  ['to another key', 'sealed-key-unknown', turnedAt(0)],
  ['of another suite', 'sealed-malformed', turnedAt(6)],
  ['with another secret', 'sealed-malformed', turnedAt(8)],
  ['with a bit of its content turned', 'sealed-malformed', turnedAt(-30)],
  ['with a bit of its tag turned', 'sealed-malformed', turnedAt(-1)],
]

test.each(changedRequests)(
  'a sealed call %s is refused, and not made',
  async (_, code, request) => {
    const relay = await startRelay(gateway.url, { request })
    await provider.reset()
    const refused = createSealedFetch()(`${relay.url}/v1/chat/completions`, call(false))
    expect(await codeOf(refused)).toContain(`sealed-refused`)
    expect(await codeOf(refused)).toContain(code)
    expect(await provider.log()).toHaveLength(0)
  },
)

test('a call that is sent again is not made again', async () => {
  const relay = await startRelay(gateway.url)
  await provider.reset()
  const fetch = createSealedFetch()
  await (await fetch(`${relay.url}/v1/chat/completions`, call(false))).text()
  const [body] = relay.bodies
  const again = await globalThis.fetch(`${gateway.url}/v1/sealed`, {
    method: 'POST',
    headers: { 'content-type': 'message/ohttp-chunked-req' },
    body: new Uint8Array(body ?? []),
  })
  expect(again.status).toBe(409)
  expect(await again.text()).toContain('sealed-replayed')
  expect(await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })).toHaveLength(1)
})

test('somebody on the way who calls the key unknown gets no second call', async () => {
  await provider.reset()
  const fetch = createSealedFetch({
    fetch: async (url, init) => {
      const answer = await globalThis.fetch(url, init)
      return url.endsWith('/v1/sealed')
        ? new Response('{"code":"sealed-key-unknown"}', { status: 422 })
        : answer
    },
  })
  const refused = fetch(`${gateway.url}/v1/chat/completions`, call(false))
  expect(await codeOf(refused)).toContain('sealed-refused')
  expect(await provider.log({ waitUntilIdleMs: 60_000, atLeast: 1 })).toHaveLength(1)
})

test('a call with an old date is not made: nobody remembers whether it was', async () => {
  // Five minutes are allowed; what is sent early is judged later.
  for (const offMs of [-301_000, 420_000]) {
    const fetch = createSealedFetch({ now: () => Date.now() + offMs })
    const refused = fetch(`${gateway.url}/v1/models`, {})
    expect(await codeOf(refused)).toMatch(
      offMs < 0 ? /attestation-refused|sealed-replayed/ : /sealed-replayed/,
    )
  }
})

test('keys that have changed are attested anew', async () => {
  const first = await startGateway({ provider })
  const { port } = new URL(first.url)
  const verdicts: AttestationVerdict[] = []
  const fetch = createSealedFetch({ onAttestation: (verdict) => verdicts.push(verdict) })
  expect((await fetch(`${first.url}/v1/models`, {})).status).toBe(200)
  await disposeGateway(first)
  const second = await startGateway({ provider, config: { listen: { port: Number(port) } } })
  const answer = await fetch(`${second.url}/v1/models`, {})
  expect(await answer.text()).toContain('loopback')
  expect(verdicts).toHaveLength(2)
  await disposeGateway(second)
})

test('a policy that takes no evidence seals nothing, and a gateway without the key says so', async () => {
  const relay = await startRelay(gateway.url)
  const strict = createSealedFetch({ policy: productionPolicy })
  expect(await codeOf(strict(`${relay.url}/v1/chat/completions`, call(false)))).toContain(
    'attestation-refused',
  )
  expect(relay.bodies).toHaveLength(0)
  const open = await startGateway({ provider, config: { listen: { port: 0, sealed: false } } })
  expect(await codeOf(createSealedFetch()(`${open.url}/v1/models`, {}))).toContain(
    'sealed-unsupported',
  )
  await disposeGateway(open)
})

test('a caller who leaves is known to have left', async () => {
  const left = new AbortController()
  const fetch = createSealedFetch()
  const sdk = countersignFetch({ baseUrl: `${gateway.url}/v1`, fetch })
  const response = await sdk(`${gateway.url}/v1/chat/completions`, {
    ...call(true, 'loopback-slow-20000'),
    signal: left.signal,
  })
  const reader = response.body?.getReader()
  await reader?.read()
  await reader?.cancel()
  const { verdict, responseHeld } = await sdk.receiptOf(response)
  expect(verdict.verdict).toBe('valid')
  expect(responseHeld).toBe('prefix')
})

test('a piece of an answer arrives before the next one is made', async () => {
  const read = Promise.withResolvers<undefined>()
  const script: Script = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: {"first":1}\n\n')
    void read.promise.then(() => response.end('data: [DONE]\n\n'))
  }
  const upstream = await startScriptedUpstream(new Map([['slow', script]]))
  const slow = await startGateway({ provider: upstream })
  const relay = await startRelay(slow.url)
  const body = createChatBody({ model: 'slow', stream: true }).toString()
  const answer = await createSealedFetch()(`${relay.url}/v1/chat/completions`, {
    method: 'POST',
    body,
  })
  const reader = answer.body?.getReader()
  let text = ''
  // The upstream says nothing more until this was read: what held it back would hang here.
  while (!text.includes('first')) text += new TextDecoder().decode((await reader?.read())?.value)
  read.resolve(undefined)
  for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
    text += new TextDecoder().decode(next.value)
  }
  expect(text).toBe('data: {"first":1}\n\ndata: [DONE]\n\n')
  await disposeGateway(slow)
  await upstream.stop()
})

test('the command line seals calls', async () => {
  const relay = await startRelay(gateway.url)
  const out = join(gateway.folder, 'sealed.countersign.json')
  const options = ['--base-url', `${relay.url}/v1`, '--model', 'loopback-echo', '--out', out]
  const { code, err } = await runCliProcess(['call', '--sealed', ...options, 'a secret prompt'], {
    COUNTERSIGN_API_KEY: 'unused',
  })
  expect({ code, err }).toMatchObject({ code: 0, err: expect.stringContaining('VALID') })
  expect(relay.bodies.length).toBeGreaterThanOrEqual(2)
  expect(relay.seen()).not.toContain('secret')
})

test('a sealed call cannot hold another one', async () => {
  const fetch = createSealedFetch()
  const nested = await fetch(`${gateway.url}/v1/sealed`, { method: 'POST', body: 'x' })
  expect(nested.status).toBe(404)
})

test('the upstream of a sealed call ends when its caller leaves', async () => {
  const ended = Promise.withResolvers<string>()
  const script: Script = (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: {"first":1}\n\n')
    response.once('close', () => {
      ended.resolve('closed')
    })
  }
  const upstream = await startScriptedUpstream(new Map([['slow', script]]))
  const slow = await startGateway({ provider: upstream })
  const left = new AbortController()
  const body = createChatBody({ model: 'slow', stream: true }).toString()
  const sent = { method: 'POST', body, signal: left.signal }
  const answer = await createSealedFetch()(`${slow.url}/v1/chat/completions`, sent)
  await answer.body?.getReader().read()
  left.abort()
  const patience = setTimeout(ended.resolve, 60_000, 'still read')
  const end = await ended.promise
  clearTimeout(patience)
  expect(end).toBe('closed')
  await disposeGateway(slow)
  await upstream.stop()
})

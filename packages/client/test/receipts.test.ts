import { afterEach, beforeEach, expect, test } from 'vitest'
import { countersignFetch } from '@countersign/client'
import { concatBytes } from '@countersign/protocol/bytes/byte-string'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import { parseClaim, type ClaimEntry } from '@countersign/protocol/receipt/claims'
import { encodeBundle, parseBundle } from '@countersign/protocol/verify/bundle'
import { post, refusalOf, wallet } from './kit/fetch-fixture.ts'
import { createGate, present } from './kit/present-value.ts'
import { startWireGateway, testStream, type WireGateway } from './kit/wire-gateway.ts'
import { observeBody } from '../src/receipt/observe-body.ts'

let gateway: WireGateway

beforeEach(async () => {
  gateway = await startWireGateway()
})
afterEach(() => gateway.close())

test('a caller that leaves early gets a verdict about the events that arrived', async () => {
  const gate = createGate()
  gateway.behaviour.beforeChunk = () => gate.opened
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  const response = await fetch(`${gateway.url}/chat/completions`, post(true))
  const reader = present(response.body, 'body').getReader()
  const first = await reader.read()
  expect(new TextDecoder().decode(first.value)).toBe(testStream[0])
  const receipt = fetch.receiptOf(response)
  await reader.cancel()
  gate.open()
  const { verdict, responseHeld } = await receipt
  expect(responseHeld).toBe('prefix')
  expect(verdict.verdict).toBe('valid')
  expect(verdict.checks.find(({ id }) => id === 'response-bytes')?.status).toBe('passed')
})

test('an abort of the caller ends the watch even when nobody reads', async () => {
  const gate = createGate()
  gateway.behaviour.beforeChunk = () => gate.opened
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  const controller = new AbortController()
  const { signal } = controller
  const response = await fetch(`${gateway.url}/chat/completions`, { ...post(true), signal })
  controller.abort()
  gate.open()
  const { verdict, responseHeld } = await fetch.receiptOf(response)
  expect(responseHeld).toBe('prefix')
  expect(verdict.verdict).toBe('valid')
})

test('the bytes that arrive are judged: a receipt about other bytes is invalid', async () => {
  const fetch = countersignFetch({
    ...wallet,
    baseUrl: gateway.url,
    fetch: async (url, init) => {
      const response = await globalThis.fetch(url, init)
      if (init.method !== 'POST' || !response.ok) return response
      const { status, headers } = response
      return new Response((await response.text()).replace('Hel', 'Bel'), { status, headers })
    },
  })
  const response = await fetch(`${gateway.url}/chat/completions`, post(true))
  expect(await response.text()).toContain('Bel')
  const { verdict } = await fetch.receiptOf(response)
  expect(verdict.verdict).toBe('invalid')
  expect(verdict.checks.filter(({ status }) => status === 'failed')).toMatchObject([
    { id: 'response-bytes', code: 'response-bytes-mismatch' },
  ])
})

test('a receipt with another charge than the payment is an error that holds the evidence', async () => {
  gateway.behaviour.charge = (charge) =>
    charge.scheme === 'exact' ? { ...charge, amountAtomic: 10_001n } : charge
  const errors: unknown[] = []
  const fetch = countersignFetch({
    ...wallet,
    baseUrl: gateway.url,
    onReceiptError: (error) => errors.push(error),
  })
  const response = await fetch(`${gateway.url}/chat/completions`, post(true))
  await response.text()
  expect(await refusalOf(fetch.receiptOf(response))).toBe('receipt-payment-mismatch')
  expect(errors).toMatchObject([{ code: 'receipt-payment-mismatch', family: 'stop' }])
  expect(errors).toMatchObject([{ bundle: expect.any(Uint8Array) }])
})

test('a receipt of a paid call that names no payment is an error', async () => {
  gateway.behaviour.charge = () => ({ scheme: 'none', amountAtomic: 0n })
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  const response = await fetch(`${gateway.url}/chat/completions`, post(true))
  await response.text()
  expect(await refusalOf(fetch.receiptOf(response))).toBe('receipt-payment-mismatch')
})

/** Somebody between who sends a call elsewhere, or answers with another status. */
function relay(
  change: (url: string) => string,
  status = 200,
): (url: string, init: RequestInit) => Promise<Response> {
  return async (url, init) => {
    if (init.method !== 'POST') return globalThis.fetch(url, init)
    const response = await globalThis.fetch(change(url), init)
    return new Response(response.body, {
      status: response.ok ? status : response.status,
      headers: response.headers,
    })
  }
}

test.each([
  ['another path', '', relay((url) => url.replace('/chat/completions', '/completions'))],
  ['another query', '?alt=sse', relay((url) => url.replace('?alt=sse', '?alt=json'))],
  ['no query', '?alt=sse', relay((url) => url.replace('?alt=sse', ''))],
  ['a query of somebody else', '', relay((url) => `${url}?alt=sse`)],
  ['another status', '', relay((url) => url, 203)],
])(
  'a receipt of a call with %s is an error, though the bodies are the same',
  async (_, query, fetch) => {
    gateway.behaviour.offer = null
    const verifying = countersignFetch({ baseUrl: gateway.url, fetch })
    const response = await verifying(`${gateway.url}/chat/completions${query}`, post(true))
    await response.text()
    expect(await refusalOf(verifying.receiptOf(response))).toBe('receipt-call-mismatch')
  },
)

test('a receipt of a call with a query is of this call', async () => {
  gateway.behaviour.offer = null
  const fetch = countersignFetch({ baseUrl: gateway.url })
  const response = await fetch(`${gateway.url}/chat/completions?alt=sse`, post(true))
  await response.text()
  expect((await fetch.receiptOf(response)).verdict.verdict).toBe('valid')
})

test('a charge whose claims the gateway keeps from its own caller is not called proven', async () => {
  gateway.behaviour.bundle = (bytes) => {
    const bundle = parseBundle(bytes)
    const claims = bundle.claims.map((entry): ClaimEntry => {
      if (entry.kind === 'leaf' || parseClaim(entry.bytes).name !== 'timing') return entry
      return { kind: 'leaf', hash: sha256(concatBytes(Uint8Array.of(0), entry.bytes)) }
    })
    return encodeBundle({ ...bundle, claims })
  }
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  const response = await fetch(`${gateway.url}/chat/completions`, post(true))
  await response.text()
  const { verdict } = await fetch.receiptOf(response)
  expect(verdict.checks.filter(({ status }) => status === 'failed')).toEqual([])
  expect(verdict.verdict).toBe('incomplete')
})

test('a bundle that is none is an error', async () => {
  gateway.behaviour.bundle = () => new TextEncoder().encode('{}')
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url })
  const response = await fetch(`${gateway.url}/chat/completions`, post(true))
  await response.text()
  expect(await refusalOf(fetch.receiptOf(response))).toBe('receipt-unreadable')
})

test('an answer that names no receipt, and a response of anybody else, have none', async () => {
  const fetch = countersignFetch({
    baseUrl: gateway.url,
    fetch: () => Promise.resolve(new Response('x')),
  })
  const response = await fetch(`${gateway.url}/chat/completions`, post(false))
  await response.text()
  expect(await refusalOf(fetch.receiptOf(response))).toBe('receipt-missing')
  expect(await refusalOf(fetch.receiptOf(new Response('')))).toBe('receipt-missing')
})

test('a response larger than what is kept is handed on whole and judged by its beginning', async () => {
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url, maxHeldBytes: 200 })
  const response = await fetch(`${gateway.url}/chat/completions`, post(true))
  expect(await response.text()).toBe(testStream.join(''))
  const { responseHeld, verdict } = await fetch.receiptOf(response)
  expect(responseHeld).toBe('prefix')
  expect(verdict.verdict).toBe('valid')
})

test('a whole answer larger than what is kept is not called proven', async () => {
  const fetch = countersignFetch({ ...wallet, baseUrl: gateway.url, maxHeldBytes: 10 })
  const response = await fetch(`${gateway.url}/chat/completions`, post(false))
  expect((await response.text()).length).toBeGreaterThan(10)
  const { responseHeld, verdict } = await fetch.receiptOf(response)
  expect(responseHeld).toBe('none')
  expect(verdict.verdict).toBe('incomplete')
})

test('a stream of a million events that breaks off is kept up to its last event', async () => {
  const events = new Uint8Array(1_000_000).fill(10)
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(events)
      for (const byte of Buffer.from('data')) controller.enqueue(Uint8Array.of(byte))
    },
  })
  const headers = { 'content-type': 'text/event-stream' }
  const abort = new AbortController()
  const observed = observeBody(new Response(source, { headers }), 2_000_000, abort.signal)
  const reader = observed.response.body?.getReader()
  for (let read = 0; read < 5; read++) await reader?.read()
  abort.abort()
  const ended = await observed.ended
  expect(ended.kind).toBe('prefix')
  expect(ended.kind === 'prefix' && Buffer.from(ended.bytes).equals(events)).toBe(true)
})

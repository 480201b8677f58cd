/** Payers of whom nothing is known, before a real gateway of two workers behind a proxy (spec/payment.md PA30). */
import { generatePrivateKey } from 'viem/accounts'
import { encodePaymentSignatureHeader } from '@x402/core/http'
import type { Hex } from 'viem'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSealedFetch } from '@countersign/client/sealed-fetch'
import type { RawResult } from './provider/raw-client.ts'
import { startPlainLoopbackProvider, type LoopbackProvider } from './provider/start.ts'
import {
  chatBody,
  createMeteredClient,
  post,
  signFor,
  startMeteredGateway,
  startMeteredNetwork,
  type MeteredNetwork,
} from '../packages/gateway/test/payment/metered-network.ts'
import { expectVerified } from '../packages/gateway/test/support/receipts.ts'
import {
  disposeGateway,
  type RunningGateway,
} from '../packages/gateway/test/support/start-gateway.ts'

let network: MeteredNetwork
let provider: LoopbackProvider
let gateway: RunningGateway
const body = chatBody('loopback-echo', false)

beforeAll(async () => {
  network = await startMeteredNetwork()
  provider = await startPlainLoopbackProvider({ models: ['flat'] })
  gateway = await startMeteredGateway(network, await network.createOperator(), {
    providerUrl: provider.url,
    workers: 2,
    chainTerms: { strangersPerAddress: 2, strangersPerMinute: 5 },
    proxies: ['127.0.0.1'],
  })
})
afterAll(async () => {
  await disposeGateway(gateway)
  await provider.stop()
  await network.chain.stop()
})

async function pay(key: Hex, caller: string): Promise<RawResult> {
  const payment = await signFor(createMeteredClient(network, key, 'upto'), gateway, body)
  return post(gateway, body, payment, { headers: { 'x-forwarded-for': caller } })
}

const codeIn = (answer: RawResult): unknown => JSON.parse(answer.body.toString()).code

test('strangers are limited by the address behind the proxy, in all workers together, and payers are not', async () => {
  const payer = await network.createPayer()
  expect((await pay(payer, '198.51.100.1')).status).toBe(200)
  const poor = (caller: string): Promise<RawResult> => pay(generatePrivateKey(), caller)
  // What the caller itself wrote before the proxy is not looked at.
  expect(codeIn(await poor('203.0.113.1, 198.51.100.7'))).toBe('payer-funds-exceeded')
  expect(codeIn(await poor('203.0.113.2, 198.51.100.7'))).toBe('payer-funds-exceeded')
  const refused = await poor('203.0.113.3, 198.51.100.7')
  expect([refused.status, codeIn(refused)]).toEqual([429, 'unknown-payer-limited'])
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
  expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(30)
  const { payload, claims } = await expectVerified(gateway.url, refused, body)
  expect(payload).toMatchObject({ type: 'refusal', charge: { amountAtomic: 0n } })
  expect(claims['refusal']).toEqual({ code: 'unknown-payer-limited', status: 429 })
  // Whoever has paid goes on, from that very address.
  expect((await pay(payer, '198.51.100.7')).status).toBe(200)
  // A sealed call comes from where the outer one does, whatever stands inside.
  expect(await poorSealed('198.51.100.20')).toBe('payer-funds-exceeded')
  expect(await poorSealed('198.51.100.21')).toBe('payer-funds-exceeded')
  expect(await poorSealed('198.51.100.22')).toBe('unknown-payer-limited')
  expect(codeIn(await poor('198.51.100.9'))).toBe('payer-funds-exceeded')
  // Five were looked up in vain: now all strangers wait, and payers do not.
  expect(codeIn(await poor('198.51.100.10'))).toBe('unknown-payer-limited')
  expect((await pay(payer, '198.51.100.10')).status).toBe(200)
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
  const name = 'countersign_payment_lookups_total'
  expect(metrics).toContain(`${name}{result="permitted"} 8`)
  expect(metrics).toContain(`${name}{result="proven"} 3`)
  expect(metrics).toContain(`${name}{result="refused"} 3`)
  expect(metrics).toContain('countersign_refusals_total{code="unknown-payer-limited"} 3')
})

async function poorSealed(inside: string): Promise<unknown> {
  const client = createMeteredClient(network, generatePrivateKey(), 'upto')
  const payment = await signFor(client, gateway, body)
  const sealed = createSealedFetch({})
  const response = await sealed(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'payment-signature': encodePaymentSignatureHeader(payment),
      'x-forwarded-for': inside,
    },
    body,
  })
  return JSON.parse(await response.text()).code
}

/** Who attests knows whom it pays before it signs anything: real calls, and an operator on the way who lies. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createChainReader, type UnderlyingFetch } from '@countersign/client'
import { createAnnouncedPayeeCheck } from '@countersign/client/announced-payee-check'
import { createKeysetAttester } from '@countersign/client/keyset-attester'
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import { planRegistry } from '@countersign/contracts/operator'
import { sha256 } from '@countersign/protocol/crypto/sha256'
import {
  encodeOperatorTerms,
  parseOperatorTerms,
} from '@countersign/protocol/payment/operator-terms'
import { parseKeyset } from '@countersign/protocol/receipt/keyset'
import { parseStatement } from '@countersign/protocol/receipt/statement'
import { parseBundle } from '@countersign/protocol/verify/bundle'
import { refusalOf } from './kit/fetch-fixture.ts'
import {
  callOnce,
  createPayer,
  recordPayments,
  startMeteredFixture,
  type MeteredFixture,
} from './kit/metered-fixture.ts'

let fixture: MeteredFixture
const network = 'eip155:84532'
const channels = { depositAtomic: 30_000n }

beforeAll(async () => {
  fixture = await startMeteredFixture(true)
})
afterAll(() => fixture.stop())

/** Puts something else into the place of what the gateway says at one path, or of its offers. */
function lying(change: {
  readonly path?: string
  readonly body?: (bytes: Uint8Array) => Uint8Array
  readonly quote?: (text: string) => string
}): UnderlyingFetch {
  return async (url, init) => {
    const response = await fetch(url, init)
    const { status } = response
    const headers = new Headers(response.headers)
    if (change.path !== undefined && new URL(url).pathname === change.path) {
      const bytes = new Uint8Array(await response.arrayBuffer())
      return new Response(Uint8Array.from(change.body?.(bytes) ?? bytes), { status, headers })
    }
    const quote = headers.get('payment-required')
    if (quote === null || change.quote === undefined) return response
    const text = change.quote(Buffer.from(quote, 'base64').toString())
    headers.set('payment-required', Buffer.from(text).toString('base64'))
    return new Response(response.body, { status, headers })
  }
}

function announcedCheck(underlying: UnderlyingFetch = fetch) {
  const { operator, network: chain } = fixture
  const { terms } = operator
  const { registry } = planRegistry({ x402: baseSepoliaX402, ...terms })
  return createAnnouncedPayeeCheck({
    policy: { minDelaySeconds: 0, registries: [registry.address], trustsProposers: true },
    readers: { [network]: createChainReader(chain.chain.rpcUrl) },
    attestKeyset: createKeysetAttester({ fetch: underlying }),
    fetch: underlying,
  })
}

test('pays by announced terms that the attested keyset names, and finds them in the receipt', async () => {
  const attestKeyset = createKeysetAttester()
  const checkPayee = announcedCheck()
  const key = fixture.network.createChannelPayer()
  const paidFetch = createPayer(fixture, key, { channels, attestKeyset, checkPayee })
  const receipt = await callOnce(paidFetch, fixture)
  expect(receipt.verdict.verdict).toBe('valid')
  const announced = await fetch(`${fixture.gateway.url}/v1/terms`)
  expect(announced.headers.get('content-type')).toContain('application/json')
  const document = new Uint8Array(await announced.arrayBuffer())
  expect(parseOperatorTerms(document).gatewayId).toBe(fixture.operator.terms.gatewayId)
  const { payload } = parseStatement(parseBundle(receipt.bundle).keyset)
  if (payload.type !== 'keyset') throw new Error('no keyset')
  expect(parseKeyset(payload.document).termsDigest).toEqual(sha256(document))
  const upto = await fixture.network.createPayer()
  const second = createPayer(fixture, upto, { upto: true, attestKeyset, checkPayee })
  expect((await callOnce(second, fixture)).chargedAtomic).toBeGreaterThan(0n)
})

test('terms that the attested keyset does not name are refused before anything is signed', async () => {
  const { fetch: seenFetch, seen } = recordPayments()
  const other = lying({
    path: '/v1/terms',
    // One block later: harmless, and not what the enclave announced.
    body: (bytes) => encodeOperatorTerms({ ...parseOperatorTerms(bytes), fromBlock: 1 }),
  })
  const key = fixture.network.createChannelPayer()
  const paidFetch = createPayer(fixture, key, {
    channels,
    fetch: seenFetch,
    checkPayee: announcedCheck(other),
  })
  expect(await refusalOf(callOnce(paidFetch, fixture))).toBe('terms-not-attested')
  expect(seen).toEqual([])
  expect(paidFetch.signedAtomic()).toBe(0n)
})

test.each(['exact', 'channel'] as const)(
  'an offer of %s that pays another address is refused before the first payment',
  async (scheme) => {
    const { payee, terms } = fixture.operator
    const { fetch: seenFetch, seen } = recordPayments()
    const swap = lying({ quote: (text) => text.replaceAll(payee, terms.payeeOwner) })
    const underlying: UnderlyingFetch = async (url, init) => {
      // Both: what comes back is changed, what goes out is noted.
      if (new Headers(init.headers).has('payment-signature')) return seenFetch(url, init)
      return swap(url, init)
    }
    const key = fixture.network.createChannelPayer()
    const means = scheme === 'exact' ? {} : { channels, checkPayee: 'unchecked' as const }
    const model = scheme === 'exact' ? 'flat' : 'loopback-echo'
    const attested = createPayer(fixture, key, {
      ...means,
      fetch: underlying,
      attestKeyset: createKeysetAttester(),
    })
    expect(await refusalOf(callOnce(attested, fixture, 'hello', model))).toBe('payee-not-attested')
    expect(seen).toEqual([])
    expect(attested.signedAtomic()).toBe(0n)
    // Who does not attest signs for the thief.
    const trusting = createPayer(fixture, key, { ...means, fetch: underlying })
    await expect(callOnce(trusting, fixture, 'hello', model)).rejects.toThrow(/40[0-9]|payment/)
    expect(seen).toHaveLength(1)
  },
)

test('a keyset that no evidence stands behind is refused', async () => {
  const broken = lying({
    path: '/v1/attestation',
    body: (bytes) => {
      const text = Buffer.from(bytes).toString()
      // Evidence for another nonce.
      return Buffer.from(
        text.replace(
          /"nonce":"./,
          (found) => `${found.slice(0, -1)}${found.endsWith('A') ? 'B' : 'A'}`,
        ),
      )
    },
  })
  const attestKeyset = createKeysetAttester({ fetch: broken })
  const key = fixture.network.createChannelPayer()
  const paidFetch = createPayer(fixture, key, { channels, attestKeyset })
  expect(await refusalOf(callOnce(paidFetch, fixture))).toBe('attestation-refused')
  expect(paidFetch.signedAtomic()).toBe(0n)
})

test('an attested keyset is asked for once, and anew when an offer does not fit it', async () => {
  let asked = 0
  const attestKeyset = createKeysetAttester({
    fetch: (url, init) => {
      asked += 1
      return fetch(url, init)
    },
  })
  const { url: origin } = fixture.gateway
  for (let time = 0; time < 3; time++) expect(await attestKeyset(origin, () => true)).toBeDefined()
  expect(asked).toBe(1)
  expect(await attestKeyset(origin, () => false)).toBeUndefined()
  expect(asked).toBe(2)
})

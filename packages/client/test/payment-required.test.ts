import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ClientError } from '@countersign/client'
import { fromBase64Json, maxHeaderCharacters, toBase64Json } from '../src/pay/base64-json.ts'
import { parsePaymentRequired } from '../src/pay/payment-required.ts'
import { testOffer } from './kit/wire-gateway.ts'

function header(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64')
}

function required(offer: unknown): string {
  return header({ x402Version: 2, error: 'x', accepts: [offer] })
}

/** The code of the refusal; anything but a ClientError fails the test. */
function codeOf(text: string): string {
  try {
    parsePaymentRequired(text)
    return 'accepted'
  } catch (error) {
    if (error instanceof ClientError) return error.code
    throw error
  }
}

test('an offer is read to the last member that will be signed', () => {
  const { offers, error } = parsePaymentRequired(required({ ...testOffer, amount: '0', x: [null] }))
  expect(error).toBe('x')
  expect(offers).toMatchObject([
    {
      network: 'eip155:84532',
      asset: testOffer.asset.toLowerCase(),
      payTo: testOffer.payTo.toLowerCase(),
      amountAtomic: 0n,
      maxTimeoutSeconds: 120,
      tokenName: 'USDC',
      tokenVersion: '2',
    },
  ])
})

test.each([
  ['not base64', '!'],
  [
    'base64url',
    header({ x402Version: 2, accepts: [testOffer], e: '???>>>' })
      .replaceAll('+', '-')
      .replaceAll('/', '_'),
  ],
  ['unpadded base64', header({ a: 1 }).replace(/=+$/, '')],
  ['spare bits in base64', 'e31='],
  ['empty', ''],
  ['no JSON', Buffer.from('{').toString('base64')],
  ['an array', header([])],
  ['version 1', header({ x402Version: 1, accepts: [testOffer] })],
  ['no offers', header({ x402Version: 2, accepts: [] })],
  [
    '33 offers',
    header({ x402Version: 2, accepts: Array.from({ length: 33 }, () => ({ scheme: 'x' })) }),
  ],
  [
    'an equal member twice',
    Buffer.from('{"x402Version":2,"x402Version":2,"accepts":[]}').toString('base64'),
  ],
  ['an error that is no text', header({ x402Version: 2, error: 1, accepts: [testOffer] })],
  ['an amount with a sign', required({ ...testOffer, amount: '+1' })],
  ['a negative amount', required({ ...testOffer, amount: '-1' })],
  ['an amount with a leading zero', required({ ...testOffer, amount: '01' })],
  ['a hex amount', required({ ...testOffer, amount: '0x10' })],
  ['a fraction', required({ ...testOffer, amount: '0.1' })],
  ['an exponent', required({ ...testOffer, amount: '1e2' })],
  ['a number as amount', required({ ...testOffer, amount: 1 })],
  ['more than uint256', required({ ...testOffer, amount: `${2n ** 256n}` })],
  ['a short address', required({ ...testOffer, payTo: '0x12' })],
  ['an address with a line end', required({ ...testOffer, payTo: `${testOffer.payTo}\n` })],
  ['no lifetime', required({ ...testOffer, maxTimeoutSeconds: 0 })],
  ['a lifetime as text', required({ ...testOffer, maxTimeoutSeconds: '120' })],
  ['a network without a colon', required({ ...testOffer, network: 'base' })],
  ['no EIP-712 domain', required({ ...testOffer, extra: {} })],
  ['a long name', required({ ...testOffer, extra: { name: 'x'.repeat(257), version: '2' } })],
  ['a header above the limit', required({ ...testOffer, x: 'x'.repeat(maxHeaderCharacters) })],
])('refuses a header with %s', (_, text) => {
  expect(codeOf(text)).toBe('payment-required-malformed')
})

test('whatever a header holds, it is read or refused by name', () => {
  let accepted = 0
  let refused = 0
  const count = (text: string): void => {
    const code = codeOf(text)
    expect(['accepted', 'payment-required-malformed']).toContain(code)
    if (code === 'accepted') accepted++
    else refused++
  }
  const name = fc.constantFrom(...Object.keys(testOffer), '__proto__', 'constructor', 'x')
  const offer = fc.dictionary(
    name,
    fc.oneof(fc.jsonValue(), fc.constantFrom(...Object.values(testOffer))),
  )
  fc.assert(fc.property(fc.string(), count), { numRuns: 2000 })
  fc.assert(
    fc.property(fc.jsonValue(), (value) => count(header(value))),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(offer, (members) => count(required({ ...testOffer, ...members }))),
    { numRuns: 4000 },
  )
  expect(accepted).toBeGreaterThan(50)
  expect(refused).toBeGreaterThan(1000)
})

test('one changed character of a header is read or refused by name', () => {
  const text = required(testOffer)
  for (let place = 0; place < text.length; place++) {
    for (const character of ['A', '/', '=', '\u00e9']) {
      const code = codeOf(text.slice(0, place) + character + text.slice(place + 1))
      expect(['accepted', 'payment-required-malformed']).toContain(code)
    }
  }
})

test('a header that is written is read back as the same value', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.maxSafeInteger(), (text, number) => {
      const value = new Map<string, string | number | readonly null[]>([
        ['__proto__', text],
        ['n', number],
        ['list', [null]],
      ])
      expect(fromBase64Json(toBase64Json(value))).toEqual(value)
    }),
  )
})

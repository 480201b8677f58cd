import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createChannelOffer } from '@countersign/protocol/payment/channel-payload'
import { checkAccepted } from '@countersign/protocol/payment/metered-offer'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import { parseEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { parsePaymentExtensions } from '@countersign/protocol/payment/payment-extensions'
import { parsePaymentHeader } from '@countersign/protocol/payment/presented-payment'
import { createUptoOffer } from '@countersign/protocol/payment/upto-payload'
import { manyRuns } from '../arbitrary.ts'
import {
  change,
  channelTerms,
  headerOf,
  resourceUrl,
  uptoPayload,
  uptoTerms,
  voucherPayload,
  type Json,
} from './sample-payment.ts'

const offer = createChannelOffer(channelTerms, 50_000n, resourceUrl)
const accepted: Json = JSON.parse(JSON.stringify(offer.requirements))
const payment: { [name: string]: Json } = {
  x402Version: 2,
  resource: { url: resourceUrl },
  accepted,
  payload: voucherPayload,
  extensions: {},
}

/** The code that `act` refuses with; any other error is passed on. */
function codeOf(act: () => unknown): string | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof PaymentError) return error.code
    throw error
  }
}

function judge(changed: unknown): string | undefined {
  return codeOf(() => {
    checkAccepted(parsePaymentHeader(headerOf(changed)), offer)
  })
}

test('a payment for the offer is read, with and without the optional members', () => {
  expect(judge(payment)).toBeUndefined()
  expect(judge(change(payment, 'resource', undefined))).toBeUndefined()
  expect(judge(change(payment, 'resource', null))).toBeUndefined()
  expect(judge(change(payment, 'resource.url', undefined))).toBeUndefined()
  expect(judge(change(payment, 'extensions', null))).toBeUndefined()
  expect(judge(change(payment, 'accepted.extra.more', { of: ['a', 1] }))).toBeUndefined()
  const upto = createUptoOffer(uptoTerms, 7n, resourceUrl)
  const paid = { ...payment, accepted: upto.requirements, payload: uptoPayload }
  checkAccepted(parsePaymentHeader(headerOf(paid)), upto)
})

test.each<readonly [string, string, Json | undefined]>([
  ['payment-version-unsupported', 'x402Version', 1],
  ['payment-version-unsupported', 'x402Version', '2'],
  ['payment-version-unsupported', 'x402Version', undefined],
  ['payment-malformed', 'more', 1],
  ['payment-malformed', 'accepted', undefined],
  ['payment-malformed', 'accepted', 'x'],
  ['payment-malformed', 'payload', undefined],
  ['payment-malformed', 'payload', []],
  ['payment-malformed', 'resource', 'x'],
  ['payment-malformed', 'extensions', []],
  ['payment-malformed', 'accepted.extra.list', [[{ ['__proto__']: 1 }]]],
  ['payment-scheme-mismatch', 'accepted.scheme', 'exact'],
  ['payment-network-mismatch', 'accepted.network', 'eip155:8453'],
  ['payment-asset-mismatch', 'accepted.asset', '0x036cbd53842c5426634e7929541ec2318f3dcf7e'],
  ['payment-payee-mismatch', 'accepted.payTo', '0x90F79bf6EB2c4f870365E785982E1f101E93b906'],
  ['payment-amount-mismatch', 'accepted.amount', '49999'],
  ['payment-amount-mismatch', 'accepted.amount', 50_000],
  ['payment-amount-mismatch', 'accepted.amount', undefined],
  ['payment-offer-mismatch', 'accepted.maxTimeoutSeconds', 601],
  ['payment-offer-mismatch', 'accepted.extra', undefined],
  ['payment-offer-mismatch', 'accepted.extra.name', 'USD Coin'],
  ['payment-offer-mismatch', 'accepted.extra.withdrawDelay', '900'],
  ['payment-offer-mismatch', 'accepted.extra.concurrency', 'x'],
  ['payment-offer-mismatch', 'accepted.extra.concurrency.max', 65],
  ['payment-offer-mismatch', 'accepted.extra.concurrency.more', 1],
  ['payment-resource-mismatch', 'resource.url', 'https://gw.example/other'],
])('%s: %s', (code, path, value) => {
  expect(judge(change(payment, path, value))).toBe(code)
})

test('a payment may have a long list of other values beside it', () => {
  const list = Array.from({ length: 150 }, () => 1)
  expect(judge({ ...payment, extensions: { other: { info: { list } } } })).toBeUndefined()
})

test('a member called __proto__ is refused wherever it stands', () => {
  const text = JSON.stringify(payment).replace(
    '"extensions":{}',
    '"extensions":{"a":[{"__proto__":1}]}',
  )
  const header = Buffer.from(text).toString('base64')
  expect(codeOf(() => parsePaymentHeader(header))).toBe('payment-malformed')
})

test.each([
  ['nothing', ''],
  ['no base64', '{}'],
  ['another alphabet', headerOf(payment).replace(/.$/, '_')],
  ['two headers joined', `${headerOf({})}, ${headerOf({})}`],
  ['missing padding', headerOf({ a: 1 }).replace(/=+$/, '')],
  ['spare bits that are not zero', 'e31='],
  ['no JSON', Buffer.from('x402').toString('base64')],
  ['no object', headerOf([payment])],
  ['equal members', Buffer.from('{"x402Version":2,"x402Version":2}').toString('base64')],
  ['a float', Buffer.from('{"x402Version":2.0}').toString('base64')],
  ['too deep', Buffer.from('{"a":'.repeat(9) + '1' + '}'.repeat(9)).toString('base64')],
  ['more values than a payment has', headerOf({ a: Array.from({ length: 256 }, () => 1) })],
  ['more escapes than a payment has', headerOf({ a: '\n'.repeat(257) })],
  ['more than 8 KiB', headerOf({ ...payment, extensions: { a: 'x'.repeat(8000) } })],
])('a header of %s is malformed', (_what, header) => {
  expect(codeOf(() => parsePaymentHeader(header))).toBe('payment-malformed')
})

test('no header makes anything but a refusal', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.json().map((json) => Buffer.from(json).toString('base64')),
    fc.base64String(),
  )
  let refused = 0
  fc.assert(
    fc.property(text, (header) => {
      if (codeOf(() => parsePaymentHeader(header)) !== undefined) refused++
    }),
    manyRuns,
  )
  expect(refused).toBeGreaterThan(0)
})

function extensionsOf(extensions: Json): ReturnType<typeof parsePaymentExtensions> {
  return parsePaymentExtensions(parsePaymentHeader(headerOf({ ...payment, extensions })))
}

const digest = 'ab'.repeat(32)
const salt = 'cd'.repeat(32)
const refundSignature = `0x${'11'.repeat(64)}1b`

test('extensions are read when they are there', () => {
  expect(extensionsOf({ unknown: 1 })).toEqual({
    binding: { kind: 'none' },
    identifier: { kind: 'none' },
    channelMode: 'strict',
    refund: { kind: 'none' },
  })
  // What a client echoes that knows none of them.
  expect(
    extensionsOf({
      'countersign-request': { info: { version: 1 } },
      'payment-identifier': { info: { required: false } },
    }),
  ).toEqual({
    binding: { kind: 'none' },
    identifier: { kind: 'none' },
    channelMode: 'strict',
    refund: { kind: 'none' },
  })
  expect(
    extensionsOf({
      'countersign-request': { info: { version: 1, requestHash: digest, salt } },
      'payment-identifier': { info: { required: false, id: 'a'.repeat(16) } },
      'countersign-concurrency': { info: { mode: 'unique-ceiling' } },
      'countersign-refund': { info: { version: 1, nonce: '7', signature: refundSignature } },
    }),
  ).toEqual({
    binding: {
      kind: 'request',
      requestHash: new Uint8Array(32).fill(0xab),
      salt: new Uint8Array(32).fill(0xcd),
    },
    identifier: { kind: 'given', id: 'a'.repeat(16) },
    channelMode: 'unique-ceiling',
    refund: { kind: 'signed', nonce: 7n, signature: parseEvmSignature(refundSignature) },
  })
})

test.each<readonly [string, string, Json]>([
  ['payment-malformed', 'countersign-request', 1],
  ['payment-malformed', 'countersign-request', { info: 1 }],
  ['payment-extension-mismatch', 'countersign-request', { info: { version: 2 } }],
  ['payment-malformed', 'countersign-request', { info: { version: 1, salt } }],
  [
    'payment-malformed',
    'countersign-request',
    { info: { version: 1, requestHash: digest, salt: 7 } },
  ],
  [
    'payment-malformed',
    'countersign-request',
    { info: { version: 1, requestHash: digest, salt: salt.toUpperCase() } },
  ],
  ['payment-extension-mismatch', 'payment-identifier', { info: { required: true } }],
  ['payment-malformed', 'payment-identifier', { info: { required: false, id: 'short' } }],
  ['payment-malformed', 'payment-identifier', { info: { required: false, id: 1 } }],
  ['payment-extension-mismatch', 'countersign-concurrency', { info: { mode: 'other' } }],
  ['payment-extension-mismatch', 'countersign-concurrency', { info: {} }],
  ['payment-extension-mismatch', 'countersign-concurrency', { info: { max: 64 } }],
  [
    'payment-extension-mismatch',
    'countersign-concurrency',
    { info: { mode: 'unique-ceiling', max: 64 } },
  ],
  ['payment-extension-mismatch', 'countersign-refund', { info: { version: 2 } }],
  ['payment-malformed', 'countersign-refund', { info: { version: 1, nonce: '7' } }],
  [
    'payment-malformed',
    'countersign-refund',
    { info: { version: 1, nonce: 7, signature: refundSignature } },
  ],
  [
    'payment-signature-malformed',
    'countersign-refund',
    { info: { version: 1, nonce: '7', signature: refundSignature.replace(/1b$/, '00') } },
  ],
])('%s: extension %s', (code, name, extension) => {
  expect(codeOf(() => extensionsOf({ [name]: extension }))).toBe(code)
})

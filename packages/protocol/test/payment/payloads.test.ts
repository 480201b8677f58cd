import { expect, test } from 'vitest'
import { decodeJson, type JsonMap } from '@countersign/protocol/bytes/json-decode'
import { createBatchDomain } from '@countersign/protocol/payment/channel'
import {
  checkChannelId,
  parseChannelPayload,
  type ChannelPayment,
} from '@countersign/protocol/payment/channel-payload'
import { encodeEvmSignature, parseEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import { parseUptoPayload, type UptoPayment } from '@countersign/protocol/payment/upto-payload'
import {
  authorizer,
  change,
  channelId,
  channelTerms,
  depositPayload,
  permit2DepositPayload,
  uptoPayload,
  uptoSignature,
  uptoTerms,
  voucherPayload,
  type Json,
} from './sample-payment.ts'

type Payload = { [name: string]: Json }

const endSeconds = 1_800_000_000n - 306n
const other = '0x0000000000000000000000000000000000000001'

function toMap(payload: Payload): JsonMap {
  const value = decodeJson(Buffer.from(JSON.stringify(payload)))
  if (!(value instanceof Map)) throw new Error('no object')
  return value
}

function codeOf(act: () => unknown): string {
  try {
    act()
    return 'accepted'
  } catch (error) {
    if (error instanceof PaymentError) return error.code
    throw error
  }
}

function parseUpto(payload: Payload, nowSeconds = endSeconds): UptoPayment {
  return parseUptoPayload(toMap(payload), uptoTerms, 50_000n, nowSeconds)
}

function parseChannel(payload: Payload): ChannelPayment {
  return parseChannelPayload(toMap(payload), channelTerms)
}

test('an upto payment is read', () => {
  expect(parseUpto(uptoPayload)).toMatchObject({
    payer: '0x70997970c51812dc3a010c7d01b50e0d17dc79c8',
    permit: { amountAtomic: 50_000n, deadlineSeconds: 1_800_000_000n },
    witness: { validAfterSeconds: 0n, facilitator: '0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266' },
    signature: { recovery: 1 },
  })
})

const authorization = 'permit2Authorization'
test.each<readonly [string, string, Json | undefined]>([
  ['payment-malformed', 'more', 1],
  ['payment-malformed', authorization, undefined],
  ['payment-malformed', authorization, 'x'],
  ['payment-malformed', `${authorization}.more`, 1],
  ['payment-malformed', `${authorization}.from`, '0x12'],
  ['payment-malformed', `${authorization}.from`, 12],
  ['payment-malformed', `${authorization}.nonce`, 1],
  ['payment-malformed', `${authorization}.nonce`, '01'],
  ['payment-malformed', `${authorization}.nonce`, '-1'],
  ['payment-malformed', `${authorization}.nonce`, '0x1'],
  ['payment-malformed', `${authorization}.nonce`, '1.5'],
  ['payment-malformed', `${authorization}.nonce`, `${1n << 256n}`],
  ['payment-malformed', `${authorization}.permitted.more`, 1],
  ['payment-malformed', `${authorization}.witness.validAfter`, undefined],
  ['payment-malformed', 'signature', '0x12'],
  ['payment-malformed', 'signature', 12],
  ['payment-signature-malformed', 'signature', uptoSignature.replace(/1c$/, '01')],
  ['payment-asset-mismatch', `${authorization}.permitted.token`, other],
  ['payment-amount-mismatch', `${authorization}.permitted.amount`, '50001'],
  ['payment-payee-mismatch', `${authorization}.witness.to`, other],
  [
    'payment-spender-mismatch',
    `${authorization}.spender`,
    '0x402085c248EeA27D92E8b30b2C58ed07f9E20001',
  ],
  ['payment-facilitator-mismatch', `${authorization}.witness.facilitator`, other],
  ['payment-not-yet-valid', `${authorization}.witness.validAfter`, `${endSeconds + 1n}`],
  ['payment-expired', `${authorization}.deadline`, '1799999999'],
])('upto, %s: %s', (code, path, value) => {
  expect(codeOf(() => parseUpto(change(uptoPayload, path, value)))).toBe(code)
})

test('an upto payment must outlive its call and its settlement', () => {
  expect(codeOf(() => parseUpto(uptoPayload, endSeconds + 1n))).toBe('payment-expired')
  const later = change(uptoPayload, `${authorization}.witness.validAfter`, `${endSeconds}`)
  expect(codeOf(() => parseUpto(later))).toBe('accepted')
})

test('a voucher, two kinds of deposit and a refund are read', () => {
  const voucher = parseChannel(voucherPayload)
  expect(voucher).toMatchObject({
    config: { withdrawDelaySeconds: 900n, receiverAuthorizer: authorizer.toLowerCase() },
    voucher: { channelId, maxClaimableAtomic: 50_000n, signature: { recovery: 0 } },
    action: { kind: 'voucher' },
  })
  const domain = createBatchDomain(84_532n, '0x4020074e9df2ce1dee5a9c1b5c3f541d02a10003')
  checkChannelId(domain, voucher)
  const elsewhere = createBatchDomain(8453n, '0x4020074e9df2ce1dee5a9c1b5c3f541d02a10003')
  expect(codeOf(() => checkChannelId(elsewhere, voucher))).toBe('channel-id-mismatch')
  expect(parseChannel(depositPayload).action).toMatchObject({
    kind: 'deposit',
    deposit: {
      amountAtomic: 500_000n,
      authorization: {
        kind: 'erc3009',
        transfer: {
          to: '0x4020806089470a89826cb9fb1f4059150b550004',
          nonce: '0xff68ab152185c3f5b82b7d22e8a8a76dbab620bd5db72464b2541d60d7701009',
        },
      },
    },
  })
  expect(parseChannel(permit2DepositPayload).action).toMatchObject({
    kind: 'deposit',
    deposit: { authorization: { kind: 'permit2', permit: { amountAtomic: 500_000n } } },
  })
  const refund = { ...voucherPayload, type: 'refund' }
  expect(parseChannel(refund).action).toEqual({ kind: 'refund', amountAtomic: 'all' })
  expect(parseChannel({ ...refund, amount: '5' }).action).toEqual({
    kind: 'refund',
    amountAtomic: 5n,
  })
  expect(codeOf(() => parseChannel({ ...refund, amount: '0' }))).toBe('refund-amount-invalid')
  expect(codeOf(() => parseChannel({ ...refund, amount: `${1n << 128n}` }))).toBe(
    'payment-malformed',
  )
})

test.each<readonly [string, string, Json | undefined]>([
  ['payment-malformed', 'type', undefined],
  ['payment-malformed', 'type', 'claim'],
  ['payment-malformed', 'more', 1],
  ['payment-malformed', 'amount', '1'],
  ['payment-malformed', 'voucher', null],
  ['payment-malformed', 'voucher.channelId', channelId.slice(0, 64)],
  ['payment-malformed', 'voucher.maxClaimableAmount', 50_000],
  ['payment-malformed', 'voucher.maxClaimableAmount', `${1n << 128n}`],
  ['payment-malformed', 'voucher.signature', '0x'],
  ['payment-malformed', 'voucher.more', 1],
  ['payment-malformed', 'channelConfig.withdrawDelay', '900'],
  ['payment-malformed', 'channelConfig.withdrawDelay', -1],
  ['payment-malformed', 'channelConfig.withdrawDelay', 2 ** 40],
  ['payment-malformed', 'channelConfig.salt', '0'],
  ['payment-malformed', 'channelConfig.more', 1],
  ['payment-asset-mismatch', 'channelConfig.token', other],
  ['payment-payee-mismatch', 'channelConfig.receiver', other],
  ['channel-authorizer-mismatch', 'channelConfig.receiverAuthorizer', other],
  ['channel-delay-mismatch', 'channelConfig.withdrawDelay', 901],
  ['channel-payer-is-contract', 'channelConfig.payerAuthorizer', `0x${'0'.repeat(40)}`],
])('a voucher, %s: %s', (code, path, value) => {
  expect(codeOf(() => parseChannel(change(voucherPayload, path, value)))).toBe(code)
})

const erc3009 = 'deposit.authorization.erc3009Authorization'
test.each<readonly [string, string, Json | undefined]>([
  ['payment-malformed', 'deposit', undefined],
  ['payment-malformed', 'deposit.amount', '-5'],
  ['payment-malformed', 'deposit.authorization', 5],
  ['payment-malformed', 'deposit.authorization', {}],
  ['payment-malformed', 'deposit.authorization', { a: 1, b: 2 }],
  ['payment-malformed', 'deposit.authorization', { unknown: {} }],
  ['payment-malformed', `${erc3009}.more`, 1],
  ['payment-malformed', `${erc3009}.salt`, 1],
  ['payment-malformed', `${erc3009}.signature`, '0x12'],
  ['deposit-below-minimum', 'deposit.amount', '499999'],
])('a deposit, %s: %s', (code, path, value) => {
  expect(codeOf(() => parseChannel(change(depositPayload, path, value)))).toBe(code)
})

const permit = 'deposit.authorization.permit2Authorization'
test.each<readonly [string, string, Json | undefined]>([
  ['payment-malformed', `${permit}.more`, 1],
  ['channel-id-mismatch', `${permit}.from`, other],
  ['channel-id-mismatch', `${permit}.witness.channelId`, `0x${'0'.repeat(64)}`],
  ['payment-asset-mismatch', `${permit}.permitted.token`, other],
  ['payment-amount-mismatch', `${permit}.permitted.amount`, '500001'],
  ['payment-spender-mismatch', `${permit}.spender`, other],
  ['payment-signature-malformed', `${permit}.signature`, uptoSignature.replace(/1c$/, '1d')],
])('a deposit by Permit2, %s: %s', (code, path, value) => {
  expect(codeOf(() => parseChannel(change(permit2DepositPayload, path, value)))).toBe(code)
})

test('terms without addresses are a mistake of the caller', () => {
  const terms = { ...channelTerms, erc3009Collector: 'x' }
  expect(() => parseChannelPayload(toMap(depositPayload), terms)).toThrow(RangeError)
})

const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
function word(value: bigint): string {
  return value.toString(16).padStart(64, '0')
}

function signature(r: bigint, s: bigint, v: string): string {
  return `0x${word(r)}${word(s)}${v}`
}

test.each([
  ['accepted', 1n, 1n, '1b'],
  ['accepted', order - 1n, order >> 1n, '1c'],
  ['payment-signature-malformed', 0n, 1n, '1b'],
  ['payment-signature-malformed', order, 1n, '1b'],
  ['payment-signature-malformed', 1n, 0n, '1b'],
  ['payment-signature-malformed', 1n, (order >> 1n) + 1n, '1b'],
  ['payment-signature-malformed', 1n, 1n, '00'],
  ['payment-signature-malformed', 1n, 1n, '01'],
  ['payment-signature-malformed', 1n, 1n, '1a'],
  ['payment-signature-malformed', 1n, 1n, '1d'],
])('a signature, %s: r %s, s %s, v %s', (code, r, s, v) => {
  expect(codeOf(() => parseEvmSignature(signature(r, s, v)))).toBe(code)
})

test('a signature comes back, in lower case', () => {
  for (const v of ['1b', '1c']) {
    const text = uptoSignature.replace(/1c$/, v)
    expect(encodeEvmSignature(parseEvmSignature(`0x${text.slice(2).toUpperCase()}`))).toBe(text)
  }
  expect(codeOf(() => parseEvmSignature(`${uptoSignature}00`))).toBe('payment-malformed')
})

import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import type { ChannelTerms } from '@countersign/protocol/payment/channel-payload'
import { PaymentError } from '@countersign/protocol/payment/payment-code'
import { parsePaymentHeader } from '@countersign/protocol/payment/presented-payment'
import { expect, test } from 'vitest'
import {
  createVoucherMemo,
  readVoucher,
  type ReadVoucher,
} from '../src/payment/channel/voucher-memo.ts'
import { createRandom } from './ledger/random.ts'
import { createChannelPayer, offerOf } from './payment/channel-payer.ts'

const terms: ChannelTerms = {
  network: 'eip155:84532',
  chainId: 84_532n,
  asset: baseSepoliaUsdc.address,
  assetName: 'USDC',
  assetVersion: '2',
  payTo: '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC',
  maxTimeoutSeconds: 600,
  receiverAuthorizer: '0x90F79bf6EB2c4f870365E785982E1f101E93b906',
  withdrawDelaySeconds: 900,
  minDepositAtomic: 1000n,
  maxRunningCalls: 8,
  erc3009Collector: baseSepoliaX402.erc3009DepositCollector,
  permit2Collector: baseSepoliaX402.permit2DepositCollector,
}
const payer = createChannelPayer(`0x${'11'.repeat(32)}`, terms)
const offer = offerOf(terms, 100n)

function textOf(ceilingAtomic: bigint, others: object = {}): string {
  const payload = payer.payloadOf('voucher', ceilingAtomic)
  return JSON.stringify({ x402Version: 2, accepted: offer.requirements, payload, ...others })
}

const encode = (text: string): string => Buffer.from(text).toString('base64')
const read = (header: string): ReadVoucher => readVoucher(parsePaymentHeader(header), offer, terms)

/** A memo that has seen this text. */
function memoOf(text: string): ReturnType<typeof createVoucherMemo> {
  const memo = createVoucherMemo()
  const header = encode(text)
  memo.learn(header, offer, read(header))
  return memo
}

test('a new ceiling and signature in a known text are what the strict parser reads', () => {
  const memo = memoOf(textOf(100n))
  for (const ceilingAtomic of [100n, 101n, 9n, 10n ** 30n, 2n ** 128n - 1n]) {
    const header = encode(textOf(ceilingAtomic))
    expect(memo.recall(header, offer)).toEqual(read(header))
  }
})

test('another text, another offer object or another form of base64 is not recalled', () => {
  const text = textOf(100n)
  const memo = memoOf(text)
  const header = encode(text)
  expect(memo.recall(header, offer)).toBeDefined()
  expect(memo.recall(header, offerOf(terms, 100n))).toBeUndefined()
  expect(memo.recall(header.replace(/=+$/, ''), offer)).toBeUndefined()
  expect(memo.recall(`${header}\n`, offer)).toBeUndefined()
  expect(memo.recall(encode(`${text} `), offer)).toBeUndefined()
  expect(memo.recall(encode(text.replace('"voucher":', '"voucher" :')), offer)).toBeUndefined()
  expect(memo.recall('', offer)).toBeUndefined()
})

test('values that the strict parser refuses are not recalled, or refused alike', () => {
  const text = textOf(100n)
  const memo = memoOf(text)
  for (const ceiling of [
    '',
    '-1',
    '0100',
    '1e3',
    '0x10',
    '1.0',
    ' 1',
    `${2n ** 128n}`,
    '1","x":"',
  ]) {
    const changed = text.replace('"maxClaimableAmount":"100"', `"maxClaimableAmount":"${ceiling}"`)
    expect(changed).not.toBe(text)
    expect(memo.recall(encode(changed), offer), ceiling).toBeUndefined()
  }
  const signatureAt = text.indexOf('"signature":"') + '"signature":"'.length
  const withSignature = (signature: string): string =>
    encode(text.slice(0, signatureAt) + signature + text.slice(signatureAt + 132))
  expect(memo.recall(withSignature(`0x${'zz'.repeat(65)}`), offer)).toBeUndefined()
  expect(memo.recall(withSignature(`0x${'11'.repeat(64)}`), offer)).toBeUndefined()
  const malleable = withSignature(`0x${'11'.repeat(32)}${'ff'.repeat(32)}1b`)
  expect(() => memo.recall(malleable, offer)).toThrow(PaymentError)
  expect(() => read(malleable)).toThrow(PaymentError)
})

test('texts with escapes, with a mark twice, and those for one call only are not learnt', () => {
  const id = { 'payment-identifier': { info: { required: false, id: 'a'.repeat(20) } } }
  const twice = { unknown: { info: {}, maxClaimableAmount: '100' } }
  // The voucher’s own members, with a space, and others that look like them.
  const decoy = (name: string): string =>
    textOf(100n, {
      extensions: { unknown: { maxClaimableAmount: '7', signature: `0x${'11'.repeat(64)}1b` } },
    }).replace(`"${name}":`, `"${name}" :`)
  const both = decoy('maxClaimableAmount').replace('"signature":', '"signature" :')
  const texts = [
    both,
    decoy('signature').replace('"maxClaimableAmount":"7",', ''),
    decoy('maxClaimableAmount').replace(/,"signature":"0x(?:11)+1b"/, ''),
    textOf(100n, { extensions: id }),
    textOf(100n, { extensions: twice }),
    textOf(100n, { extensions: { unknown: { signature: 'x' } } }),
    textOf(100n, { extensions: { unknown: 'a"b' } }),
    textOf(100n).replace('"maxClaimableAmount"', '"max\\u0043laimableAmount"'),
  ]
  for (const text of texts) {
    const header = encode(text)
    expect(read(header).payment.voucher.maxClaimableAtomic).toBe(100n)
    expect(memoOf(text).recall(header, offer), text).toBeUndefined()
  }
})

test('whatever is changed in a known text: it is read as the strict parser reads it, or not at all', () => {
  const seed = 7
  const random = createRandom(seed)
  const text = textOf(100n)
  const memo = memoOf(text)
  const alphabet = '"\\{}[]:,0123456789abcdefx \n'
  const tally = { recalled: 0, unknown: 0, refused: 0 }
  for (let index = 0; index < 3000; index++) {
    const at = random.below(text.length)
    const removed = random.below(3)
    const changed =
      text.slice(0, at) + alphabet.charAt(random.below(alphabet.length)) + text.slice(at + removed)
    const header = encode(changed)
    let known: ReadVoucher | undefined
    try {
      known = memo.recall(header, offer)
    } catch (error) {
      expect(error, `seed ${seed}`).toBeInstanceOf(PaymentError)
      expect(() => read(header), changed).toThrow(PaymentError)
      tally.refused++
      continue
    }
    if (known === undefined) tally.unknown++
    else {
      expect(known, changed).toEqual(read(header))
      tally.recalled++
    }
  }
  expect(tally.recalled).toBeGreaterThan(20)
  expect(tally.unknown).toBeGreaterThan(1000)
})

test('the memory is bounded: the first text is forgotten after some thousand others', () => {
  const memo = createVoucherMemo()
  const first = encode(textOf(100n))
  const known = read(first)
  memo.learn(first, offer, known)
  for (let index = 0; index < 4096; index++) {
    memo.learn(
      encode(textOf(100n).replace('{', `{${' '.repeat(index % 64)}"n":${index},`)),
      offer,
      known,
    )
  }
  expect(memo.recall(first, offer)).toBeUndefined()
})

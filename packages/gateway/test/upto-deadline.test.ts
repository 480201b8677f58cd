/** How long a signed maximum may hold (spec/payment.md PA17.2). */
import { baseSepoliaUsdc, baseSepoliaX402 } from '@countersign/contracts/addresses'
import { encodeEvmSignature } from '@countersign/protocol/payment/evm-signature'
import { createPermit2Domain } from '@countersign/protocol/payment/permit2'
import { parsePaymentHeader } from '@countersign/protocol/payment/presented-payment'
import { createUptoOffer, type UptoTerms } from '@countersign/protocol/payment/upto-payload'
import { keccak256 } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { expect, onTestFinished, test } from 'vitest'
import { loadEvmCurve } from '../src/payment/evm-curve.ts'
import { openDurableLedger } from '../src/payment/ledger/durable-ledger.ts'
import { admitUptoPayment, type UptoAdmission } from '../src/payment/upto/admit-upto-payment.ts'
import { wordOf } from './ledger/sample-events.ts'
import { lower } from './payment/channel-payer.ts'
import { createDirectory } from './payment/requests.ts'

const nowSeconds = 1_800_000_000
const clock = (): number => nowSeconds * 1000
const amountAtomic = 100n
const key = keccak256('0x77')
const curve = await loadEvmCurve()
const permit2Domain = createPermit2Domain(84_532n, lower(baseSepoliaX402.permit2))
const terms: UptoTerms = {
  network: 'eip155:84532',
  chainId: 84_532n,
  asset: baseSepoliaUsdc.address,
  assetName: 'USDC',
  assetVersion: '2',
  payTo: privateKeyToAddress(keccak256('0x55')),
  maxTimeoutSeconds: 60,
  facilitator: privateKeyToAddress(keccak256('0x56')),
  uptoProxy: baseSepoliaX402.uptoPermit2Proxy,
}
const offer = createUptoOffer(terms, amountAtomic, 'http://x/')

/** A payment whose permission ends so many seconds from now. */
function payFor(seconds: bigint): ReturnType<typeof parsePaymentHeader> {
  const token = lower(terms.asset)
  const spender = lower(terms.uptoProxy)
  const deadlineSeconds = BigInt(nowSeconds) + seconds
  const permit = { token, amountAtomic, spender, nonce: 1n, deadlineSeconds }
  const witness = {
    to: lower(terms.payTo),
    facilitator: lower(terms.facilitator),
    validAfterSeconds: 0n,
  }
  const digest = permit2Domain.hashUpto(permit, witness)
  const payload = {
    signature: encodeEvmSignature(curve.sign(digest, Buffer.from(key.slice(2), 'hex'))),
    permit2Authorization: {
      from: privateKeyToAddress(key),
      permitted: { token, amount: `${amountAtomic}` },
      spender,
      nonce: '1',
      deadline: `${deadlineSeconds}`,
      witness: { to: witness.to, facilitator: witness.facilitator, validAfter: '0' },
    },
  }
  const payment = { x402Version: 2, accepted: offer.requirements, payload }
  return parsePaymentHeader(Buffer.from(JSON.stringify(payment)).toString('base64'))
}

test('a maximum that holds for ever is refused: what is left unpaid of it would be owed for ever', async () => {
  const ledger = await openDurableLedger({
    directory: createDirectory(),
    clock,
    onFault: (error) => {
      throw error
    },
  })
  onTestFinished(() => ledger.close())
  const context = {
    terms,
    permit2Domain,
    curve,
    ledger,
    readFunds: () => Promise.resolve(1_000_000n),
    maxExposureAtomic: 50_000n,
    settle: () => undefined,
    clock,
  }
  const admit = (seconds: bigint): Promise<UptoAdmission> =>
    admitUptoPayment(context, {
      presented: payFor(seconds),
      offer,
      callId: '1'.repeat(32),
      requestHash: wordOf(1),
    })
  // 60 s are offered, and clocks may differ by ten minutes.
  for (const seconds of [661n, 1n << 200n]) {
    expect(await admit(seconds)).toMatchObject({ kind: 'refused', code: 'payment-offer-mismatch' })
  }
  expect(ledger.state.payments.size).toBe(0)
  expect(await admit(660n)).toMatchObject({ kind: 'admitted' })
})

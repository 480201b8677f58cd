import { parsePaymentHeader } from '@countersign/protocol/payment/presented-payment'
import { encodePaymentSignatureHeader } from '@x402/core/http'
import type { PaymentPayload, PaymentRequired, SettleResponse } from '@x402/core/types'
import { toClientEvmSigner } from '@x402/evm'
import { BatchSettlementEvmScheme } from '@x402/evm/batch-settlement/client'
import { x402Client } from '@x402/fetch'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  admitChannelPayment,
  type ChannelAdmission,
  type ChannelCharge,
} from '../src/payment/channel/admit-channel-payment.ts'
import type { CorrectiveExtra } from '../src/payment/channel/channel-state.ts'
import { startTestChain, type TestChain } from './payment/chain-process.ts'
import {
  claimedOf,
  expectReservation,
  startScheme,
  stepUntil,
  type Fixture,
} from './payment/channel-fixture.ts'
import { offerOf } from './payment/channel-payer.ts'
import { callOf, wordOf } from './ledger/sample-events.ts'

let chain: TestChain
beforeAll(async () => {
  chain = await startTestChain()
})
afterAll(() => chain.stop())

/** The unmodified client of the x402 packages, which reads the chain when it lost its state. */
function createStockClient({ key }: Fixture): x402Client {
  const signer = toClientEvmSigner(privateKeyToAccount(key), {
    readContract: (args) => chain.client.readContract({ ...args, args: args.args ?? [] }),
  })
  return new x402Client().register('eip155:*', new BatchSettlementEvmScheme(signer))
}

function quoteOf(
  fixture: Fixture,
  correction?: CorrectiveExtra,
  error = 'payment required',
): PaymentRequired {
  const { requirements, resourceUrl } = offerOf(fixture.options.terms, 100n)
  const accepted = { ...requirements, network: 'eip155:84532' } as const
  return {
    x402Version: 2,
    error,
    resource: { url: resourceUrl, description: '', mimeType: 'application/json' },
    accepts: [{ ...accepted, extra: { ...requirements.extra, ...correction } }],
  }
}

let calls = 0
function present({ scheme, options }: Fixture, payment: PaymentPayload): Promise<ChannelAdmission> {
  calls++
  return admitChannelPayment(scheme.context, {
    presented: parsePaymentHeader(encodePaymentSignatureHeader(payment)),
    offer: offerOf(options.terms, 100n),
    callId: callOf(calls),
    requestHash: wordOf(calls),
  })
}

async function tell(
  client: x402Client,
  paymentPayload: PaymentPayload,
  { amountAtomic, channelState }: ChannelCharge,
): Promise<void> {
  const settleResponse: SettleResponse = {
    success: true,
    transaction: '',
    network: 'eip155:84532',
    amount: '',
    extra: { chargedAmount: `${amountAtomic}`, channelState },
  }
  await client.handlePaymentResponse({
    paymentPayload,
    requirements: paymentPayload.accepted,
    settleResponse,
  })
}

test('an unmodified stock client opens a channel, pays metered calls and recovers after a lost answer', async () => {
  const fixture = await startScheme(chain)
  const client = createStockClient(fixture)
  const first = await client.createPaymentPayload(quoteOf(fixture))
  expect(first.payload['type']).toBe('deposit')
  await tell(client, first, await expectReservation(await present(fixture, first)).charge(30n))

  const second = await client.createPaymentPayload(quoteOf(fixture))
  expect(second.payload['type']).toBe('voucher')
  // The client never hears of this charge.
  await expectReservation(await present(fixture, second)).charge(45n)

  const third = await client.createPaymentPayload(quoteOf(fixture))
  const refused = await present(fixture, third)
  if (refused.kind !== 'refused') throw new Error('a stale voucher was admitted')
  expect(refused.code).toBe('channel-ceiling-mismatch')
  const paymentRequired = quoteOf(fixture, refused.correction, refused.detail)
  const recovery = { paymentPayload: third, requirements: third.accepted, paymentRequired }
  expect(await client.handlePaymentResponse(recovery)).toEqual({ recovered: true })

  const fourth = await client.createPaymentPayload(quoteOf(fixture, refused.correction))
  const charge = await expectReservation(await present(fixture, fourth)).charge(25n)
  expect(charge.cumulativeAtomic).toBe(100n)
  await fixture.scheme.manager.claimAll()
  const { ledger } = fixture.scheme.context
  await stepUntil(fixture, () => ledger.state.transactions.size === 0)
  const [channelId = '0x'] = ledger.state.channels.keys()
  expect(await claimedOf(fixture, channelId)).toBe(100n)
})

/** `batch-settlement` over HTTP: a real gateway process, a real chain, the unmodified client of the x402 packages. */
import { decodePaymentResponseHeader } from '@x402/core/http'
import type { PaymentPayload, SettleResponse } from '@x402/core/types'
import { wrapFetchWithPayment, type x402Client } from '@x402/fetch'
import { rmSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { toHex } from '@countersign/protocol/bytes/text-encoding'
import type { Hex } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RawResult } from '../../../test/provider/raw-client.ts'
import { startPlainLoopbackProvider, type LoopbackProvider } from '../../../test/provider/start.ts'
import { payerBalanceAtomic } from './payment/chain-process.ts'
import { createChannelPayer } from './payment/channel-payer.ts'
import {
  chatBody,
  createMeteredClient,
  createRefundingClient,
  post,
  quoteIn,
  signFor,
  startMeteredGateway,
  startMeteredNetwork,
  type MeteredNetwork,
  type MeteredOperator,
} from './payment/metered-network.ts'
import { expectVerified, fetchReceipt, receiptOf, type FetchedReceipt } from './support/receipts.ts'
import { createGatewayFolder, type RunningGateway } from './support/start-gateway.ts'

let network: MeteredNetwork
let provider: LoopbackProvider
let operator: MeteredOperator
let gateway: RunningGateway
const folder = createGatewayFolder()
/** What each channel was charged, by the receipts that this file has seen. */
const charged = new Map<
  string,
  { readonly amountAtomic: bigint; readonly cumulativeAtomic: bigint }[]
>()

const start = (): Promise<RunningGateway> =>
  startMeteredGateway(network, operator, {
    providerUrl: provider.url,
    // Whatever is charged is claimed at once.
    batch: { maxUnclaimedAtomic: '1' },
    folder,
  })

beforeAll(async () => {
  network = await startMeteredNetwork()
  provider = await startPlainLoopbackProvider({ models: ['flat'] })
  operator = await network.createOperator()
  gateway = await start()
})
afterAll(async () => {
  await gateway.stop()
  await provider.stop()
  await network.chain.stop()
  rmSync(folder, { recursive: true })
})

function responseIn(answer: RawResult): SettleResponse {
  const header = answer.trailers['payment-response'] ?? answer.headers['payment-response']
  return decodePaymentResponseHeader(String(header))
}

/** Notes the charge of a receipt under its channel. */
function remember({ payload }: FetchedReceipt): bigint {
  const { charge } = payload
  if (charge.scheme !== 'batch-settlement') throw new Error(`paid by ${charge.scheme}`)
  const channel = toHex(charge.paymentId)
  charged.set(channel, [...(charged.get(channel) ?? []), charge])
  return charge.amountAtomic
}

async function receiptOfCall(answer: RawResult): Promise<FetchedReceipt> {
  const { id } = receiptOf(answer.headers)
  return fetchReceipt(gateway.url, id, null, 60)
}

/** What the stock client does with an answer that it did not fetch itself. */
async function tell(client: x402Client, payment: PaymentPayload, answer: RawResult): Promise<void> {
  await client.handlePaymentResponse({
    paymentPayload: payment,
    requirements: payment.accepted,
    settleResponse: responseIn(answer),
  })
}

test('an unmodified stock client opens a channel and pays JSON and streams from it', async () => {
  const client = createMeteredClient(network, network.createChannelPayer(), 'batch-settlement')
  const paidFetch = wrapFetchWithPayment(fetch, client)
  const url = `${gateway.url}/v1/chat/completions`
  let cumulative = 0n
  for (const [stream, prompt] of [
    [false, 'first'],
    [false, 'second'],
    [true, 'third'],
    // Stock clients do not read trailers: this one is refused, corrected, and paid.
    [false, 'fourth'],
  ] as const) {
    const body = chatBody('loopback-echo', stream, prompt)
    const response = await paidFetch(url, { method: 'POST', body })
    expect(response.status, await response.clone().text()).toBe(200)
    const answer = Buffer.from(await response.arrayBuffer())
    const headers = Object.fromEntries(response.headers)
    const receipt = await expectVerified(gateway.url, { headers, body: answer }, body)
    cumulative += remember(receipt)
    expect(receipt.payload.charge).toMatchObject({ cumulativeAtomic: cumulative })
    if (stream) continue
    expect(decodePaymentResponseHeader(headers['payment-response'] ?? '')).toMatchObject({
      success: true,
      extra: { channelState: { chargedCumulativeAmount: `${cumulative}` } },
    })
  }
})

test('a deposit that comes with a stream is told at its start, its charge at its end', async () => {
  const client = createMeteredClient(network, network.createChannelPayer(), 'batch-settlement')
  const body = chatBody('loopback-echo', true)
  const payment = await signFor(client, gateway, body)
  expect(payment.payload['type']).toBe('deposit')
  const answer = await post(gateway, body, payment)
  expect(decodePaymentResponseHeader(String(answer.headers['payment-response']))).toMatchObject({
    extra: { chargedAmount: '0', channelState: { chargedCumulativeAmount: '0' } },
  })
  const amountAtomic = remember(await expectVerified(gateway.url, answer, body))
  expect(responseIn(answer).extra).toMatchObject({ chargedAmount: `${amountAtomic}` })
  await tell(client, payment, answer)
  // The client goes on without asking for a correction.
  const second = await signFor(client, gateway, body)
  expect(second.payload['type']).toBe('voucher')
  const next = await post(gateway, body, second)
  remember(await expectVerified(gateway.url, next, body))
})

test('a stock client has one call at a time, and a voucher buys one call', async () => {
  const client = createMeteredClient(network, network.createChannelPayer(), 'batch-settlement')
  const body = chatBody('loopback-slow-30', false)
  const opening = await signFor(client, gateway, body)
  const opened = await post(gateway, body, opening)
  remember(await expectVerified(gateway.url, opened, body))
  await tell(client, opening, opened)
  const voucher = await signFor(client, gateway, body)
  await provider.reset()
  const raced = await Promise.all(Array.from({ length: 10 }, () => post(gateway, body, voucher)))
  const served = raced.filter(({ status }) => status === 200)
  expect(served).toHaveLength(1)
  expect((await provider.log()).length).toBe(1)
  for (const answer of served) remember(await expectVerified(gateway.url, answer, body))
  const refused = raced.filter(({ status }) => status === 402).map((each) => quoteIn(each).error)
  expect(refused).toHaveLength(9)
  const again = await post(gateway, body, voucher)
  expect(quoteIn(again)).toMatchObject({
    error: 'invalid_batch_settlement_evm_cumulative_amount_mismatch',
    accepts: [{ scheme: 'batch-settlement', extra: { channelState: {}, voucherState: {} } }, {}],
  })
})

test('an upstream error charges nothing; a cut stream of a stock client costs one unit', async () => {
  const client = createMeteredClient(network, network.createChannelPayer(), 'batch-settlement')
  const failing = chatBody('hostile-status-500', false)
  const payment = await signFor(client, gateway, failing)
  const failed = await post(gateway, failing, payment)
  expect(failed.status).toBeGreaterThanOrEqual(500)
  expect(remember(await receiptOfCall(failed))).toBe(0n)
  // The deposit is there, and its voucher was given back.
  const good = chatBody('hostile-eof-mid', true)
  const cut = await post(gateway, good, await signFor(client, gateway, good))
  expect(remember(await receiptOfCall(cut))).toBe(1n)
})

test('many calls run on one channel with the advertised extension', async () => {
  const key = network.createChannelPayer()
  const body = chatBody('loopback-slow-30', true)
  const offer = quoteIn(await post(gateway, body)).accepts.find(
    ({ scheme }) => scheme === 'batch-settlement',
  )
  if (offer === undefined) throw new Error('no offer')
  expect(offer.extra).toMatchObject({ concurrency: { mode: 'unique-ceiling', max: 64 } })
  const amount = BigInt(offer.amount)
  const payer = createChannelPayer(key, {
    network: 'eip155:84532',
    chainId: 84_532n,
    asset: offer.asset,
    assetName: 'USDC',
    assetVersion: '2',
    payTo: offer.payTo,
    maxTimeoutSeconds: offer.maxTimeoutSeconds,
    receiverAuthorizer: operator.authorizer,
    withdrawDelaySeconds: 3600,
    minDepositAtomic: 10_000n,
    maxRunningCalls: 64,
    erc3009Collector: '0x4020806089470a89826cB9fB1f4059150b550004',
    permit2Collector: '0x4020425FAf3B746C082C2f942b4E5159887B0005',
  })
  const sign = (payload: Record<string, unknown>): PaymentPayload => ({
    x402Version: 2,
    accepted: offer,
    payload,
    extensions: { 'countersign-concurrency': { info: { mode: 'unique-ceiling' } } },
  })
  const deposit = payer.depositOf(amount, 60_000n)
  const opened = await post(gateway, body, sign(deposit))
  expect(opened.status, opened.body.toString()).toBe(200)
  remember(await expectVerified(gateway.url, opened, body))
  await provider.reset()
  const calls = Array.from({ length: 8 }, (_, index) =>
    post(gateway, body, sign(payer.payloadOf('voucher', amount * BigInt(index + 2)))),
  )
  const answers = await Promise.all(calls)
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200))
  const starts = (await provider.log()).length
  expect(starts).toBe(8)
  for (const answer of answers) remember(await expectVerified(gateway.url, answer, body))
})

test('a stock client gets back by GET what it did not use', async () => {
  const key = network.createChannelPayer()
  const { scheme, client } = createRefundingClient(network, key)
  const body = chatBody('loopback-echo', false)
  const payment = await signFor(client, gateway, body)
  const answer = await post(gateway, body, payment)
  const amountAtomic = remember(await expectVerified(gateway.url, answer, body))
  await tell(client, payment, answer)
  const refund = await scheme.refund(`${gateway.url}/v1/payments/refund`)
  expect(refund.success).toBe(true)
  await network.chain.mined(refund.transaction)
  expect(await network.balanceOf(privateKeyToAddress(key))).toBe(payerBalanceAtomic - amountAtomic)
})

test('kill -9 in the middle of a stream: the voucher is used up, and the next call goes on', async () => {
  const client = createMeteredClient(network, network.createChannelPayer(), 'batch-settlement')
  const body = chatBody('loopback-slow-20000', true, 'one two three four five six seven eight')
  const payment = await signFor(client, gateway, body)
  const dying = Promise.withResolvers<void>()
  const calling = post(gateway, body, payment, {
    leaveWhen: () => {
      dying.resolve()
      return false
    },
  })
  await dying.promise
  await gateway.kill()
  const cut = await calling
  expect(cut.failure).not.toBeNull()
  gateway = await start()
  expect(remember(await receiptOfCall(cut))).toBe(1n)
  const paidFetch = wrapFetchWithPayment(fetch, client)
  const next = chatBody('loopback-echo', false)
  const url = `${gateway.url}/v1/chat/completions`
  const response = await paidFetch(url, { method: 'POST', body: next })
  expect(response.status, await response.clone().text()).toBe(200)
  const { id } = receiptOf(Object.fromEntries(response.headers))
  remember(await fetchReceipt(gateway.url, id, null, 60))
})

test('charged = receipts = claimed ≤ deposited, on every channel, without a gap', async () => {
  expect(charged.size).toBe(7)
  for (const [channel, receipts] of charged) {
    const inOrder = receipts.toSorted((a, b) =>
      a.cumulativeAtomic < b.cumulativeAtomic || a.amountAtomic < b.amountAtomic ? -1 : 1,
    )
    let total = 0n
    for (const { amountAtomic, cumulativeAtomic } of inOrder) {
      expect(cumulativeAtomic - amountAtomic).toBe(total)
      total = cumulativeAtomic
    }
    const channelId: Hex = `0x${channel}`
    for (let look = 0; (await network.channelOf(channelId))[1] !== total; look++) {
      if (look > 600) break
      // The chain makes a block a second: looking more often only costs.
      await setTimeout(100)
    }
    const [deposited, claimed] = await network.channelOf(channelId)
    expect(claimed).toBe(total)
    expect(claimed).toBeLessThanOrEqual(deposited)
  }
})

/** Payments of the unmodified x402 clients, made before they are sent. */
import { ExactEvmScheme } from '@x402/evm/exact/client'
import { x402Client, x402HTTPClient, type PaymentRequired } from '@x402/fetch'
import type { Hex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import {
  createMeteredClient,
  type MeteredNetwork,
} from '../../packages/gateway/test/payment/metered-network.ts'
import { createRequestBody } from '../gateway/wire.ts'
import type { PaymentCase } from './measure-case.ts'

/** The offers for the call of a case. */
export async function fetchQuote({
  port,
  path,
  shape,
  modelName,
}: Pick<PaymentCase, 'port' | 'path' | 'shape' | 'modelName'>): Promise<PaymentRequired> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: createRequestBody(shape, modelName),
  })
  await response.text()
  const reader = new x402HTTPClient(new x402Client())
  return reader.getPaymentRequiredResponse((name) => response.headers.get(name), undefined)
}

/** So many payers for this scheme. */
export async function createPayers(
  network: MeteredNetwork,
  scheme: 'upto' | 'exact',
  count: number,
): Promise<readonly Hex[]> {
  const create = async (): Promise<Hex> =>
    scheme === 'upto' ? await network.createPayer() : network.createChannelPayer()
  return Promise.all(Array.from({ length: count }, create))
}

/** Makes so many payments for this quote; the payers take turns. */
export async function signPayments(
  network: MeteredNetwork,
  scheme: 'upto' | 'exact',
  payers: readonly Hex[],
  quote: PaymentRequired,
  count: number,
): Promise<readonly string[]> {
  const clients = payers.map((key) =>
    scheme === 'upto'
      ? createMeteredClient(network, key, 'upto')
      : new x402Client().register('eip155:*', new ExactEvmScheme(privateKeyToAccount(key))),
  )
  const payments: string[] = []
  for (let index = 0; index < count; index++) {
    const client = clients[index % clients.length]
    if (client === undefined) throw new Error('nobody pays')
    const payload = await client.createPaymentPayload(quote)
    const { 'PAYMENT-SIGNATURE': payment } = new x402HTTPClient(
      client,
    ).encodePaymentSignatureHeader(payload)
    if (payment === undefined) throw new Error('the client made no payment')
    payments.push(payment)
  }
  return payments
}

/** Real metered calls: a chain, a gateway process, and clients of this package before them. */
import { privateKeyToAccount } from 'viem/accounts'
import type { Hex } from 'viem'
import {
  countersignFetch,
  createChainReader,
  type CountersignFetch,
  type CountersignFetchOptions,
  type VerifiedReceipt,
  type WalletOptions,
} from '@countersign/client'
import { createPayeeCheck } from '@countersign/client/payee-check'
import {
  startMeteredGateway,
  startMeteredNetwork,
  type MeteredNetwork,
  type MeteredOperator,
} from '../../../gateway/test/payment/metered-network.ts'
import type { RunningGateway } from '../../../gateway/test/support/start-gateway.ts'
import { chatRequest, paymentIn, type SentPayment } from './chat-request.ts'
import { startPlainLoopbackProvider } from '../../../../test/provider/start.ts'

/** Everything that runs. */
export type MeteredFixture = {
  readonly network: MeteredNetwork
  readonly operator: MeteredOperator
  readonly gateway: RunningGateway
  /** Of every call that `callOnce` made. */
  readonly receipts: VerifiedReceipt[]
  stop(): Promise<void>
}

/** Starts it; the gateway offers both metered schemes, and what else is asked for. */
export async function startMeteredFixture(exact = false): Promise<MeteredFixture> {
  const network = await startMeteredNetwork()
  const [operator, provider] = await Promise.all([
    network.createOperator(),
    startPlainLoopbackProvider({ models: ['flat'] }),
  ])
  const gateway = await startMeteredGateway(network, operator, { providerUrl: provider.url, exact })
  return {
    network,
    operator,
    gateway,
    receipts: [],
    stop: async () => {
      await gateway.stop()
      await provider.stop()
      await network.chain.stop()
    },
  }
}

/** Options that pay in this fixture; the price list and the contracts are checked. */
export function optionsFor(
  { network, operator, gateway }: MeteredFixture,
  key: Hex,
  changes: Partial<WalletOptions> & Pick<CountersignFetchOptions, 'fetch' | 'random'> = {},
): CountersignFetchOptions & WalletOptions {
  const name = 'eip155:84532'
  const reader = createChainReader(network.chain.rpcUrl)
  const trusted = { network: name, ...operator.terms, trustsProposers: true }
  return {
    baseUrl: `${gateway.url}/v1`,
    account: privateKeyToAccount(key),
    maxAmountAtomic: 20_000n,
    budgetAtomic: 90_000n,
    chains: { [name]: reader },
    checkPayee: createPayeeCheck({ operators: [trusted], readers: { [name]: reader } }),
    ...changes,
  }
}

/** What was sent as payment, in the order in which it was sent. */
export type SeenPayment = {
  readonly scheme: string
  readonly type: string | undefined
  readonly ceiling: bigint | undefined
  readonly deposit: bigint | undefined
}

/** A `fetch` that notes every payment on its way. */
export function recordPayments(): {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  readonly seen: readonly SeenPayment[]
} {
  const seen: SeenPayment[] = []
  return {
    seen,
    fetch: (url, init) => {
      const payment = paymentIn(init)
      if (payment !== undefined) seen.push(readPayment(payment))
      return fetch(url, init)
    },
  }
}

function readPayment(payment: SentPayment): SeenPayment {
  const { type, voucher, deposit } = payment.payload
  return {
    scheme: payment.accepted.scheme,
    type,
    ceiling: voucher === undefined ? undefined : BigInt(voucher.maxClaimableAmount),
    deposit: deposit === undefined ? undefined : BigInt(deposit.amount),
  }
}

/** Makes one call to its end and gives its receipt. */
export async function callOnce(
  paidFetch: CountersignFetch,
  { gateway, receipts }: MeteredFixture,
  prompt = 'hello',
  model = 'loopback-echo',
): Promise<VerifiedReceipt> {
  const response = await paidFetch(`${gateway.url}/v1/chat/completions`, chatRequest(prompt, model))
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.status}: ${text}`)
  const receipt = await paidFetch.receiptOf(response)
  receipts.push(receipt)
  return receipt
}

/** A client in this fixture. */
export function createPayer(
  fixture: MeteredFixture,
  key: Hex,
  changes: Parameters<typeof optionsFor>[2] = {},
): CountersignFetch {
  return countersignFetch(optionsFor(fixture, key, changes))
}

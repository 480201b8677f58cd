/** Payers of a chaotic network: each makes payments that are good when they are made. */
import { baseSepoliaX402 } from '@countersign/contracts/addresses'
import type { PaymentPayload, PaymentRequired } from '@x402/core/types'
import { decodePaymentResponseHeader } from '@x402/core/http'
import type { RawResult } from '../../../../test/provider/raw-client.ts'
import { createChannelPayer } from '../payment/channel-payer.ts'
import {
  createMeteredClient,
  type MeteredNetwork,
  type MeteredOperator,
} from '../payment/metered-network.ts'

/** Somebody who pays. */
export type ChaosPayer = {
  /** A payment for the call that this quote is for. */
  pay(quote: PaymentRequired): Promise<PaymentPayload>
  /** What the answer said, whatever it was. */
  hear(answer: RawResult): void
  /** The call of a payment is over. */
  end(payment: PaymentPayload): void
}

/** Pays each call by a maximum of its own, with the unmodified client of the x402 packages. */
export async function createUptoPayer(network: MeteredNetwork): Promise<ChaosPayer> {
  const client = createMeteredClient(network, await network.createPayer(), 'upto')
  return {
    pay: (quote) => client.createPaymentPayload(quote),
    hear: () => undefined,
    end: () => undefined,
  }
}

/** Pays from a channel with unique ceilings; the first payment brings the deposit. */
export function createVoucherPayer(
  network: MeteredNetwork,
  operator: MeteredOperator,
  { asset, depositAtomic }: { readonly asset: string; readonly depositAtomic: bigint },
): ChaosPayer {
  const payer = createChannelPayer(network.createChannelPayer(), {
    network: 'eip155:84532',
    chainId: 84_532n,
    asset,
    assetName: 'USDC',
    assetVersion: '2',
    payTo: operator.payee,
    maxTimeoutSeconds: 600,
    receiverAuthorizer: operator.authorizer,
    withdrawDelaySeconds: 3600,
    minDepositAtomic: 10_000n,
    maxRunningCalls: 64,
    erc3009Collector: baseSepoliaX402.erc3009DepositCollector,
    permit2Collector: baseSepoliaX402.permit2DepositCollector,
  })
  // Owned by the functions below: the highest ceiling signed, C as last heard, and what running calls may cost.
  let signedAtomic = 0n
  let runningAtomic = 0n
  let chargedAtomic = 0n
  let isOpen = false
  return {
    pay: (quote) => {
      const offer = quote.accepts.find(({ scheme }) => scheme === 'batch-settlement')
      if (offer === undefined) throw new Error('no channel is offered')
      runningAtomic += BigInt(offer.amount)
      const least = chargedAtomic + runningAtomic
      signedAtomic = signedAtomic >= least ? signedAtomic + 1n : least
      const payload = isOpen
        ? payer.payloadOf('voucher', signedAtomic)
        : payer.depositOf(signedAtomic, depositAtomic)
      const extensions = { 'countersign-concurrency': { info: { mode: 'unique-ceiling' } } }
      return Promise.resolve({ x402Version: 2, accepted: offer, payload, extensions })
    },
    hear: (answer) => {
      const header = answer.trailers['payment-response'] ?? answer.headers['payment-response']
      if (typeof header === 'string') {
        isOpen = true
        const extra = decodePaymentResponseHeader(header).extra ?? {}
        chargedAtomic = larger(chargedAtomic, cumulativeIn(extra))
      }
      // A call that failed upstream has no charge; its deposit is there all the same.
      if (answer.headers['x-receipt-id'] !== undefined && answer.status !== 402) isOpen = true
    },
    end: ({ accepted }) => {
      runningAtomic -= BigInt(accepted.amount)
    },
  }
}

function cumulativeIn(extra: Readonly<Record<string, unknown>>): bigint {
  const { channelState } = extra
  if (typeof channelState !== 'object' || channelState === null) return 0n
  if (!('chargedCumulativeAmount' in channelState)) return 0n
  return BigInt(String(channelState.chargedCumulativeAmount))
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

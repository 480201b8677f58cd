/** A gateway with some workers that is paid by vouchers, and calls to it. */
import { strict as assert } from 'node:assert'
import { mkdirSync } from 'node:fs'
import type { MeteredNetwork } from '../../packages/gateway/test/payment/metered-network.ts'
import { model } from '../gateway/wire.ts'
import { auditGateway } from '../payments/audit-gateway.ts'
import { chargeOf, depositAtomic } from '../payments/measure-gateway.ts'
import { openChannels } from '../payments/open-channels.ts'
import { startPaidGateway } from '../payments/paid-servers.ts'
import type { JobPayment, PaymentResult } from '../payments/payment-job.ts'
import { fetchQuote } from '../payments/sign-payments.ts'
import type { LoadOutcome } from './load.ts'
import { pacedCalls, runGenerator, sendPaced, type PacedOutcome } from './rate.ts'

/** A gateway under paid load. */
export type PaidGateway = {
  readonly pid: number
  /** @throws Error when an answer or a payment was none or wrong. */
  readonly send: (seconds: number) => Promise<LoadOutcome>
  /** At a rate that leaves room. @throws Error as `send`. */
  readonly sendPaced: (seconds: number) => Promise<PacedOutcome>
  /** @throws AssertionError when calls, receipts and charges do not agree. */
  readonly stop: () => Promise<void>
}

const path = '/v1/chat/completions'
/** Vouchers are signed before the calls; no gateway here answers more. */
const mostPerSecond = 5000

/** Starts it and opens the channels. Its model is paid by use. */
export async function startVoucherGateway(
  network: MeteredNetwork,
  options: {
    readonly workers: number
    readonly channels: number
    readonly connections: number
    readonly upstreamPort: number
    readonly folder: string
  },
): Promise<PaidGateway> {
  const { workers, upstreamPort, folder, connections } = options
  mkdirSync(folder)
  const operator = await network.createOperator()
  const asked = { upstreamPort, folder, profileFolder: undefined, workers, core: 'any' } as const
  const server = await startPaidGateway(network, operator, asked)
  const { port, pid } = server
  const payerKey = network.createChannelPayer()
  const { accepts } = await fetchQuote({ port, path, shape: 'json', modelName: model })
  const accepted = accepts.find(({ scheme }) => scheme === 'batch-settlement')
  assert.ok(accepted, 'no channel is offered')
  const count = { count: options.channels, depositAtomic }
  const opened = await openChannels(network.chain, payerKey, accepted, count)
  // Owned by `send`.
  const total = { calls: 0, receipts: 0, chargedAtomic: 0 }
  let channels = opened
  let isSound = true

  const paymentOf = (signedBefore: number): JobPayment => {
    const amountAtomic = chargeOf.json
    return { kind: 'voucher', payerKey, accepted, channels, amountAtomic, signedBefore }
  }
  function account({ calls, receipts, chargedAtomic, channels: charged }: PaymentResult): void {
    total.calls += calls
    total.receipts += receipts
    total.chargedAtomic += chargedAtomic
    channels = channels.map((channel, index) => ({
      ...channel,
      chargedAtomic: charged[index] ?? channel.chargedAtomic,
    }))
    isSound = true
  }

  return {
    pid,
    send: async (seconds) => {
      isSound = false
      const isFirst = total.calls === 0
      const { result, cpuUs } = await runGenerator(folder, {
        ...jobOf(port, connections, paymentOf(seconds * mostPerSecond)),
        // The first call on a channel asks the chain for it.
        warmUpMs: isFirst ? 3000 : 0,
        warmUpCalls: isFirst ? 2 * options.channels : 0,
        windowMs: seconds * 1000,
      })
      account(result)
      const [{ requests, elapsedMs } = { requests: 0, elapsedMs: 1 }] = result.windows
      const requestsPerSecond = (requests * 1000) / elapsedMs
      return { requests: result.calls, requestsPerSecond, generatorCpuUs: cpuUs }
    },
    sendPaced: async (seconds) => {
      isSound = false
      const payment = paymentOf(pacedCalls(seconds))
      const { result, ...outcome } = await sendPaced(
        { port, payment, hasReceipts: true, folder },
        seconds,
      )
      account(result)
      return outcome
    },
    stop: async () => {
      await server.stop()
      // What failed says so itself.
      if (!isSound) return
      const seen = { payment: 'batch-settlement', ...total } as const
      await auditGateway(server.dataDir, [seen], paymentOf(0))
    },
  }
}

/** As fast as it can, in one window. */
function jobOf(
  port: number,
  connections: number,
  payment: JobPayment,
): Omit<Parameters<typeof runGenerator>[1], 'warmUpMs' | 'warmUpCalls' | 'windowMs'> {
  return {
    port,
    path,
    shape: 'json',
    modelName: model,
    payment,
    connections,
    ratePerSecond: null,
    windows: 1,
    pids: [],
    hasReceipts: true,
  }
}

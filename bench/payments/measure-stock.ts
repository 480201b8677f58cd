/** The same ways to pay at the stock x402 server. */
import { strict as assert } from 'node:assert'
import { readCpuUs } from '../gateway/cpu-time.ts'
import { parseObject } from '../gateway/pinned-process.ts'
import { model } from '../gateway/wire.ts'
import {
  measureSettled,
  measureTimed,
  type BenchRun,
  type CaseReport,
  type PaymentCase,
} from './measure-case.ts'
import { chargeOf, depositAtomic } from './measure-gateway.ts'
import { openChannels } from './open-channels.ts'
import { prices, startStockServer, stockRoutes } from './paid-servers.ts'
import type { JobPayment } from './payment-job.ts'
import { createPayers, fetchQuote, signPayments } from './sign-payments.ts'
import { waitForBalance } from './wait-for-balance.ts'

type StockServer = Awaited<ReturnType<typeof startStockServer>>

const routes = { ...stockRoutes, unpaid: stockRoutes['batch-settlement'] }

/** Measures all of them. */
export async function measureStock(
  run: BenchRun,
  meteredAtomic: string,
): Promise<readonly CaseReport[]> {
  const { upstreamPort, network } = run
  const server = await startStockServer(network, { upstreamPort, meteredAtomic })
  const cases: CaseReport[] = []
  try {
    for (const shape of ['json', 'burst'] as const) {
      const free: JobPayment = { kind: 'same', headers: {}, status: 200 }
      cases.push((await measureTimed(run, caseOf(server, 'none', shape), free)).report)
    }
    const unpaid: JobPayment = { kind: 'same', headers: {}, status: 402 }
    cases.push((await measureTimed(run, caseOf(server, 'unpaid', 'json'), unpaid)).report)
    await measureVouchers(run, server, cases)
    cases.push(await measureOnChain(run, server, 'upto'))
    cases.push(await measureOnChain(run, server, 'exact'))
    await checkRuns(server, cases)
  } finally {
    await server.stop()
  }
  return cases
}

async function measureVouchers(
  run: BenchRun,
  server: StockServer,
  cases: CaseReport[],
): Promise<void> {
  const { network, plan } = run
  const payerKey = network.createChannelPayer()
  const [accepted] = (await fetchQuote(caseOf(server, 'batch-settlement', 'json'))).accepts
  assert.ok(accepted, 'no channel is offered')
  const count = { count: plan.channels, depositAtomic }
  const channels = await openChannels(network.chain, payerKey, accepted, count)
  let payment: JobPayment = { kind: 'voucher', payerKey, accepted, channels, amountAtomic: 0 }
  for (const shape of ['json', 'burst'] as const) {
    const next: JobPayment = { ...payment, amountAtomic: chargeOf[shape] }
    const measured = await measureTimed(run, caseOf(server, 'batch-settlement', shape), next)
    cases.push(measured.report)
    if (measured.payment.kind === 'voucher') payment = measured.payment
  }
}

async function measureOnChain(
  run: BenchRun,
  server: StockServer,
  scheme: 'upto' | 'exact',
): Promise<CaseReport> {
  const { network } = run
  const each = caseOf(server, scheme, 'json')
  const amountAtomic = scheme === 'exact' ? Number(prices.flat) : chargeOf.json
  const payers = await createPayers(network, scheme, run.plan.payers)
  const quote = await fetchQuote(each)
  const before = await network.balanceOf(server.payTo)
  return measureSettled(run, each, amountAtomic, {
    sign: (count) => signPayments(network, scheme, payers, quote, count),
    readCpuUs: () => readCpuUs(each.pids),
    settled: (calls) =>
      waitForBalance(network, server.payTo, before + BigInt(calls * amountAtomic)),
  })
}

/** Its handlers ran as often as calls were answered. */
async function checkRuns({ port }: StockServer, cases: readonly CaseReport[]): Promise<void> {
  const runs = parseObject(await (await fetch(`http://127.0.0.1:${port}/runs`)).text())
  for (const payment of ['none', 'batch-settlement', 'upto', 'exact'] as const) {
    const calls = cases
      .filter((each) => each.payment === payment)
      .reduce((all, each) => all + each.calls, 0)
    assert.equal(runs[routes[payment]], calls, `stock ${payment}: handlers and calls`)
  }
}

function caseOf(
  { port, pid }: StockServer,
  payment: keyof typeof routes,
  shape: PaymentCase['shape'],
): PaymentCase {
  const path = routes[payment]
  const pids = [pid]
  return { server: 'stock', payment, shape, port, path, modelName: model, pids, hasReceipts: false }
}

/** Every way to pay at this gateway. */
import { strict as assert } from 'node:assert'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { readCpuUs } from '../gateway/cpu-time.ts'
import { model } from '../gateway/wire.ts'
import { auditGateway } from './audit-gateway.ts'
import {
  measureSettled,
  measureTimed,
  type BenchRun,
  type CaseReport,
  type PaymentCase,
} from './measure-case.ts'
import { openChannels } from './open-channels.ts'
import { flatModel, prices, startPaidGateway, type PaidServer } from './paid-servers.ts'
import type { JobPayment } from './payment-job.ts'
import { createPayers, fetchQuote, signPayments } from './sign-payments.ts'
import { waitForBalance } from './wait-for-balance.ts'

/** More than any channel pays in a run. */
export const depositAtomic = 50_000_000n
/** What a call costs by the usage that the provider reports, in the order of `createRequestBody`. */
export const chargeOf = {
  json: 70 * prices.input + 150 * prices.output,
  burst: 70 * prices.input + 100 * prices.output,
} as const

const unpaid: JobPayment = { kind: 'same', headers: {}, status: 402 }
const free: JobPayment = { kind: 'same', headers: {}, status: 200 }

/** The gateway without payment: what all others are compared with. */
export async function measureUnpaidGateway(run: BenchRun): Promise<readonly CaseReport[]> {
  if (!run.wants('none')) return []
  const server = await start(run, 'none', undefined)
  const cases: CaseReport[] = []
  try {
    for (const shape of ['json', 'burst'] as const) {
      const each = caseOf(server, 'none', shape)
      cases.push((await measureTimed(run, each, free, { hasRate: shape === 'json' })).report)
    }
  } finally {
    await server.stop()
  }
  return cases
}

/** The gateway with every way to pay. `meteredAtomic` is the ceiling of a metered call. */
export async function measureGateway(
  run: BenchRun,
): Promise<{ readonly cases: readonly CaseReport[]; readonly meteredAtomic: string }> {
  const operator = await run.network.createOperator()
  const server = await start(run, 'paid', operator)
  const cases: CaseReport[] = []
  let vouchers: { readonly meteredAtomic: string; readonly payment: JobPayment }
  try {
    if (run.wants('unpaid')) {
      cases.push((await measureTimed(run, caseOf(server, 'unpaid', 'json'), unpaid)).report)
    }
    const authorization = `Bearer ${server.apiKey}`
    const byKey: JobPayment = { kind: 'same', headers: { authorization }, status: 200 }
    for (const shape of run.wants('api-key') ? (['json', 'burst'] as const) : []) {
      const each = caseOf(server, 'api-key', shape)
      const { report } = await measureTimed(run, each, byKey)
      cases.push({ ...report, chargedAtomic: report.calls * chargeOf[shape] })
    }
    vouchers = await measureVouchers(run, server, cases)
    for (const scheme of ['upto', 'exact'] as const) {
      if (run.wants(scheme)) cases.push(await measureOnChain(run, server, scheme, operator.payee))
    }
  } finally {
    await server.stop()
  }
  await auditGateway(server.dataDir, cases, vouchers.payment)
  return { cases, meteredAtomic: vouchers.meteredAtomic }
}

async function measureVouchers(
  run: BenchRun,
  server: PaidServer,
  cases: CaseReport[],
): Promise<{ readonly meteredAtomic: string; readonly payment: JobPayment }> {
  const { network, plan } = run
  const payerKey = network.createChannelPayer()
  const { accepts } = await fetchQuote(caseOf(server, 'batch-settlement', 'json'))
  const accepted = accepts.find(({ scheme }) => scheme === 'batch-settlement')
  assert.ok(accepted, 'no channel is offered')
  const count = { count: plan.channels, depositAtomic }
  const channels = await openChannels(network.chain, payerKey, accepted, count)
  let payment: JobPayment = { kind: 'voucher', payerKey, accepted, channels, amountAtomic: 0 }
  for (const shape of run.wants('batch-settlement') ? (['json', 'burst'] as const) : []) {
    const each = caseOf(server, 'batch-settlement', shape)
    const quote = (await fetchQuote(each)).accepts.find(({ scheme }) => scheme === accepted.scheme)
    assert.ok(quote, 'no channel is offered')
    const next: JobPayment = { ...payment, accepted: quote, amountAtomic: chargeOf[shape] }
    const measured = await measureTimed(run, each, next, { hasRate: shape === 'json' })
    cases.push(measured.report)
    assert.equal(measured.payment.kind, 'voucher')
    if (measured.payment.kind === 'voucher') payment = measured.payment
  }
  return { meteredAtomic: accepted.amount, payment }
}

async function measureOnChain(
  run: BenchRun,
  server: PaidServer,
  scheme: 'upto' | 'exact',
  payee: `0x${string}`,
): Promise<CaseReport> {
  const { network } = run
  const each = caseOf(server, scheme, 'json', scheme === 'exact' ? flatModel : model)
  const amountAtomic = scheme === 'exact' ? Number(prices.flat) : chargeOf.json
  const payers = await createPayers(network, scheme, run.plan.payers)
  const quote = await fetchQuote(each)
  const before = await network.balanceOf(payee)
  return measureSettled(run, each, amountAtomic, {
    sign: (count) => signPayments(network, scheme, payers, quote, count),
    readCpuUs: () => readCpuUs(each.pids),
    settled: (calls) => waitForBalance(network, payee, before + BigInt(calls * amountAtomic)),
  })
}

async function start(
  run: BenchRun,
  name: string,
  operator: Parameters<typeof startPaidGateway>[1],
): ReturnType<typeof startPaidGateway> {
  const folder = join(run.folder, name)
  mkdirSync(folder)
  const { upstreamPort, profileFolder } = run
  return startPaidGateway(run.network, operator, { upstreamPort, folder, profileFolder })
}

function caseOf(
  { port, pid }: PaidServer,
  payment: PaymentCase['payment'],
  shape: PaymentCase['shape'],
  modelName: string = model,
): PaymentCase {
  return {
    server: 'gateway',
    payment,
    shape,
    port,
    path: '/v1/chat/completions',
    modelName,
    pids: [pid],
    // Refusals are signed too.
    hasReceipts: true,
  }
}

/** The result of a run as a table, with the gas that channels cost. */
import { readFileSync } from 'node:fs'
import { parseObject } from '../gateway/pinned-process.ts'
import { alignColumns, formatRecord, type RunRecord } from '../run-record.ts'
import type { CaseReport } from './measure-case.ts'
import type { StepReport } from './measure-steps.ts'

/** Everything that a run says. */
export type PaymentReport = RunRecord & {
  readonly benchmark: 'payments'
  readonly channels: number
  readonly ratePerSecond: number
  /** Of 100 channels with 100 calls each: from the gas snapshot of the contracts. */
  readonly gas: GasPerCall
  /** Payment without HTTP; null when it was not measured. */
  readonly steps: StepReport | null
  readonly cases: readonly CaseReport[]
}

/** Gas of one call; `claimed` without the transfer to the payee, `settled` with it. */
export type GasPerCall = { readonly claimed: number; readonly settled: number }

const snapshot = new URL(
  '../../packages/contracts/test/solidity/gas/payments.json',
  import.meta.url,
)
const callsPerChannel = 100
const channelsPerClaim = 100

const titles = [
  ['server', ''],
  ['payment', ''],
  ['shape', ''],
  ['CPU', 'µs min'],
  ['', 'median'],
  ['added', 'to none µs'],
  ['calls/s', ''],
  ['p50 added', '1 conn µs'],
  ['p99 added', '1 conn µs'],
  ['first byte', 'added µs'],
  ['p50 at rate', 'added µs'],
  ['p99 at rate', 'added µs'],
  ['answered', 'at rate /s'],
  ['calls', ''],
  ['receipts', ''],
] as const

/** What one call costs when 100 channels of 100 calls are claimed at once and paid out. */
export function readGasPerCall(): GasPerCall {
  const costs = parseObject(readFileSync(snapshot, 'utf8'))
  const claim = Number(costs[`claim, ${channelsPerClaim} channels`])
  const settle = Number(costs['settle'])
  if (!(claim > 0) || !(settle > 0)) throw new Error('the gas snapshot has no claim')
  const calls = callsPerChannel * channelsPerClaim
  return { claimed: claim / calls, settled: (claim + settle) / calls }
}

/** A table with one line for each case. What is added is against the same server without payment. */
export function formatPayments(report: PaymentReport): string {
  const { cases, gas, steps } = report
  const rows = [
    titles.map(([first]) => first),
    titles.map(([, second]) => second),
    ...cases.map((each) => toRow(each, cases)),
  ]
  const costs = `gas per call, 100 channels of 100 calls: ${gas.claimed.toFixed(0)} to claim, ${gas.settled.toFixed(0)} with the payout`
  const scale = `${report.channels} channels, ${report.ratePerSecond}/s at the rate`
  return `${alignColumns(rows)}\n${steps === null ? '' : formatSteps(steps)}${costs}\n${scale}; ${formatRecord(report)}\n`
}

function formatSteps({ voucherUs, stepsUs, refusedUs }: StepReport): string {
  const rows = [
    ['payment alone, CPU', 'µs'],
    ['a voucher, 32 at once', voucherUs.atOnce32.toFixed(0)],
    ['a voucher, one at a time', voucherUs.atOnce1.toFixed(0)],
    ...Object.entries(stepsUs).map(([name, us]) => [`  ${name}`, us.toFixed(1)]),
    ['refused payments', ''],
    ...Object.entries(refusedUs).map(([name, us]) => [`  ${name}`, us.toFixed(0)]),
  ]
  return `${alignColumns(rows)}\n`
}

function toRow(each: CaseReport, cases: readonly CaseReport[]): string[] {
  const { server, payment, shape, cpu, callsPerSecond, calls, receipts, answeredAtRate } = each
  const base = cases.find(
    (other) => other.server === server && other.payment === 'none' && other.shape === shape,
  )
  const added = (read: (report: CaseReport) => number | undefined): string =>
    formatAdded(each, base, read)
  return [
    server,
    payment,
    shape,
    cpu.minUs.toFixed(0),
    cpu.medianUs.toFixed(0),
    payment === 'none' ? '–' : added((report) => report.cpu.minUs),
    callsPerSecond.toFixed(0),
    added(({ at1 }) => at1?.latency.p50Us),
    added(({ at1 }) => at1?.latency.p99Us),
    added(({ at1 }) => at1?.firstByte.p50Us),
    added(({ atRate }) => atRate?.p50Us),
    added(({ atRate }) => atRate?.p99Us),
    answeredAtRate === null ? '–' : answeredAtRate.toFixed(0),
    String(calls),
    String(receipts),
  ]
}

/** Against the same server without payment; of that one, the figure itself in brackets. */
function formatAdded(
  each: CaseReport,
  base: CaseReport | undefined,
  read: (report: CaseReport) => number | undefined,
): string {
  const own = read(each)
  if (own === undefined) return '–'
  if (each.payment === 'none') return `(${own.toFixed(0)})`
  const before = base === undefined ? undefined : read(base)
  return before === undefined ? '–' : (own - before).toFixed(0)
}

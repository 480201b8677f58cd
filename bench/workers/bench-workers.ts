/**
 * Completed calls a second and CPU per call with one and with several workers. Nothing is pinned: gateway, provider and
 * generator share all cores, as they would on a machine of that size, and the report says what each of them took.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startMeteredNetwork } from '../../packages/gateway/test/payment/metered-network.ts'
import { readCpuUs, readResidentBytes } from '../gateway/cpu-time.ts'
import { nodeCommand, startPinned } from '../gateway/pinned-process.ts'
import { createApiKey } from '../gateway/targets.ts'
import { model } from '../gateway/wire.ts'
import { alignColumns, describeRun, formatRecord, saveReport } from '../run-record.ts'
import { generatorName, sendLoad, type LoadOutcome } from './load.ts'
import { pacedRate, sendPaced, type PacedOutcome } from './rate.ts'
import { startVoucherGateway } from './voucher-load.ts'

type Payment = 'none' | 'api-key' | 'batch-settlement'

type Plan = {
  readonly warmUpSeconds: number
  readonly seconds: number
  readonly rounds: number
  readonly pacedSeconds: number
  readonly channels: number
}

/** A gateway, and calls to it. */
type Subject = {
  readonly pid: number
  readonly send: (seconds: number) => Promise<LoadOutcome>
  readonly sendPaced: (seconds: number) => Promise<PacedOutcome>
  readonly stop: () => Promise<void>
}

/** One round of one case. CPU times are microseconds for each call. */
type Round = {
  readonly requests: number
  readonly requestsPerSecond: number
  readonly gatewayUs: number
  /** Of it, what the primary took; 0 with one worker, which has none. */
  readonly primaryUs: number
  readonly upstreamUs: number
  readonly generatorUs: number
  /** Cores that the gateway kept busy. */
  readonly gatewayCores: number
}

type Case = {
  readonly workers: number
  readonly payment: Payment
  readonly rounds: readonly Round[]
  /** At the rate of the report. */
  readonly paced: PacedOutcome
  readonly residentBytes: number
}

const connections = 64
const workerCounts = [1, 2] as const
const payments = ['none', 'api-key', 'batch-settlement'] as const
/** What the payer of the channels holds: more than all runs cost. */
const balanceAtomic = 1_000_000_000_000n
const mockUpstream = new URL('../gateway/mock-upstream.ts', import.meta.url)
const gatewayMain = new URL('../../packages/gateway/src/main.ts', import.meta.url)

/**
 * Runs the benchmark and prints it: JSON calls with receipts, paid by vouchers on a model that is paid by use, else at a
 * fixed price. A full run is also saved under bench/results/;
 * `only` names ways to pay.
 *
 * @throws Error when an answer was none or wrong.
 */
export async function benchWorkers(options: {
  readonly json: boolean
  readonly quick: boolean
  readonly only: readonly string[]
}): Promise<void> {
  const plan = options.quick
    ? { warmUpSeconds: 2, seconds: 2, rounds: 1, pacedSeconds: 2, channels: 200 }
    : { warmUpSeconds: 6, seconds: 5, rounds: 3, pacedSeconds: 5, channels: 1000 }
  const folder = mkdtempSync(join(tmpdir(), 'countersign-workers-'))
  const about = describeRun(options.quick)
  const upstream = await startPinned('any', nodeCommand(mockUpstream, []))
  const network = await startMeteredNetwork(balanceAtomic)
  const cases: Case[] = []
  let direct: PacedOutcome
  try {
    direct = await measureDirect(Number(upstream.hello['port']), folder, plan)
    for (const payment of payments) {
      if (options.only.length > 0 && !options.only.includes(payment)) continue
      for (const workers of workerCounts) {
        if (!options.json) process.stderr.write(`${payment}, workers: ${workers} …\n`)
        const upstreamAt = { port: Number(upstream.hello['port']), pid: upstream.pid }
        const each = { workers, payment }
        const subject =
          payment === 'batch-settlement'
            ? await startVoucherGateway(network, {
                workers,
                channels: plan.channels,
                connections,
                upstreamPort: upstreamAt.port,
                folder: join(folder, `${payment}-${workers}`),
              })
            : await startSubject(each, upstreamAt.port, folder)
        cases.push(await measureCase(each, subject, upstreamAt.pid, plan))
      }
    }
  } finally {
    await network.chain.stop()
    await upstream.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  const report = {
    benchmark: 'workers',
    ...about,
    isPinned: false,
    generator: generatorName(),
    connections,
    pacedRate,
    direct,
    cases,
  } as const
  process.stdout.write(
    options.json
      ? `${JSON.stringify(report, null, 2)}\n`
      : `${formatCases(cases, direct)}\nload by ${report.generator}, vouchers by payment-generator.ts, ${connections} connections; ${formatRecord(report)}\n`,
  )
  if (!options.quick && options.only.length === 0)
    process.stderr.write(`saved ${saveReport(report)}\n`)
}

async function startSubject(
  { workers, payment }: Pick<Case, 'workers' | 'payment'>,
  upstreamPort: number,
  parent: string,
): Promise<Subject> {
  const folder = join(parent, `${payment}-${workers}`)
  mkdirSync(join(folder, 'data'), { recursive: true, mode: 0o700 })
  const file = join(folder, 'countersign.config.json')
  writeFileSync(file, JSON.stringify(createConfig(workers, payment, upstreamPort)))
  const headers: Record<string, string> =
    payment === 'none'
      ? {}
      : { authorization: `Bearer ${createApiKey(join(folder, 'data', 'api-keys.db'))}` }
  const command = nodeCommand(gatewayMain, ['--config', file, '--exit-with-parent'])
  const { pid, hello, stop } = await startPinned('any', command)
  const port = Number(new URL(String(hello['url'])).port)
  return {
    pid,
    send: (seconds) => sendLoad({ port, headers, connections, folder, seconds }),
    sendPaced: async (seconds) => {
      const paid = { kind: 'same', headers, status: 200 } as const
      const { answeredPerSecond, latency } = await sendPaced(
        { port, payment: paid, hasReceipts: true, folder },
        seconds,
      )
      return { answeredPerSecond, latency }
    },
    stop,
  }
}

/** What the generator and the provider take without a gateway between them. */
async function measureDirect(port: number, folder: string, plan: Plan): Promise<PacedOutcome> {
  const free = { kind: 'same', headers: {}, status: 200 } as const
  const { answeredPerSecond, latency } = await sendPaced(
    { port, payment: free, hasReceipts: false, folder },
    plan.pacedSeconds,
  )
  return { answeredPerSecond, latency }
}

async function measureCase(
  { workers, payment }: Pick<Case, 'workers' | 'payment'>,
  { pid, send, sendPaced: sendAtRate, stop }: Subject,
  upstreamPid: number,
  plan: Plan,
): Promise<Case> {
  try {
    await send(plan.warmUpSeconds)
    const rounds: Round[] = []
    while (rounds.length < plan.rounds) {
      const before = readCpu(pid, upstreamPid)
      const { requests, requestsPerSecond, generatorCpuUs } = await send(plan.seconds)
      const after = readCpu(pid, upstreamPid)
      const gatewayUs = (after.gatewayUs - before.gatewayUs) / requests
      rounds.push({
        requests,
        requestsPerSecond,
        gatewayUs,
        primaryUs: workers === 1 ? 0 : (after.ownUs - before.ownUs) / requests,
        upstreamUs: (after.upstreamUs - before.upstreamUs) / requests,
        generatorUs: generatorCpuUs / requests,
        gatewayCores: (gatewayUs * requestsPerSecond) / 1_000_000,
      })
    }
    const paced = await sendAtRate(plan.pacedSeconds)
    return { workers, payment, rounds, paced, residentBytes: readResidentBytes([pid]) }
  } finally {
    await stop()
  }
}

type Cpu = { readonly gatewayUs: number; readonly ownUs: number; readonly upstreamUs: number }

function readCpu(gateway: number, upstream: number): Cpu {
  return {
    gatewayUs: readCpuUs([gateway]),
    ownUs: readCpuUs([gateway], false),
    upstreamUs: readCpuUs([upstream]),
  }
}

function createConfig(workers: number, payment: Payment, upstreamPort: number): object {
  return {
    issuer: 'bench.invalid',
    listen: { host: '127.0.0.1', port: 0 },
    workers,
    dataDir: 'data',
    upstreams: [
      {
        name: 'mock',
        baseUrl: `http://127.0.0.1:${upstreamPort}/v1`,
        connections: 1024,
        models: [{ id: model, priceAtomic: '10' }],
      },
    ],
    payment: payment === 'none' ? 'none' : { apiKeys: { asset: 'USD' } },
    attestation: { kind: 'simulated' },
    log: { level: 'error' },
  }
}

/** The best round of each case: on a machine that others use too, the rest is theirs. */
function formatCases(cases: readonly Case[], direct: PacedOutcome): string {
  const rows = cases.map(({ workers, payment, rounds, paced, residentBytes }) => {
    const [best] = rounds.toSorted((a, b) => b.requestsPerSecond - a.requestsPerSecond)
    if (best === undefined) throw new Error('a case without a round')
    const [one] = cases
      .filter((each) => each.payment === payment && each.workers === 1)
      .flatMap((each) => each.rounds)
      .toSorted((a, b) => b.requestsPerSecond - a.requestsPerSecond)
    const scale = best.requestsPerSecond / (one?.requestsPerSecond ?? Number.NaN)
    return [
      `${payment}, workers: ${workers}`,
      best.requestsPerSecond.toFixed(0),
      scale.toFixed(2),
      best.gatewayUs.toFixed(0),
      best.primaryUs.toFixed(0),
      best.gatewayCores.toFixed(2),
      best.upstreamUs.toFixed(0),
      best.generatorUs.toFixed(0),
      (residentBytes / 1_048_576).toFixed(0),
      toAdded(paced.latency.p50Us, direct.latency.p50Us),
      toAdded(paced.latency.p99Us, direct.latency.p99Us),
      paced.answeredPerSecond.toFixed(0),
    ]
  })
  const titles = [
    [
      'JSON with receipts',
      'req/s',
      'ratio',
      'CPU',
      'of it',
      'cores',
      'provider',
      'generator',
      'RSS',
      'p50 added',
      'p99 added',
      'answered',
    ],
    ['', '', 'to 1', 'µs', 'primary', 'busy', 'µs', 'µs', 'MB', `ms at ${pacedRate}/s`, 'ms', '/s'],
  ]
  const { p50Us, p99Us } = direct.latency
  const bare = `without a gateway at ${pacedRate}/s: p50 ${toAdded(p50Us, 0)} ms, p99 ${toAdded(p99Us, 0)} ms`
  return `${alignColumns([...titles, ...rows])}\n${bare}`
}

function toAdded(us: number, beforeUs: number): string {
  return ((us - beforeUs) / 1000).toFixed(1)
}

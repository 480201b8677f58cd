/**
 * The soak: a real gateway under mixed calls and a thousand aborted streams a minute. Memory and open descriptors stay
 * flat, no request goes unanswered, and every call has exactly one statement.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { DatabaseSync } from 'node:sqlite'
import {
  disposeGateway,
  startGateway,
  type RunningGateway,
} from '../../packages/gateway/test/support/start-gateway.ts'
import { everyUpstream } from '../../packages/gateway/test/support/wire-calls.ts'
import { startLoopbackProvider } from '../provider/start.ts'
import { createRandom } from '../tampering/random.ts'
import {
  judgeDescriptors,
  judgeMemory,
  judgeStatements,
  readStatement,
  type Connections,
  type Descriptors,
  type Held,
  type KeptStatement,
  type MemoryReport,
  type Sample,
} from './judge-soak.ts'
import { maxConnections, runLoad, sendRefusals, type SoakCall } from './soak-load.ts'

/** What was measured of one process. */
export interface ProcessReport extends MemoryReport {
  readonly name: string
  readonly descriptors: Descriptors
  /** The longest time for which its event loop did nothing else. */
  readonly longestStallMs: number
}

/** What was measured, and what of it is not as it must be. */
export interface SoakReport {
  readonly seed: number
  readonly minutes: number
  readonly workers: number
  readonly answered: number
  readonly left: number
  readonly refused: number
  /** How many calls failed, by what they were and how. */
  readonly failed: Readonly<Record<string, number>>
  readonly statements: number
  /** The gateway; with several workers the primary and each of them. */
  readonly processes: readonly ProcessReport[]
  readonly faults: readonly string[]
}

/** What to do. */
export interface SoakOptions {
  readonly minutes: number
  readonly seed: number
  readonly workers: number
  /** Refusals made beforehand: as many as the gateway keeps, so that what it keeps of them has its size. */
  readonly refusals: number
  /** Calls of each kind that are made also when that takes longer; none unless it is said. */
  readonly atLeast?: number
  readonly onProgress?: (line: string) => void
}

const program = fileURLToPath(new URL('watched-gateway.ts', import.meta.url))
// The young generation has its full size from the start: V8 doubles it at some moment of its choice, which would look
// like 64 MB that leaked.
const youngMb = 32
const nodeFlags = [
  '--conditions=source',
  '--expose-gc',
  `--min-semi-space-size=${String(youngMb)}`,
  `--max-semi-space-size=${String(youngMb)}`,
]

const abortsPerMinute = 1000
const callsPerMinute = 1200
const lookEveryMs = 1000
const mostCollections = 90
const heldMark = 'held '
const watchedMark = 'watched '
/** Most connections to one upstream. */
const upstreamConnections = 32

/** Runs a soak. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { minutes, seed, workers, atLeast = 0 } = options
  const provider = await startLoopbackProvider()
  try {
    const upstreams = everyUpstream(provider).map((upstream) => ({
      ...upstream,
      connections: upstreamConnections,
    }))
    const config = { upstreams, workers }
    const gateway = await startGateway({ config, logLevel: 'error', program, nodeFlags })
    try {
      const watched = findWatched(gateway, upstreams.length * upstreamConnections)
      const idle = watched.map(({ pid }) => countDescriptors(pid))
      const calls: SoakCall[] = []
      const onCall = (call: SoakCall): void => {
        calls.push(call)
      }
      await sendRefusals(gateway.url, options.refusals, onCall)
      const random = createRandom(seed)
      const origin = gateway.url
      const load = { origin, random, minutes, abortsPerMinute, callsPerMinute, atLeast, onCall }
      const looks = await Promise.race([
        lookWhile({ gateway, watched }, options, () => runLoad(load)),
        failWhenEnded(gateway),
      ])
      const processes = await Promise.all(
        watched.map((process, index) =>
          judgeProcess(
            process,
            minutes,
            idle[index] ?? 0,
            looks[index] ?? { samples: [], held: [] },
          ),
        ),
      )
      const judged = await judgeSoak(gateway, options, calls)
      const failure = provider.failure()
      const faults = [
        ...(failure === undefined ? [] : [`the provider ended: ${failure}`]),
        ...judged.faults,
        ...processes.flatMap((process) => process.faults),
      ]
      const reports = processes.map(({ report }) => report)
      return { seed, minutes, workers, ...judged, processes: reports, faults }
    } finally {
      await disposeGateway(gateway)
    }
  } finally {
    await provider.stop()
  }
}

/** One process of the gateway. */
interface Watched {
  readonly name: string
  readonly pid: number
  readonly connections: Connections
}

/** The processes, as they named themselves when they started. `upstreams`: connections of all of them together. */
function findWatched(gateway: RunningGateway, upstreams: number): readonly Watched[] {
  const lines = linesOf(gateway, watchedMark)
  const found = lines.map((line): { readonly pid: number; readonly isWorker: boolean } =>
    JSON.parse(line),
  )
  const workers = found.filter(({ isWorker }) => isWorker)
  // Each worker may have its share, rounded up, and every caller.
  const serving = {
    callers: maxConnections,
    upstreams: Math.ceil(upstreams / Math.max(1, workers.length)),
  }
  return found.map(({ pid, isWorker }) => {
    if (workers.length === 0) return { name: 'gateway', pid, connections: serving }
    return isWorker
      ? { name: `worker ${String(pid)}`, pid, connections: serving }
      : { name: 'primary', pid, connections: { callers: 0, upstreams: 0 } }
  })
}

function linesOf(gateway: RunningGateway, mark: string): readonly string[] {
  const lines = gateway.stderr().split('\n')
  return lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(mark.length))
}

async function judgeProcess(
  { name, pid, connections }: Watched,
  minutes: number,
  idle: number,
  { samples, held }: Looks,
): Promise<{ readonly report: ProcessReport; readonly faults: readonly string[] }> {
  const most = Math.max(...samples.map((sample) => sample.descriptors))
  const after = await countSettled(pid, idle + connections.upstreams)
  const descriptors = { idle, most, after }
  const { faults: memoryFaults, ...memory } = judgeMemory(samples, held, minutes)
  const stalls = held.map((look) => look.longestStallMs)
  const longestStallMs = Math.round(Math.max(0, ...stalls))
  const faults = [...memoryFaults, ...judgeDescriptors(descriptors, connections)]
  return {
    report: { name, ...memory, descriptors, longestStallMs },
    faults: faults.map((fault) => `${name}: ${fault}`),
  }
}

/** Every call of a soak fails at once when the gateway is gone: that is its end, and said so. */
async function failWhenEnded(gateway: RunningGateway): Promise<never> {
  const { code, signal } = await gateway.ended
  const how = `code ${String(code)}, signal ${String(signal)}`
  throw new Error(`the gateway ended by itself: ${how}: ${gateway.stderr().slice(-2000)}`)
}

interface Looks {
  readonly samples: readonly Sample[]
  readonly held: readonly Held[]
}

/** Looks at each process each second, and has its garbage collected at most once in a second and ninety times in all. */
async function lookWhile(
  { gateway, watched }: { readonly gateway: RunningGateway; readonly watched: readonly Watched[] },
  { minutes, onProgress = () => undefined }: SoakOptions,
  run: () => Promise<void>,
): Promise<readonly Looks[]> {
  const startedMs = performance.now()
  const minuteNow = (): number => (performance.now() - startedMs) / 60_000
  const observed = watched.map(({ name, pid }) => ({
    name,
    pid,
    samples: [] as Sample[],
    asked: [] as number[],
  }))
  const askEvery = Math.max(1, Math.ceil((minutes * 60) / mostCollections))
  const look = (): void => {
    for (const { name, pid, samples, asked } of observed) {
      // Whoever sees its end says so.
      if (!existsSync(`/proc/${String(pid)}/fd`)) continue
      const minute = minuteNow()
      const sample = {
        minute,
        residentMb: readResidentMb(pid),
        descriptors: countDescriptors(pid),
      }
      samples.push(sample)
      if (samples.length % 10 === 0) onProgress(JSON.stringify({ name, ...sample }))
      // A process that has not come to answer yet is not asked again: signals are not counted.
      const isAnswered = readHeld(gateway, pid, asked).length === asked.length
      if (samples.length % askEvery !== 0 || !isAnswered) continue
      asked.push(minute)
      process.kill(pid, 'SIGUSR2')
    }
  }
  const timer = setInterval(look, lookEveryMs)
  try {
    await run()
  } finally {
    clearInterval(timer)
  }
  look()
  // A short run on a machine that stood still.
  for (let more = 0; more < 60 && observed.some(({ asked }) => asked.length < 3); more++) {
    await sleep(lookEveryMs)
    look()
  }
  const answers = observed.reduce((all, { asked }) => all + asked.length, 0)
  if (answers > 0) await gateway.logged(heldMark, answers)
  return observed.map(({ pid, samples, asked }) => ({
    samples,
    held: readHeld(gateway, pid, asked),
  }))
}

function readHeld(gateway: RunningGateway, pid: number, asked: readonly number[]): readonly Held[] {
  const said = linesOf(gateway, heldMark).map(
    (line): Omit<Held, 'minute'> & { readonly pid: number } => JSON.parse(line),
  )
  const own = said.filter((each) => each.pid === pid)
  return own.map(({ heapMb, externalMb, longestStallMs }, index) => ({
    minute: asked[index] ?? Infinity,
    heapMb,
    externalMb,
    longestStallMs,
  }))
}

function countDescriptors(pid: number): number {
  return readdirSync(`/proc/${String(pid)}/fd`).length
}

/** Descriptors once the callers' connections are closed at this end too, which takes a moment: a minute at most. */
async function countSettled(pid: number, enough: number): Promise<number> {
  for (let look = 0; look < 600 && countDescriptors(pid) > enough; look++) await sleep(100)
  return countDescriptors(pid)
}

function readResidentMb(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'latin1')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024
}

async function judgeSoak(
  gateway: RunningGateway,
  { workers }: SoakOptions,
  calls: readonly SoakCall[],
): Promise<Omit<SoakReport, 'seed' | 'minutes' | 'workers' | 'processes'>> {
  const failed = countFailures(calls)
  const failures = calls.filter(({ kind }) => kind === 'failed').length
  // The end waits for every call under way and writes every receipt.
  const { code } = await gateway.stop()
  const statements = readStatements(join(gateway.folder, 'data'))
  const refusals = calls.flatMap((call) =>
    call.kind === 'answered' && call.what === 'refusal' ? [call.statement] : [],
  )
  const words = gateway
    .stderr()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(heldMark) && !line.startsWith(watchedMark))
  return {
    answered: calls.filter(({ kind }) => kind === 'answered').length,
    left: calls.filter(({ kind }) => kind === 'left').length,
    refused: refusals.length,
    failed,
    statements: statements.length + refusals.length,
    faults: [
      ...(code === 0 ? [] : [`the gateway ended with ${String(code)}`]),
      ...(failures === 0 ? [] : [`${String(failures)} calls had no proper answer`]),
      ...words.slice(0, 10).map((line) => `the gateway logged ${line}`),
      ...judgeStatements(calls, statements, refusals, workers),
    ],
  }
}

function countFailures(calls: readonly SoakCall[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>()
  for (const call of calls) {
    if (call.kind !== 'failed') continue
    const name = `${call.what}: ${call.error}`
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return Object.fromEntries([...counts].toSorted(([, a], [, b]) => b - a))
}

function readStatements(folder: string): readonly KeptStatement[] {
  const database = new DatabaseSync(join(folder, 'receipts.db'), { readOnly: true })
  try {
    const rows = database
      .prepare('SELECT statement FROM receipt UNION ALL SELECT statement FROM keyset')
      .all()
    return rows.map(({ statement }) => {
      if (!(statement instanceof Uint8Array)) throw new Error('a row without a statement')
      return readStatement(statement)
    })
  } finally {
    database.close()
  }
}

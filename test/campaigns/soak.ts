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
  upstreamConnections,
  type Descriptors,
  type Held,
  type KeptStatement,
  type MemoryReport,
  type Sample,
} from './judge-soak.ts'
import { runLoad, sendRefusals, type SoakCall } from './soak-load.ts'

/** What was measured, and what of it is not as it must be. */
export interface SoakReport extends MemoryReport {
  readonly seed: number
  readonly minutes: number
  readonly answered: number
  readonly left: number
  readonly refused: number
  /** How many calls failed, by what they were and how. */
  readonly failed: Readonly<Record<string, number>>
  readonly statements: number
  readonly descriptors: Descriptors
  /** The longest time for which the event loop of the gateway did nothing else. */
  readonly longestStallMs: number
  readonly faults: readonly string[]
}

/** What to do. */
export interface SoakOptions {
  readonly minutes: number
  readonly seed: number
  /** Refusals made beforehand: as many as the gateway keeps, so that what it keeps of them has its size. */
  readonly refusals: number
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

/** Runs a soak. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { minutes, seed } = options
  const provider = await startLoopbackProvider()
  try {
    const upstreams = everyUpstream(provider).map((upstream) => ({
      ...upstream,
      connections: upstreamConnections,
    }))
    const config = { upstreams }
    const gateway = await startGateway({ config, logLevel: 'error', program, nodeFlags })
    try {
      const idle = countDescriptors(gateway.pid)
      const calls: SoakCall[] = []
      const onCall = (call: SoakCall): void => {
        calls.push(call)
      }
      await sendRefusals(gateway.url, options.refusals, onCall)
      const random = createRandom(seed)
      const origin = gateway.url
      const load = { origin, random, minutes, abortsPerMinute, callsPerMinute, onCall }
      const looks = await Promise.race([
        lookWhile(gateway, options, () => runLoad(load)),
        failWhenEnded(gateway),
      ])
      const most = Math.max(...looks.samples.map((sample) => sample.descriptors))
      const least = idle + upstreams.length * upstreamConnections
      const descriptors = { idle, most, after: await countSettled(gateway.pid, least) }
      const judged = await judgeSoak(gateway, minutes, calls, looks)
      const failure = provider.failure()
      const faults = [
        ...(failure === undefined ? [] : [`the provider ended: ${failure}`]),
        ...judged.faults,
        ...judgeDescriptors(descriptors, upstreams.length),
      ]
      return { seed, minutes, ...judged, descriptors, faults }
    } finally {
      await disposeGateway(gateway)
    }
  } finally {
    await provider.stop()
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

/** Looks at the process each second, and has its garbage collected at most once in a second and ninety times in all. */
async function lookWhile(
  gateway: RunningGateway,
  { minutes, onProgress = () => undefined }: SoakOptions,
  run: () => Promise<void>,
): Promise<Looks> {
  const { pid } = gateway
  const startedMs = performance.now()
  const minuteNow = (): number => (performance.now() - startedMs) / 60_000
  const samples: Sample[] = []
  const asked: number[] = []
  const askEvery = Math.max(1, Math.ceil((minutes * 60) / mostCollections))
  const look = (): void => {
    // Whoever sees its end says so.
    if (!existsSync(`/proc/${String(pid)}/fd`)) return
    const minute = minuteNow()
    const sample = { minute, residentMb: readResidentMb(pid), descriptors: countDescriptors(pid) }
    samples.push(sample)
    if (samples.length % 10 === 0) onProgress(JSON.stringify(sample))
    // A process that has not come to answer yet is not asked again: signals are not counted.
    const isAnswered = readHeld(gateway.stderr(), asked).length === asked.length
    if (samples.length % askEvery !== 0 || !isAnswered) return
    asked.push(minute)
    process.kill(pid, 'SIGUSR2')
  }
  const timer = setInterval(look, lookEveryMs)
  try {
    await run()
  } finally {
    clearInterval(timer)
  }
  look()
  if (asked.length > 0) await gateway.logged(heldMark, asked.length)
  return { samples, held: readHeld(gateway.stderr(), asked) }
}

function readHeld(log: string, asked: readonly number[]): readonly Held[] {
  const lines = log.split('\n').filter((line) => line.startsWith(heldMark))
  return lines.map((line, index) => {
    const { heapMb, externalMb, longestStallMs }: Held = JSON.parse(line.slice(heldMark.length))
    return { minute: asked[index] ?? Infinity, heapMb, externalMb, longestStallMs }
  })
}

function countDescriptors(pid: number): number {
  return readdirSync(`/proc/${String(pid)}/fd`).length
}

/** Descriptors once the callers' connections are closed at this end too, which takes a moment: ten seconds at most. */
async function countSettled(pid: number, enough: number): Promise<number> {
  for (let look = 0; look < 100 && countDescriptors(pid) > enough; look++) await sleep(100)
  return countDescriptors(pid)
}

function readResidentMb(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'latin1')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024
}

async function judgeSoak(
  gateway: RunningGateway,
  minutes: number,
  calls: readonly SoakCall[],
  { samples, held }: Looks,
): Promise<Omit<SoakReport, 'seed' | 'minutes' | 'descriptors'>> {
  const failed = countFailures(calls)
  const failures = calls.filter(({ kind }) => kind === 'failed').length
  // The end waits for every call under way and writes every receipt.
  const { code } = await gateway.stop()
  const statements = readStatements(join(gateway.folder, 'data'))
  const refusals = calls.flatMap((call) =>
    call.kind === 'answered' && call.what === 'refusal' ? [call.statement] : [],
  )
  const { faults: memoryFaults, ...memory } = judgeMemory(samples, held, minutes)
  const words = gateway
    .stderr()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(heldMark))
  return {
    answered: calls.filter(({ kind }) => kind === 'answered').length,
    left: calls.filter(({ kind }) => kind === 'left').length,
    refused: refusals.length,
    failed,
    statements: statements.length + refusals.length,
    ...memory,
    longestStallMs: Math.round(Math.max(0, ...held.map(({ longestStallMs }) => longestStallMs))),
    faults: [
      ...(code === 0 ? [] : [`the gateway ended with ${String(code)}`]),
      ...(failures === 0 ? [] : [`${String(failures)} calls had no proper answer`]),
      ...words.slice(0, 10).map((line) => `the gateway logged ${line}`),
      ...judgeStatements(calls, statements, refusals),
      ...memoryFaults,
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
